"""Pipes against a model, by two tasks that share the descriptors; and what is given back."""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from vfs_fixture import NUMBERS, USER, USER_END, World

from emulator.arch.paging import PAGE_SIZE
from guest_kernel.errors import Errno, Sleep
from guest_kernel.fs.d_path import d_path
from guest_kernel.fs.file import exit_files, fget, files_of, get_files_struct, put_restart_file
from guest_kernel.fs.fs_struct import alloc_fs_struct
from guest_kernel.fs.namespace import load_path, root_place
from guest_kernel.layout.sched import RLIMIT_NOFILE, TIF_SIGPENDING, pcpu_hot, task_struct
from guest_kernel.mm.page_alloc import OutOfFrames, alloc_page, nr_free_pages, put_page
from guest_kernel.mm.slab import kzalloc
from guest_kernel.sched.wait import finish_wait

O_NONBLOCK, O_DIRECT = 0o4000, 0o40000
F_SETFL, F_SETPIPE_SZ, FIONREAD = 4, 1031, 0x541B
IN, OUT, ERR, HUP, NVAL, RDNORM, WRNORM = 1, 4, 8, 16, 32, 0x40, 0x100
SLEEPER_BUFFER = USER  # of the task that sleeps; the other one's lies behind it
OTHER_BUFFER = USER + 32 * PAGE_SIZE


@dataclass
class Slot:
    """A slot of the ring: where its bytes begin in the frame, and whether others may follow."""

    start: int
    data: bytes
    packet: bool


class Model:
    """What pipe(7) and Linux's fs/pipe.c say."""

    def __init__(self, slots: int) -> None:
        self.slots: list[Slot] = []
        self.max = slots

    @property
    def bytes(self) -> int:
        return sum(len(slot.data) for slot in self.slots)

    def write(self, data: bytes, packet: bool, again: bool, readable: int) -> tuple[int, bool]:
        """Add what there is room for; return the bytes, and whether memory ended before."""
        done, rest = 0, len(data) % PAGE_SIZE
        last = self.slots[-1] if self.slots else None
        if not again and rest and last and not last.packet and (
            last.start + len(last.data) + rest <= PAGE_SIZE
        ):
            if rest > readable:
                return 0, True
            last.data += data[:rest]
            done = rest
        while done < len(data) and len(self.slots) < self.max:
            part = data[done : done + PAGE_SIZE]
            if done + len(part) > readable:
                return done, True
            self.slots.append(Slot(0, part, packet))
            done += len(part)
        return done, False

    def read(self, size: int, writable: int) -> tuple[bytes, bool]:
        """Take up to ``size`` bytes; return them, and whether memory ended before."""
        found = b""
        while self.slots and len(found) < size:
            slot = self.slots[0]
            part = slot.data[: size - len(found)]
            if len(found) + len(part) > writable:
                return found, True
            found += part
            if slot.packet or len(part) == len(slot.data):
                del self.slots[0]
                if slot.packet:
                    break
            else:
                slot.start += len(part)
                slot.data = slot.data[len(part) :]
        return found, False


class Tasks:
    """A world with two tasks that share their files, and what the dispatcher and scheduler do."""

    def __init__(self) -> None:
        self.woken: set[int] = set()
        self.signals: list[int] = []
        self._patch = pytest.MonkeyPatch()
        self._patch.setattr(
            "guest_kernel.sched.wait.try_to_wake_up", lambda task, _: self.woken.add(task.pa)
        )
        self._patch.setattr(
            "guest_kernel.fs.pipe.send_sig", lambda sig, _: self.signals.append(sig)
        )
        self.world = World()
        self.world.warm_up()
        k = self.world.k
        first = self.world.task
        second = kzalloc(k, task_struct)
        second.pid = second.tgid = 2
        second.signal, second.mm = first.signal, first.mm
        second.files = get_files_struct(files_of(first))
        second.fs = alloc_fs_struct(k, root_place(k))
        self.first, self.second = first.pa, second.pa
        self.call(self.first, "pipe", self.out())
        for fd in (0, 1):
            self.call(self.first, "close", fd)
        self.before = self.world.usage()

    def close(self) -> None:
        self.world.close()
        self._patch.undo()

    def out(self) -> int:
        self.world.brk = OTHER_BUFFER
        return self.world.alloc(8)

    def task(self, pa: int) -> task_struct:
        return task_struct(self.world.k, pa)

    def call(self, pa: int, name: str, *arguments: int) -> int | None:
        """Make a call, or make it again; None: the task sleeps."""
        world, task = self.world, self.task(pa)
        world.k.data(pcpu_hot).current_task = world.task = task
        block = task.restart_block
        if block.fn:
            finish_wait(task)
            setattr(task, "__state", 0)  # the name would be mangled in a class
        self.woken.discard(pa)
        try:
            n = world.call(name, *arguments)
        except Sleep:
            block.fn = NUMBERS[name] + 1
            return None
        block.fn = 0
        put_restart_file(task)
        return n

    def pending(self, pa: int, on: bool) -> None:
        self.task(pa).thread_info.flags = TIF_SIGPENDING if on else 0


