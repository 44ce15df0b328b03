"""The headers with which the gateway authenticates itself to a service."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass

from kafka_bridge.gateway.field_types import not_in_header
from kafka_bridge.gateway.http.service_config import HttpService
from kafka_bridge.gateway.secret import Secret


@dataclass(frozen=True, slots=True)
class Credentials:
    """The headers of a service's requests, and the ``secrets`` in them, which must be masked."""

    headers: Mapping[str, str]
    secrets: tuple[str, ...]


def credentials_of(service: HttpService) -> Credentials:
    """Return the configured headers of a service; each secret is read once.

    :raises ValueError: a secret is missing, or a header cannot contain it
    """
    secrets: list[str] = []

    def reveal(secret: Secret) -> str:
        secrets.append(secret.reveal())
        return secrets[-1]

    def text(value: str | Secret) -> str:
        if isinstance(value, str):
            return value
        if not_in_header(
            found := reveal(value)
        ):  # the character is not shown: it is part of the secret
            raise ValueError(f"{value.where} is not one line of ASCII, as a header must be")
        return found

    headers = {name: text(value) for name, value in service.headers.items()}
    if service.auth is not None and service.auth.bearer is not None:
        headers["Authorization"] = f"Bearer {text(service.auth.bearer)}"
    if service.auth is not None and (basic := service.auth.basic) is not None:
        pair = f"{basic.username}:{reveal(basic.password)}"
        secrets.append(pair)
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    return Credentials(headers, tuple(secrets))
