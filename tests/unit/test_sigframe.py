"""The frame of a handler is packed at once: as its declaration has it?"""

from __future__ import annotations

from guest_kernel.layout.ptrace import pt_regs
from guest_kernel.layout.sigframe import rt_sigframe, sigcontext_64, ucontext
from guest_kernel.signal.delivery import FRAME, REGS, SAVED

# What is packed, in order.
CONTEXT = ("r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "di", "si", "bp", "bx", "dx", "ax",
           "cx", "sp", "ip", "flags", "cs", "gs", "fs", "ss", "err", "trapno", "oldmask", "cr2",
           "fpstate")
REGISTERS = ("r15", "r14", "r13", "r12", "bp", "bx", "r11", "r10", "r9", "r8", "ax", "cx", "dx",
             "si", "di", "orig_ax", "ip", "cs", "flags", "sp", "ss")


def test_frame_is_packed_as_it_is_declared() -> None:
    """Does each value lie where its field is?"""
    mcontext = rt_sigframe.offsetof("uc.uc_mcontext")
    places = [rt_sigframe.offsetof(name) for name in (
        "pretcode", "uc.uc_flags", "uc.uc_link", "uc.ss_sp", "uc.ss_flags", "uc.ss_size")]
    places += [mcontext + sigcontext_64.offsetof(name) for name in CONTEXT]
    places.append(rt_sigframe.offsetof("uc") + ucontext.offsetof("uc_sigmask"))
    values = list(range(1, len(places) + 1))
    data = FRAME.pack(*values, bytes(48))
    assert [data[place] for place in places] == values
    assert len(data) == rt_sigframe.size
    assert SAVED.unpack(data[: SAVED.size]) == tuple(values)
    assert SAVED.size == rt_sigframe.offsetof("info")


def test_registers_are_packed_as_they_are_declared() -> None:
    """The same for pt_regs."""
    data = REGS.pack(*range(1, len(REGISTERS) + 1))
    assert [data[pt_regs.offsetof(name)] for name in REGISTERS] == [
        n + 1 for n in range(len(REGISTERS))]
    assert len(data) == pt_regs.size
