"""An answer as one HTML file: it opens anywhere, fetches nothing, and no name breaks out of it."""

from __future__ import annotations

import os

from imgq.record import Record, binary, integer, maybe, record
from imgq.to_json import STEERING
from imgq.wire import Hit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_SHOWN = {code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" for code in STEERING}

_POLICY = (
    "default-src 'none'; img-src data:; script-src '{script}'; style-src '{style}'; "
    "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)


class Picture(Record):
    """A hit with its place in the answer and its thumbnail, a JPEG, or None where there is none."""

    hit: Hit = record(Hit)
    rank: int = integer(1)
    thumbnail: bytes | None = maybe(binary(most=4 << 20))


def page(title: str, model: str, shown: Sequence[Picture]) -> str:
    """The whole HTML file for the query `title`: of it and `shown` nothing but text gets into it.

    It can be encoded in UTF-8, whatever the query and the paths are.
    """
    style, script = _part("page.css"), _part("page.js")
    return _part("page.html").format(
        policy=_POLICY.format(script=_fingerprint(script), style=_fingerprint(style)),
        style=style,
        script=script,
        title=_text(title),
        summary=_text(f"{len(shown):,} picture{'' if len(shown) == 1 else 's'} · {model}"),
        cards="\n".join(map(_card, shown)) or '<li class="nothing">Nothing was found.</li>',
    )


def _card(picture: Picture) -> str:
    hit = picture.hit
    folder, _, name = hit.path.rpartition(b"/")
    label = _text(_decoded(name))
    facts = "".join(f"<dt>{term}</dt><dd>{_text(fact)}</dd>" for term, fact in _facts(hit))
    offline = '<span class="offline">offline</span>' if hit.offline else ""
    return (
        f'<li><a class="picture" href="{_link(hit.path)}" data-folder="{_link(folder + b"/")}" '
        f'data-copy="{_text(_copied(hit.path))}">{_image(picture.thumbnail, label)}</a>'
        f'<p class="caption"><span class="rank">{picture.rank}</span>'
        f'<bdi class="name">{label}</bdi>{offline}<span class="score">{hit.score:.3f}</span></p>'
        f'<dl hidden><dt>Folder</dt><dd><a href="{_link(folder + b"/")}"><bdi>'
        f"{_text(_decoded(folder + b'/'))}</bdi></a></dd>{facts}</dl></li>"
    )


def _facts(hit: Hit) -> Iterator[tuple[str, str]]:
    yield "Score", f"{hit.score:.4f}"
    if hit.width and hit.height:
        megapixels = hit.width * hit.height / 1e6
        yield "Picture", f"{hit.width} \u00d7 {hit.height}, {megapixels:.1f} megapixels"
    yield "File", f"{hit.format or 'unknown'}, {_size(hit.size)}"
    if hit.taken_at:
        yield "Taken", hit.taken_at.replace("T", " ")
    yield "Changed", hit.mtime.replace("T", " ").replace("Z", " UTC")
    if hit.camera:
        yield "Camera", hit.camera
    if hit.gps:
        yield "Place", f"{hit.gps.lat:.5f}, {hit.gps.lon:.5f}"
    if hit.offline:
        yield "Offline", "its folder was not there when this page was made"


def _image(thumbnail: bytes | None, label: str) -> str:
    if not thumbnail:
        return f'<span class="missing" role="img" aria-label="{label}">no preview</span>'
    from binascii import b2a_base64

    data = b2a_base64(thumbnail, newline=False).decode()
    return f'<img src="data:image/jpeg;base64,{data}" alt="{label}" decoding="async">'


def _link(path: bytes) -> str:
    """The URL of the true bytes; percent-encoded, it needs no more escaping."""
    from urllib.parse import quote

    return f"file://{quote(path)}"


def _copied(path: bytes) -> str:
    """The path; or, if that would not survive being pasted, what bash and zsh read as the path."""
    try:
        text = path.decode()
    except UnicodeDecodeError:
        text = "\0"
    if text.translate(_SHOWN) == text:
        return text
    plain = set(range(0x20, 0x7F)) - set(b"'\\")
    return "$'" + "".join(chr(byte) if byte in plain else f"\\{byte:03o}" for byte in path) + "'"


def _decoded(path: bytes) -> str:
    return path.decode("utf-8", "replace")


def _text(text: str) -> str:
    """As text in an element or a quoted attribute, with nothing in it that steers."""
    from html import escape

    # Half of a surrogate pair, as in an argument that is not UTF-8, has no encoding.
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return escape(whole.translate(_SHOWN))


def _size(count: int) -> str:
    for power, unit in ((9, "GB"), (6, "MB"), (3, "kB")):
        if count >= 10**power:
            return f"{count / 10**power:.1f} {unit}"
    return f"{count} bytes"


def _part(name: str) -> str:
    with open(os.path.join(os.path.dirname(__file__), name), encoding="utf-8") as file:
        return file.read()


def _fingerprint(code: str) -> str:
    """As a content security policy names a script or style that may stand in the page."""
    from binascii import b2a_base64
    from hashlib import sha256

    digest = sha256(code.encode()).digest()
    return f"sha256-{b2a_base64(digest, newline=False).decode()}"
