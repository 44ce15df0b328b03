"""The kit finds each fault of a worker, by the probe of the rule that is broken."""

from __future__ import annotations

import pytest

from integration.conformance.faults import FAULTS, NEEDS_APACHE, Fault
from integration.conformance.kit_runs import BARE, TESTS, failed, run
from kafka_bridge.conformance.kit import OwnBroker, selected
from kafka_bridge.conformance.probe import Setting

BY_NAME = {each.name: each for each in FAULTS}
EVERYDAY = (
    "only-plain-json",
    "always-retryable",
    "refuses-unknown-fields",
    "dead-letter-text-headers",
    "key-in-upper-case",
    "crc-partitioner",
    "sequence-stays",
    "starts-expired",
    "ledger-ignored",
)
SHARED = [each.id for each in selected(3, ()) if each.setting is not Setting.ALONE]
CONTROL = "L1-REPLY-HEADERS"
"""A probe that these faults do not concern."""


@pytest.fixture(autouse=True)
def _programs_find_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(TESTS))


def names_of(failures: dict[str, str]) -> set[str]:
    """Return the ids of failed probes."""
    return {each.split()[0] for each in failures}


def test_every_probe_has_a_fault_that_it_finds() -> None:
    """A probe that no fault makes fail may be one that never fails."""
    assert {each.found_by for each in FAULTS} == {each.id for each in selected(3, ())}


@pytest.mark.parametrize("name", EVERYDAY)
def test_fault_fails_its_probe(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The probe of the broken rule fails, and another one does not."""
    monkeypatch.setenv("FAULT", name)
    fault = BY_NAME[name]
    results = run(BARE, [fault.found_by, CONTROL], (fault.encoding,))
    assert names_of(failed(results)) == {fault.found_by}


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_fault_fails_only_its_probe_and_what_follows(
    fault: Fault, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """Of all probes with one worker, only those fail that the broken rule concerns."""
    broker = OwnBroker.EMBEDDED
    names = SHARED if fault.found_by in SHARED else [fault.found_by, CONTROL]
    if fault.found_by in NEEDS_APACHE:
        request.getfixturevalue("kafka_jars")
        broker, names = OwnBroker.APACHE, [fault.found_by, CONTROL]
    monkeypatch.setenv("FAULT", fault.name)
    failures = failed(run(BARE, names, (fault.encoding,), broker))
    assert fault.found_by in names_of(failures)
    if "*" not in fault.follows:
        unexpected = names_of(failures) - fault.follows - {fault.found_by}
        assert unexpected == set(), {each: failures[each] for each in failures}
