"""The embedder's process: reads pixels out of the decoders' shared memory, answers with vectors.

The daemon asks and is answered once for each message, in order (all are maps, "do" names them):

    configure {…}                    → ready {device, precision, batch, engine, trouble}
    attach {key, slots} + descriptor → attached
    detach {key}                     → detached
    embed {slots: [[key, slot], …]}  → vectors (float32, little-endian, n x dim), bad [index, …],
                                       batch
    anything that cannot be done     → failed (the reason)

Numpy alone is needed here: the tower is handed in, so that a fake one speaks the same protocol.
"""

from __future__ import annotations

import mmap
import os
from dataclasses import asdict
from typing import Any

import numpy as np

from imgqd.channel import Channel, ChannelClosed
from imgqd.embedder.tower import (
    CannotLoad,
    Configuration,
    OpenTower,
    OutOfMemory,
    Ready,
    Tower,
)
from imgqd.manners import priority
from imgqd.records import PixelSpec

Answer = dict[str, Any]
# A vector this far from unit norm was not normalized: float32 is good to 1e-6.
_NORM_TOLERANCE = 1e-3


def serve(channel: Channel, open_tower: OpenTower) -> None:
    """Answers the daemon until it closes the channel."""
    try:
        worker = _configured(channel, open_tower)
        while worker is not None:
            message, descriptors = channel.receive()
            channel.send(worker.answer(message, descriptors))
    except ChannelClosed:
        return


def _configured(channel: Channel, open_tower: OpenTower) -> Worker | None:
    message, _ = channel.receive()
    configuration = Configuration.from_map(message["configure"])
    priority.lower(configuration.nice)
    try:
        tower = open_tower(configuration)
    except CannotLoad as error:
        channel.send({"failed": str(error)})
        return None
    worker = Worker(tower, configuration.card.pixels, configuration.batch or tower.batch)
    ready = Ready(
        device=tower.device,
        precision=tower.precision,
        batch=worker.batch,
        engine=tower.engine,
        trouble=tower.trouble,
    )
    channel.send({"ready": asdict(ready)})
    return worker


class Worker:
    """Answers one message after the other. batch: the most pictures a forward pass, now."""

    def __init__(self, tower: Tower, pixels: PixelSpec, batch: int) -> None:
        self.batch = batch
        self._tower = tower
        self._pixels = pixels
        self._slabs: dict[int, np.ndarray] = {}

    def answer(self, message: dict[str, Any], descriptors: list[int]) -> Answer:
        try:
            match message.get("do"):
                case "attach":
                    return self._attach(message["key"], message["slots"], descriptors)
                case "detach":
                    self._slabs.pop(message["key"], None)
                    return {"detached": message["key"]}
                case "embed":
                    return self._embed(message["slots"])
                case other:
                    return {"failed": f"{other!r} is not a thing to do"}
        except OutOfMemory:
            return {"failed": "out of memory with one picture at a time"}
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _attach(self, key: int, slots: int, descriptors: list[int]) -> Answer:
        length = slots * self._pixels.nbytes
        # Reading beyond a file's end would end the process.
        if len(descriptors) != 1 or os.fstat(descriptors[0]).st_size < length:
            return {"failed": f"the shared memory of decoder {key} is not {slots} slots long"}
        memory = mmap.mmap(descriptors[0], length, mmap.MAP_SHARED, mmap.PROT_READ)
        shape = (slots, self._pixels.height, self._pixels.width, 3)
        self._slabs[key] = np.frombuffer(memory, np.uint8).reshape(shape)
        return {"attached": key}

    def _embed(self, slots: list[list[int]]) -> Answer:
        for key, slot in slots:
            if key not in self._slabs or not 0 <= slot < len(self._slabs[key]):
                return {"failed": f"there is no slot {slot} of decoder {key}"}
        vectors = np.zeros((len(slots), self._tower.dim), np.float32)
        bad = set(range(len(slots)))
        done = 0
        while done < len(slots):
            part = slots[done : done + self.batch]
            found = self._forward(part)
            if found is None:
                continue
            for index in _sound(found, (len(part), self._tower.dim)):
                vectors[done + index] = found[index]
                bad.discard(done + index)
            done += len(part)
        data = vectors.astype("<f4").tobytes()
        return {"vectors": data, "bad": sorted(bad), "batch": self.batch}

    def _forward(self, part: list[list[int]]) -> np.ndarray | None:
        """The vectors of a batch; None where it has to be a smaller one from now on."""
        pixels = np.stack([self._slabs[key][slot] for key, slot in part])
        try:
            return self._tower.embed(pixels)
        except OutOfMemory:
            if len(part) == 1:
                raise
            self.batch = len(part) // 2
            return None


def _sound(found: np.ndarray, shape: tuple[int, int]) -> list[int]:
    """Which of the vectors are finite, of unit norm and of the right length."""
    if found.shape != shape:
        return []
    with np.errstate(all="ignore"):
        norms = np.linalg.norm(found, axis=1)
        sound = np.isfinite(found).all(axis=1) & (np.abs(norms - 1) < _NORM_TOLERANCE)
    return [int(index) for index in np.flatnonzero(sound)]
