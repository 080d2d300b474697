"""Who runs when: real-time before fair, shares by weight, turns of any length."""

from __future__ import annotations

import pytest

from emulator import assembler, elf
from emulator.cpu.control import Exit
from guest_kernel import boot, image
from guest_kernel.errors import KernelPanic
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import PAGE_OFFSET, PHYSICAL_MASK, START_KERNEL_MAP
from guest_kernel.layout.sched import (
    HARDIRQ_OFFSET,
    PREEMPT_DISABLED,
    SCHED_BATCH,
    SCHED_FIFO,
    SCHED_IDLE,
    SCHED_NORMAL,
    SCHED_RR,
    TASK_INTERRUPTIBLE,
    hrtimer,
    sched_data,
    task_struct,
)
from guest_kernel.lib.rbtree import rbtree_inorder_for_each_entry
from guest_kernel.mm.slab import kmalloc, kzalloc
from guest_kernel.process.fork import kernel_thread
from guest_kernel.process.kthread import KthreadFn
from guest_kernel.sched.core import (
    Attributes,
    sched_prio_to_weight,
    set_attributes,
    set_task_state,
    set_user_nice,
    update_curr,
)
from guest_kernel.sched.preempt import (
    in_interrupt,
    in_task,
    might_sleep,
    preempt_count,
    preempt_disable,
    preempt_enable,
)
from guest_kernel.sched.rt import RR_TIMESLICE
from guest_kernel.sched.wait import schedule_timeout
from guest_kernel.time import hrtimer as hrtimers
from guest_kernel.time.hrtimer import hrtimer_start
from ringlet.session import Session
from tests.guest import userland
from tests.kernel.jobs import Jobs

MS = 1_000_000
BURN = userland("burn")


# ---- shares of the fair class


@pytest.mark.machine(quantum=10_000)
@pytest.mark.parametrize(("first", "second"), [(0, 0), (0, 5), (-10, 0), (-20, 19), (3, -7)])
def test_shares_follow_the_weights(session: Session, first: int, second: int) -> None:
    """Do two tasks that always want the CPU get it as their nice values say?"""
    jobs = Jobs(session)
    tasks = [jobs.add(BURN, str(1000 * MS), nice=nice) for nice in (first, second)]
    before = [task.se.sum_exec_runtime for task in tasks]
    jobs.run(40 * MS)
    update_curr(session.kernel.k)
    had = [task.se.sum_exec_runtime - b for task, b in zip(tasks, before, strict=True)]
    weights = [sched_prio_to_weight[nice + 20] for nice in (first, second)]
    # Lag is at most a slice or two, and the kernel's own time goes to whom it serves.
    share = had[0] / sum(had)
    assert share == pytest.approx(weights[0] / sum(weights), abs=0.01)


@pytest.mark.machine(quantum=10_000)
def test_idle_policy_gets_what_is_left(session: Session) -> None:
    """Does SCHED_IDLE weigh 3 against 1024, and less than nice 19?"""
    jobs = Jobs(session)
    idle = jobs.add(BURN, str(1000 * MS), policy=SCHED_IDLE)
    jobs.add(BURN, str(1000 * MS))
    jobs.run(40 * MS)
    assert idle.se.load_weight == 3
    assert idle.se.sum_exec_runtime / (40 * MS) == pytest.approx(3 / 1027, abs=0.002)


@pytest.mark.machine(quantum=10_000)
def test_new_nice_value_counts_at_once(session: Session) -> None:
    """Does a task that is made nicer, or less nice, while it runs or waits get its new share?"""
    jobs = Jobs(session)
    tasks = [jobs.add(BURN, str(1000 * MS)) for _ in range(2)]
    for nice in ((0, 0), (10, 0), (10, -10), (0, 3)):
        for task, value in zip(tasks, nice, strict=True):
            set_user_nice(task, value)
        update_curr(session.kernel.k)
        before = [task.se.sum_exec_runtime for task in tasks]
        jobs.run(jobs.session.machine.clock - jobs.start + 20 * MS)
        update_curr(session.kernel.k)
        had = [task.se.sum_exec_runtime - b for task, b in zip(tasks, before, strict=True)]
        weights = [sched_prio_to_weight[value + 20] for value in nice]
        assert had[0] / sum(had) == pytest.approx(weights[0] / sum(weights), abs=0.01)


