"""Four workers, jobs all the while, and at random: kill -9, frozen and thawed, stopped and started.

In one form, very long jobs are among quick ones, and another program commits in the workers' group.

The seed fixes what is done and in which order; what the machine makes of it differs between runs.
``make chaos`` runs the long form: thousands of jobs and two minutes. CHAOS_SEED sets another seed.
"""

from __future__ import annotations

import math
import os
import random
import signal
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import confluent_kafka as ck
import pytest

from integration.jobs import config_of, request
from integration.worker.programs import Program, Stage
from kafka_bridge.kafka.lookups.scan import scan
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.kafka.records import Record
from kafka_bridge.kafka.responses.reader import ResponseReader
from kafka_bridge.kafka.responses.subscriptions import Arrival, Delivery, Notice
from kafka_bridge.protocol.lifecycle import TERMINAL, JobHistory, Verdict
from kafka_bridge.protocol.messages import JobRequest, JobState, StatusEvent
from kafka_bridge.testing import ApacheKafka
from kafka_bridge.testing.freezing import freeze

SEED = int(os.environ.get("CHAOS_SEED", "20261125"))
WORKERS = 4
CONCURRENCY = 4
SESSION_SECONDS = 3.0
PARTITIONS = 8
LONGEST_MS = 200
VERY_LONG, VERY_LONG_MS = 12, 8_000
SMALL = {"WORTHWHILE": "20", "SEEK_RECORDS": "20", "KAFKA_BRIDGE_MAX_DELIVERIES": "1000"}
"""From how many finished requests on a commit names them, and a worker seeks over them. Of the
workers that die, many die while they run the same long job: that is not its fault."""
PROCESS_JOBS = int(os.environ.get("CHAOS_PROCESS_JOBS", "3000"))
PROCESS_SECONDS = float(os.environ.get("CHAOS_PROCESS_SECONDS", "60"))
"""The form with handlers in child processes; smaller numbers for a first look."""
PUBLISH_SECONDS = 300.0
"""The broker is restarted meanwhile, which takes long on a busy machine."""
STEP_SECONDS = 90.0
"""How long a step of the jobs may take, on a busy machine."""
HEARTBEAT_MS = 500
HEARTBEAT_TIMEOUT = 3 * SESSION_SECONDS
"""The silence after which a task gives up its worker: three times the session, as by default."""


@pytest.fixture
def quick_broker(kafka_jars: None) -> Iterator[ApacheKafka]:
    """Give a broker of the test's own that takes short session time-outs."""
    settings = {"group.min.session.timeout.ms": "1000", "group.initial.rebalance.delay.ms": "0"}
    with ApacheKafka(settings) as broker:
        yield broker


