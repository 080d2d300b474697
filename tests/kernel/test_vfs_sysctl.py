"""/proc/sys/kernel/pid_max.  The answers are those of Linux 6.18, where pid_max was 32768."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from vfs_fixture import World

from guest_kernel.errors import Errno
from guest_kernel.fs.proc_sysctl import PROC_SYS_INO
from guest_kernel.fs.vfs import mount_proc
from guest_kernel.layout.sched import PID_MAX_DEFAULT, sched_data

O_WRONLY, O_RDWR, O_TRUNC, O_DIRECTORY, O_CREAT = 1, 2, 0o1000, 0o200000, 0o100
SEEK_SET, SEEK_CUR, SEEK_END = 0, 1, 2
PID_MAX = "/proc/sys/kernel/pid_max"


@pytest.fixture
def world() -> Iterator[World]:
    with World() as made:
        mount_proc(made.k)
        made.k.data(sched_data).pid_max = PID_MAX_DEFAULT
        yield made


def pid_max(world: World) -> int:
    return world.k.data(sched_data).pid_max


@pytest.mark.parametrize(("text", "expected", "value"), [
    (b"400", 3, 400),
    (b"400\n", 4, 400),
    (b" \t400 \n ", 8, 400),
    (b"\v400", 4, 400),
    (b"0x8001\n", 7, 0x8001),
    (b"0X8001", 6, 0x8001),
    (b"0100001", 7, 0o100001),
    (b"400 500\n", 4, 400),
    (b"400\n\v\f\r7", 7, 400),
    (b"00000000000000100001 ", 21, 0o100001),
    (b"301", 3, 301),
    (b"4194304", 7, 4194304),
    (b"", 0, 32768),
    *((text, -Errno.EINVAL, 32768) for text in (
        b" \n", b"abc", b"-5", b"0", b"300", b"4194305", b"9" * 30, b"0x", b"08", b"400x", b"400\0",
        b"+400", b"400,1", b"400\v", b"-", b"--1", b"000000000000000032768",
        b"0000000000000000100000")),
])
def test_what_is_written_is_read_as_linux_reads_it(
        world: World, text: bytes, expected: int, value: int) -> None:
    """Is a number stored, and how much of the text is it?"""
    fd = world.open(PID_MAX, O_RDWR)
    assert world.write_fd(fd, text) == expected
    assert pid_max(world) == value
    assert world.call("lseek", fd, 0, SEEK_CUR) == max(expected, 0)
    assert world.content(PID_MAX) == b"%d\n" % value


def test_a_write_behind_the_beginning_is_ignored(world: World) -> None:
    """Does a second write to the same descriptor seem to succeed, and change nothing?"""
    fd = world.open(PID_MAX, O_WRONLY | O_TRUNC)
    assert world.write_fd(fd, b"400 500\n") == 4
    assert world.write_fd(fd, b"500\n") == 4
    assert pid_max(world) == 400
    assert world.call("lseek", fd, 0, SEEK_CUR) == 8


@pytest.mark.parametrize(("size", "first"), [
    (0, b""), (1, b"3"), (3, b"327"), (5, b"32768"), (6, b"32768\n"), (7, b"32768\n")])
def test_one_read_has_all(world: World, size: int, first: bytes) -> None:
    """Is a read cut to what it asked for, and is the next one at the end?"""
    fd = world.open(PID_MAX)
    assert world.read_fd(fd, size) == first
    assert world.read_fd(fd, size) == b""


def test_a_long_read_or_write_needs_too_much_memory(world: World) -> None:
    """Is 4 MiB, which kmalloc() does not have, ENOMEM?"""
    fd = world.open(PID_MAX, O_RDWR)
    va = world.alloc(64)
    assert world.call("read", fd, va, 4 << 20) == -Errno.ENOMEM
    assert world.call("write", fd, va, 4 << 20) == -Errno.ENOMEM
    assert world.call("read", fd, va, (4 << 20) - 1) == 6


def test_bad_memory_is_efault(world: World) -> None:
    """Is a pointer into nowhere EFAULT, and the setting as it was?"""
    fd = world.open(PID_MAX, O_RDWR)
    assert world.call("read", fd, 8, 10) == -Errno.EFAULT
    assert world.call("write", fd, 8, 10) == -Errno.EFAULT
    assert pid_max(world) == PID_MAX_DEFAULT


def test_the_size_is_nothing(world: World) -> None:
    """Do truncating and seeking to the end find an empty file?"""
    fd = world.open(PID_MAX, O_RDWR | O_TRUNC)
    assert world.call("ftruncate", fd, 100) == 0
    found = world.stat(PID_MAX)
    assert not isinstance(found, int)
    assert (found.mode, found.size, found.ino) == (0o100644, 0, PROC_SYS_INO + 2)
    assert world.call("lseek", fd, 0, SEEK_END) == 0


def test_directories_show_what_is_there(world: World) -> None:
    """Are the directories listed, whole and in pieces, and nothing else found in them?"""
    assert world.listdir("/proc/sys") == [".", "..", "kernel"]
    assert world.listdir("/proc/sys/kernel", 32) == [".", "..", "pid_max"]
    assert world.open("/proc/sys/kernel", O_DIRECTORY) == 0
    assert world.open("/proc/sys/kernel/pid_min") == -Errno.ENOENT
    assert world.open("/proc/sys/new", O_CREAT) == -Errno.ENOENT
    assert world.open(PID_MAX + "/x") == -Errno.ENOTDIR
    assert world.call("unlink", PID_MAX) == -Errno.EPERM


def test_only_root_writes(world: World) -> None:
    """May another user read the file, but not open it for writing?"""
    world.task.uid = world.task.euid = world.task.fsuid = 1000
    assert world.open(PID_MAX, O_WRONLY) == -Errno.EACCES
    assert world.content(PID_MAX) == b"32768\n"
