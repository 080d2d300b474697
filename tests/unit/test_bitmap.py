"""Do bitmaps in RAM behave like a list of bits?"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.memory import Ram
from guest_kernel.kernel import Kernel
from guest_kernel.lib import bitmap

ADDRESS = 0x108
LARGEST = 300

# Mostly alike, as bitmaps are, so that searches go far.
BITS = st.one_of(
    st.lists(st.booleans(), min_size=1, max_size=LARGEST),
    st.builds(
        lambda size, value, others: [value ^ (nr in others) for nr in range(size)],
        st.integers(1, LARGEST), st.booleans(), st.sets(st.integers(0, LARGEST), max_size=3),
    ),
)


def make(bits: list[bool]) -> Kernel:
    """Return a kernel with ``bits`` at ``ADDRESS`` and ones all around them."""
    k = Kernel(Ram(4096), {}, 0)
    k.u8[:] = b"\xff" * 4096
    for nr, value in enumerate(bits):
        (bitmap.set_bit if value else bitmap.clear_bit)(k, nr, ADDRESS)
    return k


def read(k: Kernel, size: int) -> list[bool]:
    return [bool(k.u64[(ADDRESS >> 3) + nr // 64] >> nr % 64 & 1) for nr in range(size)]


def outside(k: Kernel, size: int) -> bytes:
    """Return all bytes but the bitmap's words."""
    return bytes(k.u8[:ADDRESS]) + bytes(k.u8[ADDRESS + -(-size // 64) * 8 :])


@given(bits=BITS, offset=st.integers(0, LARGEST + 10))
@settings(derandomize=True, deadline=None)
def test_searches_find_what_a_list_search_finds(bits: list[bool], offset: int) -> None:
    """Is the first set, or clear, bit from any place on found, and nothing behind the end?"""
    k, size = make(bits), len(bits)
    assert read(k, size) == bits
    for value, find in ((True, bitmap.find_next_bit), (False, bitmap.find_next_zero_bit)):
        rest = range(offset, size)
        expected = next((nr for nr in rest if bits[nr] == value), size)
        assert find(k, ADDRESS, size, offset) == expected
    assert bitmap.find_first_bit(k, ADDRESS, size) == bitmap.find_next_bit(k, ADDRESS, size, 0)
    assert bitmap.find_first_zero_bit(k, ADDRESS, size) == [*bits, False].index(False)
    assert bitmap.bitmap_weight(k, ADDRESS, size) == sum(bits)
    assert bitmap.bitmap_empty(k, ADDRESS, size) == (not any(bits))
    assert bitmap.bitmap_full(k, ADDRESS, size) == all(bits)


@given(bits=BITS, data=st.data())
@settings(derandomize=True, deadline=None)
def test_changes_touch_only_their_bits(bits: list[bool], data: st.DataObject) -> None:
    """Does each change make the bits that it names, and no other, what it says?"""
    k, size = make(bits), len(bits)
    nr = data.draw(st.integers(0, size - 1))
    nbits = data.draw(st.integers(0, size - nr))
    before = outside(k, size)

    bitmap.change_bit(k, nr, ADDRESS)
    assert bitmap.test_bit(k, nr, ADDRESS) != bits[nr]
    assert bitmap.test_and_set_bit(k, nr, ADDRESS) != bits[nr]
    assert bitmap.test_and_set_bit(k, nr, ADDRESS)
    assert bitmap.test_and_clear_bit(k, nr, ADDRESS)
    assert not bitmap.test_and_clear_bit(k, nr, ADDRESS)
    bits[nr] = False
    assert read(k, size) == bits

    bitmap.bitmap_set(k, ADDRESS, nr, nbits)
    assert read(k, size) == bits[:nr] + [True] * nbits + bits[nr + nbits :]
    bitmap.bitmap_clear(k, ADDRESS, nr, nbits)
    assert read(k, size) == bits[:nr] + [False] * nbits + bits[nr + nbits :]
    assert outside(k, size) == before


@pytest.mark.parametrize("size", [1, 63, 64, 65, 200])
def test_whole_words_are_filled(size: int) -> None:
    """Do zero and fill write all words of the bitmap, and nothing else?"""
    k = make([])
    bitmap.bitmap_zero(k, ADDRESS, size)
    words = -(-size // 64)
    assert bytes(k.u8[ADDRESS : ADDRESS + words * 8]) == bytes(words * 8)
    assert outside(k, size) == b"\xff" * (4096 - words * 8)
    bitmap.bitmap_fill(k, ADDRESS, size)
    assert bytes(k.u8) == b"\xff" * 4096
