"""The teaching policies give the times that the book works out.

See: "Operating Systems: Three Easy Pieces", chapters 7 (introduction), 8 (MLFQ) and 9 (shares).

A unit of the book's time is ``UNIT`` ns.  A job is ``burn``, so much shorter than stated as it
needs to start and end, ``overhead()``, so that it just fits into its units; each change of the
running task costs at most ``rq.turn_cost`` and as much again for the way in.  So no time may differ
from the book's by more than :func:`bound`, which is less than a unit.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import pytest

from guest_kernel.layout.sched import sched_data
from guest_kernel.sched.options import POLICIES
from ringlet.session import Session
from tests.guest import ROOT, compile_c, run_native, userland
from tests.kernel.jobs import Jobs

UNIT = 250_000


class Job(NamedTuple):
    """Length and arrival in units; what the policy is told, or None for the length."""

    length: int
    arrival: int = 0
    runtime: int | None = None


@cache
def overhead() -> int:
    """Return the ns that ``burn 0`` takes alone, its page faults and system calls included."""
    with Session(seed=1) as session:
        jobs = Jobs(session)
        jobs.add(userland("burn"), "0000000000")
        jobs.run()
        return jobs.turnaround(0)


def bound(jobs: Jobs) -> int:
    """Return by how much a time may be off: starts and ends, and switches."""
    k = jobs.session.kernel.k
    switch = 2 * k.data(sched_data).runqueues.turn_cost
    return len(jobs.tasks) * overhead() + len(jobs.turns) * switch


def run(session: Session, *jobs: Job, until: int | None = None) -> Jobs:
    made = Jobs(session)
    for job in jobs:
        made.add(userland("burn"), f"{job.length * UNIT - overhead():010}",
                 arrival=job.arrival * UNIT,
                 runtime=job.length * UNIT if job.runtime is None else job.runtime)
    made.run(None if until is None else until * UNIT)
    return made


def assert_times(jobs: Jobs, arrivals: list[int], turnaround: list[float],
                 response: list[float]) -> None:
    """Compare with the book, in units."""
    assert bound(jobs) < UNIT / 2
    for index, arrival in enumerate(arrivals):
        off = jobs.turnaround(index, arrival * UNIT) - turnaround[index] * UNIT
        assert abs(off) <= bound(jobs), f"turnaround of job {index}: off by {off}"
        off = jobs.response(index, arrival * UNIT) - response[index] * UNIT
        assert abs(off) <= bound(jobs), f"response of job {index}: off by {off}"


# name, jobs, turnaround and response times in units: the figures of chapter 7.
CHAPTER_7 = [
    ("fifo", [Job(10), Job(10), Job(10)], [10, 20, 30], [0, 10, 20]),
    ("fifo", [Job(100), Job(10), Job(10)], [100, 110, 120], [0, 100, 110]),
    ("sjf", [Job(100), Job(10), Job(10)], [120, 10, 20], [20, 0, 10]),
    ("sjf", [Job(100), Job(10, 10), Job(10, 10)], [100, 100, 110], [0, 90, 100]),
    ("stcf", [Job(100), Job(10, 10), Job(10, 10)], [120, 10, 20], [0, 0, 10]),
    ("sjf", [Job(5), Job(5), Job(5)], [5, 10, 15], [0, 5, 10]),
    ("rr", [Job(5), Job(5), Job(5)], [13, 14, 15], [0, 1, 2]),
]


@pytest.mark.parametrize(("policy", "jobs", "turnaround", "response"), CHAPTER_7)
def test_times_are_the_books(policy: str, jobs: list[Job], turnaround: list[float],
                             response: list[float]) -> None:
    """Do turnaround and response times come out as by hand?"""
    quantum = UNIT if policy == "rr" else None
    with Session(seed=1, sched=policy, quantum=quantum) as session:
        done = run(session, *jobs)
        assert_times(done, [job.arrival for job in jobs], turnaround, response)


@pytest.mark.machine(quantum=UNIT)
def test_fair_share_of_equals_is_round_robin(session: Session) -> None:
    """Does the fair class give equal tasks the same turns, a slice each, in some order?"""
    done = run(session, Job(5, 0, 0), Job(5, 0, 0), Job(5, 0, 0))
    ends, begins = (sorted(time(job) for job in range(3))
                    for time in (done.turnaround, done.response))
    for times, units in ((ends, (13, 14, 15)), (begins, (0, 1, 2))):
        assert all(abs(time - unit * UNIT) <= bound(done)
                   for time, unit in zip(times, units, strict=True))


# ---- multi-level feedback queue, chapter 8: a unit is a millisecond, the quantum 10 of them


@pytest.mark.machine(sched="mlfq,queues=3,boost=0", quantum=10 * UNIT)
def test_mlfq_long_job_sinks_to_the_lowest_queue(session: Session) -> None:
    """Figure 8.2: does a job lose a level with each allotment, to the last?"""
    levels = []
    jobs = Jobs(session)
    task = jobs.add(userland("burn"), str(200 * UNIT))
    jobs.add(userland("burn"), str(200 * UNIT))
    # The two take turns: the first has the even tens.
    for until in (5, 25, 45, 65):
        jobs.run(until * UNIT)
        levels.append(task.ostep.level)
    assert levels == [0, 1, 2, 2]


@pytest.mark.machine(sched="mlfq,queues=3,boost=0", quantum=10 * UNIT)
def test_mlfq_short_job_is_served_before_a_long_one(session: Session) -> None:
    """Figure 8.3: does a job that comes late run at once, and end before it has sunk far?"""
    done = run(session, Job(180), Job(20, 100))
    assert_times(done, [0, 100], [200, 20], [0, 0])


@pytest.mark.parametrize(("boost", "share"), [("0", 0), (f"{50 * UNIT}", 20)])
def test_mlfq_boost_ends_starvation(boost: str, share: int) -> None:
    """Figure 8.5: does a job below get nothing while short ones keep coming, but for boosts?

    Good: of the units 110 to 210, in which a new short job comes every 20, the long one has none;
    with a boost every 50 units it has its ten after each of the two.
    """
    with Session(seed=1, sched=f"mlfq,queues=3,boost={boost}", quantum=10 * UNIT) as session:
        arrivals = range(100, 240, 20)
        done = run(session, Job(200), *(Job(20, arrival) for arrival in arrivals))
        line = done.timeline(UNIT, 210)
        assert abs(line[110:210].count(0) - share) <= 1


@pytest.mark.machine(sched="mlfq,queues=3,boost=0", quantum=10 * UNIT)
def test_mlfq_yielding_before_the_quantum_ends_does_not_keep_the_level(session: Session) -> None:
    """Rule 4: is the allotment counted over all turns, however a job gives them up?"""
    jobs = Jobs(session)
    task = jobs.add(userland("burn"), str(9 * UNIT), "10")
    jobs.add(userland("burn"), str(200 * UNIT))
    jobs.run(15 * UNIT)
    first = task.ostep.level
    jobs.run(60 * UNIT)
    assert (first, task.ostep.level) == (0, 2)


# ---- shares, chapter 9


@pytest.mark.machine(seed=1, sched="lottery", quantum=2 * UNIT)
def test_lottery_gives_shares_by_chance(session: Session) -> None:
    """Does who holds three of four tickets get three turns of four, and not in strict order?

    400 draws: 300 wins are expected, with a standard deviation of 8.7; four of those are allowed.
    """
    done = run(session, Job(1000, 0, 75), Job(1000, 0, 25), until=810)
    line = done.timeline(2 * UNIT, 400)
    assert abs(line.count(0) - 300) <= 35
    periods = {tuple(line[i : i + 4]) for i in range(0, 400, 4)}
    assert len(periods) > 2


@pytest.mark.machine(seed=2, sched="lottery", quantum=2 * UNIT)
def test_lottery_of_nice_values_follows_their_weights(session: Session) -> None:
    """Has a task that states no tickets those of its nice value?"""
    jobs = Jobs(session)
    jobs.add(userland("burn"), str(1000 * UNIT), nice=0)
    jobs.add(userland("burn"), str(1000 * UNIT), nice=5)
    jobs.run(810 * UNIT)
    line = jobs.timeline(2 * UNIT, 400)
    assert abs(line.count(0) - 400 * 1024 / (1024 + 335)) <= 35


@pytest.mark.machine(sched="stride", quantum=UNIT)
def test_stride_is_the_books_table(session: Session) -> None:
    """Figure 9.3: tickets 100, 50 and 250: is the order A, B, C, C, C, A, C, C, and again?"""
    done = run(session, Job(50, 0, 100), Job(50, 0, 50), Job(50, 0, 250), until=17)
    assert done.timeline(UNIT, 16) == [0, 1, 2, 2, 2, 0, 2, 2] * 2


# ---- programs


@pytest.mark.native
@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_program_that_forks_answers_as_on_linux_under_every_policy(policy: str) -> None:
    """Do children, waiting and the calls about scheduling work whoever schedules?"""
    quantum = None if policy in ("fifo", "sjf", "stcf") else 50
    source = ROOT / "tests" / "syscalls" / "sched_fork.c"
    with Session(seed=1, panic_on_oops=True, sched=policy, quantum=quantum) as session:
        result = session.run([str(compile_c(source))], timeout=60)
    assert (result.status, result.output) == run_native([str(compile_c(source))])
