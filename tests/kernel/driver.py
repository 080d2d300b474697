"""Steps of a test, run one after the other in a kernel thread."""

from __future__ import annotations

from collections.abc import Callable

from guest_kernel.layout.sched import task_struct
from guest_kernel.process import kthread
from guest_kernel.process.fork import kernel_thread
from guest_kernel.sched.wait import schedule_timeout
from guest_kernel.time.timekeeping import ktime_get
from guest_kernel.traps import RUN_IRQ
from ringlet.session import Session

DRIVER = 2000  # the number of the thread's function
MILLISECOND = 1_000_000


def go_on(session: Session, duration: int) -> None:
    """Take the idle CPU out of its sleep, and run for some ns."""
    session.machine.pic.set_irq(RUN_IRQ, True)
    session.machine.arm()
    session.machine.run(session.machine.clock + duration)


def drive(session: Session, *steps: Callable[[task_struct], object]) -> list[object]:
    """Run ``steps`` in a kernel thread, each until it does not sleep; return their results.

    A step that sleeps is called again after the wake-up, as any hosted function is.
    """
    results: list[object] = []

    def driver(current: task_struct) -> int | None:
        results.append(steps[len(results)](current))
        return 0 if len(results) == len(steps) else None

    kthread.FUNCTIONS[DRIVER] = driver
    kernel_thread(session.kernel.k, DRIVER, 0, b"driver")
    go_on(session, 2000 * MILLISECOND)
    assert len(results) == len(steps)
    return results


def pause(duration: int) -> Callable[[task_struct], None]:
    """Return a step that sleeps for some ns."""
    until: list[int] = []

    def step(current: task_struct) -> None:
        until[:] = until or [ktime_get(current.k) + duration]
        if ktime_get(current.k) < until[0]:
            schedule_timeout(current, until[0])

    return step
