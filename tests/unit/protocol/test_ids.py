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
    """The jobs of a batch have version 5."""
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


def test_ids_of_a_batchs_jobs_follow_from_the_batch_id() -> None:
    """A batch's jobs have the UUIDs of version 5 of its id and their index, however many."""
    ids = batch_job_ids(JOB, 1000)
    assert ids[:3] == batch_job_ids(JOB, 3)
    assert ids == [str(uuid.uuid5(uuid.UUID(JOB), str(index))) for index in range(1000)]
    assert ids[17] == "27c2f856-ccf8-5f07-907d-09a265f839d7"
