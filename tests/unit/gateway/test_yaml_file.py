"""The gateway's file: what is wrong in it is said by line, key, and what was expected."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kafka_bridge.gateway.config import GatewayConfig
from kafka_bridge.gateway.http.config import HttpJob, Mode
from kafka_bridge.gateway.yaml_file import load
from kafka_bridge.protocol.errors import ConfigurationError

Load = Callable[[str], GatewayConfig]
Refusal = Callable[[str], str]

JOB = "jobs:\n  files.audit:\n    url: http://audits\n"
"""Three lines that are right; what comes after them is in line 4 and below."""
SERVICE = f"{JOB}services:\n  audits:\n    url: http://audits\n"
"""Six lines that are right."""

MISTAKES = [
    # the wrong kind of thing
    ("5", "1: expected a mapping, not a number"),
    ("- jobs\n", "1: expected a mapping, not a list"),
    ("services: {}\n", "1: jobs is missing"),
    ("jobs:\n", "1: jobs: expected a mapping, but it is empty"),
    ("jobs: {}\n", "1: jobs: expected at least one, but it is empty"),
    ("jobs:\n  - url: http://audits\n", "1: jobs: expected a mapping, not a list"),
    ("jobs:\n  files.audit: http://audits\n", "2: jobs.files.audit: expected a mapping, not a "),
    ("jobs:\n  files.audit:\n", "2: jobs.files.audit: expected a mapping, but it is empty"),
    (
        f"{JOB}    answer: {{failed: broken}}\n",
        "4: jobs.files.audit.answer.failed: expected a list, not 'broken'",
    ),
    (
        f"{JOB}    answer: {{failed: []}}\n",
        "4: jobs.files.audit.answer.failed: expected at least one, but it is empty",
    ),
    # numbers
    (
        f"{JOB}    polling:\n      interval: fast\n",
        "5: jobs.files.audit.polling.interval: expected a number greater than 0, not 'fast'",
    ),
    (
        f"{JOB}    polling:\n      interval: 0\n",
        "5: jobs.files.audit.polling.interval: expected a number greater than 0, not 0",
    ),
    (
        f"{JOB}    polling:\n      interval: [1, 2]\n",
        "5: jobs.files.audit.polling.interval: expected a number greater than 0, not a list",
    ),
    (
        f"{JOB}    polling:\n      interval:\n",
        "5: jobs.files.audit.polling.interval: expected a number greater than 0, but it is empty",
    ),
    (
        f"{JOB}    polling:\n      interval: true\n",
        "5: jobs.files.audit.polling.interval: expected a number greater than 0, not true",
    ),
    (f"{JOB}grace: .inf\n", "4: grace: expected a number of at least 0, not '.inf'"),
    (f"{JOB}concurrency: 1.5\n", "4: concurrency: expected a whole number of at least 1, not 1.5"),
    (
        f"{SERVICE}    retries: {{factor: 0.5}}\n",
        "7: services.audits.retries.factor: expected a number of at least 1, not 0.5",
    ),
    (
        f"{JOB}    polling: {{jitter: 2}}\n",
        "4: jobs.files.audit.polling.jitter: expected a number from 0 to 1, not 2",
    ),
    (
        f"{JOB}    already_exists: [409, 4090]\n",
        "4: jobs.files.audit.already_exists[1]: expected an HTTP status code, 100 to 599, not 4090",
    ),
    # names and choices
    (
        f"{JOB}    mode: on\n",
        "4: jobs.files.audit.mode: expected 'polling', 'callback' or 'synchronous', not 'on'",
    ),
    (
        f"{JOB}    submit: {{method: post}}\n",
        "4: jobs.files.audit.submit.method: expected GET, POST, PUT, PATCH or DELETE, not 'post'",
    ),
    (
        f'{JOB}group_id: ""\n',
        "4: group_id: expected a string that is not empty, but it is empty",
    ),
    (
        f"{JOB}request_topic: my jobs\n",
        "4: request_topic: expected a topic name: at most 249 letters, digits, '.', '_' and '-', "
        "not 'my jobs'",
    ),
    (
        f"{JOB}    submit:\n      headers:\n        Trace Id: x\n",
        "6: jobs.files.audit.submit.headers.'Trace Id': expected a header name: letters, digits "
        "and '-', not 'Trace Id'",
    ),
    (
        f'{SERVICE}    headers: {{X-Team: "a\\nb"}}\n',
        "7: services.audits.headers.X-Team: expected one line of ASCII, as a header must be",
    ),
    (
        f"{SERVICE}    headers: {{X-Team: 7}}\n",
        "7: services.audits.headers.X-Team: expected a string, not a number; put it in quotes",
    ),
    # keys
    (
        f"{JOB}    poling: {{}}\n",
        "4: jobs.files.audit.poling: unknown key, did you mean 'polling'?",
    ),
    (
        f"{JOB}    submit:\n      x: 1\n",
        "5: jobs.files.audit.submit.x: unknown key, expected one of body, external_id, "
        "external_id_header, headers, idempotency_header, method, path, timeout",
    ),
    (
        f"{JOB}    rate: 3\n",
        "4: jobs.files.audit.rate: unknown key, it belongs to a service: add it under "
        "services, and name the service here",
    ),
    (f"{JOB}404: x\n", "4: 404: unknown key, expected one of callbacks, concurrency, "),
    (f"{JOB}    mode: polling\n    mode: polling\n", "5: jobs.files.audit.mode: duplicate key, "),
    (f"{JOB}jobs: {{a: {{url: 'http://a'}}}}\n", "4: jobs: duplicate key, already used in line 1"),
    (
        "jobs:\n  my job: {url: 'http://a', mode: x}\n",
        "2: jobs.'my job'.mode: expected 'polling', ",
    ),
    # addresses, paths and expressions
    (
        "jobs:\n  a: {url: ftp://a}\n",
        "2: jobs.a.url: expected an http:// or https:// URL, not 'ftp://a'",
    ),
    (
        "jobs:\n  a: {url: 'http://a?b=c'}\n",
        "2: jobs.a.url: expected a URL without '?' and '#': put parameters into path",
    ),
    (
        f"{JOB}    submit: {{path: audits}}\n",
        "4: jobs.files.audit.submit.path: expected a path that begins with '/', not 'audits'",
    ),
    (
        f"{JOB}    polling: {{path: '/{{job-id}}'}}\n",
        "4: jobs.files.audit.polling.path: 'job-id' is not a JMESPath expression: ",
    ),
    (
        f"{JOB}    polling: {{path: '/{{jobid}}'}}\n",
        "4: jobs.files.audit.polling.path: unknown name jobid in '/{jobid}': expressions can use "
        "attempt, delivery, external_id, job_id, job_type, payload here",
    ),
    (
        f"{JOB}    answer: {{state: 5}}\n",
        "4: jobs.files.audit.answer.state: expected a string with a JMESPath expression, not 5; "
        "put it in quotes",
    ),
    (
        "jobs:\n  a:\n    command: [audit, {payload.path}]\n",
        "3: jobs.a.command[1]: expected a string, not a mapping; put it in quotes",
    ),
    (
        "jobs:\n  a:\n    command: [audit]\n    working_directory: /no/such/folder\n",
        "4: jobs.a.working_directory: expected the path of an existing folder, not ",
    ),
    (
        f"{SERVICE}    ca_bundle: /no/such/file\n",
        "7: services.audits.ca_bundle: expected the path of an existing file, not '/no/such/file'",
    ),
    # secrets
    (
        f"{SERVICE}    auth: {{bearer: {{evn: TOKEN}}}}\n",
        "7: services.audits.auth.bearer.evn: unknown key, did you mean 'env'?",
    ),
    (
        f"{SERVICE}    auth: {{bearer: {{env: NO_SUCH_TOKEN}}}}\n",
        "7: services.audits.auth.bearer: the environment variable NO_SUCH_TOKEN is not set",
    ),
    (
        f"{SERVICE}    auth: {{bearer: {{file: /no/such/file}}}}\n",
        "7: services.audits.auth.bearer: the file /no/such/file cannot be read: ",
    ),
    (f"{SERVICE}    auth: {{}}\n", "7: services.audits.auth: expected either bearer or basic"),
    # what does not fit together
    (
        "jobs:\n  a: {mode: polling}\n",
        "2: jobs.a: expected exactly one of url, service and command",
    ),
    (
        f"{SERVICE}".replace("url", "service", 1),
        "3: jobs.files.audit.service: there is no service ",
    ),
    (
        "services: {audits: {url: 'http://a'}}\njobs:\n  a: {service: audit}\n",
        "3: jobs.a.service: there is no service with this name, did you mean 'audits'?",
    ),
    (
        "jobs:\n  a: {service: audit}\n",
        "2: jobs.a.service: there is no service with this name, none is ",
    ),
    (
        f"{JOB}    mode: callback\n",
        "4: jobs.files.audit.mode: mode callback needs callbacks.public_url and "
        "callbacks.secret in the file",
    ),
    (
        f"{JOB}    submit: {{path: '/{{callback_url}}'}}\n",
        "4: jobs.files.audit.submit: callback_url exists in mode callback only",
    ),
    (
        f"{JOB}    mode: synchronous\n    polling: {{}}\n",
        "5: jobs.files.audit.polling: cannot be used in mode synchronous",
    ),
    (
        f"{JOB}    signature: {{secret: {{env: HOME}}}}\n",
        "4: jobs.files.audit.signature: can be used in mode callback only",
    ),
    (
        f"{JOB}    answer: {{succeeded: [completed], failed: [completed]}}\n",
        "4: jobs.files.audit.answer.failed: 'completed' is already listed under succeeded",
    ),
]

MISPLACED_SECRETS = [
    f"{SERVICE}    auth: hunter2\n",
    f"{SERVICE}    auth: [hunter2]\n",
    f"{SERVICE}    auth: {{bearer: hunter2}}\n",
    f"{SERVICE}    auth: {{basic: 'me:hunter2'}}\n",
    f"{SERVICE}    auth: {{token: hunter2}}\n",
    f"{SERVICE}    auth: {{basic: {{username: me, password: hunter2}}}}\n",
    f"{SERVICE}    headers: Bearer hunter2\n",
    f'{SERVICE}    headers: {{Authorization: "hunter2\\n"}}\n',
    f"{JOB}    submit: {{headers: {{Authorization: 'hunter2 {{'}}}}\n",
    f"{JOB}    mode: callback\n    signature: hunter2\n",
    "jobs:\n  a: {url: 'http://me:hunter2@a'}\n",
    "jobs:\n  a: {url: 'me:hunter2@a'}\n",
    "jobs:\n  a: {command: [audit], environment: {TOKEN: 'hunter2 {'}}\n",
    "jobs:\n  a: {command: [audit], environment: {TOKEN: [hunter2]}}\n",
    f"{JOB}callbacks: {{public_url: 'http://a', secret: hunter2}}\n",
    f"{JOB}callbacks: {{public_url: 'http://a', secret: [hunter2]}}\n",
    f"{JOB}callbacks: {{public_url: 'http://a', secret: 'hunter2}}\n",
]


@pytest.mark.parametrize(("text", "words"), MISTAKES)
def test_error_names_line_key_and_expected_value(refusal: Refusal, text: str, words: str) -> None:
    """Each mistake is one line, which begins with file and line as editors understand it."""
    (line,) = refusal(text).splitlines()
    assert line.startswith(f"gateway.yaml:{words}")


def test_all_errors_are_reported_in_the_order_of_lines(refusal: Refusal) -> None:
    """One run finds them all, also keys that stand twice and names that lead nowhere."""
    said = refusal(
        "jobs:\n"
        "  a: {service: audit, mode: callback}\n"
        "  b:\n"
        "    url: http://b\n"
        "    url: http://c\n"
        "    polling: {interval: x, maximum: y, z: 1}\n"
        "services: {audits: {url: 'http://a'}}\n"
        "group: g\n",
    )
    assert [line.split(": ")[0:2] for line in said.splitlines()] == [
        ["gateway.yaml:2", "jobs.a.mode"],
        ["gateway.yaml:2", "jobs.a.service"],
        ["gateway.yaml:5", "jobs.b.url"],
        ["gateway.yaml:6", "jobs.b.polling.interval"],
        ["gateway.yaml:6", "jobs.b.polling.maximum"],
        ["gateway.yaml:6", "jobs.b.polling.z"],
        ["gateway.yaml:8", "group"],
    ]


@pytest.mark.parametrize("text", MISPLACED_SECRETS)
def test_secret_in_the_wrong_place_is_not_repeated(refusal: Refusal, text: str) -> None:
    """What may be a password is refused without being shown: errors end up in logs."""
    assert "hunter2" in text
    assert "hunter2" not in refusal(text)


def test_error_in_a_merged_value_names_its_own_line(refusal: Refusal) -> None:
    """A value that came by an alias is named by the line of its anchor, once for each use."""
    said = refusal(
        "x-usual: &usual\n"
        "  interval: fast\n"
        "jobs:\n"
        "  a: {url: 'http://a', polling: {<<: *usual}}\n"
        "  b: {url: 'http://b', polling: {<<: *usual, interval: 3}}\n"
        "  c: {url: 'http://c', polling: *usual}\n",
    )
    assert said.splitlines() == [
        f"gateway.yaml:2: jobs.{job}.polling.interval: expected a number greater than 0, not 'fast'"
        for job in ("a", "c")
    ]


def test_minimal_file_needs_only_a_url(load_text: Load) -> None:
    """Three lines make a gateway; all else has a default."""
    job = load_text(JOB).jobs["files.audit"]
    assert isinstance(job, HttpJob)
    assert (job.url, job.mode, job.submit.path.text) == (
        "http://audits",
        Mode.POLLING,
        "/jobs/{job_id}",
    )


def test_yes_no_and_dates_are_strings(load_text: Load) -> None:
    """What YAML 1.1 takes for something else means itself; numbers are those of YAML 1.2."""
    config = load_text(
        f"{JOB}    answer: {{succeeded: [yes, on], failed: [no, 2026-11-23], cancelled: [1:30]}}\n"
        "    polling: {interval: 1e1, maximum: 010}\n"
    )
    job = config.jobs["files.audit"]
    assert isinstance(job, HttpJob)
    assert job.answer.succeeded == ("yes", "on")
    assert job.answer.failed == ("no", "2026-11-23")
    assert job.answer.cancelled == ("1:30",)
    assert job.polling is not None
    assert (job.polling.interval, job.polling.maximum) == (10, 10)


def test_byte_order_mark_is_ignored(load_text: Load) -> None:
    """Some editors write one."""
    assert load_text(f"\ufeff{JOB}").jobs


def test_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """No file, a folder, and bytes that are no text each have their words."""
    damaged = tmp_path / "damaged.yaml"
    damaged.write_bytes(b"jobs: \xff")
    for path, words in (
        (tmp_path / "nothing", "nothing cannot be read: No such file or directory"),
        (tmp_path, "cannot be read: Is a directory"),
        (damaged, "damaged.yaml is not UTF-8 text: "),
    ):
        with pytest.raises(ConfigurationError, match=words):
            load(path)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("modee: x", "5: jobs.files.audit.modee: unknown key, did you mean 'mode'?"),
        (
            "polling: {interval: x}",
            "5: jobs.files.audit.polling.interval: expected a number greater",
        ),
        ("answer: {progres: 1}", "5: jobs.files.audit.answer.progres: unknown key, did you mean"),
    ],
)
def test_one_mistake_does_not_hide_another(refusal: Refusal, lines: str, words: str) -> None:
    """What does not fit the rest of the file is reported beside what is wrong by itself."""
    services = "services: {it: {url: 'http://x'}}"
    text = f"{services}\njobs:\n  files.audit:\n    service: its\n    {lines}\n"
    first, second = refusal(text).splitlines()
    assert first == (
        "gateway.yaml:4: jobs.files.audit.service: there is no service with this name, "
        "did you mean 'it'?"
    )
    assert second.startswith(f"gateway.yaml:{words}")


def test_refused_value_does_not_count_as_missing(refusal: Refusal) -> None:
    """A URL that is wrong is one mistake: that there is none is not another."""
    said = refusal("jobs:\n  a:\n    url: ftp://x\n    polling: {interval: fast}\n")
    assert [line.split(": ")[1] for line in said.splitlines()] == [
        "jobs.a.url",
        "jobs.a.polling.interval",
    ]


def test_callback_mode_needs_a_receiver_and_a_callback_url(refusal: Refusal) -> None:
    """Two mistakes, in one part and with the rest of the file: both are reported."""
    assert refusal(f"{JOB}    mode: callback\n    submit: {{body: payload}}\n").splitlines() == [
        "gateway.yaml:4: jobs.files.audit.mode: mode callback needs "
        "callbacks.public_url and callbacks.secret in the file",
        "gateway.yaml:5: jobs.files.audit.submit: the service is not given its callback_url: add "
        "it to body, path or headers",
    ]
