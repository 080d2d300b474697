"""ioctl(2): the requests that every file knows; the rest is the file's.

See: Linux fs/ioctl.c; ioctl(2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from guest_kernel.errors import Errno, SyscallError
from guest_kernel.fs.fcntl import FASYNC, O_NONBLOCK
from guest_kernel.fs.file import fget, set_close_on_exec
from guest_kernel.fs.inode import S_ISREG
from guest_kernel.fs.operations import file_operations, inode_operations
from guest_kernel.layout.fs import S_IFDIR, S_IFLNK, S_IFMT, S_IFREG, file
from guest_kernel.mm.uaccess import get_user_u32, put_user_u32, put_user_u64
from guest_kernel.syscalls import SYSCALL_DEFINE, UInt, ULong

if TYPE_CHECKING:
    from guest_kernel.layout.sched import task_struct

FIGETBSZ: Final = 2
FIONREAD: Final = 0x541B
FIONBIO: Final = 0x5421
FIONCLEX: Final = 0x5450
FIOCLEX: Final = 0x5451
FIOASYNC: Final = 0x5452
FIOQSIZE: Final = 0x5460


def do_vfs_ioctl(current: task_struct, f: file, fd: int, cmd: int, arg: int) -> bool:
    """Do a request that is the same for all files; False: it is none of them."""
    k, node = current.k, f.f_inode
    if cmd in (FIOCLEX, FIONCLEX):
        set_close_on_exec(current, fd, cmd == FIOCLEX)
    elif cmd == FIONBIO:
        on = get_user_u32(k, arg)
        f.f_flags = f.f_flags | O_NONBLOCK if on else f.f_flags & ~O_NONBLOCK
    elif cmd == FIOASYNC:
        flag = FASYNC if get_user_u32(k, arg) else 0
        if (flag ^ f.f_flags) & FASYNC:
            raise SyscallError(Errno.ENOTTY)
    elif cmd == FIOQSIZE:
        if node.i_mode & S_IFMT not in (S_IFDIR, S_IFREG, S_IFLNK):
            raise SyscallError(Errno.ENOTTY)
        put_user_u64(k, arg, inode_operations(node.i_op).getattr_blocks(node) * 512)
    elif cmd == FIGETBSZ:
        put_user_u32(k, arg, node.i_sb.s_blocksize)
    elif cmd == FIONREAD and S_ISREG(node.i_mode):
        put_user_u32(k, arg, (node.i_size - f.f_pos) & 0xFFFF_FFFF)
    else:
        return False
    return True


# System calls


@SYSCALL_DEFINE
def sys_ioctl(current: task_struct, fd: UInt, cmd: UInt, arg: ULong) -> int:
    """Do something that has no call of its own.  See ioctl(2)."""
    f = fget(current, fd)
    if do_vfs_ioctl(current, f, fd, cmd, arg):
        return 0
    return file_operations(f.f_op).unlocked_ioctl(current, f, cmd, arg)
