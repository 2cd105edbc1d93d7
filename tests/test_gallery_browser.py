"""The HTML gallery in a real browser: keyboard, lightbox, copying, both schemes, no request."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest

from chromium import CHROMIUM, Browser
from imgq.gallery import Picture, page
from test_gallery import HOSTILE, hit


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Any:
    if not CHROMIUM:
        pytest.skip("chromium is not installed")
    started = Browser(tmp_path_factory.mktemp("profile"))
    yield started
    started.close()


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Browser:
    from PIL import Image

    shown = []
    for rank, path in enumerate(HOSTILE, 1):
        file = BytesIO()
        Image.new("RGB", (320, 200), (rank * 15, 90, 120)).save(file, "JPEG")
        shown.append(Picture(hit=hit(path), rank=rank, thumbnail=file.getvalue()))
    (tmp_path / "g.html").write_text(page('q"><script>bad=1</script>', "m", shown), "utf-8")
    browser.open(tmp_path / "g.html")
    return browser


NAME = "document.activeElement.closest('li')?.querySelector('.rank').textContent"
OPEN = "document.querySelector('dialog').open"
POSITION = "document.querySelector('.position').textContent"


def test_a_browser_shows_it_and_asks_nobody(opened: Browser) -> None:
    whole = "[...document.querySelectorAll('.picture img')].every(i => i.naturalWidth === 320)"
    assert opened.value(whole)
    assert opened.value("typeof bad") == "undefined"
    for key in ("ArrowRight", "Enter", "ArrowRight", "c", "Escape"):
        opened.press(key)
    opened.value("new Promise(requestAnimationFrame)")
    requests = opened.seen("Network.requestWillBeSent")
    schemes = [each["request"]["url"].partition(":")[0] for each in requests]
    assert set(schemes) == {"file", "data"}
    assert schemes.count("file") == 1
    assert not opened.seen("Log.entryAdded")
    assert not opened.seen("Runtime.exceptionThrown")


def test_the_keyboard_moves_enlarges_and_closes(opened: Browser) -> None:
    opened.press("ArrowRight")
    assert opened.value(NAME) == "1"
    opened.press("ArrowRight")
    assert opened.value(NAME) == "2"
    opened.press("ArrowDown")
    below = opened.value(NAME)
    assert int(below) > 2
    opened.press("Enter")
    assert opened.value(OPEN) is True
    assert opened.value(POSITION) == f"{below} of {len(HOSTILE)}"
    opened.press("ArrowLeft")
    opened.press("Escape")
    assert opened.value(OPEN) is False
    opened.until(f"{NAME} === '{int(below) - 1}'")


def test_home_and_end_need_no_beginning(opened: Browser) -> None:
    opened.press("End")
    assert opened.value(NAME) == str(len(HOSTILE))
    opened.press("Home")
    assert opened.value(NAME) == "1"


def test_the_enlarged_picture_has_its_links_and_its_name(opened: Browser) -> None:
    opened.value("document.querySelectorAll('.picture')[0].click()")
    assert opened.value("document.querySelector('h2').textContent") == "script>.jpg"
    folder = HOSTILE[0].rpartition(b"/")[0] + b"/"
    for part, expected in ((".file", HOSTILE[0]), (".folder", folder)):
        link = opened.value(f"document.querySelector('dialog {part}').href")
        assert unquote_to_bytes(link.removeprefix("file://")) == expected
    assert opened.value("document.querySelector('figure img').naturalWidth") == 320


@pytest.mark.parametrize("clipboard", ["allowed", "refused"])
@pytest.mark.parametrize("place", ["body", "dialog"])
def test_c_copies_the_path(opened: Browser, clipboard: str, place: str) -> None:
    opened("Browser.grantPermissions", permissions=["clipboardReadWrite"])
    opened.value("navigator.clipboard.writeText('')")
    if clipboard == "refused":
        opened.value("void (navigator.clipboard.writeText = () => Promise.reject())")
    opened.press("ArrowRight")
    if place == "dialog":
        opened.press("Enter")
    opened.press("c")
    said = opened.until(f"document.querySelector('{place} > .note').textContent")
    assert said == f"Copied {HOSTILE[0].decode()}"
    assert opened.value("navigator.clipboard.readText()") == HOSTILE[0].decode()


@pytest.mark.parametrize("width", [320, 390, 800, 1600])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_any_screen_in_both_schemes(opened: Browser, width: int, scheme: str) -> None:
    opened(
        "Emulation.setDeviceMetricsOverride",
        width=width,
        height=700,
        deviceScaleFactor=1,
        mobile=False,
    )
    feature = {"name": "prefers-color-scheme", "value": scheme}
    opened("Emulation.setEmulatedMedia", features=[feature])
    inside = "document.documentElement.scrollWidth <= innerWidth"
    assert opened.value(inside)
    opened.press("ArrowRight")
    opened.press("Enter")
    assert opened.value(inside)
    paper = opened.value("getComputedStyle(document.body).backgroundColor")
    darkness = sum(map(int, paper.removeprefix("rgb(").removesuffix(")").split(","))) < 3 * 128
    assert darkness == (scheme == "dark")
