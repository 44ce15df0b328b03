"""Where a file of the repository is on the site, and links that follow it there.

Pages link to each other and to files outside docs/ (README.md, a DAG, an example) by relative
paths, so that they also work in the repository. On the site, a file outside docs/ has a page, too.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

DOCS = "docs/"
HOME = "README.md"
FENCE = re.compile(r"^(```.*?^```)", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(\]\()([^)\s]+)(\))")
LANGUAGES = {
    ".py": "python",
    ".yaml": "yaml",
    ".yml": "yaml",
    ".go": "go",
    ".java": "java",
    ".rs": "rust",
    ".ts": "typescript",
    ".xml": "xml",
    ".properties": "properties",
}


def site_path(path: str) -> str:
    """Return where MkDocs finds the page of a file or a folder: its ``src_uri``.

    :param path: from the root of the repository, with ``/``
    """
    if path == HOME:
        return "index.md"
    if path.startswith(DOCS):
        return path.removeprefix(DOCS)
    if not path.endswith(".md"):
        return f"repository/{path}.md"
    return f"project/{path.lower()}" if "/" not in path else f"repository/{path}"


def links(markdown: str) -> Iterator[str]:
    """Yield the targets of all relative links, code blocks left out."""
    for _, target, _ in LINK.findall(FENCE.sub("", markdown)):
        if "://" not in target and not target.startswith("#"):
            yield target


def linked_path(page: str, target: str) -> str:
    """Return the path in the repository that a link leads to, without its anchor.

    :param page: the path of the page in the repository
    """
    path = posixpath.join(posixpath.dirname(page), target.partition("#")[0])
    return posixpath.normpath(path)


def for_site(markdown: str, page: str) -> str:
    """Return a page with links that lead to the same places on the site.

    :param page: the path of the page in the repository
    """
    folder = posixpath.dirname(site_path(page))

    def replace(link: re.Match[str]) -> str:
        before, target, after = link.groups()
        if "://" in target or target.startswith("#"):
            return link[0]
        _, hash_sign, anchor = target.partition("#")
        there = posixpath.relpath(site_path(linked_path(page, target)), folder or ".")
        return f"{before}{there}{hash_sign}{anchor}{after}"

    parts = FENCE.split(markdown)
    return "".join(part if part.startswith("```") else LINK.sub(replace, part) for part in parts)


def source_page(root: Path, path: str) -> str:
    """Return a page with the text of a file, or of all files of a folder.

    :param root: the folder of the repository
    :param path: from there
    """
    target = root / path
    files = sorted(target.rglob("*")) if target.is_dir() else [target]
    parts = [f"# `{path}`\n"]
    for file in files:
        if not file.is_file() or "__pycache__" in file.parts:
            continue
        if target.is_dir():
            parts.append(f"## `{file.relative_to(target).as_posix()}`\n")
        language = LANGUAGES.get(file.suffix, "text")
        parts.append(f"````{language}\n{file.read_text(encoding='utf-8').rstrip()}\n````\n")
    return "\n".join(parts)
