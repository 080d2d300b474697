"""The structures of the file systems, from super block to descriptor table, and the bits in them.

Names and order are Linux 6.12's.  What differs, and why:

- Linux's structures point at tables of functions (``i_op``, ``i_fop``, ``f_op``, ``a_ops``,
  ``s_op``, ``d_op``).  Ours hold a number that names a table of Python functions, because RAM is
  all that a snapshot keeps: the numbers are :class:`Ops`, the tables are in
  :mod:`guest_kernel.fs.operations`.  0 is no table.
- Locks, RCU heads and write-back lists are left out: one CPU, no handler is interrupted, and no
  file system here has a disk.

See: Linux include/linux/fs.h, dcache.h, mount.h, path.h, fdtable.h, fs_struct.h; fs/mount.h.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Any, Final, TypeVar, overload

from guest_kernel.errors import BUG
from guest_kernel.layout.declare import (
    I32,
    I64,
    PHYSICAL_MASK,
    U16,
    U32,
    U64,
    Array,
    Chars,
    Embed,
    Ptr,
    Struct,
    VoidPtr,
)
from guest_kernel.layout.list import hlist_head, hlist_node, list_head
from guest_kernel.layout.xarray import xarray

# ---- i_mode: type and permissions.  See inode(7).
S_IFMT: Final = 0o170000  # bits of the type
S_IFSOCK: Final = 0o140000
S_IFLNK: Final = 0o120000
S_IFREG: Final = 0o100000
S_IFBLK: Final = 0o060000
S_IFDIR: Final = 0o040000
S_IFCHR: Final = 0o020000
S_IFIFO: Final = 0o010000
S_ISUID: Final = 0o4000
S_ISGID: Final = 0o2000
S_ISVTX: Final = 0o1000
S_IXGRP: Final = 0o0010
S_IRWXUGO: Final = 0o0777
S_IALLUGO: Final = 0o7777

# ---- i_flags.  See Linux include/linux/fs.h.
S_NOATIME: Final = 1 << 1  # no access times
S_APPEND: Final = 1 << 2  # append-only
S_IMMUTABLE: Final = 1 << 3
S_DEAD: Final = 1 << 4  # a directory that has been removed but is still in use

# ---- What inode_permission() is asked.
MAY_EXEC: Final = 0x01
MAY_WRITE: Final = 0x02
MAY_READ: Final = 0x04
MAY_APPEND: Final = 0x08
MAY_ACCESS: Final = 0x10
MAY_OPEN: Final = 0x20
MAY_CHDIR: Final = 0x40

# ---- f_mode.
FMODE_READ: Final = 1 << 0  # open for reading
FMODE_WRITE: Final = 1 << 1  # open for writing
FMODE_LSEEK: Final = 1 << 2  # has a position that can be set
FMODE_PREAD: Final = 1 << 3  # can be read at a position
FMODE_PWRITE: Final = 1 << 4  # can be written at a position
FMODE_EXEC: Final = 1 << 5  # opened by execve()
FMODE_PATH: Final = 1 << 14  # O_PATH: names a place, nothing more
FMODE_WRITER: Final = 1 << 16  # counted in i_writecount
FMODE_CAN_READ: Final = 1 << 17  # has a read operation
FMODE_CAN_WRITE: Final = 1 << 18  # has a write operation
FMODE_OPENED: Final = 1 << 19  # open() of its operations has succeeded
FMODE_CREATED: Final = 1 << 20  # this open() made the file
FMODE_STREAM: Final = 1 << 21  # no position at all
FMODE_CAN_ODIRECT: Final = 1 << 22  # O_DIRECT is possible

# ---- d_flags.
DCACHE_OP_REVALIDATE: Final = 1 << 2  # d_op has d_revalidate
DCACHE_CANT_MOUNT: Final = 1 << 8  # removed: nothing may be mounted here any more
DCACHE_MOUNTED: Final = 1 << 15  # something is mounted here
DCACHE_ENTRY_TYPE: Final = 7 << 19  # bits of the type
DCACHE_MISS_TYPE: Final = 0 << 19  # negative: no inode
DCACHE_DIRECTORY_TYPE: Final = 2 << 19
DCACHE_REGULAR_TYPE: Final = 4 << 19
DCACHE_SPECIAL_TYPE: Final = 5 << 19
DCACHE_SYMLINK_TYPE: Final = 6 << 19
DNAME_INLINE_LEN: Final = 40  # a name of fewer bytes lies in the dentry itself

# ---- mnt_flags.
MNT_NOSUID: Final = 0x01
MNT_NODEV: Final = 0x02
MNT_NOEXEC: Final = 0x04
MNT_NOATIME: Final = 0x08
MNT_NODIRATIME: Final = 0x10
MNT_RELATIME: Final = 0x20
MNT_READONLY: Final = 0x40
MNT_NOSYMFOLLOW: Final = 0x80

# ---- s_flags.
SB_RDONLY: Final = 1 << 0
SB_NOSUID: Final = 1 << 1
SB_NODEV: Final = 1 << 2
SB_NOEXEC: Final = 1 << 3
SB_ACTIVE: Final = 1 << 30

NAME_MAX: Final = 255  # bytes in a component
PATH_MAX: Final = 4096  # bytes in a path, its NUL counted
MAX_LFS_FILESIZE: Final = 0x7FFF_FFFF_FFFF_FFFF
NR_OPEN_DEFAULT: Final = 64  # descriptors that need no table of their own
SYSCTL_NR_OPEN: Final = 1024 * 1024  # no task has more descriptors

MINORBITS: Final = 20
MINORMASK: Final = (1 << MINORBITS) - 1


def MKDEV(major: int, minor: int) -> int:
    """Return the kernel's device number, as in ``i_rdev`` and ``s_dev``."""
    return major << MINORBITS | minor


