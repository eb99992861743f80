from __future__ import annotations

from PIL import Image

from simpletuner.config.files.prompts import LibraryPrompt
from simpletuner.validation.prompts import InputPicture, PromptSpec, collect

LIBRARY = [LibraryPrompt("anime_<token>", "a drawing"), LibraryPrompt("cat", "a cat", 0.5)]


def test_the_order_is_empty_prompt_library_main_prompt() -> None:
    assert collect("main", LIBRARY, unconditional=True) == (
        PromptSpec("unconditional", ""),
        PromptSpec("anime_token", "a drawing"),
        PromptSpec("cat", "a cat", strength=0.5),
        PromptSpec("validation", "main"),
    )


def test_each_part_can_be_left_out() -> None:
    assert [spec.nickname for spec in collect("main", [], unconditional=False)] == ["validation"]
    assert [spec.nickname for spec in collect(None, LIBRARY, unconditional=False)] == ["anime_token", "cat"]


def test_the_empty_prompt_alone_is_no_validation() -> None:
    assert collect(None, [], unconditional=True) == ()
    assert collect("", [], unconditional=True) == ()


def test_the_library_cannot_take_our_names() -> None:
    library = [LibraryPrompt("unconditional", "x"), LibraryPrompt("Validation", "y")]
    names = [spec.nickname for spec in collect("main", library, unconditional=True)]
    assert names == ["unconditional", "unconditional_2", "Validation_2", "validation"]


def test_prompts_with_pictures_of_their_own_stand_second_and_the_users_take_the_named_ones() -> None:
    named, own = (InputPicture(name, Image.new("RGB", (16, 16))) for name in ("named", "own"))
    beside = [PromptSpec("cat", "an edit", (own,), (64, 32))]
    made = collect("main", LIBRARY, unconditional=True, beside=beside, pictures=(named,))
    assert [spec.nickname for spec in made] == ["unconditional", "cat_2", "anime_token", "cat", "validation"]
    assert [spec.pictures for spec in made] == [(), (own,), (named,), (named,), (named,)]
    assert [spec.size for spec in made] == [None, (64, 32), None, None, None]
    assert [spec.nickname for spec in collect(None, [], unconditional=False, beside=beside)] == ["cat"]