@pytest.mark.machine(quantum=10_000)
def test_sleeper_neither_gains_nor_loses_by_sleeping(session: Session) -> None:
    """Does a task that comes back join where the others are, not where it left them?

    Good: from its return on both have one half.  Bad: it has the CPU alone until it has caught up.
    """
    jobs = Jobs(session)
    first = jobs.add(BURN, str(1000 * MS))
    second = jobs.add(BURN, str(1000 * MS), arrival=100 * MS)
    jobs.run(100 * MS)
    update_curr(session.kernel.k)
    before = first.se.sum_exec_runtime
    jobs.run(120 * MS)
    assert first.se.sum_exec_runtime - before == pytest.approx(10 * MS, rel=0.02)
    assert second.se.sum_exec_runtime == pytest.approx(10 * MS, rel=0.02)


@pytest.mark.machine(quantum=5_000)
def test_tree_and_sums_agree_with_each_other(session: Session) -> None:
    """Are the running sums what one gets by adding up, whatever happens to the tasks?"""
    jobs = Jobs(session)
    k = session.kernel.k
    tasks = [jobs.add(BURN, str(3000), "3000", nice=nice, arrival=nice * 1000 + 20_000)
             for nice in (-20, -5, 0, 5, 19)]
    for step in range(1, 60):
        jobs.run(step * 100_000)
        set_user_nice(tasks[step % 5], step % 40 - 20)
        policy = SCHED_BATCH if step % 2 else SCHED_NORMAL
        set_attributes(tasks[step % 3], Attributes(policy, False, None, 0, step * 1000))
        cfs = k.data(sched_data).runqueues.cfs
        waiting = list(rbtree_inorder_for_each_entry(cfs.tasks_timeline, task_struct,
                                                     "se.run_node"))
        deadlines = [task.se.deadline for task in waiting]
        assert deadlines == sorted(deadlines)
        assert cfs.avg_load == sum(task.se.load_weight for task in waiting)
        assert cfs.avg_vruntime == sum(
            (task.se.vruntime - cfs.zero_vruntime) * task.se.load_weight for task in waiting)
        curr = k.data(sched_data).runqueues.curr
        assert cfs.nr_running == len(waiting) + (curr in tasks)


# ---- real time


def test_real_time_runs_before_fair_and_in_order_of_priority(session: Session) -> None:
    """Does the highest priority run to its end, then the next, and the fair one last?"""
    jobs = Jobs(session)
    jobs.add(BURN, str(5 * MS))
    for priority in (1, 99, 50):
        jobs.add(BURN, str(5 * MS), policy=SCHED_FIFO, priority=priority)
    jobs.run()
    assert jobs.order() == [2, 3, 1, 0]


def test_woken_real_time_task_preempts_a_fair_one_at_once(session: Session) -> None:
    """Does it wait for nothing but the interrupt that wakes it?"""
    jobs = Jobs(session)
    jobs.add(BURN, str(10 * MS))
    jobs.add(BURN, str(MS), arrival=3 * MS, policy=SCHED_FIFO, priority=1)
    jobs.run()
    assert jobs.response(1, 3 * MS) < 1000
    assert jobs.turnaround(1, 3 * MS) < MS + 30_000  # its own end is 20 us


def test_fifo_keeps_the_cpu_and_round_robin_shares_it() -> None:
    """Do equals under SCHED_RR change places every 100 ms, and under SCHED_FIFO never?"""
    with Session(seed=1) as session:
        jobs = Jobs(session)
        for _ in range(2):
            jobs.add(BURN, str(250 * MS), policy=SCHED_RR, priority=5)
        jobs.run()
        assert jobs.order() == [0, 1, 0, 1, 0, 1]
        assert jobs.response(1) == pytest.approx(RR_TIMESLICE, abs=2000)
    with Session(seed=1) as session:
        jobs = Jobs(session)
        for _ in range(2):
            jobs.add(BURN, str(250 * MS), policy=SCHED_FIFO, priority=5)
        jobs.run()
        assert jobs.order() == [0, 1]


