from __future__ import annotations

from pathlib import Path

from simpletuner.config.run import RunConfig
from simpletuner.observe.trackers.identity import chart_identity
from tests.observe.conftest import run_config


def test_what_goes_on_is_the_same_chart_and_what_begins_is_another(tmp_path: Path) -> None:
    file = tmp_path / "logs" / "trackers.json"

    def identity(**options: object) -> str:
        config: RunConfig = run_config(**options)
        return chart_identity(config, file)

    first = identity()
    assert len(first) == 32
    assert int(first, 16)
    assert identity() == first
    # Longer, elsewhere, told to others: the same run.
    assert identity(max_train_steps=99, checkpoint_step_interval=7, validation_guidance=5.0) == first
    assert identity(learning_rate=0.5) != first
    assert identity(tracker_run_name="other") != first
    file.unlink()
    assert identity() != first
    file.write_text("half")
    again = identity()
    assert again != first
    assert identity() == again
