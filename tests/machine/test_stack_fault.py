"""#SS: an address that is not canonical, reached through the stack segment.

See: Intel SDM vol. 3A, "Interrupt 12—Stack Fault Exception (#SS)".
"""

from __future__ import annotations

import pytest

from emulator.arch.exceptions import Vector
from emulator.bare import USER_DATA
from ringlet.testing import Asm

BAD = 0x8000_0000_0040  # and what a push reaches below it


@pytest.mark.parametrize(("instruction", "vector"), [
    ("push rax", Vector.SS), ("pop rax", Vector.SS), ("call here", Vector.SS),
    ("mov rax, [rsp]", Vector.SS), ("mov [rbp + 8], rax", Vector.SS),
    ("mov rax, [rbp + rcx * 4]", Vector.SS), ("leave", Vector.SS),
    ("mov rax, [rbx]", Vector.GP), ("mov rax, [rbx + rsi]", Vector.GP),
    ("hlt", Vector.GP),
])
def test_the_segment_of_the_operand_decides(asm: Asm, instruction: str, vector: Vector) -> None:
    """Is it #SS(0) for the stack segment and #GP(0) for the others, at the instruction?"""
    result = asm(f"nop\nhere: {instruction}", ring=3, rsp=BAD, rbp=BAD, rbx=BAD, rcx=0,
                 rsi=USER_DATA)
    assert result.trap is not None
    assert (result.trap.vector, result.trap.error_code) == (vector, 0)
    assert result.rip == result.labels["here"]
    assert result.rsp == BAD
