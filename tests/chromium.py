"""A real browser for tests, without a driver: chromium's own debugging protocol over a pipe."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), "")
OPTIONS = (
    "--headless",
    "--no-sandbox",  # which root cannot have, and the pages are our own
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--remote-debugging-pipe",
)
KEYS = {
    "Enter": 13,
    "Escape": 27,
    "End": 35,
    "Home": 36,
    "ArrowLeft": 37,
    "ArrowRight": 39,
    "ArrowDown": 40,
}


class Browser:
    """A headless chromium behind its debugging pipe: JSON that ends with NUL, on 3 and 4."""

    def __init__(self, profile: Path) -> None:
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        redirected = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'
        self.process = subprocess.Popen(
            ["bash", "-c", redirected, "bash", CHROMIUM, *OPTIONS, f"--user-data-dir={profile}"],
            pass_fds=(theirs_in, theirs_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self.out, self.into = ours_out, ours_in
        self.numbers, self.buffer, self.session = itertools.count(1), b"", ""
        self.events: list[dict[str, Any]] = []
        target = self("Target.createTarget", url="about:blank")["targetId"]
        self.session = self("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self(f"{domain}.enable")

    def __call__(self, method: str, **params: Any) -> Any:
        number = next(self.numbers)
        session = {"sessionId": self.session} if self.session else {}
        message = {"id": number, "method": method, "params": params, **session}
        os.write(self.out, json.dumps(message).encode() + b"\0")
        while (answer := self.receive()).get("id") != number:
            self.events.append(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def receive(self) -> dict[str, Any]:
        while b"\0" not in self.buffer:
            data = os.read(self.into, 1 << 20)
            assert data, "chromium went away"
            self.buffer += data
        message, self.buffer = self.buffer.split(b"\0", 1)
        received: dict[str, Any] = json.loads(message)
        return received

    def open(self, path: Path) -> None:
        self.events.clear()
        self("Page.navigate", url=path.as_uri())
        while not self.seen("Page.loadEventFired"):
            self.events.append(self.receive())

    def seen(self, method: str) -> list[dict[str, Any]]:
        """The parameters of every event of that kind since the page was opened."""
        return [event["params"] for event in self.events if event.get("method") == method]

    def value(self, expression: str) -> Any:
        how = {"returnByValue": True, "awaitPromise": True}
        asked = self("Runtime.evaluate", expression=expression, **how)
        assert "exceptionDetails" not in asked, asked
        return asked["result"].get("value")

    def until(self, condition: str) -> Any:
        """The value of a JavaScript expression, once it is true."""
        return self.value(
            f"new Promise((done, fail) => {{ const look = () => {{ const value = {condition};"
            " if (value) done(value); else if (performance.now() > end) fail('never true');"
            " else requestAnimationFrame(look) }; const end = performance.now() + 10000; look() })"
        )

    def press(self, key: str) -> None:
        typed = key if len(key) == 1 else "\r" if key == "Enter" else ""
        code = KEYS.get(key, ord(key[0].upper()))
        for kind in ("keyDown", "keyUp"):
            event = {"type": kind, "key": key, "windowsVirtualKeyCode": code}
            event["text"] = typed if kind == "keyDown" else ""
            self("Input.dispatchKeyEvent", **event)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.out)
        os.close(self.into)
