"""What guest assembly decides of two fair tasks, held to the hosted half: asm/fair.asm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.cpu import control
from emulator.cpu.control import Exit
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import PAGE_OFFSET
from guest_kernel.layout.hostcall import HostCall
from guest_kernel.layout.mm_types import mm_struct, vm_data
from guest_kernel.layout.sched import (
    FAIR_SCHED_CLASS,
    PF_KTHREAD,
    STACK_END_MAGIC,
    TASK_DEAD,
    TASK_INTERRUPTIBLE,
    TASK_RUNNING,
    TIF_NEED_RESCHED,
    pcpu_hot,
    sched_data,
    task_struct,
)
from guest_kernel.lib.rbtree import BLACK
from guest_kernel.mm.page_alloc import alloc_pages, nr_free_pages
from guest_kernel.mm.slab import kzalloc
from guest_kernel.sched.core import pick_next_task, sched_prio_to_weight, yield_task
from guest_kernel.time.hrtimer import NEVER
from ringlet.session import Session
from tests.guest import compile_c

PROGRAM: Final = Path(__file__).with_name("fast_schedule.c")
CLOCK: Final = 10**9
COST: Final = 1000  # bytes of code from the charge to the beginning of a turn, at most

# What either half may change; the rest is the switch's, or the clock's.
TASK_FIELDS: Final = (
    "__state", "on_rq", "utime", "stime", "thread_info.flags", *(f"se.{name}" for name in (
        "on_rq", "sum_exec_runtime", "vruntime", "vlag", "deadline", "slice", "run_node")))
QUEUE_FIELDS: Final = (
    "nr_running", "clock", "curr", *(f"cfs.{name}" for name in (
        "nr_running", "avg_vruntime", "avg_load", "zero_vruntime", "tasks_timeline")))
CPU_FIELDS: Final = ("next_task", "next_cr3", "prev_dead", "ring0_since", "ring0_time")


class Side(NamedTuple):
    """What the scheduler knows of a task; times from the queue's zero on."""

    vruntime: int
    request: int
    weight: int
    slice: int  # that it has chosen; 0: the default
    ran_out: bool  # it has used up the slice that it was picked for


class Ran(NamedTuple):
    """How long the running task has run since it was charged last, in ns."""

    ring3: int
    ring0: int  # in earlier calls
    call: int  # in this one


SIDES = st.builds(Side, st.integers(-10**7, 2 * 10**9), st.integers(-1000, 10**7),
                  st.sampled_from(sched_prio_to_weight), st.sampled_from([0, 100_000, 3_000_000]),
                  st.booleans())


class Stage:
    """A machine that idles, and two tasks that are put onto its run queue."""

    def __init__(self, session: Session) -> None:
        self.machine = session.machine
        self.k: Kernel = session.kernel.k
        self.pcpu, self.data = self.k.data(pcpu_hot), self.k.data(sched_data)
        self.tasks = (self._task(), self._task())
        image = self.machine.ram
        self.hlt = self._hlt(bytes(image.u8[: self.k.image_end]))
        self.parts = [(part.pa, part.size) for part in (self.pcpu, self.data, *self.tasks)]

    def _hlt(self, image: bytes) -> int:
        loop = self.k.symbols["cpu_startup_entry"]
        offset = loop - (self.data.va - self.data.pa)
        return loop + image[offset : offset + 32].index(b"\xf4")

    def _task(self) -> task_struct:
        k = self.k
        task, mm = kzalloc(k, task_struct), kzalloc(k, mm_struct)
        mm.mm_users = mm.mm_count = 1
        mm.pgd = k.data(vm_data).swapper_pg_dir
        task.mm = task.active_mm = mm
        task.stack = alloc_pages(k, 2) + PAGE_OFFSET
        k.u32[(task.stack - PAGE_OFFSET) >> 2] = STACK_END_MAGIC
        task.usage, task.sched_class, task.flags = 2, FAIR_SCHED_CLASS, PF_KTHREAD
        return task

    def save(self) -> list[bytes]:
        return [self.machine.ram.read(*part) for part in self.parts]

    def load(self, saved: list[bytes]) -> None:
        for (pa, _), data in zip(self.parts, saved, strict=True):
            self.machine.ram.write(pa, data)

    def arrange(self, sides: list[Side], ran: Ran, state: int) -> None:
        """Let the first task run, and the second one, if there is one, wait."""
        queue = self.data.runqueues
        self.machine.cpu.words[control.CLOCK >> 3] = CLOCK
        for task, side in zip(self.tasks, sides, strict=False):
            task.on_rq = task.se.on_rq = 1
            task.se.vruntime, task.se.deadline = side.vruntime, side.vruntime + side.request
            task.se.vlag = 0 if side.ran_out else task.se.deadline
            task.se.load_weight, task.se.custom_slice = side.weight, int(bool(side.slice))
            task.se.slice = side.slice or queue.quantum
            task.se.exec_start = CLOCK - sum(ran)
            # What __switch_to_asm pops: six registers, and where to return to.
            frame = task.stack + 8192 - 56
            task.thread.sp = frame
            self.k.u64[(frame - PAGE_OFFSET + 48) >> 3] = self.hlt
        running, waiting = self.tasks
        self.k.u32[(running.pa + task_struct.offsetof("__state")) >> 2] = state
        running.thread_info.flags = TIF_NEED_RESCHED
        queue.curr = running
        self.pcpu.current_task = running
        self.pcpu.preempt_count = 0
        self.pcpu.ring0_since, self.pcpu.ring0_time = CLOCK - ran.call, ran.ring0
        queue.nr_running = queue.cfs.nr_running = len(sides)
        queue.cfs.zero_vruntime = 0
        queue.cfs.avg_vruntime = queue.cfs.avg_load = 0
        timeline = queue.cfs.tasks_timeline
        if len(sides) > 1:
            queue.cfs.avg_vruntime = sides[1].vruntime * sides[1].weight
            queue.cfs.avg_load = sides[1].weight
            node = waiting.pa + task_struct.offsetof("se.run_node")
            self.k.u64[node >> 3] = BLACK
            self.k.u64[(timeline.pa >> 3)] = self.k.u64[(timeline.pa >> 3) + 1] = (
                node + PAGE_OFFSET)

    def call(self, routine: str, rax: int = 0) -> list[int]:
        """Call a routine of the image on the running task's stack; return its host calls."""
        cpu, stack = self.machine.cpu, self.tasks[0].stack + 4096
        self.k.u64[(stack - PAGE_OFFSET) >> 3] = self.hlt
        for name, value in (("rflags", 2), ("rsp", stack), ("rax", rax), ("rdi", stack + 1024),
                            ("rip", self.k.symbols[routine])):
            cpu.write_register(name, value)
        calls: list[int] = []
        serve = self.machine.host_call
        assert serve is not None

        def count(value: int) -> None:
            calls.append(value)
            serve(value)

        self.machine.host_call = count
        try:
            assert self.machine.run() is Exit.HALT
        finally:
            self.machine.host_call = serve
        return calls

    def fields(self) -> dict[str, bytes]:
        """Return what is compared, by name."""
        read = self.machine.ram.read
        found = {}
        for kind, base, names in (
                ("running", self.tasks[0], TASK_FIELDS), ("waiting", self.tasks[1], TASK_FIELDS),
                ("rq", self.data.runqueues, QUEUE_FIELDS), ("cpu", self.pcpu, CPU_FIELDS)):
            for name in names:
                offset, field = type(base)._find(name)
                found[f"{kind}.{name}"] = read(base.pa + offset, field.size)
        return found


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with Session(seed=1) as session:
        yield Stage(session)


