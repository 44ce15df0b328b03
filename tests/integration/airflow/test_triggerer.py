"""A real ``airflow triggerer`` is killed again and again while its jobs finish."""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from conftest import airflow_database

from bench.triggerer import START_SECONDS, Triggerer, triggerer_on
from kafka_bridge.kafka.offsets import end_offsets
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.testing import Broker

from ..jobs import config_of
from .test_restarts import answer_one_by_one
from .waiting_jobs import new_jobs

if TYPE_CHECKING:
    from conftest import TopicFactory

SEED = 20261123
RUN = "manual__1"
SETTINGS = {
    # A dead triggerer's jobs go to the next one after 3 s instead of 30.
    "TRIGGERER__JOB_HEARTBEAT_SEC": "1",
    "TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "3",
    "TRIGGERER__MAX_TRIGGER_TO_SELECT_PER_LOOP": "500",
}


@pytest.mark.long
@pytest.mark.timeout(600)
def test_real_triggerer_killed_under_load(
    real_broker: Broker, topics: TopicFactory, tmp_path: Path
) -> None:
    """500 deferred tasks are resumed, each once, though their triggerer dies ten times with -9.

    Replies come all the while: before the triggerer is up, as it works, and while there is none.
    """
    jobs, kills = new_jobs(500), 10
    topic, chance = topics("responses", partitions=3), random.Random(SEED)
    config = config_of(real_broker.bootstrap_servers)
    starts = end_offsets(config, [topic], 10)[topic]
    with (
        airflow_database() as url,
        triggerer_on(
            url or f"sqlite:///{tmp_path}/airflow.db",
            tmp_path,
            real_broker.bootstrap_servers,
            SETTINGS,
        ) as triggerer,
        RecordProducer(config) as producer,
    ):
        triggerer.defer(run_id=RUN, jobs=jobs, topic=topic, starts=starts)
        for life in range(kills):
            triggerer.start()
            share = jobs[life::kills]
            traffic = threading.Thread(target=answer_one_by_one, args=(producer, topic, share))
            traffic.start()
            until_more_are_resumed(triggerer)
            time.sleep(chance.uniform(0, 0.4))
            triggerer.kill()
            traffic.join()
        triggerer.start()
        triggerer.wait_until(lambda: triggerer.resumed(RUN) == len(jobs), START_SECONDS)
        assert triggerer.waiting() == 0


def until_more_are_resumed(triggerer: Triggerer) -> None:
    """Wait until the triggerer has resumed a task, so that it dies while it works."""
    before = triggerer.resumed(RUN)
    triggerer.wait_until(lambda: triggerer.resumed(RUN) > before, START_SECONDS)
