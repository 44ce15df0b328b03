"""Who we are to a service, as its requests say it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass

from kafka_bridge.gateway.http.config import Service
from kafka_bridge.gateway.secret import Secret


@dataclass(frozen=True, slots=True)
class Credentials:
    """The headers of a service's requests, and what of them must not appear in any text.

    A service may send back what it was sent, so ``secrets`` are those that stand in ``headers``:
    a file that is renewed between two readings would give others.
    """

    headers: Mapping[str, str]
    secrets: tuple[str, ...]


def credentials_of(service: Service) -> Credentials:
    """Return what the file says of a service, each secret read once.

    :raises ValueError: a secret is not there
    """
    secrets: list[str] = []

    def text(value: str | Secret) -> str:
        if isinstance(value, str):
            return value
        secrets.append(value.reveal())
        return secrets[-1]

    headers = {name: text(value) for name, value in service.headers.items()}
    if service.auth is not None and service.auth.bearer is not None:
        headers["Authorization"] = f"Bearer {text(service.auth.bearer)}"
    if service.auth is not None and (basic := service.auth.basic) is not None:
        pair = f"{basic.username}:{text(basic.password)}".encode()
        headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
    return Credentials(headers, tuple(secrets))
