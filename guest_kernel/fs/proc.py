"""proc: processes as files: ``/proc/self``, ``/proc/<pid>`` and ``/proc/<pid>/exe``.

What else is in /proc registers itself, :func:`proc_register`, and so do the files about a process,
:func:`register_tgid_entry`.

A lookup makes a dentry and an inode, and those about a process are kept until it is gone
(``pid.inodes``, :func:`proc_flush_pid`).  A dentry that somebody still has then does not count: it
holds the task's number (``i_private`` of the inode) and start time (``d_time``) for
``d_revalidate``.

``exe`` is a magic link: following it leads to the open file itself, whatever its name is now.

See: Linux fs/proc/root.c, self.c, base.c; proc(5).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from guest_kernel.errors import Errno, SyscallError
from guest_kernel.fs.d_path import d_path
from guest_kernel.fs.dcache import d_add, d_alloc, d_backing_inode, d_drop, d_make_root, dget, dput
from guest_kernel.fs.inode import new_inode, simple_inode_init_ts
from guest_kernel.fs.namei import nameidata, nd_jump_link
from guest_kernel.fs.namespace import Place, load_path
from guest_kernel.fs.operations import (
    DentryOperations,
    FileOperations,
    FileSystemType,
    InodeOperations,
    SuperOperations,
    dir_context,
)
from guest_kernel.fs.ramfs import dir_emit_dots
from guest_kernel.fs.read_write import generic_file_llseek
from guest_kernel.layout.fs import S_IFDIR, S_IFLNK, Ops, dentry, file, inode, super_block
from guest_kernel.layout.sched import pid, sched_data, task_struct
from guest_kernel.lib.list import (
    hlist_add_head,
    hlist_del,
    hlist_for_each_entry,
    list_for_each_entry,
)
from guest_kernel.process.pid import find_task_by_vpid, task_tgid
from guest_kernel.process.tasks import thread_group_leader

if TYPE_CHECKING:
    from guest_kernel.kernel import Kernel
    from guest_kernel.mm.iov_iter import iov_iter, kiocb

PROC_SUPER_MAGIC: Final = 0x9FA0
PROC_ROOT_INO: Final = 1
PROC_SELF_INO: Final = 0xF000_0001
# Positions in /proc: ".", "..", what is registered, "self", and from here the processes by number.
_TGID_OFFSET: Final = 256

# Inode numbers under /proc/<pid>: the pid above, the entry below.
_PID_SHIFT: Final = 16
_DIR: Final = 0


class proc_tgid_entry(NamedTuple):
    """What is in each /proc/<pid>.  See Linux fs/proc/base.c struct pid_entry.

    Attributes:
        mode: type and permissions.
        iops, fops: its operations.
    """

    mode: int
    iops: Ops
    fops: Ops


# In the order in which they are listed; an inode's number says which it is, from 1 on.
_TGID_ENTRIES: Final[dict[bytes, proc_tgid_entry]] = {
    b"exe": proc_tgid_entry(S_IFLNK | 0o777, Ops.PROC_PID_LINK_IOPS, Ops.NO_OPEN_FOPS)}


def register_tgid_entry(name: bytes, entry: proc_tgid_entry) -> None:
    """Put ``entry`` into each directory of a process."""
    _TGID_ENTRIES[name] = entry


def _tgid_ino(tgid: int, name: bytes) -> int:
    return tgid << _PID_SHIFT | list(_TGID_ENTRIES).index(name) + 1


# ---- tasks


def for_each_process(k: Kernel) -> Iterator[task_struct]:
    """Yield every process but the idle task."""
    return list_for_each_entry(k.data(sched_data).init_task.tasks, task_struct, "tasks")


def _find_process(k: Kernel, pid: int) -> task_struct | None:
    task = find_task_by_vpid(k, pid)
    return task if task is not None and thread_group_leader(task) else None


def get_proc_task(node: inode, errno: Errno = Errno.ENOENT) -> task_struct:
    """Return the task that an inode under /proc/<pid> is about.

    Raises:
        SyscallError: ``errno``: it is gone.
    """
    task = _find_process(node.k, node.i_private)
    if task is None:
        raise SyscallError(errno)
    return task


def _proc_exe_link(node: inode, current: task_struct) -> Place:
    """Return the place of a task's program.

    Raises:
        SyscallError: ENOENT: it has none, or is gone.  EACCES: another user's.
    """
    task = get_proc_task(node)
    if current.fsuid not in (0, task.uid):
        raise SyscallError(Errno.EACCES)
    mm = task.mm
    exe_file: file | None = None if mm is None else mm.exe_file
    if exe_file is None:
        raise SyscallError(Errno.ENOENT)
    return load_path(exe_file.f_path)


# ---- inodes and dentries


class proc_dir_entry(NamedTuple):
    """What is in /proc beside the processes.  See Linux fs/proc/internal.h.

    Attributes:
        ino: its inode number.
        mode: type and permissions.
        iops, fops: its operations.
    """

    ino: int
    mode: int
    iops: Ops
    fops: Ops


_ROOT: Final[dict[bytes, proc_dir_entry]] = {}


def proc_register(name: bytes, entry: proc_dir_entry) -> None:
    """Put ``entry`` into /proc."""
    _ROOT[name] = entry


def new_entry(
    parent: dentry, name: bytes, ino: int, mode: int, iops: Ops, fops: Ops, task: task_struct | None
) -> dentry:
    """Make a hashed dentry with an inode; the caller gets a reference.

    What is about a process is kept until that is gone.
    """
    new = d_alloc(parent, name)
    try:
        node = new_inode(parent.d_sb)
    except BaseException:
        dput(new)
        raise
    node.i_ino, node.i_mode, node.i_op, node.i_fop = ino, mode, iops, fops
    if mode & S_IFDIR == S_IFDIR:
        node.i_nlink = 2
    if task is not None:
        node.i_private = task.tgid
        node.i_uid, node.i_gid = task.euid, task.egid
        new.d_time = task.start_time
    simple_inode_init_ts(node)
    d_add(new, node)
    if task is not None:
        number = task_tgid(task)
        assert number is not None
        hlist_add_head(node.sibling_inodes, number.inodes)
        dget(new)
    return new


def proc_flush_pid(number: pid) -> None:
    """Forget the dentries about a process that is gone: nobody finds them any more."""
    for node in hlist_for_each_entry(number.inodes, inode, "sibling_inodes"):
        hlist_del(node.sibling_inodes)
        for d in hlist_for_each_entry(node.i_dentry, dentry, "d_alias"):
            d_drop(d)
            dput(d)


class ProcSuperOperations(SuperOperations, ops=Ops.PROC_SOPS):
    """proc_sops."""


class PidDentryOperations(DentryOperations, ops=Ops.PID_DOPS):
    """pid_dentry_operations."""

    def d_revalidate(self, d: dentry) -> bool:
        pid = d_backing_inode(d).i_private
        if not pid:
            return True
        task = _find_process(d.k, pid)
        return task is not None and task.start_time == d.d_time


class ProcRootInodeOperations(InodeOperations, ops=Ops.PROC_ROOT_IOPS):
    """proc_root_inode_operations."""

    def lookup(self, directory: inode, parent: dentry, name: bytes) -> dentry | None:
        entry = _ROOT.get(name)
        if entry is not None:
            return new_entry(parent, name, entry.ino, entry.mode, entry.iops, entry.fops, None)
        task = None
        if name.isdigit() and name[:1] != b"0":
            task = _find_process(directory.k, int(name))
        if task is None:
            raise SyscallError(Errno.ENOENT)
        return new_entry(
            parent, name, task.tgid << _PID_SHIFT | _DIR, S_IFDIR | 0o555, Ops.PROC_TGID_IOPS,
            Ops.PROC_TGID_FOPS, task,
        )


class ProcSelfInodeOperations(InodeOperations, ops=Ops.PROC_SELF_IOPS):
    """proc_self_inode_operations."""

    def get_link(self, link: dentry, nd: nameidata | None) -> bytes | None:
        current: task_struct = link.k.current() if nd is None else nd.current
        return b"%d" % current.tgid


class ProcTgidInodeOperations(InodeOperations, ops=Ops.PROC_TGID_IOPS):
    """proc_tgid_base_inode_operations."""

    def lookup(self, directory: inode, parent: dentry, name: bytes) -> dentry | None:
        task = get_proc_task(directory, Errno.ESRCH)  # proc_pid_permission()'s
        entry = _TGID_ENTRIES.get(name)
        if entry is None:
            raise SyscallError(Errno.ENOENT)
        return new_entry(parent, name, _tgid_ino(task.tgid, name), entry.mode, entry.iops,
                         entry.fops, task)


class ProcPidLinkInodeOperations(InodeOperations, ops=Ops.PROC_PID_LINK_IOPS):
    """proc_pid_link_inode_operations."""

    def get_link(self, link: dentry, nd: nameidata | None) -> bytes | None:
        if nd is not None:
            nd_jump_link(nd, _proc_exe_link(d_backing_inode(link), nd.current))
        return None

    def readlink(self, link: dentry, current: task_struct) -> bytes:
        return d_path(_proc_exe_link(d_backing_inode(link), current), current)


# ---- directories


class ProcDirFileOperations(FileOperations):
    """What all directories in proc have in common."""

    def read_iter(self, iocb: kiocb, to: iov_iter) -> int:
        raise SyscallError(Errno.EISDIR)

    def llseek(self, f: file, offset: int, whence: int) -> int:
        return generic_file_llseek(f, offset, whence)


class ProcRootFileOperations(ProcDirFileOperations, ops=Ops.PROC_ROOT_FOPS):
    """proc_root_operations."""

    def iterate_shared(self, f: file, ctx: dir_context) -> None:
        if not dir_emit_dots(f.f_path.dentry, ctx):
            return
        for name, entry in list(_ROOT.items())[ctx.pos - 2 :]:
            if not ctx.emit(name, entry.ino, entry.mode):
                return
            ctx.pos += 1
        ctx.pos = max(ctx.pos, _TGID_OFFSET - 1)
        if ctx.pos == _TGID_OFFSET - 1:
            if not ctx.emit(b"self", PROC_SELF_INO, S_IFLNK):
                return
            ctx.pos = _TGID_OFFSET
        for nr in sorted(task.tgid for task in for_each_process(f.k)):
            if nr + _TGID_OFFSET < ctx.pos:
                continue
            ctx.pos = nr + _TGID_OFFSET
            if not ctx.emit(b"%d" % nr, nr << _PID_SHIFT | _DIR, S_IFDIR):
                return
            ctx.pos += 1


class ProcTgidFileOperations(ProcDirFileOperations, ops=Ops.PROC_TGID_FOPS):
    """proc_tgid_base_operations."""

    def iterate_shared(self, f: file, ctx: dir_context) -> None:
        task = get_proc_task(f.f_inode)
        if not dir_emit_dots(f.f_path.dentry, ctx):
            return
        for name, entry in list(_TGID_ENTRIES.items())[ctx.pos - 2 :]:
            if not ctx.emit(name, _tgid_ino(task.tgid, name), entry.mode):
                return
            ctx.pos += 1


class ProcType(FileSystemType, ops=Ops.PROC_TYPE):
    """proc."""

    name = "proc"

    def fill_super(self, sb: super_block) -> None:
        sb.s_magic = PROC_SUPER_MAGIC
        sb.s_op = Ops.PROC_SOPS
        sb.s_d_op = Ops.PID_DOPS
        root = new_inode(sb)
        root.i_ino, root.i_mode, root.i_nlink = PROC_ROOT_INO, S_IFDIR | 0o555, 2
        root.i_op, root.i_fop = Ops.PROC_ROOT_IOPS, Ops.PROC_ROOT_FOPS
        simple_inode_init_ts(root)
        sb.s_root = top = d_make_root(root)
        # It is used often, so it stays: proc_setup_self().
        new_entry(top, b"self", PROC_SELF_INO, S_IFLNK | 0o777, Ops.PROC_SELF_IOPS,
                  Ops.NO_OPEN_FOPS, None)
