"""Timers: how often they tick, and what they leave behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from guest_kernel.layout.sched import hrtimer, pcpu_hot, sched_data
from guest_kernel.lib.rbtree import rbtree_inorder_for_each_entry
from guest_kernel.mm.slab import for_each_slab_cache, kmem_cache_usage
from guest_kernel.process.tasks import for_each_process_thread
from guest_kernel.time.hrtimer import TICK_NSEC
from ringlet.session import Session
from tests.guest import compile_c
from tests.programs.debian import program as busybox

HERE = Path(__file__).parent
MS = 1_000_000
# From the setting of a timer to the reading of the clock, and from its last tick to the handler.
SLACK = 20_000


FIRST = [MS, 300_000, MS + TICK_NSEC, MS + TICK_NSEC, MS + TICK_NSEC]  # of each timer


def rates(*arguments: str, **options: object) -> list[list[int]]:
    """Run the program; return for each timer: which, elapsed ns, ticks, interval in us."""
    program = str(compile_c(HERE / "itimer_rate.c"))
    with Session(seed=1, **options) as session:  # type: ignore[arg-type]  # passed through
        result = session.run([program, *arguments], timeout=10)
    assert result.status == 0
    lines = [[int(word) for word in line.split()] for line in result.output.splitlines()]
    assert [line[0] for line in lines] == [0, 0, 2, 2, 1]
    return lines


def assert_exact(line: list[int], first: int) -> None:
    _, elapsed, ticks, interval = line
    # The program looks in the middle of an interval: what the calls take does not matter.
    since = (elapsed - first) % (interval * 1000)
    assert SLACK < since < interval * 1000 - SLACK
    assert ticks == 1 + (elapsed - first) // (interval * 1000)


@pytest.mark.parametrize("quantum", [None, 20_000])
def test_interval_timers_tick_at_their_rate(quantum: int | None) -> None:
    """Is the number of ticks the one that follows from the time, exactly?"""
    for line, first in zip(rates(quantum=quantum), FIRST, strict=True):
        assert_exact(line, first)


@pytest.mark.parametrize(("sched", "quantum"), [
    ("fair", 30_000), ("rr", 5_000), ("lottery", 50_000)])
def test_cpu_time_is_counted_whoever_else_runs(sched: str, quantum: int) -> None:
    """Do timers on CPU time tick at the same rate beside a rival, under each policy?"""
    for line, first in list(zip(rates("rival", sched=sched, quantum=quantum), FIRST,
                                strict=True))[2:]:
        assert_exact(line, first)


@pytest.mark.machine(quantum=20_000)
def test_user_and_system_time_are_all_that_is_charged(session: Session) -> None:
    """Are a task's two times together what the scheduler has counted, for each that is there?"""
    program = str(compile_c(HERE.parent / "syscalls" / "times_system.c"))
    assert session.run([program], timeout=10).status == 0
    tasks = list(for_each_process_thread(session.kernel.k))
    tasks.append(session.kernel.k.data(sched_data).init_task)
    times = [(task.utime, task.stime, task.se.sum_exec_runtime) for task in tasks]
    assert all(user + system == total for user, system, total in times)
    # Kernel threads and the idle task never leave ring 0.
    assert [user for user, _, _ in times] == [0] * len(times)
    assert times[-1][1] > 0


LEAVES_TIMERS = ["alarm_exec", "alarm_fork", "timer_cputime_child", "timer_exec", "timer_fork",
                 "timer_many", "timer_sigpending_limit", "timer_thread_id"]


def test_ended_processes_leave_no_timer(session: Session) -> None:
    """Is every timer gone with its process, armed or with a signal that waits?"""
    k = session.kernel.k

    def state() -> tuple[object, ...]:
        usage = {cache.name: kmem_cache_usage(cache)[0] for cache in for_each_slab_cache(k)}
        armed = sum(1 for base in k.data(sched_data).hrtimer_bases.clock_base
                    for _ in rbtree_inorder_for_each_entry(base.active, hrtimer, "node"))
        init = k.data(sched_data).init_pid_ns.child_reaper
        assert init is not None
        assert init.user is not None
        return (armed, k.data(pcpu_hot).cputimers_active, init.user.sigpending,
                init.user.count, usage.get(b"k_itimer", 0), usage.get(b"sigqueue", 0))

    states = []
    for name in LEAVES_TIMERS:
        program = str(compile_c(HERE.parent / "syscalls" / f"{name}.c"))
        assert session.run([program], timeout=60).status == 0
        states.append(state())
    assert states == [states[-1]] * len(states)
    assert states[0][1:3] == (0, 0)


def test_the_machine_can_begin_in_1970() -> None:
    """Does it boot with a CMOS clock that shows the first second, and tell the time?"""
    with Session(seed=1, epoch=0) as session:
        result = session.run([str(busybox("busybox")), "date", "-u", "+%Y-%m-%d %H:%M:%S"])
    assert result.output == b"1970-01-01 00:00:00\n"


def test_setting_the_wall_clock_moves_points_of_time(session: Session) -> None:
    """Do timers and sleeps until a point of time move with the clock, and others not?"""
    program = str(compile_c(HERE / "clock_set.c"))
    result = session.run([program], timeout=20)
    lines = result.output.decode().splitlines()
    assert result.status == 0, result.output.decode()
    assert [line for line in lines if not line.endswith(": yes")] == [
        "ticks -> 0",
        "forward, by 2000 s",
        "clock_settime(CLOCK_REALTIME, &time) -> 0",
        "ticks -> 1",
        "tick_info.si_value.sival_int -> 1",
        "woken[1] || woken[2] || woken[4] -> 0",
        "ticks -> 2",
        "back, by 4000 s",
        "clock_settime(CLOCK_REALTIME, &time) -> 0",
        "ticks -> 2",
        "woken[4] -> 0",
        "shifted, by 4000 s",
        "ticks -> 3",
        "adjtimex(&shift) -> EINVAL",
        "adjtimex(&shift) -> EINVAL",
        "settimeofday",
        "settimeofday(&day, NULL) -> 0",
        "day.tv_sec - (day.tv_usec < 999999) -> 2000000000",
        "zone.tz_minuteswest -> 0",
        "settimeofday(NULL, &zone) -> 0",
        "day.tv_sec -> 1999996401",
        "zone.tz_minuteswest -> -60",
        "zone.tz_dsttime -> 1",
        "settimeofday(NULL, &zone) -> 0",
        "day.tv_sec -> 1999996401",
        "zone.tz_minuteswest -> 120",
    ]
