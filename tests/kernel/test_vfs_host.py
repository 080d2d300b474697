"""Do the file system's calls do what the host's kernel does?

The same raw calls go to a fresh guest and to a child process whose root is an empty directory of
the host; results, descriptors and data must be equal.  Names are the same on both sides, so the
paths are absolute ones, ones with ``..`` and ones through all kinds of symbolic links.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from vfs_fixture import AT_FDCWD, NUMBERS, World, unpack_stat
from vfs_host import Host, Out

from guest_kernel.errors import Errno, SyscallError
from guest_kernel.fs.dcache import d_backing_inode
from guest_kernel.fs.namei import (
    done_path_create,
    filename_create,
    filename_lookup,
    vfs_link,
    vfs_symlink,
)
from guest_kernel.fs.namespace import path_put

pytestmark = pytest.mark.native

O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_TRUNC, O_APPEND = 1, 2, 0o100, 0o200, 0o1000, 0o2000
O_NONBLOCK, O_DIRECTORY, O_NOFOLLOW, O_CLOEXEC = 0o4000, 0o200000, 0o400000, 0o2000000
O_PATH, O_TMPFILE, O_NOATIME = 0o10000000, 0o20200000, 0o1000000
AT_SYMLINK_NOFOLLOW, AT_REMOVEDIR, AT_EMPTY_PATH = 0x100, 0x200, 0x1000

Argument = int | bytes | Out


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    try:
        found = Host(tmp_path_factory.mktemp("root"))
    except OSError as error:
        pytest.skip(f"not here: chroot(2) or a user namespace: {error}")
    yield found
    found.close()


# The stateful test has no fixtures: it finds the host here.
_the_host: list[Host] = []


@pytest.fixture(autouse=True)
def _publish(host: Host) -> Iterator[None]:
    _the_host[:] = [host]
    yield
    _the_host.clear()


class Both:
    """The two sides, and what they are compared by."""

    def __init__(self, host: Host, amnesia: bool = False) -> None:
        """
        Args:
            amnesia: before each call, throw the guest kernel's Python objects away.
        """
        self.host = host
        self.host.reset()
        self.guest = World()
        self.amnesia = amnesia

    def close(self) -> None:
        self.guest.close()

    def call(self, name: str, *arguments: Argument) -> int:
        """Make a call on both sides; return the result, which is the same."""
        if self.amnesia:
            self.guest.forget()
        mine, my_data = self._guest(name, *arguments)
        theirs, their_data = self.host.call(NUMBERS[name], *arguments)
        if name in ("stat", "lstat", "fstat", "newfstatat"):
            my_data = [comparable_stat(data) for data in my_data] if mine == 0 else []
            their_data = [comparable_stat(data) for data in their_data] if theirs == 0 else []
        assert (mine, my_data) == (theirs, their_data), (name, arguments)
        return mine

    def _guest(self, name: str, *arguments: Argument) -> tuple[int, list[bytes]]:
        if name in ("symlink", "link"):
            assert isinstance(arguments[0], bytes)
            assert isinstance(arguments[1], bytes)
            make = guest_symlink if name == "symlink" else guest_link
            return make(self.guest, arguments[0], arguments[1]), []
        return self.guest.invoke(name, *arguments)

    def tree(self, path: bytes = b"") -> None:
        """Compare directories' entries, from the root down."""
        fd = self.call("open", path or b"/", O_DIRECTORY, 0)
        names = []
        for side in (lambda *a: self.guest.invoke("getdents64", *a),
                     lambda *a: self.host.call(NUMBERS["getdents64"], *a)):
            names.append(sorted(read_directory(side, fd)))
        assert names[0] == names[1], path
        self.call("close", fd)
        for name, kind in names[0]:
            if kind == 4 and name not in (b".", b".."):
                self.tree(path + b"/" + name)


def comparable_stat(data: bytes) -> bytes:
    """Leave of a ``struct stat`` what does not depend on the file system or the moment."""
    fields = unpack_stat(data)
    size = 0 if fields.mode & 0o170000 == 0o040000 else fields.size
    return repr((fields.mode, fields.nlink, fields.uid, fields.gid, fields.rdev, size)).encode()


def read_directory(
    side: Callable[..., tuple[int, list[bytes]]], fd: int
) -> Iterator[tuple[bytes, int]]:
    while True:
        n, (data,) = side(fd, Out(512), 512)
        assert n >= 0
        if not n:
            return
        at = 0
        while at < n:
            reclen, kind = struct.unpack_from("<HB", data, at + 16)
            yield data[at + 19 : at + reclen].partition(b"\0")[0], kind
            at += reclen


