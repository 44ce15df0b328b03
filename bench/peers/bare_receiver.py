"""The minimum that accepts callbacks: a FastAPI endpoint that reads them and answers 202.

Run it with ``python -m bench.peers.bare_receiver PORT``. It does not store the callbacks.
"""

from __future__ import annotations

import sys

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)


@app.post("/callbacks/{token}")
async def take(token: str, request: Request) -> JSONResponse:  # noqa: ARG001  as in our path
    """Answer that it was accepted."""
    await request.body()
    return JSONResponse({"detail": "accepted"}, 202)


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error", access_log=False)
