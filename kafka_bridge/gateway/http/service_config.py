"""The keys of a service in the file: where it is, credentials, limits and retries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Discriminator, Field, FilePath, Tag

from kafka_bridge.gateway.field_types import (
    AboveZero,
    AtLeastOne,
    BaseUrl,
    CountOrZero,
    Factor,
    HeaderName,
    HeaderText,
    Seconds,
    SecondsOrZero,
    Text,
)
from kafka_bridge.gateway.secret import Secret
from kafka_bridge.gateway.strict_model import Problem, Strict


class Basic(Strict):
    """HTTP's basic authentication."""

    username: Text
    password: Secret


class Auth(Strict):
    """The credentials of the gateway: one of these."""

    bearer: Secret | None = None
    basic: Basic | None = None

    def problems(self) -> Iterator[Problem]:
        """Yield a problem unless exactly one is given."""
        if (self.bearer is None) == (self.basic is None):
            yield Problem((), "expected either bearer or basic")


class Retries(Strict):
    """How requests are retried after a 5xx, 408, 425 or 429, or without an answer.

    ``Retry-After`` is honoured. Times are in seconds; see :class:`~kafka_bridge.worker.Backoff`.
    """

    limit: CountOrZero = 5
    initial: SecondsOrZero = 0.5
    factor: Factor = 2.0
    maximum: SecondsOrZero = 30.0
    jitter: SecondsOrZero = 0.5


HeaderValue = Annotated[
    Annotated[HeaderText, Tag("(text)")] | Annotated[Secret, Tag("(secret)")],
    Discriminator(lambda value: "(secret)" if isinstance(value, dict | Secret) else "(text)"),
]


class HttpService(Strict):
    """An HTTP service: its address, credentials and limits.

    :ivar rate: the maximum number of requests per second
    :ivar concurrency: the maximum number of jobs at the same time
    """

    url: BaseUrl
    auth: Auth | None = None
    headers: dict[HeaderName, HeaderValue] = Field(default_factory=dict)
    ca_bundle: FilePath | None = None
    timeout: Seconds = 30.0
    max_connections: AtLeastOne = 100
    max_answer_bytes: AtLeastOne = 10_000_000
    rate: AboveZero | None = None
    concurrency: AtLeastOne | None = None
    retries: Retries = Retries()
