"""The wheel: what it says, what it holds, and that it runs from an empty folder."""

from __future__ import annotations

import configparser
import email
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from email.message import Message
from pathlib import Path

import pytest
from trove_classifiers import classifiers

from tests.house.test_pythons import interpreter

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"
DEVICES = ("cuda", "cuda12", "cuda13", "rocm", "apple")
_REQUIREMENT = re.compile(r"([\w.-]+)(?:\[[\w,]+\])?([^;]*?)\s*(?:;.*extra == '([\w-]+)')?")


def pip(*words: str) -> None:
    """Run pip without any index."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *words, "--quiet", "--no-index", "--no-deps"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT))
    (made,) = folder.iterdir()
    return made


@pytest.fixture(scope="module")
def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def about(contents: dict[str, bytes], name: str) -> str:
    """A file of the wheel's metadata."""
    (found,) = (content for path, content in contents.items() if path.endswith(f".dist-info/{name}"))
    return found.decode()


@pytest.fixture(scope="module")
def metadata(contents: dict[str, bytes]) -> Message:
    return email.message_from_string(about(contents, "METADATA"))


def required(metadata: Message) -> dict[str | None, set[tuple[str, str]]]:
    """Extra, or None, to the packages it needs and their versions."""
    found: dict[str | None, set[tuple[str, str]]] = {}
    for line in metadata.get_all("Requires-Dist", []):
        matched = _REQUIREMENT.fullmatch(line)
        assert matched is not None, line
        found.setdefault(matched[3], set()).add((matched[1], matched[2]))
    return found


def test_it_is_for_every_platform_and_names_its_licence(wheel: Path, metadata: Message) -> None:
    assert re.fullmatch(r"simpletuner-[\d.]+-py3-none-any\.whl", wheel.name)
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == "<3.14,>=3.11"
    # The tiny model is the most of it.
    assert wheel.stat().st_size < 40 << 20


def test_it_says_what_it_is_for_and_invents_no_address(metadata: Message) -> None:
    said = set(metadata.get_all("Classifier", []))
    assert said <= classifiers
    for needed in (
        "Environment :: GPU :: NVIDIA CUDA :: 12",
        "Environment :: GPU :: NVIDIA CUDA :: 13",
        "Typing :: Typed",
    ):
        assert needed in said
    assert {name for name in said if name.startswith("Operating System")} == {
        "Operating System :: MacOS",
        "Operating System :: POSIX :: Linux",
    }
    # Each Python that it may be installed on, and no other.
    pythons = {name.rpartition(" :: ")[2] for name in said if re.search(r"Python :: 3\.\d+$", name)}
    assert pythons == {"3.11", "3.12", "3.13"}
    assert metadata["Author"] == "The contributors of this independent implementation"
    assert (metadata.get_all("Project-URL"), metadata["Home-page"], metadata["Author-email"]) == (None, None, None)


def test_each_device_has_an_extra_with_the_same_packages(metadata: Message) -> None:
    needs = required(metadata)
    assert {name: needs[name] for name in DEVICES} == dict.fromkeys(DEVICES, needs["cuda"])
    assert needs["data"] | needs["quantise"] | needs["optimizers"] == needs["cuda"]
    # A build of torch is chosen by the index: no extra may pull another than the one that is there.
    assert [name for name, packages in needs.items() if name and "torch" in dict(packages)] == []


def test_no_package_of_the_same_name_is_asked_for(metadata: Message) -> None:
    # PyPI's `simpletuner` is another program: an extra that named it could fetch it.
    assert [packages for packages in required(metadata).values() if "simpletuner" in dict(packages)] == []


def test_extras_are_those_of_the_project_file(metadata: Message) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(metadata.get_all("Provides-Extra", [])) == set(project["optional-dependencies"])
    assert len(required(metadata)[None]) == len(project["dependencies"])


