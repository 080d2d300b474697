"""/proc/self, /proc/<pid>, exe; and what crossing a mount means for a path."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from vfs_fixture import AT_FDCWD, World

from guest_kernel.errors import Errno
from guest_kernel.fs.file import fget
from guest_kernel.fs.proc import proc_flush_pid
from guest_kernel.fs.vfs import mount_proc
from guest_kernel.layout.sched import sched_data, signal_struct, task_struct
from guest_kernel.lib.idr import idr_set_cursor
from guest_kernel.lib.list import list_add_tail, list_del
from guest_kernel.mm.filemap import fput, get_file
from guest_kernel.mm.slab import kfree, kzalloc
from guest_kernel.process.pid import (
    PIDTYPE_PID,
    PIDTYPE_TGID,
    alloc_pid,
    attach_pid,
    detach_pid,
    init_task_pid,
    pid_init,
    pid_nr,
    task_pid,
)

O_PATH, O_NOFOLLOW, O_CREAT, O_DIRECTORY = 0o10000000, 0o400000, 0o100, 0o200000


@pytest.fixture
def world() -> Iterator[World]:
    with World() as made:
        mount_proc(made.k)
        made.call("mkdir", "/bin", 0o755)
        made.create("/bin/program", b"\x7fELF", 0o755)
        pid_init(made.k)
        number_of(made.task, 17)
        fd = made.open("/bin/program")
        assert made.task.mm is not None
        made.task.mm.exe_file = get_file(fget(made.task, fd))
        made.call("close", fd)
        yield made


def number_of(task: task_struct, pid: int) -> None:
    """Give a task a number, as a process of its own."""
    idr_set_cursor(task.k.data(sched_data).init_pid_ns.idr, pid)
    number = alloc_pid(task.k)
    assert pid_nr(number) == pid
    task.pid = task.tgid = pid
    for kind in (PIDTYPE_PID, PIDTYPE_TGID):
        init_task_pid(task, kind, number)
        attach_pid(task, kind)


def end(task: task_struct) -> None:
    """Do what release_task() does for proc."""
    number = task_pid(task)
    assert number is not None
    proc_flush_pid(number)
    for kind in (PIDTYPE_PID, PIDTYPE_TGID):
        detach_pid(task, kind)
    list_del(task.tasks)
    kfree(task.signal)
    kfree(task)


def another_task(world: World, pid: int) -> task_struct:
    task = kzalloc(world.k, task_struct)
    task.signal = kzalloc(world.k, signal_struct)
    number_of(task, pid)
    task.start_time = 1000 + pid
    list_add_tail(task.tasks, world.k.data(sched_data).init_task.tasks)
    return task


def readlink(world: World, path: str, size: int = 64) -> bytes | int:
    va = world.alloc(size)
    n = world.call("readlink", path, va, size)
    return n if n < 0 else world.read(va, n)


def test_own_program(world: World) -> None:
    """Does readlink("/proc/self/exe") name the program, and opening it open the program?"""
    assert readlink(world, "/proc/self") == b"17"
    assert readlink(world, "/proc/self/exe") == b"/bin/program"
    assert readlink(world, "/proc/17/exe", 4) == b"/bin"
    assert world.content("/proc/self/exe") == b"\x7fELF"
    found = world.stat("/proc/self/exe")
    assert not isinstance(found, int)
    assert found.size == 4
    found = world.stat("/proc/self/exe", "newlstat")
    assert not isinstance(found, int)
    assert (found.mode, found.size) == (0o120777, 0)


def test_the_link_leads_to_the_file_not_to_its_name(world: World) -> None:
    """After the program's name is gone: does exe still lead to it, and say "(deleted)"?"""
    world.call("unlink", "/bin/program")
    assert readlink(world, "/proc/self/exe") == b"/bin/program (deleted)"
    assert world.content("/proc/self/exe") == b"\x7fELF"


@pytest.mark.parametrize(("path", "flags", "expected"), [
    ("/proc/self/exe/x", 0, -Errno.ENOTDIR),
    ("/proc/self/exe/", 0, -Errno.ENOTDIR),
    ("/proc/self/nothing", 0, -Errno.ENOENT),
    ("/proc/18", 0, -Errno.ENOENT),
    ("/proc/017", 0, -Errno.ENOENT),
    ("/proc/17", O_DIRECTORY, 0),
    ("/proc/new", O_CREAT, -Errno.ENOENT),
    ("/proc/self/new", O_CREAT, -Errno.ENOENT),
    ("/proc/self", O_NOFOLLOW, -Errno.ELOOP),
    ("/proc/self/exe", O_NOFOLLOW, -Errno.ELOOP),
    ("/proc/self/exe", O_NOFOLLOW | O_PATH, 0),
    ("/proc/self/../self/exe", 0, 0),
    ("/proc/../bin/program", 0, 0),
    ("/proc/self/../../bin/program", 0, 0),
    ("/proc/17/..", O_DIRECTORY, 0),
    ("/proc", 2, -Errno.EISDIR),
])
def test_paths(world: World, path: str, flags: int, expected: int) -> None:
    """Do paths through proc, down and up again, end where Linux's do?"""
    assert world.open(path, flags) == expected


