"""The filter as the kernel would run it, for an architecture that is not at hand, too."""

from __future__ import annotations

import errno
import os
import platform
import struct
import sys

import pytest

from imgqd.pictures import seccomp

X86_64, ARM64, I386 = 0xC000_003E, 0xC000_00B7, 0x4000_0003
ALLOW, KILL = 0x7FFF_0000, 0x8000_0000
REFUSE, UNKNOWN = 0x0005_0000 | errno.EPERM, 0x0005_0000 | errno.ENOSYS
A_THREAD, A_PROCESS = 0x3D0F00, 0x1200011
# By number: openat, execve, socket, connect, ptrace, kill, fork or its like.
FORBIDDEN = {
    "x86_64": (257, 59, 41, 42, 101, 62, 57),
    "aarch64": (56, 221, 198, 203, 117, 129, 1079),
}
ALLOWED = {"x86_64": (0, 1, 17, 47, 202, 231), "aarch64": (63, 64, 67, 212, 98, 94)}
# clone, mmap, tgkill
CONDITIONAL = {"x86_64": (56, 9, 234), "aarch64": (220, 222, 131)}
AUDIT = {"x86_64": X86_64, "aarch64": ARM64}


def run(program: bytes, architecture: int, number: int, *arguments: int) -> int:
    """What a classic BPF machine makes of a `struct seccomp_data`."""
    data = struct.pack("=IIQ6Q", number, architecture, 0, *arguments, *[0] * (6 - len(arguments)))
    at = loaded = 0
    tests = {
        0x15: lambda value: loaded == value,
        0x35: lambda value: loaded >= value,
        0x45: lambda value: bool(loaded & value),
    }
    while True:
        code, then, otherwise, value = struct.unpack_from("=HBBI", program, 8 * at)
        at += 1
        if code == 0x06:
            return int(value)
        if code == 0x20:
            (loaded,) = struct.unpack_from("=I", data, value)
        else:
            at += then if tests[code](value) else otherwise


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_lets_a_decoder_decode_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, machine: str
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    program = b"".join(seccomp._filter(4711))

    def result(number: int, *arguments: int) -> int:
        return run(program, AUDIT[machine], number, *arguments)

    assert [result(number) for number in ALLOWED[machine]] == [ALLOW] * 6
    assert [result(number) for number in FORBIDDEN[machine]][:6] == [REFUSE] * 6
    assert result(FORBIDDEN[machine][6]) in (REFUSE, UNKNOWN)
    assert result(435) == result(10_000) == result(0x4000_0000) == UNKNOWN
    clone, mmap, tgkill = CONDITIONAL[machine]
    assert (result(clone, A_THREAD), result(clone, A_PROCESS)) == (ALLOW, REFUSE)
    assert (result(mmap, 0, 4096, 3), result(mmap, 0, 4096, 5)) == (ALLOW, REFUSE)
    assert (result(tgkill, 4711), result(tgkill, 4712)) == (ALLOW, REFUSE)
    assert run(program, I386, ALLOWED[machine][0]) == KILL


@pytest.mark.parametrize("strange", ["riscv64", "x86_64"])
def test_what_is_not_in_the_table_gets_no_filter(
    monkeypatch: pytest.MonkeyPatch, strange: str
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: strange)
    if strange == "x86_64":
        monkeypatch.setattr(sys, "maxsize", 2**31 - 1)  # a program of 32 bits
    with pytest.raises(OSError, match="no filter"):
        seccomp.shut()
    os.stat("/")
