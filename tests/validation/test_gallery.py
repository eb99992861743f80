"""Which pictures a validation has, with which noise, and where they go."""

from __future__ import annotations

from pathlib import Path

from simpletuner.validation.gallery import Gallery, Shot, seed_at, shots
from simpletuner.validation.prompts import PromptSpec
from simpletuner.validation.render import Sampling

CAT = PromptSpec("cat", "a cat")
FOLDER = Path("out")


def gallery(*prompts: PromptSpec, is_random: bool = False) -> Gallery:
    return Gallery(prompts, ((64, 64), (64, 128)), 2, Sampling(1, 1.0, 7), FOLDER, is_random=is_random)


def test_shots_count_over_sizes_and_repeats() -> None:
    assert [(shot.index, shot.size, shot.seed, shot.repeat) for shot in shots(gallery(CAT))] == [
        (0, (64, 64), 7, 0),
        (1, (64, 64), 8, 1),
        (2, (64, 128), 7, 0),
        (3, (64, 128), 8, 1),
    ]


def test_a_prompt_of_its_own_size_is_drawn_at_that_alone() -> None:
    made = [shot.size for shot in shots(gallery(PromptSpec("edit", "x", (), (128, 64)), CAT))]
    assert made == [(128, 64)] * 2 + [(64, 64)] * 2 + [(64, 128)] * 2


def test_random_noise_follows_from_the_step_and_the_benchmark_keeps_its_own() -> None:
    fixed, random = gallery(CAT), gallery(CAT, is_random=True)
    assert [seed_at(fixed, step) for step in (0, 5)] == [7, 7]
    seeds = [seed_at(random, step) for step in range(50)]
    assert len({7, *seeds}) == 51
    assert seeds == [seed_at(random, step) for step in range(50)]
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert [shot.seed for shot in shots(random)] == [7, 8, 7, 8]
    assert [shot.seed for shot in shots(random, 3)] == [seeds[3], seeds[3] + 1] * 2
    assert [random.base_seed(shot) for shot in shots(random, 3)] == [7, 8, 7, 8]


def test_files() -> None:
    shot = Shot(CAT, 3, (64, 128), 99, repeat=1)
    made = gallery(CAT, is_random=True)
    assert made.path(shot, 20) == FOLDER / "validation_images" / "step_20_cat_3_64x128.png"
    assert made.base_path(shot) == FOLDER / "benchmarks" / "base_model" / "cat_64x128_1.png"


def test_no_two_pictures_of_the_base_model_share_a_file() -> None:
    made = gallery(CAT, PromptSpec("cat_1", "another cat"), PromptSpec("cat_64x64", "a small cat"))
    drawn = list(shots(made))
    assert len({made.base_path(shot) for shot in drawn}) == len(drawn) == 12


def test_a_strength_of_a_prompts_own_is_noted() -> None:
    made = Gallery((), (), 1, Sampling(1, 1.0, 7), FOLDER, notes={"validation_lycoris_strength": "2.5", "a": "b"})
    for strength, noted in ((None, "2.5"), (0.5, "0.5")):
        notes = made.notes_of(Shot(PromptSpec("cat", "a cat", strength=strength), 0, (64, 64), 7))
        assert notes == {"validation_lycoris_strength": noted, "a": "b", "input_side": "left", "image_quality": "90"}
