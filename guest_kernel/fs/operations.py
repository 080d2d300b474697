"""Tables of operations: what a structure in RAM names by a number.

In Linux ``f_op`` points at a table of functions.  Here RAM is all that a snapshot keeps, so a
structure holds a number (:class:`guest_kernel.layout.fs.Ops`) and this module finds the table: one
instance of a class below, made and registered when the class is defined::

    class NullFileOperations(FileOperations, ops=Ops.NULL_FOPS):
        def read_iter(self, iocb: kiocb, to: iov_iter) -> int: ...

A table has no state.  An operation that Linux's table would leave NULL is one that the class does
not define; ``provides`` tells which it has.  The methods of the base classes below are what
Linux's VFS does where the pointer is NULL.

An operation that must sleep does so by raising :class:`guest_kernel.errors.Sleep` before it has
taken anything from anywhere: the system call is made again from the start after the wake-up.

See: Linux Documentation/filesystems/vfs.rst; include/linux/fs.h.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Final, Protocol, TypeVar

from guest_kernel.errors import BUG, Errno, SyscallError
from guest_kernel.layout.fs import Ops, dentry, file, inode, super_block
from guest_kernel.mm.iov_iter import iov_iter, kiocb
from guest_kernel.sched.wait import poll_table as poll_table  # also for drivers

# What a file without a poll operation answers: EPOLLIN | EPOLLOUT | EPOLLRDNORM | EPOLLWRNORM.
DEFAULT_POLLMASK: Final = 0x0145

T = TypeVar("T", bound="Operations")


class _Tables(dict[int, T]):
    """The tables of one kind, by number; a number without one is a kernel bug."""

    def __missing__(self, number: int) -> T:
        BUG(f"{number} is not the number of a table of operations of this kind")


class Operations:
    """A table: a class with a number.

    Attributes:
        ops: its number.
        provides: names of the operations that it has.
    """

    ops: ClassVar[Ops]
    provides: ClassVar[frozenset[str]] = frozenset()
    kind: ClassVar[type[Operations]]
    tables: ClassVar[_Tables[Any]]  # of this kind

    def __init_subclass__(cls, *, ops: Ops | None = None) -> None:
        """Register an instance under ``ops``; without a number, the class only shares code."""
        if Operations in cls.__bases__:
            cls.kind = cls
            cls.tables = _Tables()
            return
        cls.provides = cls.provides | {
            name for name in vars(cls) if not name.startswith("_") and hasattr(cls.kind, name)
        }
        if ops is None:
            return
        if ops in cls.tables:
            raise ValueError(f"{ops!r} is {type(cls.tables[ops]).__name__} already")
        cls.ops = ops
        cls.tables[int(ops)] = cls()


class dir_context(Protocol):
    """Where a directory's entries go: getdents64()'s buffer.  See Linux struct dir_context."""

    pos: int

    def emit(self, name: bytes, ino: int, mode: int) -> bool:
        """Take an entry whose position is ``pos``; False: no room, stop."""


class FileOperations(Operations):
    """What an open file can do."""

    def read_iter(self, iocb: kiocb, to: iov_iter) -> int:
        """Read at ``iocb.ki_pos`` and move it; return the number of bytes, 0 at the end."""
        raise SyscallError(Errno.EINVAL)

    def write_iter(self, iocb: kiocb, source: iov_iter) -> int:
        """Write at ``iocb.ki_pos`` and move it; return the number of bytes."""
        raise SyscallError(Errno.EINVAL)

    def llseek(self, f: file, offset: int, whence: int) -> int:
        """Set ``f_pos``; return it."""
        raise SyscallError(Errno.ESPIPE)

    def unlocked_ioctl(self, current: Any, f: file, cmd: int, arg: int) -> int:
        """Do what ``cmd`` says; ``arg`` is a number or a user address."""
        raise SyscallError(Errno.ENOTTY)

    def pipe_fcntl(self, f: file, cmd: int, arg: int) -> int:
        """Do F_GETPIPE_SZ or F_SETPIPE_SZ.  Linux tells a pipe by its f_op: get_pipe_info()."""
        raise SyscallError(Errno.EBADF)

    def poll(self, f: file, pt: poll_table | None) -> int:
        """Return the EPOLL* events that hold now, and put ``pt`` on the queues that tell more."""
        return DEFAULT_POLLMASK

    def open(self, node: inode, f: file) -> None:
        """Prepare ``f``, which is being opened; may change its ``f_op`` and ``f_mode``."""

    def flush(self, f: file) -> None:
        """A descriptor of ``f`` is being closed."""

    def release(self, node: inode, f: file) -> None:
        """The last reference to ``f`` is gone: free what ``open`` made."""

    def iterate_shared(self, f: file, ctx: dir_context) -> None:
        """Emit the entries from ``ctx.pos`` on."""
        raise SyscallError(Errno.ENOTDIR)

    def mmap(self, f: file, vma: Any) -> None:
        """Set ``vma`` up as a mapping of ``f``."""
        raise SyscallError(Errno.ENODEV)

    def fsync(self, f: file, start: int, end: int, datasync: int) -> None:
        """Bring bytes ``start`` to ``end`` to the disk."""
        raise SyscallError(Errno.EINVAL)


class InodeOperations(Operations):
    """What an inode can do; for most of it, a directory.

    Those that make something get a negative dentry that is not hashed yet, and hash it.
    Permissions have been checked.
    """

    def lookup(self, directory: inode, parent: dentry, name: bytes) -> dentry | None:
        """Find a name that is not in the dentry cache.

        Returns:
            A hashed positive dentry, of which the caller gets one reference; None: no such name.

        Raises:
            SyscallError: ENAMETOOLONG, or what the file system says.
        """
        raise SyscallError(Errno.ENOTDIR)

    def create(self, directory: inode, new: dentry, mode: int, task: Any) -> None:
        """Make a regular file."""
        raise SyscallError(Errno.EACCES)

    def link(self, old: dentry, directory: inode, new: dentry) -> None:
        """Give ``old``'s inode another name."""
        raise SyscallError(Errno.EPERM)

    def unlink(self, directory: inode, victim: dentry) -> None:
        """Remove a name that is not a directory's."""
        raise SyscallError(Errno.EPERM)

    def symlink(self, directory: inode, new: dentry, target: bytes, task: Any) -> None:
        """Make a symbolic link."""
        raise SyscallError(Errno.EPERM)

    def mkdir(self, directory: inode, new: dentry, mode: int, task: Any) -> None:
        """Make a directory."""
        raise SyscallError(Errno.EPERM)

    def rmdir(self, directory: inode, victim: dentry) -> None:
        """Remove an empty directory."""
        raise SyscallError(Errno.EPERM)

    def mknod(self, directory: inode, new: dentry, mode: int, rdev: int, task: Any) -> None:
        """Make a device node, FIFO or socket."""
        raise SyscallError(Errno.EPERM)

    def tmpfile(self, directory: inode, parent: dentry, mode: int, task: Any) -> dentry:
        """Make a regular file without a name; return a dentry for it that is not hashed."""
        raise SyscallError(Errno.EOPNOTSUPP)

    def get_link(self, link: dentry, nd: Any) -> bytes | None:
        """Return a symbolic link's target; or jump (``nd_jump_link``) and return None."""
        raise SyscallError(Errno.EINVAL)

    def readlink(self, link: dentry, current: Any) -> bytes:
        """Return what readlink(2) says where that is not ``get_link``'s answer."""
        raise SyscallError(Errno.EINVAL)

    def setattr_size(self, d: dentry, size: int) -> None:
        """Truncate or extend to ``size`` bytes."""
        raise SyscallError(Errno.EINVAL)

    def getattr_blocks(self, node: inode) -> int:
        """Return ``st_blocks``: units of 512 bytes."""
        return 0


