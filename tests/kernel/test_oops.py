"""A mistake in the hosted half is said, and does not take the machine with it."""

from __future__ import annotations

import pytest

from guest_kernel.errors import KernelPanic
from guest_kernel.printk import dmesg
from ringlet.session import Session
from tests.guest import userland


def _break_getppid(session: Session) -> None:
    """Make one system call of the running kernel fail as a bug of ours would."""
    def wrong(current: object, regs: int) -> int:
        raise ZeroDivisionError("a mistake")

    session.kernel._handlers[39] = session.kernel._handlers[102] = wrong  # getpid, getuid
    session.kernel._handlers[1] = wrong  # write


def test_oops_kills_the_task_and_the_machine_goes_on(session: Session) -> None:
    """Is the task killed, the mistake logged with both back-traces, and the next program run?"""
    handlers = dict(session.kernel._handlers)
    _break_getppid(session)
    result = session.run([str(userland("hello"))])
    assert result.status == 128 + 9
    log = dmesg(session.kernel.k)
    for part in ("Oops: ZeroDivisionError: a mistake", "Comm: hello", "RIP: 0033:0x",
                 "entry_SYSCALL_64", "Call Trace (user):", "ZeroDivisionError", "end trace"):
        assert part in log, part
    session.kernel._handlers.update(handlers)
    assert session.run(["/bin/hello"]).output == b"hello, world\n"


@pytest.mark.machine(panic_on_oops=True)
def test_panic_on_oops_stops_the_machine(session: Session) -> None:
    """With panic_on_oops, does the first mistake stop everything?"""
    _break_getppid(session)
    with pytest.raises(KernelPanic, match=r"^Fatal exception: ZeroDivisionError: a mistake$"):
        session.run([str(userland("hello"))])


def test_the_kernel_log_wraps_and_keeps_the_newest(session: Session) -> None:
    """Does a full log drop its oldest records and nothing else?"""
    from guest_kernel.printk import KERN_INFO, printk, records

    k = session.kernel.k
    for number in range(3000):
        printk(k, KERN_INFO, f"message {number} " + "x" * (number % 97))
    texts = [record.text.split()[1] for record in records(k)]
    assert texts[-1] == "2999"
    assert texts == [str(n) for n in range(int(texts[0]), 3000)]
    assert len(texts) > 300
