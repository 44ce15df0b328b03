"""What is kept of a program's output, and which lines are heard."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from kafka_bridge.gateway.command.output import LINE_CHARACTERS, Output
from kafka_bridge.gateway.mask import Mask
from unit.examples_count import examples

bits = st.sampled_from(
    [b"\n", b"\r\n", b"\r", b"a", b"bcd", "ä€".encode(), b"\xff", b" ", b"x" * 30]
)
LIMIT, LINE_LIMIT = 40, 70


def lines_of(written: bytes) -> list[str]:
    """Return the lines that are not blank."""
    lines = written.replace(b"\r", b"\n").split(b"\n")
    return [text for each in lines if (text := each.decode("utf-8", "replace")).strip()]


@given(st.lists(bits, max_size=60), st.lists(st.integers(1, 12), max_size=60))
@settings(derandomize=True, max_examples=examples(300), deadline=None)
def test_pieces_make_no_difference(written: list[bytes], sizes: list[int]) -> None:
    """All lines are heard, and the last ones kept, whole, wherever the system cuts the stream."""
    whole, heard = b"".join(written), list[str]()
    output = Output(LIMIT, LINE_LIMIT, Mask(), heard.extend)
    rest = whole
    for size in [*sizes, len(whole) or 1]:
        output.write(rest[:size])
        rest = rest[size:]
    output.end()
    everything = lines_of(whole)
    assert [line for line in heard if line.strip()] == everything
    kept = output.lines()
    if output.is_cut:
        assert everything[-1].endswith(kept[0].lstrip("�")) or len(kept) > 1
    else:
        assert kept == everything[len(everything) - len(kept) :]
    if everything and len(everything[-1].encode()) <= LIMIT:
        assert kept[-1] == everything[-1]


def test_line_that_never_ends_takes_no_memory() -> None:
    """Of it the end is kept, and its beginning heard."""
    heard = list[str]()
    output = Output(1_000, 5_000, Mask(), heard.extend)
    for _ in range(2_000):
        output.write(b"x" * 10_000)
        assert len(output._kept) <= 20_000
    output.end()
    assert (output.is_cut, output.lines()) == (True, ["x" * 5_000])
    assert heard == ["x" * LINE_CHARACTERS]


def test_last_line_is_kept_whole_though_it_is_longer_than_the_rest() -> None:
    """A result may be long where the output that is kept of it is short."""
    output = Output(10, 50, Mask(), lambda _: None)
    for piece in (b"first\n" * 20, b"[" + b"1, " * 10, b"1]", b"\n\n"):
        output.write(piece)
    output.end()
    assert (output.is_cut, output.lines()) == (False, ["[" + "1, " * 10 + "1]"])
    assert len(output.text()) <= 10


def test_secret_is_masked_across_pieces() -> None:
    """A secret that the system cuts in two is one all the same."""
    heard = list[str]()
    output = Output(1_000, 1_000, Mask("s3cr3t", "two\nlines"), heard.extend)
    for piece in (b"it is s3c", b"r3t\ntwo\nli", b"nes\n"):
        output.write(piece)
    output.end()
    assert "s3cr3t" not in "".join(heard)
    assert output.text() == "it is ***\n***"
