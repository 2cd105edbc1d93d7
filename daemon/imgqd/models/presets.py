"""The models that have a name of their own in imgq, and where open_clip finds their weights."""

from __future__ import annotations

from dataclasses import dataclass

BUILTIN = "builtin"
BUILTIN_ARCHITECTURE = "imgq-builtin"
# Of its weights. Who trains it anew writes that down here.
BUILTIN_SHA256 = "c3c66f53b6a81712cf4f7ee8ccdd9835126250d0f2e75b15962e826881b86d65"
WEIGHTS_FILE = "open_clip_model.safetensors"


@dataclass(frozen=True, slots=True)
class Preset:
    """`architecture` and `tag` are open_clip's, `repository` the hub's."""

    name: str
    architecture: str
    tag: str | None
    repository: str | None
    licence: str
    dim: int
    purpose: str


PRESETS = (
    Preset(
        BUILTIN,
        BUILTIN_ARCHITECTURE,
        None,
        None,
        "MIT",
        256,
        "small, inside the package: the demo, the tests, a first try",
    ),
    Preset(
        "fast",
        "ViT-B-32-256",
        "datacomp_s34b_b86k",
        "laion/CLIP-ViT-B-32-256x256-DataComp-s34B-b86K",
        "MIT",
        512,
        "the default: quick on a CPU, good at English",
    ),
    Preset(
        "better",
        "PE-Core-B-16",
        "meta",
        "timm/PE-Core-B-16",
        "Apache-2.0",
        1024,
        "finds more, at several times the work",
    ),
    Preset(
        "multilingual",
        "ViT-B-16-SigLIP2-256",
        "webli",
        "timm/ViT-B-16-SigLIP2-256",
        "Apache-2.0",
        768,
        "queries in many languages; needs imgq[multilingual]",
    ),
    Preset(
        "best",
        "ViT-SO400M-16-SigLIP2-256",
        "webli",
        "timm/ViT-SO400M-16-SigLIP2-256",
        "Apache-2.0",
        1152,
        "finds most, in many languages; wants a GPU; needs imgq[multilingual]",
    ),
    Preset(
        "ViT-B-32",
        "ViT-B-32",
        "datacomp_xl_s13b_b90k",
        "laion/CLIP-ViT-B-32-DataComp.XL-s13B-b90K",
        "MIT",
        512,
        "like fast, on pictures of 224 pixels",
    ),
    Preset(
        "ViT-B-16",
        "ViT-B-16",
        "datacomp_xl_s13b_b90k",
        "laion/CLIP-ViT-B-16-DataComp.XL-s13B-b90K",
        "MIT",
        512,
        "between fast and better",
    ),
    Preset(
        "ViT-L-14",
        "ViT-L-14",
        "datacomp_xl_s13b_b90k",
        "laion/CLIP-ViT-L-14-DataComp.XL-s13B-b90K",
        "MIT",
        768,
        "large, English; wants a GPU",
    ),
    Preset(
        "ViT-SO400M-14-SigLIP2",
        "ViT-SO400M-14-SigLIP2",
        "webli",
        "timm/ViT-SO400M-14-SigLIP2",
        "Apache-2.0",
        1152,
        "like best, on pictures of 224 pixels; needs imgq[multilingual]",
    ),
)
BY_NAME = {preset.name: preset for preset in PRESETS}
