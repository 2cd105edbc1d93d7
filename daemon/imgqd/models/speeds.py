"""How fast each model was seen to embed on this machine, remembered beside the models."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from imgqd import private_file

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
    """The most that was seen, as far as the disk lets us."""
    known = read(models)
    if rate <= known.get(identity, 0.0):
        return
    try:
        private_file.put(
            Path(models, NAME), json.dumps(known | {identity: round(rate, 2)}, indent=1)
        )
    except OSError as error:
        log.info("the speed of a model is not remembered: %s", error.strerror)
