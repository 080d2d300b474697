"""Reading and writing: faults in the middle, limits, holes, truncation, devices, times."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest
from vfs_fixture import EPOCH, USER_END, World

from emulator.arch.paging import PAGE_SIZE
from guest_kernel.errors import Errno
from guest_kernel.fs.file import fget
from guest_kernel.fs.read_write import kernel_read, kernel_write
from guest_kernel.layout.fs import MNT_RELATIME
from guest_kernel.layout.page import PG_held_code
from guest_kernel.layout.sched import RLIMIT_FSIZE
from guest_kernel.mm.filemap import (
    filemap_get_entry,
    fput,
    get_file,
    vma_file_page,
)
from guest_kernel.mm.page_alloc import page_count, page_ref, put_page
from guest_kernel.signal.numbers import SIGXFSZ

O_WRONLY, O_RDWR, O_CREAT, O_TRUNC, O_APPEND, O_NOATIME = 1, 2, 0o100, 0o1000, 0o2000, 0o1000000
TASK_SIZE_MAX = (1 << 47) - 4096
S_IFCHR = 0o020000


@pytest.fixture
def world() -> Iterator[World]:
    with World() as made:
        made.create("/f", bytes(range(256)) * 40)  # 10 240 bytes
        yield made


def make_device(world: World, name: str, major: int, minor: int) -> None:
    from guest_kernel.fs.dcache import d_backing_inode
    from guest_kernel.fs.namei import done_path_create, filename_create, vfs_mknod
    from guest_kernel.layout.fs import MKDEV

    place, new = filename_create(world.task, -100, name.encode())
    vfs_mknod(d_backing_inode(place.dentry), new, S_IFCHR | 0o666, MKDEV(major, minor), world.task)
    done_path_create(place, new)


# ---- faults


@pytest.mark.parametrize("room", [0, 1, 100, PAGE_SIZE, PAGE_SIZE + 5])
def test_read_stops_where_memory_ends(world: World, room: int) -> None:
    """If the buffer leaves mapped memory: what came before is read, EFAULT if that is nothing."""
    fd = world.open("/f")
    va = USER_END - room
    n = world.call("read", fd, va, 3 * PAGE_SIZE)
    # The copy is undone to whole pages: what is reported was stored, and the position is behind it.
    assert n == (room if room else -Errno.EFAULT)
    assert world.call("lseek", fd, 0, 1) == max(n, 0)
    if n > 0:
        assert world.read(va, n) == (bytes(range(256)) * 40)[:n]


@pytest.mark.parametrize("room", [0, 1, 100, PAGE_SIZE, PAGE_SIZE + 5])
@pytest.mark.parametrize("pos", [0, 4000, 20000])
def test_write_stops_where_memory_ends(world: World, room: int, pos: int) -> None:
    """If the buffer leaves mapped memory: what came before is written, and the file grows by it."""
    fd = world.open("/g", O_RDWR | O_CREAT)
    data = bytes(reversed(range(256))) * 40
    world.write(USER_END - room, data[:room])
    n = world.call("pwrite64", fd, USER_END - room, 3 * PAGE_SIZE, pos)
    assert n == (room if room else -Errno.EFAULT)
    found = world.fstat(fd)
    assert not isinstance(found, int)
    assert found.size == (pos + n if n > 0 else 0)
    assert world.content("/g") == (bytes(pos) + data[:room] if room else b"")


def test_vectors_stop_where_memory_ends(world: World) -> None:
    """If the second of three buffers faults: is the first one's data moved, and the third's not?"""
    fd = world.open("/f")
    first, third = world.alloc(100), world.put(b"\xaa" * 100)
    vec = world.put(struct.pack("<6Q", first, 100, USER_END - 10, 50, third, 100))
    assert world.call("readv", fd, vec, 3) == 110
    assert world.read(first, 100) + world.read(USER_END - 10, 10) == bytes(range(110))
    assert world.read(third, 100) == b"\xaa" * 100
    out = world.open("/g", O_RDWR | O_CREAT)
    assert world.call("writev", out, vec, 3) == 110
    assert world.content("/g") == bytes(range(110))


@pytest.mark.parametrize(("va", "size"), [
    (TASK_SIZE_MAX, 1), (TASK_SIZE_MAX - 1, 2), (0xFFFF_8880_0000_0000, 0), (0, (1 << 64) - 1),
    (0x40_0000, 1 << 63), (0x40_0000, (1 << 64) - 0x40_0000),
])
def test_buffers_outside_user_space(world: World, va: int, size: int) -> None:
    """Is a buffer that leaves user space EFAULT at once, whatever the size?"""
    fd = world.open("/f", O_RDWR)
    assert world.call("read", fd, va, size) == -Errno.EFAULT
    assert world.call("write", fd, va, size) == -Errno.EFAULT
    assert world.call("pread64", fd, va, size, 1 << 40) == -Errno.EFAULT
    world.open("/f", O_WRONLY)
    assert world.call("read", 1, va, size) == -Errno.EBADF


@pytest.mark.parametrize(("vec", "expected"), [
    ([], 0),
    ([(0, 0)], 0),
    ([(0, 1)], -Errno.EFAULT),
    ([(1 << 63, 0), (0, 0)], -Errno.EFAULT),
    ([(0x40_0000, 1 << 63)], -Errno.EINVAL),
    ([(0x40_0000, 8), (0x40_0000, -1)], -Errno.EINVAL),
    ([(0x40_0000, 8), (0x40_0000, TASK_SIZE_MAX)], -Errno.EFAULT),
    ([(0x40_0000, 3), (0, 0), (0x40_0010, 4)], 7),
])
def test_vectors(world: World, vec: list[tuple[int, int]], expected: int) -> None:
    """Are the sizes and addresses of an iovec checked as Linux does?"""
    fd = world.open("/f")
    world.brk += 64
    va = world.put(b"".join(struct.pack("<QQ", a, n & (1 << 64) - 1) for a, n in vec) or b"\0")
    assert world.call("readv", fd, va, len(vec)) == expected
    assert world.call("readv", fd, va, 1025) == -Errno.EINVAL
    assert world.call("readv", fd, USER_END, 1) == -Errno.EFAULT
    assert world.call("writev", fd, va, len(vec)) == -Errno.EBADF


def test_vector_of_many(world: World) -> None:
    """Do 1024 buffers move as one?"""
    fd = world.open("/f")
    base = world.alloc(10240)
    vec = world.put(b"".join(struct.pack("<QQ", base + 10 * i, 10) for i in range(1024)))
    assert world.call("readv", fd, vec, 1024) == 10240
    assert world.read(base, 10240) == world.content("/f")


# ---- positions and limits


def test_append_goes_to_the_end_wherever_the_position_is(world: World) -> None:
    """Does O_APPEND write at the end, move the position there, and make pwrite() append too?"""
    fd = world.open("/f", O_RDWR | O_APPEND)
    world.call("lseek", fd, 5, 0)
    assert world.write_fd(fd, b"end") == 3
    assert world.call("lseek", fd, 0, 1) == 10243
    assert world.call("pwrite64", fd, world.put(b"more"), 4, 0) == 4
    assert world.call("lseek", fd, 0, 1) == 10243
    assert world.content("/f")[10240:] == b"endmore"


def test_file_size_limit(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """RLIMIT_FSIZE: is a write cut at it, and EFBIG behind it, with a signal?"""
    sent: list[int] = []
    for module in ("open", "read_write"):
        monkeypatch.setattr(f"guest_kernel.fs.{module}.send_sig",
                            lambda sig, task: sent.append(sig))
    assert world.task.signal is not None
    world.task.signal.rlim[RLIMIT_FSIZE].rlim_cur = 10250
    fd = world.open("/f", O_RDWR | O_APPEND)
    assert world.write_fd(fd, b"x" * 20) == 10
    assert sent == []
    assert world.write_fd(fd, b"x") == -Errno.EFBIG
    assert world.call("ftruncate", fd, 10251) == -Errno.EFBIG
    assert world.call("truncate", "/f", 20000) == -Errno.EFBIG
    assert sent == [SIGXFSZ] * 3
    assert world.call("ftruncate", fd, 10) == 0
    assert sent == [SIGXFSZ] * 3


def test_positions_at_the_end_of_all_files(world: World) -> None:
    """Is the largest position possible, and what is behind it an error?"""
    fd = world.open("/f", O_RDWR)
    top = (1 << 63) - 1
    assert world.call("lseek", fd, top, 0) == top
    assert world.call("lseek", fd, 1, 1) == -Errno.EINVAL
    assert world.call("lseek", fd, -1, 0) == -Errno.EINVAL
    assert world.call("lseek", fd, 0, 99) == -Errno.EINVAL
    va = world.alloc(16)
    assert world.call("read", fd, va, 1) == -Errno.EINVAL
    assert world.call("write", fd, va, 0) == 0
    assert world.call("pwrite64", fd, va, 1, top - 1) == 1
    assert world.call("pwrite64", fd, va, 1, top) == -Errno.EINVAL
    found = world.fstat(fd)
    assert not isinstance(found, int)
    assert found.size == top
    assert found.blocks == 4 * 8  # three pages of data and the last one
    assert world.call("ftruncate", fd, 0) == 0


def test_seek_data_and_hole(world: World) -> None:
    """Is a file all data with a hole at its end?"""
    fd = world.open("/f")
    assert world.call("lseek", fd, 100, 3) == 100
    assert world.call("lseek", fd, 100, 4) == 10240
    assert world.call("lseek", fd, 10240, 3) == -Errno.ENXIO
    assert world.call("lseek", fd, -1, 4) == -Errno.ENXIO


# ---- pages


def test_holes_read_as_zeros_and_take_no_frames(world: World) -> None:
    """Is a hole free until it is written?"""
    fd = world.open("/hole", O_RDWR | O_CREAT)
    assert world.call("ftruncate", fd, 1 << 40) == 0
    before = world.usage()
    assert world.pread_fd(fd, 9000, 1 << 39) == bytes(9000)
    assert world.usage() == before
    world.call("pwrite64", fd, world.put(b"here"), 4, 1 << 39)
    assert world.pread_fd(fd, 8, (1 << 39) - 2) == b"\0\0here\0\0"


def test_truncation_clears_the_tail(world: World) -> None:
    """After shrinking and growing again: are the bytes between zeros?"""
    fd = world.open("/f", O_RDWR)
    world.call("ftruncate", fd, 5000)
    world.call("ftruncate", fd, 10000)
    assert world.content("/f") == (bytes(range(256)) * 40)[:5000] + bytes(5000)


def test_bytes_behind_the_end_do_not_come_back(world: World) -> None:
    """If a shared mapping wrote behind the end of the file: do growth and writes clear it?"""
    for grow in ("ftruncate", "pwrite"):
        world.create("/m", b"abc")
        fd = world.open("/m", O_RDWR)
        pa = vma_file_page(fget(world.task, fd), 0)
        world.k.u8[pa + 3 : pa + 10] = b"garbage"
        if grow == "ftruncate":
            world.call("ftruncate", fd, 100)
        else:
            world.call("pwrite64", fd, world.put(b"z"), 1, 99)
        assert world.content("/m")[:20] == b"abc" + bytes(17)
        put_page(world.k, pa)


def test_mapped_pages_are_the_file(world: World) -> None:
    """Is the frame of a mapping the page cache's, with a reference of its own, also of a hole?"""
    fd = world.open("/f", O_RDWR)
    f = fget(world.task, fd)
    pa = vma_file_page(f, 1)
    assert bytes(world.k.u8[pa : pa + 16]) == bytes(range(16))
    assert page_count(world.k, pa) == 2
    world.k.u8[pa] = 99
    assert world.pread_fd(fd, 1, PAGE_SIZE) == b"\x63"
    assert vma_file_page(f, 3) == 0  # behind the end: SIGBUS
    world.call("ftruncate", fd, 4 * PAGE_SIZE)
    hole = vma_file_page(f, 3)
    assert hole == filemap_get_entry(f.f_inode.i_mapping, 3)
    page = page_ref(world.k, hole)
    assert (page.mapping, page.index) == (f.f_inode.i_mapping.va, 3)
    world.call("ftruncate", fd, 0)
    assert page_count(world.k, pa) == page_count(world.k, hole) == 1
    assert page_ref(world.k, pa).mapping == 0
    put_page(world.k, pa)
    put_page(world.k, hole)


