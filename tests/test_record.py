"""Records: what a field takes, and that nothing else gets in."""

from __future__ import annotations

import math
from typing import Any

import pytest

from imgq import record as made_of
from imgq.record import (
    BadField,
    Record,
    binary,
    boolean,
    choice,
    integer,
    many,
    maybe,
    real,
    string,
)


class Spot(Record):
    name: str = string(most=5)
    x: int = integer(-3, 3, default=0)


class Place(Spot):
    pass


class Map(Record):
    spots: tuple[Spot, ...] = many(made_of.record(Spot), most=2, default=())
    first: Spot | None = maybe(made_of.record(Spot), default=None)
    raw: bytes = binary(most=4, default=b"")
    scale: float = real(0, 10, default=1.0)
    flat: bool = boolean(default=False)
    kind: str = choice("road", "sea", default="road")


class Atlas(Map):
    title: str = string()


def test_values_are_kept_as_their_field_has_them() -> None:
    drawn = Map(spots=[Spot(name="a")], scale=2)
    assert drawn.spots == (Spot(name="a", x=0),)
    assert (type(drawn.scale), drawn.scale) == (float, 2.0)
    assert (drawn.first, drawn.raw, drawn.flat, drawn.kind) == (None, b"", False, "road")


@pytest.mark.parametrize(
    "wrong",
    [
        {"spots": [Spot(name="a")] * 3},
        {"spots": "ab"},
        {"spots": [3]},
        {"spots": [{"x": 1}]},
        {"spots": [{"name": "a", "y": 1}]},
        {"first": [1]},
        {"raw": "text"},
        {"raw": b"12345"},
        {"raw": bytearray(b"1")},
        {"scale": math.nan},
        {"scale": math.inf},
        {"scale": -0.1},
        {"scale": 10**400},
        {"scale": True},
        {"flat": 1},
        {"flat": None},
        {"kind": "sky"},
        {"kind": ["road"]},
        {"depth": 1},
    ],
)
def test_anything_else_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadField):
        Map(**wrong)


@pytest.mark.parametrize("wrong", [4, -4, True, 1.0, "1", None, 1 << 70])
def test_an_integer_has_a_type_and_a_range(wrong: object) -> None:
    with pytest.raises(BadField, match=r"Spot\.x is not a whole number from -3 to 3"):
        Spot.from_plain({"name": "a", "x": wrong})


def test_a_refusal_names_the_field_on_the_way_down() -> None:
    with pytest.raises(
        BadField, match=r"Map\.spots Spot\.name has 8 characters, 5 is the most"
    ) as refused:
        Map(spots=[{"name": "too long"}])
    assert refused.value.plain == "name has 8 characters, 5 is the most"
    with pytest.raises(BadField, match=r"Spot\.name is missing"):
        Spot()


@pytest.mark.parametrize("name", ["self", "cls", "fields", "__class__", "plain", ""])
def test_a_field_of_any_other_name_is_refused(name: str) -> None:
    with pytest.raises(BadField, match="no field"):
        Spot.from_plain({"name": "a", name: 1})


@pytest.mark.parametrize("name", [1, b"name", None, ("name",)])
def test_a_name_that_is_no_text_is_refused(name: Any) -> None:
    with pytest.raises(BadField, match="without a name"):
        Spot.from_plain({name: "a"})


def test_a_record_never_changes() -> None:
    spot = Spot(name="a")
    with pytest.raises(AttributeError, match="frozen"):
        spot.name = "b"
    with pytest.raises(AttributeError, match="frozen"):
        spot.color = "red"
    with pytest.raises(AttributeError, match="frozen"):
        del spot.name
    assert spot.name == "a"


def test_equal_records_are_equal_keys() -> None:
    assert Spot(name="a", x=1) == Spot(name="a", x=1) != Spot(name="a", x=2)
    assert {Spot(name="a", x=1): "here"}[Spot(name="a", x=1)] == "here"
    assert Spot(name="a") != Place(name="a")


def test_plain_and_back() -> None:
    drawn = Atlas(spots=[Spot(name="a", x=3)], first=Spot(name="b"), raw=b"\xff", title="t")
    plain = drawn.plain()
    assert plain["spots"] == [{"name": "a", "x": 3}]
    assert plain["first"] == {"name": "b", "x": 0}
    assert Atlas.from_plain(plain) == drawn


def test_a_record_inherits_the_fields_of_another() -> None:
    assert list(Atlas(title="t").plain()) == [*Map().plain(), "title"]
    assert "title" not in Map.fields


def test_a_record_tells_its_fields() -> None:
    assert repr(Spot(name="a", x=-1)) == "Spot(name='a', x=-1)"
