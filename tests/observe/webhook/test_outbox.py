from __future__ import annotations

import threading
import time

from simpletuner.observe.webhook.message import Message, Pixels
from simpletuner.observe.webhook.outbox import Outbox


def message(name: str, replaces: str = "", preview: int = 0) -> Message:
    drawings = (Pixels(1, 1, b"x" * preview),) if preview else ()
    return Message({"name": name}, drawings=drawings, replaces=replaces, is_preview=bool(preview))


def taken(box: Outbox) -> list[str]:
    box.close(100)
    return [found.fields["name"] for found in iter(box.take, None)]


def test_messages_come_in_order_and_the_newest_of_a_kind_wins() -> None:
    box = Outbox()
    for name in ("step 1", "a", "step 2", "b", "step 3"):
        box.put(message(name, replaces="step" if name.startswith("step") else ""))
    assert taken(box) == ["step 3", "a", "b"]
    # What was overtaken is not lost.
    assert box.empty() == 0


def test_without_room_the_oldest_preview_goes_first() -> None:
    box = Outbox(most=4)
    for found in (message("a"), message("p1", preview=1), message("p2", preview=1), message("s", replaces="s")):
        box.put(found)
    for name in ("b", "c", "d", "e"):
        box.put(message(name))
    assert box.lost == 4
    assert taken(box) == ["b", "c", "d", "e"]


def test_the_order_in_which_room_is_made() -> None:
    box = Outbox(most=3)
    for found in (message("a"), message("s", replaces="s"), message("p", preview=1)):
        box.put(found)
    box.put(message("b"))
    assert [found.fields["name"] for found in box._waiting] == ["a", "s", "b"]
    box.put(message("c"))
    assert [found.fields["name"] for found in box._waiting] == ["a", "b", "c"]
    box.put(message("d"))
    assert [found.fields["name"] for found in box._waiting] == ["b", "c", "d"]


def test_previews_take_no_more_memory_than_allowed() -> None:
    box = Outbox(most_bytes=25)
    box.put(message("a"))
    for number in range(4):
        box.put(message(f"p{number}", preview=10))
    assert (taken(box), box.lost) == (["a", "p2", "p3"], 2)


def test_at_the_end_words_come_before_previews() -> None:
    box = Outbox()
    for found in (message("p1", preview=1), message("p2", preview=1), message("end")):
        box.put(found)
    assert taken(box) == ["end", "p1", "p2"]


def test_at_the_end_the_last_messages_are_kept() -> None:
    box = Outbox()
    for found in (message("a"), message("p", preview=1), message("b"), message("last"), message("end")):
        box.put(found)
    assert box.close(2) == 2
    assert (taken(box), box.lost) == (["last", "end"], 3)


def test_one_that_a_newer_one_replaces_is_known() -> None:
    box = Outbox()
    first = message("step 1", replaces="step")
    box.put(first)
    assert box.take() is first
    assert not box.has_newer(first)
    box.put(message("step 2", replaces="step"))
    assert box.has_newer(first)
    assert not box.has_newer(message("plain"))


def test_taking_waits_and_closing_wakes() -> None:
    box, found = Outbox(), []
    thread = threading.Thread(target=lambda: found.extend(iter(box.take, None)))
    thread.start()
    time.sleep(0.05)
    box.put(message("a"))
    box.close(100)
    thread.join(5)
    assert [one.fields["name"] for one in found] == ["a"]


def test_what_is_given_up_is_counted() -> None:
    box = Outbox()
    box.put(message("a"))
    box.lose()
    assert (box.empty(), taken(box)) == (2, [])
