"""Users that log in to a local Airflow."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kafka_bridge.testing.local_airflow.config import administrator, user_variables


def test_users_have_roles_and_their_names_as_passwords(tmp_path: Path) -> None:
    """As SimpleAuthManager reads them."""
    variables = user_variables(tmp_path, {"ann": "admin", "vic": "viewer"})
    assert variables["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS"] == "ann:admin,vic:viewer"
    assert variables["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS"] == "False"
    passwords = Path(variables["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"])
    assert json.loads(passwords.read_text()) == {"ann": "ann", "vic": "vic"}


def test_first_administrator_is_who_asks_airflow() -> None:
    """The other users may not be allowed to."""
    assert administrator({"vic": "viewer", "ann": "admin", "bob": "admin"}) == "ann"


@pytest.mark.parametrize(
    ("users", "why"),
    [
        ({"vic": "viewer"}, "One of the users needs the role 'admin'"),
        ({"a,b": "admin"}, "words of letters"),
        ({"ann": "admin:team"}, "words of letters"),
    ],
)
def test_users_that_would_not_work_are_refused(users: dict[str, str], why: str) -> None:
    """With what is wrong, and not by an Airflow that nobody can log in to."""
    with pytest.raises(ValueError, match=why):
        administrator(users)
