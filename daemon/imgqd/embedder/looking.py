"""Opens files, and has a decoder look at them: small ones together."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from imgqd.embedder.ages import is_trusted
from imgqd.embedder.disks import Disks, OpenFile, SilentDisk
from imgqd.embedder.jobs import Job
from imgqd.pictures.formats import is_sidecar_name
from imgqd.pictures.messages import Look, Unseen
from imgqd.records import Failure, Stamp, is_regular

if TYPE_CHECKING:
    from imgqd.embedder.bench import Bench


@dataclass(frozen=True, slots=True)
class Begun:
    """A job whose file is open, or why it is not. trusted: whether its stamp can belong to no other bytes.
    look: None where there is nothing to look at."""

    job: Job
    file: OpenFile | SilentDisk | OSError
    trusted: bool = False
    look: Look | Failure | None = None


def opened(disks: Disks, job: Job, files: ExitStack) -> Begun:
    """The file is closed with `files`."""
    try:
        file = files.enter_context(disks.opened(job.path, job.stamp.device))
    except (SilentDisk, OSError) as error:
        return Begun(job, error)
    return Begun(job, file, is_trusted(Stamp.of(file.at_first)))


def looked(bench: Bench, begun: Sequence[Begun]) -> Iterator[Begun]:
    """Each with what was seen of it, but for those that another decoder is to look at. Raises DecoderLost
    where all are."""
    unseen = [unseen for each in begun if (unseen := _unseen(each)) is not None]
    looks = iter(bench.look(unseen) if unseen else ())
    for each in begun:
        if _unseen(each) is None:
            yield each
        elif (look := next(looks)) is not None:
            yield replace(each, look=look)


def unseen_of(job: Job, file: OpenFile) -> Unseen:
    return Unseen(file.descriptor, os.path.basename(job.path), file.at_first.st_size)


def _unseen(begun: Begun) -> Unseen | None:
    """What there is to look at. An empty sidecar says that there are no notes."""
    if not isinstance(begun.file, OpenFile) or not is_regular(begun.file.at_first):
        return None
    has_bytes = begun.file.at_first.st_size > 0 or is_sidecar_name(begun.job.path)
    return unseen_of(begun.job, begun.file) if has_bytes else None
