"""``fs_struct``: a task's root, working directory and umask.

See: Linux fs/fs_struct.c; chdir(2), umask(2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from guest_kernel.errors import BUG
from guest_kernel.fs.namespace import (
    Place,
    load_path,
    path_get,
    path_get_pa,
    path_put,
    path_put_pa,
    store_path,
)
from guest_kernel.layout.declare import PHYSICAL_MASK
from guest_kernel.layout.fs import fs_struct
from guest_kernel.layout.sched import task_struct
from guest_kernel.mm.slab import alloc_struct, free_struct, kzalloc
from guest_kernel.syscalls import SYSCALL_DEFINE, Int

if TYPE_CHECKING:
    from guest_kernel.kernel import Kernel

_FS: Final = task_struct.offsetof("fs")
_USERS: Final = fs_struct.offsetof("users")
_ROOT: Final = fs_struct.offsetof("root")
_PWD: Final = fs_struct.offsetof("pwd")


def alloc_fs_struct(k: Kernel, root: Place) -> fs_struct:
    """Make the first task's fs_struct: at ``root``, with umask 022.  See Linux init_fs."""
    fs = kzalloc(k, fs_struct)
    fs.users = 1
    fs.umask = 0o022
    store_path(fs.root, path_get(root))
    store_path(fs.pwd, path_get(root))
    return fs


def copy_fs_struct(old: fs_struct) -> fs_struct:
    """Make a copy, for a child that does not share its parent's (clone(2) without CLONE_FS)."""
    k: Kernel = old.k
    pa, source, size = alloc_struct(k, fs_struct), old.pa, fs_struct.size
    k.u8[pa : pa + size] = k.u8[source : source + size]
    k.i32[(pa + _USERS) >> 2] = 1
    path_get_pa(k, pa + _ROOT)
    path_get_pa(k, pa + _PWD)
    return fs_struct(k, pa)


def get_fs_struct(fs: fs_struct) -> fs_struct:
    """Share an fs_struct with another task (CLONE_FS)."""
    fs.users += 1
    return fs


def put_fs_struct(fs: fs_struct) -> None:
    """Drop a task's share; the last one frees it."""
    k, pa = fs.k, fs.pa
    users = (pa + _USERS) >> 2
    k.i32[users] = left = k.i32[users] - 1
    if not left:
        path_put_pa(k, pa + _ROOT)
        path_put_pa(k, pa + _PWD)
        free_struct(k, fs_struct, pa)


def exit_fs(task: task_struct) -> None:
    """Take a task that exits out of the file system."""
    k: Kernel = task.k
    u64, place = k.u64, (task.pa + _FS) >> 3
    fs = u64[place]
    if fs:
        u64[place] = 0
        put_fs_struct(fs_struct(k, fs & PHYSICAL_MASK))


def fs_of(task: task_struct) -> fs_struct:
    """Return the fs_struct of a task that has one."""
    fs = task.fs
    if fs is None:
        BUG(f"{task!r} has no fs_struct")
    return fs


def set_fs_pwd(fs: fs_struct, place: Place) -> None:
    """Change the working directory."""
    old = load_path(fs.pwd)
    store_path(fs.pwd, path_get(place))
    path_put(old)


def set_fs_root(fs: fs_struct, place: Place) -> None:
    """Change what "/" means."""
    old = load_path(fs.root)
    store_path(fs.root, path_get(place))
    path_put(old)


# System calls


@SYSCALL_DEFINE
def sys_umask(current: task_struct, mask: Int) -> int:
    """Set the permission bits that new files do not get; return the old ones.  See umask(2)."""
    fs = fs_of(current)
    old = fs.umask
    fs.umask = mask & 0o777
    return old
