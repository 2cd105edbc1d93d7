"""A decoder: the child process that opens pictures, one at a time, and trusts none of them.

    python -m imgqd.pictures.decoder CHANNEL BELL SLAB PARENT

CHANNEL, BELL and SLAB are descriptors, PARENT is the daemon's process id. The messages are in `messages`.
Everything a picture needs is loaded before the first one comes.
"""

from __future__ import annotations

import io
import mmap
import os
import sys
from typing import BinaryIO, cast

from PIL import Image

from imgqd.channel import Channel, ChannelClosed
from imgqd.pictures import messages, xmp
from imgqd.pictures.decode import decode
from imgqd.pictures.limits import Limits
from imgqd.pictures.look import look
from imgqd.pictures.messages import Configuration, Message
from imgqd.pictures.opening import prepare
from imgqd.pictures.reader import DescriptorReader
from imgqd.pictures.refusal import unreadable
from imgqd.pictures.sandbox import alarm, confine, tie_to_parent
from imgqd.pictures.thumbnail import FORMS, thumbnail
from imgqd.records import Failure, PixelSpec

_BUFFER = 1 << 16
_WARMING = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "JPEG2000", "BMP", "PPM", "ICO")


def main(arguments: list[str]) -> None:
    channel_descriptor, bell, slab_descriptor, parent = map(int, arguments)
    tie_to_parent(parent)
    channel = Channel.inherited(channel_descriptor)
    message, _ = channel.receive()
    configuration = messages.read_configuration(message)
    slab = mmap.mmap(slab_descriptor, configuration.slab_bytes)
    prepare()
    _warm()
    channel.send(messages.ready(confine(configuration.limits.memory)))
    serve(channel, bell, configuration, slab)


def serve(channel: Channel, bell: int, configuration: Configuration, slab: mmap.mmap) -> None:
    """Does job after job; returns when the daemon hangs up. Rings when one is done."""
    while True:
        try:
            job, descriptors = channel.receive()
        except ChannelClosed:
            return
        for part, descriptor in zip(job["parts"], descriptors, strict=True):
            alarm(job["alarm_s"])
            answer = _done(job["job"], part, descriptor, configuration, slab)
            # When the file is known, nothing holds it here.
            os.close(descriptor)
            channel.send(answer)
        os.write(bell, b"\0")
        alarm(0)


def _done(
    job: str, part: Message, descriptor: int, configuration: Configuration, slab: mmap.mmap
) -> Message:
    limits = configuration.limits
    if job == "look":
        seen = look(descriptor, part["name"], limits)
        return messages.failed(seen) if isinstance(seen, Failure) else messages.looked(seen)
    raw = DescriptorReader(descriptor)
    file = cast(BinaryIO, io.BufferedReader(raw, _BUFFER))
    if job == "decode":
        answer = _decoded(file, configuration, slab, part["slot"])
    elif job == "sidecar":
        answer = messages.noted(xmp.notes(file.read(xmp.MOST_BYTES + 1)))
    else:
        drawn = thumbnail(file, part["longest"], limits, part["form"])
        answer = messages.failed(drawn) if isinstance(drawn, Failure) else messages.drawn(drawn)
    if raw.error is not None:
        # Some decoders take a read error for the end of the file.
        return messages.failed(unreadable(raw.error))
    return answer


def _decoded(file: BinaryIO, configuration: Configuration, slab: mmap.mmap, slot: int) -> Message:
    found = decode(file, configuration.pixels, configuration.limits)
    if isinstance(found, Failure):
        return messages.failed(found)
    nbytes = configuration.pixels.nbytes
    slab[slot * nbytes : (slot + 1) * nbytes] = found.pixels
    return messages.decoded(found.metadata)


def _warm() -> None:
    """Decodes one picture of each kind that can be made here: what is imported at the first use is
    imported now, while files may be opened."""
    for format in _WARMING:
        file = io.BytesIO()
        try:
            Image.new("RGB", (32, 24)).save(file, format)
        except (OSError, KeyError):  # a Pillow built without it; `opened` will say so
            continue
        decode(file, PixelSpec(16, 16), Limits())
        for form in FORMS:
            thumbnail(file, 8, Limits(), form)


if __name__ == "__main__":
    main(sys.argv[1:])
