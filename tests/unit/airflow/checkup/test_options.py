"""The section ``[kafka_bridge]``, and Airflow's own settings, as findings."""

from __future__ import annotations

import pytest

from kafka_bridge.airflow.checkup import deployment
from kafka_bridge.airflow.checkup.options import options
from kafka_bridge.airflow.limits import job_limits
from kafka_bridge.airflow.settings import OPTIONS
from kafka_bridge.findings import Finding, Level, error, ok, warning


@pytest.fixture(autouse=True)
def _fresh_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read the limits again, and begin without options."""
    job_limits.cache_clear()
    for name in OPTIONS:
        monkeypatch.delenv(f"AIRFLOW__KAFKA_BRIDGE__{name.upper()}", raising=False)


def look(monkeypatch: pytest.MonkeyPatch, **given: str) -> list[Finding]:
    """Return the findings about the section with these options."""
    for name, value in given.items():
        monkeypatch.setenv(f"AIRFLOW__KAFKA_BRIDGE__{name.upper()}", value)
    return list(options(60))


def test_defaults_are_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any option, and with every example of the documentation."""
    good = [ok("all options are known and valid")]
    assert look(monkeypatch) == good
    job_limits.cache_clear()
    assert look(monkeypatch, **{name: each.example for name, each in OPTIONS.items()}) == good


def test_unknown_option_is_a_warning_with_the_likely_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow itself ignores it."""
    assert look(monkeypatch, requst_topic="x", zzz="y") == [
        warning(
            "[kafka_bridge] requst_topic is not an option of kafka-bridge and has no effect",
            "Did you mean request_topic?",
        ),
        warning(
            "[kafka_bridge] zzz is not an option of kafka-bridge and has no effect",
            "Correct or remove it.",
        ),
    ]


def test_all_invalid_options_are_found_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each in the words of the operators."""
    found = look(
        monkeypatch,
        control_topic=" ",
        encoding="xml",
        heartbeat_timeout="5",
        schedule_to_start_timeout="soon",
        start_to_close_timeout="-1",
        schedule_to_close_timeout="0",
        wait_before_deferring="-1",
        max_result_bytes="many",
        job_url="http://x/{no}",
        batch_url="http://x/{",
    )
    assert {each.level for each in found} == {Level.ERROR}
    assert [each.text.removeprefix("[kafka_bridge] ").split()[0] for each in found] == [
        "control_topic",
        "encoding",
        "heartbeat_timeout",
        "schedule_to_start_timeout",
        "start_to_close_timeout",
        "schedule_to_close_timeout",
        "wait_before_deferring",
        "max_result_bytes",
        "job_url",
        "batch_url",
    ]
    assert "(5 s) must be longer than heartbeat_interval (10 s)" in found[2].text
    assert found[0] == error(
        "[kafka_bridge] control_topic must not be empty: remove it, or set it to a name"
    )


@pytest.mark.parametrize(("value", "level"), [("True", Level.OK), ("False", Level.WARNING)])
def test_tasks_that_hold_worker_slots_are_a_warning(
    monkeypatch: pytest.MonkeyPatch, value: str, level: Level
) -> None:
    """They may be intended where no triggerer runs."""
    monkeypatch.setenv("AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE", value)
    monkeypatch.setenv("AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL", "1")
    monkeypatch.setenv("AIRFLOW__TRIGGERER__CAPACITY", "700")
    first, capacity, delay = deployment.waiting(60)
    assert first.level is level
    assert first.text.startswith(f"[operators] default_deferrable is {value}: ")
    assert "at most 700 tasks" in capacity.text
    assert delay.text.startswith("a task that defers is resumed after 4 s or later")


def test_xcom_backend_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit of results has no effect on a custom one."""
    (finding,) = deployment.xcom(60)
    assert finding.text.startswith("results are stored in Airflow's database")
    monkeypatch.setattr(deployment, "is_stored_by_airflow", lambda: False)
    monkeypatch.setenv("AIRFLOW__CORE__XCOM_BACKEND", "my.Backend")
    (finding,) = deployment.xcom(60)
    assert finding.text.startswith("[core] xcom_backend is my.Backend: it stores results")
