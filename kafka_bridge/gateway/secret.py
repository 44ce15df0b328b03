"""References to secrets, which are read from the environment or from a file."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, model_validator

from kafka_bridge.gateway.strict_model import Strict


class Secret(Strict):
    """``{env: NAME}`` or ``{file: PATH}``.

    A file is read at each use, because it may be renewed; white space around its text is removed.
    """

    env: str | None = None
    file: Path | None = None

    @model_validator(mode="before")
    @classmethod
    def _is_reference(cls, value: Any) -> Any:
        if not isinstance(value, Mapping | Secret):
            raise ValueError(  # noqa: TRY004  pydantic expects it
                "expected {env: NAME} or {file: PATH}: the file itself must not contain secrets"
            )
        return value

    @model_validator(mode="after")
    def _is_there(self) -> Secret:
        if (self.env is None) == (self.file is None):
            raise ValueError("expected either {env: NAME} or {file: PATH}")
        self.reveal()
        return self

    @property
    def where(self) -> str:
        """The place of the secret, as text."""
        if self.env is not None:
            return f"the environment variable {self.env}"
        return f"the file {self.file}"

    def reveal(self) -> str:
        """Return the secret.

        :raises ValueError: the secret is missing or empty; the message contains its place
        """
        if self.env is not None:
            found = os.environ.get(self.env, "")
        else:
            assert self.file is not None  # noqa: S101  one of the two is set
            try:
                found = self.file.read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise ValueError(f"{self.where} cannot be read: {_why(error)}") from None
        if not found:
            raise ValueError(f"{self.where} is not set or is empty")
        return found


def _why(error: OSError | UnicodeDecodeError) -> str:
    """Return why a file cannot be read. The text of a decoding error contains a byte of it."""
    return str(error) if isinstance(error, OSError) else "it is not UTF-8 text"


def secrets_in(part: object) -> Iterator[str]:
    """Yield the current values of the secrets that a part of the file refers to.

    :param part: a model, or a mapping or sequence of them
    """
    if isinstance(part, Secret):
        with contextlib.suppress(ValueError):  # removed since the file was checked
            yield part.reveal()
    elif isinstance(part, BaseModel):
        yield from secrets_in(list(dict(part).values()))
    elif isinstance(part, Mapping):
        yield from secrets_in(list(part.values()))
    elif isinstance(part, list | tuple):
        for each in part:
            yield from secrets_in(each)
