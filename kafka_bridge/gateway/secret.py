"""Secrets by reference: what they are stands in the environment or in a file, never in the YAML."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import model_validator

from kafka_bridge.gateway.strict import Strict


class Secret(Strict):
    """``{env: NAME}`` or ``{file: PATH}``.

    A file is read at each use, for it may be renewed; white space around its text is left out.
    """

    env: str | None = None
    file: Path | None = None

    @model_validator(mode="before")
    @classmethod
    def _is_reference(cls, value: Any) -> Any:
        if not isinstance(value, Mapping | Secret):
            raise ValueError(  # noqa: TRY004  pydantic's own way to hear of it
                "expected {env: NAME} or {file: PATH}: a secret does not stand in the file itself"
            )
        return value

    @model_validator(mode="after")
    def _is_there(self) -> Secret:
        if (self.env is None) == (self.file is None):
            raise ValueError("expected one of {env: NAME} and {file: PATH}")
        self.reveal()
        return self

    def reveal(self) -> str:
        """Return the secret.

        :raises ValueError: it is not there, or empty; the text says where it was looked for
        """
        if self.env is not None:
            found = os.environ.get(self.env, "")
            where = f"the environment variable {self.env}"
        else:
            assert self.file is not None  # noqa: S101  one of the two is there
            where = f"the file {self.file}"
            try:
                found = self.file.read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise ValueError(f"{where} cannot be read: {error}") from None
        if not found:
            raise ValueError(f"{where} is not set or empty")
        return found
