"""Reading what anybody may have written: a broken note is as good as none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Found = TypeVar("Found")


def guarded(read: Callable[..., Found], *given: Any) -> Found | None:
    """What is read, or None where that raises anything."""
    try:
        return read(*given)
    except Exception:  # an unknown value then
        return None
