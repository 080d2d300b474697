"""getdents64(2): entries, positions that stay, buffers that are small."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest
from vfs_fixture import USER_END, World

from guest_kernel.errors import Errno

O_DIRECTORY = 0o200000


@pytest.fixture
def world() -> Iterator[World]:
    with World() as made:
        made.call("mkdir", "/d", 0o755)
        for i in range(20):
            made.create(f"/d/{i:02}")
        yield made


def names(world: World, fd: int, size: int = 4096) -> list[str]:
    entries = world.getdents(fd, size)
    assert isinstance(entries, list)
    return [entry.name for entry in entries]


def test_entries(world: World) -> None:
    """Do entries have the inode numbers and types that stat() shows?"""
    world.call("mkdir", "/d/sub", 0o755)
    world.symlink("x", "/d/link")
    fd = world.open("/d", O_DIRECTORY)
    entries = world.getdents(fd, 4096)
    assert isinstance(entries, list)
    assert [e.name for e in entries] == [".", "..", *(f"{i:02}" for i in range(20)), "sub", "link"]
    for entry in entries:
        found = world.stat(f"/d/{entry.name}", "newlstat")
        assert not isinstance(found, int)
        assert (entry.ino, entry.type) == (found.ino, found.mode >> 12)
    assert world.getdents(fd, 4096) == []


@pytest.mark.parametrize("size", [24, 25, 47, 48, 100, 512])
def test_small_buffers(world: World, size: int) -> None:
    """Do buffers of any size that holds an entry give all entries once?"""
    assert sorted(world.listdir("/d", size)) == sorted([".", "..", *(f"{i:02}" for i in range(20))])


def test_too_small_and_bad_buffers(world: World) -> None:
    """Is a buffer for less than an entry EINVAL, a bad one EFAULT, and a file ENOTDIR?"""
    fd = world.open("/d")
    assert world.getdents(fd, 23) == -Errno.EINVAL
    assert world.call("getdents64", fd, USER_END, 512) == -Errno.EFAULT
    assert world.call("lseek", fd, 0, 1) == 0
    assert world.call("getdents64", fd, USER_END - 24, 512) == 24  # "." alone fits
    file = world.open("/d/00")
    assert world.call("getdents64", file, world.alloc(64), 64) == -Errno.ENOTDIR
    assert world.read_fd(fd, 10) == -Errno.EISDIR
    assert world.pread_fd(fd, 10, 0) == -Errno.EISDIR


def test_positions_stay_while_entries_go(world: World) -> None:
    """If entries are removed while a directory is read: is no other entry missed or seen twice?"""
    fd = world.open("/d", O_DIRECTORY)
    seen = []
    while entries := world.getdents(fd, 80):
        assert isinstance(entries, list)
        for entry in entries:
            seen.append(entry.name)
            if entry.name.isdigit():
                assert world.call("unlink", f"/d/{entry.name}") == 0
    assert seen == [".", "..", *(f"{i:02}" for i in range(20))]
    assert world.call("rmdir", "/d") == 0
    assert world.getdents(fd, 80) == -Errno.ENOENT


def test_reading_ends_though_entries_are_made(world: World) -> None:
    """Does a program that makes an entry for each that it reads come to an end?"""
    fd = world.open("/d", O_DIRECTORY)
    count = 0
    while entries := world.getdents(fd, 48):
        assert isinstance(entries, list)
        for _ in entries:
            world.create(f"/d/new{count}")
            count += 1
    assert count == 22
    world.call("lseek", fd, 0, 0)
    assert len(names(world, fd)) == 44


def test_seeking(world: World) -> None:
    """Does d_off lead back to the entry behind, after other entries went?"""
    fd = world.open("/d", O_DIRECTORY)
    entries = world.getdents(fd, 4096)
    assert isinstance(entries, list)
    for i in (5, 10, 15):
        world.call("unlink", f"/d/{i:02}")
    for entry, following in pairwise(entries):
        assert world.call("lseek", fd, entry.off, 0) == entry.off
        if following.name not in ("05", "10", "15"):
            assert names(world, fd, 24) == [following.name]
    assert world.call("lseek", fd, 0, 2) == -Errno.EINVAL
    assert world.call("lseek", fd, -1, 0) == -Errno.EINVAL


def test_link_counts(world: World) -> None:
    """Does a directory count its own name, its dot, and each child's dot-dot?"""
    found = world.stat("/d")
    assert not isinstance(found, int)
    assert found.nlink == 2
    world.call("mkdir", "/d/e", 0o755)
    found = world.stat("/d")
    assert not isinstance(found, int)
    assert found.nlink == 3
    fd = world.open("/d/e")
    world.call("rmdir", "/d/e")
    found = world.stat("/d")
    assert not isinstance(found, int)
    assert found.nlink == 2
    found = world.fstat(fd)
    assert not isinstance(found, int)
    assert found.nlink == 0