def pattern(start: int, size: int) -> bytes:
    """Bytes of which each few are like no others."""
    words = range(start, start + size // 4 + 2)
    return struct.pack(f"<{len(words)}I", *words)[:size]


SIGPIPE = 13
SIZES = st.one_of(
    st.sampled_from([1, 2, 4095, 4096, 4097, 8191, 8192, 20480, 30000]),
    st.integers(1, 200), st.integers(1, 10000),
)
LOST = st.one_of(st.just(0), SIZES)


class PipeMachine(RuleBasedStateMachine):
    """One task never waits; the other does, and is tried again now and then."""

    @initialize(slots=st.sampled_from([1, 2, 4, 16]), amnesia=st.booleans())
    def start(self, slots: int, amnesia: bool) -> None:
        self.tasks = Tasks()
        self.amnesia = amnesia
        self.counter = 0
        self.sleeper = ""  # the call that the other task sleeps in
        self.size = self.done = 0  # its bytes: all, and those that are written
        self.data = b""
        self.make_pipe(slots)

    def make_pipe(self, slots: int) -> None:
        out = self.tasks.out()
        assert self.call("pipe2", out, 0) == 0
        self.r, self.w = struct.unpack("<2i", self.tasks.world.read(out, 8))
        assert self.call("fcntl", self.r, F_SETPIPE_SZ, slots * PAGE_SIZE) == slots * PAGE_SIZE
        self.is_open = {"read": True, "write": True}
        self.packets = False
        self.model = Model(slots)

    def can(self, what: str) -> bool:
        """Whether somebody can read, or write: also who sleeps in it."""
        return self.is_open[what] or self.sleeper == what

    def call(self, name: str, *arguments: int) -> int:
        """Make a call as the task that never waits."""
        if self.amnesia:
            self.tasks.world.forget()
        n = self.tasks.call(self.tasks.first, name, *arguments)
        assert n is not None
        return n

    def try_call(self, name: str, fd: int, *arguments: int) -> int:
        """Make a call with O_NONBLOCK, which the other task must not find set."""
        flags = O_DIRECT if name == "write" and self.packets else 0
        assert self.call("fcntl", fd, F_SETFL, O_NONBLOCK | flags) == 0
        n = self.call(name, fd, *arguments)
        assert self.call("fcntl", fd, F_SETFL, flags) == 0
        return n

    def fill(self, at: int, size: int) -> bytes:
        data = pattern(self.counter, size)
        self.counter += size // 4 + 2
        self.tasks.world.write(at, data)
        return data

    def expect_broken(self, n: int | None, done: int = 0) -> None:
        assert n == (done or -Errno.EPIPE)
        assert self.tasks.signals.pop() == SIGPIPE

    # ---- the task that never waits

    @precondition(lambda self: self.is_open["write"])
    @rule(size=SIZES, lost=LOST)
    def write(self, size: int, lost: int) -> None:
        """Write, perhaps from a buffer whose last ``lost`` bytes are not there."""
        readable = max(size - lost, 0)
        at = USER_END - readable if lost else OTHER_BUFFER
        data = self.fill(at, readable) + bytes(size - readable)
        n = self.try_call("write", self.w, at, size)
        if not self.can("read"):
            self.expect_broken(n)
            return
        done, fault = self.model.write(data, self.packets, False, readable)
        assert n == (done or (-Errno.EFAULT if fault else -Errno.EAGAIN))

    @precondition(lambda self: self.is_open["read"])
    @rule(size=SIZES, lost=LOST)
    def read(self, size: int, lost: int) -> None:
        """Read, perhaps into a buffer whose last ``lost`` bytes are not there."""
        writable = max(size - lost, 0)
        at = USER_END - writable if lost else OTHER_BUFFER
        empty = not self.model.slots
        n = self.try_call("read", self.r, at, size)
        if empty:
            assert n == (-Errno.EAGAIN if self.can("write") else 0)
            return
        data, _ = self.model.read(size, writable)
        assert n == (len(data) or -Errno.EFAULT)
        assert not data or self.tasks.world.read(at, len(data)) == data

    @precondition(lambda self: self.is_open["write"])
    @rule()
    def switch_packets(self) -> None:
        self.packets = not self.packets
        assert self.call("fcntl", self.w, F_SETFL, O_DIRECT if self.packets else 0) == 0

    @precondition(lambda self: self.is_open["read"])
    @rule(slots=st.sampled_from([1, 2, 4, 8, 32]))
    def resize(self, slots: int) -> None:
        n = self.call("fcntl", self.r, F_SETPIPE_SZ, slots * PAGE_SIZE)
        if slots < len(self.model.slots):
            assert n == -Errno.EBUSY
        else:
            assert n == slots * PAGE_SIZE
            self.model.max = slots

    @precondition(lambda self: any(self.is_open.values()))
    @rule(what=st.sampled_from(["read", "write"]), often=st.integers(0, 3))
    def close_an_end(self, what: str, often: int) -> None:
        """Close an end; one that the other task sleeps in lives on without a descriptor."""
        if often or not self.is_open[what]:
            return
        assert self.call("close", self.r if what == "read" else self.w) == 0
        self.is_open[what] = False

    @precondition(lambda self: not self.sleeper and not any(self.is_open.values()))
    @rule(slots=st.sampled_from([1, 2, 4, 16]))
    def make_another(self, slots: int) -> None:
        self.make_pipe(slots)

    # ---- the task that waits

    @precondition(lambda self: not self.sleeper and self.is_open["read"])
    @rule(size=SIZES)
    def begin_read(self, size: int) -> None:
        self.size = size
        self.go_on("read", False)

    @precondition(lambda self: not self.sleeper and self.is_open["write"])
    @rule(size=SIZES)
    def begin_write(self, size: int) -> None:
        self.size, self.done, self.data = size, 0, self.fill(SLEEPER_BUFFER, size)
        self.go_on("write", False)

    @precondition(lambda self: self.sleeper)
    @rule()
    def wake(self) -> None:
        """Let the task look again, whether it was woken or not."""
        self.go_on(self.sleeper, True)

    @precondition(lambda self: self.sleeper)
    @rule()
    def interrupt(self) -> None:
        self.tasks.pending(self.tasks.second, True)
        self.go_on(self.sleeper, True, signal=True)
        self.tasks.pending(self.tasks.second, False)
        assert not self.sleeper

    def go_on(self, what: str, again: bool, signal: bool = False) -> None:
        """Make the task's call, or make it again, and compare what comes of it."""
        if self.amnesia:
            self.tasks.world.forget()
        fd = self.r if what == "read" else self.w
        n = self.tasks.call(self.tasks.second, what, fd, SLEEPER_BUFFER, self.size)
        other = self.can("write" if what == "read" else "read")
        if what == "read":
            data, _ = self.model.read(self.size, self.size)
            if data:
                assert n == len(data)
                assert self.tasks.world.read(SLEEPER_BUFFER, len(data)) == data
            expected = len(data) or (None if other else 0)
        elif not other:
            self.expect_broken(n, self.done)
            expected = n
        else:
            rest = self.data[self.done :]
            self.done += self.model.write(rest, self.packets, again, len(rest))[0]
            expected = self.done if self.done == self.size else None
        if expected is None and signal:
            expected = (what == "write" and self.done) or -Errno.ERESTARTSYS
        assert n == expected
        self.sleeper = what if n is None else ""

    # ---- what always holds

    @invariant()
    def whoever_can_go_on_is_awake(self) -> None:
        slots, tasks = self.model.slots, self.tasks
        can_go_on = (
            (self.sleeper == "read" and (slots or not self.can("write")))
            or (self.sleeper == "write" and (len(slots) < self.model.max or not self.can("read")))
        )
        assert not can_go_on or tasks.second in tasks.woken

    @invariant()
    def the_ends_say_what_is_there(self) -> None:
        world, model = self.tasks.world, self.model
        va = self.tasks.out()
        for what, fd in ("read", self.r), ("write", self.w):
            if not self.is_open[what]:
                continue
            assert self.call("ioctl", fd, FIONREAD, va) == 0
            assert struct.unpack("<i", world.read(va, 4))[0] == model.bytes
            world.write(va, struct.pack("<iHH", fd, 0x145, 0))
            assert self.call("poll", va, 1, 0) >= 0
            events = struct.unpack("<iHH", world.read(va, 8))[2]
            if what == "read":
                assert events == (IN | RDNORM if model.slots else 0) | (
                    0 if self.can("write") else HUP
                )
            else:
                assert events == (OUT | WRNORM if len(model.slots) < model.max else 0) | (
                    0 if self.can("read") else ERR
                )

    def teardown(self) -> None:
        """Is everything given back?"""
        if not hasattr(self, "tasks"):
            return
        try:
            if self.sleeper:
                self.interrupt()
            for what, fd in ("read", self.r), ("write", self.w):
                if self.is_open[what]:
                    assert self.call("close", fd) == 0
            assert self.tasks.world.usage() == self.tasks.before
            assert not self.tasks.task(self.tasks.second).wait.private
            assert not self.tasks.signals
        finally:
            self.tasks.close()


TestPipe = PipeMachine.TestCase
TestPipe.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)


