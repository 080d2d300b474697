"""/proc/<pid>/maps: the mappings of a process, a line each.

The text is made anew for each read, and shows the address space as it is then; a reader who wants
it in one piece reads it in one piece.

See: Linux fs/proc/task_mmu.c show_map_vma(); proc_pid_maps(5).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from emulator.arch.paging import PAGE_SHIFT
from guest_kernel.errors import Errno, SyscallError
from guest_kernel.fs.d_path import d_path
from guest_kernel.fs.namespace import load_path
from guest_kernel.fs.operations import FileOperations, InodeOperations
from guest_kernel.fs.proc import get_proc_task, proc_tgid_entry, register_tgid_entry
from guest_kernel.fs.read_write import generic_file_llseek
from guest_kernel.layout.fs import MINORBITS, MINORMASK, S_IFREG, Ops, dentry, file, inode
from guest_kernel.layout.mm_types import (
    VM_EXEC,
    VM_MAYSHARE,
    VM_OPS_SHMEM,
    VM_OPS_SPECIAL,
    VM_READ,
    VM_WRITE,
    mm_struct,
    vm_area_struct,
)

if TYPE_CHECKING:
    from guest_kernel.layout.sched import task_struct
    from guest_kernel.mm.iov_iter import iov_iter, kiocb

_NAME_COLUMN: Final = 73


def show_map_vma(vma: vm_area_struct, current: task_struct) -> bytes:
    """Return the line of one mapping, as /proc shows it to ``current``."""
    f = vma.vm_file
    offset = dev = ino = 0
    if f is not None:
        dev, ino = f.f_inode.i_sb.s_dev, f.f_inode.i_ino
    if f is not None or vma.vm_ops == VM_OPS_SHMEM:
        offset = vma.vm_pgoff << PAGE_SHIFT
    line = (f"{vma.vm_start:08x}-{vma.vm_end:08x} {vma_rights(vma)} {offset:08x} "
            f"{dev >> MINORBITS:02x}:{dev & MINORMASK:02x} {ino} ").encode()
    name = vma_name(vma, current)
    return (line.ljust(_NAME_COLUMN) + name if name else line) + b"\n"


def vma_rights(vma: vm_area_struct) -> str:
    """Return what may be done with a mapping, ``r-xp``, and whether it is shared."""
    flags = vma.vm_flags
    return "".join((
        "r" if flags & VM_READ else "-", "w" if flags & VM_WRITE else "-",
        "x" if flags & VM_EXEC else "-", "s" if flags & VM_MAYSHARE else "p"))


def vma_name(vma: vm_area_struct, current: task_struct) -> bytes:
    """Return what a mapping is of: a path, or ``[heap]`` and its like, or nothing."""
    mm, f = vma.vm_mm, vma.vm_file
    assert mm is not None
    if f is not None:
        return d_path(load_path(f.f_path), current).replace(b"\n", b"\\012")
    if vma.vm_ops == VM_OPS_SHMEM:
        return b"/dev/zero (deleted)"
    if vma.vm_ops == VM_OPS_SPECIAL:
        return b"[vdso]" if vma.vm_flags & VM_EXEC else b"[vvar]"
    if vma.vm_start < mm.brk and vma.vm_end > mm.start_brk:
        return b"[heap]"
    if vma.vm_start <= mm.start_stack <= vma.vm_end:
        return b"[stack]"
    return b""


def _maps(mm: mm_struct, current: task_struct) -> bytes:
    lines = []
    vma = mm.mmap
    while vma is not None:
        lines.append(show_map_vma(vma, current))
        vma = vma.vm_next
    return b"".join(lines)


class ProcPidMapsInodeOperations(InodeOperations, ops=Ops.PROC_DEF_IOPS):
    """proc_def_inode_operations."""

    def setattr_size(self, d: dentry, size: int) -> None:
        """Accept O_TRUNC and truncate(2), which change nothing."""


class ProcPidMapsFileOperations(FileOperations, ops=Ops.PROC_PID_MAPS_FOPS):
    """proc_pid_maps_operations."""

    def open(self, node: inode, f: file) -> None:
        """Refuse whom ptrace(2) would.

        Raises:
            SyscallError: EACCES: the process is another user's.  ESRCH: it is gone.
        """
        task, current = get_proc_task(node, Errno.ESRCH), f.k.current()
        if current.fsuid and current.signal != task.signal and not (
                current.fsuid == task.uid == task.euid == task.suid):
            raise SyscallError(Errno.EACCES)

    def read_iter(self, iocb: kiocb, to: iov_iter) -> int:
        """Show the mappings from a place in the text on; a kernel thread has none."""
        task = get_proc_task(iocb.ki_filp.f_inode, Errno.ESRCH)
        mm = task.mm
        if mm is None:
            return 0
        data = _maps(mm, to.k.current())[iocb.ki_pos :][: to.count]
        if to.copy_to_iter(data) < len(data):
            raise SyscallError(Errno.EFAULT)
        iocb.ki_pos += len(data)
        return len(data)

    def llseek(self, f: file, offset: int, whence: int) -> int:
        return generic_file_llseek(f, offset, whence)


register_tgid_entry(b"maps", proc_tgid_entry(S_IFREG | 0o444, Ops.PROC_DEF_IOPS,
                                             Ops.PROC_PID_MAPS_FOPS))
