"""A program for tests: the peak memory in MiB and the seconds that opening each picture of a folder takes."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from simpletuner.data.entries import PictureError
from simpletuner.data.files.headers import quiet_pillow, read_header
from simpletuner.data.files.images import open_rgb


def tell(path: Path) -> None:
    """Open one picture as scan and cache do, in a process that has opened no other."""
    started = time.monotonic()
    try:
        with quiet_pillow(), path.open("rb") as stream:
            size = read_header(stream).size
            assert open_rgb(path.read_bytes()).size == (size.width, size.height)
    except PictureError:
        pass
    # Not ru_maxrss: it remembers the memory of the process that started this one.
    lines = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    sys.stdout.write(f"{path.name}\t{peak:.1f}\t{time.monotonic() - started:.2f}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    for found in sorted(Path(sys.argv[1]).iterdir()):
        child = os.fork()
        if not child:
            tell(found)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert status == 0, found
