"""Frozen records whose fields know their type and range.

What crosses the socket is made of these. They do without `dataclasses`: importing that costs a client
more time than its whole question takes.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, ClassVar, Self, dataclass_transform
else:

    def dataclass_transform(**_options):
        return lambda cls: cls


REQUIRED = object()

# Bytes; the system itself takes longer ones piece by piece only.
MOST_PATH = 1 << 16


class BadField(ValueError):
    """A value is not what its field takes."""

    def __init__(self, words: str, plain: str = "") -> None:
        """plain: the same to who asks too much, who knows of fields and not of records."""
        super().__init__(words)
        self.plain = plain


class Field:
    """What a field takes: `check` returns the value as the record keeps it, or raises BadField."""

    def __init__(self, check: Callable[[Any], Any], default: Any = REQUIRED) -> None:
        self.check = check
        self.default = default


def string(*, most: int = 4096, default: Any = REQUIRED) -> Any:
    """A str of at most `most` characters."""
    return Field(_sized(str, most), default)


def binary(*, most: int = 4096, default: Any = REQUIRED) -> Any:
    """A bytes of at most `most` bytes; paths are such."""
    return Field(_sized(bytes, most), default)


def pathname() -> Any:
    """A path, as the system has it."""
    return binary(most=MOST_PATH)


def integer(low: int = 0, high: int = (1 << 63) - 1, *, default: Any = REQUIRED) -> Any:
    """An int from `low` to `high`, both included."""

    def check(value: Any) -> int:
        if type(value) is not int or not low <= value <= high:
            raise BadField(f"is not a whole number from {low} to {high}")
        return value

    return Field(check, default)


def real(low: float = -1e308, high: float = 1e308, *, default: Any = REQUIRED) -> Any:
    """A finite float from `low` to `high`."""

    def check(value: Any) -> float:
        if type(value) not in (int, float) or not low <= value <= high:
            raise BadField(f"is not a number from {low:g} to {high:g}")
        return float(value)

    return Field(check, default)


def boolean(*, default: Any = REQUIRED) -> Any:
    def check(value: Any) -> bool:
        if type(value) is not bool:
            raise BadField("is not true or false")
        return value

    return Field(check, default)


def choice(*values: str, default: Any = REQUIRED) -> Any:
    """One of a few words."""

    def check(value: Any) -> str:
        if value not in values:
            raise BadField(f"is none of {', '.join(values)}")
        return str(value)

    return Field(check, default)


def maybe(field: Any, *, default: Any = REQUIRED) -> Any:
    """What `field` takes, or None."""
    return Field(lambda value: None if value is None else field.check(value), default)


def many(field: Any, *, most: int = 1000, default: Any = REQUIRED) -> Any:
    """A tuple of at most `most` of what `field` takes."""

    def check(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            raise BadField("is not a list")
        if len(value) > most:
            raise BadField(f"has {len(value)} parts, {most} is the most")
        return tuple(map(field.check, value))

    return Field(check, default)


def record(cls: type[Record], *, default: Any = REQUIRED) -> Any:
    """Another record, or the map that one becomes."""

    def check(value: Any) -> Record:
        if isinstance(value, cls):
            return value
        if not isinstance(value, dict):
            raise BadField("is not a map")
        return cls.from_plain(value)

    return Field(check, default)


@dataclass_transform(
    frozen_default=True,
    kw_only_default=True,
    field_specifiers=(
        string,
        binary,
        pathname,
        integer,
        real,
        boolean,
        choice,
        maybe,
        many,
        record,
    ),
)
class Record:
    """A frozen record; each class attribute made by a function above is a field."""

    fields: ClassVar[dict[str, Field]] = {}

    def __init_subclass__(cls) -> None:
        own = {name: value for name, value in vars(cls).items() if isinstance(value, Field)}
        for name in own:
            delattr(cls, name)
        cls.fields = {**cls.fields, **own}

    def __init__(self, /, **values: Any) -> None:
        if not values.keys() <= self.fields.keys():
            unknown = min(values.keys() - self.fields.keys())
            raise BadField(f"{type(self).__name__} has no field {unknown!r}")
        own = self.__dict__
        for name, field in self.fields.items():
            value = values.get(name, field.default)
            if value is REQUIRED:
                raise BadField(f"{type(self).__name__}.{name} is missing")
            try:
                own[name] = field.check(value)
            except BadField as error:
                plain = error.plain or f"{name} {error}"
                raise BadField(f"{type(self).__name__}.{name} {error}", plain) from None

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((type(self), *self.__dict__.values()))

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={value!r}" for name, value in self.__dict__.items())
        return f"{type(self).__name__}({inside})"

    def plain(self) -> dict[str, Any]:
        """Maps, lists and values, as msgpack and JSON take them."""
        return {name: _plain(value) for name, value in self.__dict__.items()}

    @classmethod
    def from_plain(cls, values: dict[str, Any]) -> Self:
        """The record that `plain` was made from; anything else raises BadField."""
        if not all(type(name) is str for name in values):
            raise BadField(f"{cls.__name__} has a field without a name")
        return cls(**values)


def _plain(value: Any) -> Any:
    if isinstance(value, Record):
        return value.plain()
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return value


def _sized(kind: type[Any], most: int) -> Callable[[Any], Any]:
    word, unit = ("text", "characters") if kind is str else ("binary", "bytes")

    def check(value: Any) -> Any:
        if type(value) is not kind:
            raise BadField(f"is not {word}")
        if len(value) > most:
            raise BadField(f"has {len(value)} {unit}, {most} is the most")
        return value

    return check
