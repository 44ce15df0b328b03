"""What the file says of services and of the jobs they do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field

from kafka_bridge.gateway.expression_scope import JOB_NAMES, sees
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


OfSubmit = Annotated[TextTemplate, sees(*JOB_NAMES, "callback_url")]
BodyOfSubmit = Annotated[Expression, sees(*JOB_NAMES, "callback_url")]
OfSubmitted = Annotated[TextTemplate, sees(*JOB_NAMES, "external_id")]
BodyOfSubmitted = Annotated[Expression, sees(*JOB_NAMES, "external_id")]
PathOfSubmit = Annotated[OfSubmit, AfterValidator(_begins_with_slash)]
PathOfSubmitted = Annotated[OfSubmitted, AfterValidator(_begins_with_slash)]


class Submit(Strict):
    """The request that starts a job.

    :ivar body: by default the payload; with ``job_id`` and ``callback_url`` in it where the service
        calls back
    :ivar idempotency_header: carries the job's id, so that a service can tell a repetition
    :ivar external_id: where in the answer the service's own name for the job stands, by default
        the job's id. Where the body does not have it, the header ``Location`` may: a URL of this
        service that fits the path of ``polling``, ``cancel`` or ``result``
    :ivar external_id_header: another header that has it: the name itself, or such a URL
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
        """The names of the scope that its expressions look at."""
        return _names(self.path, self.body, self.headers)


def _names(
    path: Template, body: JmesPath | None, headers: Mapping[str, Template]
) -> frozenset[str]:
    of_body = frozenset() if body is None else body.names()
    return path.names().union(of_body, *(each.names() for each in headers.values()))


class Request(Strict):
    """A request about a job that was submitted."""

    method: Method = "GET"
    path: PathOfSubmitted
    headers: dict[HeaderName, OfSubmitted] = Field(default_factory=dict)
    body: BodyOfSubmitted | None = None

    @property
    def names(self) -> frozenset[str]:
        """The names of the scope that its expressions look at."""
        return _names(self.path, self.body, self.headers)


class ResultRequest(Request):
    """Fetches the result of a job that succeeded.

    :ivar value: where in the answer it stands; by default it is the whole answer
    """

    value: Expression | None = None


class Polling(Strict):
    """How a service is asked how a job is. In seconds.

    Before the nth question pass ``interval`` * ``factor`` ** (n - 1), at most ``maximum``, and up
    to ``jitter`` times that more at random; ``Retry-After`` is honoured. Without a usable answer
    for ``give_up_after`` the job fails.
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

    :ivar header: where the signature stands, in hexadecimal digits
    :ivar prefix: what stands before it, for example ``sha256=``
    """

    secret: Secret
    header: HeaderName = "X-Signature-256"
    prefix: str = ""


class Mode(StrEnum):
    """How the end of a job comes to be known."""

    POLLING = "polling"
    CALLBACK = "callback"
    SYNCHRONOUS = "synchronous"


class HttpJob(Strict):
    """A job type that a service does: a ``service`` of the file, or a ``url`` and all by default.

    :ivar polling: how the service is asked; in callback mode, what to fall back to, if anything
    :ivar signature: how callbacks are signed
    :ivar silence_timeout: seconds without a callback after which the job fails; by default as long
        as a callback URL is good
    :ivar result: a request for the result, where the end does not bring it
    :ivar cancel: the request that cancels a job; without one a job that is cancelled is abandoned
    :ivar already_exists: HTTP status codes by which a submit says that the job is there; by default
        409 where the service calls the job as we do
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
    cancel: Request | None = None
    already_exists: frozenset[Status] | None = None

    @classmethod
    def advice(cls, key: str) -> str:
        """Return what to do about a key that a job does not have."""
        if key in HttpService.model_fields:
            return "it belongs to a service: put the service under services, and name it here"
        return super().advice(key)

    def problems(self) -> Iterator[Problem]:
        """Yield settings that contradict each other."""
        if (self.url is None) == (self.service is None):
            yield Problem((), "expected one of url, service and command")
        yield from self._out_of_mode()
        yield from self._callback_url()

    def _callback_url(self) -> Iterator[Problem]:
        told = "callback_url" in self.submit.names
        if told and self.mode is not Mode.CALLBACK:
            yield Problem(("submit",), "there is a callback_url in mode callback only")
        if not told and self.mode is Mode.CALLBACK and self.submit.body is not None:
            words = "nothing tells the service its callback_url: put it into body, path or headers"
            yield Problem(("submit",), words)

    def _out_of_mode(self) -> Iterator[Problem]:
        if self.mode is Mode.SYNCHRONOUS:
            for name in ("polling", "cancel", "result"):
                if getattr(self, name) is not None:
                    yield Problem((name,), "makes no sense in mode synchronous")
        if self.mode is not Mode.CALLBACK:
            for name in ("signature", "silence_timeout"):
                if getattr(self, name) is not None:
                    yield Problem((name,), "makes sense in mode callback only")