# Calls that come with a later step; their insides are here already.


def guest_symlink(guest: World, target: bytes, name: bytes) -> int:
    if not target or not name:
        return -Errno.ENOENT
    if len(name) >= 4096:
        return -Errno.ENAMETOOLONG
    try:
        place, new = filename_create(guest.task, AT_FDCWD, name)
        try:
            vfs_symlink(d_backing_inode(place.dentry), new, target, guest.task)
        finally:
            done_path_create(place, new)
    except SyscallError as error:
        return -error.errno
    return 0


def guest_link(guest: World, old: bytes, name: bytes) -> int:
    try:
        source = filename_lookup(guest.task, AT_FDCWD, old, 0)
        try:
            place, new = filename_create(guest.task, AT_FDCWD, name)
            try:
                vfs_link(source.dentry, d_backing_inode(place.dentry), new, guest.task)
            finally:
                done_path_create(place, new)
        finally:
            path_put(source)
    except SyscallError as error:
        return -error.errno
    return 0


# ---- every path with every call

LONG = b"n" * 255


def make_tree(both: Both) -> None:
    for name in (b"/d", b"/d/e", b"/empty", b"/d/e/deep"):
        assert both.call("mkdir", name, 0o755) == 0
    for name, data in ((b"/f", b"contents"), (b"/d/g", b""), (b"/d/e/h", b"h"), (LONG, b"")):
        fd = both.call("open", name, O_CREAT | O_WRONLY, 0o644)
        both.call("write", fd, data, len(data))
        both.call("close", fd)
    links = {
        b"/to_f": b"f", b"/to_d": b"d", b"/to_d_slash": b"d/", b"/to_root": b"/",
        b"/abs_f": b"/f", b"/abs_g": b"/d/g", b"/dangling": b"nothing", b"/loop": b"loop",
        b"/loop1": b"loop2", b"/loop2": b"loop1", b"/d/up": b"..", b"/d/up_f": b"../f",
        b"/d/e/far": b"../../to_d/e", b"/to_f_slash": b"f/", b"/chain": b"to_d/up/to_f",
        b"/dangling_dir": b"nothing/x", b"/to_dot": b".", b"/dangling_slash": b"new/",
        b"/slashes": b"//d///e//", b"/through_f": b"f/x", b"/beyond": b"../../../f",
    }
    for name, target in links.items():
        assert both.call("symlink", target, name) == 0
    # A chain of 41 links, of which 40 may be followed.
    assert both.call("symlink", b"f", b"/l0") == 0
    for i in range(1, 42):
        assert both.call("symlink", b"l%d" % (i - 1), b"/l%d" % i) == 0
    both.call("chdir", b"/d")


PATHS = [
    b"", b"/", b"//", b".", b"..", b"./", b"../", b"/.", b"/..", b"/../..", b"/../f", b"../../f",
    b"g", b"./g", b"e/../g", b"g/", b"g/.", b"g/..", b"g/x", b"e", b"e/", b"e/.", b"e/..", b"e//h",
    b"e/h/", b"nothing", b"nothing/", b"nothing/x", b"nothing/.", b"e/nothing", b"/f", b"/f/",
    b"/f/.", b"/f/x", b"/d/e/deep", b"/d/e/deep/", b"/empty", b"/empty/", b"/empty/..", b"/to_f",
    b"/to_f/", b"/to_f/x", b"/to_d", b"/to_d/", b"/to_d/.", b"/to_d/g", b"/to_d_slash",
    b"/to_d_slash/g", b"/to_root", b"/to_root/f", b"/abs_f", b"/abs_g", b"/dangling",
    b"/dangling/", b"/dangling/x", b"/dangling_dir", b"/dangling_slash", b"/loop", b"/loop/",
    b"/loop/x", b"/loop1", b"up", b"up/f", b"up_f", b"e/far", b"e/far/h", b"/to_f_slash",
    b"/chain", b"/to_dot", b"/to_dot/f", b"/slashes", b"/slashes/h", b"/through_f", b"/beyond",
    b"/l39", b"/l40", b"/l41", b"/l40/", b"/" + LONG, b"/" + LONG + b"n",
    b"/nothing/" + LONG + b"n", b"/" + LONG + b"n/x", b"./" * 2000 + b"g", b"./" * 2047 + b"g",
    b"./" * 2047 + b"gg", b"x" * 4096, b"\xff\xfe", b"...", b"..x", b".x",
]

