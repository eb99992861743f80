"""Files that are not written yet, read by the loader and looked at as `check` looks, in a folder that is left."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from simpletuner.assemble.configure.existing import roles_of
from simpletuner.assemble.configure.files import CONFIG, DATALOADER, LYCORIS
from simpletuner.assemble.configure.suggest import Folder
from simpletuner.assemble.configure.target import Target
from simpletuner.assemble.data.inspect import Inspection, inspect_run
from simpletuner.assemble.data.survey import Surveyed
from simpletuner.config.load import LoadedRun, load_run
from simpletuner.config.reading.find import Selection
from simpletuner.core.errors import ConfigError, DataError
from simpletuner.core.files import write_text
from simpletuner.data.report.report import DatasetReport

_NAMED_FILES = {DATALOADER: "data_backend_config", LYCORIS: "lycoris_config"}
_PARTNERS = ("conditioning_data", "text_embeds", "image_embeds")
_SHORTEST_WORD = 3
# What cameras and programs call pictures.
_NO_WORDS = frozenset("img dsc dscn dscf image photo picture screenshot pxl mvimg untitled frame".split())


@dataclass(frozen=True)
class Trial:
    """Where files are tried: ``folder`` is the one thrown away, ``require`` looks at what was loaded and may refuse."""

    folder: Path
    target: Target
    cwd: Path
    environ: Mapping[str, str]
    require: Callable[[LoadedRun], None]

    def load(self, files: Mapping[str, Any]) -> LoadedRun:
        """What ``files`` say, as if they were written. Raises ConfigError, which names them where they will be."""
        words = self._written(files)
        try:
            loaded = load_run(Selection(config_file=self.folder / CONFIG), words, self.cwd, self.environ)
            self.require(loaded)
        except ConfigError as error:
            file = str(error.file) if error.file else None
            raise ConfigError(
                self._real(error.reason), file=file and self._real(file), key=error.key, cure=error.cure
            ) from None
        return loaded

    def _written(self, files: Mapping[str, Any]) -> dict[str, str]:
        """Write ``files`` into the folder; the words of a command line that let the loader find what they name."""
        for name, content in files.items():
            text = json.dumps(content, indent=2).replace("{config_dir}", str(self.target.folder))
            write_text(self.folder / name, text, durable=False)
        words = {key: str(self.folder / name) for name, key in _NAMED_FILES.items() if name in files}
        for key, value in files[CONFIG].items():
            beside = self.target.folder / value if isinstance(value, str) and value else None
            if beside is not None and key.lstrip("-") not in words and beside.is_file():
                words[key.lstrip("-")] = str(beside)
        return words

    def _real(self, text: str) -> str:
        return text.replace(str(self.folder), str(self.target.folder))

    def look(self, files: Mapping[str, Any]) -> Inspection:
        """What `check` finds in the pictures that are asked about.

        Raises ConfigError or DataError when none can be used.
        """
        entries = files[DATALOADER]
        asked = [self._alone(entries[place]) for place in sorted(roles_of(entries).values())]
        found = inspect_run(self.load({**files, DATALOADER: asked}), deep=False, emit=lambda _event: None)
        failed = [report for report in found.report.datasets if report.failed]
        if failed:
            raise DataError(failed[0].failed, file=failed[0].where, cure=_cure(failed[0]))
        return found

    def _alone(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        """The entry without its partners, its index in the folder: nothing is written before the user agrees."""
        kept = {key: value for key, value in entry.items() if key not in _PARTNERS}
        is_cache = kept.get("dataset_type") == "text_embeds"
        return kept if is_cache else kept | {"cache_dir_vae": str(self.folder / "cache" / str(kept.get("id")))}


def _cure(report: DatasetReport) -> str:
    return report.dropped[0].cure if report.dropped else "choose another folder, or put pictures into it"


def folder_of(found: Inspection) -> Folder:
    """The pictures of the first data set that is trained on."""
    report = next(report for report in found.report.datasets if report.type == "image")
    surveyed = found.surveyed[report.id]
    table = surveyed.scanned.table
    areas = [
        math.sqrt(width * height) for width, height in zip(table.widths.tolist(), table.heights.tolist(), strict=True)
    ]
    named = sum(map(_has_word, table.paths))
    return Folder(report, round(median(areas)), _with_text(surveyed), named)


def _with_text(surveyed: Surveyed) -> int:
    stems = {path.rpartition(".")[0] for path in surveyed.source.listing().texts}
    return sum(path.rpartition(".")[0] in stems for path in surveyed.scanned.table.paths)


def _has_word(path: str) -> bool:
    stem = path.rpartition("/")[2].rpartition(".")[0]
    words = "".join(sign if sign.isalpha() else " " for sign in stem).split()
    return any(len(word) >= _SHORTEST_WORD and word.lower() not in _NO_WORDS for word in words)
