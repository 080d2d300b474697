"""Descriptors: tables that grow, copies of them, fcntl(2), ioctl(2), what closing frees."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from vfs_fixture import USER_END, World

from guest_kernel.errors import Errno, SyscallError
from guest_kernel.fs.file import (
    alloc_files_struct,
    do_close_on_exec,
    dup_fd,
    files_of,
    get_files_struct,
    get_unused_fd_flags,
    put_files_struct,
    unshare_files,
)
from guest_kernel.fs.open import close_exec_file, do_open_execat
from guest_kernel.layout.fs import NR_OPEN_DEFAULT, fs_data
from guest_kernel.layout.sched import RLIMIT_NOFILE

O_RDWR, O_CREAT, O_TRUNC, O_CLOEXEC, O_DIRECT = 2, 0o100, 0o1000, 0o2000000, 0o40000
O_PATH, O_APPEND, O_NONBLOCK, O_LARGEFILE = 0o10000000, 0o2000, 0o4000, 0o100000
F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC = 0, 1, 2, 3, 4, 1030
FIOCLEX, FIONCLEX, FIONBIO, FIONREAD, FIGETBSZ, TCGETS = 0x5451, 0x5450, 0x5421, 0x541B, 2, 0x5401


@pytest.fixture
def world() -> Iterator[World]:
    with World() as made:
        made.create("/f", b"0123456789")
        yield made


def test_lowest_descriptor_is_taken(world: World) -> None:
    """Does open() take the lowest free descriptor, also below one that was closed?"""
    assert [world.open("/f") for _ in range(5)] == [0, 1, 2, 3, 4]
    world.call("close", 3)
    world.call("close", 1)
    assert [world.open("/f") for _ in range(3)] == [1, 3, 5]


def test_table_grows_up_to_the_limit(world: World) -> None:
    """Does a table grow past 64 descriptors, and end with EMFILE at RLIMIT_NOFILE?"""
    limit = 300
    assert world.task.signal is not None
    world.task.signal.rlim[RLIMIT_NOFILE].rlim_cur = limit
    fds = [world.open("/f") for _ in range(limit)]
    assert fds == list(range(limit))
    assert files_of(world.task).fdt.max_fds >= limit > NR_OPEN_DEFAULT
    assert world.open("/f") == -Errno.EMFILE
    assert world.call("dup", 0) == -Errno.EMFILE
    assert world.call("fcntl", 0, F_DUPFD, limit) == -Errno.EINVAL
    assert world.call("fcntl", 0, F_DUPFD, 5) == -Errno.EMFILE
    assert world.call("dup2", 0, limit) == -Errno.EBADF
    world.call("close", 123)
    assert world.call("fcntl", 0, F_DUPFD, 50) == 123
    for fd in (0, 63, 64, 127, 128, limit - 1):
        assert world.pread_fd(fd, 3, 2) == b"234"


def test_dup2_far_away(world: World) -> None:
    """Does dup2() to a high descriptor grow the table and leave the others alone?"""
    world.open("/f")
    assert world.call("dup2", 0, 1000) == 1000
    assert world.read_fd(1000, 4) == b"0123"
    assert world.read_fd(0, 4) == b"4567"  # one file, one position
    assert world.open("/f") == 1
    assert world.call("dup2", 77, 78) == -Errno.EBADF
    assert world.call("dup2", 77, 77) == -Errno.EBADF
    assert world.call("dup2", 0, 0) == 0
    assert world.call("dup3", 0, 0, 0) == -Errno.EINVAL
    assert world.call("dup3", 0, 5, O_NONBLOCK) == -Errno.EINVAL
    assert world.call("dup3", 0, 5, O_CLOEXEC) == 5
    assert world.call("fcntl", 5, F_GETFD, 0) == 1
    assert world.call("fcntl", 0, F_GETFD, 0) == 0


def test_a_copy_of_the_table_shares_files_only(world: World) -> None:
    """After fork: are the files shared, and the descriptors not?"""
    for _ in range(100):
        world.open("/f")
    world.call("close", 50)
    nr_files = world.k.data(fs_data).nr_files
    parent = files_of(world.task)
    child = dup_fd(parent)
    assert world.k.data(fs_data).nr_files == nr_files
    world.call("lseek", 7, 3, 0)
    world.task.files = child
    assert world.call("lseek", 7, 0, 1) == 3
    assert world.open("/f") == 50
    world.call("close", 7)
    world.task.files = parent
    assert world.call("lseek", 7, 0, 1) == 3
    assert world.open("/f") == 50
    put_files_struct(child)
    assert world.call("lseek", 99, 0, 1) == 0


@pytest.mark.parametrize("nr", [3, 70])
def test_descriptor_without_a_file_is_not_copied(world: World, nr: int) -> None:
    """Is a descriptor that another thread has taken, but not installed, free in the copy alone?"""
    for _ in range(nr):
        world.open("/f")
    assert get_unused_fd_flags(world.task, 0) == nr
    assert world.open("/f") == nr + 1
    parent = files_of(world.task)
    world.task.files = child = dup_fd(parent)
    assert [world.open("/f") for _ in range(2)] == [nr, nr + 2]
    world.task.files = parent
    assert world.open("/f") == nr + 2
    put_files_struct(child)


def test_unshare_before_exec(world: World) -> None:
    """Does execve() of one of two threads leave the other's descriptors open?"""
    world.open("/f", O_CLOEXEC)
    shared = get_files_struct(files_of(world.task))
    unshare_files(world.task)
    do_close_on_exec(files_of(world.task))
    assert world.call("lseek", 0, 0, 1) == -Errno.EBADF
    mine = world.task.files
    world.task.files = shared
    assert world.call("lseek", 0, 0, 1) == 0
    world.task.files = mine
    put_files_struct(shared)