def test_nothing_can_be_made_or_removed(world: World) -> None:
    """Do calls that change a directory fail in proc?"""
    assert world.call("mkdir", "/proc/x", 0o755) == -Errno.ENOENT
    assert world.call("mkdir", "/proc/self", 0o755) == -Errno.EEXIST
    assert world.call("unlink", "/proc/self") == -Errno.EPERM
    assert world.call("rmdir", "/proc/17") == -Errno.EPERM
    assert world.call("rmdir", "/proc") == -Errno.EBUSY
    assert world.call("unlink", "/proc") == -Errno.EISDIR


def test_processes_are_listed(world: World) -> None:
    """Does /proc list the processes by number, also in small pieces?"""
    for pid in (300, 2):
        another_task(world, pid)
    expected = [".", "..", "sys", "self", "2", "17", "300"]
    assert world.listdir("/proc") == expected
    assert world.listdir("/proc", 24) == expected
    assert world.listdir("/proc/self") == [".", "..", "exe", "maps"]


def test_a_process_that_is_gone(world: World) -> None:
    """Is the directory of a process that is gone not found, nor another's with its number?"""
    task = another_task(world, 50)
    assert readlink(world, "/proc/50/exe") == -Errno.ENOENT  # a kernel thread
    fd = world.open("/proc/50", O_DIRECTORY)
    assert world.call("chdir", "/proc/50") == 0
    end(task)
    assert world.stat("/proc/50") == -Errno.ENOENT
    assert world.getdents(fd, 64) == -Errno.ENOENT
    assert world.stat("exe") == -Errno.ESRCH
    newer = another_task(world, 50)
    newer.start_time = 99999
    assert not isinstance(world.stat("/proc/50"), int)
    world.call("chdir", "/")


def test_nothing_is_kept_beyond_the_process(world: World) -> None:
    """Is one dentry made for each name, and is it gone when its process is?"""
    world.warm_up()
    another = another_task(world, 18)
    end(another)
    world.stat("/proc/self/exe")
    before = world.usage()
    another = another_task(world, 18)
    assert readlink(world, "/proc/18/exe") == -Errno.ENOENT  # it has no program
    assert world.usage() != before
    end(another)
    assert world.usage() == before
    for path in ("/proc/self", "/proc/self/exe", "/proc/17", "/proc/18/x", "/proc/self/exe/x"):
        world.stat(path)
        world.stat(path, "newlstat")
        readlink(world, path)
        world.call("close", world.open(path))
    world.listdir("/proc")
    assert world.usage() == before


def test_working_directory_below_a_mount(world: World) -> None:
    """Does getcwd() go up through a mount?"""
    va = world.alloc(64)
    assert world.call("chdir", "/proc/self") == 0
    n = world.call("getcwd", va, 64)
    assert world.read(va, n) == b"/proc/17\0"
    assert world.call("chdir", "../..") == 0
    n = world.call("getcwd", va, 64)
    assert world.read(va, n) == b"/\0"


def test_statx_tells_mounts_apart(world: World) -> None:
    """Does statx() give each mount its number, and say where one begins?"""
    ids = []
    for path in ("/", "/bin", "/proc", "/proc/self/"):
        va = world.alloc(256)
        assert world.call("statx", AT_FDCWD, path, 0, 0x7FF, va) == 0
        data = world.read(va, 256)
        word = int.from_bytes(data[8:16], "little")
        ids.append((int.from_bytes(data[0x90:0x98], "little"), bool(word & 0x2000)))
    assert [root for _, root in ids] == [True, False, True, False]
    assert ids[0][0] == ids[1][0] != ids[2][0] == ids[3][0]


def test_exe_is_given_back(world: World) -> None:
    """When the address space goes: is the program's file closed?"""
    world.warm_up()
    assert world.task.mm is not None
    exe = world.task.mm.exe_file
    assert exe is not None
    assert exe.f_count == 1
    world.task.mm.exe_file = None
    fput(exe)
    assert readlink(world, "/proc/self/exe") == -Errno.ENOENT
