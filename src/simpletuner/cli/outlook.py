"""What `check` foresees of a run beside its pictures: the adapter's size, the room it takes, who must be logged in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from simpletuner.adapters.lokr.planner import FactorPlan
from simpletuner.assemble.adapter_plan import AdapterPlan, plan_adapter, plan_lokr, plan_weights, stray_targets
from simpletuner.assemble.burden import has_card, without_card
from simpletuner.assemble.data.survey import Surveyed
from simpletuner.assemble.room_plan import Need, checkpoint_need, full_disks, latent_need
from simpletuner.config.load import LoadedRun
from simpletuner.config.rules.together import trackers
from simpletuner.core.errors import ConfigError
from simpletuner.models.catalogue import family_facts
from simpletuner.observe.trackers.installed import require_trackers


@dataclass(frozen=True)
class Outlook:
    """The adapter, what a LoKr of every factor would be, what is written where. None and empty: not known.

    ``burden`` says what the model is to a computer without a card, where this is one and the model is large;
    ``stray`` tells of layers that are adapted though no target means them.
    """

    adapter: AdapterPlan | None
    lokr: tuple[FactorPlan, ...]
    needs: tuple[Need, ...]
    burden: str | None = None
    stray: tuple[str, ...] = ()

    @property
    def problems(self) -> tuple[str, ...]:
        """The burden, layers that may not be meant, and one line for each disk that will be full before the end."""
        return (*([self.burden] if self.burden else []), *self.stray, *full_disks(self.needs))


def foresee(loaded: LoadedRun, surveyed: Mapping[str, Surveyed], steps: int) -> Outlook:
    """What is known of a run; ``surveyed`` are its data sets and ``steps`` its length, where they were looked at."""
    facts = family_facts(loaded.config.model.model_family)
    adapter = plan_adapter(loaded, facts)
    trained = plan_weights(loaded, facts) if loaded.config.model.model_type == "full" else adapter
    needs = checkpoint_need(loaded, trained, steps or loaded.config.length.max_train_steps)
    latents = (latent_need(folder, sizes) for folder, sizes in _latents(surveyed).items())
    burden = None if has_card() else without_card(loaded, facts)
    written = (*([needs] if needs else []), *latents)
    return Outlook(adapter, plan_lokr(loaded, facts), written, burden, stray_targets(loaded, facts))


def _latents(surveyed: Mapping[str, Surveyed]) -> dict[Path, list[tuple[int, int, int]]]:
    """Pictures and their sizes by cache folder; masks are small, and what is not stored takes no room."""
    found: dict[Path, list[tuple[int, int, int]]] = {}
    for made in surveyed.values():
        is_mask = made.config.conditioning_type in ("mask", "segmentation")
        if made.config.vae_cache_disable or is_mask:
            continue
        places = made.arrangement
        sizes = zip(places.keys, places.targets, strict=True)
        counts = places.counts
        found.setdefault(made.config.cache_dir_vae, []).extend(
            (counts[key], size.width, size.height) for key, size in sizes
        )
    return found


def require_logins(loaded: LoadedRun, cwd: Path) -> None:
    """Refuse a run whose results go where nobody is logged in. Raises ConfigError."""
    try:
        require_trackers(trackers(loaded.config.report.report_to), loaded.environ, cwd)
    except ConfigError as error:
        raise ConfigError(error.reason, file=loaded.place_of(error.key), key=error.key, cure=error.cure) from None
    if loaded.config.publishing.push_to_hub and not _has_token(loaded.environ):
        cure = "hf auth login, or set HF_TOKEN; or push_to_hub=false"
        key = "push_to_hub"
        raise ConfigError("nobody is logged in to the hub", file=loaded.place_of(key), key=key, cure=cure)


def _has_token(environ: Mapping[str, str]) -> bool:
    """Where huggingface_hub looks; whether it may write, only the hub knows."""
    home = Path(environ.get("HF_HOME") or "~/.cache/huggingface").expanduser()
    file = Path(environ.get("HF_TOKEN_PATH") or home / "token").expanduser()
    named = environ.get("HF_TOKEN") or environ.get("HUGGING_FACE_HUB_TOKEN")
    return bool(named) or (file.is_file() and file.stat().st_size > 0)