@dataclass
class Chaos:
    """Does harm to a stage's workers, and keeps them four."""

    stage: Stage
    broker: ApacheKafka
    chance: random.Random
    freezes: bool = True
    replaces_after: float = 0.0
    environ: dict[str, str] = field(default_factory=dict)
    did: Counter[str] = field(default_factory=Counter)
    log: list[str] = field(default_factory=list)
    running: list[Program] = field(default_factory=list)
    _deck: list[Callable[[Program], None]] = field(default_factory=list)
    _thaws: list[threading.Timer] = field(default_factory=list)
    _starts: list[threading.Timer] = field(default_factory=list)

    def start(self) -> None:
        """Start a worker; do not wait for it."""
        self.running.append(
            self.stage.start(
                "--concurrency",
                str(CONCURRENCY),
                "--processes",
                "2",
                ready=False,
                KAFKA_BRIDGE_GRACE_SECONDS="1",
                KAFKA_BRIDGE_KAFKA_SESSION_TIMEOUT_MS=str(int(SESSION_SECONDS * 1000)),
                KAFKA_BRIDGE_KAFKA_HEARTBEAT_INTERVAL_MS="300",
                **self.environ,
            )
        )

    def harm(self) -> None:
        """Do one thing to a worker chosen at random: each thing once, and again."""
        if not self._deck:
            acts = [self._kill, self._terminate, *([self._freeze] if self.freezes else [])]
            self._deck = self.chance.sample(acts, len(acts))
        act = self._deck.pop()
        victim = self.chance.choice(self.running)
        name = act.__name__.strip("_")
        self.did[name] += 1
        self.log.append(f"{time.time():.3f} {name} {victim.process.pid}")
        act(victim)

    def _kill(self, victim: Program) -> None:
        victim.kill()
        self.running.remove(victim)
        self._replace()

    def _freeze(self, victim: Program) -> None:
        """Stop it for longer than its session lasts; others take over meanwhile."""
        freeze(victim.process.pid)
        thaw = SESSION_SECONDS + self.chance.uniform(0.5, 2.0)
        self.running.remove(victim)

        def later() -> None:
            self.log.append(f"{time.time():.3f} thaw {victim.process.pid}")
            victim.process.send_signal(signal.SIGCONT)
            self.running.append(victim)

        self._thaws.append(threading.Timer(thaw, later))
        self._thaws[-1].start()

    def _terminate(self, victim: Program) -> None:
        victim.process.terminate()
        self.running.remove(victim)
        self._replace()

    def _replace(self) -> None:
        if self.replaces_after == 0:
            self.start()
        elif self.replaces_after < math.inf:
            self._starts.append(threading.Timer(self.replaces_after, self.start))
            self._starts[-1].start()

    def close(self) -> None:
        """Start no more workers."""
        for start in self._starts:
            start.cancel()
            start.join()

    def settle(self) -> None:
        """Wait until every worker is thawed, and has had the time to say what it should not."""
        for thaw in self._thaws:
            thaw.join()
        threading.Event().wait(SESSION_SECONDS)

    def commit_for_the_group(self) -> None:
        """Kill all workers; commit as another program would; start four workers again."""
        self.did["foreign commit"] += 1
        for thaw in self._thaws:
            thaw.join()
        for victim in list(self.running):
            victim.kill()
            self.running.remove(victim)
        names = {"bootstrap.servers": self.broker.bootstrap_servers, "group.id": self.stage.group}
        group = ck.Consumer(names)
        asked = [ck.TopicPartition(self.stage.requests, each) for each in range(PARTITIONS)]
        positions = [self._replaced(each) for each in group.committed(asked, timeout=10)]
        give_up = time.monotonic() + 120
        while not _commits(group, positions):
            assert time.monotonic() < give_up, "the group does not become empty"
            time.sleep(0.2)
        self.log.append(f"{time.time():.3f} foreign commit: {positions}")
        for _ in range(WORKERS):
            self.start()

    def _replaced(self, committed: ck.TopicPartition) -> ck.TopicPartition:
        """Return the same position, or one a bit earlier, with metadata that may be replaced."""
        kept = committed.metadata or ""
        metadata = self.chance.choice([kept, kept, kept[:-1], "another program's", ""])
        offset = max(0, committed.offset - self.chance.choice([0, 0, 5]))
        return ck.TopicPartition(committed.topic, committed.partition, offset, metadata=metadata)

    def restart_broker(self) -> None:
        """Kill the broker and start it again."""
        self.did["broker restart"] += 1
        self.log.append(f"{time.time():.3f} broker")
        self.broker.kill()
        self.broker.start()


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("jobs", "seconds", "job_type"),
    [
        (1_000, 10.0, "work"),
        pytest.param(6_000, 120.0, "work", marks=pytest.mark.long),
        pytest.param(PROCESS_JOBS, PROCESS_SECONDS, "work.process", marks=pytest.mark.long),
    ],
)
def test_every_job_ends_once_whatever_dies(
    quick_broker: ApacheKafka,
    unique_name: Callable[[str], str],
    tmp_path: Path,
    jobs: int,
    seconds: float,
    job_type: str,
) -> None:
    """Every job ends and none is started once its end is on record; a waiting task hears the first.

    No job has a second end: a thawed worker asks before it publishes. The same event may be there
    twice: a worker publishes it again if the broker went before it could acknowledge it.
    """
    config = config_of(quick_broker.bootstrap_servers)
    with RecordProducer(config, PUBLISH_SECONDS) as producer:
        stage = _stage(quick_broker, producer, unique_name, tmp_path)
        requests = [
            request(job_type, stage.responses, number % (LONGEST_MS + 1)) for number in range(jobs)
        ]
        if job_type == "work.process":
            stage.runs = ("worker", "run", "process_handlers:worker")
        chaos = Chaos(stage, quick_broker, random.Random(SEED))
        reader, heard = _reader(stage, requests)
        try:
            for _ in range(WORKERS):
                chaos.start()
            _run(chaos, requests, seconds)
            _until_all_ended(stage, requests)
            chaos.settle()
            ends = _ends(stage)
        finally:
            reader.close()
            stage.close()
    _check(stage, chaos, ends, heard, jobs)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("jobs", "harms"), [(3_000, 6), pytest.param(20_000, 40, marks=pytest.mark.long)]
)
def test_finished_jobs_behind_very_long_ones_never_run_again(
    quick_broker: ApacheKafka,
    unique_name: Callable[[str], str],
    tmp_path: Path,
    jobs: int,
    harms: int,
) -> None:
    """Commits say which jobs behind a long one are finished; another program may replace that.

    Between two harms, some jobs end: it takes as long as the machine needs.
    """
    config = config_of(quick_broker.bootstrap_servers)
    with RecordProducer(config, PUBLISH_SECONDS) as producer:
        stage = _stage(quick_broker, producer, unique_name, tmp_path)
        long = [request("work", stage.responses, VERY_LONG_MS) for _ in range(VERY_LONG)]
        quick = [request("work", stage.responses, number % 3) for number in range(jobs)]
        chaos = Chaos(stage, quick_broker, random.Random(SEED), environ=SMALL)
        reader, heard = _reader(stage, long + quick)
        try:
            stage.publish(*long, *quick)
            for _ in range(WORKERS):
                chaos.start()
            for step in range(1, harms + 1):
                _until_started(stage, step * jobs // (harms + 1))
                if step == harms // 2:
                    chaos.commit_for_the_group()
                else:
                    chaos.harm()
            _until_all_ended(stage, long + quick)
            chaos.settle()
            ends = _ends(stage)
        finally:
            reader.close()
            stage.close()
    used = sum(each.said.count("are finished and are not read again") for each in stage.programs)
    print(f"{used} times, what was finished behind a long job was not read again")  # noqa: T201
    assert used >= 1
    _check(stage, chaos, ends, heard, VERY_LONG + jobs)


def _until_started(stage: Stage, jobs: int) -> None:
    """Wait until so many jobs have started."""
    give_up = time.monotonic() + STEP_SECONDS
    while not stage.notes.exists() or len(stage.started()) < jobs:
        assert time.monotonic() < give_up, f"{jobs} jobs have not started"
        time.sleep(0.2)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("jobs", "seconds", "replaces_after"),
    [(700, 6.0, math.inf), pytest.param(6_000, 90.0, 12.0, marks=pytest.mark.long)],
)
def test_no_task_loses_its_worker_while_another_has_its_partition(
    quick_broker: ApacheKafka,
    unique_name: Callable[[str], str],
    tmp_path: Path,
    jobs: int,
    seconds: float,
    replaces_after: float,
) -> None:
    """Workers with long backlogs are killed and stopped: what had begun is soon spoken for again.

    All jobs are queued at the start, so that whoever takes a partition over has its own queue, and
    those that are gone are replaced late or never.
    """
    config = config_of(quick_broker.bootstrap_servers)
    with RecordProducer(config, PUBLISH_SECONDS) as producer:
        stage = _stage(quick_broker, producer, unique_name, tmp_path)
        requests = [
            request(
                "work",
                stage.responses,
                100 + number % (LONGEST_MS + 1),
                heartbeat_interval_ms=HEARTBEAT_MS,
            )
            for number in range(jobs)
        ]
        stage.publish(*requests)
        chaos = Chaos(stage, quick_broker, random.Random(SEED), freezes=False)
        chaos.replaces_after = replaces_after
        try:
            for _ in range(WORKERS):
                chaos.start()
            chaos.running[-1].until_said("Ready for jobs")
            give_up = time.monotonic() + seconds
            while time.monotonic() < give_up:
                threading.Event().wait(chaos.chance.uniform(1.0, 3.0))
                if len(chaos.running) > WORKERS // 2:
                    chaos.harm()
            _until_all_ended(stage, requests)
            silences = {job: _longest_silence(each) for job, each in _events(stage).items()}
        finally:
            chaos.close()
            stage.close()
    longest = max(silences.values())
    print(  # noqa: T201  this is what the long form is run for
        f"{jobs} jobs; {dict(chaos.did)}; longest silence of one that had begun: {longest:.1f} s"
    )
    lost = {job: silence for job, silence in silences.items() if silence > HEARTBEAT_TIMEOUT}
    assert lost == {}, "\n".join(chaos.log)


