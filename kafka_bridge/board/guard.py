"""What stands before every route: the check of the host, the headers of every answer."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
)
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": CSP,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
}
CUSTOM_HEADER = "X-Kafka-Bridge"
"""A page of another site cannot send it without a question that the board does not answer."""


class Guard:
    """Adds the headers of :data:`HEADERS` to each answer, also to errors, and refuses other hosts.

    A page of another site can have a name of its own lead to 127.0.0.1 (DNS rebinding). Then the
    browser lets it read the answers. Its requests have that name as their host.

    :param hosts: the allowed hosts, without ports; None: all
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str] | None = None) -> None:
        self._app = app
        self._hosts = None if hosts is None else {each.lower() for each in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        has_begun = False

        async def send_with_headers(message: Message) -> None:
            nonlocal has_begun
            if message["type"] == "http.response.start":
                has_begun = True
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        app = self._app if self._is_allowed(Headers(scope=scope).get("host", "")) else _refusal
        try:
            await app(scope, receive, send_with_headers)
        except Exception:
            if not has_begun:  # else the browser sees that the answer is not whole
                await _failure(scope, receive, send_with_headers)
            raise  # the server logs it

    def _is_allowed(self, host: str) -> bool:
        return self._hosts is None or _without_port(host) in self._hosts


_refusal = JSONResponse(
    {
        "detail": "This host name is not allowed. Open the address that the command printed, or "
        "start the board with a token"
    },
    400,
)

_failure = JSONResponse({"detail": "The board failed. The log of its server says why"}, 500)


def _without_port(host: str) -> str:
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
    return f"[{name}]" if ":" in name else name


def is_from_board(headers: Headers) -> bool:
    """Return whether a request that changes something comes from the board's own page, or no page.

    Browsers say from where a request comes in ``Sec-Fetch-Site``, except for plain HTTP to another
    machine. There, and for programs, it is the custom header.
    """
    site = headers.get("sec-fetch-site")
    return site == "same-origin" if site is not None else CUSTOM_HEADER in headers
