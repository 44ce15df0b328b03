"""The end of a program: the result of its job, or a failure with its output."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import Any

import pytest

from kafka_bridge.protocol.messages import JobFailure, JobState
from kafka_bridge.worker import ApplicationError
from unit.gateway.command.conftest import Do, Script, started

DONE = '{"progress": {"completed": 1}}'
LONG = f'["{"x" * 300}"]'


@pytest.mark.parametrize(
    ("form", "written", "result"),
    [
        ("auto", r'Done\n{"files": 3}\n', {"files": 3}),
        ("auto", r"[1, 2]\n\n", [1, 2]),
        ("auto", rf"[1, 2]\n{DONE}\n", [1, 2]),
        ("auto", r"3\n", {"exit_code": 0, "output": "3"}),
        ("auto", r"{Done}\n", {"exit_code": 0, "output": "{Done}"}),
        ("auto", r"One\nTwo\n", {"exit_code": 0, "output": "One\nTwo"}),
        ("auto", "", {"exit_code": 0, "output": ""}),
        ("auto", LONG, ["x" * 300]),
        ("json", r"Done\n3\n", 3),
        ("json", rf'"a"\n{DONE}\n', "a"),
        ("json", LONG, ["x" * 300]),
        (
            "auto",
            rf"{'a' * 90}\n{'b' * 90}\n",
            {"exit_code": 0, "output": "b" * 90, "left_out_bytes": 91},
        ),
        ("auto", rf"[INFO] {'b' * 90}", {"exit_code": 0, "output": f"[INFO] {'b' * 90}"}),
        ("text", "a" * 100, "a" * 100),
        ("text", r'{"files": 3}\n', '{"files": 3}'),
        ("none", r'{"files": 3}\n', None),
    ],
)
def test_exit_code_0_makes_a_result(do: Do, form: str, written: str, result: Any) -> None:
    """In the configured form: the last line as JSON, the output as text, or none."""
    limits = {"max_output_bytes": 100, "max_result_bytes": 400}
    outcome = do({"command": ["printf", literal(written)], "result": form} | limits)
    assert (outcome.state, outcome.result) == (JobState.SUCCEEDED, result)


@pytest.mark.parametrize(
    ("form", "written", "words"),
    [
        ("auto", LONG * 2, "is longer than 400 bytes (max_result_bytes)"),
        ("auto", LONG * 9, "is longer than 400 bytes (max_result_bytes)"),
        ("auto", f'{{"a": "{"x" * 2_000_000}"}}', "is longer than 400 bytes (max_result_bytes)"),
        ("text", "a" * 101, "is longer than 100 bytes (max_output_bytes)"),
    ],
)
def test_result_is_never_cut(do: Do, tmp_path: Path, form: str, written: str, words: str) -> None:
    """An incomplete result is an error, which names the limit."""
    (tmp_path / "written").write_text(written.replace(r"\n", "\n"))
    limits = {"max_output_bytes": 100, "max_result_bytes": 400}
    failed = do({"command": ["cat", str(tmp_path / "written")], "result": form} | limits).error
    assert failed is not None
    assert (failed.type, failed.retryable) == ("result_too_large", False)
    assert words in failed.message


def literal(text: str) -> str:
    """Return a text in which braces are not placeholders, and percent signs are not formats."""
    return text.replace("{", "{{").replace("}", "}}").replace("%", "%%")


@pytest.mark.parametrize(
    ("written", "kind", "words"),
    [
        ("", "result_not_json", "and there is no output"),
        ("Done", "result_not_json", "and it is Done"),
        ("NaN", "result_not_json", "and it is NaN"),
        (
            LONG * 2,
            "result_too_large",
            "and it is longer than 400 bytes (max_result_bytes)",
        ),
        (
            LONG * 9,
            "result_too_large",
            "and it is longer than 400 bytes (max_result_bytes)",
        ),
    ],
)
def test_output_without_a_usable_result_fails_the_job(
    do: Do, written: str, kind: str, words: str
) -> None:
    """The work is done; a retry would not help."""
    limits = {"max_output_bytes": 100, "max_result_bytes": 400}
    outcome = do({"command": ["printf", written], "result": "json"} | limits)
    assert outcome.error == JobFailure(
        kind,
        "printf succeeded (exit code 0), but the last line of its output must be its result "
        f"as JSON, {words}",
    )


@pytest.mark.parametrize(
    ("ends", "kind", "words"),
    [
        ("exit 3", "exit_code_3", "sh failed with exit code 3: "),
        ("exit 137", "exit_code_137", "sh failed with exit code 137: "),
        ("kill -9 $$", "signal_SIGKILL", "sh was killed by SIGKILL, by a person or by the system "),
        ("kill -15 $$", "signal_SIGTERM", "sh was killed by SIGTERM: "),
        ("kill -36 $$", "signal_SIG36", "sh was killed by SIG36: "),
    ],
)
def test_other_exit_statuses_fail_the_job_with_the_programs_output(
    do: Do, sh: Script, ends: str, kind: str, words: str
) -> None:
    """Exit codes and signals pass through the guard; by default, a retry may help."""
    outcome = do({"command": sh(f"echo Reading; echo No such table >&2; {ends}")})
    assert outcome.error is not None
    assert (outcome.error.type, outcome.error.retryable) == (kind, True)
    assert outcome.error.message.startswith(words)
    assert outcome.error.message.endswith(": No such table")
    assert outcome.error.details == (
        "Last lines of standard error:\nNo such table\n\nLast lines of standard output:\nReading"
    )


def test_message_has_the_last_lines_and_the_details_have_more(do: Do, sh: Script) -> None:
    """If standard error is empty, they are those of standard output."""
    outcome = do({"command": sh("seq 200; exit 1")})
    assert outcome.error is not None
    assert outcome.error.message == "sh failed with exit code 1: 196\n197\n198\n199\n200"
    lines = (outcome.error.details or "").split("\n")
    assert lines == ["Last lines of standard output:", *map(str, range(151, 201))]


def test_error_of_a_program_without_output_says_so(do: Do) -> None:
    """The details are empty."""
    outcome = do({"command": ["false"]})
    assert outcome.error == JobFailure(
        "exit_code_1", "false failed with exit code 1: it printed nothing", None, retryable=True
    )


@pytest.mark.parametrize(("code", "retryable"), [(75, True), (3, False)])
def test_retryable_exit_codes_can_be_configured(do: Do, code: int, retryable: bool) -> None:
    """In sysexits.h, 75 means "try again"."""
    outcome = do({"command": ["sh", "-c", f"exit {code}"], "retryable_exit_codes": [75]})
    assert outcome.error is not None
    assert outcome.error.retryable is retryable


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("no-such-program", "No such file or directory. It was searched in PATH: /usr/bin:/bin"),
        (
            "{folder}/nothing",
            "No such file or directory. The path or the interpreter in the file's first ",
        ),
        (
            "{folder}/no-interpreter",
            "No such file or directory. The path or the interpreter in the",
        ),
        (
            "{folder}/plain",
            "Permission denied. It must be a file that this user is allowed to execute",
        ),
        ("{folder}", "Permission denied. It must be a file that this user is allowed to execute"),
        ("{folder}/no-format", "Exec format error. A script needs a first line such as #!/bin/sh"),
    ],
)
def test_error_says_why_a_program_cannot_be_started(
    do: Do, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, words: str
) -> None:
    """The error has the cause, the searched paths, and what to do; a retry cannot help."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    for name, text, mode in (
        ("no-interpreter", "#!/no/such/sh\n", 0o755),
        ("plain", "#!/bin/sh\n", 0o644),
        ("no-format", "echo\n", 0o755),
    ):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(mode)
    path = program.format(folder=tmp_path)
    outcome = do({"command": [path]})
    assert outcome.error is not None
    assert (outcome.error.type, outcome.error.retryable) == ("program_not_started", False)
    assert outcome.error.message.startswith(f"{path} cannot be started: {words}")


def test_error_of_a_long_argument_names_stdin(do: Do) -> None:
    """Linux allows 128 KiB for each argument."""
    outcome = do({"command": ["echo", "{payload}"]}, "x" * 200_000)
    assert outcome.error is not None
    assert outcome.error.message == (
        "echo cannot be started: Argument list too long. Pass large values with stdin"
    )


async def test_error_names_a_missing_working_directory(tmp_path: Path) -> None:
    """It existed when the file was read."""
    folder = tmp_path / "gone"
    folder.mkdir()
    job = started({"command": ["true"], "working_directory": str(folder)})
    folder.rmdir()
    with pytest.raises(ApplicationError, match=f"its working directory {folder} does not exist"):
        await job.task


async def test_lack_of_file_descriptors_is_retryable() -> None:
    """The error names the limit."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    first_free = os.dup(0)  # a limit is on the number of a file, and there may be gaps
    os.close(first_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (first_free, before[1]))
    try:
        with pytest.raises(ApplicationError) as failed:
            await started({"command": ["true"]}).task
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert (failed.value.type, failed.value.retryable) == ("program_not_started", True)
    assert "raise the gateway's limit (ulimit -n)" in str(failed.value)
