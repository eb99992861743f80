from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpletuner.data.files.av1 import WHOLE, Numbers, frame_sizes
from simpletuner.data.places.geometry import Size

DELIMITER = b"\x12\0"


def packed(bits: str) -> bytes:
    return int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8))


def still(width: int, height: int) -> bytes:
    """A sequence header unit of one still picture."""
    header = packed(f"00011{0:05b}{15:04b}{15:04b}{width - 1:016b}{height - 1:016b}")
    return bytes([0x0A, len(header)]) + header


def film(*, timed: bool, ticks: bool = False) -> bytes:
    """One of two operating points, 1280x720, with or without a model of the decoder's clock."""
    model = f"1{7:05b}{9:032b}{3:05b}{3:05b}"
    timing = f"1{1:032b}{30:032b}" + ("1" + "00101" if ticks else "0") + model if timed else "0"
    delays = "1" + "0" * 17 if timed else ""
    points = "".join(f"{1:012b}{level:05b}" + "0" * (level > 7) + delays + "11010" for level in (5, 9))
    header = packed(f"00000{timing}1{1:05b}{points}{10:04b}{9:04b}{1279:011b}{719:010b}")
    return bytes([0x0A, len(header)]) + header


def sizes(data: bytes) -> list[Size]:
    return list(frame_sizes(io.BytesIO(data), [(0, len(data))]))


@given(st.integers(1, 65536), st.integers(1, 65536))
def test_the_size_of_a_still_picture(width: int, height: int) -> None:
    assert sizes(DELIMITER + still(width, height)) == [Size(width, height)]


@pytest.mark.parametrize(("timed", "ticks"), [(False, False), (True, False), (True, True)])
def test_a_header_with_clock_and_operating_points(timed: bool, ticks: bool) -> None:
    assert sizes(film(timed=timed, ticks=ticks)) == [Size(1280, 720)]


def test_every_header_counts_wherever_it_stands() -> None:
    data = DELIMITER + still(64, 48) + b"\x32\x81\x01" + bytes(129) + still(9000, 8000)
    assert sizes(data) == [Size(64, 48), Size(9000, 8000)]
    pieces = [(0, 5), (5, 3), (8, WHOLE)]
    assert list(frame_sizes(io.BytesIO(data), pieces)) == sizes(data)


def test_a_unit_with_layers_and_one_without_a_length() -> None:
    header = still(64, 48)
    assert sizes(b"\x0e\0" + header[1:]) == [Size(64, 48)]
    assert sizes(b"\x08" + header[2:]) == [Size(64, 48)]


def test_endless_units_and_cut_headers_are_errors() -> None:
    with pytest.raises(ValueError, match="too many units"):
        sizes(DELIMITER * 300)
    for data in (still(64, 48)[:5], b"\x0a" + b"\xff" * 9):
        with pytest.raises(EOFError):
            sizes(data)


def test_bits_come_one_after_the_other() -> None:
    numbers = Numbers(b"\xa5\x0f")
    assert [numbers.bits(count) for count in (1, 3, 8, 0, 4)] == [1, 2, 0x50, 0, 15]
    with pytest.raises(EOFError):
        numbers.bits(1)


@given(st.binary(max_size=300))
def test_no_bytes_break_it(data: bytes) -> None:
    try:
        assert all(size.width > 0 and size.height > 0 for size in sizes(data))
    except (ValueError, EOFError):
        return
