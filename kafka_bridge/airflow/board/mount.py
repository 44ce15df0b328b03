"""The board as a part of Airflow's API server and of its pages."""

from __future__ import annotations

from datetime import timedelta

from fastapi import FastAPI

from kafka_bridge.airflow import arguments
from kafka_bridge.airflow.board.address import board_path, root_path
from kafka_bridge.airflow.board.connection_follower import ConnectionFollower
from kafka_bridge.airflow.board.login import AirflowLogin
from kafka_bridge.airflow.board.rights import Deployment
from kafka_bridge.airflow.board.server import is_stopping
from kafka_bridge.airflow.hooks import kafka_config
from kafka_bridge.airflow.settings import CONFIGURED, configured
from kafka_bridge.airflow.source import deployment_source
from kafka_bridge.airflow.specs import Reply
from kafka_bridge.board.app import create_board
from kafka_bridge.board.page import AirflowPages
from kafka_bridge.board.source import KafkaJobs
from kafka_bridge.monitor.reading import MonitoredTopics


def board_app() -> FastAPI:
    """Return the board with the topics and the connection that the configuration names.

    It connects to nothing before its first visitor.

    :raises ConfigurationError: an option is not valid
    """
    name = configured("board_kafka_config_id") or configured("kafka_config_id")
    topics = MonitoredTopics(
        requests=request_topics(),
        responses=(configured("response_topic"),),
        control=configured("control_topic"),
    )
    source = KafkaJobs(
        lambda: kafka_config(name),
        topics,
        timedelta(seconds=arguments.seconds("board_since", CONFIGURED)),
        follow=ConnectionFollower,
        encoding=arguments.encoding(CONFIGURED, Reply.EVENTS),
    )
    deployment = Deployment(deployment_source(), name)
    return create_board(
        source,
        AirflowLogin(deployment),
        is_ending=is_stopping,
        airflow=AirflowPages(root_path(), deployment.source),
    )


def request_topics() -> tuple[str, ...]:
    """Return the request topics whose jobs are shown."""
    names = (each.strip() for each in configured("board_request_topics").split(","))
    return tuple(dict.fromkeys(filter(None, names))) or (configured("request_topic"),)


def board_views() -> list[dict[str, str]]:
    """Return the board's places among Airflow's pages: in the navigation, and at each task."""
    path = board_path()
    icon = f"{path}static/icon.svg"
    # Airflow 3.1 fills the names in as they are: the page reads them from its address itself.
    task = "dag_id={DAG_ID}&run_id={RUN_ID}&task_id={TASK_ID}&map_index={MAP_INDEX}"
    return [
        {
            "name": "Kafka jobs",
            "href": path,
            "destination": "nav",
            "category": "browse",
            "url_route": "kafka-jobs",
            "icon": icon,
        },
        {
            "name": "Kafka job",
            "href": f"{path}?view=task&{task}",
            "destination": "task_instance",
            "url_route": "kafka-job",
            "icon": icon,
        },
    ]
