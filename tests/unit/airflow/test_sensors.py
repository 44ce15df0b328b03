"""The sensor: a real one of Airflow's, that waits for the job of a handle."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from airflow.exceptions import AirflowSensorTimeout, AirflowSkipException, TaskDeferred
from airflow.sdk import DAG, BaseSensorOperator
from airflow.sdk.bases.operator import TRIGGER_FAIL_REPR, TriggerFailureReason

from kafka_bridge.airflow import KafkaJobSensor, KafkaJobTrigger
from kafka_bridge.airflow.exceptions import KafkaJobKilled, KafkaJobTimedOut, KafkaJobWaitFailed
from kafka_bridge.protocol.errors import ConfigurationError, RecordGone
from kafka_bridge.protocol.messages import JobFailure, JobState

from .samples import JOB, OTHER_JOB, T0, context, event, handle
from .stand_ins import Kafka, TaskReader

WHAT_A_HANDLE_IS = (
    "job must be what KafkaJobPublishOperator returns, as it is, or as JSON text "
    "(in a template: `| tojson`), not "
)
DONE = {"state": "SUCCEEDED", "partition": 2, "offset": 17}


def wait(made: KafkaJobSensor) -> KafkaJobTrigger:
    """Execute a sensor; return the trigger that it defers to."""
    with pytest.raises(TaskDeferred) as caught:
        made.execute(context())
    assert isinstance(caught.value.trigger, KafkaJobTrigger)
    return caught.value.trigger


@pytest.mark.parametrize("form", ["value", "text"])
def test_sensor_waits_for_the_job_of_the_handle_through_its_connection(
    kafka: Kafka, form: str
) -> None:
    """It waits for the job of the handle, through the connection that published it."""
    job: Any = handle(kafka_config_id="theirs").to_json()
    trigger = wait(KafkaJobSensor(task_id="s", job=job if form == "value" else json.dumps(job)))
    assert (trigger.spec.correlation_id, trigger.spec.start_offsets) == (JOB, [4, 5, 6])
    assert (trigger.spec.kafka_config_id, trigger.spec.job_type) == ("theirs", "files.audit")
    assert not trigger.spec.cancel_on_kill
    assert kafka.published == []


def test_sensor_may_have_a_connection_of_its_own(kafka: Kafka) -> None:
    """Another deployment's connection has another name: the sensor may say which one it is."""
    made = KafkaJobSensor(task_id="s", job=handle().to_json(), kafka_config_id="mine")
    assert wait(made).spec.kafka_config_id == "mine"


@pytest.mark.parametrize(
    "job",
    [None, 42, "", "{", "{'correlation_id': 'x'}", {}, {"correlation_id": JOB}, "[]"],
)
def test_sensor_without_a_handle_says_what_a_handle_is(kafka: Kafka, job: Any) -> None:
    """What is no handle is said so, with what it is, and how a template passes one on."""
    with pytest.raises(ConfigurationError) as caught:
        KafkaJobSensor(task_id="s", job=job).execute(context())
    assert str(caught.value).startswith(WHAT_A_HANDLE_IS)


def test_handle_with_an_invalid_id_is_refused(kafka: Kafka) -> None:
    """A handle whose id is no correlation id is no handle."""
    job = handle(correlation_id="42").to_json()
    with pytest.raises(
        ConfigurationError, match="job must be what KafkaJobPublishOperator returns"
    ):
        KafkaJobSensor(task_id="s", job=job).execute(context())


def test_resumed_sensor_returns_the_result(kafka: Kafka) -> None:
    """The result of the job is the sensor's, and its handler is asked."""
    kafka.ended = event(JobState.SUCCEEDED, result=b"3", result_type="application/json")
    job = handle().to_json()
    made = KafkaJobSensor(task_id="s", job=job, result_handler=lambda result: result + 1)
    assert made.execute_complete(context(), DONE, job=job) == 4
    assert made.execute_complete(context(), DONE) == 4


def resume(made: KafkaJobSensor, event: dict[str, Any]) -> Any:
    """Resume a sensor's task as Airflow does."""
    kwargs = {"event": event, "job": handle().to_json()}
    return made.resume_execution("execute_complete", kwargs, context())


