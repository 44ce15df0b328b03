"""Tests of what only a newer Airflow has; the README's section *Airflow versions* says the same."""

from __future__ import annotations

from importlib.metadata import version

import pytest
from packaging.version import Version


def since_airflow(minor: str, what: str) -> pytest.MarkDecorator:
    """Return a mark that skips a test with an older Airflow, or with the older one's pre-releases.

    :param minor: the first version, such as ``"3.2"``
    :param what: what an older Airflow does not have
    """
    installed = Version(version("apache-airflow-core")).release
    is_older = installed < Version(minor).release
    return pytest.mark.skipif(is_older, reason=f"Airflow has {what} since {minor}")