def test_close_on_exec(world: World) -> None:
    """Does execve() close what has FD_CLOEXEC, and nothing else?"""
    for i in range(150):
        world.open("/f", O_CLOEXEC if i % 3 == 0 else 0)
    world.call("fcntl", 1, F_SETFD, 1)
    world.call("fcntl", 3, F_SETFD, 0)
    world.call("ioctl", 4, FIOCLEX, 0)
    world.call("ioctl", 6, FIONCLEX, 0)
    do_close_on_exec(files_of(world.task))
    still = [fd for fd in range(150) if world.call("lseek", fd, 0, 1) == 0]
    assert still == [fd for fd in range(150)
                     if (fd % 3 or fd in (3, 6)) and fd not in (1, 4)]
    assert world.open("/f") == 0


def test_everything_is_freed_with_the_last_table(world: World) -> None:
    """When the last task that uses a table exits, are frames and objects back?"""
    world.warm_up()
    before = world.usage()
    files = world.task.files
    world.task.files = alloc_files_struct(world.k)
    for _ in range(200):
        world.open("/f")
    child = dup_fd(files_of(world.task))
    put_files_struct(files_of(world.task))
    put_files_struct(child)
    world.task.files = files
    assert world.usage() == before


def test_unlinked_file_lives_until_it_is_closed(world: World) -> None:
    """Can an open file still be used after unlink(), and is it freed at close()?"""
    world.warm_up()
    before = world.usage()
    fd = world.open("/tmp_file", O_RDWR | O_CREAT)
    world.write_fd(fd, b"z" * 10000)
    assert world.call("unlink", "/tmp_file") == 0
    assert world.stat("/tmp_file") == -Errno.ENOENT
    found = world.fstat(fd)
    assert not isinstance(found, int)
    assert (found.nlink, found.size) == (0, 10000)
    assert world.pread_fd(fd, 5, 9990) == b"zzzzz"
    world.call("close", fd)
    assert world.usage() == before