def MAJOR(dev: int) -> int:
    """Return the major number: the driver."""
    return dev >> MINORBITS


def MINOR(dev: int) -> int:
    """Return the minor number: which of the driver's devices."""
    return dev & MINORMASK


def new_encode_dev(dev: int) -> int:
    """Return a device number as programs see it.  See Linux include/linux/kdev_t.h."""
    major, minor = dev >> MINORBITS, dev & MINORMASK
    return minor & 0xFF | major << 8 | (minor & ~0xFF) << 12


class Ops(IntEnum):
    """Numbers of the tables of operations.

    They lie in RAM and so in snapshots: a number is never given away twice or changed.  One
    sequence for all kinds of table, so that a number says which table it is.
    """

    NONE = 0
    # file_operations
    EMPTY_FOPS = 1  # O_PATH
    RAMFS_FILE_FOPS = 2
    SIMPLE_DIR_FOPS = 3
    DEF_CHR_FOPS = 4  # a character device before its driver is known
    NO_OPEN_FOPS = 5  # sockets in the file system: ENXIO
    NULL_FOPS = 6
    ZERO_FOPS = 7
    FULL_FOPS = 8
    RANDOM_FOPS = 9
    URANDOM_FOPS = 10
    TTY_FOPS = 11
    CONSOLE_FOPS = 12
    CONSOLE_PIPE_FOPS = 18
    HUNG_UP_TTY_FOPS = 19
    CONSOLE_OPEN_FOPS = 20  # before it is known what the console is
    PIPE_FOPS = 13
    PROC_ROOT_FOPS = 14
    PROC_TGID_FOPS = 15
    PROC_SYS_FOPS = 16
    PROC_SYS_DIR_FOPS = 17
    PROC_PID_MAPS_FOPS = 24
    # inode_operations
    EMPTY_IOPS = 64
    RAMFS_FILE_IOPS = 65
    RAMFS_DIR_IOPS = 66
    SIMPLE_SYMLINK_IOPS = 67
    PROC_ROOT_IOPS = 68
    PROC_SELF_IOPS = 69
    PROC_TGID_IOPS = 70
    PROC_PID_LINK_IOPS = 71
    PROC_SYS_IOPS = 72
    PROC_SYS_DIR_IOPS = 73
    PROC_DEF_IOPS = 80
    # super_operations and file systems
    RAMFS_SOPS = 96
    PROC_SOPS = 97
    PIPEFS_SOPS = 98
    ROOTFS_TYPE = 112
    RAMFS_TYPE = 113
    PROC_TYPE = 114
    PIPEFS_TYPE = 115
    # dentry_operations
    PID_DOPS = 128
    PIPEFS_DOPS = 129
    # address_space_operations
    RAM_AOPS = 160
    # tty_operations
    SERIAL8250_TTY_OPS = 192


S = TypeVar("S", bound=Struct)


class Ref(Ptr[S]):
    """A pointer that is never NULL once its structure is set up; NULL is a kernel bug."""

    @overload
    def __get__(self, obj: None, owner: Any = None) -> Ref[S]: ...
    @overload
    def __get__(self, obj: Struct, owner: Any = None) -> S: ...
    def __get__(self, obj: Struct | None, owner: Any = None) -> S | Ref[S]:
        raise NotImplementedError

    def accessor(self) -> property:
        off, name = self.offset, self.name
        target: Callable[[], type[S]] = self.target
        resolved: type[S] | None = None

        def fget(s: Struct) -> S:
            nonlocal resolved
            va = s.k.u64[(s.pa + off) >> 3]
            if not va:
                BUG(f"{s!r}: {name} is NULL")
            if resolved is None:
                resolved = target()
            return resolved(s.k, va & PHYSICAL_MASK)

        def fset(s: Struct, value: S | None) -> None:
            s.k.u64[(s.pa + off) >> 3] = 0 if value is None else value.va

        return property(fget, fset, doc=self.doc)


