"""What is no YAML, or none that is of use."""

from __future__ import annotations

import random
import re
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from kafka_bridge.gateway.config import GatewayConfig
from kafka_bridge.protocol.errors import ConfigurationError

Load = Callable[[str], GatewayConfig]
Refusal = Callable[[str], str]

SYNTAX = [
    ("", "1: the file is empty"),
    ("# jobs\n", "1: the file is empty"),
    ("jobs:\n\ta: 1\n", "2: invalid YAML: found character '\\t' that cannot start any token; "),
    ("jobs:\n\ta: 1\n", "indent YAML with spaces, not with tabs"),
    (
        "a: b: c\n",
        "1: invalid YAML: mapping values are not allowed here; put a string that contains ': '",
    ),
    ("a: 1\n b: 2\n", "2: invalid YAML: "),
    (
        "jobs:\n    a: 1\n  b: 2\n",
        "3: invalid YAML: while parsing a block mapping in line 1: expected <block end>, but "
        "found '<block mapping start>'; its indentation differs from the lines above, ",
    ),
    ("a: [1,\nb: 2\n", "3: invalid YAML: while parsing a flow sequence in line 1: "),
    ("a: [1,\nb: 2\n", "; a bracket or quote is not closed"),
    ("a: 'b\n", "; a bracket or quote is not closed"),
    ("value: @\n", "1: invalid YAML: found character '@' that cannot start any token; "),
    ("value: @\n", "put the value in quotes"),
    ("\nstate: *x\n", "2: invalid YAML: found undefined alias 'x'; put the value in quotes"),
    ("state: !x y\n", "1: invalid YAML: found a tag (a word that begins with '!'); "),
    ("port: !!int x\n", "1: invalid YAML: found a tag (a word that begins with '!'); put the "),
    ("<<: 5\n", "expected a mapping or list of mappings for merging, but found scalar"),
    ("? [a]\n: b\n", "1: expected a string as a key: put it in quotes"),
    ("jobs: 1\n--- \njobs: 2\n", "2: invalid YAML: expected a single document in the stream"),
    ("a: b\nc: \x00\n", "2: the character U+0000 is not allowed in YAML"),
    ("[" * 5_000, "1: the document is nested too deeply"),
]


@pytest.mark.parametrize(("text", "words"), SYNTAX)
def test_invalid_yaml_is_reported_with_line_and_advice(
    refusal: Refusal, text: str, words: str
) -> None:
    """A text that YAML itself refuses is one error: its line, PyYAML's words, what to do."""
    (line,) = refusal(text).splitlines()
    assert line.startswith("gateway.yaml:")
    assert words in line


MERGES = "\n".join(
    ["x-0: &x0 {a: 1}"]
    + [f"x-{n}: &x{n} {{<<: [*x{n - 1}, *x{n - 1}], b{n}: 1}}" for n in range(1, 25)]
)
LISTS = "\n".join(
    ["x-0: &x0 [1, 2]"] + [f"x-{n}: &x{n} [*x{n - 1}, *x{n - 1}]" for n in range(1, 40)]
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            MERGES,
            "gateway.yaml:15: with its aliases expanded, the document has more than 100,000 values",
        ),
        (
            LISTS,
            "gateway.yaml:16: with its aliases expanded, the document has more than 100,000 values",
        ),
        ("x-0: &a [1, *a]\n", "gateway.yaml:1: an alias refers to itself: write the value out"),
        ("x-0: &a\n  b: {<<: *a}\n", "gateway.yaml:1: an alias refers to itself"),
    ],
)
def test_aliases_that_expand_to_millions_of_values_are_refused(
    refusal: Refusal, text: str, words: str
) -> None:
    """They are counted before anything is made of them: at once, and without memory."""
    tracemalloc.start()
    began = time.process_time()
    said = refusal(text)
    took, (_, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert said.startswith(words)
    assert took < 5
    assert peak < 20_000_000


EXAMPLE = (Path(__file__).parents[3] / "examples" / "gateway.yaml").read_text("utf-8")
SLIPS: tuple[str, ...] = (
    *"{}[]:,&*!|>'\"%@`#-?~=<\n\t\\ 0aé\u2028\x85\ufeff\x07",
    *("null", "true", "<<: ", "&a ", "*a", "!!int x", "!!binary x", "!!set {a}", "2026-13-13"),
    *("1e400", ".nan", "-1", "9" * 30, "[1, 2]", "{a: b}", "? ", "--- ", "...", "%YAML 1.1\n"),
)


def slip(text: str, rng: random.Random) -> str:
    """Return a text after a slip of the keyboard: something put in, left out, or said twice."""
    at = rng.randrange(len(text))
    line = rng.choice(text.splitlines(keepends=True))
    slips: list[str] = [
        text[:at] + text[at + rng.randint(1, 8) :],
        text.replace(line, line + line, 1),
        text[:at] + rng.choice(SLIPS) + text[at:],
    ]
    return rng.choice([*slips, slips[-1]])


@pytest.mark.parametrize("seed", range(4))
def test_any_typing_error_is_loaded_or_refused_with_a_message(
    load_text: Load, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Whatever happens to a file, there is no error but lines of ours, each with its place."""
    monkeypatch.setenv("CALLBACK_SECRET", "a secret that is long enough")
    rng = random.Random(seed)
    refused = 0
    for _ in range(100):
        try:
            load_text(slip(slip(EXAMPLE, rng), rng))
        except ConfigurationError as error:
            refused += 1
            for line in str(error).split("\n"):
                assert re.match(r"gateway\.yaml:\d+: \S", line)
                assert "Input should" not in line
    assert 20 < refused < 100
