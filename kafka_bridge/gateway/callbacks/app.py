"""The HTTP endpoints of the receiver: ``POST`` or ``PUT /callbacks/{token}``, ``GET /health``."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

from kafka_bridge.gateway.callbacks.callback_outcome import CallbackOutcome, CallbackRefused
from kafka_bridge.gateway.callbacks.receiver import CallbackReceiver

STATUS: Mapping[CallbackOutcome, int] = {
    CallbackOutcome.ACCEPTED: 202,
    CallbackOutcome.DUPLICATE: 200,
    CallbackOutcome.UNAUTHORIZED: 401,
    CallbackOutcome.EXPIRED: 403,
    CallbackOutcome.UNKNOWN_JOB_TYPE: 404,
    CallbackOutcome.TOO_SLOW: 408,
    CallbackOutcome.CONFLICT: 409,
    CallbackOutcome.OVERSIZED: 413,
    CallbackOutcome.MALFORMED: 422,
    CallbackOutcome.UNAVAILABLE: 503,
}
RETRY_AFTER_SECONDS = 5
_DETAILS = {
    CallbackOutcome.ACCEPTED: "accepted",
    CallbackOutcome.DUPLICATE: "this callback was already accepted",
}


def callback_app(
    receiver: CallbackReceiver, path: str, count: Callable[[CallbackOutcome], None]
) -> FastAPI:
    """Return an application that receives callbacks.

    :param path: the path of the public URL; some proxies keep it in requests, others remove it
    :param count: is called with the outcome of each callback
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    async def receive(request: Request) -> Response:
        token = request.path_params["token"]
        try:
            outcome = await receiver.receive(token, request.headers, request.stream())
            detail = _DETAILS[outcome]
        except CallbackRefused as refused:
            outcome, detail = refused.outcome, str(refused)
        except ClientDisconnect:  # the client has gone and does not read an answer
            return Response(status_code=STATUS[CallbackOutcome.TOO_SLOW])
        count(outcome)
        return _answer(outcome, detail)

    async def health() -> dict[str, str]:
        return {"status": "ok"}

    for each in dict.fromkeys(("", path)):
        # A plain route: nothing is parsed before the token is checked.
        app.add_route(f"{each}/callbacks/{{token}}", receive, methods=["POST", "PUT"])
    app.add_api_route("/health", health)
    return app


def _answer(outcome: CallbackOutcome, detail: str) -> Response:
    headers = {}
    if outcome is CallbackOutcome.UNAVAILABLE:
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    text = detail.encode("utf-8", "backslashreplace").decode()  # it may contain half a character
    return JSONResponse({"detail": text}, STATUS[outcome], headers)
