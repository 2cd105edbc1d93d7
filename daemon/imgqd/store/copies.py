"""Which pictures may be the same: by their files, by their pixels, and their tiny copies."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from imgqd.records import IMPRINT_BYTES
from imgqd.store.part import Part
from imgqd.store.records import Imprints

if TYPE_CHECKING:
    from collections.abc import Container

COPIED = """
SELECT picture FROM files WHERE picture IS NOT NULL
GROUP BY picture HAVING count(*) > 1 ORDER BY picture
"""
SAME_PIXELS = """
SELECT json_group_array(id) FROM pictures WHERE pixels IS NOT NULL AND orphaned_at IS NULL
GROUP BY pixels HAVING count(*) > 1 ORDER BY min(id)
"""
# the first of equals comes first; what shows the same bytes has the same size
IMPRINTS = """
SELECT id, width, height, pixels, imprint FROM pictures CROSS JOIN
    (SELECT picture, size, min(mtime_ns) AS oldest FROM files WHERE picture IS NOT NULL
     GROUP BY picture) AS shown ON picture = id
WHERE imprint IS NOT NULL AND length(imprint) = ?
ORDER BY width * height DESC, size DESC, oldest, id
"""


class Copies(Part):
    def copied(self) -> list[int]:
        """The pictures that several files show, offline ones too."""
        with self._database.read() as connection:
            return [id for (id,) in connection.execute(COPIED)]

    def same_pixels(self) -> list[list[int]]:
        """The pictures that are equal to the pixel, in other bytes."""
        with self._database.read() as connection:
            return [json.loads(ids) for (ids,) in connection.execute(SAME_PIXELS)]

    def imprints(self, pictures: Container[int]) -> Imprints:
        """The tiny copies of those pictures, of such with equal pixels but one: most pixels first, then
        most bytes, then the oldest."""
        ids, sizes, equal = list[int](), list[tuple[int, int]](), set[bytes]()
        values = bytearray()
        with self._database.read() as connection:
            for id, width, height, pixels, imprint in connection.execute(
                IMPRINTS, (IMPRINT_BYTES,)
            ):
                if id in pictures and pixels not in equal:
                    ids.append(id)
                    sizes.append((width, height))
                    values += imprint
                    if pixels is not None:
                        equal.add(pixels)
        found = np.frombuffer(values, np.uint8).reshape(-1, IMPRINT_BYTES)
        shape = np.array(sizes, np.int64).reshape(-1, 2)
        return Imprints(np.array(ids, np.int64), found, shape)
