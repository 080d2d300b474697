"""RAM is the file systems' only memory, and all of it comes back.

Good: after any call, done or failed, even for want of memory, the free frames and the objects in
use are what the visible files and descriptors account for.  Bad: a count that grows with each try,
or a kernel object made anew that does not see what the old one did.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from vfs_fixture import AT_FDCWD, World

from guest_kernel.errors import Errno, KernelPanic
from guest_kernel.fs.dcache import d_lookup, dput
from guest_kernel.fs.namespace import root_place
from guest_kernel.fs.operations import FileOperations, file_operations
from guest_kernel.layout.fs import Ops, fs_data
from guest_kernel.mm import filemap, page_alloc, slab
from guest_kernel.mm.page_alloc import OutOfFrames

O_RDWR, O_CREAT, O_DIRECTORY, O_TMPFILE = 2, 0o100, 0o200000, 0o20200000


@pytest.fixture
def world() -> Iterator[World]:
    with World() as made:
        made.warm_up()
        yield made


def test_each_call_gives_everything_back(world: World) -> None:
    """Does repeated use of each call leave no frame and no object behind?"""
    world.call("mkdir", "/d", 0o755)
    world.create("/d/f", bytes(10000))
    world.symlink("d/f", "/l")
    va = world.alloc(256)
    before = world.usage()
    for i in range(50):
        fd = world.open("/l", O_RDWR)
        world.read_fd(fd, 5000)
        world.call("dup2", fd, 60)
        world.call("close", 60)
        world.call("close", fd)
        for path in ("/l", "/d/../l", "/nothing", "/d/f/x", "/l/" + "n" * 255, "/" + "n" * 256):
            world.stat(path)
            world.stat(path, "newlstat")
            world.call("readlink", path, va, 64)
            world.call("access", path, 4)
            world.call("chdir", path)
        world.create(f"/d/{i:060}", bytes(9000))
        world.call("unlink", f"/d/{i:060}")
        world.call("mkdir", "/d/e", 0o700)
        world.call("mkdir", "/d/e", 0o700)
        world.call("rmdir", "/d")
        world.call("rmdir", "/d/e")
        fd = world.open("/d", O_TMPFILE | O_RDWR)
        world.write_fd(fd, bytes(5000))
        world.call("close", fd)
        world.listdir("/d", 64)
        world.open("/d", O_RDWR)
        world.open("/d/f/", O_CREAT)
        world.open("/d/f", O_CREAT | O_DIRECTORY)
        world.open("/l", 0o400000)
    assert world.usage() == before


def test_removed_working_directory_is_freed_by_leaving_it(world: World) -> None:
    """Is a directory that was removed while a task was in it freed when the task leaves?"""
    before = world.usage()
    world.call("mkdir", "/d", 0o755)
    world.call("mkdir", "/d/e", 0o755)
    world.call("chdir", "/d/e")
    world.call("rmdir", "/d/e")
    assert world.call("rmdir", "/d") == 0
    assert world.usage() != before
    world.call("chdir", "/")
    assert world.usage() == before


OPERATIONS: dict[str, Callable[[World], int]] = {
    "create": lambda w: w.open("/d/new", O_RDWR | O_CREAT),
    "create with a long name": lambda w: w.open("/d/" + "n" * 100, O_RDWR | O_CREAT),
    "open": lambda w: w.open("/d/f"),
    "tmpfile": lambda w: w.open("/d", O_RDWR | O_TMPFILE),
    "mkdir": lambda w: w.call("mkdir", "/d/new", 0o755),
    "symlink": lambda w: w.symlink("target", "/d/new") or 0,
    "write": lambda w: w.write_fd(5, bytes(3 * 4096)),
    "write far away": lambda w: w.call("pwrite64", 5, w.put(b"x"), 1, 1 << 40),
    "dup2 far away": lambda w: w.call("dup2", 5, 900),
}


@pytest.mark.parametrize("name", list(OPERATIONS))
def test_want_of_memory_leaves_nothing_behind(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """If the n-th allocation of a call fails, for each n: is everything as before the call?"""
    world.call("mkdir", "/d", 0o755)
    while world.open("/d/f", O_RDWR | O_CREAT) != 5:
        pass
    usage = world.usage()
    entries = world.listdir("/d")
    for n in range(1, 30):
        left = n

        def failing(real: Callable[..., int]) -> Callable[..., int]:
            def allocate(*arguments: object) -> int:
                nonlocal left
                left -= 1
                if not left:
                    raise OutOfFrames("injected")
                return real(*arguments)

            return allocate

        slab.shrink_slabs(world.k)  # no structure is at hand
        with monkeypatch.context() as patch:
            patch.setattr(slab, "kmem_cache_alloc", failing(slab.kmem_cache_alloc))
            patch.setattr(filemap, "get_zeroed_page", failing(page_alloc.get_zeroed_page))
            patch.setattr(filemap, "alloc_page", failing(page_alloc.alloc_page))
            try:
                result = OPERATIONS[name](world)
            except OutOfFrames:
                result = -Errno.ENOMEM
        if left > 0:
            assert result >= 0  # there was no n-th allocation
            assert n > 1
            return
        if result == -Errno.ENOMEM:
            assert world.usage() == usage, n
            assert world.listdir("/d") == entries, n
        else:  # a write that was cut short
            assert 0 < result < 3 * 4096
            assert world.call("ftruncate", 5, 0) == 0
            world.call("lseek", 5, 0, 0)
            assert world.usage() == usage, n
    pytest.fail("30 allocations and no end")


def test_a_full_machine_cuts_a_write_short() -> None:
    """When RAM is full: is the write short, then ENOMEM, and all frames back after unlink()?"""
    with World(6 << 20) as world:
        world.warm_up()
        before = world.usage()
        fd = world.open("/big", O_RDWR | O_CREAT)
        va = world.alloc(65536)
        total = 0
        while (n := world.call("write", fd, va, 65536)) == 65536:
            total += n
        assert n >= 0
        total += n
        assert world.call("write", fd, va, 65536) == -Errno.ENOMEM
        found = world.fstat(fd)
        assert not isinstance(found, int)
        assert found.size == total
        world.call("close", fd)
        world.call("unlink", "/big")
        assert world.usage() == before


def test_new_kernel_objects_see_everything(world: World) -> None:
    """After all Python objects are thrown away: are files, positions, directories the same?"""
    world.call("mkdir", "/d", 0o755)
    world.call("chdir", "/d")
    world.create("f", b"0123456789")
    world.symlink("f", "l")
    fd = world.open("l", O_RDWR)
    world.read_fd(fd, 4)
    directory = world.open(".", O_DIRECTORY)
    first = world.getdents(directory, 48)
    assert isinstance(first, list)
    world.forget()
    assert world.read_fd(fd, 3) == b"456"
    world.forget()
    assert world.call("unlink", "f") == 0
    world.forget()
    assert world.pread_fd(fd, 10, 0) == b"0123456789"
    rest = world.getdents(directory, 256)
    assert isinstance(rest, list)
    assert [entry.name for entry in first + rest] == [".", "..", "l"]
    va = world.alloc(16)
    assert world.call("getcwd", va, 16) == 3


def test_the_dentry_cache_finds_by_parent_and_name(world: World) -> None:
    """Are many names in many directories found, each in its own?"""
    before = world.k.data(fs_data).nr_dentry
    for directory in ("/a", "/b", "/a/a"):
        world.call("mkdir", directory, 0o755)
        for i in range(200):
            world.create(f"{directory}/{i}", f"{directory}{i}".encode())
    for directory in ("/a", "/b", "/a/a"):
        for i in range(0, 200, 7):
            assert world.content(f"{directory}/{i}") == f"{directory}{i}".encode()
        assert len(world.listdir(directory)) == 202 + (directory == "/a")
    root = root_place(world.k).dentry
    assert d_lookup(root, b"0") is None
    assert world.k.data(fs_data).nr_dentry == before + 603


def test_a_reference_too_few_stops_the_machine(world: World) -> None:
    """Is a dentry whose count falls below 0 a panic that names it?"""
    world.create("/victim")
    found = d_lookup(root_place(world.k).dentry, b"victim")
    assert found is not None
    found.d_lockref.count = 0
    with pytest.raises(KernelPanic) as error:
        dput(found)
    assert str(error.value) == f"{found!r} b'victim': reference count is -1"


def test_numbers_of_operations_are_unique() -> None:
    """Is a second table with a number that is taken refused, and an unknown number a panic?"""
    with pytest.raises(ValueError, match=r"NULL_FOPS: 6> is NullOperations already$"):
        type("Another", (FileOperations,), {}, ops=Ops.NULL_FOPS)
    with pytest.raises(KernelPanic, match=r"^77 is not the number of a table of operations"):
        file_operations(77)


def test_failed_walks_keep_no_reference(world: World) -> None:
    """Do 41 symbolic links in a row, and a link to itself, end with ELOOP and no reference kept?"""
    world.symlink("loop", "/loop")
    before = world.usage()
    for _ in range(10):
        assert world.call("openat", AT_FDCWD, "/loop", 0, 0) == -Errno.ELOOP
        assert world.call("chdir", "/loop/x") == -Errno.ELOOP
    assert world.usage() == before
