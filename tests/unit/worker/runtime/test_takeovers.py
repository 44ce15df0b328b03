"""One partition, one worker after the other: what commits say must never cost or repeat a job.

The model has what decides that: the log, the ledger, the committed position. Workers consume,
finish and commit with the real tracker and the real metadata. Others commit in between.
"""

from __future__ import annotations

import random
from collections import Counter

from kafka_bridge.kafka.consumer import Position
from kafka_bridge.kafka.finished_runs import (
    MOST_BYTES,
    ConsumedRecord,
    FinishedRuns,
    from_metadata,
    to_metadata,
)
from kafka_bridge.worker.runtime.partition import OffsetTracker

HISTORIES, STEPS = 400, 80


class Worker:
    """Consumes one partition.

    :ivar running: by job, the offsets of its requests
    """

    def __init__(self, start: int, finished: FinishedRuns | None) -> None:
        self.offsets = OffsetTracker(finished)
        self.next = start
        self.running: dict[str, list[int]] = {}


class Takeovers:
    """What happens to a partition and its workers.

    :ivar did: counts what is worth to have happened
    """

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.log: list[str] = []
        self.records: list[ConsumedRecord] = []
        self.clock = 0
        self.deliveries: Counter[str] = Counter()
        self.ends: Counter[str] = Counter()
        self.committed = Position(0)
        self.sent = [self.committed]
        self.worker = Worker(0, None)
        self.did: Counter[str] = Counter()

    def run(self) -> None:
        """Have things happen at random; then let the last worker do all that is left."""
        often = [self.publish, self.consume, self.end, self.end, self.commit] * 4
        rarely = [self.take_over] * 2 + [self.commit_late, self.commit_by_another_program]
        rarely += [self.publish_again, self.lose_end_of_log]
        for _ in range(STEPS):
            self.chance.choice(often + rarely)()
            self._check()
        self.take_over()
        while self.worker.next < len(self.log):
            self.consume()
        for job in list(self.worker.running):
            self._end(job)
        assert self.worker.offsets.position in (None, len(self.log))
        assert set(self.log) <= set(self.ends), "an unfinished job was skipped"

    def _check(self) -> None:
        """Only what has ended is committed, or would be."""
        offsets = self.worker.offsets
        claimed = [] if offsets.finished is None else list(offsets.finished.runs)
        if offsets.position is not None:
            claimed.append((0, offsets.position))
        assert all(self.log[each] in self.ends for run in claimed for each in range(*run))

    # The log.

    def publish(self) -> None:
        """Publish new jobs."""
        for number in range(self.chance.randint(1, 8)):
            self._append(f"job-{self.clock}-{number}")

    def publish_again(self) -> None:
        """Publish a request again: its id stands at two offsets."""
        if self.log:
            self._append(self.chance.choice(self.log))

    def _append(self, job: str) -> None:
        self.clock += 1
        self.records.append(ConsumedRecord.of(len(self.log), job.encode(), self.clock))
        self.log.append(job)

    def lose_end_of_log(self) -> None:
        """Lose the last records, as an unclean election does; others get their offsets."""
        first = self.committed.offset
        if first < len(self.log):
            end = self.chance.randint(first, len(self.log) - 1)
            del self.log[end:], self.records[end:]
            self.sent = [each for each in self.sent if each.offset <= end]
            if self.chance.random() < 0.5:
                self.publish()
            self.take_over()

    # The worker.

    def consume(self) -> None:
        """Consume the next records, and begin those jobs that have not ended."""
        worker, offsets = self.worker, self.worker.offsets
        end = min(worker.next + self.chance.randint(1, 10), len(self.log))
        for offset in range(worker.next, end):
            offsets.note_last(self.records[offset])
            if not offsets.passes(offset):
                offsets.consume(offset)
                self._do(offset)
            else:
                self.did["passed"] += 1
                assert self.log[offset] in self.ends, "an unfinished job was skipped"
        worker.next = end

    def _do(self, offset: int) -> None:
        job, running = self.log[offset], self.worker.running
        if job in self.ends:
            self.worker.offsets.finish(offset)
        elif job in running:
            running[job].append(offset)
        else:
            running[job] = [offset]
            self.deliveries[job] += 1

    def end(self) -> None:
        """End a job, perhaps not the oldest."""
        if self.worker.running:
            self._end(self.chance.choice(list(self.worker.running)))

    def _end(self, job: str) -> None:
        self.ends[job] += 1
        assert self.ends[job] == 1, "a finished job ran again"
        for offset in self.worker.running.pop(job):
            self.worker.offsets.finish(offset)

    def commit(self) -> None:
        """Commit the position, with as many runs as fit."""
        offset, finished = self.worker.offsets.position, self.worker.offsets.finished
        if offset is not None and finished is not None:
            most_bytes = self.chance.choice([MOST_BYTES, MOST_BYTES, 55, 10])
            text = to_metadata(offset, finished, most_bytes)
            assert len(text) <= most_bytes
            self.did["left out"] += text != to_metadata(offset, finished)
            self.committed = Position(offset, text)
            self.sent.append(self.committed)

    def take_over(self) -> None:
        """Have another worker take over; what this one had begun is begun again."""
        finished = from_metadata(*self.committed)
        if finished is not None:
            self.did["taken over"] += 1
            if finished.last not in self.records:
                self.did["refused"] += 1
                finished = None
        self.worker = Worker(self.committed.offset, finished)

    # Others.

    def commit_late(self) -> None:
        """Have an old worker commit what it knew."""
        self.committed = self.chance.choice(self.sent)

    def commit_by_another_program(self) -> None:
        """Commit an earlier offset, other metadata, or metadata that is damaged."""
        offset, metadata = self.chance.choice(self.sent)
        notes = ["", "a note", metadata[:-1], metadata.replace("3", "4"), "x" * 5000]
        self.committed = self.chance.choice(
            [Position(offset, self.chance.choice(notes)), Position(max(0, offset - 1), metadata)]
        )


def test_nothing_finished_runs_again_and_nothing_unfinished_is_skipped() -> None:
    """Whatever is committed, by whom and when, and whatever the topic loses."""
    did: Counter[str] = Counter()
    for seed in range(HISTORIES):
        history = Takeovers(seed)
        history.run()
        did += history.did
    # That they happened is part of the test.
    assert min(did[each] for each in ("passed", "left out", "taken over", "refused")) > 50, did