CALLS: dict[str, Callable[[bytes], tuple[Argument, ...]]] = {
    "stat": lambda p: (p, Out(144)),
    "lstat": lambda p: (p, Out(144)),
    "newfstatat": lambda p: (AT_FDCWD, p, Out(144), AT_EMPTY_PATH),
    "readlink": lambda p: (p, Out(32), 32),
    "access": lambda p: (p, 6),
    "faccessat2": lambda p: (AT_FDCWD, p, 1, AT_SYMLINK_NOFOLLOW),
    "chdir": lambda p: (p,),
    "truncate": lambda p: (p, 3),
    "mkdir": lambda p: (p, 0o777),
    "rmdir": lambda p: (p,),
    "unlink": lambda p: (p,),
    "unlinkat": lambda p: (AT_FDCWD, p, AT_REMOVEDIR),
    "symlink": lambda p: (b"target", p),
}
FLAGS = [
    0, O_WRONLY, O_RDWR, 3, O_CREAT, O_CREAT | O_RDWR, O_CREAT | O_EXCL, O_CREAT | O_EXCL | O_RDWR,
    O_CREAT | O_TRUNC | O_WRONLY, O_TRUNC, O_TRUNC | O_RDWR, O_DIRECTORY, O_DIRECTORY | O_RDWR,
    O_NOFOLLOW, O_NOFOLLOW | O_DIRECTORY, O_NOFOLLOW | O_CREAT, O_PATH, O_PATH | O_NOFOLLOW,
    O_PATH | O_DIRECTORY, O_PATH | O_CREAT | O_RDWR, O_CREAT | O_DIRECTORY, O_TMPFILE | O_RDWR,
    O_TMPFILE, O_TMPFILE | O_WRONLY | O_EXCL, O_APPEND | O_WRONLY, O_NOATIME, O_CLOEXEC,
]
READ_ONLY = {"stat", "lstat", "newfstatat", "readlink", "access", "faccessat2"}


def _changes(name: str, result: int) -> bool:
    return name not in READ_ONLY and result >= 0


@pytest.mark.parametrize("name", list(CALLS))
def test_each_call_agrees_on_each_path(host: Host, name: str) -> None:
    """Does a call on a path give the host's result, whatever the path?"""
    both = Both(host)
    make_tree(both)
    for path in PATHS:
        if _changes(name, both.call(name, *CALLS[name](path))):
            both.tree()
            both.close()
            both = Both(host)
            make_tree(both)
    both.close()


@pytest.mark.parametrize("flags", FLAGS, ids=oct)
def test_open_agrees_on_each_path(host: Host, flags: int) -> None:
    """Does open() with these flags give the host's result, whatever the path?"""
    both = Both(host)
    make_tree(both)
    for path in PATHS:
        fd = both.call("open", path, flags, 0o640)
        if fd < 0:
            continue
        both.call("fstat", fd, Out(144))
        both.call("fcntl", fd, 3, 0)
        both.call("fcntl", fd, 1, 0)
        both.call("read", fd, Out(16), 16)
        both.call("write", fd, b"xyz", 3)
        both.call("lseek", fd, 0, 1)
        both.call("close", fd)
        if flags & (O_CREAT | O_TRUNC | O_WRONLY | O_RDWR):
            both.tree()
            both.close()
            both = Both(host)
            make_tree(both)
    both.close()


@pytest.mark.parametrize(
    "directory", [b"/", b"/d", b"/f", b"/to_d", b"/empty"], ids=lambda path: path.decode()
)
@pytest.mark.parametrize("flags", [0, O_PATH], ids=["O_RDONLY", "O_PATH"])
def test_relative_to_a_descriptor(host: Host, directory: bytes, flags: int) -> None:
    """Does a path relative to a descriptor begin there, or fail as the host's does?"""
    both = Both(host)
    make_tree(both)
    fd = both.call("open", directory, flags, 0)
    for path in PATHS:
        for at_flags in (0, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH, 0x8000):
            both.call("newfstatat", fd, path, Out(144), at_flags)
        opened = both.call("openat", fd, path, 0, 0)
        if opened >= 0:
            both.call("close", opened)
        both.call("readlinkat", fd, path, Out(8), 8)
        both.call("faccessat2", fd, path, 4, AT_EMPTY_PATH)
    for dfd in (-1, 77, 1 << 31):
        both.call("newfstatat", dfd, b"f", Out(144), 0)
        both.call("newfstatat", dfd, b"/f", Out(144), 0)
        both.call("newfstatat", dfd, b"", Out(144), AT_EMPTY_PATH)
    both.close()