def test_preempted_round_robin_task_goes_on_with_the_rest_of_its_slice(session: Session) -> None:
    """Does who is interrupted by a higher priority stay first, for what was left of its turn?"""
    jobs = Jobs(session)
    for _ in range(2):
        jobs.add(BURN, str(150 * MS), policy=SCHED_RR, priority=5)
    jobs.add(BURN, str(20 * MS), arrival=30 * MS, policy=SCHED_FIFO, priority=6)
    jobs.run()
    assert jobs.order() == [0, 2, 0, 1, 0, 1]
    assert jobs.response(1) == pytest.approx(RR_TIMESLICE + 20 * MS, abs=30_000)


def test_yielding_real_time_task_goes_behind_its_equals(session: Session) -> None:
    """Does sched_yield(2) give way to the same priority, and never to a lower one?"""
    jobs = Jobs(session)
    jobs.add(BURN, "1000", "3", policy=SCHED_FIFO, priority=5)
    jobs.add(BURN, "1000", "3", policy=SCHED_FIFO, priority=5)
    jobs.add(BURN, "1000", "3", policy=SCHED_FIFO, priority=4)
    jobs.run()
    assert jobs.order() == [0, 1, 0, 1, 0, 1, 0, 1, 2]


# ---- turns of any length, and nothing outside RAM


QUANTA = (50, 51, 53, 64, 97, 100, 250, 1000, 4001)


def _race(quantum: int, sched: str, *, forgets: bool) -> tuple[object, ...]:
    with Session(seed=3, sched=sched, quantum=quantum) as session:
        jobs = Jobs(session)
        if forgets:
            machine, executable = session.machine, elf.read(image.build())
            call = machine.host_call
            assert call is not None

            def forgetful(value: int) -> None:
                session.kernel = boot.attach(machine, executable)
                machine.host_call = forgetful
                call(value)

            machine.host_call = forgetful
        sieve = userland("sieve")
        for limit in ("2000", "2004"):
            jobs.add(sieve, limit)
        assert jobs.run() is Exit.HALT
        k = session.kernel.k
        switches = k.data(sched_data).runqueues.nr_switches
        return (bytes(session.machine.console), session.machine.clock, switches, tuple(jobs.turns),
                session.machine.fingerprint())


@pytest.mark.parametrize("sched", ["fair", "rr", "mlfq", "lottery", "stride"])
@pytest.mark.parametrize("quantum", QUANTA)
def test_any_quantum_makes_progress_and_repeats(quantum: int, sched: str) -> None:
    """Do two programs end with the right answers, however short their turns, and the same twice?

    A turn of 50 ns is a tenth of what the switch to it costs.
    """
    first = _race(quantum, sched, forgets=False)
    output = first[0]
    assert isinstance(output, bytes)
    assert sorted(output) == sorted(b"303\n304\n")  # each writes twice
    assert first == _race(quantum, sched, forgets=False)


@pytest.mark.parametrize("sched", ["fair", "rr", "mlfq", "lottery", "stride"])
def test_rebuilding_the_kernel_at_every_trap_changes_nothing(sched: str) -> None:
    """Does the scheduler know anything that is not in RAM?"""
    assert _race(97, sched, forgets=True) == _race(97, sched, forgets=False)


# ---- preemption of the kernel, and sleeping where it is not allowed


def _assembly_thread(k: Kernel, source: str) -> task_struct:
    """Make a kernel thread whose body is assembly, in the room behind the kernel's code."""
    place = k.symbols["_etext"] - 256
    code, _ = assembler.assemble(source, place)
    assert len(code) < 256
    k.machine.write_code(place - START_KERNEL_MAP, code)
    task = kernel_thread(k, KthreadFn.KTHREADD, 0, b"loop")
    return_address = (task.thread.sp & PHYSICAL_MASK) + 6 * 8
    k.u64[return_address >> 3] = place
    return task


def _endless_loop(jobs: Jobs) -> tuple[task_struct, int]:
    """Add a kernel thread that counts for ever, interrupts on; and where its count is."""
    k = jobs.session.kernel.k
    counter = kmalloc(k, 8)
    k.u64[counter >> 3] = 0
    task = _assembly_thread(k, f"""
        movabs rax, {counter + PAGE_OFFSET:#x}
        sti
        loop:
        inc qword ptr [rax]
        jmp loop""")
    return task, counter >> 3


