"""The receiver over HTTP: ``POST`` or ``PUT /callbacks/{token}``, and ``GET /health``."""

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
_WORDS = {
    CallbackOutcome.ACCEPTED: "accepted",
    CallbackOutcome.DUPLICATE: "this callback was already accepted",
}


def callback_app(
    receiver: CallbackReceiver, path: str, count: Callable[[CallbackOutcome], None]
) -> FastAPI:
    """Return an application that takes callbacks.

    :param path: of the public URL: some proxies leave it in what they pass on, some take it out
    :param count: is told what became of each callback
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    async def take(request: Request) -> Response:
        token = request.path_params["token"]
        try:
            outcome = await receiver.take(token, request.headers, request.stream())
            detail = _WORDS[outcome]
        except CallbackRefused as refused:
            outcome, detail = refused.outcome, str(refused)
        except ClientDisconnect:  # it has given up, and hears no answer
            return Response(status_code=STATUS[CallbackOutcome.TOO_SLOW])
        count(outcome)
        return _answer(outcome, detail)

    async def health() -> dict[str, str]:
        return {"status": "ok"}

    for each in dict.fromkeys(("", path)):
        # A plain route: nothing of a request but its bytes is looked at before it is checked.
        app.add_route(f"{each}/callbacks/{{token}}", take, methods=["POST", "PUT"])
    app.add_api_route("/health", health)
    return app


def _answer(outcome: CallbackOutcome, detail: str) -> Response:
    headers = {}
    if outcome is CallbackOutcome.UNAVAILABLE:
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    text = detail.encode("utf-8", "backslashreplace").decode()  # it may quote half a character
    return JSONResponse({"detail": text}, STATUS[outcome], headers)