def test_a_removed_directory(host: Host) -> None:
    """What can be done in a working directory that has been removed?"""
    both = Both(host)
    make_tree(both)
    assert both.call("chdir", b"/empty") == 0
    fd = both.call("open", b".", O_DIRECTORY, 0)
    assert both.call("rmdir", b"/empty") == 0
    for path in (b".", b"..", b"x", b"../f", b"./x", b"x/y", b""):
        for name, arguments in CALLS.items():
            if name != "chdir":
                both.call(name, *arguments(path))
        # Not O_TMPFILE: tmpfs and ramfs make a file there, ext4 does not.
        for flags in (0, O_CREAT, O_CREAT | O_EXCL, O_DIRECTORY):
            opened = both.call("open", path, flags, 0o600)
            if opened >= 0:
                both.call("close", opened)
    both.call("getcwd", Out(64), 64)
    both.call("getdents64", fd, Out(64), 64)
    both.call("fstat", fd, Out(144))
    both.call("fchdir", fd)
    assert both.call("chdir", b"..") == 0
    both.call("getcwd", Out(64), 64)
    both.close()


def test_getcwd_sizes(host: Host) -> None:
    """Is the size that getcwd() needs the host's?"""
    both = Both(host)
    make_tree(both)
    for path in (b"/", b"/d/e/deep", b"/to_d"):
        both.call("chdir", path)
        for size in (0, 1, 2, 3, 10, 11, 12, 64):
            both.call("getcwd", Out(64), size)
    both.close()


# ---- random sequences

NAMES = [b"a", b"b", b"d", b"d/a", b"d/e", b"d/e/a", b"/a", b"/d/e/b", b"./a", b"d/../a", b"l",
         b"l/a", b"d/l", b"a/", b"d/", b"..", b"/", b"d/e/"]
TARGETS = [b"a", b"d", b"../a", b"/d/e", b"l", b"e/b", b"missing", b"d/", b"/"]
names = st.sampled_from(NAMES)
fds = st.integers(0, 7)
offsets = st.one_of(
    st.integers(-5, 5), st.integers(4090, 4100), st.integers(0, 20000),
    # ext4 has smaller files than ramfs: 16 TiB.
    st.sampled_from([1 << 20, (1 << 32) + 1, 1 << 40, -1 << 63]),
)
sizes = st.one_of(st.integers(0, 20), st.integers(4000, 9000))
lengths = st.one_of(st.integers(-1, 12), st.integers(4090, 20000), st.just(1 << 30))
open_flags = st.builds(
    lambda access, *rest: access | sum(rest),
    st.sampled_from([0, O_WRONLY, O_RDWR]),
    *(st.sampled_from([0, 0, 0, flag]) for flag in (
        O_EXCL, O_TRUNC, O_APPEND, O_DIRECTORY, O_NOFOLLOW, O_CLOEXEC, O_NONBLOCK)),
    st.sampled_from([0, O_CREAT]),
    st.sampled_from([0] * 9 + [O_PATH]),
)