class qstr(Struct):
    """A name with its hash."""

    hash = U32("of the name and the parent, see full_name_hash()")
    len = U32("bytes, the NUL not counted")
    name = VoidPtr("the bytes, NUL-terminated: d_iname, or memory of their own",
                   ctype="const unsigned char *")


class lockref(Struct):
    """A lock with the count that it protects."""

    lock = U32("unused: one CPU")
    count = I32("references")


class path(Struct):
    """A place: a dentry as seen through a mount."""

    mnt = Ref(lambda: vfsmount, "the mount")
    dentry = Ref(lambda: dentry, "the dentry")


class address_space(Struct):
    """The page cache of one inode."""

    host = Ref(lambda: inode, "its inode")
    i_pages = Embed(xarray, "by page index: direct-map address of the frame, which it references")
    gfp_mask = U32("unused")
    i_mmap_writable = I32("VM_SHARED mappings that may write")
    i_mmap = Embed(list_head, "the VMAs that map it, through shared (Linux: an interval tree)")
    nrpages = U64("frames in i_pages")
    a_ops = U64("number of its address_space_operations; 0: has no pages")
    flags = U64("unused")


class inode(Struct):
    """A file, whatever its type and whatever its names."""

    i_mode = U16("type and permissions, S_IF*")
    i_opflags = U16("unused")
    i_uid = U32("owner")
    i_gid = U32("owning group")
    i_flags = U32("S_*")
    i_op = U64("number of its inode_operations")
    i_sb = Ref(lambda: super_block, "the file system")
    i_mapping = Ref(lambda: address_space, "the page cache: i_data")
    i_ino = U64("inode number")
    i_nlink = U32("names")
    i_rdev = U32("device that a device node names, MKDEV()")
    i_size = I64("bytes")
    i_atime_sec = I64("last access, seconds since 1970")
    i_mtime_sec = I64("last change of the contents")
    i_ctime_sec = I64("last change of the inode")
    i_atime_nsec = U32("nanoseconds of it")
    i_mtime_nsec = U32("nanoseconds of it")
    i_ctime_nsec = U32("nanoseconds of it")
    i_generation = U32("unused")
    i_blkbits = U32("log2 of the block size that stat() reports")
    i_state = U32("I_*")
    i_sb_list = Embed(list_head, "node in super_block.s_inodes")
    i_dentry = Embed(hlist_head, "its dentries, through d_alias")
    i_count = I32("references to this structure")
    i_writecount = I32("open for writing so many times; negative: writing is denied")
    i_readcount = I32("open only for reading so many times")
    i_fop = U64("number of the file_operations that open() takes")
    i_data = Embed(address_space, "its page cache")
    i_link = VoidPtr("a symbolic link's target, kmalloc'd, NUL-terminated", ctype="char *")
    i_pipe = VoidPtr("a pipe's pipe_inode_info", overlay="i_link")
    i_private = VoidPtr("the file system's: a directory's offset_ctx; a pid")
    sibling_inodes = Embed(hlist_node, "proc: its place in pid.inodes")


I_LINKABLE: Final = 1 << 10  # i_state: has no name yet but may be given one


class offset_ctx(Struct):
    """What gives a directory's entries stable positions.  See Linux fs/libfs.c."""

    mt = Embed(xarray, "by position: the dentry (Linux: a maple tree)")
    next_offset = U64("position that the next entry gets")


class dentry(Struct):
    """A name in a directory.  A tree, through d_parent and d_subdirs, and a hash table."""

    d_flags = U32("DCACHE_*")
    d_hash = Embed(hlist_node, "node of its chain in the hash table")
    d_parent = Ref(lambda: dentry, "the directory; a root's is itself")
    d_name = Embed(qstr, "its name there")
    d_inode = Ptr(lambda: inode, "what it names; NULL: negative")
    d_iname = Chars(DNAME_INLINE_LEN, "a short name")
    d_op = U64("number of its dentry_operations")
    d_sb = Ref(lambda: super_block, "the file system")
    d_time = U64("the file system's, for d_revalidate")
    d_fsdata = U64("the file system's: position in the directory")
    d_lockref = Embed(lockref, "references; a child holds one on its parent")
    d_child = Embed(list_head, "node in d_parent.d_subdirs")
    d_subdirs = Embed(list_head, "its children (also those that are not directories)")
    d_alias = Embed(hlist_node, "node in d_inode.i_dentry")


