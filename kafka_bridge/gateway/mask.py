"""Replaces secrets, in all forms in which they may occur, by ``***``.

Services and programs know the secrets that they are given and may repeat them: in a redirect, in an
error, in a result, in a log line. Text is masked as soon as it arrives, before it is cut, because
half a secret would not be recognised. Everything that leaves a handler is masked
once more (:mod:`kafka_bridge.gateway.outbound`).

The derived forms are those that GitHub's runner also masks (``ValueEncoders.cs``).
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from urllib.parse import quote, quote_plus

MASK = "***"
MIN_CHARACTERS = 8
"""Shorter lines of a secret and shorter derived forms are not masked, because they also occur in
ordinary text. The secret itself is always masked."""
MAX_EARLIER = 16
"""How many earlier values of renewed secrets are masked. Current values are always masked."""


class Mask:
    """Masks secrets. Secrets are added on one thread; any thread may mask.

    :param beside: another mask, whose secrets are also masked
    """

    def __init__(self, *secrets: str, beside: Mask | None = None) -> None:
        self._beside = beside
        self._secrets: dict[str, None] = {}
        self._texts: Sequence[str] = ()
        self._bytes: Sequence[bytes] = ()
        self._in_json: Sequence[str] = ()
        self.add(*secrets)

    def add(self, *secrets: str) -> None:
        """Mask these secrets from now on: the current values of all secrets in use."""
        if all(each in self._secrets for each in secrets):
            return
        earlier = [each for each in self._secrets if each not in secrets][-MAX_EARLIER:]
        self._secrets = dict.fromkeys([*earlier, *secrets])
        forms = {form for each in self._secrets for form in forms_of(each)}
        self._texts = sorted(forms, key=len, reverse=True)  # one may be the beginning of another
        self._bytes = [each.encode("utf-8", "surrogateescape") for each in self._texts]
        self._in_json = [json.dumps(each, ensure_ascii=False)[1:-1] for each in self._texts]

    def text(self, text: str) -> str:
        """Return a text with masked secrets."""
        for form in self._texts:
            text = text.replace(form, MASK)
        return text if self._beside is None else self._beside.text(text)

    def data(self, data: bytes) -> bytes:
        """Return bytes with masked secrets, in UTF-8."""
        for form in self._bytes:
            data = data.replace(form, MASK.encode())
        return data if self._beside is None else self._beside.data(data)

    def value(self, value: Any) -> Any:
        """Return a JSON value or bytes with masked secrets: in keys, strings and numbers."""
        if isinstance(value, bytes):
            return self.data(value)
        if isinstance(value, dict | list):
            # Most values contain no secret. Masking each part of a large one blocks the loop.
            text = json.dumps(value, ensure_ascii=False, default=str)
            if not self._may_be_in(text):
                return value
        return self._masked(value)

    def _masked(self, value: Any) -> Any:
        match value:
            case str():
                return self.text(value)
            case dict():
                return {self._masked(key): self._masked(part) for key, part in value.items()}
            case list():
                return [self._masked(part) for part in value]
            case bool() | None:
                return value
            case int() | float():
                return MASK if self._is_secret(str(value)) else value
        return value

    def _may_be_in(self, json_text: str) -> bool:
        if any(form in json_text for form in self._in_json):
            return True
        return self._beside is not None and self._beside._may_be_in(json_text)  # noqa: SLF001  same class

    def _is_secret(self, text: str) -> bool:
        beside = self._beside is not None and self._beside._is_secret(text)  # noqa: SLF001  same class
        return text in self._secrets or beside

    def forms(self) -> Iterator[bytes]:
        """Yield all masked forms, as bytes."""
        yield from self._bytes
        if self._beside is not None:
            yield from self._beside.forms()


class MaskedStream:
    """Masks a stream of pieces, wherever it is cut.

    A possible beginning of a secret is held back until the next piece.
    """

    def __init__(self, mask: Mask) -> None:
        self._mask = mask
        self._held = b""

    def feed(self, piece: bytes) -> bytes:
        """Add a piece; return the masked bytes that can be passed on."""
        data = self._held + piece
        end = self._safe_end(data)
        self._held = data[end:]
        return self._mask.data(data[:end])

    def end(self) -> bytes:
        """Return the bytes that were held back; a cut-off secret is masked."""
        data, self._held = self._held, b""
        begun = max((_overlap(data, form) for form in self._mask.forms()), default=0)
        if begun < MIN_CHARACTERS:
            return self._mask.data(data)
        return self._mask.data(data[: len(data) - begun]) + MASK.encode()

    def _safe_end(self, data: bytes) -> int:
        """Return where to cut, so that no secret is or may become part of both sides.

        A secret on both sides is held back completely.
        """
        forms = list(self._mask.forms())
        end = len(data) - max((_overlap(data, form) for form in forms), default=0)
        cut = len(data) + 1
        while end < cut:
            cut = end
            for form in forms:
                begin = data.find(form, max(0, cut - len(form) + 1), cut + len(form) - 1)
                end = min(end, begin) if 0 <= begin < cut else end
        return end


def _overlap(data: bytes, form: bytes) -> int:
    """Return the length of the longest end of the data that is the beginning of a form."""
    begin = data.find(form[:1], max(0, len(data) - len(form) + 1))
    while begin >= 0:
        if form.startswith(data[begin:]):
            return len(data) - begin
        begin = data.find(form[:1], begin + 1)
    return 0


def forms_of(secret: str) -> set[str]:
    """Return a secret, its lines, and their forms in JSON, URLs, XML and base64."""
    if not secret:
        return set()
    lines = [line.strip() for line in secret.splitlines()]
    found = {secret}
    for part in (secret, *(line for line in lines if len(line) >= MIN_CHARACTERS)):
        found.add(part)
        found |= _long(_escaped(part))
    return found | _long(_in_base64(secret.encode("utf-8", "surrogateescape")))


def _long(forms: Iterable[str]) -> set[str]:
    return {form for form in forms if len(form) >= MIN_CHARACTERS}


def _escaped(text: str) -> Iterator[str]:
    for in_json in (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]):
        yield in_json
        yield in_json.replace("/", r"\/")  # as PHP writes it
    yield repr(text)[1:-1]
    yield html.escape(text)
    data = text.encode("utf-8", "surrogateescape")
    for in_url in (quote(data), quote(data, safe=""), quote_plus(data)):
        yield in_url
        yield re.sub("%..", lambda code: code[0].lower(), in_url)


def _in_base64(data: bytes) -> Iterator[str]:
    """Yield the base64 (RFC 4648) of data, on its own and as a part of longer data.

    Three bytes are four characters, so preceding data may shift it by zero, one or two bytes.
    Characters that also depend on neighbouring bytes are left out.
    """
    for alphabet in (b"+/", b"-_"):
        yield base64.b64encode(data, alphabet).decode()
        yield base64.b64encode(data, alphabet).decode().rstrip("=")
        for shift, depending in ((0, 0), (1, 2), (2, 3)):
            whole = 8 * (shift + len(data)) // 6
            yield base64.b64encode(bytes(shift) + data, alphabet).decode()[depending:whole]
