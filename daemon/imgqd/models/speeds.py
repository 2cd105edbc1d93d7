"""How fast each model was seen to embed on this machine, remembered beside the models."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

log = logging.getLogger(__name__)

# No model's card begins with a dot.
NAME = ".speeds"


def read(models: str | Path) -> dict[str, float]:
    """Pictures a second, by the identity of a model; empty where none is known."""
    try:
        known = json.loads((Path(models) / NAME).read_bytes())
        return {str(identity): float(rate) for identity, rate in known.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def note(models: str | Path, identity: str, rate: float) -> None:
    """The most that was seen; written beside, then renamed, as far as the disk lets us."""
    known = read(models)
    if rate <= known.get(identity, 0.0):
        return
    beside = Path(models) / f"{NAME}.{os.getpid()}"
    try:
        beside.write_text(json.dumps(known | {identity: round(rate, 2)}, indent=1))
        beside.replace(Path(models) / NAME)
    except OSError as error:
        log.info("the speed of a model is not remembered: %s", error.strerror)
