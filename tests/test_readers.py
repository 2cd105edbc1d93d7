"""The connections that read: few of them, whoever asks, and none of a file that is gone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import apsw
import pytest

from imgqd.store.database.readers import MOST_IDLE, Readers

Opened = list[apsw.Connection]


@pytest.fixture
def opened() -> Opened:
    return []


@pytest.fixture
def readers(tmp_path: Path, opened: Opened) -> Iterator[Readers]:
    def another() -> apsw.Connection:
        opened.append(apsw.Connection(str(tmp_path / "file.db")))
        return opened[-1]

    made = Readers(another)
    yield made
    made.close()


def one_after_the_other(readers: Readers, threads: int) -> None:
    def read() -> None:
        with readers.one() as connection:
            connection.execute("SELECT 1").fetchall()

    for _ in range(threads):
        thread = threading.Thread(target=read)
        thread.start()
        thread.join()


def at_once(readers: Readers, threads: int) -> set[int]:
    """So many read at the same moment; the connections that they had."""
    barrier = threading.Barrier(threads)

    def read(_: int) -> int:
        with readers.one() as connection:
            barrier.wait(60)
            connection.execute("SELECT 1").fetchall()
            barrier.wait(60)
            return id(connection)

    with ThreadPoolExecutor(threads) as pool:
        return set(pool.map(read, range(threads)))


def is_open(connection: apsw.Connection) -> bool:
    try:
        connection.execute("SELECT 1").fetchall()
    except apsw.ConnectionClosedError:
        return False
    return True


def test_what_stays_is_open_from_the_first(readers: Readers, opened: Opened) -> None:
    one_after_the_other(readers, 12)
    assert len(opened) == MOST_IDLE
    at_once(readers, MOST_IDLE)
    assert len(opened) == MOST_IDLE


def test_threads_that_read_by_turns_share_one(readers: Readers) -> None:
    assert len({next(iter(at_once(readers, 1))) for _ in range(12)}) == 1


def test_threads_that_read_at_once_have_one_each_and_few_stay(
    readers: Readers, opened: Opened
) -> None:
    assert len(at_once(readers, 3 * MOST_IDLE)) == 3 * MOST_IDLE
    assert sum(map(is_open, opened)) == MOST_IDLE
    one_after_the_other(readers, 3)
    assert len(opened) == 3 * MOST_IDLE


def test_who_finds_none_waits_for_one_that_is_left(
    readers: Readers, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imgqd.store.database.readers.A_MOMENT_S", 60.0)
    done, waits, wait_for = threading.Event(), threading.Event(), threading.Condition.wait_for

    def told(self: threading.Condition, *words: Any) -> Any:
        waits.set()
        return wait_for(self, *words)

    monkeypatch.setattr(threading.Condition, "wait_for", told)
    with ThreadPoolExecutor(MOST_IDLE + 1) as pool:
        reading = [threading.Event() for _ in range(MOST_IDLE)]

        def read(begun: threading.Event) -> None:
            with readers.one():
                begun.set()
                done.wait(60)

        taken = [pool.submit(read, begun) for begun in reading]
        assert all(begun.wait(60) for begun in reading)
        late = pool.submit(one_after_the_other, readers, 1)
        waited = waits.wait(20)
        done.set()
        for each in [*taken, late]:
            each.result(60)
    assert waited
    assert len(opened) == MOST_IDLE


def test_those_that_stay_forget_what_they_have_read(readers: Readers, opened: Opened) -> None:
    with readers.one() as connection:
        connection.execute("CREATE TABLE texts(text)")
        connection.executemany("INSERT INTO texts VALUES (?)", [("words" * 200,)] * 500)
    held = cached(opened)
    readers.free_memory()
    assert cached(opened) < held / 10


def cached(opened: Opened) -> int:
    """Bytes of pages that they hold."""
    return sum(each.status(apsw.SQLITE_DBSTATUS_CACHE_USED)[0] for each in opened)


def test_a_thread_that_reads_amid_reading_has_the_same(readers: Readers) -> None:
    with readers.one() as outer, readers.one() as inner:
        assert inner is outer
    with readers.one() as again:
        assert again is outer


def test_what_another_thread_ends_is_over(readers: Readers) -> None:
    """As a generator that was left amid reading, and is collected elsewhere."""
    left = readers.one()
    first = left.__enter__()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(left.__exit__, None, None, None).result()
        with readers.one() as mine:
            assert mine is first
            other = pool.submit(lambda: readers.one().__enter__()).result()
            assert other is not mine


def test_what_is_left_amid_its_rows_holds_up_nobody(
    readers: Readers, tmp_path: Path, opened: Opened
) -> None:
    """As the rows of a generator that was closed, which are let go a moment after its connection; where
    another thread was at that then, the log could never be emptied again."""
    writer = apsw.Connection(str(tmp_path / "file.db"))
    writer.pragma("journal_mode", "wal")
    writer.execute("CREATE TABLE numbers(n)")
    writer.executemany("INSERT INTO numbers VALUES (?)", [(n,) for n in range(100)])

    def numbers() -> Iterator[apsw.Cursor]:
        with readers.one() as connection, connection:
            found = connection.execute("SELECT n FROM numbers")
            next(found)
            yield found

    generator = numbers()
    rows = next(generator)
    generator.close()
    assert sum(map(is_open, opened)) == MOST_IDLE - 1
    with readers.one():
        assert sum(map(is_open, opened)) == MOST_IDLE
    writer.execute("DELETE FROM numbers")
    assert writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE) == (0, 0)
    with pytest.raises(apsw.Error):
        next(rows)


@pytest.mark.parametrize("fails", [False, True])
def test_what_was_closed_is_read_by_nobody(
    readers: Readers, opened: Opened, fails: bool, tmp_path: Path
) -> None:
    """Not even by who was reading then; and it is closed where that thread has failed, too."""
    closed_amid: Callable[[], None] = readers.close
    try:
        with readers.one() as before:
            thread = threading.Thread(target=closed_amid)
            thread.start()
            thread.join()
            with readers.one() as after:
                assert after is not before
                assert is_open(after)
            if fails:
                raise OSError("amid reading")
    except OSError:
        assert fails
    assert not is_open(before)
    with readers.one() as later:
        assert later is after
    assert sum(map(is_open, opened)) == MOST_IDLE
