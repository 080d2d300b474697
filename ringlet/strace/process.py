"""Calls on processes: making, ending, waiting, identity, limits, scheduling, futexes.

See: clone(2), wait4(2), waitid(2), execve(2), prctl(2), getrlimit(2), sched(7), futex(2).
"""

from __future__ import annotations

import struct
from functools import partial
from typing import Final

from guest_kernel.signal.numbers import SIGRTMAX
from ringlet.strace.arguments import Structure, buffer_of, custom, elements, indirect, numbers
from ringlet.strace.call import MAX_STRLEN, Also, Call, Choice, Format, Out, Signature
from ringlet.strace.clocks import timespec, timeval
from ringlet.strace.files import AT_FLAGS, fd_at
from ringlet.strace.names import Flags, Names
from ringlet.strace.signals import siginfo, signal
from ringlet.strace.text import (
    address,
    hex_argument,
    hexadecimal,
    hexadecimal32,
    int_,
    long_,
    path,
    quote,
    quote_hexadecimal,
    signed32,
    string,
    uint,
    ulong,
)

# ---------------------------------------------------------------------------- clone

_CSIGNAL: Final = 0xFF
_CLONE: Final = Flags("CLONE_???", """
    CLONE_VM=0x100 CLONE_FS=0x200 CLONE_FILES=0x400 CLONE_SIGHAND=0x800 CLONE_PIDFD=0x1000
    CLONE_PTRACE=0x2000 CLONE_VFORK=0x4000 CLONE_PARENT=0x8000 CLONE_THREAD=0x10000
    CLONE_NEWNS=0x20000 CLONE_SYSVSEM=0x40000 CLONE_SETTLS=0x80000 CLONE_PARENT_SETTID=0x100000
    CLONE_CHILD_CLEARTID=0x200000 CLONE_DETACHED=0x400000 CLONE_UNTRACED=0x800000
    CLONE_CHILD_SETTID=0x1000000 CLONE_NEWCGROUP=0x2000000 CLONE_NEWUTS=0x4000000
    CLONE_NEWIPC=0x8000000 CLONE_NEWUSER=0x10000000 CLONE_NEWPID=0x20000000
    CLONE_NEWNET=0x40000000 CLONE_IO=0x80000000 CLONE_CLEAR_SIGHAND=0x100000000
    CLONE_INTO_CGROUP=0x200000000""", bits=64)
_CLONE_PIDFD: Final = 0x1000
_CLONE_SETTLS: Final = 0x8_0000
_CLONE_PARENT_SETTID: Final = 0x10_0000
_CLONE_CHILD_IDS: Final = 0x120_0000  # CLONE_CHILD_SETTID, CLONE_CHILD_CLEARTID
