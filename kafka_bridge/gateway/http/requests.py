"""The requests that a job makes, from the file's templates and the job's own values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kafka_bridge.gateway.expressions import ExpressionFailed, Scope, Template, path_segment
from kafka_bridge.gateway.field_types import not_in_header
from kafka_bridge.gateway.http.client import Call
from kafka_bridge.gateway.http.config import HttpJob, Mode, Polling, Request
from kafka_bridge.gateway.mask import Mask
from kafka_bridge.worker import ApplicationError
from kafka_bridge.worker.errors import invalid_payload


def submit_call(job: HttpJob, scope: Scope, mask: Mask) -> Call:
    """Return the request that submits a job.

    :param mask: masks the answer
    :raises ApplicationError: the payload lacks what the request needs
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
"""How long a service may take whose answer is the result, where the file does not say."""


def _default_body(method: str, scope: Scope) -> Any:
    """Return the payload; where the service calls back, with what it needs for that."""
    payload = scope["payload"]
    if method not in {"POST", "PUT", "PATCH"}:
        return None
    if "callback_url" not in scope:
        return payload
    own = {name: scope[name] for name in ("job_id", "callback_url")}
    if payload is None:
        return own
    return {**payload, **own} if isinstance(payload, Mapping) else {"payload": payload, **own}


def call_about(request: Request | Polling, scope: Scope, mask: Mask) -> Call:
    """Return a request about a job that was submitted.

    :param mask: masks the answer
    :raises ApplicationError: the payload lacks what the request needs
    """
    body = request.body if isinstance(request, Request) else None
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
                f"the payload makes a request that cannot be sent: the header {name} would contain "
                f"{unfit}. Send such a value in the body or in the path"
            )
    return headers


def _search(expression: Any, scope: Scope) -> Any:
    try:
        return expression.search(scope)
    except ExpressionFailed as error:
        raise _invalid(error) from None


def _invalid(error: ExpressionFailed) -> ApplicationError:
    return invalid_payload(f"no request can be made of the payload: {error}")
