"""What went wrong with a request, in the service's own words, and without secrets."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable
from email.utils import parsedate_to_datetime

import httpx

from kafka_bridge.gateway.words import excerpt, masked
from kafka_bridge.worker import ApplicationError

RETRYABLE_STATUS = frozenset({408, 425, 429})
"""Of the 4xx, those that say "not now" (RFC 9110, RFC 8470, RFC 6585)."""


class RequestFailed(ApplicationError):
    """A request was refused or not answered, or its answer cannot be used.

    :ivar retry_after: the seconds that the service asks to be left alone, 0 for none
    """

    def __init__(
        self,
        message: str,
        *,
        type: str,  # noqa: A002  the protocol's own word
        details: str = "",
        retryable: bool = True,
        retry_after: float = 0.0,
    ) -> None:
        super().__init__(message, type=type, details=details, retryable=retryable)
        self.retry_after = retry_after


def is_retryable(status: int) -> bool:
    """Tell whether the same request may do better later."""
    return status >= 500 or status in RETRYABLE_STATUS


def shown(request: httpx.Request) -> str:
    """Return a request's method and URL, without parameters: they may hold a key."""
    url = request.url.copy_with(query=None, userinfo=None)
    return f"{request.method} {url}{'?…' if request.url.query else ''}"


def refused(answer: httpx.Response, secrets: Iterable[str]) -> RequestFailed:
    """Return the error that an answer is which is no success."""
    status = f"{answer.status_code} {answer.reason_phrase}".strip()
    said = f"{shown(answer.request)}: {status}"
    if answer.is_redirect:
        return RequestFailed(
            f"{said} to {answer.headers.get('location', 'nowhere')}: set the URL to where it is",
            type=f"http_{answer.status_code}",
            retryable=False,
        )
    body = masked(excerpt(answer.text), secrets)
    return RequestFailed(
        f"{said}: {body}" if body else said,
        type=f"http_{answer.status_code}",
        details=masked(answer.text, secrets),
        retryable=is_retryable(answer.status_code),
        retry_after=retry_after(answer),
    )


def unanswered(request: httpx.Request, error: httpx.HTTPError, timeout: float) -> RequestFailed:
    """Return the error that no answer is."""
    if isinstance(error, httpx.TimeoutException):
        message, kind = f"no answer within {timeout:g} s", "http_timeout"
    else:
        message, kind = f"no answer: {error or type(error).__name__}", "http_unreachable"
    return RequestFailed(f"{shown(request)}: {message}", type=kind)


def unreadable(
    answer: httpx.Response, why: str, secrets: Iterable[str], *, retryable: bool = True
) -> RequestFailed:
    """Return the error that an answer is which came, and cannot be used."""
    return RequestFailed(
        masked(f"{shown(answer.request)}: {answer.status_code}, but {why}", secrets),
        type="http_unreadable",
        retryable=retryable,
    )


def retry_after(answer: httpx.Response) -> float:
    """Return the seconds that ``Retry-After`` asks for (RFC 9110, section 10.2.3), 0 for none."""
    value = answer.headers.get("retry-after", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        seconds = _until(value)
    return seconds if math.isfinite(seconds) and seconds > 0 else 0.0


def _until(date: str) -> float:
    try:
        moment = parsedate_to_datetime(date)
    except ValueError:
        return 0.0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    return (moment - dt.datetime.now(dt.UTC)).total_seconds()
