"""What is due when, against a plain table of times."""

from __future__ import annotations

import math
import random

from imgqd.library.schedule import Schedule


def test_a_schedule_gives_what_a_table_would() -> None:
    chance = random.Random(1)
    schedule, table = Schedule(), dict[bytes, float]()
    for now in range(2000):
        for _ in range(chance.randint(0, 3)):
            folder, due = b"/%d" % chance.randint(0, 20), now + chance.randint(1, 50)
            schedule.put(folder, due)
            table[folder] = min(due, table.get(folder, due))
        assert schedule.next <= min(table.values(), default=math.inf)
        due = {folder for folder, at in table.items() if at <= now}
        assert schedule.take(now) == due
        for folder in due:
            del table[folder]
        assert len(schedule) == len(table)
    assert schedule.take(math.inf) == table.keys()
    assert schedule.next == math.inf
    assert len(schedule) == 0


def test_a_folder_put_down_again_and_again_takes_no_room() -> None:
    schedule = Schedule()
    for due in range(1000):
        schedule.put(b"/a", float(due))
    assert len(schedule._heap) == 1
