"""The page itself: alone, or as a part of Airflow's user interface."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from kafka_bridge.board.access import access_by
from kafka_bridge.board.board import TheBoard

STATIC = Path(__file__).parent / "static"
OF_FILES = {"Cache-Control": "no-cache"}
"""The browser asks each time whether a file has changed."""
_HTML = '<html lang="en">'


@dataclass(frozen=True, slots=True)
class AirflowPages:
    """The Airflow whose API server has the board.

    The page has links to Airflow's pages of tasks then, and Airflow's choice of light or dark.

    :ivar root: the path of Airflow's pages: ``/``, or for example ``/airflow/``
    :ivar source: its name in job requests: only their tasks have a page there
    """

    root: str
    source: str

    def login(self, address: str) -> str:
        """Return the address of Airflow's login, which then leads to this address."""
        return f"{self.root}api/v2/auth/login?next={quote(address, safe='')}"


def page_router(airflow: AirflowPages | None) -> APIRouter:
    """Return the route of the page.

    It shows nothing without its answers, so everybody may have it. But in Airflow, visitors that
    have to log in are led to the login.
    """
    router = APIRouter()
    text = (STATIC / "index.html").read_text(encoding="utf-8")
    if airflow is not None:
        attributes = {"data-airflow-root": airflow.root, "data-airflow-source": airflow.source}
        shown = " ".join(f'{name}="{escape(value)}"' for name, value in attributes.items())
        text = text.replace(_HTML, f"{_HTML.removesuffix('>')} {shown}>", 1)

    @router.get("/", include_in_schema=False)
    async def page(request: Request, board: TheBoard) -> Response:
        if airflow is not None and await access_by(board.access_of, request) is None:
            query = f"?{request.url.query}" if request.url.query else ""
            return RedirectResponse(airflow.login(request.url.path + query), 303)
        return HTMLResponse(text, headers=OF_FILES)

    return router
