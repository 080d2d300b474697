"""ramfs: files that are nothing but dentries and page cache.  The root file system is one.

Each name's dentry is referenced for as long as the name exists, so the dentry cache is the
directory, and ``lookup`` finds nothing.  Each entry of a directory has a position that does not
change (Linux's "stable directory offsets", as tmpfs has them), so that a program
can remove entries while it reads them.

Limits:
    No rename yet.  No limit on size but RAM.  SEEK_HOLE finds no holes.

See: Linux fs/ramfs/inode.c, fs/libfs.c; Documentation/filesystems/ramfs-rootfs-initramfs.rst.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from guest_kernel.errors import Errno, SyscallError
from guest_kernel.fs.dcache import (
    d_add,
    d_alloc,
    d_backing_inode,
    d_children,
    d_instantiate,
    d_make_root,
    d_unhashed,
    dentry_name,
    dget,
    dput,
)
from guest_kernel.fs.fcntl import SEEK_CUR, SEEK_SET
from guest_kernel.fs.inode import (
    drop_nlink,
    file_accessed,
    get_next_ino,
    ihold,
    init_special_inode,
    inode_init_owner,
    inode_set_ctime_current,
    inode_set_mctime_current,
    iput,
    new_inode,
    simple_inode_init_ts,
)
from guest_kernel.fs.operations import (
    FileOperations,
    FileSystemType,
    InodeOperations,
    SuperOperations,
    dir_context,
)
from guest_kernel.fs.read_write import generic_file_llseek, generic_file_write_iter, vfs_setpos
from guest_kernel.layout.declare import PAGE_OFFSET, PHYSICAL_MASK
from guest_kernel.layout.fs import (
    MAX_LFS_FILESIZE,
    NAME_MAX,
    S_IFDIR,
    S_IFLNK,
    S_IFMT,
    S_IFREG,
    Ops,
    dentry,
    file,
    inode,
    offset_ctx,
    super_block,
)
from guest_kernel.lib.xarray import xa_destroy, xa_empty, xa_erase, xa_for_each, xa_store
from guest_kernel.mm.filemap import generic_file_read_iter, truncate_setsize
from guest_kernel.mm.slab import kfree, kmalloc, kzalloc

if TYPE_CHECKING:
    from guest_kernel.layout.sched import task_struct
    from guest_kernel.mm.iov_iter import iov_iter, kiocb

RAMFS_MAGIC: Final = 0x858458F6
RAMFS_DEFAULT_MODE: Final = 0o755
_NRPAGES: Final = inode.offsetof("i_data.nrpages")
DIR_OFFSET_MIN: Final = 2  # 0 is ".", 1 is ".."


# ---- inodes


def ramfs_get_inode(
    sb: super_block, directory: inode | None, mode: int, rdev: int, task: task_struct | None
) -> inode:
    """Make an inode; ``task`` (None: root, at boot) becomes its owner."""
    node = new_inode(sb)
    node.i_ino = get_next_ino(sb.k)
    node.i_mode = mode
    if task is not None:
        inode_init_owner(node, directory, mode, task)
    simple_inode_init_ts(node)
    kind = mode & S_IFMT
    if kind == S_IFREG:
        node.i_op = Ops.RAMFS_FILE_IOPS
        node.i_fop = Ops.RAMFS_FILE_FOPS
        node.i_data.a_ops = Ops.RAM_AOPS
    elif kind == S_IFDIR:
        node.i_op = Ops.RAMFS_DIR_IOPS
        node.i_fop = Ops.SIMPLE_DIR_FOPS
        node.i_nlink = 2  # its name, and "."
        try:
            ctx = kzalloc(sb.k, offset_ctx)
        except BaseException:
            iput(node)
            raise
        ctx.next_offset = DIR_OFFSET_MIN
        node.i_private = ctx.va
    elif kind == S_IFLNK:
        node.i_op = Ops.SIMPLE_SYMLINK_IOPS
    else:
        node.i_op = Ops.RAMFS_FILE_IOPS
        init_special_inode(node, node.i_mode, rdev)
    return node


def _offset_ctx(directory: inode) -> offset_ctx:
    return offset_ctx(directory.k, directory.i_private & PHYSICAL_MASK)


def _add_name(directory: inode, new: dentry, node: inode) -> None:
    """Make a name visible.  The directory's reference to the dentry is taken here."""
    ctx = _offset_ctx(directory)
    # In an empty directory positions begin anew: that keeps the array small.
    offset = DIR_OFFSET_MIN if xa_empty(ctx.mt) else ctx.next_offset
    xa_store(ctx.mt, offset, new.va)
    ctx.next_offset = offset + 1
    new.d_fsdata = offset
    d_add(new, node)
    dget(new)
    inode_set_mctime_current(directory)


