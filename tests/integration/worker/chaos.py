"""Workers that are killed, frozen and stopped at random while they have jobs."""

from __future__ import annotations

import math
import random
import signal
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import confluent_kafka as ck

from integration.jobs import config_of
from integration.worker.programs import Program, Stage
from kafka_bridge.kafka.lookups.scan import scan
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.kafka.records import Record
from kafka_bridge.protocol.lifecycle import TERMINAL
from kafka_bridge.protocol.messages import JobRequest, StatusEvent
from kafka_bridge.testing import ApacheKafka
from kafka_bridge.testing.freezing import freeze

SESSION_SECONDS = 3.0
PARTITIONS = 8
PUBLISH_SECONDS = 300.0
"""The broker is restarted meanwhile, which takes long on a busy machine."""
BROKER_SETTINGS = {
    "group.min.session.timeout.ms": "1000",
    "group.initial.rebalance.delay.ms": "0",
}
"""A broker that takes short session time-outs."""
ENVIRON = {
    "KAFKA_BRIDGE_CONCURRENCY": "4",
    "KAFKA_BRIDGE_GRACE_SECONDS": "1",
    "KAFKA_BRIDGE_KAFKA_SESSION_TIMEOUT_MS": str(int(SESSION_SECONDS * 1000)),
    "KAFKA_BRIDGE_KAFKA_HEARTBEAT_INTERVAL_MS": "300",
}

Events = dict[str, list[tuple[Record, StatusEvent]]]
"""By job, in the order of their partition."""


@dataclass
class Chaos:
    """Does harm to a stage's workers, and starts another one for each that has gone.

    :param replaces_after: seconds until then; infinity for never
    """

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

    def start(self, workers: int) -> None:
        """Start workers with the Python SDK; do not wait for them."""
        for _ in range(workers):
            self.running.append(
                self.stage.start("--processes", "2", ready=False, **ENVIRON, **self.environ)
            )

    def run(self, command: Sequence[str], folder: Path) -> None:
        """Start another worker; do not wait for it."""
        self.running.append(self.stage.run(command, folder, {**ENVIRON, **self.environ}))

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
        self._replace(victim)

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
        self._replace(victim)

    def _replace(self, victim: Program) -> None:
        def start() -> None:
            self.running.append(self.stage.run_again(victim))

        if self.replaces_after == 0:
            start()
        elif self.replaces_after < math.inf:
            self._starts.append(threading.Timer(self.replaces_after, start))
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
        """Kill all workers; commit as another program would; start as many again."""
        self.did["foreign commit"] += 1
        for thaw in self._thaws:
            thaw.join()
        victims, self.running = self.running, []
        for victim in victims:
            victim.kill()
        names = {"bootstrap.servers": self.broker.bootstrap_servers, "group.id": self.stage.group}
        group = ck.Consumer(names)
        asked = [ck.TopicPartition(self.stage.requests, each) for each in range(PARTITIONS)]
        positions = [self._replaced(each) for each in group.committed(asked, timeout=10)]
        give_up = time.monotonic() + 120
        while not _commits(group, positions):
            assert time.monotonic() < give_up, "the group does not become empty"
            time.sleep(0.2)
        self.log.append(f"{time.time():.3f} foreign commit: {positions}")
        for victim in victims:
            self._replace(victim)

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


def stage_on(
    broker: ApacheKafka, producer: RecordProducer, name: Callable[[str], str], folder: Path
) -> Stage:
    """Create the topics of a test; a record's time is that of the broker in the response topic."""
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


def publish_and_harm(chaos: Chaos, requests: list[JobRequest], seconds: float) -> None:
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


def until_all_ended(stage: Stage, requests: list[JobRequest]) -> None:
    """Wait until every job has a terminal event."""
    jobs = {each.correlation_id for each in requests}
    give_up = time.monotonic() + 120
    while left := jobs - ends_of(stage).keys():
        assert time.monotonic() < give_up, f"{len(left)} jobs have not ended, such as {left.pop()}"
        time.sleep(0.2)


def ends_of(stage: Stage) -> Events:
    """Return by job its terminal events, in the order of their partition."""
    ends: Events = {}
    for job, events in events_of(stage).items():
        if terminal := [each for each in events if each[1].state in TERMINAL]:
            ends[job] = terminal
    return ends


def events_of(stage: Stage) -> Events:
    """Return by job its events, in the order of their partition."""
    events: Events = defaultdict(list)
    for batch in scan(stage.config, stage.responses, [], timeout=30):
        for record in map(Record.of, batch):
            event = record.decode(StatusEvent)
            events[event.correlation_id].append((record, event))
    return events