def trigger_timeout(made: KafkaJobSensor) -> Any:
    """Resume a sensor's task whose deferral has lasted too long."""
    return made.resume_execution(
        TRIGGER_FAIL_REPR, {"error": TriggerFailureReason.TRIGGER_TIMEOUT}, context()
    )


def test_resumed_sensor_uses_the_connection_of_the_job(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process that reads the result is another one than the one that deferred."""
    kafka.ended = event(JobState.SUCCEEDED)
    job = handle(kafka_config_id="theirs").to_json()
    monkeypatch.setattr("kafka_bridge.airflow.kafka_access.kafka_config", lambda name: name)
    made = KafkaJobSensor(task_id="s", job=job)
    made.resume_execution("execute_complete", {"event": DONE, "job": job}, context())
    assert str(made.kafka.config) == "theirs"


def test_timeout_bounds_the_deferral(kafka: Kafka) -> None:
    """Airflow ends the deferral itself; without a word, after [sensors] default_timeout."""
    for timeout, expected in ((timedelta(minutes=5), 300.0), (None, 604_800.0)):
        made = KafkaJobSensor(task_id="s", job=handle().to_json(), timeout=timeout)
        with pytest.raises(TaskDeferred) as caught:
            made.execute(context())
        assert caught.value.timeout == timedelta(seconds=expected)


@pytest.mark.parametrize("cancel", [False, True])
def test_timeout_fails_the_sensor(kafka: Kafka, cancel: bool) -> None:
    """The task fails as Airflow's sensors do; its job is cancelled only if the author says so."""
    made = KafkaJobSensor(task_id="s", job=handle().to_json(), timeout=300, cancel_on_kill=cancel)
    with pytest.raises(AirflowSensorTimeout) as caught:
        trigger_timeout(made)
    assert str(caught.value) == f"job {JOB} did not finish within the sensor's timeout of 300 s"
    assert kafka.cancelled == ([(JOB, str(caught.value))] if cancel else [])


@pytest.mark.parametrize(
    "arguments",
    [{"deferrable": False}, {"wait_before_deferring": 0.01}, {"wait_before_deferring": 9}],
)
def test_timeout_bounds_a_wait_in_the_worker(
    kafka: Kafka, reader: TaskReader, arguments: dict[str, Any]
) -> None:
    """While the task's own process waits, the sensor counts the time itself."""
    made = KafkaJobSensor(task_id="s", job=handle().to_json(), timeout=0.01, **arguments)
    with pytest.raises(AirflowSensorTimeout, match=r"timeout of 0\.01 s"):
        made.execute(context())


def test_time_in_the_worker_counts_for_the_timeout_of_the_deferral(
    kafka: Kafka, reader: TaskReader
) -> None:
    """The sensor does not wait longer than its timeout because it waits in two places."""
    made = KafkaJobSensor(
        task_id="s", job=handle().to_json(), timeout=300, wait_before_deferring=0.05
    )
    with pytest.raises(TaskDeferred) as caught:
        made.execute(context())
    assert timedelta(seconds=290) < caught.value.timeout < timedelta(seconds=299.96)


@pytest.mark.parametrize("state", [JobState.FAILED, JobState.CANCELLED])
def test_soft_fail_skips_after_a_job_that_did_not_succeed(kafka: Kafka, state: JobState) -> None:
    """A job that failed or was cancelled skips the task, and the reason is told."""
    kafka.ended = event(state, error=JobFailure("oops", "no disk"), message="no disk")
    made = KafkaJobSensor(task_id="s", job=handle().to_json(), soft_fail=True)
    with pytest.raises(AirflowSkipException, match="no disk"):
        resume(made, {**DONE, "state": state.value})


def test_soft_fail_skips_after_a_time_out(kafka: Kafka) -> None:
    """So does a job that timed out, and the sensor's own timeout."""
    made = KafkaJobSensor(task_id="s", job=handle().to_json(), soft_fail=True)
    with pytest.raises(AirflowSkipException, match="worker_lost: silent"):
        resume(made, {"error": "worker_lost", "message": "silent"})
    with pytest.raises(AirflowSkipException, match="within the sensor's timeout"):
        trigger_timeout(made)


@pytest.mark.parametrize(
    ("fired", "error"),
    [
        ({"error": "ReaderClosed", "message": "closed"}, KafkaJobWaitFailed),
        (DONE, RecordGone),
    ],
)
def test_soft_fail_hides_no_other_error(kafka: Kafka, fired: Any, error: type[Exception]) -> None:
    """What says nothing about the job fails the task: nobody knows what became of it."""
    made = KafkaJobSensor(task_id="s", job=handle().to_json(), soft_fail=True)
    with pytest.raises(error):
        resume(made, fired)


def test_soft_fail_does_not_skip_a_killed_task(kafka: Kafka) -> None:
    """A task that a person has ended before it could defer is not skipped."""
    kafka.state = "failed"
    with pytest.raises(KafkaJobKilled):
        KafkaJobSensor(task_id="s", job=handle().to_json(), soft_fail=True).execute(context())


def test_sensor_is_one_of_airflows() -> None:
    """Airflow and its users treat it as a sensor."""
    assert isinstance(KafkaJobSensor(task_id="s", job={}), BaseSensorOperator)


def test_sensor_takes_the_kind_of_reply_from_the_handle() -> None:
    """An argument that would be ignored is refused."""
    with pytest.raises(ConfigurationError, match="KafkaJobSensor has no reply: leave it out"):
        KafkaJobSensor(task_id="s", job={}, reply="plain")


@pytest.mark.parametrize(
    "arguments",
    [{"mode": "reschedule"}, {"poke_interval": 5}, {"never_fail": True}, {"silent_fail": True}],
)
def test_sensor_does_not_poke(arguments: Any) -> None:
    """What would do nothing is refused when the DAG is parsed; a DAG's default_args are not."""
    with pytest.raises(ConfigurationError) as caught:
        KafkaJobSensor(task_id="s", job={}, **arguments)
    (name,) = arguments
    assert str(caught.value).startswith(f"KafkaJobSensor does not poke, so it has no {name}: ")
    with DAG("defaults", schedule=None, default_args=arguments):
        KafkaJobSensor(task_id="s", job={})


@pytest.mark.parametrize("cancel", [False, True])
def test_sensor_cancels_the_job_only_with_cancel_on_kill(kafka: Kafka, cancel: bool) -> None:
    """The job is not the sensor's own: it is cancelled only where the author says so."""
    made = KafkaJobSensor(task_id="s", job=handle().to_json(), cancel_on_kill=cancel)
    wait(made)
    made.on_kill()
    with pytest.raises(KafkaJobTimedOut):
        made.execute_complete(context(), {"error": "worker_lost", "message": "silent"})
    reasons = ["the task was killed", "worker_lost: silent"]
    assert kafka.cancelled == ([(JOB, reason) for reason in reasons] if cancel else [])


def test_sensor_counts_the_whole_time_from_the_publishers_first_submission(kafka: Kafka) -> None:
    """Whatever the tries of the sensor itself are."""
    job = handle(first_submitted_at=T0 - 50).to_json()
    made = KafkaJobSensor(task_id="s", job=job, schedule_to_close_timeout=100)
    _, arguments = wait(made).serialize()
    assert arguments["schedule_to_close_timeout"] == 100
    assert (arguments["submitted_at"], arguments["first_submitted_at"]) == (T0, T0 - 50)


def test_job_of_an_earlier_version_counts_as_the_first_submission(kafka: Kafka) -> None:
    """Its handle knows no other one."""
    job = handle().to_json()
    del job["first_submitted_at"]
    _, arguments = wait(KafkaJobSensor(task_id="s", job=job)).serialize()
    assert arguments["first_submitted_at"] == T0


def test_sensor_can_be_mapped_over_handles() -> None:
    """One sensor waits for each job of a mapped publish task."""
    with DAG("mapped", schedule=None) as dag:
        KafkaJobSensor.partial(task_id="wait", timeout=timedelta(minutes=5)).expand(
            job=[handle().to_json(), handle(correlation_id=OTHER_JOB).to_json()]
        )
    made = dag.get_task("wait").unmap({"job": handle().to_json()})
    assert isinstance(made, KafkaJobSensor)
    assert (made.deferral_timeout, made.job["correlation_id"]) == (timedelta(minutes=5), JOB)
