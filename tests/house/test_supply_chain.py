"""Where code of others comes from: bounds, pins, hashes, what is known against it; nothing is piped to a shell."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from scripts.lock import LOCKS, PROJECT, Lock, bill, canonical, text
from tests.house.conftest import Installed

ROOT = Path(__file__).parents[2]
CONSTRAINTS = ROOT / "constraints.txt"
SCRIPTS = [*ROOT.glob("*.sh"), *(ROOT / "scripts").glob("*.sh"), ROOT / ".ci" / "run", ROOT / "Dockerfile"]
# Below these stand known ways to run code or write out of bounds: torch CVE-2026-24747, diffusers CVE-2026-44513,
# transformers CVE-2026-1839, Pillow CVE-2026-25990.
SAFE_FROM = {"torch": "2.10", "diffusers": "0.38", "transformers": "5.0", "pillow": "12.1.1"}

_PIN = re.compile(r"([\w.-]+)==([\w.!+]+)")
_LOCKED = re.compile(r"([\w.-]+)==([\w.!]+) \\\n    --hash=sha256:([0-9a-f]{64})\n")


def project() -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return found


def direct(extras: frozenset[str] | None = None) -> list[Requirement]:
    """Every package that the project file names, or those that ``extras`` bring, each once."""
    listed = project()["project"]
    optional: dict[str, list[str]] = listed["optional-dependencies"]
    lines = list(listed["dependencies"])
    todo = set(optional) if extras is None else set(extras)
    for extra in todo:
        lines += optional[extra]
    found = [Requirement(line) for line in lines]
    nested = frozenset(name for one in found if one.name == PROJECT for name in one.extras)
    if not nested <= todo:
        return direct(nested | todo)
    return [one for one in found if one.name != PROJECT]


def pinned() -> dict[str, str]:
    """constraints.txt: name to version."""
    lines = [line for line in CONSTRAINTS.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    matched = [_PIN.fullmatch(line) for line in lines]
    assert all(matched), [line for line, found in zip(lines, matched, strict=True) if not found]
    return {canonical(found[1]): found[2] for found in matched if found}


def locked(lock: Lock) -> dict[str, tuple[str, str]]:
    """A lock file: name to version and hash."""
    content = lock.file.read_text(encoding="utf-8")
    found = {name: (version, digest) for name, version, digest in _LOCKED.findall(content)}
    assert text(lock, found) == content, f"{lock.file} holds something else: python -m scripts.lock"
    return found


def is_bounded(requirement: Requirement) -> bool:
    """Whether a version that nobody has tried could not be installed."""
    return any(specifier.operator in ("<", "<=", "==", "~=") for specifier in requirement.specifier)


def test_every_direct_dependency_has_an_upper_bound() -> None:
    listed = [*direct(), *map(Requirement, project()["build-system"]["requires"])]
    assert [str(one) for one in listed if not is_bounded(one)] == []
    assert not is_bounded(Requirement("x>=1"))


def test_every_direct_dependency_is_pinned_within_its_bounds() -> None:
    pins, listed = pinned(), direct(frozenset(",".join(lock.extras for lock in LOCKS).split(",")))
    assert [str(one) for one in listed if not one.specifier.contains(pins.get(canonical(one.name), "0"))] == []


@pytest.mark.parametrize(("name", "version"), SAFE_FROM.items())
def test_no_version_with_a_known_hole_is_allowed(name: str, version: str) -> None:
    (one,) = [found for found in direct(frozenset()) if found.name == name]
    assert not one.specifier.contains("0.1")
    lowest = min(Version(found.version) for found in one.specifier if found.operator == ">=")
    assert lowest >= Version(version)


def test_nothing_is_named_by_an_address() -> None:
    assert [str(one) for one in direct() if one.url] == []


def test_each_version_is_pinned_once_and_in_order() -> None:
    lines = [line for line in CONSTRAINTS.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    assert lines == sorted(set(lines))
    assert len(pinned()) == len(lines)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_agrees_with_the_pins(lock: Lock) -> None:
    pins, held = pinned(), locked(lock)
    stale = {name: version for name, (version, _) in held.items() if pins.get(name, version) != version}
    assert stale == {}, "python -m scripts.lock"


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_holds_every_direct_dependency_of_its_extras(lock: Lock) -> None:
    held = locked(lock)
    here = {"python_version": lock.python}
    needed = [one for one in direct(frozenset(lock.extras.split(","))) if not one.marker or one.marker.evaluate(here)]
    assert [str(one) for one in needed if canonical(one.name) not in held] == [], "python -m scripts.lock"


def test_the_cpu_lock_is_pinned_whole() -> None:
    # What the CUDA lock has besides is torch's own choice, to the version: triton and the parts of CUDA.
    cpu, cuda, later, image = LOCKS
    assert sorted(set(locked(cpu)) - set(pinned())) == []
    extra = set(locked(cuda)) - set(pinned())
    assert extra
    assert [name for name in extra if not name.startswith(("nvidia-", "cuda-", "triton"))] == []
    assert {name: version for name, (version, _) in locked(later).items()} == {
        name: version for name, (version, _) in locked(cuda).items()
    }, "another Python has other files, and the same versions"
    assert locked(image).items() <= locked(later).items()


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_the_bill_of_materials_is_that_of_the_lock(lock: Lock) -> None:
    assert lock.bill_file.read_text(encoding="utf-8") == bill(lock, locked(lock))


PIPED = re.compile(r"(curl|wget)[^|\n]*\|\s*(sudo\s+)?(ba|z)?sh|http://|pip install [^\n]*\bsimpletuner\b")


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_no_script_runs_what_it_downloads(path: Path) -> None:
    assert PIPED.search(path.read_text(encoding="utf-8")) is None


@pytest.mark.parametrize(
    "line", ["curl -s https://x | sh", "wget -qO- https://x | sudo bash", "pip install -U simpletuner"]
)
def test_such_a_script_is_seen(line: str) -> None:
    assert PIPED.search(line)


@pytest.mark.long
def test_nothing_is_known_against_what_is_pinned(installed: Installed, tmp_path: Path) -> None:
    python = installed("pip-audit==2.10.1")
    names = {}
    for lock in LOCKS:
        command = [str(python), "-m", "pip_audit", "--disable-pip", "--require-hashes", "-r", str(lock.file)]
        command += ["--progress-spinner", "off", "--format", "json", "--output", str(tmp_path / lock.name)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=180)
        if not (tmp_path / lock.name).is_file():
            pytest.skip(f"nothing was audited: {(done.stderr.strip().splitlines() or ['no answer'])[-1]}")
        names |= {found["name"]: found for found in json.loads((tmp_path / lock.name).read_text())["dependencies"]}
    audited = {name: found["vulns"] for name, found in names.items() if "skip_reason" not in found}
    known = {name: [one["id"] for one in holes] for name, holes in audited.items() if holes}
    assert known == {}
    # pip-audit ends with 0 where the index has no advisories at all; that is no answer.
    if len(audited) < len(names):
        pytest.skip(
            f"only {len(audited)} of {len(names)} packages were audited: this index lacks advisories of the rest"
        )
