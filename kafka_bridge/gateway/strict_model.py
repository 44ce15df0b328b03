"""The base of all parts of the file: knows its own keys only, and says where something is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Annotated, Any, NamedTuple, NoReturn, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError


class Problem(NamedTuple):
    """What does not fit together, in words, and where: the keys that lead there."""

    place: tuple[str, ...]
    words: str


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return what a person may have meant by a name that is unknown; else which ones there are."""
    names = sorted(known)
    if close := get_close_matches(name, names, n=1):
        return f"did you mean {close[0]!r}?"
    return f"there are {', '.join(names)}" if names else "there are none"


class _Unknown(NamedTuple):
    """The value of a key that a part does not have."""

    advice: str


def _refuse(value: _Unknown) -> NoReturn:
    raise ValueError(f"unknown key, {value.advice}")


class Strict(BaseModel):
    """Knows its own keys only, and does not change.

    Unknown keys are allowed to pydantic so that each is refused in words of ours, in its place,
    together with all that is wrong beside it.
    """

    model_config = ConfigDict(extra="allow", frozen=True, arbitrary_types_allowed=True)
    __pydantic_extra__: dict[str, Annotated[Any, BeforeValidator(_refuse)]]

    @classmethod
    def advice(cls, key: str) -> str:
        """Return what to do about a key that this part does not have."""
        return did_you_mean(key, cls.model_fields)

    def problems(self) -> Iterator[Problem]:
        """Yield what does not fit together, though each value does by itself."""
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
    """Return where there are no problems.

    :raises ValidationError: there are some; each has its place
    """
    errors = [
        InitErrorDetails(
            type=PydanticCustomError("problem", "{text}", {"text": words}), loc=where, input=None
        )
        for where, words in problems
    ]
    if errors:
        raise ValidationError.from_exception_data(title, errors)