def _remove_name(directory: inode, victim: dentry) -> None:
    """Undo ``_add_name``, but for the hash, which is the caller's."""
    xa_erase(_offset_ctx(directory).mt, victim.d_fsdata)
    inode_set_mctime_current(directory)
    dput(victim)


def simple_empty(d: dentry) -> bool:
    """Tell whether a directory has no entries; a removed one that is still open is none."""
    return all(d_unhashed(child) for child in d_children(d))


class RamfsSuperOperations(SuperOperations, ops=Ops.RAMFS_SOPS):
    """ramfs_ops."""

    def evict_inode(self, node: inode) -> None:
        if node.i_mode & S_IFMT == S_IFDIR and node.i_private:
            ctx = _offset_ctx(node)
            xa_destroy(ctx.mt)
            kfree(ctx)


class RamfsDirInodeOperations(InodeOperations, ops=Ops.RAMFS_DIR_IOPS):
    """ramfs_dir_inode_operations."""

    def lookup(self, directory: inode, parent: dentry, name: bytes) -> dentry | None:
        if len(name) > NAME_MAX:
            raise SyscallError(Errno.ENAMETOOLONG)
        return None

    def mknod(
        self, directory: inode, new: dentry, mode: int, rdev: int, task: task_struct | None
    ) -> None:
        node = ramfs_get_inode(directory.i_sb, directory, mode, rdev, task)
        try:
            _add_name(directory, new, node)
        except BaseException:
            iput(node)
            raise

    def create(self, directory: inode, new: dentry, mode: int, task: task_struct | None) -> None:
        self.mknod(directory, new, mode, 0, task)

    def mkdir(self, directory: inode, new: dentry, mode: int, task: task_struct | None) -> None:
        self.mknod(directory, new, mode, 0, task)
        directory.i_nlink += 1  # the new one's ".."

    def symlink(
        self, directory: inode, new: dentry, target: bytes, task: task_struct | None
    ) -> None:
        k = directory.k
        node = ramfs_get_inode(directory.i_sb, directory, S_IFLNK | 0o777, 0, task)
        try:
            pa = kmalloc(k, len(target) + 1)
            k.u8[pa : pa + len(target) + 1] = target + b"\0"
            node.i_link = pa + PAGE_OFFSET
            node.i_size = len(target)
            _add_name(directory, new, node)
        except BaseException:
            iput(node)
            raise

    def link(self, old: dentry, directory: inode, new: dentry) -> None:
        node = d_backing_inode(old)
        ihold(node)
        try:
            _add_name(directory, new, node)
        except BaseException:
            iput(node)
            raise
        node.i_nlink += 1
        inode_set_ctime_current(node)

    def unlink(self, directory: inode, victim: dentry) -> None:
        node = d_backing_inode(victim)
        inode_set_ctime_current(node)
        drop_nlink(node)
        _remove_name(directory, victim)

    def rmdir(self, directory: inode, victim: dentry) -> None:
        if not simple_empty(victim):
            raise SyscallError(Errno.ENOTEMPTY)
        drop_nlink(d_backing_inode(victim))
        self.unlink(directory, victim)
        drop_nlink(directory)

    def tmpfile(
        self, directory: inode, parent: dentry, mode: int, task: task_struct | None
    ) -> dentry:
        node = ramfs_get_inode(directory.i_sb, directory, mode, 0, task)
        try:
            new = d_alloc(parent, b"#%d" % node.i_ino)
        except BaseException:
            iput(node)
            raise
        node.i_nlink = 0
        d_instantiate(new, node)
        return new


