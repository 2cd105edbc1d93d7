"""A file is written, and a search finds it: the whole way, through real processes."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

from conftest import Home, until
from pictures import jpeg


def paths(hits: list) -> list[Path]:
    return [Path(os.fsdecode(hit.path)) for hit in hits]


def test_a_new_file_is_found(home: Home) -> None:
    jpeg(home.pictures / "red.jpg", "red")
    jpeg(home.pictures / "blue.jpg", "blue")
    home.settle()
    assert paths(home.search("red"))[0] == home.pictures / "red.jpg"
    assert paths(home.search("blue"))[0] == home.pictures / "blue.jpg"


def test_a_new_file_is_noticed_without_asking(home: Home) -> None:
    home.settle()
    jpeg(home.pictures / "red.jpg", "red")
    until(lambda: home.search("red"), "a hit")


def test_a_changed_file_changes(home: Home) -> None:
    target = home.pictures / "picture.jpg"
    jpeg(target, "red")
    home.settle()
    before = home.indexed()[target]
    jpeg(target, "blue")
    home.settle()
    assert home.indexed()[target] != before
    assert home.search("blue")[0].score > 0.99


def test_a_deleted_file_is_gone(home: Home) -> None:
    jpeg(home.pictures / "red.jpg", "red")
    jpeg(home.pictures / "blue.jpg", "blue")
    home.settle()
    (home.pictures / "red.jpg").unlink()
    home.settle()
    assert paths(home.search("red")) == [home.pictures / "blue.jpg"]


def test_a_copy_costs_no_embedding_and_both_are_found(home: Home) -> None:
    jpeg(home.pictures / "red.jpg", "red")
    home.settle()
    shutil.copy(home.pictures / "red.jpg", home.pictures / "again.jpg")
    home.settle()
    assert paths(home.search("red")) == [home.pictures / "again.jpg", home.pictures / "red.jpg"]
    assert home.embedded() == 1


def test_copies_that_arrive_together_are_embedded_once(home: Home) -> None:
    source = home.folder / "source.jpg"
    jpeg(source, "green")
    for number in range(20):
        shutil.copy(source, home.pictures / f"{number}.jpg")
    home.settle()
    assert len(home.search("green")) == 20
    assert home.embedded() == 1


def test_a_renamed_folder_keeps_its_vectors_unread(home: Home) -> None:
    (home.pictures / "old").mkdir()
    for color in ("red", "green", "blue"):
        jpeg(home.pictures / "old" / f"{color}.jpg", color)
    embedded = home.settle().counters.embedded
    (home.pictures / "old").rename(home.pictures / "new")
    status = home.settle()
    assert status.counters.embedded == embedded == 3
    assert sorted(home.indexed()) == [
        home.pictures / "new" / f"{color}.jpg" for color in ("blue", "green", "red")
    ]


def test_what_is_no_picture_is_ignored_and_what_is_broken_is_listed(home: Home) -> None:
    (home.pictures / "note.txt").write_text("a note")
    (home.pictures / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 and no more")
    os.utime(home.pictures / "broken.jpg", (1, 1))
    jpeg(home.pictures / "red.jpg", "red")
    status = home.settle()
    assert (status.index.files, status.index.failed, status.index.ignored) == (1, 1, 1)
    (error,) = home.json("errors")
    assert error["path"] == str(home.pictures / "broken.jpg")
    assert error["kind"] in ("damaged", "unsupported")
    for text in ("", "another note"):
        (home.pictures / "note.txt").write_text(text)
        assert home.settle().index.ignored == 1


def test_hidden_files_and_left_out_folders_are_not_seen(home: Home) -> None:
    for folder in (".hidden", "@eaDir", "node_modules"):
        (home.pictures / folder).mkdir()
        jpeg(home.pictures / folder / "red.jpg", "red")
    jpeg(home.pictures / ".red.jpg", "red")
    status = home.settle()
    assert (status.index.files, status.index.ignored) == (0, 0)


def test_a_file_in_a_new_deep_folder_is_found(home: Home) -> None:
    home.settle()
    deep = home.pictures / "a" / "b" / "c"
    deep.mkdir(parents=True)
    jpeg(deep / "red.jpg", "red")
    home.settle()
    assert paths(home.search("red")) == [deep / "red.jpg"]


def test_a_half_written_picture_is_neither_shown_nor_an_error(home: Home) -> None:
    whole = home.folder / "whole.jpg"
    jpeg(whole, "red", size=(900, 600))
    data = whole.read_bytes()
    with open(home.pictures / "slow.jpg", "wb") as file:
        file.write(data[: len(data) // 2])
        file.flush()
        until(lambda: not home.status().settled, "the file to be noticed")
        assert home.indexed() == {}
        assert home.json("errors") == []
        file.write(data[len(data) // 2 :])
    home.settle()
    assert paths(home.search("red")) == [home.pictures / "slow.jpg"]
    assert home.embedded() == 1


def test_a_removed_root_is_gone_and_comes_back_for_nothing(home: Home) -> None:
    jpeg(home.pictures / "red.jpg", "red")
    home.settle()
    assert home.imgq("remove", str(home.pictures)).returncode == 0
    assert home.search("red") == []
    home.watch()
    home.settle()
    assert len(home.search("red")) == 1
    assert home.embedded() == 1


def test_a_root_that_is_away_is_offline_and_back_at_once(home: Home) -> None:
    jpeg(home.pictures / "red.jpg", "red")
    home.settle()
    home.pictures.rename(home.folder / "away")
    status = home.settle()
    assert [root.state for root in status.roots] == ["offline"]
    assert (status.index.files, status.index.offline) == (0, 1)
    assert home.search("red") == []
    assert len(home.search("red", offline=True)) == 1
    (home.folder / "away").rename(home.pictures)
    home.settle()
    assert len(home.search("red")) == 1
    assert home.embedded() == 1


def test_a_folder_that_is_made_anew_is_watched_again(home: Home) -> None:
    jpeg(home.pictures / "red.jpg", "red")
    home.settle()
    home.pictures.rename(home.folder / "away")
    until(lambda: home.status().index.offline, "the root to be missed")
    (home.folder / "away").rename(home.pictures)
    until(lambda: home.status().index.files, "the root to be found again")
    jpeg(home.pictures / "blue.jpg", "blue")
    until(lambda: home.status().index.files == 2, "the new picture")
    assert home.embedded() == 2


def test_a_link_that_leads_elsewhere_is_followed(home: Home) -> None:
    for color in ("red", "blue"):
        (home.folder / color).mkdir()
        jpeg(home.folder / color / f"{color}.jpg", color)
    link = home.folder / "link"
    link.symlink_to(home.folder / "red")
    home.watch(link)
    home.settle()
    link.unlink()
    link.symlink_to(home.folder / "blue")
    until(lambda: list(home.indexed()) == [link / "blue.jpg"], "the new target")


def test_a_file_half_written_when_its_root_goes_is_waited_for_no_longer(home: Home) -> None:
    whole = home.folder / "whole.jpg"
    jpeg(whole, "red", size=(900, 600))
    home.settle()
    with open(home.pictures / "slow.jpg", "wb") as file:
        file.write(whole.read_bytes()[:1000])
        file.flush()
        until(lambda: home.status().index.pending, "the file to be noticed")
        home.imgq("remove", str(home.pictures))
    assert home.settle().index.pending == 0


def test_a_decoder_that_is_killed_costs_no_picture(new_home: Callable[..., Home]) -> None:
    home = new_home().start()
    for number in range(60):
        jpeg(home.pictures / f"{number}.jpg", number, size=(1600, 1200))
    home.watch()
    until(lambda: home.status().counters.decoded or home.embedded(), "the first picture")
    for each in home.status().processes:
        if each.role == "decoder":
            os.kill(each.pid, signal.SIGKILL)
    # Where all was done before, it takes another picture to notice.
    jpeg(home.pictures / "last.jpg", 60)
    status = home.settle()
    assert (status.index.files, status.index.failed) == (61, 0)
    assert status.counters.restarts >= 1


def test_a_start_while_another_daemon_ends_leaves_one_running(home: Home) -> None:
    home.settle()
    assert home.daemon is not None
    home.daemon.send_signal(signal.SIGTERM)
    assert home.imgq("start").returncode == 0
    home.daemon.wait()
    assert home.imgq("status").returncode == 0
    assert home.imgq("stop").returncode == 0


def test_a_folder_that_becomes_a_link_while_it_is_read_is_no_folder(
    new_home: Callable[..., Home],
) -> None:
    """By the same path the same file is found, and lies outside by now."""
    home = new_home(slow=1).start()
    home.watch()
    jpeg(home.folder / "album" / "red.jpg", "red")
    os.utime(home.folder / "album" / "red.jpg", (1e9, 1e9))
    os.rename(home.folder / "album", home.pictures / "album")
    until(lambda: home.status().index.pending, "the picture under way")
    os.rename(home.pictures / "album", home.folder / "album")
    (home.pictures / "album").symlink_to(home.folder / "album")
    status = home.settle()
    assert home.indexed() == {}
    assert (status.index.files, status.index.failed) == (0, 0)


def test_a_picture_that_is_damaged_by_now_is_found_no_longer(home: Home) -> None:
    """It may be being written, so that it is no error yet."""
    target = jpeg(home.pictures / "red.jpg", "red")
    home.settle()
    target.write_bytes(target.read_bytes()[:300])
    until(lambda: not home.indexed(), "the end of what was known")
    assert home.status().index.failed == 0
    until(lambda: home.status().index.failed, "the error")
    assert home.embedded() == 1
