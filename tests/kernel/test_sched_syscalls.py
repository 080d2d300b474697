"""Who may change whose scheduling: RLIMIT_NICE, RLIMIT_RTPRIO and whose process it is.

Programs of tests/syscalls ask the rest; they run as root, who may do everything.
"""

from __future__ import annotations

import struct

import pytest

from guest_kernel.errors import Errno
from guest_kernel.layout.sched import (
    RLIMIT_NICE,
    RLIMIT_RTPRIO,
    SCHED_BATCH,
    SCHED_FIFO,
    SCHED_IDLE,
    SCHED_NORMAL,
    SCHED_RESET_ON_FORK,
    SCHED_RR,
    task_struct,
)
from guest_kernel.sched.core import set_user_nice, task_nice
from guest_kernel.sched.syscalls import PRIO_PROCESS, PRIO_USER
from tests.kernel.test_process_syscalls import World

USER = 1000
OTHER = 2000


@pytest.fixture
def world() -> World:
    """A program of a plain user's, with no rights by RLIMIT_NICE and RLIMIT_RTPRIO."""
    made = World()
    become(made.task, USER)
    return made


def become(task: task_struct, uid: int) -> None:
    task.uid = task.euid = task.suid = task.fsuid = uid


def limit(task: task_struct, resource: int, value: int) -> None:
    assert task.signal is not None
    task.signal.rlim[resource].rlim_cur = value


def set_scheduler(world: World, policy: int, priority: int = 0, pid: int = 0) -> int:
    return world.call("sched_setscheduler", pid, policy, world.put("i", priority))


def test_nice_goes_up_freely_and_down_as_far_as_the_limit_says(world: World) -> None:
    """Is a better nice value refused below 20 - RLIMIT_NICE, by EACCES?"""
    task = world.task
    assert world.call("setpriority", PRIO_PROCESS, 0, 10) == 0
    assert world.call("setpriority", PRIO_PROCESS, 0, 9) == -Errno.EACCES
    limit(task, RLIMIT_NICE, 15)
    assert world.call("setpriority", PRIO_PROCESS, 0, 5) == 0
    assert world.call("setpriority", PRIO_PROCESS, 0, 4) == -Errno.EACCES
    assert task_nice(task) == 5
    limit(task, RLIMIT_NICE, 40)
    assert world.call("setpriority", PRIO_PROCESS, 0, -20) == 0


def test_other_users_processes_are_refused(world: World) -> None:
    """Is EPERM the answer about a process of somebody else's, but to root?"""
    other = world.spawn(world.task)
    become(other, OTHER)
    assert world.call("setpriority", PRIO_PROCESS, other.pid, 19) == -Errno.EPERM
    assert world.call("setpriority", PRIO_USER, OTHER, 19) == -Errno.EPERM
    assert set_scheduler(world, SCHED_BATCH, 0, other.pid) == -Errno.EPERM
    assert world.call("sched_setaffinity", other.pid, 8, world.put("Q", 1)) == -Errno.EPERM
    other.euid = USER  # a program that runs as us counts as ours
    assert world.call("setpriority", PRIO_PROCESS, other.pid, 19) == 0
    assert set_scheduler(world, SCHED_BATCH, 0, other.pid) == 0
    assert world.call("sched_setaffinity", other.pid, 8, world.put("Q", 1)) == 0
    other.euid = OTHER
    world.task.euid = 0
    assert set_scheduler(world, SCHED_FIFO, 50, other.pid) == 0
    assert world.call("setpriority", PRIO_USER, OTHER, -20) == 0
    assert task_nice(other) == -20


def test_one_refusal_does_not_keep_the_others_from_their_change(world: World) -> None:
    """Is each process of a user changed that may be, and the refusal reported all the same?"""
    first, second = (world.spawn(world.task) for _ in range(2))
    set_user_nice(first, 7)
    assert world.call("setpriority", PRIO_USER, 0, 3) == -Errno.EACCES
    assert [task_nice(task) for task in (first, second, world.task)] == [7, 3, 3]


