"""The errors of requests, with the service's own message and without secrets."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import math
from email.utils import parsedate_to_datetime

import httpx

from kafka_bridge.gateway.json_text import read_json
from kafka_bridge.gateway.mask import Mask
from kafka_bridge.gateway.untrusted_text import excerpt
from kafka_bridge.worker import ApplicationError

RETRYABLE_STATUS = frozenset({408, 425, 429})
"""The temporary errors of the 4xx range (RFC 9110, RFC 8470, RFC 6585)."""
GONE = 410
MAX_RETRY_AFTER = 300.0
"""Seconds: a longer pause in ``Retry-After`` is shortened to this."""


class RequestFailed(ApplicationError):
    """A request was refused or not answered, or its answer cannot be used.

    :ivar retry_after: the seconds to wait before a retry, 0 if the service does not ask for a pause
    :ivar is_final: whether later requests about the same job would fail, too
    :ivar may_have_begun: whether the service may have started the job in spite of the error
    """

    def __init__(
        self,
        message: str,
        *,
        type: str,  # noqa: A002  the protocol's name
        details: str = "",
        retryable: bool = True,
        retry_after: float = 0.0,
        is_final: bool = False,
        may_have_begun: bool = False,
    ) -> None:
        super().__init__(message, type=type, details=details, retryable=retryable)
        self.retry_after = retry_after
        self.is_final = is_final
        self.may_have_begun = may_have_begun


def is_retryable(status: int) -> bool:
    """Return whether the same request may succeed later."""
    return status >= 500 or status in RETRYABLE_STATUS


def shown(request: httpx.Request, mask: Mask) -> str:
    """Return a request's method and URL without parameters, which may contain a key."""
    url = request.url.copy_with(query=None, userinfo=None)
    return mask.text(f"{request.method} {url}{'?…' if request.url.query else ''}")


def refused(answer: httpx.Response, mask: Mask) -> RequestFailed:
    """Return the error for an answer with a status code that is not a success."""
    code = answer.status_code
    said = mask.text(f"{shown(answer.request, mask)}: {code} {answer.reason_phrase}".strip())
    if answer.is_redirect:
        location = excerpt(mask.text(answer.headers.get("location", "nowhere")))
        return RequestFailed(
            f"{said} to {location}: correct the URL in the file",
            type=f"http_{code}",
            retryable=False,
        )
    text = body_text(answer, mask)
    body = excerpt(text)
    return RequestFailed(
        f"{said}: {body}" if body else said,
        type=f"http_{code}",
        details=text,
        retryable=is_retryable(code),
        retry_after=retry_after(answer),
        is_final=code == GONE,
        may_have_begun=code >= 500,
    )


def body_text(answer: httpx.Response, mask: Mask) -> str:
    """Return the masked text of a body. JSON is decoded first, to mask escaped secrets, too."""
    text = answer.text
    if "\\" in text:
        with contextlib.suppress(ValueError):
            text = json.dumps(mask.value(read_json(answer.content)), ensure_ascii=False)
    return mask.text(text)


def unanswered(
    request: httpx.Request, error: httpx.HTTPError, timeout: float, mask: Mask
) -> RequestFailed:
    """Return the error for a request without an answer."""
    if isinstance(error, httpx.TimeoutException):
        message, kind = f"no answer within {timeout:g} s", "http_timeout"
    else:
        message, kind = f"no answer: {mask.text(reason(error))}", "http_unreachable"
    is_connected = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
    return RequestFailed(
        f"{shown(request, mask)}: {message}", type=kind, may_have_begun=is_connected
    )


def reason(error: BaseException) -> str:
    """Return why a request failed: the message of the error or of its cause, or its name."""
    cause: BaseException | None = error
    while cause is not None:
        if text := str(cause).strip():
            return text
        cause = cause.__cause__ or cause.__context__
    return _NAMES.get(type(error), type(error).__name__)


_NAMES: dict[type[BaseException], str] = {
    httpx.ReadError: "the connection broke while the answer was read",
    httpx.WriteError: "the connection broke while the request was sent",
    httpx.CloseError: "the connection broke while it was closed",
    httpx.RemoteProtocolError: "the service does not use HTTP",
}


def unreadable(
    answer: httpx.Response, why: str, mask: Mask, *, retryable: bool = True
) -> RequestFailed:
    """Return the error for an answer that cannot be used.

    :param why: must be masked already, as it may quote a part of the answer
    """
    return RequestFailed(
        f"{shown(answer.request, mask)}: {answer.status_code}, but {mask.text(why)}",
        type="http_unreadable",
        retryable=retryable,
        may_have_begun=True,
    )


def retry_after(answer: httpx.Response) -> float:
    """Return the seconds in ``Retry-After`` (RFC 9110, section 10.2.3), 0 if it is missing.

    They are at most ``MAX_RETRY_AFTER``.
    """
    value = answer.headers.get("retry-after", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        seconds = _until(value)
    return min(seconds, MAX_RETRY_AFTER) if seconds > 0 and not math.isnan(seconds) else 0.0


def _until(date: str) -> float:
    try:
        moment = parsedate_to_datetime(date)
    except (ValueError, OverflowError):
        return 0.0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    return (moment - dt.datetime.now(dt.UTC)).total_seconds()