class DentryOperations(Operations):
    """What a file system wants to be asked about its dentries."""

    def d_revalidate(self, d: dentry) -> bool:
        """Tell whether a cached dentry still names what it named."""
        return True

    def d_dname(self, d: dentry) -> bytes:
        """Return what ``d_path`` says for a dentry that is in no directory."""
        raise NotImplementedError


class SuperOperations(Operations):
    """What a super block can do."""

    def evict_inode(self, node: inode) -> None:
        """Free what the file system put behind an inode that is being freed."""


class FileSystemType(Operations):
    """A kind of file system.

    Attributes:
        name: as in mount(2).
    """

    name: ClassVar[str] = ""

    def fill_super(self, sb: super_block) -> None:
        """Set up a fresh super block and its root."""
        raise NotImplementedError


# From the number in i_fop or f_op, i_op, s_op, d_op, s_type to the table.
file_operations: Final[Callable[[int], FileOperations]] = FileOperations.tables.__getitem__
inode_operations: Final[Callable[[int], InodeOperations]] = InodeOperations.tables.__getitem__
super_operations: Final[Callable[[int], SuperOperations]] = SuperOperations.tables.__getitem__
dentry_operations: Final[Callable[[int], DentryOperations]] = DentryOperations.tables.__getitem__
file_system_type: Final[Callable[[int], FileSystemType]] = FileSystemType.tables.__getitem__
