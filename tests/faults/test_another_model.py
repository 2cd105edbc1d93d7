"""An index whose vectors are of another model: a search says so until they are made anew."""

from __future__ import annotations

from collections.abc import Callable

import apsw

import oracle
from conftest import Home, until
from pictures import jpeg

PICTURES = 40


def test_fault_48_an_index_of_another_model_is_embedded_again(
    new_home: Callable[..., Home],
) -> None:
    home = new_home(slow=0.4).start()
    for number in range(PICTURES):
        jpeg(home.pictures / f"{number}.jpg", number)
    home.watch()
    home.settle()
    assert b"rebuilt" not in home.imgq("red").stderr
    assert home.stop() == 0
    database = apsw.Connection(str(home.store))
    database.execute("UPDATE models SET identity = 'another'")
    database.close()
    home.start()
    until(lambda: b"the index is being rebuilt: " in home.imgq("red").stderr, "the word of it")
    oracle.check(home, home.pictures)
    assert b"rebuilt" not in home.imgq("red").stderr
    assert home.embedded() == 2 * PICTURES
