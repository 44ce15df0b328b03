"""Finds the service's id of a job: the job's own id, or one in the answer to the submit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

from kafka_bridge.gateway.expressions import ExpressionFailed, Template, path_segment
from kafka_bridge.gateway.http.answer import ServiceAnswer
from kafka_bridge.gateway.http.config import HttpJob, Mode, Polling
from kafka_bridge.gateway.http.request_errors import RequestFailed
from kafka_bridge.gateway.untrusted_text import excerpt, text_of

LOCATION = "Location"
"""The header of 201 and 202 with the URL of the job (RFC 9110, sections 15.3.2 and 15.3.3)."""
_PLACEHOLDER = "the-external-id"
_PORTS = {"http": 80, "https": 443}


def external_id_of(
    job: HttpJob, base_url: str, answer: ServiceAnswer, scope: Mapping[str, Any]
) -> str:
    """Return the external id of a job.

    :param base_url: the service's URL in the file
    :param answer: the answer to the submit
    :param scope: the values that expressions can use
    :raises ApplicationError: the answer does not contain the id
    """
    submit = job.submit
    if submit.external_id is None and submit.external_id_header is None:
        return str(scope["job_id"])
    name = submit.external_id_header or LOCATION
    header = answer.header(name)
    try:
        if (found := _in_body(job, answer)) is not None:
            return found
    except (RequestFailed, ExpressionFailed) as error:
        if header is None:
            raise _missing(answer, str(error)) from None
    if header is None:
        wanted = [f"no {submit.external_id.text!r} in its body"] if submit.external_id else []
        raise _missing(answer, " and ".join([*wanted, f"no header {name}"]))
    if not (found := _in_header(job, answer, header, urlsplit(base_url), scope)):
        raise _missing(
            answer, f"its header {name}, {excerpt(header)}, does not match any path in the file"
        )
    return found


def _missing(answer: ServiceAnswer, why: str) -> RequestFailed:
    words = f"it does not contain the external id: {why}. The job may be running at the service"
    return answer.unreadable(words, retryable=False)


def _in_body(job: HttpJob, answer: ServiceAnswer) -> str | None:
    where = job.submit.external_id
    return None if where is None else text_of(where.search(answer.json())) or None


def _in_header(
    job: HttpJob, answer: ServiceAnswer, header: str, base: SplitResult, scope: Mapping[str, Any]
) -> str | None:
    """Return the id in a header: its value, or the part of a URL that matches a path of the file.

    Return None for a URL of another host, because requests are sent to the service only.
    """
    if "/" not in header:
        return header
    try:
        there = urlsplit(urljoin(str(answer.response.request.url), header))
        if _origin(there) != _origin(base):
            return None
    except ValueError:
        return None
    paths = list(_paths(job))
    if not paths:  # no request needs the id: it is shown to people only
        return unquote(there.path.rstrip("/").rpartition("/")[2])
    for path in paths:
        target = there.path if "?" not in path.text else f"{there.path}?{there.query}"
        if found := _between(target.rstrip("/"), base.path, path, scope):
            return found
    return None


def _origin(url: SplitResult) -> tuple[str, str | None, int | None]:
    return url.scheme, url.hostname, url.port or _PORTS.get(url.scheme)


def _paths(job: HttpJob) -> Iterator[Template]:
    polling = job.polling or (Polling() if job.mode is Mode.POLLING else None)
    for request in (polling, job.cancel, job.result):
        if request is not None and "external_id" in request.path.names():
            yield request.path


def _between(target: str, base: str, path: Template, scope: Mapping[str, Any]) -> str | None:
    try:
        whole = base + path.render({**scope, "external_id": _PLACEHOLDER}, path_segment)
    except ExpressionFailed:
        return None
    before, _, after = whole.rstrip("/").partition(_PLACEHOLDER)
    if not target.startswith(before) or not target.endswith(after):
        return None
    middle = target[len(before) : len(target) - len(after)]
    return unquote(middle) if middle and "/" not in middle else None
