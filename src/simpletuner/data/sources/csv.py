"""A CSV file of URLs: each picture is downloaded once into a folder of the user's and read from there."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO

from simpletuner.core.addresses import Resolve, resolve
from simpletuner.core.errors import ConfigError, DataError
from simpletuner.core.files import write_bytes
from simpletuner.data.captions.candidates import LONGEST_TEXT
from simpletuner.data.entries import Dropped, PictureError, printable
from simpletuner.data.files.headers import open_picture, quiet_pillow
from simpletuner.data.sources.base import Facts, Listing
from simpletuner.data.sources.cells import captions_of, require_columns
from simpletuner.data.sources.folder import FolderSource
from simpletuner.data.sources.http import Fetcher, FetchError
from simpletuner.data.sources.retry import persist

_LARGEST = 256 << 20
# Characters of a cell. Longer captions than are used are dropped by line instead of ending the reading.
_LONGEST_CELL = 16 << 20
_THREADS = 16
_WINDOW = 1024
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_USER = re.compile(r"//[^/]*@")
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_SUFFIXES = {"PNG": ".png", "WEBP": ".webp", "GIF": ".gif", "BMP": ".bmp", "TIFF": ".tiff", "AVIF": ".avif"}


@dataclass(frozen=True)
class CsvSpec:
    """The file, what its columns mean, and the folder that keeps what is downloaded."""

    file: str
    caption_column: str
    folder: str
    url_column: str = "url"


@dataclass
class _Wanted:
    """A URL of the file, the line that it first stands on, and every caption that the file gives it."""

    url: str
    line: int
    captions: list[str] = field(default_factory=list)

    @property
    def stem(self) -> str:
        return hashlib.sha256(self.url.encode()).hexdigest()[:32]

    @property
    def shown(self) -> str:
        """For the report: a user name or what follows the path may be a key that opens it."""
        return printable(f"line {self.line}: {_USER.sub('//', self.url.partition('?')[0], count=1)}")


class CsvSource:
    """The pictures of a list. Listing downloads what is not there yet."""

    def __init__(self, spec: CsvSpec, resolve_host: Resolve = resolve) -> None:
        self._spec = spec
        self._resolve = resolve_host
        folder = Path(spec.folder).expanduser()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"the folder cannot be made ({error.strerror})",
                file=spec.folder,
                key="csv_cache_dir",
                cure="name another",
            ) from error
        self._folder = folder
        self._files = FolderSource.at(str(folder))

    @property
    def where(self) -> str:
        """The file."""
        return self._spec.file

    def listing(self) -> Listing:
        """Every URL of the file, downloaded. One that cannot be had is dropped with its line, and tried at each start.

        Raises:
            ConfigError: the file or a column does not exist, or a cell holds a path instead of a URL.
            DataError: the file is broken.
        """
        wanted, dropped = self._wanted()
        there = {name.partition(".")[0]: name for name in self._files.listing().pictures}
        for item, found in self._download([item for item in wanted if item.stem not in there]):
            if isinstance(found, Dropped):
                dropped.append(found)
            else:
                there[item.stem] = found
        facts = {there[item.stem]: Facts(captions_of(item.captions) or None) for item in wanted if item.stem in there}
        return Listing({name: self.version(name) for name in sorted(facts)}, {}, tuple(dropped), facts)

    def open(self, path: str) -> IO[bytes]:
        """A downloaded picture for reading. Raises OSError."""
        return self._files.open(path)

    def read(self, path: str) -> bytes:
        """All bytes of a downloaded picture. Raises :class:`PictureError`."""
        return self._files.read(path)

    def version(self, path: str) -> str:
        """Its URL's name, its size and when it came; "" when it is gone."""
        try:
            fact = (self._folder / path).stat()
        except OSError:
            return ""
        return f"{path.partition('.')[0]}-{fact.st_size}-{fact.st_mtime_ns}"

    def renamed_from(self, version: str) -> str:
        """Nothing: a picture's name is its URL's."""
        return ""

    def _wanted(self) -> tuple[list[_Wanted], list[Dropped]]:
        """The URLs in the order of the file, and the lines without one."""
        found: dict[str, _Wanted] = {}
        dropped: list[Dropped] = []
        for line, url, caption in self._lines():
            if not url:
                dropped.append(Dropped(f"line {line}", "it has no URL", "write one, or remove the line"))
            elif len(caption.encode("utf-8", "surrogatepass")) > LONGEST_TEXT:
                cure = "shorten it; is a quotation mark missing?"
                dropped.append(Dropped(f"line {line}", "its caption is larger than 1 MiB", cure, "caption"))
            else:
                found.setdefault(url, _Wanted(url, line)).captions.append(caption)
        return list(found.values()), dropped

    def _lines(self) -> Iterator[tuple[int, str, str]]:
        try:
            with Path(self._spec.file).expanduser().open(encoding="utf-8-sig", newline="") as stream, _long_cells():
                yield from self._rows(csv.DictReader(stream))
        except OSError as error:
            cure = "download it and name the file" if "://" in self._spec.file else "correct the path"
            raise ConfigError(
                f"cannot be read ({error.strerror})", file=self._spec.file, key="csv_file", cure=cure
            ) from error
        except UnicodeDecodeError as error:
            raise DataError("it is not UTF-8", file=self._spec.file, cure="save it as UTF-8") from error

    def _rows(self, reader: csv.DictReader[str]) -> Iterator[tuple[int, str, str]]:
        spec = self._spec
        try:
            asked = {"csv_url_column": spec.url_column, "csv_caption_column": spec.caption_column}
            require_columns(asked, reader.fieldnames or (), spec.file)
            for row in reader:
                if reader.restkey in row:
                    raise self._broken(f"line {reader.line_num} has more cells than there are columns")
                url = (row[spec.url_column] or "").strip()
                self._refuse_path(url, reader.line_num)
                yield reader.line_num, url, row[spec.caption_column] or ""
        except csv.Error as error:
            raise self._broken(f"what follows line {reader.line_num} cannot be read ({error})") from error

    def _broken(self, reason: str) -> DataError:
        cure = "put quotation marks around a caption with commas, and double those inside it"
        return DataError(reason, file=self._spec.file, cure=cure)

    def _refuse_path(self, url: str, line: int) -> None:
        if url and (not _SCHEME.match(url) or _DRIVE.match(url)):
            raise ConfigError(
                f'line {line}: "{url}" is a path, not a URL',
                file=self._spec.file,
                key="csv_url_column",
                cure='write http or https addresses; files of your own are type "local", with a table beside them',
            )

    def _download(self, wanted: list[_Wanted]) -> Iterator[tuple[_Wanted, str | Dropped]]:
        """The name of each new file, or why there is none. A window at a time, so that little waits in memory."""
        rest = iter(wanted)
        with Fetcher(self._resolve) as fetcher, quiet_pillow(), ThreadPoolExecutor(_THREADS) as pool:
            while window := list(islice(rest, _WINDOW)):
                yield from zip(window, pool.map(lambda item: self._fetch(fetcher, item), window), strict=True)

    def _fetch(self, fetcher: Fetcher, item: _Wanted) -> str | Dropped:
        try:
            content = persist(lambda: fetcher.get(item.url, _LARGEST), _is_passing, (FetchError,))
            name = item.stem + _suffix(content)
            write_bytes(self._folder / name, content)
        except (FetchError, PictureError) as error:
            return Dropped(item.shown, error.reason, error.cure or "check the URL")
        except OSError as error:
            raise DataError(
                f"a picture cannot be kept ({error.strerror})", file=self._spec.folder, cure="check the disk"
            ) from error
        return name


@contextmanager
def _long_cells() -> Iterator[None]:
    before = csv.field_size_limit(_LONGEST_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _is_passing(error: BaseException) -> bool:
    return isinstance(error, FetchError) and error.passing


def _suffix(content: bytes) -> str:
    """What a file of this content is called; servers and URLs are often wrong. Raises :class:`PictureError`."""
    with open_picture(io.BytesIO(content)) as image:
        return _SUFFIXES.get(image.format or "", ".jpg")
