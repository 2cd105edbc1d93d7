"""`imgq`: a search, unless the first word is a command; the only place that exits."""

from __future__ import annotations

import os
import sys

from imgq.errors import Failure, Refused, UsageError
from imgq.record import BadField

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

# Known without importing click and the commands, so that a search waits for neither.
COMMANDS = frozenset(
    """add check config demo doctor dupes errors export files follow info keys logs model pause reindex
    remove restart resume roots service shell start stats status stop wait""".split()  # noqa: SIM905 - as words they are read more easily
)

INTERRUPTED = 130
PIPE_CLOSED = 141
BUG = 70


def main() -> NoReturn:
    """Runs one command line and exits with its code, without the interpreter's slow good-bye."""
    code = PIPE_CLOSED
    try:
        if None in (sys.stdin, sys.stdout, sys.stderr):
            _stand_in_for_closed_streams()
        code = run(sys.argv[1:])
        sys.stderr.flush()
    finally:
        os._exit(code)


def _stand_in_for_closed_streams() -> None:
    """Where a shell has closed one (`>&-`), no socket or file may take its number. What stands in for it
    is open as long as the process."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDONLY)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 - open as long as the process
    if sys.stdout is None:
        # To write there fails, as it should.
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 - open as long as the process
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - open as long as the process


def run(words: list[str]) -> int:
    """The exit code of a command line; a failure's words go to stderr."""
    try:
        try:
            return _dispatched(words)
        finally:
            sys.stdout.flush()
    except Failure as failure:
        _say(str(failure) * bool(failure.message))
        return failure.exit_code
    except BadField as error:
        # Only what is asked is made into records here: an answer's fields fail as a BadMessage.
        _say(f"too much is asked: {error.plain or error}")
        return UsageError.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return PIPE_CLOSED
    except OSError as error:
        return _failed_by_system(error)
    except Exception:
        _report_bug()
        return BUG


def _dispatched(words: list[str]) -> int:
    if instruction := os.environ.get("_IMGQ_COMPLETE"):
        from imgq.cli.completion import answer

        sys.stdout.write(f"{answer(instruction)}\n")
        return 0
    words = _with_socket(words)
    first = words[0].partition("=")[0] if words else "--help"
    if first in ("--help", "-h", "--version", "--completion") or first in COMMANDS:
        from imgq.cli.commands import run_command

        return run_command(words)
    from imgq.cli.search import search

    return search(words[1:] if words[0] == "search" else words)


def _with_socket(words: list[str]) -> list[str]:
    """The words but `--socket ADDRESS`, which says which daemon is meant."""
    for place, word in enumerate(words[: words.index("--")] if "--" in words else words):
        name, equals, address = word.partition("=")
        if name == "--socket":
            after = place + (1 if equals else 2)
            address = address if equals else "".join(words[place + 1 : after])
            if not address:
                raise UsageError(
                    "--socket takes an address", "`imgq --socket ipc:///run/imgq/socket status`"
                )
            os.environ["IMGQ_SOCKET"] = address
            return words[:place] + words[after:]
    return words


def _failed_by_system(error: OSError) -> int:
    """A file that is not as it must be is told in a sentence."""
    if error.filename is not None:
        _say(f"cannot use {os.fsdecode(error.filename)}: {error.strerror}")
        return Refused.exit_code
    if _is_unwritable(error):
        _say(f"cannot write the answer: {error.strerror}")
    else:
        _report_bug()
    return BUG


def _is_unwritable(error: OSError) -> bool:
    """Whether a stream cannot be written, be it that its disk is full or that a shell closed it."""
    from errno import EBADF, EDQUOT, EFBIG, EIO, ENOSPC

    return error.errno in (EBADF, EDQUOT, EFBIG, EIO, ENOSPC)


def _say(sentence: str) -> None:
    """On stderr, which may be full or closed; a file's name in it steers no terminal."""
    if not sentence:
        return
    from imgq.render import words

    try:
        sys.stderr.write(f"imgq: {words(sentence)}\n")
        sys.stderr.flush()
    except OSError as error:
        if not _is_unwritable(error):
            raise


def _report_bug() -> None:
    import traceback

    traceback.print_exc()
    sys.stderr.write("imgq: this is a bug in imgq; please report it with the lines above\n")
