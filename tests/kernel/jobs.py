"""Several programs at once, started by the kernel at given times, and who ran when.

A job is a kernel thread that sleeps until its arrival and then becomes a program.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from emulator.cpu.control import Exit
from guest_kernel.init import pack_request, run_program
from guest_kernel.layout.declare import PHYSICAL_MASK
from guest_kernel.layout.init import init_data
from guest_kernel.layout.sched import SCHED_NORMAL, pcpu_hot, sched_data, task_struct
from guest_kernel.mm.slab import kmalloc
from guest_kernel.process import kthread
from guest_kernel.process.fork import kernel_thread
from guest_kernel.sched.core import Attributes, set_attributes
from guest_kernel.sched.wait import schedule_timeout
from guest_kernel.time.timekeeping import ktime_get
from guest_kernel.traps import RUN_IRQ
from ringlet.session import Session

JOB: Final = 1000  # number of the kernel threads' function
GRACE: Final = 100_000  # ns from the start to time 0: all jobs are asleep by then


def _job(current: task_struct) -> None:
    """Sleep until the arrival in the first word of ``kthread.data``, then run the request."""
    k = current.k
    pa = kthread.to_kthread(current).data & PHYSICAL_MASK
    arrival, size, address = k.u64[pa >> 3], k.u64[(pa >> 3) + 1], k.u64[(pa >> 3) + 2]
    if ktime_get(k) < arrival:
        schedule_timeout(current, arrival)
    request = k.data(init_data)
    request.request, request.request_size = address, size
    run_program(current)


kthread.FUNCTIONS[JOB] = _job


@dataclass
class Jobs:
    """Jobs on one machine.

    Attributes:
        start: the clock at time 0 of the arrivals.
        turns: (time, number of the job or None) at each change of the running task.
    """

    session: Session
    start: int = 0
    turns: list[tuple[int, int | None]] = field(default_factory=list)
    tasks: list[task_struct] = field(default_factory=list)
    _pids: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        machine = self.session.machine
        self.start = machine.clock + GRACE
        self._watch()

    def _watch(self) -> None:
        machine = self.session.machine
        last = [0]

        def call(value: int) -> None:
            self.session.kernel.call(value)
            k = self.session.kernel.k
            curr = k.data(sched_data).runqueues.curr
            assert curr is not None
            if curr.pid != last[0]:
                last[0] = curr.pid
                job = self._pids.index(curr.pid) if curr.pid in self._pids else None
                self.turns.append((machine.clock - self.start, job))

        machine.host_call = call

    def add(self, program: Path, *arguments: str, arrival: int = 0, policy: int = SCHED_NORMAL,
            nice: int = 0, priority: int = 0, runtime: int = 0) -> task_struct:
        """Add a job: a program of the host, to be run from ``arrival`` ns on.

        Args:
            policy, nice, priority, runtime: see sched.core.Attributes.
        """
        k = self.session.kernel.k
        path = "/" + program.name
        self.session.install(path, program.read_bytes(), 0o755)
        blob = pack_request(os.fsencode(path), b"/",
                            [os.fsencode(a) for a in (path, *arguments)], [])
        address = kmalloc(k, len(blob))
        k.u8[address : address + len(blob)] = blob
        words = kmalloc(k, 24)
        for index, word in enumerate((self.start + arrival, len(blob), address)):
            k.u64[(words >> 3) + index] = word
        pcpu = k.data(pcpu_hot)
        init = k.data(sched_data).init_pid_ns.child_reaper
        running, pcpu.current_task = pcpu.current_task, init
        task = kernel_thread(k, JOB, words, b"job")  # a child of init, which will reap it
        pcpu.current_task = running
        set_attributes(task, Attributes(policy, False, nice, priority, runtime))
        self.tasks.append(task)
        self._pids.append(task.pid)
        return task

    def run(self, until: int | None = None) -> Exit:
        """Run until all jobs have ended, or to a time."""
        machine = self.session.machine
        machine.pic.set_irq(RUN_IRQ, True)
        machine.arm()
        return machine.run(None if until is None else self.start + until)

    def order(self) -> list[int]:
        """Return the jobs in the order of their turns from time 0 on."""
        jobs = [job for time, job in self.turns if time >= 0 and job is not None]
        return [job for index, job in enumerate(jobs) if not index or jobs[index - 1] != job]

    def response(self, job: int, arrival: int = 0) -> int:
        """Return the ns from a job's arrival to its first turn."""
        return next(t for t, j in self.turns if j == job and t >= arrival) - arrival

    def timeline(self, unit: int, n: int) -> list[int | None]:
        """Return which job ran in the middle of each of the first ``n`` units of time."""
        return [next((job for time, job in reversed(self.turns) if time <= unit * i + unit // 2),
                     None) for i in range(n)]

    def turnaround(self, job: int, arrival: int = 0) -> int:
        """Return the ns from a job's arrival to its end."""
        last = max(index for index, (_, j) in enumerate(self.turns) if j == job)
        return self.turns[last + 1][0] - arrival
