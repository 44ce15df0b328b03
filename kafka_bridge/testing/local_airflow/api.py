"""A small client of Airflow's public API, logged in like the UI."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import httpx

from kafka_bridge.testing.local_airflow.errors import ApiError, ApiUnavailable

REQUEST_SECONDS = 30.0
PAGE = 100
"""Airflow returns no more entries at once (``[api] maximum_page_limit``)."""


def path(*parts: str | int) -> str:
    """Join ``parts`` to a path, escaping what a run id may hold (``+``, ``:``)."""
    return "/".join(quote(str(part), safe="~") for part in parts)


class AirflowApi:
    """Requests to ``/api/v2``, made for SimpleAuthManager.

    :param user: who logs in, with the name as the password; None if everybody is an administrator
    """

    def __init__(self, base_url: str, user: str | None = None) -> None:
        self.base_url = base_url
        self._user = user
        self._client: httpx.Client | None = None

    def get(self, url: str, **params: Any) -> Any:
        """GET ``url`` (relative to ``/api/v2/``) and return the decoded JSON.

        Raises :class:`ApiError` on a refusal, :class:`ApiUnavailable` if there is no answer.
        """
        return self._request("GET", f"/api/v2/{url}", params=params)

    def post(self, url: str, body: Any) -> Any:
        """POST ``body`` as JSON; otherwise like :meth:`get`."""
        return self._request("POST", f"/api/v2/{url}", json=body)

    def patch(self, url: str, body: Any) -> Any:
        """PATCH with ``body`` as JSON; otherwise like :meth:`get`."""
        return self._request("PATCH", f"/api/v2/{url}", json=body)

    def get_all(self, url: str, key: str, **params: Any) -> list[dict[str, Any]]:
        """GET every page of a collection whose entries are under ``key``."""
        found: list[dict[str, Any]] = []
        while True:
            page = self.get(url, limit=PAGE, offset=len(found), **params)
            found += page[key]
            if not page[key] or len(found) >= page["total_entries"]:
                return found

    def health(self) -> dict[str, Any]:
        """Return ``/monitor/health``: status and last heartbeat of each component."""
        health: dict[str, Any] = self.get("monitor/health")
        return health

    def import_errors(self) -> list[dict[str, Any]]:
        """Return the import errors of all DAG files."""
        return self.get_all("importErrors", "import_errors")

    def warm_up(self) -> None:
        """Request the health of the execution API, which tasks use.

        Airflow creates it at the first request, which takes seconds: no task should wait for that.
        """
        self._request("GET", "/execution/health")

    def close(self) -> None:
        """Close the connections; a later request opens them again."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _request(self, method: str, url: str, **arguments: Any) -> Any:
        try:
            client = self._client = self._client or self._log_in()
            answer = client.request(method, url, **arguments)
        except httpx.TransportError as error:
            raise ApiUnavailable(0, f"{method} {url}: no answer ({error!r})") from error
        self._check(answer, f"{method} {url}")
        return answer.json()

    def _log_in(self) -> httpx.Client:
        # trust_env=False: no proxy and no netrc between us and loopback.
        client = httpx.Client(base_url=self.base_url, timeout=REQUEST_SECONDS, trust_env=False)
        try:
            if self._user is None:
                answer = client.get("/auth/token")
            else:
                login = {"username": self._user, "password": self._user}
                answer = client.post("/auth/token", json=login)
            self._check(answer, "/auth/token")
        except BaseException:
            client.close()
            raise
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        return client

    @staticmethod
    def _check(answer: httpx.Response, what: str) -> None:
        if answer.is_success:
            return
        kind = ApiUnavailable if answer.is_server_error else ApiError
        raise kind(answer.status_code, f"{what}: {answer.status_code} {answer.text[:2000]}")
