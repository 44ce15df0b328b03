"""Builds the requests of a job from the templates of the file and the values of the job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kafka_bridge.gateway.expressions import ExpressionFailed, Scope, Template, path_segment
from kafka_bridge.gateway.field_types import not_in_header
from kafka_bridge.gateway.http.client import Call
from kafka_bridge.gateway.http.config import FollowUpRequest, HttpJob, Mode, Polling
from kafka_bridge.gateway.mask import Mask
from kafka_bridge.worker import ApplicationError
from kafka_bridge.worker.errors import invalid_payload


def submit_call(job: HttpJob, scope: Scope, mask: Mask) -> Call:
    """Return the request that submits a job.

    :param mask: masks the answer
    :raises ApplicationError: the request cannot be built from the payload
    """
    submit = job.submit
    if job.mode is Mode.SYNCHRONOUS and submit.timeout is None:
        timeout: float | None = SYNCHRONOUS_SECONDS
    else:
        timeout = submit.timeout
    headers = _headers(submit.headers, scope)
    if submit.idempotency_header is not None:
        headers[submit.idempotency_header] = scope["job_id"]
    return Call(
        submit.method,
        _path(submit.path, scope),
        headers,
        _search(submit.body, scope) if submit.body else _default_body(submit.method, scope),
        timeout,
        mask,
    )


SYNCHRONOUS_SECONDS = 300.0
"""The default timeout of a submit whose answer is the result."""


def _default_body(method: str, scope: Scope) -> Any:
    """Return the payload; in callback mode with ``job_id`` and ``callback_url`` added."""
    payload = scope["payload"]
    if method not in {"POST", "PUT", "PATCH"}:
        return None
    if "callback_url" not in scope:
        return payload
    own = {name: scope[name] for name in ("job_id", "callback_url")}
    if payload is None:
        return own
    return {**payload, **own} if isinstance(payload, Mapping) else {"payload": payload, **own}


def call_about(request: FollowUpRequest | Polling, scope: Scope, mask: Mask) -> Call:
    """Return a request about a submitted job.

    :param mask: masks the answer
    :raises ApplicationError: the request cannot be built from the payload
    """
    body = request.body if isinstance(request, FollowUpRequest) else None
    return Call(
        request.method,
        _path(request.path, scope),
        _headers(request.headers, scope),
        _search(body, scope) if body else None,
        mask=mask,
    )


def _path(template: Template, scope: Scope) -> str:
    try:
        return template.render(scope, path_segment)
    except ExpressionFailed as error:
        raise _invalid(error) from None


def _headers(templates: Mapping[str, Template], scope: Scope) -> dict[str, str]:
    try:
        headers = {name: template.render(scope) for name, template in templates.items()}
    except ExpressionFailed as error:
        raise _invalid(error) from None
    for name, text in headers.items():
        if unfit := not_in_header(text):
            raise invalid_payload(
                f"the payload results in a request that cannot be sent: the header {name} would "
                f"contain {unfit}. Send this value in the body or in the path"
            )
    return headers


def _search(expression: Any, scope: Scope) -> Any:
    try:
        return expression.search(scope)
    except ExpressionFailed as error:
        raise _invalid(error) from None


def _invalid(error: ExpressionFailed) -> ApplicationError:
    return invalid_payload(f"the request cannot be built from the payload: {error}")
