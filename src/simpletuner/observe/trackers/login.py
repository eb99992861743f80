"""Whether a tracker can go online, as its own files and variables say; nothing is imported and nobody is asked."""

from __future__ import annotations

import configparser
import netrc
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit


def wandb_problem(environ: Mapping[str, str], cwd: Path) -> str:
    """What keeps Weights & Biases from starting; empty when it can."""
    home = _home(environ)
    mode = environ.get("WANDB_MODE") or _ini(
        "default", "mode", cwd / "wandb" / "settings", home / ".config/wandb/settings"
    )
    if mode in ("offline", "dryrun", "disabled"):
        return ""
    host = environ.get("WANDB_BASE_URL") or _ini(
        "default", "base_url", cwd / "wandb" / "settings", home / ".config/wandb/settings"
    )
    place = urlsplit(host or "https://api.wandb.ai").hostname or ""
    if environ.get("WANDB_API_KEY") or environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return ""
    if _in_netrc(place, Path(environ.get("NETRC") or home / ".netrc"), home / "_netrc"):
        return ""
    return "run `wandb login`, set WANDB_API_KEY, or set WANDB_MODE=offline and send the charts later"


def comet_problem(environ: Mapping[str, str], cwd: Path) -> str:
    """What keeps Comet from starting; empty when it can."""
    files = [cwd / ".comet.config", _home(environ) / ".comet.config"]
    if environ.get("COMET_CONFIG"):
        files.insert(0, Path(environ["COMET_CONFIG"]))
    is_offline = environ.get("COMET_START_ONLINE", "").lower() in ("0", "false", "no")
    if is_offline or environ.get("COMET_API_KEY") or _ini("comet", "api_key", *files):
        return ""
    return "run `comet login`, set COMET_API_KEY, or set COMET_START_ONLINE=false and send the charts later"


def swanlab_problem(environ: Mapping[str, str], _cwd: Path) -> str:
    """What keeps SwanLab from starting; empty when it can."""
    folder = Path(environ.get("SWANLAB_SAVE_DIR") or _home(environ) / ".swanlab")
    is_offline = environ.get("SWANLAB_MODE", "online") != "online"
    if is_offline or environ.get("SWANLAB_API_KEY") or (folder / ".netrc").is_file():
        return ""
    return "run `swanlab login`, set SWANLAB_API_KEY, or set SWANLAB_MODE=offline and send the charts later"


def _home(environ: Mapping[str, str]) -> Path:
    return Path(environ["HOME"]) if environ.get("HOME") else Path.home()


def _ini(section: str, key: str, *files: Path) -> str:
    """The value of a key in the first file that has it."""
    for file in files:
        parser = configparser.ConfigParser(interpolation=None, default_section="")
        try:
            parser.read(file, "utf-8")
        except (configparser.Error, UnicodeDecodeError, OSError):
            continue
        if parser.has_option(section, key):
            return parser.get(section, key)
    return ""


def _in_netrc(host: str, *files: Path) -> bool:
    for file in files:
        try:
            found = netrc.netrc(file).authenticators(host)
        except (netrc.NetrcParseError, OSError):
            continue
        if found:
            return True
    return False
