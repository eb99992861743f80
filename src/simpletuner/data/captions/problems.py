"""What the report says of captions beside their length: the same caption at several pictures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence


def duplicate_captions(captions: Iterable[tuple[str, Sequence[str]]]) -> list[tuple[str, tuple[str, ...]]]:
    """Captions that two or more files share, with these files, the most shared first.

    ``captions`` are files, each once, with their candidates. Meant for captions written picture by picture; an
    instance prompt is shared on purpose.
    """
    files: defaultdict[str, list[str]] = defaultdict(list)
    for file, texts in captions:
        for text in dict.fromkeys(texts):
            files[text].append(file)
    shared = [(text, tuple(names)) for text, names in files.items() if len(names) > 1]
    return sorted(shared, key=lambda item: (-len(item[1]), item[0]))