def test_real_time_takes_the_limit_or_root(world: World) -> None:
    """May a user choose a real-time policy only up to RLIMIT_RTPRIO, and lower it always?"""
    task = world.task
    assert set_scheduler(world, SCHED_RR, 1) == -Errno.EPERM
    limit(task, RLIMIT_RTPRIO, 10)
    assert set_scheduler(world, SCHED_RR, 11) == -Errno.EPERM
    assert set_scheduler(world, SCHED_RR, 10) == 0
    limit(task, RLIMIT_RTPRIO, 0)
    assert world.call("sched_setparam", 0, world.put("i", 11)) == -Errno.EPERM
    assert world.call("sched_setparam", 0, world.put("i", 5)) == 0
    assert set_scheduler(world, SCHED_FIFO, 5) == -Errno.EPERM
    assert set_scheduler(world, SCHED_NORMAL) == 0
    assert task.policy == SCHED_NORMAL


def test_idle_is_left_only_as_a_better_nice_value_is_reached(world: World) -> None:
    """Does SCHED_IDLE count as nice 20 to who wants to leave it?"""
    task = world.task
    assert set_scheduler(world, SCHED_IDLE) == 0
    assert set_scheduler(world, SCHED_NORMAL) == -Errno.EPERM
    limit(task, RLIMIT_NICE, 20)
    assert set_scheduler(world, SCHED_BATCH) == 0


def test_reset_on_fork_cannot_be_taken_back(world: World) -> None:
    """Does a user who has set SCHED_RESET_ON_FORK keep it?"""
    assert set_scheduler(world, SCHED_BATCH | SCHED_RESET_ON_FORK) == 0
    assert set_scheduler(world, SCHED_BATCH) == -Errno.EPERM
    assert world.call("sched_getscheduler", 0) == SCHED_BATCH | SCHED_RESET_ON_FORK
    assert world.call("sched_setattr", 0, world.put(
        "IIQiIQQQ", 48, SCHED_BATCH, 0, 1, 0, 0, 0, 0), 0) == -Errno.EPERM


def test_attributes_are_checked_for_permission_before_support(world: World) -> None:
    """Does an unprivileged wish for a better nice value fail by EPERM, other than setpriority's?"""
    layout = "IIQiIQQQII"
    better = world.put(layout, 56, SCHED_NORMAL, 0x20, -1, 0, 0, 0, 0, 0, 0)
    assert world.call("sched_setattr", 0, better, 0) == -Errno.EPERM
    same = world.put(layout, 56, SCHED_NORMAL, 0x20, 0, 0, 0, 0, 0, 0, 0)
    assert world.call("sched_setattr", 0, same, 0) == -Errno.EOPNOTSUPP


def test_real_time_tasks_have_no_timer_slack(world: World) -> None:
    """Is the slack 0 under a real-time policy, and the default behind it?"""
    limit(world.task, RLIMIT_RTPRIO, 10)
    assert set_scheduler(world, SCHED_FIFO, 10) == 0
    assert world.task.timer_slack_ns == 0
    assert set_scheduler(world, SCHED_NORMAL) == 0
    assert world.task.timer_slack_ns == 50_000


def test_slice_is_kept_within_bounds(world: World) -> None:
    """Is a slice between 0.1 and 100 ms what sched_getattr(2) shows, and 0 the default?"""
    for wanted, kept in ((1, 100_000), (5_000_000, 5_000_000), (10**12, 10**8), (0, 4_000_000)):
        attr = world.put("IIQiIQQQ", 48, SCHED_NORMAL, 0, 0, 0, wanted, 0, 0)
        assert world.call("sched_setattr", 0, attr, 0) == 0
        assert world.call("sched_getattr", 0, world.memory, 48, 0) == 0
        assert world.get("IIQiIQ")[5] == kept
    assert struct.calcsize("IIQiIQQQ") == 48
