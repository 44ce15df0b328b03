"""The section ``[kafka_bridge]`` of Airflow's configuration: the defaults for DAGs.

``airflow.cfg``, or environment variables such as ``AIRFLOW__KAFKA_BRIDGE__REQUEST_TOPIC``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from kafka_bridge.protocol.sanitize import DETAILS_BYTES, LINE_BYTES
from kafka_bridge.protocol.topics import CONTROL_TOPIC, REQUEST_TOPIC, RESPONSE_TOPIC

SECTION = "kafka_bridge"


class Setting(Enum):
    """The default of an operator's argument: the value of the configuration."""

    CONFIGURED = "as the section [kafka_bridge] says"

    def __repr__(self) -> str:
        return "CONFIGURED"


CONFIGURED = Setting.CONFIGURED


@dataclass(frozen=True, slots=True)
class Option:
    """One option: its default, its meaning, and an example."""

    default: str
    description: str
    example: str


OPTIONS = {
    "kafka_config_id": Option(
        "kafka_default", "The Airflow connection to Kafka.", "kafka_production"
    ),
    "request_topic": Option(REQUEST_TOPIC, "The topic of job requests.", "images.requests"),
    "response_topic": Option(RESPONSE_TOPIC, "The topic of status events.", "images.responses"),
    "control_topic": Option(CONTROL_TOPIC, "The topic of CANCEL commands.", "images.control"),
    "source": Option(
        "",
        "The name of this Airflow deployment in job requests. Empty: [api] base_url.",
        "production",
    ),
    "encoding": Option("avro", "The encoding of requests: avro or json.", "json"),
    "heartbeat_interval": Option(
        "10", "The longest time between two heartbeats of a job's worker, in seconds.", "30"
    ),
    "heartbeat_timeout": Option(
        "90", "Seconds without any event after which a job's worker counts as lost.", "300"
    ),
    "schedule_to_start_timeout": Option(
        "86400", "Seconds that a job may wait for a worker. Empty: no limit.", "3600"
    ),
    "start_to_close_timeout": Option(
        "", "Seconds that a job may run. Empty: as long as its worker is alive.", "7200"
    ),
    "schedule_to_close_timeout": Option(
        "",
        "Seconds that a task's job may take in all, with the jobs of its retries. Empty: no limit.",
        "86400",
    ),
    "wait_before_deferring": Option(
        "1.5",
        "Seconds that a deferrable task waits in its own process, before it defers. 0: it defers "
        "at once.",
        "0",
    ),
    "max_message_bytes": Option(
        str(LINE_BYTES),
        f"The most bytes of a job's message in a task's log, from 50 to {LINE_BYTES}; a longer one "
        "is cut.",
        "500",
    ),
    "max_details_bytes": Option(
        str(DETAILS_BYTES),
        "The most bytes of an error's details (a traceback) in a task's log, from 50 to "
        f"{DETAILS_BYTES}; a longer one loses its middle.",
        "10000",
    ),
    "max_result_bytes": Option(
        "1000000",
        "The most bytes of a job's result that are stored as an XCom; a task with a larger one "
        "fails without retries. Empty: any size. An XCom backend of your own has no limit.",
        "100000",
    ),
    "max_events_per_second": Option(
        "10",
        "How many status events of one job a triggerer decodes in a second, on average; further "
        "ones count only as heartbeats.",
        "2",
    ),
    "max_log_bytes_per_second": Option(
        "1000",
        "The most bytes a second, on average, that a triggerer logs for one job; of further lines, "
        "only the latest one is logged, later. Further log lines of the job are only counted.",
        "200",
    ),
    "job_url": Option(
        "",
        "The address of a job's records, for the task's extra link. {correlation_id}, "
        "{request_topic} and {response_topic} are filled in. Empty: the board's page of the job, "
        "if there is a board.",
        "https://kafka-ui.example.com/topics/{response_topic}?key={correlation_id}",
    ),
    "batch_url": Option(
        "",
        "The address of a batch's requests, for the task's extra link. {batch_id}, "
        "{request_topic} and {response_topic} are filled in. Empty: the board's list of its jobs, "
        "if there is a board.",
        "https://kafka-ui.example.com/topics/{request_topic}?contains={batch_id}",
    ),
    "board": Option(
        "True",
        "Whether Airflow's API server has the page with the jobs. True or False.",
        "False",
    ),
    "board_kafka_config_id": Option(
        "",
        "The connection with which the board reads and cancels. Empty: kafka_config_id.",
        "kafka_read_only",
    ),
    "board_request_topics": Option(
        "",
        "The request topics whose jobs the board shows, with commas. Empty: request_topic.",
        "images.requests,files.requests",
    ),
    "board_since": Option(
        "86400",
        "How far back the board reads the topics when the first visitor comes, in seconds.",
        "604800",
    ),
}


def configured(name: str) -> str:
    """Return the value of an option, or its default."""
    # Not at the top: Airflow asks for this module's section while it makes its configuration.
    from kafka_bridge.airflow.compat import conf  # noqa: PLC0415

    return str(conf.get(SECTION, name, fallback=OPTIONS[name].default))


def config_section() -> dict[str, object]:
    """Return the section in the form of Airflow's provider_info schema."""
    return {
        "description": "Defaults of kafka-bridge's operators.",
        "options": {
            name: {
                "description": option.description,
                "version_added": "0.2.0",
                "type": "string",
                "example": option.example,
                "default": option.default,
            }
            for name, option in OPTIONS.items()
        },
    }
