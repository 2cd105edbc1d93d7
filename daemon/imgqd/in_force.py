"""The settings of a daemon that runs: read again when it is told to, kept where others cannot be used."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, BinaryIO

from imgq.errors import Failure, ModelMissing, Refused, SettingsError
from imgqd import config, parts, settings_file
from imgqd.config import Settings

if TYPE_CHECKING:
    from imgqd.daemon import Daemon, Life

log = logging.getLogger(__name__)


@dataclass(slots=True)
class InForce:
    """trouble: why those in the file are not in force, where that is so. unwritten: why the model that was
    chosen is not in the file."""

    settings: Settings
    trouble: Failure | None = None
    unwritten: Failure | None = None


def at_start(path: str, handed: int | None) -> InForce:
    """Those of the file; where it cannot be used by now and this process starts anew, those with which it
    was to. handed: the descriptor that has them. Raises SettingsError."""
    try:
        return InForce(config.load(path))
    except SettingsError as error:
        if handed is None:
            raise
        log.error("the settings cannot be used, those before stay in force: %s", error.message)
        with open(handed, encoding="utf-8", closefd=False) as file:
            return InForce(config.parsed(path, file.read()), error)
    finally:
        if handed is not None:
            os.close(handed)


def handed_over(settings: Settings) -> int | None:
    """A descriptor for `at_start`, of a file without a name; None where the disk has no room for one."""
    try:
        with _nameless() as file:
            file.write(settings_file.shown(settings).encode())
            file.seek(0)
            return os.dup(file.fileno())
    except OSError as error:
        log.warning("the settings cannot be handed over: %s", error.strerror)
        return None


def _nameless() -> BinaryIO:
    """In memory, where the system has that."""
    if sys.platform == "linux":
        return open(os.memfd_create("imgqd-settings"), "w+b")
    return tempfile.TemporaryFile()


def others(daemon: Daemon) -> Settings | None:
    """What the file says by now, where that is other than what is in force and can be used; another model
    alone needs no start."""
    life, now = daemon.life, daemon.life.in_force
    try:
        settings = config.load(life.places.settings)
        is_other = settings.model != daemon.changing.wanted
        if is_other:
            _require_weights(life, settings.model)
            daemon.changing.use(settings.model)
            log.info("the settings were read again: the model is to be %s", settings.model)
    except Failure as failure:
        if life.orders.is_pressing:
            # They may be others by now: whoever heeds the next order reads them again.
            return None
        now.trouble = failure
        log.error("the settings cannot be used, those in force stay so: %s", failure.message)
        return None
    now.trouble = now.unwritten = None
    if replace(settings, model=now.settings.model) != now.settings:
        return settings
    if not is_other:
        log.info("the settings were read again, and are as they were")
    return None


def _require_weights(life: Life, model: str) -> None:
    """Raises ModelMissing where they cannot be fetched either; who tried has told the log why."""
    try:
        parts.card_of(life.places, model, lambda: life.orders.is_pressing)
    except Refused as refusal:
        why = refusal.message or f"the weights of {model} are not on disk, and cannot be fetched"
        raise ModelMissing(why, f"`imgq model pull {model}` tells why") from None