def test_writing_code_drops_its_translations(world: World) -> None:
    """Does write() to a page that the CPU may have translated say so?"""
    flushed: list[int] = []
    world.k.flush_code = flushed.append  # type: ignore[method-assign]  # a spy
    fd = world.open("/f", O_RDWR)
    pa = vma_file_page(fget(world.task, fd), 0)
    world.write_fd(fd, b"x")
    assert flushed == []
    page_ref(world.k, pa).flags |= 1 << PG_held_code
    world.write_fd(fd, b"x")
    world.call("ftruncate", fd, 10)
    assert flushed == [pa, pa]
    put_page(world.k, pa)


def test_a_mapping_keeps_its_file(world: World) -> None:
    """Does a file that a mapping holds live on when descriptor and name are gone?"""
    world.warm_up()
    before = world.usage()
    world.create("/m", bytes(5000))
    fd = world.open("/m")
    f = get_file(fget(world.task, fd))
    world.call("close", fd)
    world.call("unlink", "/m")
    pa = vma_file_page(f, 1)
    assert pa
    put_page(world.k, pa)
    fput(f)
    assert world.usage() == before


def test_the_kernel_reads_and_writes_files_itself(world: World) -> None:
    """Do kernel_read and kernel_write move bytes without user memory and without the position?"""
    fd = world.open("/f", O_RDWR)
    f = fget(world.task, fd)
    assert kernel_read(f, 6, 4094) == bytes((254, 255, 0, 1, 2, 3))
    assert kernel_read(f, 100, 10230) == bytes(range(246, 256))
    assert kernel_read(f, 100, 20000) == b""
    assert kernel_write(f, b"kernel", 4093) == 6
    assert kernel_read(f, 6, 4093) == b"kernel"
    assert world.call("lseek", fd, 0, 1) == 0


