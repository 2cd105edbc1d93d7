"""Which engine is the fastest for a tower on this machine, remembered beside the models. No torch."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from imgqd import machine, private_file

VERSION = 1
# A measurement that did not end (its daemon was killed, or memory did not do) is begun again ever more
# seldom, after so many seconds; until then there is work to be done.
PAUSES_S = (600.0, 3600.0, 86400.0)


@dataclass(frozen=True, slots=True)
class Choice:
    """engine: torch or onnxruntime. batch: pictures in two passes. trouble: why a faster engine may have
    been passed over, for a person; None where none was."""

    engine: str
    precision: str
    batch: int
    trouble: str | None = None


@dataclass(frozen=True, slots=True)
class Remembered:
    """attempts: measurements begun without one that ended; begun: when the last of them was, in seconds
    since the epoch. graph: the SHA-256 of the graph that is kept for onnxruntime, empty where none is."""

    choice: Choice | None
    attempts: int
    graph: str
    begun: float = 0.0

    @property
    def is_due(self) -> bool:
        """Whether a measurement may begin."""
        if not self.attempts:
            return True
        pause = PAUSES_S[min(self.attempts, len(PAUSES_S)) - 1]
        # A clock that was set back ends the pause as well.
        return not 0 <= time.time() - self.begun < pause


class Choices:
    """A tower's place in the folder of engines: what was chosen, and onnxruntime's graph of it.

    A file of another machine, of other versions of the libraries or of other settings counts as none.
    """

    def __init__(self, folder: str, tower: str, settings: Sequence[Any]) -> None:
        """tower: what its files are called; settings: what else a choice holds for, in JSON's types."""
        self._folder = Path(folder)
        self._key = [*settings, *machine.described()]
        self.graph = self._folder / f"{tower}.onnx"
        self._file = self._folder / f"{tower}.json"

    def remembered(self) -> Remembered:
        try:
            content = json.loads(self._file.read_bytes())
            if content["version"] != VERSION or content["key"] != self._key:
                raise ValueError
            choice = content["choice"] and Choice(**content["choice"])
            found = Remembered(
                choice,
                int(content["attempts"]),
                str(content["graph"]),
                float(content.get("begun", 0.0)),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return Remembered(None, 0, "")
        return found if self._is_whole(found) else replace(found, choice=None, graph="")

    def begin(self, attempts: int) -> None:
        """A measurement begins, after so many that did not end. Raises OSError."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.graph.unlink(missing_ok=True)
        self._write(Remembered(None, attempts + 1, "", time.time()))

    def keep(self, choice: Choice) -> None:
        """Raises OSError."""
        if choice.engine == "torch":
            self.graph.unlink(missing_ok=True)
        self._write(Remembered(choice, 0, self._digest() if choice.engine != "torch" else ""))

    def _is_whole(self, found: Remembered) -> bool:
        if found.choice is None or found.choice.engine == "torch":
            return True
        # The weights lie in the graph: one that is not what was written gives other vectors.
        try:
            return self._digest() == found.graph
        except OSError:
            return False

    def _digest(self) -> str:
        with open(self.graph, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def _write(self, remembered: Remembered) -> None:
        content = {"version": VERSION, "key": self._key, **asdict(remembered)}
        private_file.put(self._file, json.dumps(content, indent=1))
