"""`imgqd`: the daemon in the foreground, for service managers."""

from __future__ import annotations

import os
import sys

# A stalled spin of a thread pool costs a search 8 ms: one thread each, before numpy loads.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")


def main() -> int:
    import click

    from imgqd.app import run

    @click.command(context_settings={"help_option_names": ["-h", "--help"]})
    @click.option("--model", metavar="NAME", help="The model to embed with; remembered.")
    @click.option("--ready", type=int, metavar="FD", hidden=True)
    def imgqd(model: str | None, ready: int | None) -> int:
        """Run imgq's daemon in the foreground."""
        return run(model, ready)

    try:
        result = imgqd.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    return result if isinstance(result, int) else 0


if __name__ == "__main__":
    sys.exit(main())
