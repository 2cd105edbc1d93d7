"""A systemctl and a launchctl for tests: scripts that write down how they were called.

What a manager would know, they keep as files in the folder FAKE: `enabled`, `running`, `loaded`. With a
file `absent` they answer like programs that find no manager, with `failing` no service starts, and
`looping` says how one does that starts again and again.
"""

from __future__ import annotations

from pathlib import Path

SYSTEMCTL = r"""#!/bin/sh
cd "$FAKE" || exit 99
echo "$*" >> calls
[ ! -e absent ] || { echo "Failed to connect to bus: No medium found" >&2; exit 1; }
case "$*" in
*"--user enable "*) touch enabled;;
*"--user disable --now "*) rm -f enabled running;;
*"--user stop "*) rm -f running;;
*"--user start "*)
    [ ! -e failing ] || { echo "Job for imgqd.service failed." >&2; exit 1; }
    touch running;;
*"--property=UnitFileState,ActiveState,SubState,NRestarts "*)
    [ -e enabled ] && echo UnitFileState=enabled || echo UnitFileState=disabled
    [ ! -e looping ] || { cat looping; exit; }
    [ -e running ] && echo ActiveState=active || echo ActiveState=inactive;;
*"--property=ExecMainStatus,StatusText "*) cat failing;;
esac
"""

LAUNCHCTL = r"""#!/bin/sh
cd "$FAKE" || exit 99
echo "$*" >> calls
[ ! -e absent ] || exit 125
case "$*" in
"print gui/"*/org.imgq.imgqd)
    [ -e loaded ] || exit 113
    [ ! -e running ] || printf 'x = {\n\tpid = 4711\n}\n';;
"print-disabled "*)
    [ -e disabled ] && printf '\t"org.imgq.imgqd" => disabled\n' || printf '\t"org.imgq.x" => disabled\n';;
"enable "*) rm -f disabled;;
"bootstrap "*) [ ! -e loaded ] || exit 5; touch loaded running;;
"bootout "*) rm -f loaded running;;
"kickstart "*) touch running;;
"kill SIGTERM "*) rm -f running;;
esac
"""


class Manager:
    """What the fake was asked, and what it knows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def calls(self) -> list[str]:
        """The calls that change something since the last look, without those that only ask."""
        said = (self.folder / "calls").read_text().splitlines()
        (self.folder / "calls").write_text("")
        return [each for each in said if "show" not in each and not each.startswith("print")]

    def knows(self, name: str, text: str = "") -> None:
        (self.folder / name).write_text(text)
