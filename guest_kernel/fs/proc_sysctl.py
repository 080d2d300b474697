"""/proc/sys: the kernel's settings as files.

Each file shows one number of the kernel's globals, and what is written to it is checked before it
is stored.  An inode's number says which file it is, so nothing is kept between two uses.

See: Linux fs/proc/proc_sysctl.c, kernel/sysctl.c proc_dointvec_minmax(); proc_sys_kernel(5).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from guest_kernel.errors import Errno, SyscallError
from guest_kernel.fs.operations import FileOperations, InodeOperations, dir_context
from guest_kernel.fs.proc import ProcDirFileOperations, new_entry, proc_dir_entry, proc_register
from guest_kernel.fs.ramfs import dir_emit_dots
from guest_kernel.fs.read_write import generic_file_llseek
from guest_kernel.layout.declare import Struct
from guest_kernel.layout.fs import S_IFDIR, S_IFREG, Ops, dentry, file, inode
from guest_kernel.layout.sched import sched_data
from guest_kernel.mm.slab import KMALLOC_MAX_SIZE
from guest_kernel.process.pid import pid_max_max, pid_max_min

if TYPE_CHECKING:
    from guest_kernel.mm.iov_iter import iov_iter, kiocb

PROC_SYS_INO: Final = 0xF000_0100  # /proc/sys; what is in it follows
_TMPBUFLEN: Final = 22  # a number, its sign counted, is shorter by two at least
# As simple_strtoul() with base 0: hexadecimal, octal or decimal.
_NUMBER: Final = re.compile(rb"(-?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)")
_SPACES: Final = b" \t\n\v\f\r\xa0"
_SEPARATORS: Final = b" \t\n"


class ctl_table(NamedTuple):
    """A file: an int among the kernel's globals.

    Attributes:
        kind, field: where it lies.
        extra1, extra2: the lowest and the highest value that may be written.
        mode: permissions.
    """

    kind: type[Struct]
    field: str
    extra1: int
    extra2: int
    mode: int = 0o644


class _Directory(NamedTuple):
    entries: dict[bytes, int]  # inode number by name


_TABLES: Final[list[_Directory | ctl_table]] = [_Directory({})]  # by inode number - PROC_SYS_INO


def register_sysctl(path: str, table: ctl_table) -> None:
    """Make ``table`` a file of /proc/sys, with the directories on the way.

    Args:
        path: such as ``kernel/pid_max``.
    """
    *directories, name = path.encode().split(b"/")
    here = _directory(PROC_SYS_INO)
    for step in directories:
        if step not in here.entries:
            _add(here, step, _Directory({}))
        here = _directory(here.entries[step])
    _add(here, name, table)


def _add(directory: _Directory, name: bytes, item: _Directory | ctl_table) -> None:
    directory.entries[name] = PROC_SYS_INO + len(_TABLES)
    _TABLES.append(item)


def _directory(ino: int) -> _Directory:
    found = _TABLES[ino - PROC_SYS_INO]
    assert isinstance(found, _Directory)
    return found


def _mode(ino: int) -> int:
    item = _TABLES[ino - PROC_SYS_INO]
    return S_IFREG | item.mode if isinstance(item, ctl_table) else S_IFDIR | 0o555


def proc_dointvec_minmax(buffer: bytes, table: ctl_table) -> tuple[int | None, int]:
    """Read what was written to a file that holds an int.

    Returns:
        The number, None: there are only blanks; and how many bytes were looked at.

    Raises:
        SyscallError: EINVAL: it is no number, or not between ``extra1`` and ``extra2``.
    """
    text = buffer.lstrip(_SPACES)
    if not text:
        raise SyscallError(Errno.EINVAL)
    number = _NUMBER.match(text[: _TMPBUFLEN - 1])
    if number is None or number.end() == _TMPBUFLEN - 1:
        raise SyscallError(Errno.EINVAL)
    rest = text[number.end() :]
    if rest and rest[0] not in _SEPARATORS:
        raise SyscallError(Errno.EINVAL)
    digits = number[2]
    octal = digits[:1] == b"0" and digits[1:].isdigit()
    value = int(digits, 8 if octal else 0) * (-1 if number[1] else 1)
    if not table.extra1 <= value <= table.extra2:
        raise SyscallError(Errno.EINVAL)
    return value, len(buffer) - len(rest.lstrip(_SPACES))


class ProcSysDirInodeOperations(InodeOperations, ops=Ops.PROC_SYS_DIR_IOPS):
    """proc_sys_dir_operations."""

    def lookup(self, directory: inode, parent: dentry, name: bytes) -> dentry | None:
        ino = _directory(directory.i_ino).entries.get(name)
        if ino is None:
            raise SyscallError(Errno.ENOENT)
        mode = _mode(ino)
        if mode & S_IFDIR:
            return new_entry(parent, name, ino, mode, Ops.PROC_SYS_DIR_IOPS, Ops.PROC_SYS_DIR_FOPS,
                             None)
        return new_entry(parent, name, ino, mode, Ops.PROC_SYS_IOPS, Ops.PROC_SYS_FOPS, None)


class ProcSysInodeOperations(InodeOperations, ops=Ops.PROC_SYS_IOPS):
    """proc_sys_inode_operations."""

    def setattr_size(self, d: dentry, size: int) -> None:
        """Accept O_TRUNC and truncate(2), which change nothing."""


class ProcSysDirFileOperations(ProcDirFileOperations, ops=Ops.PROC_SYS_DIR_FOPS):
    """proc_sys_dir_file_operations."""

    def iterate_shared(self, f: file, ctx: dir_context) -> None:
        if not dir_emit_dots(f.f_path.dentry, ctx):
            return
        for name, ino in list(_directory(f.f_inode.i_ino).entries.items())[ctx.pos - 2 :]:
            if not ctx.emit(name, ino, _mode(ino)):
                return
            ctx.pos += 1


class ProcSysFileOperations(FileOperations, ops=Ops.PROC_SYS_FOPS):
    """proc_sys_file_operations."""

    def read_iter(self, iocb: kiocb, to: iov_iter) -> int:
        """Show the number; there is nothing behind the first read."""
        if to.count >= KMALLOC_MAX_SIZE:
            raise SyscallError(Errno.ENOMEM)
        if iocb.ki_pos or not to.count:
            return 0
        table = self._table(iocb.ki_filp)
        data = b"%d\n" % getattr(to.k.data(table.kind), table.field)
        data = data[: to.count]
        if to.copy_to_iter(data) < len(data):
            raise SyscallError(Errno.EFAULT)
        iocb.ki_pos += len(data)
        return len(data)

    def write_iter(self, iocb: kiocb, source: iov_iter) -> int:
        """Set the number; what is not at the beginning of the file is ignored."""
        count = source.count
        if count >= KMALLOC_MAX_SIZE:
            raise SyscallError(Errno.ENOMEM)
        buffer = source.copy_from_iter(count)
        if len(buffer) < count:
            raise SyscallError(Errno.EFAULT)
        if count and not iocb.ki_pos:
            table = self._table(iocb.ki_filp)
            value, count = proc_dointvec_minmax(buffer, table)
            setattr(source.k.data(table.kind), table.field, value)
        iocb.ki_pos += count
        return count

    def llseek(self, f: file, offset: int, whence: int) -> int:
        return generic_file_llseek(f, offset, whence)

    @staticmethod
    def _table(f: file) -> ctl_table:
        table = _TABLES[f.f_inode.i_ino - PROC_SYS_INO]
        assert isinstance(table, ctl_table)
        return table


register_sysctl("kernel/pid_max", ctl_table(sched_data, "pid_max", pid_max_min, pid_max_max))
proc_register(b"sys", proc_dir_entry(PROC_SYS_INO, S_IFDIR | 0o555, Ops.PROC_SYS_DIR_IOPS,
                                     Ops.PROC_SYS_DIR_FOPS))
