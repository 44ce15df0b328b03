"""How many examples property tests try."""

from __future__ import annotations

from hypothesis import settings

EVERYDAY = "everyday"
"""The profile of `make test-unit`, which wants an answer soon; `make test` tries them all."""


def examples(full: int) -> int:
    """Return the number of examples for a test that tries ``full`` of them in `make test`."""
    return max(10, full // 5) if settings.get_current_profile_name() == EVERYDAY else full
