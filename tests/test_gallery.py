"""The HTML gallery: what is in it, and what a hostile name can do to it, which is nothing."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest

from imgq.gallery import Picture, page
from imgq.wire import Hit, Place

HOSTILE = [
    b'/p/"><script>alert(1)</script>.jpg',
    b"/p/' onerror='alert(1)'.jpg",
    b"/p/<img src=x onerror=alert(1)>.jpg",
    b"/p/</style></script><svg onload=alert(1)>.jpg",
    b"/p/--><!--.jpg",
    b"/p/{title}{style}{0}{}.jpg",
    b"/p/&lt;b&gt;&quot;.jpg",
    b"/p/a\nb\r\x1b[31m\x00\x7f\xc2\x9b.jpg",
    "/p/photo\u202egpj.exe".encode(),
    "/p/\u2066isolate\u2028line.jpg".encode(),
    b"/p/caf\xe9\xff\xfe.jpg",
    b"/javascript:alert(1)//%2e%2e/?q#f.jpg",
    b"/p/ leading and trailing \xc2\xa0.jpg ",
    b"/top.jpg",
    "/p/\u0635\u0648\u0631\u0629 \U0001f469\u200d\U0001f680.jpg".encode(),
]


def hit(path: bytes, **changes: Any) -> Hit:
    fields: dict[str, Any] = {
        "path": path,
        "width": 4032,
        "height": 3024,
        "format": "JPEG",
        "size": 2_381_234,
        "mtime": "2025-03-01T10:11:12Z",
        "taken_at": "2025-03-01T09:58:00",
        "date_from": "exif",
        "camera": 'X"><b>',
        "gps": Place(lat=52.1, lon=4.3),
        "hash": None,
        "offline": False,
        "score": 0.3121,
    }
    return Hit(**fields | changes)


def pictures(paths: list[bytes], jpeg: bytes | None = b"\xff\xd8\xff\xd9") -> list[Picture]:
    return [Picture(hit=hit(path), rank=rank, thumbnail=jpeg) for rank, path in enumerate(paths, 1)]


class Parsed(HTMLParser):
    """Elements with their attributes, the text outside of style and script, and every comment."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.said: list[str] = []
        self.comments: list[str] = []
        self._inside = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside not in ("style", "script"):
            self.said.append(data)

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    @property
    def text(self) -> str:
        return "".join(self.said)

    @property
    def skeleton(self) -> list[tuple[str, list[str]]]:
        return [(tag, sorted(attributes)) for tag, attributes in self.elements]

    def cards(self) -> list[dict[str, str | None]]:
        return [each for _, each in self.elements if each.get("class") == "picture"]


@pytest.mark.parametrize("path", HOSTILE)
def test_a_name_adds_no_element_and_no_attribute(path: bytes) -> None:
    harmless = Parsed(page("dog", "m", pictures([b"/p/a.jpg"])))
    hostile = Parsed(page(path.decode("utf-8", "surrogateescape"), "m", pictures([path])))
    assert hostile.skeleton == harmless.skeleton
    assert not hostile.comments


@pytest.mark.parametrize("path", HOSTILE)
def test_links_lead_to_the_true_bytes(path: bytes) -> None:
    (card,) = Parsed(page("dog", "m", pictures([path]))).cards()
    for attribute, expected in (("href", path), ("data-folder", path.rpartition(b"/")[0] + b"/")):
        link = card[attribute]
        assert link
        assert link.startswith("file:///")
        assert unquote_to_bytes(link.removeprefix("file://")) == expected
        assert not set(link) & set("<>\"'&?#\n \\")


@pytest.mark.parametrize("path", HOSTILE)
def test_nothing_that_steers_is_shown_or_copied(path: bytes) -> None:
    html = page(path.decode("utf-8", "surrogateescape"), "m", pictures([path]))
    parsed = Parsed(html)
    (card,) = parsed.cards()
    said = parsed.text.replace("\n", "") + (card["data-copy"] or "")
    assert not {c for c in said if ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0}
    assert not set(said) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029")
    html.encode()  # and nothing that has no encoding


