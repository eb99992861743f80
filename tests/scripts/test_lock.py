from __future__ import annotations

import json
from typing import Any

import pytest

from scripts.lock import LOCKS, bill, canonical, is_build, pins, text

CPU, CUDA, CUDA_312, IMAGE = LOCKS
HERE = {
    "platform_system": "Linux",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "python_version": "3.11",
}


def item(name: str, version: str, digest: str | None = "ab" * 32) -> dict[str, Any]:
    """A package as `pip install --report` tells it."""
    told = {"archive_info": {"hashes": {"sha256": digest}}} if digest else {"dir_info": {}}
    return {"metadata": {"name": name, "version": version}, "download_info": told}


def report(*items: dict[str, Any], **environment: str) -> dict[str, Any]:
    return {"environment": HERE | environment, "install": list(items)}


@pytest.mark.parametrize("name", ["Foo.Bar", "foo_bar", "foo--bar", "foo-bar"])
def test_a_name_has_one_spelling(name: str) -> None:
    assert canonical(name) == "foo-bar"


def test_a_build_is_the_version_it_is_a_build_of() -> None:
    found = pins(report(item("torch", "2.13.0+cpu"), item("Foo_Bar", "1.0"), item("simpletuner", "0.1.0", None)), CPU)
    assert found == {"torch": ("2.13.0", "ab" * 32), "foo-bar": ("1.0", "ab" * 32)}


def test_what_has_no_hash_is_refused() -> None:
    with pytest.raises(ValueError, match="no sha256 of foo 1"):
        pins(report(item("foo", "1", None)), CUDA)


@pytest.mark.parametrize("other", [{"python_version": "3.12"}, {"platform_machine": "aarch64"}])
def test_another_machine_is_refused(other: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"cpu is for Linux x86_64 CPython 3\.11; this is Linux"):
        pins(report(item("foo", "1"), **other), CPU)


@pytest.mark.parametrize(
    ("version", "fits"),
    [("2.13.0+cpu", [CPU]), ("2.13.0", [CUDA, CUDA_312, IMAGE]), ("2.13.0+cu126", [CUDA, CUDA_312, IMAGE])],
)
def test_the_build_of_torch_must_be_the_right_one(version: str, fits: Any) -> None:
    assert [lock for lock in LOCKS if is_build(report(item("torch", version)), lock)] == fits


def test_each_python_has_hashes_of_its_own() -> None:
    wheels = report(item("foo", "1"), python_version="3.12")
    assert pins(wheels, CUDA_312) == {"foo": ("1", "ab" * 32)}
    assert "CPython 3.12." in text(CUDA_312, pins(wheels, CUDA_312))
    with pytest.raises(ValueError, match=r"cuda is for .* 3\.11"):
        pins(wheels, CUDA)


def test_a_file_is_sorted_and_one_hash_a_package() -> None:
    told = text(CPU, {"b": ("2", "cd" * 32), "a": ("1", "ab" * 32)})
    lines = [line for line in told.splitlines() if not line.startswith("#")]
    assert lines == ["a==1 \\", f"    --hash=sha256:{'ab' * 32}", "b==2 \\", f"    --hash=sha256:{'cd' * 32}"]
    assert "--require-hashes -r locks/cpu.txt" in told


def test_the_bill_names_every_package() -> None:
    told = json.loads(bill(CUDA, {"a": ("1", "ab" * 32)}))
    assert (told["bomFormat"], told["specVersion"]) == ("CycloneDX", "1.6")
    (component,) = told["components"]
    assert (component["purl"], component["hashes"][0]["content"]) == ("pkg:pypi/a@1", "ab" * 32)
