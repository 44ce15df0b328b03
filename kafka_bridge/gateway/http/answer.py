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
    """An answer that is a success, or has one of the status codes that the caller takes.

    What is read from it is masked. ``retry_after``: the seconds that the service asks to be left
    alone, 0 for none.
    """

    response: httpx.Response
    retry_after: float
    mask: Mask

    def json(self) -> Any:
        """Return the body as JSON gives it, None where there is none.

        :raises ApplicationError: it is no JSON
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
        """Return the body: as JSON gives it, or text, or bytes, as its media type says.

        :raises ApplicationError: it should be JSON and is not
        """
        media_type = self.response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type == "application/json" or media_type.endswith("+json"):
            return self.json()
        if media_type.startswith("text/") or not media_type:
            return self._text or None
        return self.mask.data(self.response.content)

    def part(self, where: JmesPath | None) -> Any:
        """Return a part of the body as JSON gives it; the whole body where there is no expression.

        :raises ApplicationError: it cannot be read
        """
        if where is None:
            return self.value()
        try:
            return where.search(self.json())
        except ExpressionFailed as error:
            raise self.unreadable(str(error)) from None

    def header(self, name: str) -> str | None:
        """Return the value of a header, None where there is none."""
        value = self.response.headers.get(name)
        return None if value is None else self.mask.text(value)

    def unreadable(self, why: str, *, retryable: bool = True) -> RequestFailed:
        """Return the error that this answer is, which cannot be used."""
        return unreadable(self.response, why, self.mask, retryable=retryable)

    @property
    def _text(self) -> str:
        return body_text(self.response, self.mask)
