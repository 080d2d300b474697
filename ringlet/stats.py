"""What a run has cost: for ``--stats`` and :class:`ringlet.session.Result`."""

import time
from typing import NamedTuple, Self

from emulator.arch.exceptions import Vector
from emulator.cpu import control
from emulator.machine import Machine
from guest_kernel.kernel import Kernel
from guest_kernel.layout.mm_types import vm_data
from guest_kernel.layout.page import mm_data
from guest_kernel.layout.sched import sched_data
from guest_kernel.layout.stats import stats_data
from guest_kernel.syscall_table import load

# vm_data's counters by what people call them.
FAULTS = {
    "zero page read": "fault_zero_page", "anonymous": "fault_anon", "file": "fault_file_read",
    "file, private write": "fault_file_cow", "shared": "fault_shared",
    "copy-on-write, copied": "cow_copied", "copy-on-write, reused": "cow_reused",
    "copy-on-write, zero page": "cow_zero", "stack growth": "stack_growth",
    "segmentation": "fault_segv", "bus": "fault_bus",
}


class Statistics(NamedTuple):
    """Counters of a machine, or their difference over a run.

    Attributes:
        virtual_ns: the clock; what of it is not idle are the bytes of code retired.
        idle_ns: skipped because nothing could run.
        wall_ns: on the host.
        faults: page faults by kind; exceptions: events delivered by vector.
        syscalls: calls by name; ``syscalls_native`` were answered in guest assembly.
        peak_frames: most frames that were ever in use (not a difference).
    """

    virtual_ns: int
    idle_ns: int
    wall_ns: int
    context_switches: int
    syscalls_total: int
    syscalls_native: int
    peak_frames: int
    faults: dict[str, int]
    exceptions: dict[str, int]
    syscalls: dict[str, int]

    @classmethod
    def read(cls, machine: Machine, k: Kernel) -> Self:
        """Read the counters of a machine."""
        words = machine.cpu.words
        faults = k.data(vm_data)
        counts = k.data(stats_data).syscalls
        names = {row.number: row.name for row in load()}
        syscalls = {names.get(nr, str(nr)): n for nr, n in enumerate(counts) if n}
        total = words[control.NR_SYSCALLS >> 3]
        return cls(
            virtual_ns=machine.clock, idle_ns=words[control.IDLE >> 3], wall_ns=time.monotonic_ns(),
            context_switches=k.data(sched_data).runqueues.nr_switches,
            syscalls_total=total, syscalls_native=total - sum(syscalls.values()),
            peak_frames=k.data(mm_data).peak_used_pages,
            faults={name: getattr(faults, counter) for name, counter in FAULTS.items()},
            exceptions={_vector_name(v): words[(control.TRAPS >> 3) + v] for v in range(256)
                        if words[(control.TRAPS >> 3) + v]},
            syscalls=syscalls,
        )

    def __sub__(self, before: Self) -> Self:
        def minus(after: dict[str, int], earlier: dict[str, int]) -> dict[str, int]:
            left = {name: n - earlier.get(name, 0) for name, n in after.items()}
            return {name: n for name, n in left.items() if n}

        return type(self)(
            self.virtual_ns - before.virtual_ns, self.idle_ns - before.idle_ns,
            self.wall_ns - before.wall_ns,
            self.context_switches - before.context_switches,
            self.syscalls_total - before.syscalls_total,
            self.syscalls_native - before.syscalls_native, self.peak_frames,
            minus(self.faults, before.faults), minus(self.exceptions, before.exceptions),
            minus(self.syscalls, before.syscalls),
        )

    def as_json(self) -> str:
        """Return the counters as one JSON object."""
        import json  # not for a run that nobody asks for it

        return json.dumps(self._asdict(), indent=2)

    def as_text(self) -> str:
        """Return the counters as a table for people."""
        seconds = self.wall_ns / 1e9
        code = self.virtual_ns - self.idle_ns
        lines = [
            f"{self.virtual_ns:>14,}  ns of virtual time, {self.idle_ns:,} of them idle",
            f"{code:>14,}  bytes of code, {code / 1e6 / max(seconds, 1e-9):,.0f} MB a second",
            f"{seconds:>14.3f}  s on the host",
            f"{self.context_switches:>14,}  context switches",
            f"{self.peak_frames:>14,}  frames at most",
            f"{self.syscalls_total:>14,}  system calls, {self.syscalls_native:,} of them answered "
            "in assembly",
        ]
        for title, table in (("page faults", self.faults), ("exceptions", self.exceptions),
                             ("hosted system calls", self.syscalls)):
            if table:
                lines.append(f"{title}:")
                lines += [f"{n:>14,}  {name}" for name, n in
                          sorted(table.items(), key=lambda item: (-item[1], item[0]))]
        return "\n".join(lines) + "\n"


def _vector_name(vector: int) -> str:
    return f"#{Vector(vector).name}" if vector in Vector._value2member_map_ else f"vector {vector}"
