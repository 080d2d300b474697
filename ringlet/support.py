"""``ringlet syscalls``: what the kernel supports, from the table and the handlers themselves."""

from __future__ import annotations

from collections.abc import Iterator

from guest_kernel.hostcalls import bind
from guest_kernel.image import NATIVE
from guest_kernel.syscall_table import load
from guest_kernel.syscalls import DEFINITIONS


def table() -> Iterator[str]:
    """Yield a line per system call: number, name, support, and the limits if it is partial."""
    bind()  # refuses a table that does not fit the handlers
    rows = load()
    counts = {"supported": 0, "partial": 0, "absent": 0}
    for row in rows:
        if row.entry is None:
            state, note = "absent", ""
        else:
            limits = DEFINITIONS[row.entry].limits
            state = "partial" if limits else "supported"
            note = limits or ("answered in guest assembly" if row.entry in NATIVE else "")
        counts[state] += 1
        yield f"{row.number:>4}  {row.name:<24} {state:<10} {note}".rstrip()
    yield ", ".join(f"{n} {state}" for state, n in counts.items())
