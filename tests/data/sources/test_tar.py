from __future__ import annotations

import io
import tarfile
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpletuner.data.sources.tar import BrokenTar, Member, members

FILES = {"a.png": b"picture", "b/c.txt": b"caption" * 100, "n" * 200 + ".png": b"", "ü.png": b"x" * 512}


def packed(files: dict[str, bytes], kind: int = tarfile.PAX_FORMAT) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=kind) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def with_member(**facts: Any) -> bytes:
    """An archive of one member with odd facts."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        info = tarfile.TarInfo(facts.pop("name", "a.png"))
        for name, value in facts.items():
            setattr(info, name, value)
        archive.addfile(info)
    return stream.getvalue()


def walked(content: bytes) -> list[Member]:
    return list(members(io.BytesIO(content), len(content)))


def sound(content: bytes) -> tuple[dict[str, bytes], str]:
    """The members that can be used, and what ended the walk."""
    found: dict[str, bytes] = {}
    try:
        for member in members(io.BytesIO(content), len(content)):
            if not member.fault:
                found[member.name] = content[member.offset : member.offset + member.size]
    except BrokenTar as error:
        return found, str(error)
    return found, ""


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_file_lies_where_its_member_says(kind: int) -> None:
    files = {"a.png": b"picture", "./dotted.png": b"d"} | ({} if kind == tarfile.USTAR_FORMAT else FILES)
    assert sound(packed(files, kind)) == ({name.removeprefix("./"): content for name, content in files.items()}, "")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_what_is_no_file_is_refused(kind: bytes) -> None:
    (member,) = walked(with_member(type=kind, linkname="/etc/passwd"))
    assert "a link, a device" in member.fault


@pytest.mark.parametrize("name", ["../a.png", "/a.png", "b/../../a.png"])
def test_a_name_that_leads_out_is_refused(name: str) -> None:
    (member,) = walked(with_member(name=name))
    assert "leads out" in member.fault


def test_folders_are_passed_over() -> None:
    assert walked(with_member(type=tarfile.DIRTYPE)) == []


def test_a_header_of_gigabytes_is_not_read() -> None:
    header = tarfile.TarInfo("long")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 1 << 40
    with pytest.raises(BrokenTar, match="a header of"):
        walked(header.tobuf(tarfile.GNU_FORMAT) + bytes(4096))


def test_what_stands_before_a_cut_is_used() -> None:
    whole = packed({f"{number}.png": b"x" * 600 for number in range(5)})
    found, reason = sound(whole[: 3 * 1536 + 700])
    assert list(found) == ["0.png", "1.png", "2.png"]
    assert "cut short" in reason
    for cut in (3 * 1536, 3 * 1536 + 100):
        found, reason = sound(whole[:cut])
        assert list(found) == ["0.png", "1.png", "2.png"]
        assert reason


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04" * 500, b"\x1f\x8b" + bytes(1000), b"x" * 100])
def test_what_is_no_tar_is_told(content: bytes) -> None:
    with pytest.raises(BrokenTar):
        walked(content)


@given(st.lists(st.tuples(st.integers(0, 4095), st.integers(0, 255)), max_size=6))
def test_damage_never_crashes_and_leads_nowhere(damage: list[tuple[int, int]]) -> None:
    content = bytearray(packed({"a.png": b"x" * 10, "b.png": b"y" * 10, "n" * 150 + ".png": b"z"}))
    for at, value in damage:
        content[at] = value
    try:
        for member in members(io.BytesIO(bytes(content)), len(content)):
            assert member.fault or 0 <= member.offset <= member.offset + member.size <= len(content)
    except BrokenTar as error:
        assert str(error)
