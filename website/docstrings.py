"""The extension of mkdocstrings that makes Markdown of docstrings. mkdocs.yml names this file."""

from __future__ import annotations

from typing import Any

import griffe

from website.rest import markdown


class MarkdownDocstrings(griffe.Extension):  # type: ignore[misc]  # it is not installed here
    """Changes each docstring to Markdown before mkdocstrings reads it."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change the docstring of an object."""
        if obj.docstring is not None:
            obj.docstring.value = markdown(obj.docstring.value)
