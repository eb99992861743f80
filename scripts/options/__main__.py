"""``python -m scripts.options``: write the pages and the schemas anew; ``--check`` only tells which are stale."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from scripts.options.files import made_files

ROOT = Path(__file__).parents[2]


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 when a file is stale.")
def main(*, check: bool) -> None:
    """Write every file that follows from the declaration of the options."""
    made = made_files()
    stale = [path for path, text in made.items() if not _is(ROOT / path, text)]
    for path in stale:
        click.echo(f"{'stale' if check else 'written'}: {path}")
        if not check:
            (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
            (ROOT / path).write_text(made[path], encoding="utf-8")
    sys.exit(1 if check and stale else 0)


def _is(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    main()
