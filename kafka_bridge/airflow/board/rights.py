"""What a user of Airflow may see and do on the board, as Airflow's auth manager says."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

from airflow.api_fastapi.auth.managers.models.resource_details import (
    ConnectionDetails,
    DagAccessEntity,
    DagDetails,
)
from airflow.configuration import conf
from airflow.models import Connection
from airflow.models.dag import DagModel

from kafka_bridge.monitor.jobs import JobView

DECISION_SECONDS = 30.0
"""How long a decision of the auth manager is used: it may ask a database, or another server."""
MOST_DECISIONS = 10_000
"""Of one user. Requests name DAGs, and anybody who may publish can name very many."""

Method: TypeAlias = Literal["GET", "PUT"]


class AuthManager(Protocol):
    """What is needed of Airflow's auth manager. ``user`` is of a class of its own."""

    def is_authorized_dag(
        self, *, method: Method, access_entity: Any, details: Any, user: Any
    ) -> bool:
        """Return whether a user may do something with a part of a DAG."""

    def is_authorized_connection(self, *, method: Method, details: Any, user: Any) -> bool:
        """Return whether a user may do something with a connection."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """This Airflow.

    :ivar source: its name in job requests
    :ivar kafka_config_id: the connection with which the board reads
    """

    source: str
    kafka_config_id: str


class UserAccess:
    """What one user may see and do.

    A job of one of this Airflow's DAGs is like an instance of its task: who may read those of the
    DAG sees the job, who may change them cancels it, and who may read XComs sees payload and
    result. All other jobs in the topics are of other programs, or of another Airflow, whose DAGs
    may have the same names. They are like the connection to Kafka, by which they can be read: who
    may read that sees them, and who may change it cancels them.

    Two values are equal if they are the same: :class:`~.login.AirflowLogin` keeps one per user.

    :ivar user: the auth manager's own value, from the latest request
    :param clock: returns monotonic seconds
    """

    def __init__(
        self,
        user: Any,
        auth_manager: AuthManager,
        deployment: Deployment,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.user = user
        self._auth_manager = auth_manager
        self._deployment = deployment
        self._clock = clock
        self._decisions: dict[Hashable, tuple[float, bool]] = {}

    def may_see(self, job: JobView) -> bool:
        """Return whether the user may read the task instances of the job's DAG."""
        return self._may(job, "GET", DagAccessEntity.TASK_INSTANCE)

    def may_see_payload(self, job: JobView) -> bool:
        """Return whether the user may read the XComs of the job's DAG."""
        return self._may(job, "GET", DagAccessEntity.XCOM)

    def may_cancel(self, job: JobView) -> bool:
        """Return whether the user may change the task instances of the job's DAG."""
        return self._may(job, "PUT", DagAccessEntity.TASK_INSTANCE)

    def may_replay(self, job: JobView) -> bool:
        """Return whether the user may change the task instances of the job's DAG."""
        return self.may_cancel(job)

    def _may(self, job: JobView, method: Method, part: DagAccessEntity) -> bool:
        task = job.task
        if task is None or task.source != self._deployment.source:
            return self._decided((method,), lambda: self._may_use_connection(method))
        dag = task.dag_id
        return self._decided((method, part, dag), lambda: self._may_use_dag(method, part, dag))

    def _decided(self, question: Hashable, decide: Callable[[], bool]) -> bool:
        known = self._decisions.get(question)
        now = self._clock()
        if known is not None and now - known[0] < DECISION_SECONDS:
            return known[1]
        if len(self._decisions) >= MOST_DECISIONS:
            self._decisions.clear()
        decision = decide()
        self._decisions[question] = now, decision
        return decision

    def _may_use_dag(self, method: Method, part: DagAccessEntity, dag: str) -> bool:
        team = DagModel.get_team_name(dag) if _has_teams() else None
        return self._auth_manager.is_authorized_dag(
            method=method,
            access_entity=part,
            details=DagDetails(id=dag, team_name=team),
            user=self.user,
        )

    def _may_use_connection(self, method: Method) -> bool:
        name = self._deployment.kafka_config_id
        team = Connection.get_team_name(name) if _has_teams() else None
        return self._auth_manager.is_authorized_connection(
            method=method,
            details=ConnectionDetails(conn_id=name, team_name=team),
            user=self.user,
        )


def _has_teams() -> bool:
    return bool(conf.getboolean("core", "multi_team", fallback=False))
