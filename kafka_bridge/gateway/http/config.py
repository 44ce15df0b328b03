"""The keys of a job type that an HTTP service runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field

from kafka_bridge.gateway.expression_scope import JOB_NAMES, uses_only
from kafka_bridge.gateway.expressions import Expression, JmesPath, Template, TextTemplate
from kafka_bridge.gateway.field_types import (
    BaseUrl,
    Factor,
    HeaderName,
    Method,
    Seconds,
    Share,
    Status,
    Text,
)
from kafka_bridge.gateway.http.answer_config import Answer
from kafka_bridge.gateway.http.service_config import HttpService
from kafka_bridge.gateway.secret import Secret
from kafka_bridge.gateway.strict_model import Problem, Strict


def _begins_with_slash(path: Template) -> Template:
    if not path.text.startswith("/"):
        raise ValueError(f"expected a path that begins with '/', not {path.text!r}")
    return path


OfSubmit = Annotated[TextTemplate, uses_only(*JOB_NAMES, "callback_url")]
BodyOfSubmit = Annotated[Expression, uses_only(*JOB_NAMES, "callback_url")]
OfSubmitted = Annotated[TextTemplate, uses_only(*JOB_NAMES, "external_id")]
BodyOfSubmitted = Annotated[Expression, uses_only(*JOB_NAMES, "external_id")]
PathOfSubmit = Annotated[OfSubmit, AfterValidator(_begins_with_slash)]
PathOfSubmitted = Annotated[OfSubmitted, AfterValidator(_begins_with_slash)]


class Submit(Strict):
    """The request that submits a job.

    :ivar body: by default the payload; in callback mode ``job_id`` and ``callback_url`` are added
    :ivar idempotency_header: contains the job's id, so that a service can recognise a repetition
    :ivar external_id: the expression for the service's own id of the job in the answer's body; by
        default the job's id is used. If the body does not contain it, the header ``Location`` may:
        a URL of this service that matches the path of ``polling``, ``cancel`` or ``result``
    :ivar external_id_header: another header with the id or with such a URL
    :ivar timeout: seconds for the answer; by default the service's, and 300 s in synchronous mode
    """

    method: Method = "POST"
    path: PathOfSubmit = Template.parse("/jobs/{job_id}")
    headers: dict[HeaderName, OfSubmit] = Field(default_factory=dict)
    body: BodyOfSubmit | None = None
    idempotency_header: HeaderName | None = "Idempotency-Key"
    external_id: Expression | None = None
    external_id_header: HeaderName | None = None
    timeout: Seconds | None = None

    @property
    def names(self) -> frozenset[str]:
        """The names of the scope that its expressions use."""
        return _names(self.path, self.body, self.headers)


def _names(
    path: Template, body: JmesPath | None, headers: Mapping[str, Template]
) -> frozenset[str]:
    of_body = frozenset() if body is None else body.names()
    return path.names().union(of_body, *(each.names() for each in headers.values()))


class FollowUpRequest(Strict):
    """A request about a submitted job."""

    method: Method = "GET"
    path: PathOfSubmitted
    headers: dict[HeaderName, OfSubmitted] = Field(default_factory=dict)
    body: BodyOfSubmitted | None = None

    @property
    def names(self) -> frozenset[str]:
        """The names of the scope that its expressions use."""
        return _names(self.path, self.body, self.headers)


class ResultRequest(FollowUpRequest):
    """The request that fetches the result of a job that succeeded.

    :ivar value: the expression for the result in the answer; by default the whole answer
    """

    value: Expression | None = None


class Polling(Strict):
    """How a service is polled for the status of a job. Times are in seconds.

    The pause before the nth request is ``interval`` * ``factor`` ** (n - 1), at most ``maximum``,
    plus a random part of up to ``jitter`` times the pause. ``Retry-After`` is honoured. The job
    fails if there is no usable answer for ``give_up_after``.
    """

    method: Method = "GET"
    path: PathOfSubmitted = Template.parse("/jobs/{external_id}")
    headers: dict[HeaderName, OfSubmitted] = Field(default_factory=dict)
    interval: Seconds = 1.0
    factor: Factor = 1.5
    maximum: Seconds = 10.0
    jitter: Share = 0.1
    give_up_after: Seconds = 300.0


class Signature(Strict):
    """The service signs the body of each callback with HMAC-SHA256.

    :ivar header: the header with the signature in hexadecimal digits
    :ivar prefix: the text before the digits, for example ``sha256=``
    """

    secret: Secret
    header: HeaderName = "X-Signature-256"
    prefix: str = ""


class Mode(StrEnum):
    """How the gateway detects the end of a job."""

    POLLING = "polling"
    CALLBACK = "callback"
    SYNCHRONOUS = "synchronous"


class HttpJob(Strict):
    """A job type that a service runs: a ``service`` of the file, or a ``url`` with defaults.

    :ivar polling: how the service is polled; in callback mode an optional fallback
    :ivar signature: how callbacks are signed
    :ivar silence_timeout: the seconds without a callback after which the job fails; by default the
        time for which a callback URL is valid
    :ivar result: the request for the result, if the terminal status does not contain it
    :ivar cancel: the request that cancels a job; without it, a cancelled job is abandoned
    :ivar already_exists: the HTTP status codes of a submit that mean that the job exists already;
        by default 409 if the service uses the job's id as its own
    """

    url: BaseUrl | None = None
    service: Text | None = None
    mode: Mode = Mode.POLLING
    submit: Submit = Submit()
    polling: Polling | None = None
    answer: Answer = Answer()
    signature: Signature | None = None
    silence_timeout: Seconds | None = None
    result: ResultRequest | None = None
    cancel: FollowUpRequest | None = None
    already_exists: frozenset[Status] | None = None

    @classmethod
    def advice(cls, key: str) -> str:
        """Return advice about a key that a job does not have."""
        if key in HttpService.model_fields:
            return "it belongs to a service: add it under services, and name the service here"
        return super().advice(key)

    def problems(self) -> Iterator[Problem]:
        """Yield settings that contradict each other."""
        if (self.url is None) == (self.service is None):
            yield Problem((), "expected exactly one of url, service and command")
        yield from self._out_of_mode()
        yield from self._callback_url()

    def _callback_url(self) -> Iterator[Problem]:
        is_passed = "callback_url" in self.submit.names
        if is_passed and self.mode is not Mode.CALLBACK:
            yield Problem(("submit",), "callback_url exists in mode callback only")
        if not is_passed and self.mode is Mode.CALLBACK and self.submit.body is not None:
            words = "the service is not given its callback_url: add it to body, path or headers"
            yield Problem(("submit",), words)

    def _out_of_mode(self) -> Iterator[Problem]:
        if self.mode is Mode.SYNCHRONOUS:
            for name in ("polling", "cancel", "result"):
                if getattr(self, name) is not None:
                    yield Problem((name,), "cannot be used in mode synchronous")
        if self.mode is not Mode.CALLBACK:
            for name in ("signature", "silence_timeout"):
                if getattr(self, name) is not None:
                    yield Problem((name,), "can be used in mode callback only")
