"""The verdict on one thing that was looked at."""

from __future__ import annotations

from imgq.record import Record, choice, string


class Verdict(Record):
    """subject: what was looked at; state: ok, note (nothing is wrong, it may be of interest) or wrong;
    found: in a sentence; remedy: what to do."""

    subject: str = string()
    state: str = choice("ok", "note", "wrong")
    found: str = string(most=65536)
    remedy: str = string(default="")


def ok(subject: str, found: str) -> Verdict:
    return Verdict(subject=subject, state="ok", found=found)


def note(subject: str, found: str, remedy: str = "") -> Verdict:
    return Verdict(subject=subject, state="note", found=found, remedy=remedy)


def wrong(subject: str, found: str, remedy: str) -> Verdict:
    return Verdict(subject=subject, state="wrong", found=found, remedy=remedy)
