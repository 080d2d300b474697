"""The initial RAM file system: archives, good and bad, and what is made of them."""

from __future__ import annotations

import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vfs_fixture import World

from guest_kernel.errors import KernelPanic
from guest_kernel.fs.cpio import (
    CpioEntry,
    CpioError,
    char_device,
    directory,
    make_cpio,
    read_cpio,
    regular,
    symlink,
)
from guest_kernel.fs.initramfs import populate_rootfs
from guest_kernel.mm.slab import kfree_pa, kmalloc

ENTRIES = [
    directory("bin"),
    regular("bin/sh", b"\x7fELF" + bytes(10000), 0o755),
    symlink("bin/ash", "sh"),
    directory("dev"),
    char_device("dev/null", 1, 3),
    char_device("dev/console", 5, 1, 0o600),
    directory("tmp", 0o1777),
    regular("empty", b""),
    regular("page", b"p" * 4096),
    regular("unaligned", b"u" * 4099),
    regular("n" * 200, b"long"),
]


def unpack(world: World, archive: bytes) -> None:
    pa = kmalloc(world.k, max(len(archive), 1))
    world.k.u8[pa : pa + len(archive)] = archive
    try:
        populate_rootfs(world.k, pa, len(archive))
    finally:
        kfree_pa(world.k, pa)


def test_what_is_packed_is_unpacked() -> None:
    """Do types, permissions, contents, targets and devices arrive?"""
    with World() as world:
        unpack(world, make_cpio(ENTRIES))
        for entry in ENTRIES:
            path = "/" + entry.name.decode()
            found = world.stat(path, "newlstat")
            assert not isinstance(found, int)
            assert found.mode == entry.mode
            if stat.S_ISREG(entry.mode):
                assert world.content(path) == entry.data
            if stat.S_ISCHR(entry.mode):
                assert found.rdev == entry.rdev[0] << 8 | entry.rdev[1]
        assert world.content("/bin/ash") == world.content("/bin/sh")
        assert world.listdir("/") == [
            ".", "..", "bin", "dev", "tmp", "empty", "page", "unaligned", "n" * 200
        ]
        found = world.stat("/page")
        assert not isinstance(found, int)
        assert (found.nlink, found.blocks) == (1, 8)


def test_owner_and_times() -> None:
    """Do owner, group and modification time arrive, a directory's too though files come later?"""
    with World() as world:
        unpack(world, make_cpio([
            directory("d")._replace(mtime=1000, uid=7, gid=8),
            regular("d/f", b"x")._replace(mtime=2000, uid=1, gid=2),
        ]))
        for path, expected in (("/d", (7, 8, 1000)), ("/d/f", (1, 2, 2000))):
            found = world.stat(path)
            assert not isinstance(found, int)
            assert (found.uid, found.gid, found.mtime) == expected


def test_several_names_of_one_file() -> None:
    """Are entries with one inode number one file, whose contents come with the last?"""
    name = regular("a", b"")._replace(ino=77, nlink=3)
    with World() as world:
        unpack(world, make_cpio([
            name, name._replace(name=b"b"), directory("d"),
            name._replace(name=b"d/c", data=b"shared"),
        ]))
        for path in ("/a", "/b", "/d/c"):
            assert world.content(path) == b"shared"
            found = world.stat(path)
            assert not isinstance(found, int)
            assert found.nlink == 3


def test_later_entries_replace_earlier_ones() -> None:
    """Does a file take the place of a file or link of the same name, and a directory stay?"""
    with World() as world:
        unpack(world, make_cpio([directory("d"), regular("d/f", b"old" * 5000), symlink("l", "d")]))
        world.warm_up()
        before = world.usage()
        unpack(world, make_cpio([
            directory("d", 0o700), regular("d/f", b"new" * 5000), symlink("l", "d")
        ]))
        assert world.content("/d/f") == b"new" * 5000
        assert world.usage() == before


def test_frames_come_back() -> None:
    """Are all frames free again when the files are removed?"""
    with World() as world:
        world.warm_up()
        before = world.usage()
        unpack(world, make_cpio([regular(f"f{i}", bytes([i]) * 50000) for i in range(20)]))
        assert world.content("/f7") == b"\7" * 50000
        world.remove_all()
        assert world.usage() == before


def find_cpio() -> list[str] | None:
    """Return the command of some cpio: the host's, or that of a busybox."""
    busybox = Path(__file__).parents[2] / "build/debian/bin/busybox"
    if shutil.which("cpio"):
        return ["cpio"]
    if busybox.is_file():
        return [str(busybox), "cpio"]
    return None


@pytest.mark.skipif(find_cpio() is None, reason="not here: cpio (Debian: cpio or busybox-static)")
def test_cpio_unpacks_our_archives(tmp_path: Path) -> None:
    """Does cpio(1) make of an archive what we packed?"""
    files = [entry for entry in ENTRIES if not stat.S_ISCHR(entry.mode)]
    archive = make_cpio(files)
    command = find_cpio()
    assert command is not None
    subprocess.run([*command, "-i"], input=archive, cwd=tmp_path, check=True,
                   stderr=subprocess.DEVNULL)
    for entry in files:
        path = tmp_path / entry.name.decode()
        assert path.lstat().st_mode == entry.mode
        if stat.S_ISREG(entry.mode):
            assert path.read_bytes() == entry.data
        elif stat.S_ISLNK(entry.mode):
            assert str(path.readlink()).encode() == entry.data