def _longest_silence(events: list[tuple[Record, StatusEvent]]) -> float:
    """Return the longest time in which the task of a job that had begun heard nothing."""
    history, heard_at, longest = JobHistory(), math.inf, 0.0
    for record, event in events:
        if history.take(event) is Verdict.STALE:
            continue
        at = record.timestamp_ms / 1000
        longest = max(longest, at - heard_at)
        heard_at = math.inf if history.state is None or history.finished else at
    return longest


def _stage(
    broker: ApacheKafka, producer: RecordProducer, name: Callable[[str], str], folder: Path
) -> Stage:
    names = [name(each) for each in ("requests", "responses", "dead-letters", "control")]
    log_append = {"message.timestamp.type": "LogAppendTime"}
    for topic, config in zip(names, ({}, log_append, {}, {}), strict=True):
        broker.create_topic(topic, PARTITIONS, config)
    requests, responses, dead_letters, control = names
    return Stage(
        config_of(broker.bootstrap_servers),
        producer,
        requests=requests,
        responses=responses,
        dead_letters=dead_letters,
        control=control,
        group=name("service"),
        folder=folder,
    )


def _commits(group: ck.Consumer, positions: list[ck.TopicPartition]) -> bool:
    """Commit for a group; return False where it still has members."""
    try:
        group.commit(offsets=positions, asynchronous=False)
    except ck.KafkaException:
        return False
    return True


