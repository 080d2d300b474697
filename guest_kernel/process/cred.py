"""Changing the user and group that a process runs as.

There are no capabilities apart from the user: effective user ID 0 has all of them, and nobody else
has any.  Each thread has its own IDs, as in Linux; the C library changes those of all together.

See: Linux kernel/sys.c, kernel/cred.c; credentials(7), setuid(2), setreuid(2), setresuid(2).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from guest_kernel.errors import Errno, SyscallError
from guest_kernel.layout.mm_types import SUID_DUMP_DISABLE
from guest_kernel.layout.sched import PF_NPROC_EXCEEDED, task_struct
from guest_kernel.mm.mm import set_dumpable
from guest_kernel.mm.uaccess import put_user_u32
from guest_kernel.process.user import is_nproc_overlimit, switch_uid
from guest_kernel.syscalls import SYSCALL_DEFINE, UInt, UserPtr

_KEEP: Final = 0xFFFF_FFFF  # -1: leave this one as it is


class _Ids(NamedTuple):
    """The IDs of one kind, user or group."""

    real: int
    effective: int
    saved: int
    fs: int


def _uids(task: task_struct) -> _Ids:
    return _Ids(task.uid, task.euid, task.suid, task.fsuid)


def _gids(task: task_struct) -> _Ids:
    return _Ids(task.gid, task.egid, task.sgid, task.fsgid)


def _set_uids(task: task_struct, new: _Ids) -> None:
    """Take new user IDs.  See Linux commit_creds().

    Raises:
        OutOfFrames: nothing has changed.
    """
    old = _uids(task)
    if new.real != old.real:
        switch_uid(task, new.real)
        # Who has too many processes is told by execve(2), since setuid(2) is seldom checked.
        over = is_nproc_overlimit(task, others=True) and new.real
        task.flags = task.flags & ~PF_NPROC_EXCEEDED | (PF_NPROC_EXCEEDED if over else 0)
    task.uid, task.euid, task.suid, task.fsuid = new
    if (old.effective, old.fs) != (new.effective, new.fs):
        _privileges_changed(task)


def _set_gids(task: task_struct, new: _Ids) -> None:
    old = _gids(task)
    task.gid, task.egid, task.sgid, task.fsgid = new
    if (old.effective, old.fs) != (new.effective, new.fs):
        _privileges_changed(task)


def _privileges_changed(task: task_struct) -> None:
    """Let nobody look into what the process did with its old rights."""
    if task.mm is not None:
        set_dumpable(task.mm, SUID_DUMP_DISABLE)
    task.pdeath_signal = 0


# What each call makes of the IDs.  ``privileged``: the caller is root.


def _set(old: _Ids, wanted: int, privileged: bool) -> _Ids:
    if wanted == _KEEP:
        raise SyscallError(Errno.EINVAL)
    if privileged:
        return _Ids(wanted, wanted, wanted, wanted)
    if wanted not in (old.real, old.saved):
        raise SyscallError(Errno.EPERM)
    return old._replace(effective=wanted, fs=wanted)


def _set_re(old: _Ids, real: int, effective: int, privileged: bool) -> _Ids:
    new_real = old.real if real == _KEEP else real
    new_effective = old.effective if effective == _KEEP else effective
    if not privileged and (new_real not in (old.real, old.effective)
                           or new_effective not in (old.real, old.effective, old.saved)):
        raise SyscallError(Errno.EPERM)
    changes = real != _KEEP or (effective != _KEEP and effective != old.real)
    return _Ids(new_real, new_effective, new_effective if changes else old.saved, new_effective)


def _set_res(old: _Ids, wanted: tuple[int, int, int], privileged: bool) -> _Ids:
    new = [before if after == _KEEP else after
           for before, after in zip(old, wanted, strict=False)]
    allowed = (old.real, old.effective, old.saved)
    if not privileged and any(value not in allowed for value in new):
        raise SyscallError(Errno.EPERM)
    return _Ids(new[0], new[1], new[2], new[1])


def _set_fs(old: _Ids, wanted: int, privileged: bool) -> _Ids:
    return old._replace(fs=wanted) if wanted in old or (privileged and wanted != _KEEP) else old


# System calls


@SYSCALL_DEFINE
def sys_setuid(current: task_struct, uid: UInt) -> int:
    """Set the effective user ID, and for root all of them.  See setuid(2)."""
    _set_uids(current, _set(_uids(current), uid, not current.euid))
    return 0


@SYSCALL_DEFINE
def sys_setgid(current: task_struct, gid: UInt) -> int:
    """Set the effective group ID, and for root all of them.  See setgid(2)."""
    _set_gids(current, _set(_gids(current), gid, not current.euid))
    return 0


@SYSCALL_DEFINE
def sys_setreuid(current: task_struct, ruid: UInt, euid: UInt) -> int:
    """Set the real and the effective user ID.  See setreuid(2)."""
    _set_uids(current, _set_re(_uids(current), ruid, euid, not current.euid))
    return 0


@SYSCALL_DEFINE
def sys_setregid(current: task_struct, rgid: UInt, egid: UInt) -> int:
    """Set the real and the effective group ID.  See setregid(2)."""
    _set_gids(current, _set_re(_gids(current), rgid, egid, not current.euid))
    return 0


@SYSCALL_DEFINE
def sys_setresuid(current: task_struct, ruid: UInt, euid: UInt, suid: UInt) -> int:
    """Set the real, effective and saved user ID.  See setresuid(2)."""
    _set_uids(current, _set_res(_uids(current), (ruid, euid, suid), not current.euid))
    return 0


@SYSCALL_DEFINE
def sys_setresgid(current: task_struct, rgid: UInt, egid: UInt, sgid: UInt) -> int:
    """Set the real, effective and saved group ID.  See setresgid(2)."""
    _set_gids(current, _set_res(_gids(current), (rgid, egid, sgid), not current.euid))
    return 0


@SYSCALL_DEFINE
def sys_getresuid(current: task_struct, ruid: UserPtr, euid: UserPtr, suid: UserPtr) -> int:
    """Return the real, effective and saved user ID.  See getresuid(2)."""
    for va, value in zip((ruid, euid, suid), _uids(current), strict=False):
        put_user_u32(current.k, va, value)
    return 0


@SYSCALL_DEFINE
def sys_getresgid(current: task_struct, rgid: UserPtr, egid: UserPtr, sgid: UserPtr) -> int:
    """Return the real, effective and saved group ID.  See getresgid(2)."""
    for va, value in zip((rgid, egid, sgid), _gids(current), strict=False):
        put_user_u32(current.k, va, value)
    return 0


@SYSCALL_DEFINE
def sys_setfsuid(current: task_struct, uid: UInt) -> int:
    """Set the user ID for file access; return the old one.  See setfsuid(2)."""
    old = _uids(current)
    _set_uids(current, _set_fs(old, uid, not current.euid))
    return old.fs


@SYSCALL_DEFINE
def sys_setfsgid(current: task_struct, gid: UInt) -> int:
    """Set the group ID for file access; return the old one.  See setfsgid(2)."""
    old = _gids(current)
    _set_gids(current, _set_fs(old, gid, not current.euid))
    return old.fs
