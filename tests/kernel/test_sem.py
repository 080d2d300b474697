"""Semaphores against a model, and what tests/syscalls cannot provoke."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sem_world import ASLEEP, SECOND, STAT, World

from guest_kernel.errors import Errno
from guest_kernel.ipc import sem, util
from guest_kernel.ipc.sem import CLONE_SYSVSEM, SEM_UNDO, copy_semundo, exit_sem
from guest_kernel.ipc.util import (
    IPC_CREAT,
    IPC_EXCL,
    IPC_INFO,
    IPC_NOWAIT,
    IPC_PRIVATE,
    IPC_RMID,
    IPC_SET,
    IPC_STAT,
    IPCID_SEQ_MAX,
)
from guest_kernel.layout.ipc import (
    IPC_SEM_IDS,
    SC_SEMMNI,
    SC_SEMMNS,
    SC_SEMMSL,
    SC_SEMOPM,
    ipc_data,
)
from guest_kernel.mm.page_alloc import OutOfFrames, drain_local_pages, nr_free_pages
from guest_kernel.mm.slab import shrink_slabs
from guest_kernel.time.nanosleep import KTIME_MAX
from ringlet.session import Session
from tests.guest import ROOT, compile_c

Ops = Sequence[tuple[int, int, int]]

SEMVMX: Final = 32767
OBSERVER: Final = 5  # a task of root's that changes nothing
IDS: Final = ((0, 0), (1000, 100), (1000, 101), (2000, 100), (3000, 300))  # users and groups


# ------------------------------------------------------------------------------- the model


@dataclass
class Sleeper:
    """A call that sleeps, in the model.

    Attributes:
        group: number of the undo list of its task.
        result: None until it has been woken for good.
        blocking: the operation that could not be done at the last try.
    """

    task: int
    group: int
    ops: Ops
    deadline: int | None
    blocking: int
    result: int | None = None

    @property
    def alters(self) -> bool:
        return any(op for _, op, _ in self.ops)


@dataclass
class Set:
    """A set of semaphores, as the manual pages have it; tasks' numbers are those of the test."""

    key: int
    mode: int
    uid: int
    gid: int
    values: list[int]
    ctime: int
    otime: int = 0
    pids: list[int | None] = field(default_factory=list)
    undo: dict[int, list[int]] = field(default_factory=dict)
    sleepers: list[Sleeper] = field(default_factory=list)

    def permits(self, user: tuple[int, int], want: int) -> bool:
        uid, gid = user
        shift = 6 if uid == self.uid else 3 if gid == self.gid else 0
        return uid == 0 or not want & ~(self.mode >> shift) & 7

    def attempt(self, task: int, group: int, ops: Ops) -> tuple[int, int]:
        """Do all or nothing.

        Returns:
            0, -errno, or 1 for a call that has to sleep; and the operation that is in the way.
        """
        values, undo = list(self.values), list(self.undo.get(group, [0] * len(self.values)))
        for index, (num, op, flags) in enumerate(ops):
            if values[num] + op < 0 or (not op and values[num]):
                return (-Errno.EAGAIN if flags & IPC_NOWAIT else 1), index
            values[num] += op
            undo[num] -= op if flags & SEM_UNDO else 0
            if values[num] > SEMVMX or not -SEMVMX - 1 <= undo[num] <= SEMVMX:
                return -Errno.ERANGE, index
        self.values = values
        if any(flags & SEM_UNDO for _, _, flags in ops):
            self.undo[group] = undo
        for num, _, _ in ops:
            self.pids[num] = task
        return 0, 0

    def changed(self, touched: Iterable[int], now: int) -> None:
        """Serve who sleeps: first who waits for zero, then the others, oldest first."""
        self._zero(touched, now)
        while any(self._serve(sleeper, now) for sleeper in list(self.sleepers) if sleeper.alters):
            pass

    def _serve(self, sleeper: Sleeper, now: int) -> bool:
        result, sleeper.blocking = self.attempt(sleeper.task, sleeper.group, sleeper.ops)
        if result == 1:
            return False
        self.sleepers.remove(sleeper)
        sleeper.result = result
        if result:
            return False
        self.otime = now
        if sleeper.alters:
            self._zero([num for num, _, _ in sleeper.ops], now)
        return True

    def _zero(self, touched: Iterable[int], now: int) -> None:
        zeros = {num for num in touched if not self.values[num]}
        for sleeper in list(self.sleepers):
            if zeros and not sleeper.alters and (
                    len(sleeper.ops) > 1 or sleeper.ops[0][0] in zeros):
                self._serve(sleeper, now)

    def count(self, num: int, *, zero: bool) -> int:
        """GETNCNT and GETZCNT."""
        stuck = [sleeper.ops[sleeper.blocking] for sleeper in self.sleepers]
        return sum(n == num and (op == 0) == zero for n, op, _ in stuck)