@pytest.mark.parametrize("call", ["schedule", "yield"])
@given(sides=st.lists(SIDES, min_size=1, max_size=2),
       ran=st.builds(Ran, *[st.integers(0, 10**7)] * 3),
       state=st.sampled_from([TASK_RUNNING, TASK_INTERRUPTIBLE, TASK_DEAD]),
       armed=st.booleans())
def test_assembly_and_hosted_half_choose_alike(
        stage: Stage, call: str, sides: list[Side], ran: Ran, state: int, armed: bool) -> None:
    """Do both pick the same task, and leave the same times, sums, tree and turn behind?"""
    yields = call == "yield"
    if yields:
        state = TASK_RUNNING
    elif len(sides) == 1:
        state = TASK_RUNNING  # else the idle task is next: not here
    before = stage.save()
    k, machine, queue = stage.k, stage.machine, stage.data.runqueues
    try:
        stage.arrange(sides, ran, state)
        stage.data.hrtimer_bases.expires_next = 0 if armed else NEVER
        arranged = stage.save()
        calls = stage.call(*(("native_sys_sched_yield", stage.tasks[0].va) if yields
                             else ("fair_schedule",)))
        fast, fast_end = stage.fields(), queue.hrtick
        k.machine = Mock(clock=queue.clock)
        stage.load(arranged)
        if yields:
            yield_task(k)
        else:
            pick_next_task(k)
        hosted, hosted_end = stage.fields(), queue.hrtick
    finally:
        k.machine = machine
        stage.load(before)
    assert fast == hosted
    # The hosted half counts the turn from the charge on, the assembly from when it is there.
    assert fast_end == hosted_end or 0 < fast_end - hosted_end < COST
    turn = len(sides) == 2 and fast_end != NEVER
    assert calls == ([HostCall.PROGRAM_EVENT] if turn and not armed else [])


def test_a_program_sees_the_same_on_either_path() -> None:
    """Does a program print the same whoever switches, is nothing lost, and is the assembly used?"""
    outputs, calls = [], []
    for hosted in (False, True):
        with Session(seed=1) as session:
            k = session.kernel.k
            k.data(pcpu_hot).hosted_only = int(hosted)
            counts: Counter[int] = Counter()
            serve = session.machine.host_call
            assert serve is not None

            def count(value: int, counts: Counter[int] = counts,
                      serve: Callable[[int], None] = serve) -> None:
                counts[value] += 1
                serve(value)

            session.machine.host_call = count
            free = []
            for _ in range(3):
                result = session.run([str(compile_c(PROGRAM))])
                assert result.status == 0
                outputs.append(result.output)
                free.append(nr_free_pages(k))
            assert free[1] == free[2]
            calls.append(counts[HostCall.SCHEDULE] + counts[HostCall.FINISH_SWITCH])
    assert len(set(outputs)) == 1
    assert calls[0] < calls[1] / 2
