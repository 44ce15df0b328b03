"""What went wrong with a request, in the service's own words, and without secrets."""

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
"""Of the 4xx, those that say "not now" (RFC 9110, RFC 8470, RFC 6585)."""
GONE = 410
LONGEST_RETRY_AFTER = 300.0
"""Seconds: a service that asks for a longer pause is asked again after this one."""


class RequestFailed(ApplicationError):
    """A request was refused or not answered, or its answer cannot be used.

    :ivar retry_after: the seconds that the service asks to be left alone, 0 for none
    :ivar is_final: whether no later request about the same job can do better
    :ivar may_have_begun: whether the service may have acted on the request all the same
    """

    def __init__(
        self,
        message: str,
        *,
        type: str,  # noqa: A002  the protocol's own word
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
    """Tell whether the same request may do better later."""
    return status >= 500 or status in RETRYABLE_STATUS


def shown(request: httpx.Request, mask: Mask) -> str:
    """Return a request's method and URL, without parameters: they may hold a key."""
    url = request.url.copy_with(query=None, userinfo=None)
    return mask.text(f"{request.method} {url}{'?…' if request.url.query else ''}")


def refused(answer: httpx.Response, mask: Mask) -> RequestFailed:
    """Return the error that an answer is which is no success."""
    code = answer.status_code
    said = mask.text(f"{shown(answer.request, mask)}: {code} {answer.reason_phrase}".strip())
    if answer.is_redirect:
        location = excerpt(mask.text(answer.headers.get("location", "nowhere")))
        return RequestFailed(
            f"{said} to {location}: set the URL to where it is",
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
    """Return an answer's body as text, masked: of JSON with escapes, what they stand for, too."""
    text = answer.text
    if "\\" in text:
        with contextlib.suppress(ValueError):
            text = json.dumps(mask.value(read_json(answer.content)), ensure_ascii=False)
    return mask.text(text)


def unanswered(
    request: httpx.Request, error: httpx.HTTPError, timeout: float, mask: Mask
) -> RequestFailed:
    """Return the error that no answer is."""
    if isinstance(error, httpx.TimeoutException):
        message, kind = f"no answer within {timeout:g} s", "http_timeout"
    else:
        message, kind = f"no answer: {mask.text(reason(error))}", "http_unreachable"
    is_connected = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
    return RequestFailed(
        f"{shown(request, mask)}: {message}", type=kind, may_have_begun=is_connected
    )


def reason(error: BaseException) -> str:
    """Return why a request failed: the text of the error, or of what caused it, or its name."""
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
    httpx.RemoteProtocolError: "the service does not speak HTTP",
}


def unreadable(
    answer: httpx.Response, why: str, mask: Mask, *, retryable: bool = True
) -> RequestFailed:
    """Return the error that an answer is which came, and cannot be used.

    :param why: is masked already, for it may quote and cut the answer
    """
    return RequestFailed(
        f"{shown(answer.request, mask)}: {answer.status_code}, but {mask.text(why)}",
        type="http_unreadable",
        retryable=retryable,
        may_have_begun=True,
    )


def retry_after(answer: httpx.Response) -> float:
    """Return the seconds that ``Retry-After`` asks for (RFC 9110, section 10.2.3), 0 for none.

    They are no more than ``LONGEST_RETRY_AFTER``.
    """
    value = answer.headers.get("retry-after", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        seconds = _until(value)
    return min(seconds, LONGEST_RETRY_AFTER) if seconds > 0 and not math.isnan(seconds) else 0.0


def _until(date: str) -> float:
    try:
        moment = parsedate_to_datetime(date)
    except (ValueError, OverflowError):
        return 0.0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    return (moment - dt.datetime.now(dt.UTC)).total_seconds()
