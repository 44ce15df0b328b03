"""Secrets, in every form in which they come back, are masked wherever text is cut."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kafka_bridge.gateway.command.output import Output
from kafka_bridge.gateway.mask import MASK, Mask, MaskedStream
from unit.examples_count import examples

PEM = """-----BEGIN PRIVATE KEY-----
MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj
MzEfYyjiWA4R4/M2bS1GB4t7NXp98C3SC6dVMvDuictGeurT8jNbvJZHtCSuYEvu
x/+=
-----END PRIVATE KEY-----"""

FORMS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "in JSON": json.dumps,
    "in JSON of Unicode": lambda secret: json.dumps(secret, ensure_ascii=False),
    "in PHP's JSON": lambda secret: json.dumps(secret).replace("/", r"\/"),
    "in Python": repr,
    "in a path": lambda secret: quote(secret, safe=""),
    "in a form": quote_plus,
    "in XML": html.escape,
    "in base64": lambda secret: base64.b64encode(secret.encode()).decode(),
    "in a URL's base64": lambda secret: base64.urlsafe_b64encode(secret.encode()).decode(),
    "in a pair's base64": lambda secret: base64.b64encode(f"airflow:{secret}".encode()).decode(),
}
secrets = st.one_of(
    st.text("abcXYZ019_-+/=.~", min_size=8, max_size=60),
    st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF), min_size=8, max_size=40),
)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("secret", ["s3cr3t/+ token", PEM, 'a "quoted" süß\\pass&word'])
def test_secret_is_masked_in_each_form(form: str, secret: str) -> None:
    """The text around it stays."""
    masked = Mask(secret).text(f"begin {FORMS[form](secret)} end")
    assert MASK in masked
    assert secret not in masked
    assert "BEGIN" not in masked
    assert "MIIEv" not in masked
    assert masked.startswith("begin ")
    assert masked.endswith(" end")


@settings(derandomize=True, max_examples=examples(200), deadline=None)
@given(secret=secrets, form=st.sampled_from(sorted(FORMS)), around=st.text(max_size=5))
def test_any_secret_is_masked_in_every_form(secret: str, form: str, around: str) -> None:
    """No service chooses a form, and nobody a secret, that shows it."""
    if not secret.strip():
        return
    masked = Mask(secret).text(around + FORMS[form](secret) + around)
    assert MASK in masked
    assert FORMS[form](secret) not in masked


def test_lines_of_a_secret_are_masked_one_by_one() -> None:
    """A program may log a key line by line; short lines are ordinary text."""
    mask = Mask(PEM)
    assert [mask.text(line) for line in PEM.splitlines()] == [MASK, MASK, MASK, "x/+=", MASK]


def test_earlier_values_and_secrets_of_another_mask_are_masked() -> None:
    """A secret that was renewed may come back late."""
    service = Mask()
    job = Mask("token-of-the-job", beside=service)
    service.add("first-value")
    service.add("second-value")
    said = {"first-value": ["second-value", 3, None, True], "n": {"token-of-the-job": 1.5}}
    assert job.value(said) == {"***": ["***", 3, None, True], "n": {"***": 1.5}}
    assert job.data(b"\xff first-value") == b"\xff ***"
    assert Mask("47114711").value([47114711, 147114711]) == ["***", 147114711]


def test_secrets_in_use_are_masked_however_many_there_are() -> None:
    """Also those that stay the same while another one is renewed every minute."""
    many = [f"secret-number-{number}" for number in range(200)]
    assert Mask(*many).text(" ".join(many)) == " ".join([MASK] * 200)
    service = Mask()
    for number in range(200):
        service.add("the-password", f"token-{number:03}")
        assert service.text(f"the-password, token-{number:03}") == "***, ***"


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        ('a"b\n', 'in JSON, a"b\n is longer than itself'),
        ("47114711", 47114711),
        ("1.5e+22", 1.5e22),
        ("\u2028 \udc80", "\u2028 \udc80"),
    ],
)
def test_large_values_are_masked_like_small_ones(secret: str, said: object) -> None:
    """Whatever its form in JSON is, in which large values are looked at first."""
    beside = Mask("another", beside=Mask(secret))
    for mask in (Mask(secret), beside):
        masked = mask.value(["x", {"key": [said]}])
        assert MASK in json.dumps(masked)
        assert masked == ["x", {"key": [mask.value(said)]}]
    clean = [{"key": "text"}] * 3
    assert beside.value(clean) == clean


@settings(derandomize=True, max_examples=examples(300), deadline=None)
@given(
    secret=st.one_of(secrets, st.just(PEM)),
    before=st.text("ab\n-", max_size=70),
    after=st.text("ab\n-", max_size=70),
    sizes=st.lists(st.integers(1, 40), max_size=40),
    limits=st.tuples(st.integers(10, 200), st.integers(10, 200)),
)
def test_output_shows_no_part_of_a_secret(
    secret: str, before: str, after: str, sizes: list[int], limits: tuple[int, int]
) -> None:
    """Wherever the system cuts it into pieces, and however little of it is kept."""
    if not secret.strip() or secret in before + after or any(c in "ab\n-" for c in secret[:1]):
        return
    heard = list[str]()
    output = Output(*limits, Mask(secret), heard.extend)
    rest = f"{before}{secret}{after}{secret}".encode()
    for size in [*sizes, len(rest)]:
        output.write(rest[:size])
        rest = rest[size:]
    output.end()
    lines = [line for line in secret.splitlines() if len(line) >= 8]
    for shown in (*heard, *output.lines(), output.text()):
        for at in range(max(1, len(secret) - 7)):
            part = secret[at : at + 8]
            assert part not in shown or len(lines) != 1, (part, shown)
        assert not any(line in shown for line in lines)


def test_secret_that_is_cut_off_at_the_end_is_masked() -> None:
    """A program that was killed while it wrote; what only begins like a secret is shown."""
    stream = MaskedStream(Mask("correct horse battery staple"))
    assert stream.feed(b"key: correct hors") + stream.end() == b"key: ***"
    assert stream.feed(b"key: corr") + stream.end() == b"key: corr"


def test_nothing_is_held_back_longer_than_it_may_be_a_secret() -> None:
    """A line appears as soon as it cannot be the beginning of a secret."""
    stream = MaskedStream(Mask(PEM, "s3cr3t-token"))
    assert stream.feed(b"reading s3cr") == b"reading "
    assert stream.feed(b"ets\n") == b"s3crets\n"
    assert stream.feed(b"-----BEGIN PRIVATE KEY-----\n") == b""
    assert stream.feed(b"other\n") == b"***\nother\n"
