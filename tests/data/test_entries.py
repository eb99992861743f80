from __future__ import annotations

from simpletuner.data.entries import Dropped, PictureError, printable


def test_a_picture_error_becomes_a_line_of_the_report() -> None:
    error = PictureError("it is broken", cure="replace it")
    assert error.dropped("bad\udcff.png") == Dropped("bad\\udcff.png", "it is broken", "replace it")


def test_text_is_printed_as_it_is() -> None:
    assert printable("赤い 🙂\n.png") == "赤い 🙂\n.png"
