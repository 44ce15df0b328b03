"""An auth manager with permissions for each DAG, as those of larger deployments have."""

from __future__ import annotations

from typing import Any

from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

HIDDEN = {"tim": "steps"}
"""For each user the DAG of another team."""


class TeamAuthManager(SimpleAuthManager):
    """Airflow's simple auth manager, except that some users have no permission for some DAGs."""

    def is_authorized_dag(self, *, user: Any, details: Any = None, **rest: Any) -> bool:
        """Deny everything of a hidden DAG, and leave the rest to the role."""
        hidden = HIDDEN.get(user.username)
        if hidden is not None and details is not None and details.id == hidden:
            return False
        return bool(super().is_authorized_dag(user=user, details=details, **rest))
