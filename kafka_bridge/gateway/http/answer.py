"""A service's answer to a request, from which all values are read masked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx

from kafka_bridge.gateway.expressions import ExpressionFailed, JmesPath
from kafka_bridge.gateway.http.request_errors import RequestFailed, body_text, unreadable
from kafka_bridge.gateway.json_text import read_json
from kafka_bridge.gateway.mask import Mask
from kafka_bridge.gateway.untrusted_text import excerpt


@dataclass(frozen=True, slots=True)
class ServiceAnswer:
    """An answer with a status code of success, or one that the caller accepts.

    All values that are read from it are masked. ``retry_after``: the seconds to wait before the
    next request, 0 if the service does not ask for a pause.
    """

    response: httpx.Response
    retry_after: float
    mask: Mask

    def json(self) -> Any:
        """Return the JSON value of the body, None for an empty body.

        :raises ApplicationError: the body is not JSON
        """
        if not self.response.content:
            return None
        try:
            return self.mask.value(read_json(self.response.content))
        except ValueError as error:
            words = self.mask.text(str(error))
            why = f"its body is not JSON ({words}): {excerpt(self._text)!r}"
            raise self.unreadable(why) from None

    def value(self) -> Any:
        """Return the body as a JSON value, text or bytes, depending on its media type.

        :raises ApplicationError: the media type is JSON, but the body is not
        """
        media_type = self.response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type == "application/json" or media_type.endswith("+json"):
            return self.json()
        if media_type.startswith("text/") or not media_type:
            return self._text or None
        return self.mask.data(self.response.content)

    def part(self, where: JmesPath | None) -> Any:
        """Return the part of the body that an expression finds; without one, the whole body.

        :raises ApplicationError: the body cannot be read
        """
        if where is None:
            return self.value()
        try:
            return where.search(self.json())
        except ExpressionFailed as error:
            raise self.unreadable(str(error)) from None

    def header(self, name: str) -> str | None:
        """Return the value of a header, None if it is missing."""
        value = self.response.headers.get(name)
        return None if value is None else self.mask.text(value)

    def unreadable(self, why: str, *, retryable: bool = True) -> RequestFailed:
        """Return the error for an answer that cannot be used."""
        return unreadable(self.response, why, self.mask, retryable=retryable)

    @property
    def _text(self) -> str:
        return body_text(self.response, self.mask)
