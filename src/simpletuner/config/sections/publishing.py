"""Options of what leaves this machine when a run is done: the hub, other stores, and what is told there."""

from __future__ import annotations

from typing import Annotated

from pydantic import SecretStr

from simpletuner.config.lenient import LINES, OBJECT_TOO
from simpletuner.config.option import Section, option

_READ = ("assemble",)


class PublishingConfig(Section):
    """Where the result goes beside `output_dir`."""

    push_to_hub: bool = option(default=False, reads=_READ)
    """Upload the finished result to the hub; needs a login (`hf auth login`, or `HF_TOKEN`)."""
    push_checkpoints_to_hub: bool = option(default=False, reads=_READ)
    """Upload what every checkpoint has for other programs, too, below `checkpoint-<step>/` and at the root."""
    push_to_hub_background: bool = option(default=False, reads=_READ)
    """Upload checkpoints while training goes on; the end of the run waits for them."""
    hub_model_id: str | None = option(None, reads=_READ, examples=["owner/my-model"])
    """The repository, or its URL; not given, it is named like `tracker_project_name`."""
    model_card_private: bool = option(default=True, reads=_READ)
    """Make a new repository private."""
    model_card_safe_for_work: bool = option(default=False, reads=("observe",))
    """Tag the model card `safe-for-work` instead of `not-for-all-audiences`."""
    model_card_note: str | None = option(None, reads=("observe",))
    """A text of yours near the top of the model card."""
    modelspec_comment: Annotated[str, LINES] | None = option(None, reads=_READ, examples=["made on {timestamp}"])
    """`modelspec.comment` of the adapter file; a list is put below each other. `{env:NAME}`, `{current_step}`,
    `{current_epoch}` and `{timestamp}` are filled in at each save."""
    publishing_config: Annotated[SecretStr, OBJECT_TOO] | None = option(
        None, reads=("config",), examples=["publishing.json"]
    )
    """Further stores that the output folder is uploaded to: a JSON file, JSON, an object or a list. See
    docs/publishing.md."""
    post_upload_script: str | None = option(None, reads=("observe",), examples=["./tell.sh {remote_checkpoint_path}"])
    """A command started beside the run after each upload, or after each save where nothing is uploaded; that it failed
    is logged only."""
