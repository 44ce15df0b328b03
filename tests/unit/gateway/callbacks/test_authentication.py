"""Callback URLs: only this gateway can make them, and they expire."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from itsdangerous import TimestampSigner, URLSafeTimedSerializer

from kafka_bridge.gateway.callbacks.authentication import CallbackToken, CallbackTokens
from kafka_bridge.gateway.callbacks.callback_outcome import CallbackOutcome, CallbackRefused
from kafka_bridge.gateway.callbacks.config import CallbackConfig
from unit.gateway.callbacks.conftest import JOB, PUBLIC_URL, Callbacks

SECRET = "a secret that nobody can guess"


def token_in(url: str) -> str:
    """Return the token in a callback URL."""
    return url.removeprefix(f"{PUBLIC_URL}/callbacks/")


def outcome_of(tokens: CallbackTokens, token: str) -> CallbackOutcome:
    """Return why a token is refused."""
    with pytest.raises(CallbackRefused) as refused:
        tokens.read(token)
    return refused.value.outcome


def test_url_contains_its_job(callbacks: Callbacks) -> None:
    """Every gateway that has the same secret can read it."""
    url = CallbackTokens(callbacks()).url(JOB, "wörk/../../x")
    assert url.startswith(f"{PUBLIC_URL}/callbacks/")
    assert url.removeprefix(PUBLIC_URL).count("/") == 2
    assert CallbackTokens(callbacks()).read(token_in(url)) == CallbackToken(JOB, "wörk/../../x")


def test_forged_tokens_are_refused(callbacks: Callbacks, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that was changed, or made with another secret or for another purpose, is refused."""
    tokens = CallbackTokens(callbacks())
    good = token_in(tokens.url(JOB, "work"))
    for at in range(len(good)):
        other = "A" if good[at] != "A" else "B"
        forged = good[:at] + other + good[at + 1 :]
        # The last digit of a signature has bits to spare, which decoding leaves out.
        if at != len(good) - 1:
            assert outcome_of(tokens, forged) is CallbackOutcome.UNAUTHORIZED
    for nonsense in ("", ".", "..", "a.b.c", "ü", good[:-10], good + "x" * 5000):
        assert outcome_of(tokens, nonsense) is CallbackOutcome.UNAUTHORIZED
    assert outcome_of(tokens, URLSafeTimedSerializer(SECRET).dumps([JOB, "work"])) is (
        CallbackOutcome.UNAUTHORIZED
    )
    monkeypatch.setenv("CALLBACK_SECRET", "quite another secret")
    assert outcome_of(tokens, good) is CallbackOutcome.UNAUTHORIZED


def test_unknown_token_with_a_valid_signature_is_refused(callbacks: Callbacks) -> None:
    """Another version may have made it; it raises no other error."""
    tokens = CallbackTokens(callbacks())
    for content in ([JOB], {"job": JOB, "type": "work"}, None, 5, [JOB, "work", 1]):
        token = tokens._serializer().dumps(content)
        assert outcome_of(tokens, token) is CallbackOutcome.UNAUTHORIZED


def token_of(receiver: CallbackConfig, seconds_ago: float) -> str:
    """Return a token that was made that long ago, by the clock of that gateway."""
    then = int(time.time() - seconds_ago)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(TimestampSigner, "get_timestamp", lambda _: then)
        return token_in(CallbackTokens(receiver).url(JOB, "work"))


def test_callback_url_expires(callbacks: Callbacks) -> None:
    """After ``expires_after``; the refusal has that time."""
    receiver = callbacks(expires_after=60)
    tokens = CallbackTokens(receiver)
    assert tokens.read(token_of(receiver, 50)).job_id == JOB
    with pytest.raises(CallbackRefused, match=r"has expired after 60 s") as refused:
        tokens.read(token_of(receiver, 62))
    assert refused.value.outcome is CallbackOutcome.EXPIRED


def test_clocks_may_differ(callbacks: Callbacks) -> None:
    """A URL of a gateway whose clock is ahead of this one's is valid."""
    assert CallbackTokens(callbacks()).read(token_of(callbacks(), -30)).job_id == JOB


def test_secret_can_be_renewed(callbacks: Callbacks, tmp_path: Path) -> None:
    """A new secret signs as soon as its file is written; earlier URLs remain valid.

    They do until their secret is removed from ``previous_secrets``.
    """
    file, before = tmp_path / "secret", tmp_path / "before"
    file.write_text("the first secret of all\n")
    before.write_text("a secret before the first")
    config = callbacks(secret={"file": str(file)}, previous_secrets=[{"file": str(before)}])
    tokens = CallbackTokens(config)
    old = token_in(tokens.url(JOB, "work"))
    before.write_text(file.read_text())
    file.write_text("the second secret of all")
    new = token_in(tokens.url(JOB, "work"))
    assert tokens.read(old) == tokens.read(new) == CallbackToken(JOB, "work")
    only_new = CallbackTokens(callbacks(secret={"file": str(file)}))
    assert only_new.read(new).job_id == JOB
    assert outcome_of(only_new, old) is CallbackOutcome.UNAUTHORIZED


def test_short_secret_is_refused(callbacks: Callbacks, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret that can be guessed is an error in the file, which says how to make a good one."""
    monkeypatch.setenv("CALLBACK_SECRET", "hunter2")
    with pytest.raises(ValueError, match=r"at least 16 characters: `openssl rand -hex 32`"):
        callbacks()
