"""The types of values in the file, each with a text for what is expected."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, NoReturn
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationError, WrapValidator
from pydantic_core import PydanticCustomError

EXPECTED = "expected"
"""The type of errors with the expected value; the reader of the file adds the actual one."""


def expect(what: str) -> NoReturn:
    """Refuse a value.

    :param what: the expected value, for example "a number greater than 0"
    :raises PydanticCustomError: always
    """
    raise PydanticCustomError(EXPECTED, "expected {what}", {"what": what})


def expected(what: str) -> Any:
    """Return a validator with this text for values that the type refuses, and for booleans."""

    def check(value: Any, handler: Callable[[Any], Any]) -> Any:
        try:
            if not isinstance(value, bool):  # pydantic would convert them to 1 and 0
                return handler(value)
        except ValidationError:
            pass
        return expect(what)

    return WrapValidator(check)


AboveZero = Annotated[float, Field(gt=0, allow_inf_nan=False), expected("a number greater than 0")]
Seconds = AboveZero
SecondsOrZero = Annotated[
    float, Field(ge=0, allow_inf_nan=False), expected("a number of at least 0")
]
Factor = Annotated[float, Field(ge=1, allow_inf_nan=False), expected("a number of at least 1")]
Share = Annotated[float, Field(ge=0, le=1), expected("a number from 0 to 1")]
AtLeastOne = Annotated[int, Field(ge=1), expected("a whole number of at least 1")]
CountOrZero = Annotated[int, Field(ge=0), expected("a whole number of at least 0")]
Port = Annotated[int, Field(ge=0, le=65_535), expected("a port, 0 to 65535")]
Status = Annotated[int, Field(ge=100, le=599), expected("an HTTP status code, 100 to 599")]

Text = Annotated[str, Field(min_length=1)]
Method = Annotated[
    str, Field(pattern="^(GET|POST|PUT|PATCH|DELETE)$"), expected("GET, POST, PUT, PATCH or DELETE")
]
TopicName = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9._-]{1,249}$"),
    expected("a topic name: at most 249 letters, digits, '.', '_' and '-'"),
]
HeaderName = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"),  # RFC 9110, section 5.6.2
    expected("a header name: letters, digits and '-'"),
]


def not_in_header(text: str) -> str | None:
    """Return the first character that a header cannot contain, as text; None without one.

    Field values are visible ASCII, spaces and tabs (RFC 9110, section 5.5). Implementations treat
    other characters differently, so they are not sent.
    """
    if found := re.search(r"[^\t\x20-\x7e]", text):
        character = found[0]
        return f"{character!r} (U+{ord(character):04X}), but headers must be one line of ASCII"
    return None


def _header_text(text: str) -> str:
    if not_in_header(text):
        raise ValueError("expected one line of ASCII, as a header must be")
    return text


HeaderText = Annotated[str, AfterValidator(_header_text)]


def _base_url(text: str) -> str:
    if "@" in text:  # checked first: the text must not be shown
        raise ValueError("expected a URL without user name, password and '@': use auth")
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        expect("an http:// or https:// URL")
    if parts.query or parts.fragment:
        raise ValueError("expected a URL without '?' and '#': put parameters into path")
    return text.rstrip("/")


BaseUrl = Annotated[str, AfterValidator(_base_url)]
