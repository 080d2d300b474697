"""Kernel threads: their functions, and who starts them.

A kernel thread's function is hosted and called again and again, once a host call (``kernel_thread``
in asm/switch.asm); it sleeps as a system call does, keeps what it must remember in its task, and
ends by ``do_exit`` or by becoming a program.

See: Linux kernel/kthread.c; init/main.c kernel_init().
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Final

from guest_kernel.layout.sched import task_struct
from guest_kernel.sched.wait import schedule_timeout


class KthreadFn(IntEnum):
    """What a kernel thread does; a number, because RAM is all that a snapshot keeps."""

    KERNEL_INIT = 1
    KTHREADD = 2
    RUN_PROGRAM = 3


FUNCTIONS: Final[dict[int, Callable[[task_struct], None]]] = {}


def kthreadd(current: task_struct) -> None:
    """Parent of all kernel threads: sleeps until one is asked for.  See kthreadd()."""
    schedule_timeout(current)


FUNCTIONS[KthreadFn.KTHREADD] = kthreadd
