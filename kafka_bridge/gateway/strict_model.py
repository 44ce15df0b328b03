"""The base class for all parts of the file: refuses unknown keys, and locates errors."""

# No `from __future__ import annotations`: pydantic 2.12 would look for the names that annotate
# `__pydantic_extra__` in the modules of the subclasses.

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Annotated, Any, NamedTuple, NoReturn, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError


class Problem(NamedTuple):
    """An error in the combination of values: the keys that lead to it, and its message."""

    place: tuple[str, ...]
    words: str


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the most similar known name for an unknown one, or the list of all names."""
    names = sorted(known)
    if close := get_close_matches(name, names, n=1):
        return f"did you mean {close[0]!r}?"
    return f"expected one of {', '.join(names)}" if names else "none is defined"


class _Unknown(NamedTuple):
    """The value of an unknown key."""

    advice: str


def _refuse(value: _Unknown) -> NoReturn:
    raise ValueError(f"unknown key, {value.advice}")


class Strict(BaseModel):
    """An immutable model that refuses unknown keys.

    Pydantic allows unknown keys here, so that each is refused with our message and location,
    together with all other errors.
    """

    model_config = ConfigDict(extra="allow", frozen=True, arbitrary_types_allowed=True)
    __pydantic_extra__: dict[str, Annotated[Any, BeforeValidator(_refuse)]]

    @classmethod
    def advice(cls, key: str) -> str:
        """Return advice about an unknown key."""
        return did_you_mean(key, cls.model_fields)

    def problems(self) -> Iterator[Problem]:
        """Yield problems in the combination of values that are valid on their own."""
        yield from ()

    @model_validator(mode="before")
    @classmethod
    def _advise(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        return {
            key: part if key in cls.model_fields else _Unknown(cls.advice(str(key)))
            for key, part in value.items()
        }

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        refuse(type(self).__name__, self.problems())
        return self


def refuse(title: str, problems: Iterable[Problem]) -> None:
    """Raise an error if there are problems.

    :raises ValidationError: there are problems; each has its location
    """
    errors = [
        InitErrorDetails(
            type=PydanticCustomError("problem", "{text}", {"text": words}), loc=where, input=None
        )
        for where, words in problems
    ]
    if errors:
        raise ValidationError.from_exception_data(title, errors)
