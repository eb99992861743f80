"""`simpletuner watch`: a live page of a run, or of a finished one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from simpletuner.core.errors import ConfigError, DataError
from simpletuner.observe.watch.app import build_app
from simpletuner.observe.watch.folder import RunFolder
from simpletuner.observe.watch.serve import Place, listen, make_server, make_token
from simpletuner.validation.save import read_facts


def watch(output_dir: Path | None, port: int, environ: Mapping[str, str]) -> None:
    """Serve the page until Ctrl-C. Raises ConfigError for a folder that is not there and a port that is taken."""
    if output_dir is not None and not output_dir.is_dir():
        raise ConfigError("there is no such folder", file=output_dir, key="--output-dir", cure="check the path")
    folder = RunFolder(output_dir, picture_facts) if output_dir is not None else None
    token = make_token(environ)
    with listen(port) as listening:
        place = Place(listening.getsockname()[1], token)
        click.echo(f"the page: {place.address}")
        click.echo(f"a run that shall be shown here has in its configuration: {place.webhook}")
        click.echo("Ctrl-C ends it")
        try:
            make_server(build_app(place.token, place.port, folder)).run(sockets=[listening])
        except KeyboardInterrupt:
            # Ended as asked.
            return


def picture_facts(path: Path) -> Mapping[str, str]:
    """What a picture says of itself; nothing for one that is damaged, or being written."""
    try:
        return read_facts(path)
    except DataError:
        return {}