# ---- times


def test_times(world: World) -> None:
    """Which call sets which time, with relatime?"""
    found = world.stat("/f")
    assert not isinstance(found, int)
    assert found.atime == found.mtime == found.ctime == EPOCH

    def changed(action: object) -> str:
        before = world.stat("/f")
        assert callable(action)
        action()
        after = world.stat("/f")
        return "".join(
            letter for letter, name in (("a", "atime"), ("m", "mtime"), ("c", "ctime"))
            if (getattr(before, name), getattr(before, name + "_ns"))
            != (getattr(after, name), getattr(after, name + "_ns"))
        )

    fd = world.open("/f", O_RDWR)
    quiet = world.open("/f", O_NOATIME)
    assert changed(lambda: world.read_fd(quiet, 1)) == ""
    assert changed(lambda: world.read_fd(fd, 1)) == "a"
    assert changed(lambda: world.read_fd(fd, 1)) == ""  # relatime
    assert changed(lambda: world.write_fd(fd, b"x")) == "mc"
    assert changed(lambda: world.read_fd(fd, 1)) == "a"
    assert changed(lambda: world.read_fd(fd, 0)) == ""
    assert changed(lambda: world.call("ftruncate", fd, 10240)) == "mc"
    assert changed(lambda: world.call("truncate", "/f", 10240)) == ""
    assert changed(lambda: world.call("truncate", "/f", 1000)) == "mc"
    assert changed(lambda: world.open("/f", O_TRUNC)) == "mc"
    world.read_fd(fd, 1)
    world.machine.now += 24 * 3600 * 10**9
    assert changed(lambda: world.read_fd(fd, 1)) == "a"  # a day old
    mnt = fget(world.task, fd).f_path.mnt
    mnt.mnt_flags &= ~MNT_RELATIME
    assert changed(lambda: world.read_fd(fd, 1)) == "a"
    assert changed(lambda: world.read_fd(fd, 1)) == "a"


