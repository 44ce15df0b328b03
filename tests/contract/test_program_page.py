"""The how-to page on programs says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from kafka_bridge.gateway.command.config import CommandJob
from kafka_bridge.gateway.command.invocation import INHERITED
from kafka_bridge.gateway.yaml_file import load

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "run-a-program.md"
TEXT = PAGE.read_text(encoding="utf-8")


def test_the_example_is_a_file_that_a_gateway_loads(tmp_path: Path) -> None:
    """Its only block, as it stands."""
    (block,) = re.findall(r"^```yaml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    (tmp_path / "gateway.yaml").write_text(block)
    job = load(tmp_path / "gateway.yaml").jobs["files.audit"]
    assert isinstance(job, CommandJob)
    said = job.progress.read("checked 3 of 10 files: a.txt")
    assert (said.progress is not None, said.message) == (True, "a.txt")


def test_the_table_has_every_key_with_its_default() -> None:
    """A key that is added, or a default that is changed, is so on the page."""
    rows = dict(re.findall(r"^\| (`.*?) \| (.*) \|$", TEXT, re.MULTILINE))
    keys = {key for names in rows for key in re.findall(r"`(\w+)`", names)}
    assert keys == CommandJob.model_fields.keys()
    job = CommandJob.model_validate({"command": ["audit"]})
    assert set(INHERITED) <= set(re.findall(r"`(\w+)`", rows["`inherit_environment`"]))
    for name, default in (
        ("`timeout`, `kill_after`", f"({job.kill_after:g})"),
        ("`max_output_bytes`, `max_result_bytes`", f"({job.max_output_bytes:,})"),
        ("`max_output_bytes`, `max_result_bytes`", f"({job.max_result_bytes:,})"),
        ("`concurrency`", f"({job.concurrency})"),
    ):
        assert default in rows[name]
