"""Decide what a visitor of the board may see and do."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from starlette.requests import HTTPConnection

from kafka_bridge.monitor.jobs import JobView

COOKIE = "kafka_bridge_board"
SHORTEST_TOKEN = 16
"""Characters. A shorter token could be guessed."""
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


class Access(Protocol):
    """What one visitor may see and do. Equal visitors share their summaries: it is hashable.

    A dead letter counts as its job: who may see the job may see the letter. If the letter cannot be
    read, that is a job whose request is None.
    """

    def may_see(self, job: JobView) -> bool:
        """Return whether the visitor may see the job: its state, texts, errors and times."""

    def may_see_payload(self, job: JobView) -> bool:
        """Return whether the visitor may see the payload and the result of a job."""

    def may_cancel(self, job: JobView) -> bool:
        """Return whether the visitor may cancel the job."""

    def may_replay(self, job: JobView) -> bool:
        """Return whether the visitor may send the dead letter of a job to its topic again."""


AccessOf: TypeAlias = Callable[[HTTPConnection], Access | Awaitable[Access | None] | None]
"""Returns what the sender of a request may do; None if the sender has to log in first.

It is called on the event loop: for each request, and again while a stream is open.
"""


async def access_by(access_of: AccessOf, connection: HTTPConnection) -> Access | None:
    """Return what the sender of a request may do."""
    found = access_of(connection)
    return await found if isinstance(found, Awaitable) else found


@dataclass(frozen=True, slots=True)
class FullAccess:
    """Everything is allowed."""

    def may_see(self, job: JobView) -> bool:  # noqa: ARG002
        """Return True."""
        return True

    def may_see_payload(self, job: JobView) -> bool:  # noqa: ARG002
        """Return True."""
        return True

    def may_cancel(self, job: JobView) -> bool:  # noqa: ARG002
        """Return True."""
        return True

    def may_replay(self, job: JobView) -> bool:  # noqa: ARG002
        """Return True."""
        return True


def full_access(_: HTTPConnection) -> Access:
    """Let every visitor do everything: on loopback, or behind a proxy with a login of its own."""
    return FullAccess()


class TokenAccess:
    """Lets those do everything who know a token.

    It comes as ``Authorization: Bearer …``, or as a cookie after a login. The cookie has a hash of
    the token, not the token itself. A new token ends all logins.

    :param token: at least :data:`SHORTEST_TOKEN` characters
    """

    def __init__(self, token: str) -> None:
        self._token = token.encode()
        self.cookie = hmac.digest(self._token, b"kafka-bridge board", hashlib.sha256).hex()

    def __call__(self, connection: HTTPConnection) -> Access | None:
        """Return full access, or None without the token."""
        scheme, _, token = connection.headers.get("authorization", "").partition(" ")
        by_header = scheme.lower() == "bearer" and self.fits(token.strip())
        cookie = connection.cookies.get(COOKIE, "")
        by_cookie = hmac.compare_digest(cookie.encode(), self.cookie.encode())
        return FullAccess() if by_header or by_cookie else None

    def fits(self, token: str) -> bool:
        """Return whether this is the token. It takes the same time for every wrong one."""
        return hmac.compare_digest(token.encode("utf-8", "surrogatepass"), self._token)


def is_loopback(host: str) -> bool:
    """Return whether only programs on this machine reach a server that listens on this host."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
