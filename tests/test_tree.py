"""Paths by folder, against a set that is searched from end to end."""

from __future__ import annotations

import random

from imgqd.library.tree import Tree


def is_under(path: bytes, folder: bytes) -> bool:
    return path == folder or path.startswith(folder.rstrip(b"/") + b"/")


def test_a_tree_holds_what_a_set_would() -> None:
    chance = random.Random(1)
    tree, paths = Tree(), set[bytes]()
    for _ in range(3000):
        path = b"/" + b"/".join(chance.choices([b"a", b"b", b"ab"], k=chance.randint(0, 4)))
        if chance.random() < 0.5:
            tree.add(path)
            paths.add(path)
        else:
            tree.remove(path)
            paths.discard(path)
        folder = chance.choice([b"/", b"/a", b"/a/b", path])
        found = [*tree.under(folder)]
        assert len(found) == len({*found})
        assert {*found} == {each for each in paths if is_under(each, folder)}


def test_what_is_removed_leaves_nothing_behind() -> None:
    tree = Tree()
    tree.add(b"/a/b/c")
    tree.add(b"/a/b")
    tree.remove(b"/a")
    tree.remove(b"/a/b/c")
    assert [*tree.under(b"/")] == [b"/a/b"]
    tree.remove(b"/a/b")
    assert not tree._below
