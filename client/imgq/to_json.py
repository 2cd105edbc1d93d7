"""JSON as `json.dumps(…, ensure_ascii=False)` writes it: importing that costs a client half of what a
question takes, for the regular expressions that reading JSON needs."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# What steers a terminal or turns a line of text around, though JSON and HTML let it through: control
# characters, line and paragraph separators, bidirectional embeddings, overrides and isolates.
STEERING = (*range(0x20), *range(0x7F, 0xA0), *range(0x2028, 0x202F), *range(0x2066, 0x206A))
_ESCAPED = {
    **{code: f"\\u{code:04x}" for code in STEERING},
    **{
        ord(character): f"\\{letter}"
        for character, letter in zip('"\\\n\r\t\f\b', '"\\nrtfb', strict=True)
    },
}
_WORDS = {None: "null", True: "true", False: "false"}


def to_json(value: Any) -> str:
    """None, bool, int, finite floats, str, lists, tuples and maps of these with text for keys; nothing in
    it steers a terminal."""
    kind = type(value)
    if kind is str:
        is_plain = value.isprintable() and '"' not in value and "\\" not in value
        return f'"{value}"' if is_plain else f'"{value.translate(_ESCAPED)}"'
    if kind is int or kind is float:
        return repr(value)
    if value is None or kind is bool:
        return _WORDS[value]
    if kind is dict:
        return (
            "{"
            + ", ".join([f"{to_json(key)}: {to_json(each)}" for key, each in value.items()])
            + "}"
        )
    if kind in (list, tuple):
        return "[" + ", ".join([to_json(each) for each in value]) + "]"
    raise TypeError(f"{kind.__name__} has no place in JSON")