class FileSystem(RuleBasedStateMachine):
    """A random sequence of calls, made on both sides.

    The guest forgets everything that is not in RAM before each call, and in the end, when all files
    are closed and removed, has as many free frames and objects as at the start.
    """

    def __init__(self) -> None:
        super().__init__()
        self.both = Both(_the_host[0], amnesia=True)
        self.both.guest.warm_up()
        self.usage = self.both.guest.usage()
        self.counter = itertools.count(1)

    def teardown(self) -> None:
        self.both.tree()
        self.both.guest.remove_all()
        assert self.both.guest.usage() == self.usage
        self.both.close()

    def data(self, size: int) -> bytes:
        return (b"%d." % next(self.counter) * (size // 2 + 1))[:size]

    @initialize()
    def start(self) -> None:
        self.both.call("mkdir", b"/d", 0o755)

    @rule(name=names, flags=open_flags, mode=st.sampled_from([0o644, 0o600, 0o4777]))
    def open(self, name: bytes, flags: int, mode: int) -> None:
        fd = self.both.call("open", name, flags, mode)
        if fd > 7:
            self.both.call("close", fd)

    @rule(fd=fds)
    def close(self, fd: int) -> None:
        self.both.call("close", fd)

    @rule(fd=fds, size=sizes)
    def read(self, fd: int, size: int) -> None:
        self.both.call("read", fd, Out(size), size)

    @rule(fd=fds, size=sizes)
    def write(self, fd: int, size: int) -> None:
        self.both.call("write", fd, self.data(size), size)

    @rule(fd=fds, size=sizes, pos=offsets)
    def pread(self, fd: int, size: int, pos: int) -> None:
        self.both.call("pread64", fd, Out(size), size, pos)

    @rule(fd=fds, size=sizes, pos=st.integers(-1, 30000))
    def pwrite(self, fd: int, size: int, pos: int) -> None:
        self.both.call("pwrite64", fd, self.data(size), size, pos)

    @rule(fd=fds, offset=offsets, whence=st.sampled_from([0, 1, 2, 0, 1, 2, 5, -1]))
    def lseek(self, fd: int, offset: int, whence: int) -> None:
        found = self.both.guest.fstat(fd)
        if not isinstance(found, int) and found.mode & 0o170000 == 0o040000:
            offset = whence = 0  # positions in directories are the file system's affair
        self.both.call("lseek", fd, offset, whence)

    @rule(fd=fds, length=lengths)
    def ftruncate(self, fd: int, length: int) -> None:
        self.both.call("ftruncate", fd, length)

    @rule(name=names, length=lengths)
    def truncate(self, name: bytes, length: int) -> None:
        self.both.call("truncate", name, length)

    @rule(fd=fds)
    def dup(self, fd: int) -> None:
        new = self.both.call("dup", fd)
        if new > 7:
            self.both.call("close", new)

    @rule(old=fds, new=fds)
    def dup2(self, old: int, new: int) -> None:
        self.both.call("dup2", old, new)

    @rule(old=fds, new=fds, flags=st.sampled_from([0, O_CLOEXEC, 1]))
    def dup3(self, old: int, new: int, flags: int) -> None:
        self.both.call("dup3", old, new, flags)

    @rule(fd=fds, command=st.sampled_from([1, 2, 3, 4, 0, 1030]), arg=st.sampled_from(
        [0, 1, 5, O_APPEND, O_NONBLOCK, O_APPEND | O_NONBLOCK | O_RDWR, 2000]))
    def fcntl(self, fd: int, command: int, arg: int) -> None:
        result = self.both.call("fcntl", fd, command, arg)
        if command in (0, 1030) and result > 7:
            self.both.call("close", result)

    @rule(name=names)
    def unlink(self, name: bytes) -> None:
        self.both.call("unlink", name)

    @rule(name=names, mode=st.sampled_from([0o755, 0o1777, 0o700]))
    def mkdir(self, name: bytes, mode: int) -> None:
        self.both.call("mkdir", name, mode)

    @rule(name=names)
    def rmdir(self, name: bytes) -> None:
        self.both.call("rmdir", name)

    @rule(points_to=st.sampled_from(TARGETS), name=names)
    def symlink(self, points_to: bytes, name: bytes) -> None:
        self.both.call("symlink", points_to, name)

    @rule(old=names, new=names)
    def link(self, old: bytes, new: bytes) -> None:
        self.both.call("link", old, new)

    @rule(name=names)
    def stat(self, name: bytes) -> None:
        self.both.call("stat", name, Out(144))
        self.both.call("lstat", name, Out(144))

    @rule(fd=fds)
    def fstat(self, fd: int) -> None:
        self.both.call("fstat", fd, Out(144))

    @rule(name=names)
    def readlink(self, name: bytes) -> None:
        self.both.call("readlink", name, Out(16), 16)

    @rule(name=names)
    def chdir(self, name: bytes) -> None:
        self.both.call("chdir", name)

    @rule(fd=fds)
    def fchdir(self, fd: int) -> None:
        self.both.call("fchdir", fd)

    @rule(fd=fds, name=st.sampled_from([b"a", b"../a", b"e", b"", b"."]))
    def fstatat(self, fd: int, name: bytes) -> None:
        self.both.call("newfstatat", fd, name, Out(144), AT_EMPTY_PATH)

    @rule(mask=st.sampled_from([0o022, 0, 0o077, 0o7777]))
    def umask(self, mask: int) -> None:
        self.both.call("umask", mask)

    @invariant()
    def same_directory(self) -> None:
        self.both.call("getcwd", Out(64), 64)


FileSystem.TestCase.settings = settings(
    max_examples=80, stateful_step_count=50, deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


class TestRandomSequences(FileSystem.TestCase):  # type: ignore[name-defined,misc]
    """Does any sequence of calls give the host's results?"""
