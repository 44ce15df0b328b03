"""Whether a callback's body is signed as the file says."""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from kafka_bridge.gateway.callbacks.config import Signature
from kafka_bridge.gateway.callbacks.receipts import CallbackOutcome, CallbackRefused


def check_signature(signature: Signature, headers: Mapping[str, str], body: bytes) -> None:
    """Return if the body is signed with the shared secret.

    :param headers: the request's; looked up without regard to case
    :raises CallbackRefused: it is not
    :raises ValueError: the secret cannot be read
    """
    given = headers.get(signature.header)
    if given is None:
        raise _refused(f"the header {signature.header} with the body's signature is missing")
    expected = hmac.new(signature.secret.reveal().encode(), body, "sha256").hexdigest()
    digits = given.removeprefix(signature.prefix).strip().lower()
    is_prefixed = given.startswith(signature.prefix)
    # As bytes: of texts, compare_digest takes ASCII only.
    if not hmac.compare_digest(digits.encode(), expected.encode()) or not is_prefixed:
        raise _refused(
            f"the signature in the header {signature.header} is not this body's: expected "
            f"{signature.prefix!r} and the HMAC-SHA256 of the body in hexadecimal digits"
        )


def _refused(why: str) -> CallbackRefused:
    return CallbackRefused(CallbackOutcome.UNAUTHORIZED, why)