def test_fcntl_flags(world: World) -> None:
    """Does F_GETFL show what is Linux's, and F_SETFL change only what it may?"""
    fd = world.open("/f", O_RDWR | O_TRUNC | O_APPEND | O_CLOEXEC | 0o400)
    assert world.call("fcntl", fd, F_GETFL, 0) == O_RDWR | O_APPEND | O_LARGEFILE
    assert world.call("fcntl", fd, F_SETFL, O_NONBLOCK | O_CREAT | 1) == 0
    assert world.call("fcntl", fd, F_GETFL, 0) == O_RDWR | O_NONBLOCK | O_LARGEFILE
    assert world.call("fcntl", fd, F_SETFL, O_DIRECT) == -Errno.EINVAL
    assert world.call("fcntl", fd, 99, 0) == -Errno.EINVAL
    assert world.call("fcntl", 9, 99, 0) == -Errno.EBADF
    assert world.call("fcntl", fd, F_DUPFD_CLOEXEC, 20) == 20
    assert world.call("fcntl", 20, F_GETFD, 0) == 1


def test_path_descriptors_can_do_little(world: World) -> None:
    """Is an O_PATH descriptor EBADF for all that needs an open file?"""
    fd = world.open("/f", O_PATH)
    va = world.alloc(256)
    for name, arguments in (
        ("read", (va, 1)), ("write", (va, 1)), ("lseek", (0, 0)), ("pread64", (va, 1, 0)),
        ("ftruncate", (0,)), ("getdents64", (va, 64)), ("ioctl", (TCGETS, va)),
        ("fcntl", (F_SETFL, 0)), ("readv", (va, 0)),
    ):
        assert world.call(name, fd, *arguments) == -Errno.EBADF, name
    assert world.call("fcntl", fd, F_GETFL, 0) == O_PATH | O_LARGEFILE & 0
    assert world.call("dup", fd) == 1
    assert not isinstance(world.fstat(fd), int)


def test_ioctl(world: World) -> None:
    """Do the requests that every file knows work, and all others end in ENOTTY?"""
    fd = world.open("/f", O_RDWR)
    va = world.put((1).to_bytes(4, "little"))
    assert world.call("ioctl", fd, FIONBIO, va) == 0
    assert world.call("fcntl", fd, F_GETFL, 0) & O_NONBLOCK
    world.call("lseek", fd, 4, 0)
    assert world.call("ioctl", fd, FIONREAD, va) == 0
    assert world.read(va, 4) == b"\6\0\0\0"
    assert world.call("ioctl", fd, FIGETBSZ, va) == 0
    assert world.read(va, 4) == (4096).to_bytes(4, "little")
    assert world.call("ioctl", fd, TCGETS, va) == -Errno.ENOTTY
    assert world.call("ioctl", fd, FIONREAD, USER_END) == -Errno.EFAULT
    assert world.call("ioctl", 50, TCGETS, va) == -Errno.EBADF


def test_a_program_that_runs_cannot_be_written(world: World) -> None:
    """ETXTBSY: does running a program keep it from being written, and writing from being run?"""
    assert world.call("access", "/f", 1) == -Errno.EACCES
    world.create("/program", b"\x7fELF", 0o755)
    program = do_open_execat(world.task, -100, b"/program")
    assert world.open("/program", O_RDWR) == -Errno.ETXTBSY
    assert world.open("/program", O_TRUNC) == -Errno.ETXTBSY
    assert world.call("truncate", "/program", 0) == -Errno.ETXTBSY
    assert world.open("/program") == 0
    close_exec_file(program)
    fd = world.open("/program", O_RDWR)
    assert fd == 1
    with pytest.raises(SyscallError) as error:
        do_open_execat(world.task, -100, b"/program")
    assert error.value.errno is Errno.ETXTBSY


def test_direct_io_is_refused(world: World) -> None:
    """Is O_DIRECT EINVAL, without a trace of the file left?"""
    world.warm_up()
    before = world.usage()
    assert world.open("/f", O_DIRECT) == -Errno.EINVAL
    assert world.usage() == before
    assert world.open("/f") == 0
