"""Which files and folders below a root are left out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

import pathspec

from imgq.errors import SettingsError
from imgqd.pictures.formats import raws_beside_jpegs

# What network storage, desktops and catalogs keep beside pictures and nobody looks for.
_NAMES = frozenset(
    {
        b"@eaDir",
        b"#snapshot",
        b"#recycle",
        b"@Recycle",
        b".@__thumb",
        b"$RECYCLE.BIN",
        b"lost+found",
        b"System Volume Information",
        b"node_modules",
    }
)
_SUFFIXES = (b".lrdata",)

# Folders of derivatives, by the suffix of the folder that they lie directly in.
_DERIVATIVES: dict[bytes, frozenset[bytes]] = {
    b".photoslibrary": frozenset(
        {b"resources", b"private", b"database", b"scopes", b"internal", b"Thumbnails", b"Previews"}
    ),
    b".cocatalog": frozenset({b"Cache"}),
    b"CaptureOne": frozenset({b"Cache"}),
}


class Rules:
    """The rules of one daemon: the defaults, `exclude`, its own folders, and whether a camera's raw file
    counts beside its JPEG.

    They count below a root only: a root itself may be hidden.
    """

    def __init__(
        self, exclude: Sequence[str] = (), own: Iterable[str] = (), raw_beside_jpeg: bool = True
    ) -> None:
        try:
            self._patterns = pathspec.GitIgnoreSpec.from_lines(exclude) if exclude else None
        except ValueError as error:
            raise SettingsError(f"exclude has a pattern that cannot be read: {error}") from None
        self._raw_beside_jpeg = raw_beside_jpeg
        self._own = frozenset(os.fsencode(folder) for folder in own)

    def leaves_out(self, root: bytes, folder: bytes, name: bytes, is_folder: bool) -> bool:
        """Whether the entry `name` of `folder`, itself not left out, is."""
        if name.startswith(b".") or name in _NAMES or name.endswith(_SUFFIXES):
            return True
        if is_folder and (_is_derivative(folder, name) or self._is_own(folder, name)):
            return True
        return self._patterns is not None and self._matches(root, folder, name, is_folder)

    @property
    def looks_at_files(self) -> bool:
        """Whether a file that is `counted` may be left out all the same; a folder may always be."""
        return self._patterns is not None

    def counted(self, names: Sequence[bytes]) -> Sequence[bytes]:
        """Of all the names in a folder, in their order, those that are not left out whatever they are of,
        and do not stand for another of them."""
        left_out = _NAMES if self._raw_beside_jpeg else _NAMES | raws_beside_jpegs(names)
        return [
            name
            for name in names
            if name not in left_out and not (name.startswith(b".") or name.endswith(_SUFFIXES))
        ]

    def reaches(self, root: bytes, folder: bytes) -> bool:
        """Whether no rule leaves out the folder or one above it, below the root."""
        above = root
        for name in folder[len(root) :].split(b"/"):
            if name and self.leaves_out(root, above, name, True):
                return False
            above = os.path.join(above, name)
        return not self._is_own(*os.path.split(folder))

    def _is_own(self, folder: bytes, name: bytes) -> bool:
        return os.path.join(folder, name) in self._own

    def _matches(self, root: bytes, folder: bytes, name: bytes, is_folder: bool) -> bool:
        assert self._patterns is not None
        path = os.fsdecode(os.path.join(folder, name)[len(root) :]).lstrip("/")
        return self._patterns.match_file(f"{path}/" if is_folder else path)


def _is_derivative(folder: bytes, name: bytes) -> bool:
    return any(folder.endswith(suffix) and name in names for suffix, names in _DERIVATIVES.items())
