"""What open_clip knows of an architecture: its shape, its weights, and how it wants its pixels."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from imgq.errors import UsageError
from imgqd.models import lean
from imgqd.models.card import BUILTIN_FOLDER, Card
from imgqd.models.presets import BUILTIN_ARCHITECTURE, WEIGHTS_FILE
from imgqd.records import PixelSpec

with lean.uncompiled():
    import open_clip
    from open_clip.pretrained import _get_safe_alternatives, get_pretrained_cfg
    from open_clip.tokenizer import DEFAULT_CONTEXT_LENGTH
    from open_clip.transform import PreprocessCfg, merge_preprocess_dict

open_clip.add_model_config(BUILTIN_FOLDER / f"{BUILTIN_ARCHITECTURE}.json")


def tags(architecture: str) -> list[str]:
    """The names of the weights that were published for an architecture."""
    return list(open_clip.list_pretrained_tags_by_model(architecture))


def config(architecture: str) -> dict[str, Any]:
    """open_clip's configuration, with nothing to be fetched for the towers' start values."""
    found = open_clip.get_model_config(architecture)
    if found is None:
        raise UsageError(f"open_clip knows no architecture {architecture!r}")
    settled: dict[str, Any] = found
    settled["vision_cfg"]["timm_model_pretrained"] = False
    settled["text_cfg"]["hf_model_pretrained"] = False
    return settled


def hub_file(architecture: str, tag: str) -> tuple[str, str] | None:
    """The hub's repository and file of a tag's safetensors; None where there is none."""
    place = get_pretrained_cfg(architecture, tag).get("hf_hub", "")
    repository, name = os.path.split(place)
    if not repository:
        return None
    if not name:
        return repository, WEIGHTS_FILE
    safe = [name] if name.endswith(".safetensors") else list(_get_safe_alternatives(name))
    return (repository, safe[0]) if safe else None


def blank_card(name: str, architecture: str, tag: str | None) -> Card:
    """A model's card without its weights, tokenizer and identity. Raises UsageError."""
    model = config(architecture)
    pretrained = _pretrained(architecture, tag)
    wanted = merge_preprocess_dict(PreprocessCfg(), pretrained)
    height, width = _pair(model["vision_cfg"].get("image_size", 224))
    pixels = PixelSpec(
        width=width,
        height=height,
        resize=wanted["resize_mode"],
        interpolation=wanted["interpolation"],
        fill=wanted["fill_color"],
    )
    return Card(
        name=name,
        architecture=architecture,
        tag=tag,
        weights="",
        sha256="",
        identity="",
        dim=model["embed_dim"],
        pixels=pixels,
        mean=tuple(wanted["mean"]),
        std=tuple(wanted["std"]),
        context_length=model["text_cfg"].get("context_length", DEFAULT_CONTEXT_LENGTH),
        # Some tags were trained with QuickGELU under an architecture's name that has none;
        # open_clip warns of that and computes other vectors.
        quick_gelu=bool(model.get("quick_gelu") or pretrained.get("quick_gelu")),
        tokenizer_from=model["text_cfg"].get("hf_tokenizer_name") or None,
    )


def _pretrained(architecture: str, tag: str | None) -> Mapping[str, Any]:
    """How weights want their pixels: a tag's are known, for a file's what all tags agree on."""
    if tag is not None:
        return dict(get_pretrained_cfg(architecture, tag))
    keys = set(asdict(PreprocessCfg()))
    known = [get_pretrained_cfg(architecture, each) for each in tags(architecture)]
    agreed = [{key: each[key] for key in keys & each.keys()} for each in known]
    return agreed[0] if agreed and all(each == agreed[0] for each in agreed) else {}


def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[1])
