"""Permissions: does an ordinary user get the host's answers?

Both sides make files as root, then go on with another user's file system IDs; see setfsuid(2).
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from test_vfs_host import AT_FDCWD, O_CREAT, O_NOATIME, O_TMPFILE, O_TRUNC, O_WRONLY, Both
from vfs_host import Host, Out

pytestmark = [
    pytest.mark.native,
    pytest.mark.skipif(os.geteuid() != 0, reason="not here: root, to become another user"),
]

SETFSUID, SETFSGID = 122, 123
USER = 1000
MODES = [0, 0o111, 0o444, 0o555, 0o600, 0o640, 0o604, 0o711, 0o755, 0o050, 0o070, 0o005,
         0o007, 0o777]


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    made = Host(tmp_path_factory.mktemp("root"))
    yield made
    made.close()


@pytest.fixture
def both(host: Host) -> Iterator[Both]:
    become_on_host(host, 0, 0)
    made = Both(host)
    made.call("umask", 0)
    yield made
    become_on_host(host, 0, 0)
    made.close()


def become_on_host(host: Host, uid: int, gid: int) -> None:
    # As root, the group first; back to root, the user first.
    calls = ((SETFSGID, gid), (SETFSUID, uid))
    for number, value in calls if uid else reversed(calls):
        host.call(number, value)


def become(both: Both, uid: int, gid: int) -> None:
    become_on_host(both.host, uid, gid)
    both.guest.task.fsuid, both.guest.task.fsgid = uid, gid


def make_file(both: Both, path: bytes, mode: int) -> None:
    fd = both.call("open", path, O_CREAT | O_WRONLY, mode)
    assert fd >= 0
    both.call("close", fd)


@pytest.mark.parametrize("gid", [0, 1000], ids=["in the group", "another"])
@pytest.mark.parametrize("mode", MODES, ids=oct)
def test_permission_bits(both: Both, mode: int, gid: int) -> None:
    """Do the bits of a file and of a directory on the way permit and deny what the host's do?"""
    make_file(both, b"/file", mode)
    both.call("mkdir", b"/d", mode)
    both.call("mkdir", b"/d/sub", 0o777)
    make_file(both, b"/d/file", 0o666)
    for uid in (USER, 0):
        become(both, uid, gid)
        for path in (b"/file", b"/d", b"/d/file", b"/d/sub", b"/d/../file", b"/d/missing"):
            for flags in (0, O_WRONLY, 2, 3, O_TRUNC, O_NOATIME, 0o200000, 0o10000000):
                fd = both.call("open", path, flags, 0)
                if fd >= 0:
                    both.call("close", fd)
            both.call("stat", path, Out(144))
            both.call("truncate", path, 5)
            both.call("chdir", path)
            both.call("chdir", b"/")
            for access in range(8):
                both.call("access", path, access)  # by the real IDs: root
                both.call("faccessat2", AT_FDCWD, path, access, 0x200)
        for path in (b"/d/new", b"/d/sub/new", b"/new"):
            fd = both.call("open", path, O_CREAT | 0o200, 0o600)
            if fd >= 0:
                both.call("close", fd)
                both.call("stat", path, Out(144))
                both.call("unlink", path)
            if both.call("mkdir", path, 0o700) == 0:
                both.call("rmdir", path)
        fd = both.call("open", b"/d", O_TMPFILE | O_WRONLY, 0o600)
        if fd >= 0:
            both.call("close", fd)
        both.call("unlink", b"/d/file")
        both.call("rmdir", b"/d/sub")


def test_own_files(both: Both) -> None:
    """Do the owner's bits decide for the owner, even where others may more?"""
    both.call("mkdir", b"/d", 0o777)
    become(both, USER, USER)
    for mode in MODES:
        path = b"/d/%o" % mode
        make_file(both, path, mode)
        both.call("stat", path, Out(144))
        for flags in (0, O_WRONLY, 2, O_NOATIME):
            fd = both.call("open", path, flags, 0)
            if fd >= 0:
                both.call("close", fd)
    become(both, USER + 1, USER)
    for mode in MODES:
        both.call("open", b"/d/%o" % mode, O_NOATIME, 0)


def test_sticky_directories(both: Both) -> None:
    """In a directory like /tmp: may only the owner of a file, or of the directory, remove it?"""
    both.call("mkdir", b"/tmp", 0o1777)
    make_file(both, b"/tmp/roots", 0o666)
    become(both, USER, USER)
    assert both.call("unlink", b"/tmp/roots") == -1
    make_file(both, b"/tmp/mine", 0o666)
    assert both.call("mkdir", b"/tmp/dir", 0o777) == 0
    become(both, USER + 1, USER)
    assert both.call("unlink", b"/tmp/mine") == -1
    assert both.call("rmdir", b"/tmp/dir") == -1
    become(both, USER, USER)
    assert both.call("unlink", b"/tmp/mine") == 0
    assert both.call("rmdir", b"/tmp/dir") == 0
    become(both, 0, 0)
    assert both.call("unlink", b"/tmp/roots") == 0


def test_writing_takes_set_user_id_away(both: Both) -> None:
    """Does a write or truncation by an ordinary user clear set-user-ID and set-group-ID?"""
    for i, mode in enumerate((0o4777, 0o6777, 0o2767, 0o2777, 0o6666)):
        for how in ("write", "ftruncate", "truncate"):
            path = b"/%d%s" % (i, how.encode())
            make_file(both, path, mode)
            become(both, USER, USER)
            fd = both.call("open", path, O_WRONLY, 0)
            if how == "write":
                both.call("write", fd, b"x", 1)
            elif how == "ftruncate":
                both.call("ftruncate", fd, 3)
            else:
                both.call("truncate", path, 3)
            both.call("stat", path, Out(144))
            both.call("close", fd)
            become(both, 0, 0)
