"""A broker that restarts while a job runs."""

from __future__ import annotations

from kafka_bridge.conformance.job_types import ECHO
from kafka_bridge.conformance.probe import alone
from kafka_bridge.conformance.probes.takeover import long_job
from kafka_bridge.conformance.stage import Stage
from kafka_bridge.conformance.unmet import NotTested
from kafka_bridge.protocol.messages import JobState
from kafka_bridge.testing.brokers.apache import ApacheKafka


@alone(
    "L3-BROKER-RESTART", "While Kafka is away, a worker waits and continues: the job has one end."
)
def restart(stage: Stage) -> None:
    """The broker is killed and comes back while a job runs."""
    broker = stage.setup.broker
    if not isinstance(broker, ApacheKafka):
        raise NotTested("the kit can restart only a broker that it has started: --broker apache")
    stage.start_worker()
    job = long_job(stage)
    stage.publish(job)
    stage.running(job, stage.patience.start)
    broker.kill()
    broker.start()
    stage.ends_as(job, JobState.SUCCEEDED, stage.patience.takeover)
    stage.outcome(stage.request(ECHO, "after"), JobState.SUCCEEDED, stage.patience.takeover)
    stage.ended_once(job)
