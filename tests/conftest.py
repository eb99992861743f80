"""Which tests run where, and the settings that every test shares."""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import settings

# Before anything imports torch or a hub client: a test is fast on a busy machine and never asks the network.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"

# The same examples every time: a red test is about the change, not about luck. No deadline: the machine is shared.
settings.register_profile("house", derandomize=True, deadline=None, max_examples=50)
settings.load_profile("house")

_WHOLE_RUNS = Path(__file__).parent / "runs"
_MISSING = "needs the program "
_PACKAGES = {
    "deepspeed": "pip install -c constraints.txt '.[deepspeed]'",
    "mkdocs": "pip install -c constraints.txt '.[docs]'",
}
_SPELLINGS = {"chromium": ("chromium", "chromium-browser", "google-chrome")}


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--all` runs the long forms too."""
    parser.addoption("--all", action="store_true", default=False, help="also run the tests marked `long`")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the long forms unless asked for; whole runs come first, or one worker ends alone with a slow file."""
    items.sort(key=lambda item: _WHOLE_RUNS not in item.path.parents)
    if config.getoption("--all"):
        return
    long = [item for item in items if item.get_closest_marker("long")]
    config.hook.pytest_deselected(items=long)
    items[:] = [item for item in items if item not in long]


def is_installed(tool: str) -> bool:
    """Whether a system program is there, under any of its usual names, or a package that is not for every machine."""
    if tool in _PACKAGES:
        return importlib.util.find_spec(tool) is not None
    return any(shutil.which(name) for name in _SPELLINGS.get(tool, (tool,)))


def require_tool(tool: str) -> None:
    """Skip the test without `tool`; under REQUIRE_TOOLS=1 (CI) fail it."""
    if is_installed(tool):
        return
    if os.environ.get("REQUIRE_TOOLS") == "1":
        pytest.fail(f"{_MISSING}{tool}, and REQUIRE_TOOLS=1 forbids to skip", pytrace=False)
    pytest.skip(f"{_MISSING}{tool}")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what this machine cannot run."""
    for marker in item.iter_markers("needs"):
        for tool in marker.args:
            require_tool(tool)
    # Only a GPU test pays for the import of torch.
    if item.get_closest_marker("gpu") and not importlib.import_module("torch").cuda.is_available():
        pytest.skip("needs a CUDA device")
    if item.get_closest_marker("weights") and not Path(os.environ.get("OMNIGEN_WEIGHTS", "/nowhere")).is_dir():
        pytest.skip("needs the OmniGen weights in OMNIGEN_WEIGHTS")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Count what was skipped for want of a system program, so that it cannot go unseen."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = [report.longrepr[2] for report in skipped if isinstance(report.longrepr, tuple)]
    tools = Counter(reason.partition(_MISSING)[2] for reason in reasons if _MISSING in reason)
    for tool, count in sorted(tools.items()):
        terminalreporter.write_line(
            f"{count} skipped because {tool} is not installed ({_PACKAGES.get(tool, f'apt install {tool}')})"
        )