@pytest.mark.machine(quantum=10_000)
def test_kernel_code_with_interrupts_on_is_preempted(session: Session) -> None:
    """Does a program get its share beside a loop in ring 0 that never calls schedule()?

    Good: both go on, in turns of the quantum, and the loop's registers are still its own.
    """
    jobs = Jobs(session)
    loop, counter = _endless_loop(jobs)
    job = jobs.add(BURN, str(10 * MS))
    jobs.run(19 * MS)
    assert job.exit_state == 0
    jobs.run(23 * MS)
    assert job.exit_state
    assert session.kernel.k.u64[counter] > 100_000
    assert loop.nivcsw > 500
    assert loop.nvcsw == 0


@pytest.mark.machine(quantum=10_000)
def test_raised_count_forbids_preemption(session: Session) -> None:
    """Does a thread that has disabled preemption keep the CPU until it enables it again?"""
    jobs = Jobs(session)
    k = session.kernel.k
    loop, counter = _endless_loop(jobs)
    job = jobs.add(BURN, str(1000 * MS))
    until = MS
    jobs.run(until)
    while k.current() != loop:
        until += 1000
        jobs.run(until)
    preempt_disable(k)
    update_curr(k)
    had, counted = job.se.sum_exec_runtime, k.u64[counter]
    jobs.run(until + 5 * MS)
    assert job.se.sum_exec_runtime == had
    assert k.u64[counter] > counted + 100_000
    preempt_enable(k)
    jobs.run(until + 10 * MS)
    assert job.se.sum_exec_runtime - had == pytest.approx(5 * MS, rel=0.02)


def test_idle_task_is_not_preempted_and_counts_as_no_interrupt(session: Session) -> None:
    """What does the count say while nothing runs, and while a program does?"""
    jobs = Jobs(session)
    k = session.kernel.k
    assert preempt_count(k) == PREEMPT_DISABLED
    jobs.add(BURN, str(10 * MS))
    jobs.run(MS)
    assert preempt_count(k) == 0
    assert in_task(k)
    might_sleep(k)


def test_sleeping_in_an_interrupt_is_a_bug(session: Session,
                                           monkeypatch: pytest.MonkeyPatch) -> None:
    """Does a timer's function that tries to sleep stop the machine, and is it told why?"""
    seen = []

    def sleeps(timer: hrtimer) -> None:
        seen.append(in_interrupt(timer.k))
        schedule_timeout(timer.k.current())

    monkeypatch.setitem(hrtimers.FUNCTIONS, 1000, sleeps)
    k = session.kernel.k
    hrtimer_start(kzalloc(k, hrtimer), session.machine.clock + 1000, 1000, 0)
    with pytest.raises(KernelPanic, match=r"sleeping function called from invalid context, "
                       rf"preempt_count {HARDIRQ_OFFSET | PREEMPT_DISABLED:#010x}"):
        session.machine.run()
    assert seen == [True]


def test_switching_with_preemption_disabled_is_a_bug(session: Session) -> None:
    """Is who calls schedule() between preempt_disable() and preempt_enable() found out?"""
    jobs = Jobs(session)
    jobs.add(BURN, "100000", "3")
    jobs.add(BURN, "100000", "3")
    jobs.run(20_000)
    preempt_disable(session.kernel.k)
    with pytest.raises(KernelPanic, match=r"scheduling while atomic: burn/3/0x00000001"):
        jobs.run()


@pytest.mark.machine(quantum=10_000)
def test_preempted_sleeper_is_not_taken_off_the_queue(session: Session) -> None:
    """Does a thread keep running that was interrupted between setting its state and schedule()?"""
    jobs = Jobs(session)
    k = session.kernel.k
    loop, counter = _endless_loop(jobs)
    jobs.add(BURN, str(1000 * MS))
    until = MS
    jobs.run(until)
    while k.current() != loop:
        until += 1000
        jobs.run(until)
    set_task_state(loop, TASK_INTERRUPTIBLE)
    counted = k.u64[counter]
    jobs.run(until + 10 * MS)
    assert k.u64[counter] > counted + 100_000
