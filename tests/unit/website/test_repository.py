"""Links of the pages lead to the same files in the repository and on the site."""

from __future__ import annotations

from pathlib import Path

import pytest

from website.repository import for_site, links, site_path, source_page


@pytest.mark.parametrize(
    ("path", "on_site"),
    [
        ("README.md", "index.md"),
        ("docs/how-to/batches.md", "how-to/batches.md"),
        ("CHANGELOG.md", "project/changelog.md"),
        ("workers/java/README.md", "repository/workers/java/README.md"),
        ("dags/map_jobs.py", "repository/dags/map_jobs.py.md"),
        ("dags", "repository/dags.md"),
    ],
)
def test_every_file_of_the_repository_has_a_place_on_the_site(path: str, on_site: str) -> None:
    """Pages keep their folders; a file outside docs/ has a page, too."""
    assert site_path(path) == on_site


@pytest.mark.parametrize(
    ("page", "link", "on_site"),
    [
        ("README.md", "docs/quickstart.md#3-topics", "quickstart.md#3-topics"),
        ("docs/quickstart.md", "../README.md#install", "index.md#install"),
        ("docs/how-to/batches.md", "../../dags/map_jobs.py", "../repository/dags/map_jobs.py.md"),
        ("docs/how-to/batches.md", "../glossary.md", "../glossary.md"),
        ("CONTRIBUTING.md", "docs/architecture.md", "../architecture.md"),
        ("README.md", "docs/images/flow.svg", "images/flow.svg"),
    ],
)
def test_a_relative_link_leads_to_the_same_place(page: str, link: str, on_site: str) -> None:
    """A page needs no other link for the site."""
    assert for_site(f"See [it]({link}).", page) == f"See [it]({on_site})."


@pytest.mark.parametrize(
    "markdown",
    [
        "[outside](https://example.com/a.md)",
        "[here](#a-heading)",
        "```markdown\n[code](../README.md)\n```\n",
    ],
)
def test_other_links_stay_as_they_are(markdown: str) -> None:
    """Addresses, anchors of the same page and code are not changed."""
    assert for_site(markdown, "docs/a.md") == markdown
    assert list(links(markdown)) == []


def test_the_page_of_a_folder_has_all_its_files(tmp_path: Path) -> None:
    """A link to a folder shows the reader what is in it."""
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "one.py").write_text("first = 1\n", encoding="utf-8")
    (tmp_path / "dags" / "two.yaml").write_text("second: 2\n", encoding="utf-8")
    page = source_page(tmp_path, "dags")
    assert page.startswith("# `dags`\n")
    assert "## `one.py`\n\n````python\nfirst = 1\n````" in page
    assert "## `two.yaml`\n\n````yaml\nsecond: 2\n````" in page
