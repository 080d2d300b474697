"""The controlling terminal of a session: who has it, and references to it.

``signal_struct.tty`` points at it in every process of the session, ``tty_struct.ctrl`` back at the
session and at its foreground process group.

See: Linux drivers/tty/tty_jobctrl.c; credentials(7).
"""

from __future__ import annotations

from collections.abc import Callable

from guest_kernel.errors import BUG
from guest_kernel.layout.declare import PHYSICAL_MASK
from guest_kernel.layout.sched import pid, signal_struct, task_struct
from guest_kernel.layout.tty import tty_struct
from guest_kernel.mm.slab import kfree
from guest_kernel.process.pid import (
    PIDTYPE_SID,
    do_each_pid_task,
    get_pid,
    put_pid,
    task_pgrp,
    task_session,
)


def signal_of(task: task_struct) -> signal_struct:
    """Return what ``task`` shares with its thread group."""
    signal = task.signal
    if signal is None:
        BUG(f"task {task.pid} has no signal_struct")
    return signal


def tty_kref_get(tty: tty_struct) -> tty_struct:
    """Take a reference."""
    tty.kref += 1
    return tty


def tty_kref_put(tty: tty_struct) -> None:
    """Drop a reference; the last one, long after the last close perhaps, frees the structure."""
    tty.kref -= 1
    if not tty.kref:
        set_ctrl(tty, None, None)
        kfree(tty)


def signal_tty(signal: signal_struct) -> tty_struct | None:
    """Return the controlling terminal of a process."""
    va = signal.tty
    return tty_struct(signal.k, va & PHYSICAL_MASK) if va else None


def get_current_tty(current: task_struct) -> tty_struct | None:
    """Return the caller's controlling terminal."""
    return signal_tty(signal_of(current))


def set_signal_tty(signal: signal_struct, tty: tty_struct | None) -> None:
    """Make ``tty`` the controlling terminal of a process, or take it the one that it has."""
    old = signal_tty(signal)
    signal.tty = tty_kref_get(tty).va if tty is not None else 0
    if old is not None:
        tty_kref_put(old)


def inherit_tty(signal: signal_struct, tty: int) -> None:
    """Give a new process the controlling terminal of its parent, at address ``tty``."""
    signal.tty = tty
    tty_kref_get(tty_struct(signal.k, tty & PHYSICAL_MASK))


def set_old_pgrp(signal: signal_struct, group: pid | None) -> None:
    """Note the foreground group of a terminal that a session leader has lost."""
    old = signal.tty_old_pgrp
    signal.tty_old_pgrp = get_pid(group) if group is not None else None
    if old is not None:
        put_pid(old)


def set_ctrl(tty: tty_struct, group: pid | None, session: pid | None) -> None:
    """Make ``tty`` the terminal of a session, with a foreground group; or of none."""
    for name, number in (("pgrp", group), ("session", session)):
        old = getattr(tty.ctrl, name)
        setattr(tty.ctrl, name, get_pid(number) if number is not None else None)
        if old is not None:
            put_pid(old)


def proc_clear_tty(task: task_struct) -> None:
    """Take a process its controlling terminal."""
    set_signal_tty(signal_of(task), None)


def session_clear_tty(session: pid | None) -> None:
    """Take all processes of a session their controlling terminal."""
    for task in do_each_pid_task(session, PIDTYPE_SID):
        proc_clear_tty(task)


def proc_set_tty(current: task_struct, tty: tty_struct) -> None:
    """Make ``tty`` the controlling terminal of the caller, a session leader without one."""
    signal = signal_of(current)
    set_ctrl(tty, task_pgrp(current), task_session(current))
    set_signal_tty(signal, tty)
    set_old_pgrp(signal, None)


# tty_io.disassociate_ctty(), which is above those who call it here.
_disassociate: Callable[[task_struct], None] | None = None


def register_disassociate(function: Callable[[task_struct], None]) -> None:
    """Let ``function`` part a session from its terminal when its leader ends."""
    global _disassociate
    _disassociate = function


def disassociate_ctty(current: task_struct) -> None:
    """Part a session from its terminal, if ``current``, which ends, is its leader."""
    assert _disassociate is not None
    _disassociate(current)