@pytest.mark.parametrize("path", HOSTILE)
def test_what_is_copied_is_the_path_or_a_shells_word_for_it(path: bytes) -> None:
    (card,) = Parsed(page("dog", "m", pictures([path]))).cards()
    copied = card["data-copy"]
    assert copied
    if not copied.startswith("$'"):
        assert copied.encode() == path
    elif b"\x00" not in path:
        command = ["bash", "-c", f"printf %s {copied}"]
        assert subprocess.run(command, capture_output=True, check=True).stdout == path


def test_names_are_shown_as_they_are_where_that_is_safe() -> None:
    text = Parsed(page("dog", "m", pictures([*HOSTILE]))).text
    assert "caf\ufffd\ufffd\ufffd.jpg" in text
    assert "photo\\u202egpj.exe" in text
    assert "a\\x0ab\\x0d\\x1b[31m" in text
    assert "\u0635\u0648\u0631\u0629 \U0001f469\u200d\U0001f680.jpg" in text
    assert "{title}{style}{0}{}.jpg" in text


def test_everything_known_is_there() -> None:
    shown = Parsed(page("a red car", "ViT-B-32", pictures([b"/home/me/a.jpg"])))
    for words in (
        "a red car",
        "1 picture · ViT-B-32",
        "0.312",
        "0.3121",
        "/home/me/",
        "12.2 megapixels",
        "JPEG, 2.4 MB",
        "2025-03-01 09:58:00",
        "2025-03-01 10:11:12 UTC",
        "52.10000, 4.30000",
    ):
        assert words in shown.text


def test_what_is_not_known_is_left_out() -> None:
    unknown = {"width": None, "height": None, "format": None, "taken_at": None, "camera": None}
    bare = hit(b"/a/b.png", gps=None, offline=True, size=999, **unknown)
    shown = Parsed(page("dog", "m", [Picture(hit=bare, rank=1, thumbnail=None)]))
    for word in ("None", "megapixels", "Taken", "Camera", "Place"):
        assert word not in shown.text
    for word in ("offline", "no preview", "unknown, 999 bytes"):
        assert word in shown.text
    assert "img" not in {tag for tag, _ in shown.elements}


def test_an_empty_answer_is_a_page_too() -> None:
    shown = Parsed(page("nothing like it", "m", []))
    assert "0 pictures" in shown.text
    assert "Nothing was found." in shown.text


def test_nothing_is_fetched() -> None:
    html = page("http", "m", pictures(HOSTILE)).replace('http-equiv="Content', "")
    assert "http:" not in html
    assert "https:" not in html
    shown = Parsed(html)
    assert not {tag for tag, _ in shown.elements} & {"iframe", "object", "embed", "base", "form"}
    sources = [each["src"] for _, each in shown.elements if "src" in each]
    assert sources
    assert all(source and source.startswith("data:image/jpeg;base64,") for source in sources)


def test_the_policy_allows_this_style_and_this_script_and_nothing_else() -> None:
    from base64 import b64encode
    from hashlib import sha256

    html = page("dog", "m", pictures(HOSTILE))
    policies = [e["content"] for tag, e in Parsed(html).elements if "http-equiv" in e]
    (policy,) = policies
    assert policy
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    assert rules["base-uri"] == rules["form-action"] == "'none'"
    for tag in ("style", "script"):
        code = html.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]
        digest = b64encode(sha256(code.encode()).digest()).decode()
        assert rules[f"{tag}-src"] == f"'sha256-{digest}'"
    counted = Counter(tag for tag, _ in Parsed(html).elements)
    assert (counted["style"], counted["script"]) == (1, 1)


def test_it_loads_nothing_heavy() -> None:
    code = "import sys, imgq.gallery; imgq.gallery.page('q', 'm', []); print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {name.partition(".")[0] for name in loaded} & {"numpy", "PIL", "jinja2", "torch"}