@pytest.mark.campaign
def test_many_orders_of_calls() -> None:
    """Does the model hold for long runs, many of them?"""
    run_state_machine_as_test(
        PipeMachine, settings=settings(max_examples=1000, stateful_step_count=60, deadline=None)
    )


@pytest.fixture
def tasks() -> Iterator[Tasks]:
    made = Tasks()
    yield made
    made.close()


def make_pipe(tasks: Tasks, flags: int = 0) -> tuple[int, int]:
    out = tasks.out()
    assert tasks.call(tasks.first, "pipe2", out, flags) == 0
    reader, writer = struct.unpack("<2i", tasks.world.read(out, 8))
    return reader, writer


@pytest.mark.parametrize("what", ["read", "write"])
def test_the_last_close_of_the_other_side_wakes(tasks: Tasks, what: str) -> None:
    """Is a reader woken by the end of the file, a writer by the end of all readers?"""
    reader, writer = make_pipe(tasks)
    if what == "write":
        assert tasks.call(tasks.first, "write", writer, OTHER_BUFFER, 65536) == 65536
    fd, other = (reader, writer) if what == "read" else (writer, reader)
    assert tasks.call(tasks.second, what, fd, SLEEPER_BUFFER, 1) is None
    again = tasks.call(tasks.first, "dup", other)
    assert again is not None
    assert tasks.call(tasks.first, "close", other) == 0
    assert not tasks.woken
    assert tasks.call(tasks.first, "close", again) == 0
    assert tasks.woken == {tasks.second}
    expected = 0 if what == "read" else -Errno.EPIPE
    assert tasks.call(tasks.second, what, fd, SLEEPER_BUFFER, 1) == expected


