"""Makes the package's description from README.md: hatchling calls this at each build.

On a package index the relative links and pictures of README.md lead nowhere. There is no public
address to make them absolute, so a link becomes its text, and a picture is left out.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

PICTURE = re.compile(r"^!\[[^\]]*\]\((?!\w+://)[^)]+\)\n+", re.MULTILINE)
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?!\w+://)[^)]+\)")


class Readme(MetadataHookInterface):
    """Sets the description."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set the description in the project's metadata."""
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": description(text)}


def description(readme: str) -> str:
    """Return a readme without relative links and pictures."""
    return LINK.sub(r"\1", PICTURE.sub("", readme))