def _run(chaos: Chaos, requests: list[JobRequest], seconds: float) -> None:
    """Do harm for some seconds while another thread publishes the requests."""
    publishing = threading.Thread(target=_publish, args=(chaos.stage, requests, seconds))
    publishing.start()
    begin = time.monotonic()
    restarts_at = begin + seconds / 2
    while time.monotonic() < begin + seconds:
        threading.Event().wait(chaos.chance.uniform(0.5, 2.5))
        chaos.harm()
        if time.monotonic() >= restarts_at:
            chaos.restart_broker()
            restarts_at = math.inf
    publishing.join()


def _publish(stage: Stage, requests: list[JobRequest], seconds: float) -> None:
    steps = int(seconds * 10)
    begin = time.monotonic()
    for step in range(steps):
        stage.publish(*requests[step::steps])
        time.sleep(max(0.0, begin + (step + 1) * seconds / steps - time.monotonic()))


def _reader(
    stage: Stage, requests: list[JobRequest]
) -> tuple[ResponseReader, dict[str, tuple[int, int]]]:
    """Wait for every job as a trigger does; note by job where the first end lies that was heard."""
    heard: dict[str, tuple[int, int]] = {}

    def hand_over(delivery: Delivery) -> None:
        for subscription, notice in delivery:
            subscription.notify(notice)

    def listener(job: str) -> Callable[[Notice], None]:
        def hear(notice: Notice) -> None:
            if isinstance(notice, Arrival) and notice.head.state in TERMINAL:
                heard.setdefault(job, (notice.location.partition, notice.location.offset))

        return hear

    reader = ResponseReader(stage.config, stage.responses, hand_over)
    for each in requests:
        reader.subscribe(each.correlation_id, [0] * PARTITIONS, listener(each.correlation_id))
    return reader, heard


def _until_all_ended(stage: Stage, requests: list[JobRequest]) -> None:
    jobs = {each.correlation_id for each in requests}
    give_up = time.monotonic() + 120
    while left := jobs - _ends(stage).keys():
        assert time.monotonic() < give_up, f"{len(left)} jobs have not ended, such as {left.pop()}"
        time.sleep(0.2)


def _ends(stage: Stage) -> dict[str, list[tuple[Record, StatusEvent]]]:
    """Return by job its terminal events, in the order of their partition."""
    ends: dict[str, list[tuple[Record, StatusEvent]]] = {}
    for job, events in _events(stage).items():
        if terminal := [each for each in events if each[1].state in TERMINAL]:
            ends[job] = terminal
    return ends


def _events(stage: Stage) -> dict[str, list[tuple[Record, StatusEvent]]]:
    """Return by job its events, in the order of their partition."""
    events: dict[str, list[tuple[Record, StatusEvent]]] = defaultdict(list)
    for batch in scan(stage.config, stage.responses, [], timeout=30):
        for record in map(Record.of, batch):
            event = record.decode(StatusEvent)
            events[event.correlation_id].append((record, event))
    return events


def _check(
    stage: Stage,
    chaos: Chaos,
    ends: dict[str, list[tuple[Record, StatusEvent]]],
    heard: dict[str, tuple[int, int]],
    jobs: int,
) -> None:
    first = {job: found[0] for job, found in ends.items()}
    others = [(found[0][1], event) for found in ends.values() for _, event in found[1:]]
    second = [event for end, event in others if event.event_id != end.event_id]
    starts = stage.started()
    after_the_end = [
        (job, at, first[job][0].timestamp_ms)
        for job, times in starts.items()
        for at in times
        if at > first[job][0].timestamp_ms
    ]
    again = sum(len(times) - 1 for times in starts.values())
    print(  # noqa: T201  this is what the long form is run for
        f"{jobs} jobs; {dict(chaos.did)}; {again} were begun again after a worker went; "
        f"{len(second)} second ends; {len(others) - len(second)} ends published twice; "
        f"{len(after_the_end)} starts after the end"
    )
    story = "\n".join([*chaos.log, *map(str, after_the_end), *map(str, second)])
    assert len(first) == jobs
    assert Counter(event.state for _, event in first.values()) == {JobState.SUCCEEDED: jobs}
    assert after_the_end == [], story
    assert second == [], story
    places = {job: (at.location.partition, at.location.offset) for job, (at, _) in first.items()}
    assert heard == places
    assert min(chaos.did.values()) >= 1
    assert chaos.did["broker restart"] + chaos.did["foreign commit"] == 1