def test_the_header_is_the_documented_one() -> None:
    """Are the fields where buffer-format.rst says, in hexadecimal, with the padding it wants?"""
    archive = make_cpio([regular("abc", b"12345", 0o640)._replace(uid=1, gid=2, mtime=3)])
    assert archive[:110] == (
        b"070701" b"00000001" b"000081a0" b"00000001" b"00000002" b"00000001" b"00000003"
        b"00000005" b"00000000" b"00000000" b"00000000" b"00000000" b"00000004" b"00000000"
    )
    assert archive[110:116] == b"abc\0\0\0"
    assert archive[116:124] == b"12345\0\0\0"
    assert archive[124 + 110 :].rstrip(b"\0") == b"TRAILER!!!"
    assert len(archive) % 4 == 0


@pytest.mark.parametrize(("entry", "message"), [
    (regular("/abs", b""), "b'/abs' cannot be the name of an entry"),
    (regular("", b""), "b'' cannot be the name of an entry"),
    (regular("a\0b", b""), r"b'a\x00b' cannot be the name of an entry"),
    (regular("a/../b", b""), "b'a/../b' is not a plain path"),
    (regular("a//b", b""), "b'a//b' is not a plain path"),
    (regular("missing/f", b""), "b'missing/f' comes before its directory"),
    (CpioEntry(b"x", 0o644), "b'x': mode 0o644 has no type"),
    (directory("x")._replace(data=b"1"), "b'x': mode 0o40755 has contents"),
    (regular("x", b"")._replace(mtime=1 << 32), "b'x': 4294967296 does not fit in 32 bits"),
    (regular("x", b"")._replace(uid=-1), "b'x': -1 does not fit in 32 bits"),
])
def test_impossible_entries_are_refused(entry: CpioEntry, message: str) -> None:
    """Is an entry that an archive cannot hold an error that names it?"""
    with pytest.raises(CpioError) as error:
        make_cpio([entry])
    assert str(error.value) == message


GOOD = make_cpio([directory("d"), regular("d/f", b"contents")])


def patched(offset: int, data: bytes) -> bytes:
    return GOOD[:offset] + data + GOOD[offset + len(data) :]


@pytest.mark.parametrize(("archive", "message"), [
    (b"", "offset 0x0: no TRAILER!!! before the end of the archive"),
    (GOOD[:100], "offset 0x0: no TRAILER!!! before the end of the archive"),
    (GOOD[:232], "offset 0x70: entry leaves the archive of 0xe8 bytes"),
    (patched(0, b"070707"), "offset 0x0: b'070707' is not the magic number of newc"),
    (patched(6, b"xyz"), "offset 0x0: header field is not hexadecimal"),
    (patched(54, b"ffffffff"), "offset 0x0: entry leaves the archive of 0x168 bytes"),
    (patched(94, b"00000000"), "offset 0x0: name of 0 bytes"),
    (patched(94, b"00010000"), "offset 0x0: name of 65536 bytes"),
    (patched(94, b"00000001"), r"offset 0x0: name b'd' does not end at its NUL"),
    (patched(14, b"00000000"), "b'd': mode 0o0 has no type"),
    (patched(14, b"000081a4"), "b'd/f': b'd' is not a directory"),
    (GOOD + b"junk", "offset 0x168: something follows TRAILER!!!"),
])
def test_malformed_archives_stop_the_machine(archive: bytes, message: str) -> None:
    """Is a malformed archive a panic that says where?"""
    with World() as world, pytest.raises(KernelPanic) as error:
        unpack(world, archive)
    assert str(error.value).partition(": ")[2] == message


@given(st.binary(max_size=300), st.integers(0, len(GOOD)), st.integers(0, len(GOOD)))
def test_any_bytes_are_read_or_refused(junk: bytes, start: int, end: int) -> None:
    """Does reading whatever bytes end, with entries or a CpioError?"""
    archive = GOOD[:start] + junk + GOOD[end:]
    try:
        entries = list(read_cpio(memoryview(archive)))
    except CpioError:
        return
    assert all(entry.name for entry in entries) or entries


@given(st.lists(st.tuples(
    st.text("abc", min_size=1, max_size=4), st.binary(max_size=50), st.integers(0, 0o7777)
)))
def test_reading_undoes_packing(files: list[tuple[str, bytes, int]]) -> None:
    """Does read_cpio give back what make_cpio was given?"""
    entries = [
        regular(name, data, mode)._replace(ino=i) for i, (name, data, mode) in enumerate(files, 1)
    ]
    found = [e._replace(data=bytes(e.data)) for e in read_cpio(memoryview(make_cpio(entries)))]
    assert found == entries
