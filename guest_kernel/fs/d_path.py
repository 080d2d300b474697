"""Paths of dentries: getcwd(2), and the names of open files in /proc.

See: Linux fs/d_path.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guest_kernel.errors import Errno, SyscallError
from guest_kernel.fs.dcache import d_unlinked, dentry_name
from guest_kernel.fs.fs_struct import fs_of
from guest_kernel.fs.namespace import Place, load_path, real_mount
from guest_kernel.fs.operations import dentry_operations
from guest_kernel.layout.fs import PATH_MAX
from guest_kernel.mm.uaccess import copy_to_user
from guest_kernel.syscalls import SYSCALL_DEFINE, ULong, UserPtr

if TYPE_CHECKING:
    from guest_kernel.layout.sched import task_struct


def prepend_path(place: Place, root: Place) -> tuple[bytes, bool]:
    """Return the path of a place as seen from a root.

    Returns:
        The path; whether the root was met on the way up (else: the path from the first mount).
    """
    names: list[bytes] = []
    d, m = place.dentry, real_mount(place.mnt)
    while d != root.dentry or m.mnt != root.mnt:
        if d == m.mnt.mnt_root:
            if m.mnt_parent == m:
                return b"/" + b"/".join(reversed(names)), False
            d, m = m.mnt_mountpoint, m.mnt_parent
        else:
            names.append(dentry_name(d))
            d = d.d_parent
    return b"/" + b"/".join(reversed(names)), True


def d_path(place: Place, current: task_struct) -> bytes:
    """Return a path as /proc shows it to ``current``: " (deleted)" behind a removed name.

    What is in no directory says itself what it is called, as in ``pipe:[7]``.
    """
    if place.dentry.d_op:
        operations = dentry_operations(place.dentry.d_op)
        if "d_dname" in operations.provides:
            return operations.d_dname(place.dentry)
    name, _ = prepend_path(place, load_path(fs_of(current).root))
    return name + b" (deleted)" if d_unlinked(place.dentry) else name


# System calls


@SYSCALL_DEFINE
def sys_getcwd(current: task_struct, buf: UserPtr, size: ULong) -> int:
    """Store the path of the working directory; return its length with the NUL.  See getcwd(2)."""
    fs = fs_of(current)
    pwd = load_path(fs.pwd)
    if d_unlinked(pwd.dentry):
        raise SyscallError(Errno.ENOENT)
    name, reached = prepend_path(pwd, load_path(fs.root))
    if not reached:
        name = b"(unreachable)" + name
    if len(name) + 1 > PATH_MAX:
        raise SyscallError(Errno.ENAMETOOLONG)
    if len(name) + 1 > size:
        raise SyscallError(Errno.ERANGE)
    copy_to_user(current.k, buf, name + b"\0")
    return len(name) + 1
