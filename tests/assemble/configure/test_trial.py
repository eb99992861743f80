from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from simpletuner.assemble.configure.files import CONFIG, DATALOADER, files_of
from simpletuner.assemble.configure.trial import Trial, folder_of
from simpletuner.core.errors import ConfigError, DataError
from tests.assemble.configure.conftest import answers


def test_a_mistake_is_told_where_the_file_will_be(trial: Trial) -> None:
    files = files_of(answers(more={"optimizer": "adamm"}))
    with pytest.raises(ConfigError) as caught:
        trial.load(files)
    assert caught.value.file == str(trial.target.file)
    assert str(trial.folder) not in str(caught.value)
    assert caught.value.key == "optimizer"


def test_nothing_is_written_where_the_user_works(trial: Trial) -> None:
    before = sorted(trial.cwd.rglob("*"))
    files = files_of(answers())
    trial.load(files)
    trial.look(files)
    assert sorted(trial.cwd.rglob("*")) == before


def test_who_looks_at_what_was_loaded_may_refuse_it(trial: Trial) -> None:
    def refuse(_loaded: object) -> None:
        raise ConfigError("no such layer", key="lycoris_config")

    strict = Trial(trial.folder, trial.target, trial.cwd, trial.environ, refuse)
    with pytest.raises(ConfigError, match="no such layer"):
        strict.load(files_of(answers()))


def test_files_beside_the_configuration_are_found(trial: Trial) -> None:
    trial.target.folder.mkdir()
    (trial.target.folder / "prompts.json").write_text('{"one": "a cat"}')
    loaded = trial.load(files_of(answers(more={"user_prompt_library": "prompts.json"})))
    assert [prompt.nickname for prompt in loaded.prompts] == ["one"]


def test_places_beside_the_configuration_are_its_own(trial: Trial) -> None:
    files = files_of(answers())
    (trial.target.folder / "inside").mkdir(parents=True)
    entry = files[DATALOADER][0] | {"instance_data_dir": "{config_dir}/inside"}
    loaded = trial.load({**files, DATALOADER: [entry]})
    assert loaded.datasets[0].instance_data_dir == trial.target.folder / "inside"


def test_the_pictures_as_check_sees_them(trial: Trial) -> None:
    (trial.cwd / "cats" / "frog.txt").write_text("a frog")
    (trial.cwd / "cats" / "IMG_0001.png").write_bytes((trial.cwd / "cats" / "frog.png").read_bytes())
    (trial.cwd / "cats" / "broken.png").write_bytes(b"no picture")
    (trial.cwd / "cats" / "broken.txt").write_text("nothing")
    found = folder_of(trial.look(files_of(answers(captions="filename", resolution="64"))))
    assert (found.pictures, found.texts, found.named, found.edge) == (7, 1, 6, 128)
    assert [item.file for item in found.report.dropped] == ["broken.png"]
    assert found.report.targets == {"1.0": "64x64"}
    assert found.without_text == 6
    # Looked at once more with the captions that were chosen, those without a text are left out, and still counted.
    found = folder_of(trial.look(files_of(answers(captions="textfile", resolution="64"))))
    assert (found.pictures, found.texts, found.without_text) == (1, 1, 6)


def test_wide_pictures_stay_wide_at_the_tiny_models_size(trial: Trial) -> None:
    Image.new("RGB", (160, 90)).save(trial.cwd / "cats" / "wide.png")
    found = trial.look(files_of(answers(captions="filename", resolution="64")))
    assert "1.67" in folder_of(found).report.buckets


def test_a_folder_without_pictures(trial: Trial) -> None:
    (trial.cwd / "empty").mkdir()
    with pytest.raises(DataError) as caught:
        trial.look(files_of(answers(pictures="empty")))
    assert caught.value.cure


def test_captions_that_are_all_missing(trial: Trial) -> None:
    with pytest.raises(DataError, match="no images detected"):
        trial.look(files_of(answers(captions="textfile")))


def test_partners_and_other_data_sets_are_not_looked_at(trial: Trial) -> None:
    files = files_of(answers(captions="filename", held_out="dogs"))
    masks = {"id": "masks", "type": "local", "dataset_type": "conditioning", "conditioning_type": "mask"}
    files[DATALOADER] = [files[DATALOADER][0] | {"conditioning_data": "masks"}, *files[DATALOADER][1:], masks]
    found = trial.look(files)
    assert [report.type for report in found.report.datasets] == ["image", "eval"]
    assert files[CONFIG]["eval_steps_interval"] > 0


def test_the_folder_is_outside(trial: Trial, tmp_path: Path) -> None:
    assert not trial.folder.is_relative_to(tmp_path)
