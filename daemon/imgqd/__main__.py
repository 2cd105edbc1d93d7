"""`imgqd`: the daemon in the foreground, for service managers."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from typing import NoReturn

import click

from imgqd.command_line import imgqd
from imgqd.health import allocator
from imgqd.models import lean

# A stalled spin of a thread pool costs a search 8 ms: one thread each, before numpy loads.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
lean.for_texts_alone()
allocator.few_arenas()
# A query wants the interpreter back after each of torch's operations, and waits so long for it each time
# that another thread is busy: five milliseconds, unless it is told otherwise.
sys.setswitchinterval(0.0005)

BUG = 70


def main() -> NoReturn:
    """Every part has been stopped in order when this is reached: what is left is torch's own good-bye,
    which takes seconds, and once took twenty."""
    # Whatever it and its children ever make is for this user alone, from its first instant.
    os.umask(0o077)
    code = BUG
    try:
        code = run()
    except Exception:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            # The log's disk may be full.
            with contextlib.suppress(OSError):
                stream.flush()
        os._exit(code)


def run() -> int:
    """The exit code of one command line."""
    try:
        result = imgqd.main(standalone_mode=False, prog_name="imgqd")
    except click.ClickException as error:
        error.show()
        return error.exit_code
    return result if isinstance(result, int) else 0


if __name__ == "__main__":
    main()
