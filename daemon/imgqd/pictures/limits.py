"""How much one picture may cost."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What a decoder may spend on one picture.

    max_megapixels: above, a picture is refused; JPEGs, which are scaled while they are decoded,
    have max_megapixels_jpeg. max_bytes: larger files are not even read. deadline_s: seconds a
    picture may take; while it waits for a processor, of what it has of one (`pace`). memory: bytes of
    address space of a whole decoder.
    """

    max_megapixels: int = 64
    max_megapixels_jpeg: int = 200
    max_bytes: int = 2 << 30
    deadline_s: float = 10.0
    memory: int = 1 << 30

    def pixels(self, format: str) -> int:
        """The most pixels that a picture of this format may have."""
        return 1_000_000 * (self.max_megapixels_jpeg if format == "JPEG" else self.max_megapixels)

    def setting(self, format: str) -> str:
        """The setting that says so, with its value, for a sentence."""
        if format == "JPEG":
            return f"max_megapixels_jpeg ({self.max_megapixels_jpeg})"
        return f"max_megapixels ({self.max_megapixels})"
