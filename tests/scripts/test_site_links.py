"""Links of a page in the checkout become links of the site."""

from __future__ import annotations

import pytest

pytest.importorskip("mkdocs", reason="needs the program mkdocs")

from scripts.site_links import ROOT, moved, site_path


@pytest.mark.parametrize(
    ("page", "link", "turned"),
    [
        ("docs/index.md", "../README.md", "repository/README.md"),
        ("docs/decisions/0007-tiny-world.md", "../../scripts/tiny/README.md", "../repository/scripts/tiny/README.md"),
        ("README.md", "docs/options.md#model", "../options.md#model"),
        ("docs/index.md", "options.md#model", "options.md#model"),
        ("docs/index.md", "../nowhere.md", "../nowhere.md"),
        ("docs/index.md", "https://example.org/a.md", "https://example.org/a.md"),
        ("docs/index.md", "#here", "#here"),
        ("docs/index.md", "../../etc/passwd", "../../etc/passwd"),
    ],
)
def test_a_link_is_turned_where_it_crosses_the_border(page: str, link: str, turned: str) -> None:
    assert moved(f"see [it]({link}).", ROOT / page) == f"see [it]({turned})."


def test_a_file_of_docs_keeps_its_place() -> None:
    assert site_path(ROOT / "docs" / "ja" / "quickstart.md") == "ja/quickstart.md"
    assert site_path(ROOT / "LICENSE") == "repository/LICENSE"
