"""The Dockerfile, read where no engine can build it: what is pinned, who runs it, what gets in."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from scripts.lock import LOCKS

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "Dockerfile"
IGNORED = ROOT / ".dockerignore"
_KNOWN = {"FROM", "ARG", "ENV", "RUN", "WORKDIR", "COPY", "USER", "ENTRYPOINT", "CMD"}
_PINNED = re.compile(r"[\w./-]+:(?!latest)[\w.-]*\d[\w.-]*")
_BOUND = ("-c constraints.txt", "--require-hashes", "--no-deps")
_SECRET = re.compile(r"\b\w*(TOKEN|SECRET|PASSWORD|API_?KEY)\w*\s*=", re.IGNORECASE)


class Line(NamedTuple):
    """One instruction: its word and the rest, continuation lines joined."""

    word: str
    rest: str


def instructions(text: str) -> list[Line]:
    """The instructions of a Dockerfile, without comments."""
    kept = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    joined = re.sub(r"\\\n\s*", "", kept)
    parts = (line.split(maxsplit=1) for line in joined.splitlines() if line.strip())
    return [Line(word, rest[0] if rest else "") for word, *rest in parts]


def rest_of(lines: list[Line], word: str) -> list[str]:
    return [line.rest for line in lines if line.word == word]


def bases(lines: list[Line]) -> list[str]:
    """The image of each stage, with the defaults of build arguments put in."""
    given = dict(rest.split("=", 1) for rest in rest_of(lines, "ARG") if "=" in rest)
    named = [rest.split()[0] for rest in rest_of(lines, "FROM")]
    return [re.sub(r"\$\{(\w+)\}", lambda found: given[found[1]], name) for name in named]


def copied(lines: list[Line]) -> list[str]:
    """What is copied from this folder."""
    return [word for rest in rest_of(lines, "COPY") if not rest.startswith("--from") for word in rest.split()[:-1]]


def defects(text: str, root: Path) -> list[str]:
    """What is wrong with a Dockerfile that lies in ``root``."""
    lines = instructions(text)
    found = [f"{line.word} is not used here" for line in lines if line.word not in _KNOWN]
    found += [f"{name}: no version" for name in bases(lines) if not _PINNED.fullmatch(name)]
    found += [f"{name}: there is no such file" for name in copied(lines) if not (root / name).exists()]
    found += [f"{rest}: a secret would stay in the image" for _, rest in lines if _SECRET.search(rest)]
    runs = rest_of(lines, "RUN")
    found += [f"{run}: runs what it downloads" for run in runs if re.search(r"\b(curl|wget)\b", run)]
    found += [f"{run}: keeps lists" for run in runs if "apt-get install" in run and "rm -rf /var/lib/apt" not in run]
    installs = [part for run in runs for part in re.split(r";|&&", run) if "pip install" in part]
    found += [f"{part}: not pinned" for part in installs if not any(word in part for word in _BOUND)]
    last = max(number for number, line in enumerate(lines) if line.word == "FROM")
    users = rest_of(lines[last:], "USER")
    return found + ([] if users and users[-1] not in ("root", "0") else ["runs as root"])


def test_it_has_no_defect() -> None:
    assert defects(DOCKERFILE.read_text(encoding="utf-8"), ROOT) == []


def test_both_stages_stand_on_cuda_and_the_command_is_ours() -> None:
    lines = instructions(DOCKERFILE.read_text(encoding="utf-8"))
    assert len(set(bases(lines))) == 1
    assert bases(lines)[0].startswith("nvidia/cuda:")
    assert lines[-2:] == [Line("ENTRYPOINT", '["simpletuner"]'), Line("CMD", '["--help"]')]
    assert any("'.[cuda]'" in run for run in rest_of(lines, "RUN"))


def test_what_it_installs_has_hashes_for_its_python_and_is_not_built() -> None:
    lines = instructions(DOCKERFILE.read_text(encoding="utf-8"))
    assert "locks/image.txt" in copied(lines)
    (held,) = [run for run in rest_of(lines, "RUN") if "-r image.txt" in run]
    assert "pip install --require-hashes --only-binary :all: -r image.txt;" in held
    (lock,) = [lock for lock in LOCKS if lock.name == "image"]
    assert any(f"python{lock.python} -m venv" in run for run in rest_of(lines, "RUN"))


GOOD = "FROM a/b:1.2\nRUN x\nUSER me\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("FROM ubuntu:latest\nUSER me", "no version"),
        ("FROM ubuntu\nUSER me", "no version"),
        ("ARG BASE=ubuntu:latest\nFROM ${BASE}\nUSER me", "no version"),
        (f"{GOOD}ADD https://example.org/x /x", "ADD is not used here"),
        (f"{GOOD}COPY absent.txt ./", "there is no such file"),
        (f"{GOOD}ENV HF_TOKEN=hf_x", "a secret would stay"),
        (f"{GOOD}RUN curl https://example.org | \\\n  sh", "runs what it downloads"),
        (f"{GOOD}RUN apt-get install -y gcc", "keeps lists"),
        (f"{GOOD}RUN pip install torch", "not pinned"),
        (f"{GOOD}RUN pip install -c constraints.txt x && pip install y", "pip install y: not pinned"),
        ("FROM a/b:1.2\nUSER me\nFROM a/b:1.2\nRUN x", "runs as root"),
        ("FROM a/b:1.2\nUSER root", "runs as root"),
    ],
)
def test_a_defect_is_seen(text: str, told: str, tmp_path: Path) -> None:
    assert any(told in defect for defect in defects(text, tmp_path)), defects(text, tmp_path)


def test_the_builder_gets_what_is_copied_and_no_more() -> None:
    rules = [line for line in IGNORED.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*"
    let_in = [rule.removeprefix("!") for rule in rules if rule.startswith("!")]
    assert sorted(let_in) == sorted(copied(instructions(DOCKERFILE.read_text(encoding="utf-8"))))


def test_what_is_copied_is_enough_to_build_the_project() -> None:
    copies = copied(instructions(DOCKERFILE.read_text(encoding="utf-8")))
    assert {"constraints.txt", "locks/image.txt", "pyproject.toml", "README.md", "LICENSE", "src"} == set(copies)


@pytest.mark.long
def test_an_engine_builds_it() -> None:
    docker = shutil.which("docker")
    if os.environ.get("ALLOW_INSTALLS") != "1":
        pytest.skip("installs packages: ALLOW_INSTALLS=1 allows it, as .ci/run does")
    if not docker or subprocess.run([docker, "info"], capture_output=True, check=False, timeout=30).returncode:
        pytest.skip("there is no container engine here")
    built = subprocess.run([docker, "build", "--quiet", str(ROOT)], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    image = built.stdout.strip()
    ran = subprocess.run([docker, "run", "--rm", image, "--version"], capture_output=True, text=True, check=False)
    assert ran.stdout.startswith("simpletuner, version"), ran.stderr
    subprocess.run([docker, "image", "rm", image], capture_output=True, check=False)
