"""The address of a service: where requests go is fixed by the file, never by a payload."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator

from kafka_bridge.gateway.field_types import expect


def _base_url(text: str) -> str:
    if "@" in text:  # told apart from others first: the text must not be shown
        raise ValueError("expected a URL without a password, and without '@': use auth")
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        expect("an http:// or https:// URL")
    if parts.query or parts.fragment:
        raise ValueError("expected a URL without '?' and '#': parameters go into path")
    return text.rstrip("/")


BaseUrl = Annotated[str, AfterValidator(_base_url)]
