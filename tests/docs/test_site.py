"""The site builds without a warning, holds every page, and loads nothing from elsewhere."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT

pytestmark = pytest.mark.needs("mkdocs")
# What a browser fetches by itself.
_FETCHED = re.compile(
    r"<(?:script|img|iframe)[^>]*src=\"(https?:[^\"]+)|<link[^>]*rel=\"(?:stylesheet|preload)\"[^>]*href=\"(https?:[^\"]+)"
)


def build(checkout: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """`mkdocs build --strict`."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    built = build(ROOT, folder)
    assert built.returncode == 0, built.stderr
    return folder


def test_every_page_is_there_and_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = [path.relative_to(ROOT / "docs").with_suffix(".html") for path in (ROOT / "docs").rglob("*.md")]
    assert [page for page in pages if not (site / page).is_file()] == []
    fetched = {found for page in site.rglob("*.html") for found in _FETCHED.findall(page.read_text(encoding="utf-8"))}
    assert fetched == set()


def test_files_outside_come_along_and_their_links_lead_back(site: Path) -> None:
    readme = (site / "repository" / "index.html").read_text(encoding="utf-8")
    assert 'href="../options.html"' in readme
    assert 'href="repository/index.html"' in (site / "index.html").read_text(encoding="utf-8")
    assert list((site / "repository" / "benchmarks" / "results").glob("*.json"))


@pytest.mark.long
@pytest.mark.parametrize("link", ["nowhere.md", "options.md#nowhere", "../nowhere.md"])
def test_a_link_into_nowhere_is_seen(link: str, tmp_path: Path) -> None:
    for name in ("docs", "scripts", "benchmarks"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "*.safetensors"))
    for name in ("mkdocs.yml", "README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        shutil.copy(ROOT / name, tmp_path)
    page = tmp_path / "docs" / "index.md"
    page.write_text(f"{page.read_text(encoding='utf-8')}\n[somewhere]({link})\n", encoding="utf-8")
    built = build(tmp_path, tmp_path / "site")
    assert built.returncode != 0
    assert "nowhere" in built.stderr
