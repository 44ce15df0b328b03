"""How far a program is, and what it says meanwhile."""

from __future__ import annotations

import json
import time

import pytest

from kafka_bridge.gateway.command.config import CommandJob
from kafka_bridge.gateway.command.progress import LineReport, latest
from kafka_bridge.protocol.messages import JobState, Progress
from unit.gateway.command.conftest import Do, Script

BAR = r"(?P<completed>[\d.,]+)/(?P<total>[\d.,]+|\?) ?(?P<unit>[a-z]+)?(: (?P<message>.+))?"


def said(line: str, progress: str = "json") -> LineReport:
    """Return what a line says."""
    job = CommandJob.model_validate({"command": ["audit"], "progress": progress})
    return job.progress.read(line)


@pytest.mark.parametrize(
    ("line", "progress", "message"),
    [
        ('{"progress": {"completed": 3, "total": 10, "unit": "files"}}', (3, 10, "files"), None),
        ('{"progress": {"completed": 3}, "message": "Reading"}', (3, None, None), "Reading"),
        ('{"message": "Reading", "level": "info"}', None, "Reading"),
        ('{"progress": {"completed": 3, "total": "ten", "unit": 7}}', (3, None, "7"), None),
        (r'{"message": "half a \ud83d"}', None, r"half a \ud83d"),
        *[
            (line, None, line)
            for line in (
                "Reading",
                "{Reading}",
                '{"progress": 0.3}',
                '{"progress": {"completed": "3"}}',
                '{"progress": {"completed": true}}',
                '{"progress": {"completed": 1e999}}',
                '{"progress": {"completed": NaN}}',
                '{"progress": null, "message": 3}',
                "[3]",
            )
        ],
    ],
)
def test_json_lines(line: str, progress: tuple[float, ...] | None, message: str | None) -> None:
    """What is no progress as it should be is a message as it is; the job goes on."""
    expected = None if progress is None else Progress(*progress)  # type: ignore[arg-type]
    assert said(line) == LineReport(expected, message)


@pytest.mark.parametrize(
    ("line", "progress", "message"),
    [
        ("  30%|███  | 3/10 files: reading a.txt", Progress(3, 10, "files"), "reading a.txt"),
        ("done 1,234.5/2,000", Progress(1234.5, 2000), None),
        ("3/?", Progress(3), None),
        ("nothing here", None, "nothing here"),
        (".../10", None, ".../10"),
        (f"{'9' * 400}/10", None, f"{'9' * 400}/10"),
    ],
)
def test_pattern(line: str, progress: Progress | None, message: str | None) -> None:
    """It is looked for anywhere in the line; a completed that is no number makes a message."""
    assert said(line, BAR) == LineReport(progress, message)


def test_latest_progress_and_message_are_used() -> None:
    """Of many lines at once, the last progress and the last message."""
    reader = CommandJob.model_validate({"command": ["audit"], "progress": BAR}).progress
    lines = ["1/9: one", "2/9", "words", "3/9", " ", "more words", ""]
    assert latest(lines, reader) == LineReport(Progress(3, 9), "more words")
    assert latest([" ", ""], reader) == LineReport()


def test_job_tells_what_its_program_says_on_both_outputs(do: Do, sh: Script) -> None:
    """While it runs: progress by JSON lines, messages by the others."""
    line = json.dumps({"progress": {"completed": 2, "total": 4, "unit": "files"}})
    outcome = do(
        {"command": sh(f"sleep 0.6; echo '{line}'; sleep 0.6; echo Nearly >&2; sleep 0.6")}
    )
    assert outcome.state is JobState.SUCCEEDED
    assert outcome.progress == [Progress(2, 4, "files")]
    assert "Nearly" in [event.message for event in outcome.events]


def test_bar_that_is_drawn_with_carriage_returns_is_progress(do: Do, sh: Script) -> None:
    """As many programs do, without a line's end until all is done."""
    draw = r"for i in 1 2 3; do sleep 0.55; printf '\r%s/3 steps' $i >&2; done; sleep 0.6; echo"
    outcome = do({"command": sh(draw), "progress": BAR})
    assert outcome.progress[-1] == Progress(3, 3, "steps")
    assert len(outcome.progress) >= 2


def test_slow_pattern_does_not_block_other_jobs(do: Do, sh: Script) -> None:
    """Its first slow line ends its use, in words; the job goes on without progress."""
    slow = "sleep 0.6; for i in 1 2 3 4 5 6 7 8 9; do echo 1/9; echo xxxxxxxx%s; done; sleep 0.6"
    began = time.process_time()
    outcome = do({"command": sh(slow % ("x" * 900)), "progress": r"(?P<completed>\d)/9|(x+x+)+y"})
    assert outcome.state is JobState.SUCCEEDED
    assert time.process_time() - began < 5
    told = [event.message or "" for event in outcome.events]
    assert any("took longer than 0.05 s for one line, or 0.25 s for several" in m for m in told)


def test_many_lines_that_are_somewhat_slow_keep_nobody_waiting() -> None:
    """Each takes less than is allowed for one; there may be thousands in what arrives at once."""
    pattern = r"(?P<completed>\d)/9|(.*)(.*)(.*)(.*)[0-9]q"
    reader = CommandJob.model_validate({"command": ["audit"], "progress": pattern}).progress
    began = time.process_time()
    with pytest.raises(TimeoutError):
        latest(["x" * 100] * 1_000, reader)
    assert time.process_time() - began < 2


def test_slow_pattern_on_the_last_line(do: Do, sh: Script) -> None:
    """Whether a result is progress is asked of the pattern, too: of a long line's beginning."""
    long = sh("printf '[\"'; head -c 300000 /dev/zero | tr '\\0' x; echo '\"]'")
    began = time.process_time()
    outcome = do({"command": long, "progress": r"(?P<completed>\d)/9|(x+x+)+y"})
    assert outcome.result == ["x" * 300_000]
    assert time.process_time() - began < 5


def test_line_that_is_nested_too_deeply_is_text(do: Do, sh: Script) -> None:
    """A hundred thousand brackets are no progress, and no result."""
    deep = "head -c 100000 /dev/zero | tr '\\0' '['; echo; printf '{\"a\": '; "
    outcome = do({"command": sh(deep + "head -c 990 /dev/zero | tr '\\0' '['; echo")})
    assert outcome.state is JobState.SUCCEEDED
    assert outcome.result["exit_code"] == 0