class Numbers:
    """Which number the next set gets: Linux ipc_idr_alloc()."""

    def __init__(self) -> None:
        self.used: set[int] = set()
        self.next = 0
        self.last = -1
        self.seq = 0

    def give(self) -> int:
        limit = max(len(self.used) * 3 // 2, 64)
        candidates = [*range(self.next, limit), *range(limit)]
        index = next(i for i in candidates if i not in self.used)
        self.next = index + 1
        if index <= self.last:
            self.seq = self.seq + 1
        self.last = index
        self.used.add(index)
        return self.seq << 15 | index


# ----------------------------------------------------------------------- the state machine

TASKS: Final = st.integers(0, len(IDS) - 1)
VALUES: Final = st.sampled_from([0, 1, 1, 2, 3, SEMVMX - 1, SEMVMX])
OPERATIONS: Final = st.tuples(
    st.integers(0, 3), st.sampled_from([-2, -1, -1, -1, 0, 0, 1, 1, 1, 2, SEMVMX, -SEMVMX, -32768]),
    st.sampled_from([0, 0, 0, SEM_UNDO, SEM_UNDO, IPC_NOWAIT, SEM_UNDO | IPC_NOWAIT]))


class Semaphores(RuleBasedStateMachine):
    """Some tasks use some sets; after each step everything is as in the model."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(OBSERVER + 1)
        self._warm_up()
        for number, (uid, gid) in enumerate(IDS):
            task = self.world.task(number)
            task.euid, task.egid, task.fsgid = uid, gid, gid
        self.before = self.world.usage()
        self.sets: dict[int, Set] = {}
        self.gone: list[int] = []
        self.numbers = Numbers()
        self.groups = list(range(len(IDS)))  # by task, the number of its undo list
        self.new_group = len(IDS)
        self.sleeping: dict[int, Sleeper] = {}

    def _warm_up(self) -> None:
        """Have the caches and pages of user memory made that will be used."""
        world = self.world
        semid = world.call(0, "semget", IPC_PRIVATE, 4, 0o600)
        assert semid == 0
        assert world.semop(0, semid, (0, -1, SEM_UNDO), timeout=SECOND) is ASLEEP
        assert world.call(1, "semctl", semid, 0, IPC_RMID, 0) == 0
        assert world.again(0, "semtimedop") == -Errno.EIDRM
        exit_sem(world.task(0))
        ids = world.k.data(ipc_data)
        ids.clear()
        sem.sem_init(world.k)

    # ---- what the rules need

    def _set(self, choice: int) -> int:
        """Return the number of a set that is there or, now and then, of one that is not."""
        known = [*self.sets, *self.sets, *self.gone[-1:], 777]
        return known[choice % len(known)]

    def _awake(self, task: int) -> int:
        """Return a task that can make a call: ``task``, or the next one."""
        order = [*range(task, len(IDS)), *range(task)]
        return next(number for number in order if number not in self.sleeping)

    def _check_woken(self) -> None:
        """Whoever was woken goes on; nobody else is awake."""
        for task, sleeper in list(self.sleeping.items()):
            if sleeper.result is None:
                assert self.world.is_asleep(task), f"task {task} was woken"
                continue
            assert not self.world.is_asleep(task), f"task {task} was not woken"
            assert self.world.again(task, "semop") == sleeper.result
            del self.sleeping[task]

    def _expected(self, task: int, semid: int, want: int) -> tuple[Set | None, int]:
        found = self.sets.get(semid)
        if found is None:
            return None, -Errno.EINVAL
        return found, 0 if found.permits(IDS[task], want) else -Errno.EACCES

    # ---- the rules

    @rule(task=TASKS, key=st.sampled_from([IPC_PRIVATE, IPC_PRIVATE, 1, 2, -3]),
          nsems=st.integers(0, 4), flags=st.sampled_from([0, IPC_CREAT, IPC_CREAT | IPC_EXCL,
                                                          IPC_EXCL]),
          mode=st.sampled_from([0o600, 0o666, 0o640, 0o222, 0o444, 0]))
    def semget(self, task: int, key: int, nsems: int, flags: int, mode: int) -> None:
        task = self._awake(task)
        result = self.world.call(task, "semget", key, nsems, flags | mode)
        found = [semid for semid, each in self.sets.items() if key and each.key == key]
        if found:
            there = self.sets[found[0]]
            want = mode >> 6 | mode >> 3 | mode
            if flags == IPC_CREAT | IPC_EXCL:
                assert result == -Errno.EEXIST
            elif nsems > len(there.values):
                assert result == -Errno.EINVAL
            else:
                assert result == (found[0] if there.permits(IDS[task], want) else -Errno.EACCES)
        elif key and not flags & IPC_CREAT:
            assert result == -Errno.ENOENT
        elif not nsems:
            assert result == -Errno.EINVAL
        else:
            assert result == self.numbers.give()
            uid, gid = IDS[task]
            self.sets[result] = Set(key, mode, uid, gid, [0] * nsems, self.world.seconds,
                                    pids=[None] * nsems)

    @rule(task=TASKS, choice=st.integers(0, 99), ops=st.lists(OPERATIONS, min_size=1, max_size=4),
          timeout=st.sampled_from([None, None, None, 0, 1, 5 * SECOND]))
    def semop(self, task: int, choice: int, ops: Ops, timeout: int | None) -> None:
        task, semid = self._awake(task), self._set(choice)
        result = self.world.semop(task, semid, *ops, timeout=timeout)
        alters = any(op for _, op, _ in ops)
        there, error = self._expected(task, semid, 2 if alters else 4)
        if there is not None and any(flags & SEM_UNDO for _, _, flags in ops):
            # As Linux: even if it fails, and then its end counts as an operation.
            there.undo.setdefault(self.groups[task], [0] * len(there.values))
        if there is not None and max(num for num, _, _ in ops) >= len(there.values):
            error = -Errno.EFBIG
        if there is None or error:
            assert result == error
            return
        group, now = self.groups[task], self.world.seconds
        expected, blocking = there.attempt(task, group, ops)
        if expected == 1:
            assert result is ASLEEP
            deadline = None if timeout is None else self.world.machine.clock + timeout
            self.sleeping[task] = Sleeper(task, group, ops, deadline, blocking)
            there.sleepers.append(self.sleeping[task])
            self.advance(0)
            return
        assert result == expected
        if not expected:
            there.otime = now
            if alters:
                there.changed([num for num, _, _ in ops], now)
        self._check_woken()

    @rule(task=TASKS, choice=st.integers(0, 99), num=st.integers(-1, 4),
          value=st.one_of(VALUES, st.sampled_from([-1, SEMVMX + 1])))
    def setval(self, task: int, choice: int, num: int, value: int) -> None:
        task, semid = self._awake(task), self._set(choice)
        result = self.world.call(task, "semctl", semid, num, sem.SETVAL, value)
        there, error = self._expected(task, semid, 2)
        if not 0 <= value <= SEMVMX:
            error = -Errno.ERANGE
        elif there is not None and not 0 <= num < len(there.values):
            error = -Errno.EINVAL
        assert result == error
        if there is not None and not error:
            self._store(there, task, {num: value})

    @rule(task=TASKS, choice=st.integers(0, 99), values=st.lists(VALUES, min_size=4, max_size=4))
    def setall(self, task: int, choice: int, values: list[int]) -> None:
        task, semid = self._awake(task), self._set(choice)
        self.world.put("<4H", *values)
        result = self.world.call(task, "semctl", semid, 0, sem.SETALL, self.world.memory)
        there, error = self._expected(task, semid, 2)
        assert result == error
        if there is not None and not error:
            self._store(there, task, dict(enumerate(values[:len(there.values)])))

    def _store(self, there: Set, task: int, values: dict[int, int]) -> None:
        for num, value in values.items():
            there.values[num], there.pids[num] = value, task
            for undo in there.undo.values():
                undo[num] = 0
        there.ctime = self.world.seconds
        there.changed(range(len(there.values)), self.world.seconds)
        self._check_woken()

    @rule(task=TASKS, choice=st.integers(0, 99))
    def remove(self, task: int, choice: int) -> None:
        task, semid = self._awake(task), self._set(choice)
        result = self.world.call(task, "semctl", semid, 0, IPC_RMID, 0)
        there = self.sets.get(semid)
        if there is None:
            assert result == -Errno.EINVAL
        elif IDS[task][0] not in (0, there.uid):
            assert result == -Errno.EPERM
        else:
            assert result == 0
            for sleeper in there.sleepers:
                sleeper.result = -Errno.EIDRM
            del self.sets[semid]
            self.numbers.used.remove(semid & 0x7FFF)
            self.gone.append(semid)
            self._check_woken()

    @precondition(lambda self: self.sleeping)
    @rule(choice=st.integers(0, 99), and_timeout=st.booleans())
    def interrupt(self, choice: int, and_timeout: bool) -> None:
        """A signal ends the sleep, and so does a deadline that is reached in the same moment."""
        task, sleeper = list(self.sleeping.items())[choice % len(self.sleeping)]
        self.world.signal(task)
        result = -Errno.EINTR
        if and_timeout and sleeper.deadline is not None:
            self.world.machine.clock = max(self.world.machine.clock, sleeper.deadline)
            result = -Errno.EAGAIN
        self._unlink(sleeper, result)
        self._check_woken()
        self.world.no_signal(task)
        self.advance(0)  # others may have a deadline that was passed

    def _unlink(self, sleeper: Sleeper, result: int) -> None:
        next(s for s in self.sets.values() if sleeper in s.sleepers).sleepers.remove(sleeper)
        sleeper.result = result

    @precondition(lambda self: self.sleeping)
    @rule(choice=st.integers(0, 99))
    def wake_for_nothing(self, choice: int) -> None:
        """It sleeps on, in its place."""
        task = list(self.sleeping)[choice % len(self.sleeping)]
        self.world.wake(task)
        assert self.world.again(task, "semop") is ASLEEP

    @rule(ns=st.sampled_from([0, 1, 1000, SECOND, 3 * SECOND]))
    def advance(self, ns: int) -> None:
        self.world.advance(ns)
        for sleeper in self.sleeping.values():
            if (sleeper.result is None and sleeper.deadline is not None
                    and sleeper.deadline <= self.world.machine.clock):
                self._unlink(sleeper, -Errno.EAGAIN)
        self._check_woken()

    @rule(task=TASKS)
    def end(self, task: int) -> None:
        """A task ends, and a new one takes its place."""
        task = self._awake(task)
        self._leave(task)
        copy_semundo(0, self.world.task(task), self.world.task(self._awake(task + 1)))
        self.groups[task], self.new_group = self.new_group, self.new_group + 1

    @rule(task=TASKS, parent=TASKS)
    def end_and_be_cloned(self, task: int, parent: int) -> None:
        """A task ends, and a new one shares the undo list of another."""
        task, parent = self._awake(task), self._awake(parent)
        if task != parent:
            self._leave(task)
            copy_semundo(CLONE_SYSVSEM, self.world.task(task), self.world.task(parent))
            self.groups[task] = self.groups[parent]

    def _leave(self, task: int) -> None:
        exit_sem(self.world.task(task))
        group = self.groups[task]
        self.groups[task] = -1
        if group not in self.groups:
            for there in self.sets.values():
                self._undo(there, task, group)
        self._check_woken()

    def _undo(self, there: Set, task: int, group: int) -> None:
        if group not in there.undo:
            return
        for num, adjustment in enumerate(there.undo.pop(group)):
            if adjustment:
                there.values[num] = min(max(there.values[num] + adjustment, 0), SEMVMX)
                there.pids[num] = task
        there.otime = self.world.seconds
        there.changed(range(len(there.values)), self.world.seconds)

    @rule()
    def forget(self) -> None:
        """The kernel's Python half is thrown away."""
        self.world.forget()

    # ---- what holds after each step

    @invariant()
    def sets_are_as_in_the_model(self) -> None:
        world = self.world
        for semid, there in self.sets.items():
            nsems = len(there.values)
            assert list(world.values(semid, nsems, OBSERVER)) == there.values
            for num in range(nsems):
                pid = there.pids[num]
                asked = [world.call(OBSERVER, "semctl", semid, num, command, 0) for command in (
                    sem.GETVAL, sem.GETPID, sem.GETNCNT, sem.GETZCNT)]
                assert asked == [
                    there.values[num], 0 if pid is None else world.task(pid).tgid,
                    there.count(num, zero=False), there.count(num, zero=True)]
            assert world.call(OBSERVER, "semctl", semid, 0, IPC_STAT, world.memory) == 0
            stat = STAT.unpack(bytes(world.get(f"{STAT.size}s")[0]))
            assert stat == (there.key, there.uid, there.gid, there.uid, there.gid, there.mode,
                            semid >> 15, there.otime, there.ctime, nsems)

    @invariant()
    def totals_are_as_in_the_model(self) -> None:
        world = self.world
        highest = world.call(OBSERVER, "semctl", 0, 0, sem.SEM_INFO, world.memory)
        info = world.get("<10i")
        assert highest == max(self.numbers.used, default=0)
        assert info[7] == len(self.sets)
        assert info[9] == sum(len(there.values) for there in self.sets.values())

    def teardown(self) -> None:
        """Nothing is left when all sets are gone and all tasks have ended."""
        for semid in list(self.sets):
            assert self.world.call(OBSERVER, "semctl", semid, 0, IPC_RMID, 0) == 0
        for task, sleeper in self.sleeping.items():
            assert self.world.again(task, "semop") == (sleeper.result or -Errno.EIDRM)
        for task in range(len(IDS)):
            exit_sem(self.world.task(task))
        assert self.world.usage() == self.before


Semaphores.TestCase.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
TestSemaphores = Semaphores.TestCase


@pytest.mark.campaign
def test_many_steps_agree_with_the_model() -> None:
    """The same, for longer."""
    run_state_machine_as_test(Semaphores, settings=settings(
        max_examples=400, stateful_step_count=60, deadline=None))


# ------------------------------------------------------------------------------ by example


@pytest.fixture
def world() -> World:
    return World(3)


def make(world: World, nsems: int, mode: int = 0o600, task: int = 0) -> int:
    """Make a set."""
    semid = world.call(task, "semget", IPC_PRIVATE, nsems, mode)
    assert semid is not None
    assert semid >= 0
    return semid


def control(world: World, semid: int, num: int, command: int, argument: int = 0,
            task: int = 2) -> int | None:
    return world.call(task, "semctl", semid, num, command, argument)


def test_limits_are_those_of_the_namespace(world: World) -> None:
    """Does each limit have its own error, and is it looked at anew each time?"""
    ctls = world.k.data(ipc_data).init_ipc_ns.sem_ctls
    ctls[SC_SEMMSL], ctls[SC_SEMMNS], ctls[SC_SEMOPM], ctls[SC_SEMMNI] = 4, 9, 2, 3
    assert world.call(0, "semget", IPC_PRIVATE, 5, 0o600) == -Errno.EINVAL
    semid = make(world, 4)
    make(world, 4)
    assert world.call(0, "semget", IPC_PRIVATE, 2, 0o600) == -Errno.ENOSPC  # semaphores
    make(world, 1)
    assert control(world, semid, 0, IPC_RMID) == 0
    semid = make(world, 2)
    assert world.call(0, "semget", IPC_PRIVATE, 1, 0o600) == -Errno.ENOSPC  # sets
    assert world.semop(0, semid, (0, 1, 0), (1, 1, 0)) == 0
    assert world.semop(0, semid, *[(0, 1, 0)] * 3) == -Errno.E2BIG
    assert control(world, 0, 0, IPC_INFO, world.memory) == 3
    assert world.get("<10i") == (sem.SEMMNS, 3, 9, sem.SEMMNS, 4, 2, sem.SEMOPM, sem.SEMUSZ,
                                 SEMVMX, SEMVMX)


def test_sequence_number_goes_round(world: World) -> None:
    """Is a number always positive, and never that of the set before at its index?"""
    ids = world.k.data(ipc_data).init_ipc_ns.ids[IPC_SEM_IDS]
    assert make(world, 1) == 0
    assert make(world, 1) == 1
    ids.ipcs_idr.idr_next, ids.seq = 1, IPCID_SEQ_MAX - 2
    assert control(world, 1, 0, IPC_RMID) == 0
    assert make(world, 1) == (IPCID_SEQ_MAX - 1) << 15 | 1
    assert control(world, 1, 0, sem.GETVAL) == -Errno.EINVAL
    assert control(world, (IPCID_SEQ_MAX - 1) << 15 | 1, 0, IPC_RMID) == 0
    ids.ipcs_idr.idr_next = 1
    assert make(world, 1) == 1


def test_many_sets_have_many_numbers(world: World) -> None:
    """Does the range of indices grow with the number of sets, and is the highest one known?"""
    numbers = [make(world, 1) for _ in range(200)]
    assert numbers == list(range(200))
    assert control(world, 0, 0, sem.SEM_INFO, world.memory) == 199
    for number in numbers[100:]:
        assert control(world, number, 0, IPC_RMID) == 0
    assert control(world, 0, 0, sem.SEM_INFO, world.memory) == 99
    # The next index is looked for from 200 on, which is beyond 150 now.
    assert make(world, 1) == 1 << 15 | 100


def test_permissions_are_the_owners_the_groups_and_the_others(world: World) -> None:
    """Who may look, who may change, who may remove, and what does IPC_SET change of that?"""
    for number, (uid, gid) in enumerate([(1000, 100), (2000, 100), (3000, 300)]):
        task = world.task(number)
        task.euid, task.egid, task.fsgid = uid, gid, gid
    semid = make(world, 1, 0o640)
    denied = -Errno.EACCES
    assert [control(world, semid, 0, sem.GETVAL, task=t) for t in range(3)] == [0, 0, denied]
    assert [control(world, semid, 0, sem.SETVAL, 1, t) for t in range(3)] == [0, denied, denied]
    assert [world.semop(t, semid, (0, 1, 0)) for t in range(3)] == [0, denied, denied]
    world.task(0).euid = 1000
    assert [world.semop(t, semid, (0, 0, IPC_NOWAIT)) for t in range(3)] == [
        -Errno.EAGAIN, -Errno.EAGAIN, denied]
    assert control(world, semid, 0, sem.SEM_STAT, world.memory, 2) == denied
    assert control(world, semid, 0, sem.SEM_STAT_ANY, world.memory, 2) == semid
    assert [control(world, semid, 0, IPC_SET, world.memory, t) for t in (1, 2)] == [
        -Errno.EPERM] * 2
    assert [control(world, semid, 0, IPC_RMID, 0, t) for t in (1, 2)] == [-Errno.EPERM] * 2

    # A new owner; the creator stays one, and keeps what the mode gives an owner.
    world.put(STAT.format, 0, 3000, 300, 9, 9, 0o7200, 0, 0, 0, 0)
    assert control(world, semid, 0, IPC_SET, world.memory, 0) == 0
    assert [control(world, semid, 0, sem.GETVAL, task=t) for t in range(3)] == [denied] * 3
    assert [control(world, semid, 0, sem.SETVAL, 1, t) for t in range(3)] == [0, denied, 0]
    assert control(world, semid, 0, IPC_SET, world.memory, 2) == 0
    assert control(world, semid, 0, IPC_RMID, 0, 2) == 0


def test_far_deadline_is_none(world: World) -> None:
    """Does a time beyond what a timer can hold sleep without one?"""
    semid = make(world, 1)
    assert world.semop(0, semid, (0, -1, 0), timeout=KTIME_MAX) is ASLEEP
    assert not world.task(0).sleep_timer.is_queued
    assert world.semop(1, semid, (0, -1, 0), timeout=KTIME_MAX - world.machine.clock - 1) is ASLEEP
    assert world.task(1).sleep_timer.is_queued


def test_task_that_ends_in_its_sleep_is_taken_off(world: World) -> None:
    """After an oops nobody calls the sleeper again: does its end leave nothing on the lists?"""
    semid = make(world, 2)
    assert world.semop(2, semid, (0, -1, 0)) is ASLEEP  # has all caches made
    exit_sem(world.task(2))
    before = world.usage()
    assert world.semop(0, semid, (0, -1, SEM_UNDO), (1, -1, SEM_UNDO)) is ASLEEP
    assert world.semop(1, semid, (0, -1, 0)) is ASLEEP
    assert control(world, semid, 0, sem.GETNCNT) == 2
    exit_sem(world.task(0))
    assert control(world, semid, 0, sem.GETNCNT) == 1
    assert world.semop(2, semid, (0, 1, 0)) == 0
    assert world.again(1, "semop") == 0
    assert world.values(semid, 2, 2) == (0, 0)
    assert world.usage() == before


@pytest.mark.parametrize("failing", ["kzalloc", "kmalloc"])
def test_sleep_without_memory_leaves_nothing(world: World, monkeypatch: pytest.MonkeyPatch,
                                             failing: str) -> None:
    """Does a call that cannot sleep for want of memory fail with ENOMEM and change nothing?"""
    semid = make(world, 1)
    assert world.semop(1, semid, (0, -1, 0)) is ASLEEP
    before = world.usage()

    def fail(*_: object) -> None:
        raise OutOfFrames

    monkeypatch.setattr(sem, failing, fail)
    assert world.semop(0, semid, (0, -1, 0)) == -Errno.ENOMEM
    assert control(world, semid, 0, sem.GETNCNT) == 1
    assert world.usage() == before
    if failing == "kmalloc":
        assert world.call(0, "semget", 5, 1, IPC_CREAT) == -Errno.ENOMEM
        assert world.call(0, "semget", 5, 1, 0) == -Errno.ENOENT


def test_set_without_a_number_is_freed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is nothing left of a set that no index could be stored for?"""
    make(world, 1)
    before = world.usage()

    def fail(*_: object) -> None:
        raise OutOfFrames

    monkeypatch.setattr(util, "idr_alloc_cyclic", fail)
    assert world.call(0, "semget", 5, 100, IPC_CREAT) == -Errno.ENOMEM
    assert world.usage() == before


@pytest.mark.parametrize("name", ["sem_sleep", "sem_undo", "semget"])
def test_program_leaves_nothing_behind(session: Session, name: str) -> None:
    """Are all frames free again after processes have slept, died and undone?"""
    program = str(compile_c(ROOT / "tests" / "syscalls" / f"{name}.c"))
    left = []
    for _ in range(2):
        assert session.run([program]).status == 0
        k = session.kernel.k
        shrink_slabs(k)
        drain_local_pages(k)
        left.append(nr_free_pages(k))
    assert left[0] == left[1]
