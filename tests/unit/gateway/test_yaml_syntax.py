"""What is no YAML, or none that is of use."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Refusal = Callable[[str], str]

SYNTAX = [
    ("", "1: there is nothing in it"),
    ("# jobs\n", "1: there is nothing in it"),
    ("jobs:\n\ta: 1\n", "2: this is no YAML, found character '\\t' that cannot start any token; "),
    ("jobs:\n\ta: 1\n", "YAML is indented by spaces, not by tabs"),
    ("a: b: c\n", "1: this is no YAML, mapping values are not allowed here; a text with ': '"),
    ("a: 1\n b: 2\n", "2: this is no YAML, "),
    (
        "jobs:\n    a: 1\n  b: 2\n",
        "3: this is no YAML, while parsing a block mapping in line 1: expected <block end>, but "
        "found '<block mapping start>'; it is indented otherwise than what is above, ",
    ),
    ("a: [1,\nb: 2\n", "3: this is no YAML, while parsing a flow sequence in line 1: "),
    ("a: [1,\nb: 2\n", "; something is opened and not closed"),
    ("a: 'b\n", "; something is opened and not closed"),
    ("value: @\n", "1: this is no YAML, found character '@' that cannot start any token; "),
    ("value: @\n", "put the value in quotes"),
    ("\nstate: *x\n", "2: this is no YAML, found undefined alias 'x'; put the value in quotes"),
    ("state: !x y\n", "1: this is no YAML, could not determine a constructor for the tag '!x'; "),
    ("<<: 5\n", "expected a mapping or list of mappings for merging, but found scalar"),
    ("? [a]\n: b\n", "1: expected a text as a key: put it in quotes"),
    ("jobs: 1\n--- \njobs: 2\n", "2: this is no YAML, expected a single document in the stream"),
    ("a: b\nc: \x00\n", "2: the character U+0000 cannot stand in YAML"),
    ("[" * 5_000, "1: it is nested too deeply"),
]


@pytest.mark.parametrize(("text", "words"), SYNTAX)
def test_what_is_no_yaml_is_named_by_line_with_advice(
    refusal: Refusal, text: str, words: str
) -> None:
    """A text that YAML itself refuses is one error: its line, PyYAML's words, what to do."""
    (line,) = refusal(text).splitlines()
    assert line.startswith("gateway.yaml:")
    assert words in line
