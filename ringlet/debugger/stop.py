"""Why a machine has stopped."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ringlet.debugger.points import Point
    from ringlet.session import Result


class Reason(StrEnum):
    """The kinds of stops."""

    BREAKPOINT = "breakpoint"
    WATCHPOINT = "watchpoint"
    CATCHPOINT = "catchpoint"
    STEP = "step"  # what was asked for has been done: a step, finish, until
    HANDLER = "handler"  # before the first line of a hosted handler
    TIMEOUT = "timeout"  # the clock has reached the limit
    INTERRUPT = "interrupt"  # somebody has asked for it
    EXITED = "exited"  # the program has ended
    HALTED = "halted"  # nothing can ever happen again
    SHUTDOWN = "shutdown"  # a triple fault


class Stop(NamedTuple):
    """A stop.

    Attributes:
        reason: of which kind.
        clock: when, in virtual ns.
        rip: where; the instruction has not been executed.
        pid: which task was running; 0: the idle task, or no kernel.
        points: what was reached, if it was points of the user's.
        detail: one line for people: what happened.
        result: how the program ended, if it did.
    """

    reason: Reason
    clock: int
    rip: int
    pid: int
    points: tuple[Point, ...] = ()
    detail: str = ""
    result: Result | None = None
