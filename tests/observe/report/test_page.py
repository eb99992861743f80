from __future__ import annotations

import re
from html.parser import HTMLParser

from simpletuner.core.events import RunEnded
from simpletuner.observe.report.facts import Story
from simpletuner.observe.report.media import Shown
from simpletuner.observe.report.page import page

EVIL = "<img src=x onerror=alert(1)>\"'"


class Outline(HTMLParser):
    """The tags of a page with their attributes, and the text of its headings."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data + "\n"


def made(story: Story, series: list[list[Shown]], size: int = 10) -> str:
    records = [{"step": 1, "epoch": 1, "train_loss": 1.0}, {"step": 2, "epoch": 1, "train_loss": 0.5}]
    report = {"datasets": [{"id": EVIL, "notes": [EVIL]}]}
    return page(story, records, series, lambda _shown: "data:," + "x" * size, report, written="today")


def test_nothing_from_a_run_is_markup_and_nothing_is_loaded() -> None:
    story = Story(EVIL, EVIL, 2, [EVIL], {"a": EVIL}, {"a": EVIL, "b": [EVIL]}, RunEnded(2, "failed", 1.0, EVIL))
    html = made(story, [[Shown(1, "validation", EVIL, EVIL, EVIL, "a.png")]])
    outline = Outline(html)
    assert outline.text.count(EVIL) >= 10
    assert all("onerror" not in attributes for _, attributes in outline.tags)
    assert not {"script", "link", "iframe"} & {tag for tag, _ in outline.tags}
    assert all(attributes["src"].startswith("data:") for tag, attributes in outline.tags if tag == "img")  # type: ignore[union-attr]
    assert not re.search(r"https?://|@import|url\(", html)
    assert "default-src 'none'" in html


def test_pictures_stand_in_time_with_the_base_model_first() -> None:
    series = [
        Shown(0, "benchmark", "cat", "a cat", "64x64", "a.png"),
        Shown(20, "validation", "cat", "a cat", "64x64", "b.png"),
    ]
    text = Outline(made(Story("p", "r"), [series])).text
    assert text.index("base model") < text.index("step 20")


def test_pictures_have_a_limit_and_the_page_says_how_many_are_not_shown() -> None:
    many = [Shown(step, "validation", "cat", "", "64x64", f"{step}.png") for step in range(20)]
    html = made(Story("p", "r"), [many] * 40, size=1 << 20)
    assert len(html) < 14 << 20
    assert "more in validation_images" in html
    assert made(Story("p", "r"), [many]).count("<img") == 8


def test_a_page_of_nothing_is_a_page() -> None:
    html = page(Story("p", "r"), [], [], lambda _shown: "", {}, written="today")
    assert "running, step 0 of 0" in html
    assert "<section" not in html.replace("section {", "")