class super_block(Struct):
    """A mounted file system."""

    s_list = Embed(list_head, "node in fs_data.super_blocks")
    s_dev = U32("device number; st_dev of its files")
    s_blocksize_bits = U32("log2 of s_blocksize")
    s_blocksize = U64("bytes")
    s_maxbytes = I64("greatest size of a file")
    s_type = U64("number of its file_system_type")
    s_op = U64("number of its super_operations")
    s_flags = U64("SB_*")
    s_magic = U64("statfs()'s f_type")
    s_root = Ptr(lambda: dentry, "its root")
    s_active = I32("mounts of it")
    s_time_gran = U32("granularity of times, nanoseconds")
    s_d_op = U64("number of the dentry_operations that its dentries get")
    s_id = Chars(32, "name, for messages")
    s_fs_info = VoidPtr("the file system's")
    s_inodes = Embed(list_head, "its inodes, through i_sb_list")


class vfsmount(Struct):
    """The part of a mount that file systems see."""

    mnt_root = Ref(lambda: dentry, "the root of what is mounted")
    mnt_sb = Ref(lambda: super_block, "its file system")
    mnt_flags = I32("MNT_*")


class mount(Struct):
    """A file system in the tree."""

    mnt_hash = Embed(hlist_node, "node in fs_data.mount_hashtable")
    mnt_parent = Ref(lambda: mount, "the mount that it is mounted on; the first one's is itself")
    mnt_mountpoint = Ref(lambda: dentry, "where on mnt_parent; the first one's is its own root")
    mnt = Embed(vfsmount, "the part that others see")
    mnt_count = I32("references")
    mnt_mounts = Embed(list_head, "what is mounted on it, through mnt_child")
    mnt_child = Embed(list_head, "node in mnt_parent.mnt_mounts")
    mnt_list = Embed(list_head, "node in fs_data.mounts, in order of mounting")
    mnt_id = I32("as in /proc/self/mountinfo and statx()")
    mnt_devname = Chars(32, "as in /proc/mounts")


class file(Struct):
    """An open file: what open() makes and dup() shares."""

    f_count = I64("references: descriptors, mappings, and the like")
    f_mode = U32("FMODE_*")
    f_op = U64("number of its file_operations")
    f_mapping = Ptr(lambda: address_space, "the page cache")
    private_data = VoidPtr("its operations' own")
    f_inode = Ref(lambda: inode, "f_path.dentry.d_inode")
    f_flags = U32("O_*, as fcntl(F_GETFL) reports them")
    f_iocb_flags = U32("unused")
    f_path = Embed(path, "what was opened; referenced")
    f_pos = I64("position of the next read or write, bytes")


class fdtable(Struct):
    """Descriptors: an array of files and two bitmaps; replaced by a larger one as a whole."""

    max_fds = U32("entries in fd; a multiple of 64")
    fd = VoidPtr("the array: address of each file, or 0", ctype="struct file **")
    close_on_exec = VoidPtr("bitmap: closed by execve()", ctype="unsigned long *")
    open_fds = VoidPtr("bitmap: taken", ctype="unsigned long *")


class files_struct(Struct):
    """The open files of a task, or of tasks that share them (CLONE_FILES)."""

    count = I32("tasks")
    fdt = Ref(lambda: fdtable, "the current table: fdtab, or a larger one")
    fdtab = Embed(fdtable, "the first table")
    next_fd = U32("no descriptor below this one is free")
    close_on_exec_init = Array(U64, 1, "fdtab's")
    open_fds_init = Array(U64, 1, "fdtab's")
    fd_array = Array(U64, NR_OPEN_DEFAULT, "fdtab's", ctype="struct file *")


class fs_struct(Struct):
    """Where a task, or tasks that share it (CLONE_FS), stands in the file system."""

    users = I32("tasks")
    umask = I32("permission bits that new files do not get")
    root = Embed(path, "what / means; referenced")
    pwd = Embed(path, "what a relative path begins at; referenced")


class fs_data(Struct):
    """The file systems' globals."""

    dentry_hashtable = VoidPtr("the chains of all dentries: 1 << d_hash_bits of them",
                               ctype="struct hlist_head *")
    d_hash_bits = U32("log2 of its length")
    mnt_id = I32("mnt_id of the last mount")
    super_blocks = Embed(list_head, "all file systems")
    mounts = Embed(list_head, "all mounts, in order of mounting")
    mount_hashtable = Embed(hlist_head, "all mounts that are mounted on another; one chain")
    root_mnt = Ptr(lambda: mount, "the first mount")
    pipe_mnt = Ptr(lambda: mount, "pipefs, which is not in the tree")
    last_ino = U64("inode number of the last inode of a file system without numbers of its own")
    unnamed_dev = U32("minor number of the last file system without a device")
    nr_files = U32("open files")
    nr_inodes = U32("inodes")
    nr_dentry = U32("dentries")
