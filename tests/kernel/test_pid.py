"""Are process numbers given out, found, given back and given out again as Linux does it?"""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from emulator.memory import Ram
from guest_kernel.errors import Errno, SyscallError
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import KERNEL_LOAD, START_KERNEL_MAP, Struct
from guest_kernel.layout.page import mm_data
from guest_kernel.layout.sched import (
    PID_MAX_DEFAULT,
    PID_MAX_LIMIT,
    PIDNS_ADDING,
    PIDTYPE_MAX,
    RESERVED_PIDS,
    pid,
    sched_data,
    signal_struct,
    task_struct,
)
from guest_kernel.lib.idr import idr_set_cursor
from guest_kernel.mm.page_alloc import OutOfFrames, alloc_pages_bulk, mem_init, nr_free_pages
from guest_kernel.mm.slab import find_slab_cache, kmem_cache_init, kmem_cache_usage, kzalloc
from guest_kernel.process.pid import (
    PIDTYPE_PGID,
    PIDTYPE_PID,
    PIDTYPE_SID,
    PIDTYPE_TGID,
    alloc_pid,
    attach_pid,
    attach_process,
    change_pid,
    detach_pid,
    detach_process,
    do_each_pid_task,
    find_pid,
    find_task_by_vpid,
    free_pid,
    get_pid,
    init_task_pid,
    pid_init,
    pid_max_max,
    pid_max_min,
    pid_nr,
    pid_task,
    put_pid,
    task_pgrp,
    task_pgrp_nr,
    task_pid_nr,
    task_session,
    task_session_nr,
    task_tgid,
    task_tgid_nr,
)
from ringlet.session import Session
from tests.guest import compile_c

PROGRAM = Path(__file__).with_name("pid_max.c")
RAM_SIZE = 4 << 20
GLOBALS: tuple[type[Struct], ...] = (mm_data, sched_data)
IMAGE_END = KERNEL_LOAD + 0x4000


