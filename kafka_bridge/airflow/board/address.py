"""Where the board is, among the pages of Airflow."""

from __future__ import annotations

from urllib.parse import urlencode, urlsplit

from kafka_bridge.airflow.compat import conf
from kafka_bridge.airflow.settings import SECTION, configured
from kafka_bridge.protocol.errors import ConfigurationError

PREFIX = "/kafka-bridge"
"""The path below the root of Airflow."""

_WORDS = {**dict.fromkeys(("true", "t", "1"), True), **dict.fromkeys(("false", "f", "0"), False)}
"""What Airflow takes for a truth value in its configuration."""


def is_switched_on() -> bool:
    """Return whether the API server has the board.

    :raises ConfigurationError: the option is neither True nor False
    """
    value = configured("board")
    try:
        return _WORDS[value.strip().lower()]
    except KeyError:
        raise ConfigurationError(
            f"[{SECTION}] board must be True or False, not {value!r}"
        ) from None


def root_path() -> str:
    """Return the path of Airflow's pages, with a slash at its end: that of ``[api] base_url``."""
    return f"{urlsplit(_base_url()).path.rstrip('/')}/"


def board_path() -> str:
    """Return the path of the board's page, with a slash at its end."""
    return f"{root_path().removesuffix('/')}{PREFIX}/"


def board_url(**query: str) -> str:
    """Return the address of a view of the board. It is a path if ``[api] base_url`` is not set."""
    return f"{_base_url().rstrip('/')}{PREFIX}/?{urlencode(query)}"


def _base_url() -> str:
    return str(conf.get("api", "base_url", fallback=None) or "")
