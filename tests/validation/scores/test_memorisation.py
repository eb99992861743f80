from __future__ import annotations

import pytest
import torch
from PIL import Image, ImageFilter

from simpletuner.config.reading.find import example_folder
from simpletuner.models.omnigen.layers import TINY_FOLDER
from simpletuner.validation.scores.clip import clip_on
from simpletuner.validation.scores.memorisation import Likeness, Thumbnails, Trained, warning
from simpletuner.validation.scores.scorer import Seen

NAMES = ("red_apple", "rocket", "pizza", "frog", "sailboat", "cactus")


def picture(name: str) -> Image.Image:
    return Image.open(example_folder("emoji-style") / "images" / f"{name}.png").convert("RGB")


def unit(*angles: float) -> torch.Tensor:
    turned = torch.tensor(angles).deg2rad()
    return torch.stack((turned.cos(), turned.sin()), dim=1)


def test_the_typical_distance_is_to_the_nearest_other_picture() -> None:
    trained = Trained(("a", "b", "c"), unit(0, 60, 180))
    assert trained.typical() == pytest.approx(0.5, abs=1e-6)
    assert Trained(("a",), unit(0)).typical() is None
    torch.testing.assert_close(trained.features, unit(0, 60, 180))


def test_each_picture_has_its_nearest_one() -> None:
    found = Likeness.of(unit(10, 175), Trained(("a", "b", "c"), unit(0, 60, 180)))
    assert found.nearest == ("a", "c")
    assert found.metrics() == {"memorisation/max": 0.9962, "memorisation/mean": 0.9905, "memorisation/typical": 0.5}


def test_only_what_is_much_nearer_than_usual_is_told() -> None:
    """Usual is 0.5 away; a twentieth of it is 0.025, which 10 degrees keep and 20 do not."""
    trained = Trained(("set/a", "set/b"), unit(0, 60))
    seen = [Seen("far", "x", Image.new("RGB", (8, 8))), Seen("near", "y", Image.new("RGB", (8, 8)))]
    assert warning(7, seen, Likeness.of(unit(-40, -20), trained)) == ""
    told = warning(7, seen, Likeness.of(unit(-40, -10), trained))
    assert "step 7: the picture of 'near' looks like the training picture set/a (similarity 0.985, above 0.975)" in told


def test_with_a_single_training_picture_a_copy_is_still_told() -> None:
    seen = [Seen("one", "x", Image.new("RGB", (8, 8)))]
    assert warning(1, seen, Likeness.of(unit(5), Trained(("a",), unit(0))))
    assert not warning(1, seen, Likeness.of(unit(30), Trained(("a",), unit(0))))
    assert "memorisation/typical" not in Likeness.of(unit(5), Trained(("a",), unit(0))).metrics()


@pytest.mark.parametrize("with_clip", [True, False])
def test_a_blurred_copy_is_found_and_another_drawing_is_not(*, with_clip: bool) -> None:
    trained_on = ((name, picture(name)) for name in NAMES)
    drawn = [picture("pizza").filter(ImageFilter.GaussianBlur(1)), picture("umbrella")]
    if with_clip:
        with clip_on(TINY_FOLDER / "clip", torch.device("cpu")) as clip:
            trained, features = Trained.seen_by(clip, trained_on), clip.pictures(drawn)
    else:
        trained, features = Trained.seen_by(Thumbnails(), trained_on), Thumbnails().pictures(drawn)
    found = Likeness.of(features, trained)
    assert trained.names == NAMES
    assert found.nearest[0] == "pizza"
    assert found.similarity[0] > found.limit() > found.similarity[1]


def test_pictures_of_one_colour_are_like_nothing() -> None:
    seen = Thumbnails().pictures([Image.new("RGB", (40, 20), "white"), picture("frog")])
    assert (seen[0] @ seen.T).abs().max() == 0
