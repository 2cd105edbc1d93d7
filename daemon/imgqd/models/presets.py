"""The models that have a name of their own in imgq, and where open_clip finds their weights."""

from __future__ import annotations

from dataclasses import dataclass

BUILTIN = "builtin"
BUILTIN_ARCHITECTURE = "imgq-builtin"
# Of its weights. Who trains it anew writes that down here.
BUILTIN_SHA256 = "d782ef785dcb41cf004b6d79f78c5fb8fea6785f9307fa5efd05dc7f23e7040e"
WEIGHTS_FILE = "open_clip_model.safetensors"


@dataclass(frozen=True, slots=True)
class Preset:
    """`architecture` and `tag` are open_clip's, `repository` the hub's. languages: those that it was taught
    with. accuracy: the share of ImageNet's validation pictures that it names right without having been
    taught to (zero-shot, top 1), and published where that stands. parameters: of both towers; of weights in
    the package nobody asks. The published files hold them as float32."""

    name: str
    architecture: str
    tag: str | None
    repository: str | None
    licence: str
    dim: int
    purpose: str
    languages: str
    accuracy: float | None = None
    published: str | None = None
    parameters: int | None = None


_OPEN_CLIP = "open_clip, docs/openclip_results.csv"
_SIGLIP2 = "SigLIP 2, arXiv:2502.14786, table 1"
_PE = "Perception Encoder, arXiv:2504.13181"

PRESETS = (
    Preset(
        BUILTIN,
        BUILTIN_ARCHITECTURE,
        None,
        None,
        "MIT",
        256,
        "small, inside the package: the demo, the tests, a first try",
        "English",
    ),
    Preset(
        "fast",
        "ViT-B-32-256",
        "datacomp_s34b_b86k",
        "laion/CLIP-ViT-B-32-256x256-DataComp-s34B-b86K",
        "MIT",
        512,
        "the default: quick on a CPU, good at English",
        "English",
        0.7281,
        _OPEN_CLIP,
        151_288_833,
    ),
    Preset(
        "better",
        "PE-Core-B-16",
        "meta",
        "timm/PE-Core-B-16",
        "Apache-2.0",
        1024,
        "finds more, at several times the work",
        "English",
        0.784,
        _PE,
        447_660_545,
    ),
    Preset(
        "multilingual",
        "ViT-B-16-SigLIP2-256",
        "webli",
        "timm/ViT-B-16-SigLIP2-256",
        "Apache-2.0",
        768,
        "queries in many languages; needs imgq[multilingual]",
        "many",
        0.791,
        _SIGLIP2,
        375_234_050,
    ),
    Preset(
        "best",
        "ViT-SO400M-16-SigLIP2-256",
        "webli",
        "timm/ViT-SO400M-16-SigLIP2-256",
        "Apache-2.0",
        1152,
        "finds most, in many languages; wants a GPU; needs imgq[multilingual]",
        "many",
        0.834,
        _SIGLIP2,
        1_135_670_962,
    ),
    Preset(
        "ViT-B-32",
        "ViT-B-32",
        "datacomp_xl_s13b_b90k",
        "laion/CLIP-ViT-B-32-DataComp.XL-s13B-b90K",
        "MIT",
        512,
        "like fast, on pictures of 224 pixels",
        "English",
        0.6917,
        _OPEN_CLIP,
        151_277_313,
    ),
    Preset(
        "ViT-B-16",
        "ViT-B-16",
        "datacomp_xl_s13b_b90k",
        "laion/CLIP-ViT-B-16-DataComp.XL-s13B-b90K",
        "MIT",
        512,
        "between fast and better",
        "English",
        0.7349,
        _OPEN_CLIP,
        149_620_737,
    ),
    Preset(
        "ViT-L-14",
        "ViT-L-14",
        "datacomp_xl_s13b_b90k",
        "laion/CLIP-ViT-L-14-DataComp.XL-s13B-b90K",
        "MIT",
        768,
        "large, English; wants a GPU",
        "English",
        0.7921,
        _OPEN_CLIP,
        427_616_513,
    ),
    Preset(
        "ViT-SO400M-14-SigLIP2",
        "ViT-SO400M-14-SigLIP2",
        "webli",
        "timm/ViT-SO400M-14-SigLIP2",
        "Apache-2.0",
        1152,
        "like best, on pictures of 224 pixels; needs imgq[multilingual]",
        "many",
        0.832,
        _SIGLIP2,
        1_135_463_602,
    ),
)
BY_NAME = {preset.name: preset for preset in PRESETS}
