from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from simpletuner.config.datasets.dataset import DatasetConfig
from simpletuner.config.load import LoadedRun, load_run
from simpletuner.config.reading.find import Selection
from simpletuner.core.errors import ConfigError

DOCUMENT = Path(__file__).parents[1] / "fixtures" / "document"


class Project:
    """The user's document laid out in a folder, with ways to spoil it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.config = root / "config" / "config.json"
        self.dataloader = root / "config" / "omnigen" / "multidatabackend.json"
        self.lycoris = root / "config" / "lycoris_config.json"
        self.dataloader.parent.mkdir(parents=True)
        for name in ("pseudo-camera-10k", "dreambooth-subject"):
            (root / "datasets" / name).mkdir(parents=True)
        shutil.copy(DOCUMENT / "config.json", self.config)
        shutil.copy(DOCUMENT / "lycoris_config.json", self.lycoris)
        shutil.copy(DOCUMENT / "multidatabackend.json", self.dataloader)

    def change(self, file: Path, change: Callable[[Any], None]) -> None:
        content = json.loads(file.read_text())
        change(content)
        file.write_text(json.dumps(content))

    def set(self, **values: object) -> None:
        self.change(self.config, lambda content: content.update(values))

    def drop(self, *keys: str) -> None:
        self.change(self.config, lambda content: [content.pop(key) for key in keys])

    def entries(self, *entries: dict[str, Any]) -> None:
        self.dataloader.write_text(json.dumps(list(entries)))

    @staticmethod
    def entry(**keys: Any) -> dict[str, Any]:
        return {"id": "cats", "type": "local", "instance_data_dir": "datasets/pseudo-camera-10k"} | keys

    def one(self, **keys: Any) -> DatasetConfig:
        self.entries(self.entry(**keys))
        (dataset,) = self.load().datasets
        return dataset

    def refused(self, *entries: dict[str, Any]) -> str:
        """What is said of a file with these entries."""
        self.entries(*entries)
        with pytest.raises(ConfigError) as caught:
            self.load()
        assert str(self.dataloader) in str(caught.value)
        return str(caught.value)

    def told(self, *entries: dict[str, Any]) -> list[str]:
        """The notices that these entries cause."""
        self.entries(self.entry(id="plain"))
        usual = self.load().notices
        self.entries(*entries)
        return [notice for notice in self.load().notices if notice not in usual]

    def load(
        self, selection: Selection | None = None, environ: dict[str, str] | None = None, **words: str
    ) -> LoadedRun:
        return load_run(selection or Selection(), words, self.root, environ or {})


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)