class RamfsFileInodeOperations(InodeOperations, ops=Ops.RAMFS_FILE_IOPS):
    """ramfs_file_inode_operations."""

    def setattr_size(self, d: dentry, size: int) -> None:
        truncate_setsize(d_backing_inode(d), size)

    def getattr_blocks(self, node: inode) -> int:
        nrpages: int = node.k.u64[(node.pa + _NRPAGES) >> 3]
        return nrpages * 8


class SimpleSymlinkInodeOperations(InodeOperations, ops=Ops.SIMPLE_SYMLINK_IOPS):
    """A symbolic link whose target lies in memory at ``i_link``."""

    def get_link(self, link: dentry, nd: Any) -> bytes | None:
        node = d_backing_inode(link)
        pa = node.i_link & PHYSICAL_MASK
        return bytes(link.k.u8[pa : pa + node.i_size])


class RamfsFileOperations(FileOperations, ops=Ops.RAMFS_FILE_FOPS):
    """ramfs_file_operations."""

    def read_iter(self, iocb: kiocb, to: iov_iter) -> int:
        if not to.count:
            return 0
        n = generic_file_read_iter(iocb, to)
        file_accessed(iocb.ki_filp)
        return n

    def write_iter(self, iocb: kiocb, source: iov_iter) -> int:
        return generic_file_write_iter(iocb, source)

    def llseek(self, f: file, offset: int, whence: int) -> int:
        return generic_file_llseek(f, offset, whence)

    def mmap(self, f: file, vma: Any) -> None:
        file_accessed(f)

    def fsync(self, f: file, start: int, end: int, datasync: int) -> None:
        """There is nowhere to bring anything."""


class SimpleDirFileOperations(FileOperations, ops=Ops.SIMPLE_DIR_FOPS):
    """simple_offset_dir_operations: ``private_data`` is the position at which reading ends.

    Entries that are made after open() or a rewind lie behind it, so that a program that makes
    entries while it reads comes to an end.
    """

    def open(self, node: inode, f: file) -> None:
        f.private_data = _offset_ctx(node).next_offset

    def read_iter(self, iocb: kiocb, to: iov_iter) -> int:
        raise SyscallError(Errno.EISDIR)

    def llseek(self, f: file, offset: int, whence: int) -> int:
        if whence == SEEK_CUR:
            offset += f.f_pos
        elif whence != SEEK_SET:
            raise SyscallError(Errno.EINVAL)
        if not offset:
            f.private_data = _offset_ctx(f.f_inode).next_offset
        return vfs_setpos(f, offset, MAX_LFS_FILESIZE)

    def iterate_shared(self, f: file, ctx: dir_context) -> None:
        here = f.f_path.dentry
        if not dir_emit_dots(here, ctx):
            return
        k = f.k
        end = f.private_data
        for offset, va in xa_for_each(_offset_ctx(f.f_inode).mt, ctx.pos):
            if offset >= end:
                break
            child = dentry(k, va & PHYSICAL_MASK)
            node = d_backing_inode(child)
            ctx.pos = offset
            if not ctx.emit(dentry_name(child), node.i_ino, node.i_mode):
                return
            ctx.pos = offset + 1

    def fsync(self, f: file, start: int, end: int, datasync: int) -> None:
        """There is nowhere to bring anything."""


def dir_emit_dots(here: dentry, ctx: dir_context) -> bool:
    """Emit "." and ".." where the position is theirs; False: no room."""
    if ctx.pos == 0:
        if not ctx.emit(b".", d_backing_inode(here).i_ino, S_IFDIR):
            return False
        ctx.pos = 1
    if ctx.pos == 1:
        if not ctx.emit(b"..", d_backing_inode(here.d_parent).i_ino, S_IFDIR):
            return False
        ctx.pos = 2
    return True


class RamfsType(FileSystemType, ops=Ops.RAMFS_TYPE):
    """ramfs."""

    name = "ramfs"

    def fill_super(self, sb: super_block) -> None:
        sb.s_magic = RAMFS_MAGIC
        sb.s_op = Ops.RAMFS_SOPS
        root = ramfs_get_inode(sb, None, S_IFDIR | RAMFS_DEFAULT_MODE, 0, None)
        sb.s_root = d_make_root(root)


class RootfsType(RamfsType, ops=Ops.ROOTFS_TYPE):
    """The first file system, which the kernel makes itself."""

    name = "rootfs"
