"""How long a person waits for `imgq "red car"`, from the start of its process to its last byte.

    python -m benchmarks.client --rounds 200 --out build/bench

In turn within each round: `python -c pass`, the client in a pipe and on a terminal, and whatever of rg,
plocate and rclip is installed, over as many files. The entry script is the one that pip writes today.
Writes client.json and client.md.
"""

from __future__ import annotations

import argparse
import json
import os
import pty
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks import a_daemon
from benchmarks.machine import machine

QUERY = "red car"
KNOWN = 1000
WARMING = 5
_SCRIPT = """#!{python}
import sys
from imgq.cli.main import main
if __name__ == "__main__":
    sys.argv[0] = sys.argv[0].removesuffix(".exe")
    sys.exit(main())
"""

Run = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Result:
    """Milliseconds; bound: times what it stands beside, which is the interpreter and the daemon."""

    contender: str
    p50: float
    p95: float
    times_python: float
    times_python_and_answer: float


def in_a_pipe(words: Sequence[str]) -> Run:
    def run() -> None:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr

    return run


def on_a_terminal(words: Sequence[str]) -> Run:
    """With a terminal at every end, read as it comes, until it hangs up."""

    def run() -> None:
        ours, theirs = pty.openpty()
        child = subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        try:
            while os.read(ours, 1 << 16):
                pass
        except OSError:
            # How a terminal ends on Linux.
            pass
        finally:
            os.close(ours)
        assert child.wait() == 0

    return run


def contenders(folder: Path) -> dict[str, Run]:
    script = folder / "imgq"
    script.write_text(_SCRIPT.format(python=sys.executable))
    script.chmod(0o755)
    python, imgq = [sys.executable, "-c", "pass"], [str(script), QUERY]
    found: dict[str, Run] = {
        "python -c pass": in_a_pipe(python),
        "python -c pass, on a terminal": on_a_terminal(python),
        "imgq, in a pipe": in_a_pipe(imgq),
        "imgq, on a terminal": on_a_terminal(imgq),
        "imgq --json": in_a_pipe([*imgq, "--json"]),
    }
    return found | {name: in_a_pipe(words) for name, words in others(folder).items()}


def others(folder: Path) -> dict[str, list[str]]:
    """What else is asked from a shell, where it is installed: for the same files, by their names."""
    pictures, names = str(folder / "pictures"), str(folder / "names.db")
    asked = {
        "rg --files": ["rg", "--files", "--glob", "*7*", pictures],
        "rclip --help": ["rclip", "--help"],
    }
    if shutil.which("plocate") and shutil.which("updatedb"):
        made = ["updatedb", "--require-visibility", "no", "-U", pictures, "-o", names]
        subprocess.run([*made, "--prunepaths", "", "--prune-bind-mounts", "no"], check=True)
        asked["plocate"] = ["plocate", "-d", names, "--limit", "20", "7"]
    return {name: words for name, words in asked.items() if shutil.which(words[0])}


def as_in_a_shell() -> None:
    """Without what the one who measures has set for Python alone."""
    for name in [name for name in os.environ if name.startswith("PYTHON") and name != "PYTHONPATH"]:
        del os.environ[name]


def measured(rounds: int) -> tuple[list[Result], float]:
    """Each contender, and the median of the daemon's own milliseconds."""
    with a_daemon.daemon() as folder:
        a_daemon.make(folder / "pictures" / "known", KNOWN, 64, 64)
        a_daemon.settle()
        runs = contenders(folder)
        taken: dict[str, list[float]] = {name: [] for name in runs}
        answers: list[float] = []
        for turn in range(rounds + WARMING):
            own = a_daemon.ask(QUERY).took_ms
            spent = {name: _timed(run) for name, run in runs.items()}
            if turn >= WARMING:
                answers.append(own)
                for name, milliseconds in spent.items():
                    taken[name].append(milliseconds)
    return _results(taken, float(np.median(answers)))


def _timed(run: Run) -> float:
    began = time.perf_counter()
    run()
    return (time.perf_counter() - began) * 1e3


def _results(taken: dict[str, list[float]], answer: float) -> tuple[list[Result], float]:
    results = []
    for name, times in taken.items():
        on = "python -c pass, on a terminal" if "terminal" in name else "python -c pass"
        python, median = float(np.median(taken[on])), float(np.median(times))
        p95 = float(np.quantile(times, 0.95))
        results.append(Result(name, median, p95, median / python, median / (python + answer)))
    return results, answer


def table(results: list[Result]) -> str:
    lines = ["| | p50 ms | p95 ms | times python | times python and the daemon's answer |"]
    lines.append("|---|---|---|---|---|")
    for each in results:
        of_python = f"{each.times_python:.2f} | {each.times_python_and_answer:.2f}"
        lines.append(f"| {each.contender} | {each.p50:.1f} | {each.p95:.1f} | {of_python} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    as_in_a_shell()
    results, answer = measured(asked.rounds)
    print(table(results))
    print(f"the daemon's own answer took {answer:.2f} ms (median)")
    if asked.out is not None:
        asked.out.mkdir(parents=True, exist_ok=True)
        told = {
            "machine": machine(),
            "answer_ms": answer,
            "results": [asdict(each) for each in results],
        }
        (asked.out / "client.json").write_text(json.dumps(told, indent=2) + "\n")
        (asked.out / "client.md").write_text(table(results))


if __name__ == "__main__":
    main()
