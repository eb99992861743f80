from __future__ import annotations

from simpletuner.validation.prompts import PromptSpec, collect

LIBRARY = [("anime_<token>", "a drawing"), ("cat", "a cat")]


def test_the_order_is_empty_prompt_library_main_prompt() -> None:
    assert collect("main", LIBRARY, unconditional=True) == (
        PromptSpec("unconditional", ""),
        PromptSpec("anime_token", "a drawing"),
        PromptSpec("cat", "a cat"),
        PromptSpec("validation", "main"),
    )


def test_each_part_can_be_left_out() -> None:
    assert [spec.nickname for spec in collect("main", [], unconditional=False)] == ["validation"]
    assert [spec.nickname for spec in collect(None, LIBRARY, unconditional=False)] == ["anime_token", "cat"]


def test_the_empty_prompt_alone_is_no_validation() -> None:
    assert collect(None, [], unconditional=True) == ()
    assert collect("", [], unconditional=True) == ()


def test_the_library_cannot_take_our_names() -> None:
    library = [("unconditional", "x"), ("Validation", "y")]
    names = [spec.nickname for spec in collect("main", library, unconditional=True)]
    assert names == ["unconditional", "unconditional_2", "Validation_2", "validation"]
