"""poll(2) on files that are always ready, that become ready, and that never do."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest
from vfs_fixture import USER_END, World

from guest_kernel.errors import Errno, Sleep
from guest_kernel.fs.file import fget
from guest_kernel.fs.operations import FileOperations
from guest_kernel.fs.poll import EPOLLHUP, EPOLLIN, EPOLLNVAL, EPOLLOUT, EPOLLPRI, EPOLLRDNORM
from guest_kernel.layout.fs import Ops, file
from guest_kernel.layout.sched import RLIMIT_NOFILE, TIF_SIGPENDING, wait_queue_head
from guest_kernel.mm.slab import kzalloc
from guest_kernel.sched.wait import (
    finish_wait,
    init_waitqueue_head,
    poll_table,
    poll_wait,
    waitqueue_active,
)

NR_POLL = 7


class SlowDevice(FileOperations):
    """A file whose readiness the test sets; its wait queue is at ``private_data``."""

    ready = 0

    def poll(self, f: file, pt: poll_table | None) -> int:
        poll_wait(wait_queue_head.at(f.k, f.private_data), pt)
        return self.ready


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setitem(FileOperations.tables, int(Ops.PIPE_FOPS), SlowDevice())
    monkeypatch.setattr(SlowDevice, "ready", 0)
    monkeypatch.setattr("guest_kernel.sched.wait.hrtimer_start", lambda *_: None)
    with World() as made:
        made.create("/f", b"x")
        yield made


def slow(world: World) -> tuple[int, wait_queue_head]:
    """Return a descriptor of a slow device, and its queue."""
    fd = world.open("/f")
    queue = kzalloc(world.k, wait_queue_head)
    init_waitqueue_head(queue)
    f = fget(world.task, fd)
    f.f_op = Ops.PIPE_FOPS
    f.private_data = queue.va
    return fd, queue


def poll(world: World, fds: list[tuple[int, int]], timeout: int) -> tuple[int, list[int]]:
    va = world.put(b"".join(struct.pack("<iHH", fd, events, 0xAAAA) for fd, events in fds) or b"\0")
    n = world.call("poll", va, len(fds), timeout)
    found = struct.iter_unpack("<iHH", world.read(va, 8 * len(fds)))
    return n, [revents for _, _, revents in found]


def test_regular_files_are_always_ready(world: World) -> None:
    """Is a regular file ready for what was asked, a closed descriptor invalid, a negative one 0?"""
    fd = world.open("/f")
    events = EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDNORM
    assert poll(world, [(fd, events), (77, EPOLLIN), (-1, EPOLLIN), (fd, 0)], -1) == (
        2, [EPOLLIN | EPOLLOUT | EPOLLRDNORM, EPOLLNVAL, 0, 0]
    )
    path = world.open("/f", 0o10000000)
    assert poll(world, [(path, EPOLLIN)], 0) == (1, [EPOLLNVAL])


def test_no_files(world: World) -> None:
    """Is a poll of nothing 0 at once if the time is 0?"""
    assert world.call("poll", 0, 0, 0) == 0


def test_bad_arguments(world: World) -> None:
    """Are a bad array EFAULT and too many files EINVAL?"""
    assert world.call("poll", USER_END, 1, 0) == -Errno.EFAULT
    assert world.task.signal is not None
    limit = world.task.signal.rlim[RLIMIT_NOFILE].rlim_cur
    assert world.call("poll", USER_END, limit + 1, 0) == -Errno.EINVAL


def test_time_zero_puts_nobody_on_a_queue(world: World) -> None:
    """Does a poll without time, or one that finds something, leave all queues empty?"""
    fd, queue = slow(world)
    assert poll(world, [(fd, EPOLLIN)], 0) == (0, [0])
    SlowDevice.ready = EPOLLIN | EPOLLHUP
    assert poll(world, [(fd, EPOLLOUT)], 1000) == (1, [EPOLLHUP])
    assert not waitqueue_active(queue)
    assert not world.task.wait.private


def test_sleeping_is_retrying(world: World) -> None:
    """Does a poll sleep on all queues, keep its deadline from try to try, and end at it?"""
    (first, one), (second, two) = slow(world), slow(world)
    block = world.task.restart_block
    fds = [(first, EPOLLIN), (second, EPOLLIN)]
    start = world.machine.now
    with pytest.raises(Sleep):
        poll(world, fds, 50)
    assert waitqueue_active(one)
    assert waitqueue_active(two)
    expires = block.expires
    assert start + 50_000_000 <= expires <= world.machine.now + 50_000_000

    # The dispatcher notes who sleeps, and makes the call again after the wake-up.
    block.fn = NR_POLL + 1
    finish_wait(world.task)
    setattr(world.task, "__state", 0)  # the name would be mangled in a class
    world.machine.now += 10_000_000
    with pytest.raises(Sleep):
        poll(world, fds, 50)
    assert block.expires == expires
    finish_wait(world.task)
    setattr(world.task, "__state", 0)  # likewise

    world.machine.now = expires
    assert poll(world, fds, 50) == (0, [0, 0])
    assert not waitqueue_active(one)

    SlowDevice.ready = EPOLLIN
    assert poll(world, fds, 50) == (2, [EPOLLIN, EPOLLIN])


def test_a_signal_ends_it(world: World) -> None:
    """Does a poll with a signal pending end rather than sleep, but a ready file come first?"""
    fd, queue = slow(world)
    world.task.thread_info.flags = TIF_SIGPENDING
    assert poll(world, [(fd, EPOLLIN)], -1)[0] == -Errno.ERESTART_RESTARTBLOCK
    assert not waitqueue_active(queue)
    SlowDevice.ready = EPOLLIN
    assert poll(world, [(fd, EPOLLIN)], -1) == (1, [EPOLLIN])
