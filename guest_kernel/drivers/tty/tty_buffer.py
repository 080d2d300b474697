"""The flip buffer: what a port's interrupt has received, on its way to the line discipline.

See: Linux drivers/tty/tty_buffer.c.
"""

from __future__ import annotations

from guest_kernel.drivers.tty.driver import tty_operations
from guest_kernel.drivers.tty.n_tty import n_tty_receive_buf
from guest_kernel.layout.sched import task_struct
from guest_kernel.layout.tty import TTYB_SIZE, tty_bufhead, tty_port, tty_struct
from guest_kernel.layout.workqueue import work_struct
from guest_kernel.process.workqueue import FUNCTIONS, INIT_WORK, WorkFn, schedule_work


def tty_buffer_init(port: tty_port) -> None:
    """Make a port's buffer an empty one."""
    INIT_WORK(port.buf.work, WorkFn.FLUSH_TO_LDISC)


def tty_flip_buffer_push(port: tty_port) -> None:
    """Have a worker give the line discipline what is in the buffer."""
    schedule_work(port.buf.work)


def tty_buffer_flush(tty: tty_struct) -> None:
    """Forget what is in the buffer of a terminal's port."""
    port = tty.port
    assert port is not None
    port.buf.tail = port.buf.head
    tty_operations(tty.ops).receive_more(tty)


def flush_to_ldisc(port: tty_port) -> None:
    """Give the line discipline what is in the buffer, as much as there is room for.

    Nothing if nobody has the terminal open: it waits until somebody does.
    """
    buf = port.buf
    while (count := buf.head - buf.tail) and (tty := port.tty) is not None:
        start = buf.tail % TTYB_SIZE
        chunk = bytes(buf.data[start : start + count])  # up to where it goes round
        taken = n_tty_receive_buf(tty, chunk)
        buf.tail += taken
        tty_operations(tty.ops).receive_more(tty)
        if taken < len(chunk):
            break


def _flush_work(current: task_struct, work: work_struct) -> None:
    buf = tty_bufhead(work.k, work.pa - tty_bufhead.offsetof("work"))
    flush_to_ldisc(tty_port(work.k, buf.pa - tty_port.offsetof("buf")))


FUNCTIONS[WorkFn.FLUSH_TO_LDISC] = _flush_work
