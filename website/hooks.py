"""What MkDocs calls while it builds the site.

It adds the pages of files that are not in docs/, and of the Python packages. It changes links to
such files. Last, it checks that no page loads anything from another host.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from website import repository
from website.columns import readable_tables
from website.packages import PACKAGES, package_page

ROOT = Path(__file__).parents[1]
ADDED = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "LICENSE")
"""Files of the repository with a page in the navigation."""
LOADED = re.compile(
    r"""<(?:script|img|iframe|source|audio|video|embed)\b[^>]*\bsrc="?(?:https?:)?//[^"\s>]+"""
    r"""|<link\b(?![^>]*rel="?canonical)[^>]*\bhref="?(?:https?:)?//[^"\s>]+"""
    r"""|(?:url\(|@import\s)["']?(?:https?:)?//[^"')\s]+"""
)
"""What a browser loads from another host: links that a reader follows are not meant."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of files outside docs/, as far as a page links to them."""
    wanted = list(ADDED)
    for page in [f"docs/{each.src_uri}" for each in files.documentation_pages()]:
        wanted += _outside_docs(page, (ROOT / page).read_text(encoding="utf-8"))
    for path in dict.fromkeys(wanted):
        wanted += _outside_docs(path, _text(path)) if path.endswith(".md") else []
    for path in dict.fromkeys(wanted):
        content = repository.for_site(_text(path), path)
        files.append(File.generated(config, repository.site_path(path), content=content))
    for package in PACKAGES:
        files.append(File.generated(config, package.src_uri, content=package_page(package)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Change the links of a page in docs/ that lead out of it."""
    if page.file.generated_by is not None:
        return markdown
    return repository.for_site(markdown, f"docs/{page.file.src_uri}")


def on_page_content(html: str, **_: Any) -> str:
    """Make the tables readable on any screen."""
    return readable_tables(html)


def on_post_build(config: MkDocsConfig) -> None:
    """Check that no page loads anything from another host.

    :raises PluginError: one does
    """
    folder = Path(config.site_dir)
    found = [
        f"{file.relative_to(folder)}: {loaded[0]}"
        for file in sorted(folder.rglob("*"))
        if file.suffix in {".html", ".css", ".svg"}
        for loaded in LOADED.finditer(file.read_text(encoding="utf-8"))
    ]
    if found:
        raise PluginError("pages load something from another host:\n" + "\n".join(found))


def _outside_docs(page: str, markdown: str) -> list[str]:
    paths = (repository.linked_path(page, link) for link in repository.links(markdown))
    return [
        path
        for path in paths
        if not path.startswith("docs/") and (ROOT / path).exists()  # else MkDocs reports the link
    ]


def _text(path: str) -> str:
    file = ROOT / path
    if path.endswith(".md"):
        return file.read_text(encoding="utf-8")
    return repository.source_page(ROOT, path)
