"""A login of Airflow with users that a test makes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from airflow.api_fastapi.core_api import security
from jwt import ExpiredSignatureError, InvalidTokenError

from kafka_bridge.airflow.board import login
from kafka_bridge.airflow.board.login import AirflowLogin
from kafka_bridge.airflow.board.rights import Deployment

HERE = Deployment("production", "kafka_board")
"""Its source is that of the requests of ``unit.monitor.records``."""


@dataclass(frozen=True)
class Person:
    """A user of Airflow."""

    name: str


@dataclass
class AuthManager:
    """Lets users do what a test says; notes what it is asked.

    :ivar grants: method, part of a DAG (or "connection"), and name
    """

    grants: set[tuple[str, str, str]] = field(default_factory=set)
    tokens: dict[str, Person] = field(default_factory=lambda: {"ann": Person("ann")})
    asked: list[tuple[str, str, str]] = field(default_factory=list)

    async def get_user_from_token(self, token: str) -> Person:
        if token == "expired":
            raise ExpiredSignatureError
        if token not in self.tokens:
            raise InvalidTokenError
        return self.tokens[token]

    def serialize_user(self, user: Person) -> dict[str, Any]:
        return {"sub": user.name}

    def is_authorized_dag(
        self, *, method: str, access_entity: Any, details: Any, user: Any
    ) -> bool:
        return self._is_granted(method, access_entity.value, details.id, user)

    def is_authorized_connection(self, *, method: str, details: Any, user: Any) -> bool:
        return self._is_granted(method, "connection", details.conn_id, user)

    def _is_granted(self, method: str, part: str, name: str, user: Any) -> bool:
        assert isinstance(user, Person)
        self.asked.append((method, part, name))
        return (method, part, name) in self.grants


def login_with(manager: AuthManager, monkeypatch: pytest.MonkeyPatch) -> AirflowLogin:
    """Return the login of an Airflow with this auth manager."""
    for module in (security, login):
        monkeypatch.setattr(module, "get_auth_manager", lambda: manager)
    return AirflowLogin(HERE)