def make(pid_max: int = PID_MAX_DEFAULT) -> Kernel:
    """Return a kernel that has its allocators and can give out numbers."""
    symbols, va = {}, START_KERNEL_MAP + KERNEL_LOAD
    for kind in GLOBALS:
        symbols[kind.__name__] = va
        va += -(-kind.size // 64) * 64
    assert va - START_KERNEL_MAP <= IMAGE_END
    k = Kernel(Ram(RAM_SIZE), symbols, IMAGE_END)
    mem_init(k, RAM_SIZE, IMAGE_END, [(0, IMAGE_END)])
    kmem_cache_init(k)
    pid_init(k, pid_max)
    return k


def pids_in_use(k: Kernel) -> int:
    cache = find_slab_cache(k, "pid")
    return 0 if cache is None else kmem_cache_usage(cache)[0]


def new_task(k: Kernel, leader: task_struct | None = None) -> task_struct:
    """Return a task with a number of its own: a process, or a thread of ``leader``'s."""
    task = kzalloc(k, task_struct)
    number = alloc_pid(k)
    task.signal = kzalloc(k, signal_struct) if leader is None else leader.signal
    init_task_pid(task, PIDTYPE_PID, number)
    task.pid = pid_nr(number)
    task.tgid = task.pid if leader is None else leader.tgid
    if leader is None:
        for kind in (PIDTYPE_TGID, PIDTYPE_PGID, PIDTYPE_SID):
            init_task_pid(task, kind, number)
            attach_pid(task, kind)
    attach_pid(task, PIDTYPE_PID)
    return task


def remove_task(task: task_struct) -> None:
    for kind in range(PIDTYPE_MAX):
        detach_pid(task, kind)


class Numbers(RuleBasedStateMachine):
    """Numbers that are given out and given back, beside a set."""

    def __init__(self) -> None:
        super().__init__()
        self.k = make(pid_max_min)
        self.used: dict[int, pid] = {}
        self.last = 0

    def expected(self) -> int | None:
        limit = self.k.data(sched_data).pid_max
        first = RESERVED_PIDS if self.last + 1 > RESERVED_PIDS else 1
        order = chain(range(max(self.last + 1, first), limit), range(first, limit))
        return next((nr for nr in order if nr not in self.used), None)

    @rule(n=st.integers(1, 200))
    def alloc(self, n: int) -> None:
        for _ in range(n):
            expected = self.expected()
            if expected is None:
                with pytest.raises(SyscallError) as error:
                    alloc_pid(self.k)
                assert error.value.errno == Errno.EAGAIN
                return
            number = alloc_pid(self.k)
            assert pid_nr(number) == expected
            assert (number.count, number.level) == (1, 0)
            assert number.numbers[0].ns == self.k.data(sched_data).init_pid_ns
            self.used[expected] = number
            self.last = expected

    @rule(data=st.data(), n=st.integers(1, 200))
    def free(self, data: st.DataObject, n: int) -> None:
        numbers = sorted(self.used)
        if numbers:
            first = data.draw(st.integers(0, len(numbers) - 1))
            for nr in numbers[first : first + n]:
                free_pid(self.used.pop(nr))

    @rule(limit=st.one_of(st.integers(pid_max_min, 600), st.just(PID_MAX_LIMIT)))
    def set_pid_max(self, limit: int) -> None:
        self.k.data(sched_data).pid_max = limit

    @rule(nr=st.integers(-5, 700))
    def find(self, nr: int) -> None:
        assert find_pid(self.k, nr) == self.used.get(nr)

    @invariant()
    def all_are_counted(self) -> None:
        allocated = self.k.data(sched_data).init_pid_ns.pid_allocated
        assert allocated == PIDNS_ADDING + len(self.used)
        assert pids_in_use(self.k) == len(self.used)


Numbers.TestCase.settings = settings(deadline=None, derandomize=True, max_examples=60)
test_any_sequence_of_operations = Numbers.TestCase


def test_structures_are_linuxs() -> None:
    """Is a pid as large as the fields that Linux and we have, in Linux's order?"""
    names = ("count", "level", "tasks", "inodes", "numbers")
    assert [pid.offsetof(name) for name in names] == [0, 4, 8, 40, 48]
    assert pid.size == 48 + 16
    assert (PIDTYPE_PID, PIDTYPE_TGID, PIDTYPE_PGID, PIDTYPE_SID) == (0, 1, 2, 3)


def test_numbers_wrap_to_the_reserved_ones() -> None:
    """Does 32767 come before 300, whatever lower number is free, and are used ones left out?"""
    k = make()
    held = [alloc_pid(k) for _ in range(301)]
    assert [pid_nr(number) for number in held] == list(range(1, 302))
    for number in held[:200]:
        free_pid(number)
    idr_set_cursor(k.data(sched_data).init_pid_ns.idr, PID_MAX_DEFAULT - 1)
    assert [pid_nr(alloc_pid(k)) for _ in range(3)] == [PID_MAX_DEFAULT - 1, 302, 303]


def test_when_the_last_number_is_taken_only_it_comes_again() -> None:
    """With the smallest pid_max: is there one number left after the first wrap?"""
    k = make(pid_max_min)
    held = [alloc_pid(k) for _ in range(RESERVED_PIDS)]
    free_pid(held[0])
    with pytest.raises(SyscallError) as error:
        alloc_pid(k)
    assert error.value.errno == Errno.EAGAIN
    free_pid(held[-1])
    assert pid_nr(alloc_pid(k)) == RESERVED_PIDS
    assert (pid_max_min, pid_max_max) == (301, 4194304)


def test_without_memory_no_number_is_lost() -> None:
    """When alloc_pid() has no memory: are the number and the structure free again?"""
    k = make()
    alloc_pid(k)
    alloc_pages_bulk(k, nr_free_pages(k))
    used = 1

    def alloc_until_it_fails() -> None:
        nonlocal used
        while True:
            alloc_pid(k)
            used += 1

    with pytest.raises(OutOfFrames):
        alloc_until_it_fails()
    assert pids_in_use(k) == used
    assert k.data(sched_data).init_pid_ns.pid_allocated == PIDNS_ADDING + used


def test_a_number_lives_as_long_as_a_task_has_it_as_anything() -> None:
    """Is a group's number kept when its leader is gone, and given back with its last member?"""
    k = make()
    leader, member = new_task(k), new_task(k)
    group = find_pid(k, leader.pid)
    assert group is not None
    change_pid(member, PIDTYPE_PGID, group)
    assert [t.pid for t in do_each_pid_task(group, PIDTYPE_PGID)] == [member.pid, leader.pid]
    assert (task_pgrp_nr(member), task_session_nr(member)) == (leader.pid, member.pid)
    remove_task(leader)
    assert find_task_by_vpid(k, leader.pid) is None
    assert find_pid(k, leader.pid) == group
    assert pid_task(group, PIDTYPE_PGID) == member
    remove_task(member)
    assert find_pid(k, leader.pid) is None
    assert pids_in_use(k) == 0


def test_a_process_comes_and_goes_with_all_its_numbers() -> None:
    """Does a child have its parent's group and session, and take only its own number with it?"""
    k = make()
    parent, grandparent = new_task(k), new_task(k)
    group, session = find_pid(k, parent.pid), find_pid(k, grandparent.pid)
    assert group is not None
    assert session is not None
    change_pid(parent, PIDTYPE_SID, session)
    child = kzalloc(k, task_struct)
    child.signal = kzalloc(k, signal_struct)
    number = alloc_pid(k)
    child.pid = pid_nr(number)
    attach_process(child, parent, number)
    assert find_task_by_vpid(k, child.pid) == child
    assert (task_tgid(child), task_pgrp(child), task_session(child)) == (number, group, session)
    assert pid_task(number, PIDTYPE_TGID) == child
    assert list(do_each_pid_task(group, PIDTYPE_PGID)) == [child, parent]
    assert list(do_each_pid_task(session, PIDTYPE_SID)) == [child, parent, grandparent]
    remove_task(parent)
    assert find_pid(k, pid_nr(group)) == group
    detach_process(child)
    assert find_pid(k, child.pid) is find_pid(k, pid_nr(group)) is None
    assert list(do_each_pid_task(session, PIDTYPE_SID)) == [grandparent]
    detach_process(grandparent)
    assert pids_in_use(k) == 0


def test_a_reference_keeps_the_structure_not_the_number() -> None:
    """Does get_pid() keep what its holder reads, while the number goes to another task?"""
    k = make(pid_max_min)
    idr_set_cursor(k.data(sched_data).init_pid_ns.idr, RESERVED_PIDS)
    task = new_task(k)
    number = find_pid(k, RESERVED_PIDS)
    assert number is not None
    get_pid(number)
    remove_task(task)
    assert find_pid(k, RESERVED_PIDS) is None
    assert pid_task(number, PIDTYPE_PID) is None
    again = alloc_pid(k)
    assert pid_nr(again) == pid_nr(number) == RESERVED_PIDS
    assert again != number
    put_pid(number)
    assert pids_in_use(k) == 1


def test_threads_share_all_numbers_but_their_own() -> None:
    """Is a thread found under its own number, and its process's through its signal_struct?"""
    k = make()
    leader = new_task(k)
    thread = new_task(k, leader)
    assert find_task_by_vpid(k, thread.pid) == thread
    assert (task_pid_nr(thread), task_tgid_nr(thread)) == (2, 1)
    assert task_tgid(thread) == find_pid(k, 1)
    assert pid_task(find_pid(k, thread.pid), PIDTYPE_TGID) is None
    assert (task_pgrp_nr(thread), task_session_nr(thread)) == (1, 1)


def fork_until(session: Session, wrap: int) -> list[int]:
    """Fork a child after another in a program; return their numbers."""
    result = session.run([str(compile_c(PROGRAM)), str(wrap)], timeout=10)
    assert result.status == 0, result.output
    return [int(word) for word in result.output.split()]


@pytest.mark.machine(panic_on_oops=True)
def test_a_program_sees_the_numbers_begin_again(session: Session) -> None:
    """After a write to /proc/sys/kernel/pid_max: do a shell's children get 300 after the last?"""
    numbers = fork_until(session, 310)
    assert numbers == [*range(4, 310), *range(300, 310), 300]


def test_pid_max_from_the_command_line() -> None:
    """Is pid_max=N obeyed, and a bad N refused with a line in the log?"""
    with Session(seed=1, append="pid_max=305") as session:
        assert session.kernel.k.data(sched_data).pid_max == 305
    for word in ("300", "4194305", "-1", "many", ""):
        with Session(seed=1, append=f"pid_max={word}") as session:
            assert session.kernel.k.data(sched_data).pid_max == PID_MAX_DEFAULT
            assert f"pid_max={word}: not a number from 301 to 4194304\n" in session.dmesg