def test_a_write_that_has_waited_is_not_merged(tasks: Tasks) -> None:
    """Does it get a slot of its own, though it would fit behind what came meanwhile?"""
    reader, writer = make_pipe(tasks)
    assert tasks.call(tasks.first, "fcntl", reader, F_SETPIPE_SZ, 2 * PAGE_SIZE) == 2 * PAGE_SIZE
    assert tasks.call(tasks.first, "write", writer, OTHER_BUFFER, 2 * PAGE_SIZE) == 2 * PAGE_SIZE
    assert tasks.call(tasks.second, "write", writer, SLEEPER_BUFFER, 10) is None
    assert tasks.call(tasks.first, "read", reader, OTHER_BUFFER, PAGE_SIZE) == PAGE_SIZE
    assert tasks.call(tasks.first, "write", writer, OTHER_BUFFER, 10) == 10
    assert tasks.call(tasks.second, "write", writer, SLEEPER_BUFFER, 10) is None
    assert tasks.call(tasks.first, "read", reader, OTHER_BUFFER, PAGE_SIZE) == PAGE_SIZE
    assert tasks.call(tasks.second, "write", writer, SLEEPER_BUFFER, 10) == 10


def test_a_pipe_has_a_name_of_its_own(tasks: Tasks) -> None:
    """Do both ends answer pipe:[inode number], as links in /proc show it?"""
    reader, writer = make_pipe(tasks)
    task = tasks.task(tasks.first)
    names = {d_path(load_path(fget(task, fd).f_path), task) for fd in (reader, writer)}
    assert names == {b"pipe:[%d]" % fget(task, reader).f_inode.i_ino}


