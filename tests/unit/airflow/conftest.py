"""Operators without brokers."""

from __future__ import annotations

import json

import pytest
from airflow.sdk import BaseOperator
from airflow.sdk.bases.operator import ExecutorSafeguard

from kafka_bridge.airflow import kafka_access, task_state
from kafka_bridge.airflow.batch import wait as batch_wait
from kafka_bridge.airflow.submit import attempts, completion, fate, submitter, timeout_advice
from kafka_bridge.airflow.triggerer import in_task, job_wait

from .stand_ins import Kafka, Log, TaskReader
from .trigger_runs import Runner

CONNECTION = {"conn_type": "kafka", "extra": {"bootstrap.servers": "127.0.0.1:9"}}


@pytest.fixture(autouse=True)
def deferrable_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Configure Airflow as a deployment with a triggerer does; tasks defer at once."""
    monkeypatch.setenv("AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE", "true")
    monkeypatch.setenv("AIRFLOW__KAFKA_BRIDGE__WAIT_BEFORE_DEFERRING", "0")


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> Kafka:
    """Put a stand-in where operators speak to brokers; there is a default connection."""
    stand_in = Kafka()
    monkeypatch.setattr(ExecutorSafeguard, "test_mode", True)
    monkeypatch.setenv("AIRFLOW_CONN_KAFKA_DEFAULT", json.dumps(CONNECTION))
    monkeypatch.setattr(submitter, "end_offsets", stand_in.end_offsets)
    monkeypatch.setattr(submitter, "RecordProducer", stand_in.producer)
    monkeypatch.setattr(kafka_access, "cancel", stand_in.cancel)
    monkeypatch.setattr(attempts, "earlier_requests", stand_in.earlier_requests)
    monkeypatch.setattr(fate, "JobEventScan", stand_in.scan)
    for module in (attempts, completion, fate):
        monkeypatch.setattr(module, "time", stand_in)
    monkeypatch.setattr(completion, "read_record", stand_in.read_record)
    monkeypatch.setattr(timeout_advice, "diagnose", stand_in.diagnose)
    monkeypatch.setattr(task_state, "is_in_state", stand_in.is_in_state)
    return stand_in


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> TaskReader:
    """Put a stand-in where a task's own process reads responses."""
    stand_in = TaskReader()
    monkeypatch.setattr(in_task, "open_for_task", stand_in.open_for_task)
    for module in (job_wait, batch_wait):
        monkeypatch.setattr(module, "join_hub", stand_in.join_hub)
    return stand_in


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    """Keep what operators log."""
    kept = Log()
    monkeypatch.setattr(BaseOperator, "log", kept)
    return kept


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Runner:
    """Give a function that runs a trigger on a script of notices."""
    return Runner(monkeypatch)
