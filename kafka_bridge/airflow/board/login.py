"""The visitor of the board is the user that is logged in to Airflow."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from typing import Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.core_api.security import get_user
from fastapi import HTTPException, Request
from fastapi.security import HTTPBearer
from starlette.requests import HTTPConnection

from kafka_bridge.airflow.board.rights import Deployment, UserAccess

MOST_USERS = 1_000
"""How many users have their decisions kept."""
_NOT_LOGGED_IN = (401, 403)
"""Airflow answers so to a token that is missing or has expired, and to one that is not valid."""
_bearer = HTTPBearer(auto_error=False)


class AirflowLogin:
    """Returns what the sender of a request may do, by Airflow's cookie or token."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._known: OrderedDict[str, UserAccess] = OrderedDict()

    async def __call__(self, connection: HTTPConnection) -> UserAccess | None:
        """Return what the sender may do, or None if it has to log in first."""
        request = Request(connection.scope)
        try:
            user = await get_user(request, None, await _bearer(request))
        except HTTPException as error:
            if error.status_code in _NOT_LOGGED_IN:
                return None
            raise
        manager = get_auth_manager()
        key = _digest(manager.serialize_user(user))
        access = self._known.get(key)
        if access is None:
            access = self._known[key] = UserAccess(user, manager, self._deployment)
        access.user = user
        self._known.move_to_end(key)
        if len(self._known) > MOST_USERS:
            self._known.popitem(last=False)
        return access


def _digest(claims: dict[str, Any]) -> str:
    """Return a name for a user with these claims, which may have secrets among them."""
    text = json.dumps(claims, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