@pytest.mark.parametrize("limit", [0, 1])
def test_a_pipe_without_descriptors_is_not_made(tasks: Tasks, limit: int) -> None:
    """If a descriptor is missing: EMFILE, and is everything given back?"""
    signal = tasks.world.task.signal
    assert signal is not None
    signal.rlim[RLIMIT_NOFILE].rlim_cur = limit
    assert tasks.call(tasks.first, "pipe", tasks.out()) == -Errno.EMFILE
    assert tasks.world.usage() == tasks.before


def test_a_pipe_without_memory_is_not_made(
    tasks: Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever allocation fails: is everything given back, and the next pipe whole?"""
    for module in ("fs.pipe", "fs.file_table", "fs.dcache", "fs.inode"):
        for name in ("kzalloc", "kmalloc"):
            target = f"guest_kernel.{module}.{name}"
            try:
                monkeypatch.setattr(target, _failing(target))
            except AttributeError:
                continue
    for steps in range(20):
        _failures[:] = [steps]
        try:
            reader, writer = make_pipe(tasks)
        except OutOfFrames:
            assert tasks.world.usage() == tasks.before
            continue
        break
    assert steps == 6  # two files, a dentry, an inode, a pipe and its ring
    for fd in (reader, writer):
        assert tasks.call(tasks.first, "close", fd) == 0
    assert tasks.world.usage() == tasks.before


# How many allocations succeed before one fails.
_failures: list[int] = []


def _failing(target: str) -> Any:
    module, _, name = target.rpartition(".")
    allocate = getattr(sys.modules[module], name)

    def fail(*arguments: Any) -> Any:
        _failures[0] -= 1
        if _failures[0] == -1:
            raise OutOfFrames(target)
        return allocate(*arguments)

    return fail


def test_a_write_takes_what_memory_there_is(tasks: Tasks) -> None:
    """If frames run out in the middle: does the write end with what is written?"""
    reader, writer = make_pipe(tasks)
    k = tasks.world.k
    hoard = []
    while nr_free_pages(k) > 3:
        hoard.append(alloc_page(k))
    data = pattern(0, 6 * PAGE_SIZE)
    tasks.world.write(OTHER_BUFFER, data)
    written = tasks.call(tasks.first, "write", writer, OTHER_BUFFER, len(data))
    assert written == 3 * PAGE_SIZE
    with pytest.raises(OutOfFrames):
        tasks.call(tasks.first, "write", writer, OTHER_BUFFER, len(data))
    for pa in hoard:
        put_page(k, pa)
    assert tasks.call(tasks.first, "read", reader, OTHER_BUFFER, len(data)) == written
    assert tasks.world.read(OTHER_BUFFER, written) == data[:written]


def test_who_dies_in_its_sleep_gives_the_file_back(tasks: Tasks) -> None:
    """Is the file that a sleeping read holds let go when its task ends there?"""
    reader, writer = make_pipe(tasks)
    assert tasks.call(tasks.second, "read", reader, SLEEPER_BUFFER, 1) is None
    for fd in (reader, writer):
        assert tasks.call(tasks.first, "close", fd) == 0
    assert tasks.world.usage() != tasks.before
    second = tasks.task(tasks.second)
    finish_wait(second)
    exit_files(second)
    assert tasks.world.usage() == tasks.before


def test_a_poll_keeps_the_pipe_whose_queue_it_is_on(tasks: Tasks) -> None:
    """Does a pipe live until a poll is off its queue, though all descriptors are closed?"""
    reader, writer = make_pipe(tasks)
    tasks.world.write(SLEEPER_BUFFER, struct.pack("<iHHiHH", reader, IN, 0, writer, 0, 0))
    assert tasks.call(tasks.second, "poll", SLEEPER_BUFFER, 2, -1 & 0xFFFF_FFFF) is None
    for fd in (reader, writer):
        assert tasks.call(tasks.first, "close", fd) == 0
    assert tasks.call(tasks.second, "poll", SLEEPER_BUFFER, 2, -1 & 0xFFFF_FFFF) == 2
    events = struct.unpack("<iHHiHH", tasks.world.read(SLEEPER_BUFFER, 16))
    assert events[2::3] == (NVAL, NVAL)
    assert tasks.world.usage() == tasks.before
