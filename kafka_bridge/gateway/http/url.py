"""The address of a service: where requests go is fixed by the file, never by a payload."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator


def _base_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError(f"expected an http:// or https:// URL, not {text!r}")
    if parts.username or parts.password:
        raise ValueError("expected a URL without a password in it: use auth")
    if parts.query or parts.fragment:
        raise ValueError("expected a URL without '?' and '#': parameters go into path")
    return text.rstrip("/")


BaseUrl = Annotated[str, AfterValidator(_base_url)]
