"""The progress and messages of a program."""

from __future__ import annotations

import json
import time

import pytest

from kafka_bridge.gateway.command.config import CommandJob
from kafka_bridge.gateway.command.progress import LineReport, latest
from kafka_bridge.protocol.messages import JobState, Progress
from unit.gateway.command.conftest import Do, Gate, Script, started
from unit.gateway.started_job import until

BAR = r"(?P<completed>[\d.,]+)/(?P<total>[\d.,]+|\?) ?(?P<unit>[a-z]+)?(: (?P<message>.+))?"


def report_of(line: str, progress: str = "json") -> LineReport:
    """Return the report in a line."""
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
def test_json_line_is_progress_or_a_message(
    line: str, progress: tuple[float, ...] | None, message: str | None
) -> None:
    """A line with invalid progress is a message, and the job goes on."""
    expected = None if progress is None else Progress(*progress)  # type: ignore[arg-type]
    assert report_of(line) == LineReport(expected, message)


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
def test_pattern_finds_progress_in_a_line(
    line: str, progress: Progress | None, message: str | None
) -> None:
    """Anywhere in it. If the completed part is not a number, the line is a message."""
    assert report_of(line, BAR) == LineReport(progress, message)


def test_latest_progress_and_message_are_used() -> None:
    """Of many lines at once, the last progress and the last message."""
    reader = CommandJob.model_validate({"command": ["audit"], "progress": BAR}).progress
    lines = ["1/9: one", "2/9", "words", "3/9", " ", "more words", ""]
    assert latest(lines, reader) == LineReport(Progress(3, 9), "more words")
    assert latest([" ", ""], reader) == LineReport()


async def test_lines_of_both_outputs_are_published(sh: Script, gate: Gate) -> None:
    """While the program runs: progress from JSON lines, messages from the others."""
    line = json.dumps({"progress": {"completed": 2, "total": 4, "unit": "files"}})
    script = f"echo '{line}'; read go < gate; echo Nearly >&2; read go < gate"
    job = started({"command": sh(script)})
    await job.has_published(progress=1)
    gate.open()
    await until(lambda: "Nearly" in job.messages)
    gate.open()
    await job.task
    assert job.progress == [Progress(2, 4, "files")]


async def test_bar_that_is_drawn_with_carriage_returns_is_progress(sh: Script, gate: Gate) -> None:
    """Many programs end the line only when all is done."""
    draw = r"for i in 1 2 3; do printf '\r%s/3 steps' $i >&2; read go < gate; done; echo"
    job = started({"command": sh(draw), "progress": BAR})
    for drawn in range(3):
        await job.has_published(progress=drawn)
        gate.open()
    await job.task
    assert job.progress == [Progress(n, 3, "steps") for n in (1, 2, 3)]


def test_slow_pattern_does_not_block_other_jobs(do: Do, sh: Script) -> None:
    """It is dropped after its first slow line, with a message; the job goes on without progress."""
    slow = "for i in 1 2 3 4 5 6 7 8 9; do echo 1/9; echo xxxxxxxx%s; done"
    began = time.process_time()
    outcome = do({"command": sh(slow % ("x" * 900)), "progress": r"(?P<completed>\d)/9|(x+x+)+y"})
    assert outcome.state is JobState.SUCCEEDED
    assert time.process_time() - began < 5
    messages = [event.message or "" for event in outcome.events]
    assert any("took longer than 0.05 s for one line, or 0.25 s for several" in m for m in messages)


def test_time_for_all_lines_at_once_is_limited() -> None:
    """Each line takes less than its own limit, but thousands may arrive at once."""
    pattern = r"(?P<completed>\d)/9|(.*)(.*)(.*)(.*)[0-9]q"
    reader = CommandJob.model_validate({"command": ["audit"], "progress": pattern}).progress
    began = time.process_time()
    with pytest.raises(TimeoutError):
        latest(["x" * 100] * 1_000, reader)
    assert time.process_time() - began < 2


def test_slow_pattern_does_not_delay_the_result(do: Do, sh: Script) -> None:
    """The pattern is applied to the last line too, but only to its beginning."""
    long = sh("printf '[\"'; head -c 300000 /dev/zero | tr '\\0' x; echo '\"]'")
    began = time.process_time()
    outcome = do({"command": long, "progress": r"(?P<completed>\d)/9|(x+x+)+y"})
    assert outcome.result == ["x" * 300_000]
    assert time.process_time() - began < 5


def test_line_that_is_nested_too_deeply_is_text(do: Do, sh: Script) -> None:
    """A hundred thousand brackets are neither progress nor a result."""
    deep = "head -c 100000 /dev/zero | tr '\\0' '['; echo; printf '{\"a\": '; "
    outcome = do({"command": sh(deep + "head -c 990 /dev/zero | tr '\\0' '['; echo")})
    assert outcome.state is JobState.SUCCEEDED
    assert outcome.result["exit_code"] == 0