# ---- devices


@pytest.mark.parametrize(("name", "minor"), [
    ("null", 3), ("zero", 5), ("full", 7), ("random", 8), ("urandom", 9),
])
def test_memory_devices(world: World, name: str, minor: int) -> None:
    """Do the memory devices read, write, seek and fault as Linux's do?"""
    make_device(world, "/dev_" + name, 1, minor)
    fd = world.open("/dev_" + name, O_RDWR)
    assert fd == 0
    expected = {"null": b"", "zero": bytes(5000), "full": bytes(5000)}
    data = world.read_fd(fd, 5000)
    assert isinstance(data, bytes)
    assert data == expected.get(name, data)
    if "random" in name:
        assert len(data) == 5000
        assert len(set(data)) == 256
    # Only the random devices look at what is written.
    wrote = {"full": -Errno.ENOSPC, "null": 20, "zero": 20}.get(name, -Errno.EFAULT)
    assert world.call("write", fd, USER_END, 20) == wrote
    assert world.call("pwrite64", fd, USER_END - 10, 20, 5) == (10 if "random" in name else wrote)
    for arguments in ((5, 0), (-20, 0), (7, 1), (3, 2), (0, 1)):
        assert world.call("lseek", fd, *arguments) == 0
    if name != "null":
        assert world.call("read", fd, USER_END - 5000, 9000) == 5000
        assert world.call("read", fd, USER_END, 1) == -Errno.EFAULT
    found = world.fstat(fd)
    assert not isinstance(found, int)
    assert (found.mode, found.rdev, found.size) == (S_IFCHR | 0o666, 1 << 8 | minor, 0)
    assert world.call("ftruncate", fd, 0) == -Errno.EINVAL
    assert world.call("ioctl", fd, 0x5401, world.alloc(64)) == (
        -Errno.EINVAL if "random" in name else -Errno.ENOTTY
    )
    assert world.open("/dev_" + name, O_WRONLY | O_CREAT | O_TRUNC) == 1


def test_device_without_a_driver(world: World) -> None:
    """Is a device that nobody drives ENXIO, and its name usable all the same?"""
    world.warm_up()
    make_device(world, "/nobody", 240, 5)
    before = world.usage()
    assert world.open("/nobody") == -Errno.ENXIO
    assert world.usage() == before
    found = world.stat("/nobody")
    assert not isinstance(found, int)
    assert found.rdev == 240 << 8 | 5
    assert world.open("/nobody", 0o10000000) == 0  # O_PATH