def test_it_holds_every_file_of_the_package_and_nothing_else(contents: dict[str, bytes]) -> None:
    here = (path for path in (SOURCE / "simpletuner").rglob("*") if path.is_file() and path.suffix != ".pyc")
    expected = {path.relative_to(SOURCE).as_posix(): path for path in here}
    held = {name for name in contents if ".dist-info/" not in name}
    assert (sorted(held - set(expected)), sorted(set(expected) - held)) == ([], []), "(only in the wheel, missing)"
    assert [name for name in held if contents[name] != expected[name].read_bytes()] == []
    for name in (
        "py.typed",
        "config/schemas/config.schema.json",
        "observe/watch/page.html",
        "observe/look.css",
        "examples/emoji-style/images/LICENSE-fluent-emoji.txt",
        "models/omnigen/tiny/transformer/diffusion_pytorch_model.safetensors",
    ):
        assert f"simpletuner/{name}" in held


def test_the_licence_and_the_commands_are_in_it(contents: dict[str, bytes]) -> None:
    assert about(contents, "licenses/LICENSE") == (ROOT / "LICENSE").read_text(encoding="utf-8")
    commands = configparser.ConfigParser()
    commands.read_string(about(contents, "entry_points.txt"))
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    assert dict(commands["console_scripts"]) == scripts
    assert commands.sections() == ["console_scripts"]


def test_nothing_of_it_runs_at_the_start_of_python(contents: dict[str, bytes]) -> None:
    # A .pth file's imports, or a file in the .data folder, would act in every program of the environment.
    assert [name for name in contents if name.endswith(".pth") or ".data/" in name or "site" in Path(name).stem] == []


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel installed in it and nothing else."""
    folder = tmp_path_factory.mktemp("target")
    pip("install", "--target", str(folder), str(wheel))
    return folder


def call(installed: Path, cwd: Path, *words: str) -> str:
    """What the installed command prints; the libraries are those of this environment."""
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, str(installed / "bin" / "simpletuner"), *words]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_what_is_installed_is_what_runs(installed: Path, tmp_path: Path) -> None:
    program = "import simpletuner, sys; print(simpletuner.__file__, *(n for n in sys.modules if 'simpletuner.' in n))"
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    # Importing the package imports nothing else of it: it has no code but its version.
    assert done.stdout.split() == [str(installed / "simpletuner" / "__init__.py")]


def test_the_installed_command_helps_lists_and_checks(installed: Path, tmp_path: Path) -> None:
    assert "Train OmniGen adapters" in call(installed, tmp_path, "--help")
    assert re.fullmatch(r"simpletuner, version [\d.]+\n", call(installed, tmp_path, "--version"))
    assert {"emoji-style", "emoji-subject"} <= set(call(installed, tmp_path, "examples", "list").split())
    call(installed, tmp_path, "examples", "copy", "emoji-style", "mine")
    told = call(installed, tmp_path, "check", "--config", "mine/config.json")
    assert "24" in told, told


def test_the_tiny_model_and_the_page_are_found_where_they_are_installed(installed: Path, tmp_path: Path) -> None:
    program = (
        "from simpletuner.models.catalogue import family_facts; from simpletuner.observe.watch import app; "
        "from pathlib import Path; tiny = Path(family_facts('omnigen').flavours['tiny'].source); "
        "app.build_app('token-of-the-tests', 1, None); print(tiny, (tiny / 'model_index.json').is_file())"
    )
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(installed / "simpletuner" / "models" / "omnigen" / "tiny"), "True"]


def test_an_older_python_refuses_it_in_one_line(wheel: Path, tmp_path: Path) -> None:
    command = [interpreter("3.10"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    command += ["--no-index", "--no-deps", "--target", str(tmp_path), str(wheel)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
    assert (done.returncode, list(tmp_path.iterdir())) == (1, [])
    assert re.search(r"'simpletuner' requires a different Python: 3\.10\.\d+ not in '<3\.14,>=3\.11'", line)
