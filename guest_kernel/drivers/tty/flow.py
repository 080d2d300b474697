"""Stopping and starting a terminal's output.

See: Linux drivers/tty/tty_io.c stop_tty(), start_tty().
"""

from __future__ import annotations

from guest_kernel.drivers.tty.driver import tty_operations
from guest_kernel.layout.tty import tty_struct
from guest_kernel.sched.wait import wake_up


def stop_tty(tty: tty_struct) -> None:
    """Stop the output."""
    if not tty.flow.stopped:
        tty.flow.stopped = 1
        tty_operations(tty.ops).stop(tty)


def start_tty(tty: tty_struct) -> None:
    """Start it again, unless TCXONC has stopped it."""
    flow = tty.flow
    if flow.stopped and not flow.tco_stopped:
        flow.stopped = 0
        tty_operations(tty.ops).start(tty)
        wake_up(tty.write_wait)
