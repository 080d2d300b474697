"""Input by lines: the same pieces, however fast it comes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ringlet.console import Lines


@given(data=st.binary(max_size=200).map(lambda b: b.replace(b"\x05", b"\n")),
       cuts=st.lists(st.integers(1, 30), min_size=1, max_size=40), n=st.integers(1, 50))
def test_pieces_do_not_depend_on_how_the_data_arrives(data: bytes, cuts: list[int],
                                                      n: int) -> None:
    """Does any way of cutting the stream give the pieces that one read would?"""
    def pieces(sizes: list[int]) -> list[bytes]:
        left, place = data, 0

        def read(limit: int) -> bytes:
            nonlocal left, place
            size = min(sizes[place % len(sizes)], limit)
            place += 1
            part, left = left[:size], left[size:]
            return part

        lines, found = Lines(read), []
        while piece := lines(n):
            found.append(piece)
        return found

    whole = pieces([1000])
    assert pieces(cuts) == whole
    assert b"".join(whole) == data
    assert all(len(piece) <= n and b"\n" not in piece[:-1] for piece in whole)
