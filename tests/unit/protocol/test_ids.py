"""Correlation ids."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_bridge.protocol.ids import (
    batch_job_ids,
    correlation_id_from_key,
    is_correlation_id,
    new_correlation_id,
    new_event_id,
    new_job_id,
    task_prefix,
)

from .samples import JOB
from .strategies import correlation_ids, repeatable

NOT_IDS = {
    "empty": "",
    "upper case": JOB.upper(),
    "no dashes": JOB.replace("-", ""),
    "braces": f"{{{JOB}}}",
    "urn": f"urn:uuid:{JOB}",
    "a line break after it": f"{JOB}\n",
    "one digit short": JOB[:-1],
    "no hexadecimal digit": f"g{JOB[1:]}",
    "digits of another script": f"٣{JOB[1:]}",
}


@pytest.mark.parametrize("new", [new_correlation_id, new_event_id])
def test_new_ids_are_random_uuids_in_canonical_form(new: type[str]) -> None:
    """A new id is a version 4 UUID as 36 characters in lower case, and unlike the last one."""
    first, second = new(), new()
    assert first != second
    assert is_correlation_id(first)
    assert uuid.UUID(first).version == 4


@pytest.mark.parametrize("text", NOT_IDS.values(), ids=NOT_IDS.keys())
def test_only_the_canonical_form_is_an_id(text: str) -> None:
    """One id has one spelling, as text and as a record's key."""
    assert not is_correlation_id(text)
    assert correlation_id_from_key(text.encode()) is None


def test_ids_of_any_uuid_version_are_ids() -> None:
    """Airflow's have version 8, a replayed dead letter's version 5."""
    assert is_correlation_id(str(uuid.uuid5(uuid.UUID(JOB), "7")))


@repeatable
@given(correlation_ids)
def test_an_id_survives_the_key(text: str) -> None:
    """What was written as the key is read from it."""
    assert correlation_id_from_key(text.encode("ascii")) == text


@repeatable
@given(st.none() | st.binary(max_size=40) | st.binary(min_size=36, max_size=36))
def test_any_other_key_is_none(key: bytes | None) -> None:
    """Other people's keys are no error: they are not ours."""
    assert correlation_id_from_key(key) is None


tasks = st.tuples(
    st.text(max_size=20),
    st.text(max_size=20),
    st.text(max_size=20),
    st.text(max_size=20),
    st.integers(-1, 2000),
)


@repeatable
@given(tasks, tasks)
def test_ids_begin_alike_only_for_the_same_task_instance(
    one: tuple[str, str, str, str, int], other: tuple[str, str, str, str, int]
) -> None:
    """All tries of a task instance have the same prefix, and no two task instances have."""
    assert task_prefix(*one) == task_prefix(*one)
    assert (task_prefix(*one) == task_prefix(*other)) == (one == other)


@repeatable
@given(tasks)
def test_each_submission_of_a_task_instance_has_an_id_of_its_own(
    task: tuple[str, str, str, str, int],
) -> None:
    """It has the prefix of the task instance. No try, and no run of the same name, repeats it."""
    prefix = task_prefix(*task)
    ids = {new_job_id(prefix) for _ in range(100)}
    assert len(ids) == 100
    for each in ids:
        assert each.startswith(prefix)
        assert is_correlation_id(each)
        assert (uuid.UUID(each).version, uuid.UUID(each).variant) == (8, uuid.RFC_4122)


@repeatable
@given(tasks, st.integers(0, 300))
def test_ids_of_a_batchs_jobs_follow_from_the_batch_id(
    task: tuple[str, str, str, str, int], count: int
) -> None:
    """They are the same each time, all different, and have the prefix of the task instance."""
    prefix = task_prefix(*task)
    batch, other = new_job_id(prefix), new_job_id(prefix)
    ids = batch_job_ids(batch, count)
    assert ids == batch_job_ids(batch, 300)[:count]
    assert len({batch, other, *ids, *batch_job_ids(other, count)}) == 2 * count + 2
    for each in ids:
        assert each.startswith(prefix)
        assert is_correlation_id(each)
        assert (uuid.UUID(each).version, uuid.UUID(each).variant) == (8, uuid.RFC_4122)


def test_ids_of_today_are_found_by_the_code_of_tomorrow() -> None:
    """After an upgrade, a retry looks for what the version before has published."""
    prefix = task_prefix("https://airflow.example.com", "nightly", "manual__2026", "audit", -1)
    assert prefix == "234753f0-10b0-8ef0"
    assert (
        batch_job_ids(f"{prefix}-9b7d-3f2a1c5e7d01", 2)[1] == "234753f0-10b0-8ef0-b873-bd5bb7719bb9"
    )
