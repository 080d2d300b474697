"""Pipes: a ring of frames between those who write and those who read.

A write puts its bytes into frames of their own, at most one frame to a slot of the ring; if they
fit behind the bytes of the last frame, they go there.  So a write of up to PIPE_BUF bytes is never
torn apart, and a longer one may be mixed with others' at frames' bounds.  A read takes whole slots
from the other end, and the first part of one.

A reader that finds nothing sleeps on ``rd_wait``, a writer that finds no slot on ``wr_wait``.  A
read has taken nothing when it sleeps.  A write may have: ``restart_block.arg[0]`` counts what it
has written, which the next try skips.  All who wait are woken, where Linux wakes one after the
other; each looks again.

A frame in the ring has no other user, so it is used again when it is empty (``tmp_page``).

Limits:
    No named pipes, splice(2), SIGIO or notification pipes.  The limits for users without
    privilege (pipe-max-size, pipe-user-pages-soft) are not there: nobody is one.

See: Linux fs/pipe.c; pipe(7).
"""

from __future__ import annotations

import struct
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

from emulator.arch.paging import PAGE_SHIFT, PAGE_SIZE
from guest_kernel.errors import BUG, Errno, SyscallError
from guest_kernel.fs.dcache import d_alloc_pseudo, d_backing_inode, d_instantiate, d_make_root, dput
from guest_kernel.fs.fcntl import (
    F_GETPIPE_SZ,
    O_CLOEXEC,
    O_DIRECT,
    O_EXCL,
    O_NONBLOCK,
    O_RDONLY,
    O_WRONLY,
)
from guest_kernel.fs.file import (
    fd_install,
    files_of,
    get_unused_fd_flags,
    put_unused_fd,
    sleep_on_file,
)
from guest_kernel.fs.file_table import alloc_empty_file, file_init_path, free_empty_file
from guest_kernel.fs.inode import (
    file_accessed,
    get_next_ino,
    inode_set_mctime_current,
    iput,
    new_inode,
    simple_inode_init_ts,
)
from guest_kernel.fs.ioctl import FIONREAD
from guest_kernel.fs.namespace import Place, kern_mount
from guest_kernel.fs.operations import (
    DentryOperations,
    FileOperations,
    FileSystemType,
    SuperOperations,
    poll_table,
)
from guest_kernel.fs.poll import EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDNORM, EPOLLWRNORM
from guest_kernel.fs.read_write import stream_open
from guest_kernel.layout.declare import PAGE_OFFSET, PHYSICAL_MASK
from guest_kernel.layout.fs import (
    FMODE_READ,
    FMODE_WRITE,
    S_IFDIR,
    S_IFIFO,
    Ops,
    dentry,
    file,
    fs_data,
    inode,
    super_block,
)
from guest_kernel.layout.pipe import (
    NR_TMP_PAGES,
    PIPE_BUF_FLAG_CAN_MERGE,
    PIPE_BUF_FLAG_PACKET,
    PIPE_DEF_BUFFERS,
    pipe_buffer,
    pipe_inode_info,
)
from guest_kernel.layout.sched import task_struct, wait_queue_head
from guest_kernel.mm.filemap import fput
from guest_kernel.mm.page_alloc import OutOfFrames, alloc_page, put_page
from guest_kernel.mm.slab import KMALLOC_MAX_SIZE, kfree, kfree_pa, kmalloc, kzalloc
from guest_kernel.mm.uaccess import copy_to_user, put_user_u32
from guest_kernel.sched.wait import (
    init_waitqueue_head,
    poll_wait,
    waitqueue_active,
    wake_up,
)
from guest_kernel.signal.numbers import SIGPIPE
from guest_kernel.signal.signal import send_sig
from guest_kernel.syscalls import SYSCALL_DEFINE, Int, UserPtr

if TYPE_CHECKING:
    from guest_kernel.kernel import Kernel
    from guest_kernel.mm.iov_iter import iov_iter, kiocb

PIPEFS_MAGIC: Final = 0x5049_5045
O_NOTIFICATION_PIPE: Final = O_EXCL  # pipe2()
_FDS: Final = struct.Struct("<2i")
_M32: Final = 0xFFFF_FFFF

# Words of the structures, relative to the structure's own first word.
_RD_WAIT: Final = pipe_inode_info.offsetof("rd_wait")
_WR_WAIT: Final = pipe_inode_info.offsetof("wr_wait")
_HEAD: Final = pipe_inode_info.offsetof("head") >> 2
_TAIL: Final = pipe_inode_info.offsetof("tail") >> 2
_MAX_USAGE: Final = pipe_inode_info.offsetof("max_usage") >> 2
_RING_SIZE: Final = pipe_inode_info.offsetof("ring_size") >> 2
_READERS: Final = pipe_inode_info.offsetof("readers") >> 2
_WRITERS: Final = pipe_inode_info.offsetof("writers") >> 2
_TMP_PAGE: Final = pipe_inode_info.offsetof("tmp_page") >> 3
_BUFS: Final = pipe_inode_info.offsetof("bufs") >> 3
_BUF_OFFSET: Final = pipe_buffer.offsetof("offset") >> 2
_BUF_LEN: Final = pipe_buffer.offsetof("len") >> 2
_BUF_FLAGS: Final = pipe_buffer.offsetof("flags") >> 2
_BUF_SIZE: Final = pipe_buffer.size
_PRIVATE_DATA: Final = file.offsetof("private_data")
_F_FLAGS: Final = file.offsetof("f_flags")
_RESTART_FN: Final = task_struct.offsetof("restart_block.fn")
_RESTART_ARG: Final = task_struct.offsetof("restart_block.arg")


def _wake(k: Kernel, queue: int) -> None:
    """Wake everyone on the queue at physical address ``queue``."""
    if k.u64[queue >> 3] & PHYSICAL_MASK != queue:
        wake_up(wait_queue_head(k, queue))


# ---- the life of a pipe


def alloc_pipe_info(k: Kernel) -> pipe_inode_info:
    """Make an empty pipe that nobody has open."""
    pipe = kzalloc(k, pipe_inode_info)
    try:
        pipe.bufs = kmalloc(k, PIPE_DEF_BUFFERS * _BUF_SIZE) + PAGE_OFFSET
    except BaseException:
        kfree(pipe)
        raise
    pipe.max_usage = pipe.ring_size = PIPE_DEF_BUFFERS
    init_waitqueue_head(pipe.rd_wait)
    init_waitqueue_head(pipe.wr_wait)
    return pipe


def free_pipe_info(pipe: pipe_inode_info) -> None:
    """Free a pipe with all that is in it."""
    if waitqueue_active(pipe.rd_wait) or waitqueue_active(pipe.wr_wait):
        BUG(f"{pipe!r} is freed, and somebody waits for it")
    k, tail = pipe.k, pipe.tail
    for n in range(tail, tail + (pipe.head - tail & _M32)):
        put_page(k, k.u64[_buffer(k, pipe.pa, n) >> 3] & PHYSICAL_MASK)
    for page in pipe.tmp_page:
        if page:
            put_page(k, page & PHYSICAL_MASK)
    kfree_pa(k, pipe.bufs & PHYSICAL_MASK)
    kfree(pipe)


def _buffer(k: Kernel, pipe: int, n: int) -> int:
    """Return the physical address of slot ``n`` of the pipe at ``pipe``."""
    slot = n & k.u32[(pipe >> 2) + _RING_SIZE] - 1
    bufs: int = k.u64[(pipe >> 3) + _BUFS] & PHYSICAL_MASK
    return bufs + slot * _BUF_SIZE


def get_pipe_inode(sb: super_block, current: task_struct) -> inode:
    """Make the inode of a new pipe that will have one reader and one writer."""
    node = new_inode(sb)
    try:
        pipe = alloc_pipe_info(sb.k)
    except BaseException:
        iput(node)
        raise
    pipe.files, pipe.readers, pipe.writers = 2, 1, 1
    node.i_pipe = pipe.va
    node.i_ino = get_next_ino(sb.k)
    node.i_fop = Ops.PIPE_FOPS
    node.i_mode = S_IFIFO | 0o600
    node.i_uid, node.i_gid = current.fsuid, current.fsgid
    simple_inode_init_ts(node)
    return node


def create_pipe_files(current: task_struct, flags: int) -> tuple[file, file]:
    """Make a pipe; return the file to read from and the file to write to.

    Args:
        flags: O_NONBLOCK for both; O_DIRECT for the writer: each write is a packet.
    """
    k = current.k
    m = k.data(fs_data).pipe_mnt
    assert m is not None
    with ExitStack() as undo:
        reader = alloc_empty_file(k, O_RDONLY | flags & O_NONBLOCK)
        undo.callback(free_empty_file, reader)
        writer = alloc_empty_file(k, O_WRONLY | flags & (O_NONBLOCK | O_DIRECT))
        undo.callback(free_empty_file, writer)
        d = d_alloc_pseudo(m.mnt.mnt_sb, Ops.PIPEFS_DOPS)
        undo.callback(dput, d)
        node = get_pipe_inode(m.mnt.mnt_sb, current)
        undo.pop_all()
    d_instantiate(d, node)
    for f in (reader, writer):
        file_init_path(f, Place(m.mnt, d), Ops.PIPE_FOPS)
        f.private_data = node.i_pipe
        stream_open(f)
    dput(d)
    return reader, writer


# ---- frames


def _take_frames(k: Kernel, pipe: int, n: int) -> list[int]:
    """Return up to ``n`` frames for new buffers: fewer if there are no more.

    Raises:
        OutOfFrames: there is none.
    """
    u64, tmp_page = k.u64, (pipe >> 3) + _TMP_PAGE
    frames: list[int] = []
    for at in range(tmp_page, tmp_page + NR_TMP_PAGES):
        if u64[at] and len(frames) < n:
            frames.append(u64[at] & PHYSICAL_MASK)
            u64[at] = 0
    try:
        while len(frames) < n:
            frames.append(alloc_page(k))
    except OutOfFrames:
        if not frames:
            raise
    return frames


def _give_frame(k: Kernel, pipe: int, pa: int) -> None:
    """Keep a frame for the next buffer, or free it."""
    u64, tmp_page = k.u64, (pipe >> 3) + _TMP_PAGE
    for at in range(tmp_page, tmp_page + NR_TMP_PAGES):
        if not u64[at]:
            u64[at] = pa + PAGE_OFFSET
            return
    put_page(k, pa)


# ---- operations


class PipeFileOperations(FileOperations, ops=Ops.PIPE_FOPS):
    """pipefifo_fops."""

    def read_iter(self, iocb: kiocb, to: iov_iter) -> int:
        """Read what there is; wait if there is nothing and somebody may still write.

        Raises:
            SyscallError: EAGAIN: nothing, and O_NONBLOCK.  EFAULT: at the first buffer.
                ERESTARTSYS.
            OutOfFrames: at the first buffer.
        """
        left = to.count
        if not left:
            return 0
        f = iocb.ki_filp
        k: Kernel = f.k
        u32, u8 = k.u32, k.u8
        pipe = k.u64[(f.pa + _PRIVATE_DATA) >> 3] & PHYSICAL_MASK
        words = pipe >> 2
        head, tail = u32[words + _HEAD], u32[words + _TAIL]
        if head == tail:
            if not u32[words + _WRITERS]:
                return 0
            if u32[(f.pa + _F_FLAGS) >> 2] & O_NONBLOCK:
                raise SyscallError(Errno.EAGAIN)
            sleep_on_file(k.current(), f, wait_queue_head(k, pipe + _RD_WAIT))
        was_full = head - tail & _M32 >= u32[words + _MAX_USAGE]
        done = 0
        while left and tail != head:
            at = _buffer(k, pipe, tail)
            frame, buf = k.u64[at >> 3] & PHYSICAL_MASK, at >> 2
            offset, size = u32[buf + _BUF_OFFSET], u32[buf + _BUF_LEN]
            taken = min(size, left)
            start = frame + offset
            try:
                if to.copy_to_iter(u8[start : start + taken]) < taken:
                    raise SyscallError(Errno.EFAULT)
            except (SyscallError, OutOfFrames):
                if not done:
                    raise
                break
            done += taken
            left -= taken
            if u32[buf + _BUF_FLAGS] & PIPE_BUF_FLAG_PACKET:
                left = 0
            elif taken < size:
                u32[buf + _BUF_OFFSET] = offset + taken
                u32[buf + _BUF_LEN] = size - taken
                break
            tail = tail + 1 & _M32
            u32[words + _TAIL] = tail
            _give_frame(k, pipe, frame)
        if was_full and head - tail & _M32 < u32[words + _MAX_USAGE]:
            _wake(k, pipe + _WR_WAIT)
        file_accessed(f)
        return done

    def write_iter(self, iocb: kiocb, source: iov_iter) -> int:
        """Write all, waiting for room; fewer bytes if a signal, a fault or the last reader's end
        comes between.

        Raises:
            SyscallError: EPIPE: nobody can read; SIGPIPE is sent too.  EAGAIN: no room, and
                O_NONBLOCK.  EFAULT.  ERESTARTSYS.  None of them if something has been written.
            OutOfFrames: likewise.
        """
        if not source.count:
            return 0
        f = iocb.ki_filp
        k: Kernel = f.k
        current = k.current()
        pipe = k.u64[(f.pa + _PRIVATE_DATA) >> 3] & PHYSICAL_MASK
        written, again = (current.pa + _RESTART_ARG) >> 3, k.u64[(current.pa + _RESTART_FN) >> 3]
        if not again:
            k.u64[written] = 0
        elif k.u64[written]:
            source.iov_iter_advance(k.u64[written])
        was_empty = k.u32[(pipe >> 2) + _HEAD] == k.u32[(pipe >> 2) + _TAIL]
        try:
            self._write(current, f, pipe, source, written, bool(again))
        except (SyscallError, OutOfFrames):
            if not k.u64[written]:
                raise
        finally:  # also when it goes to sleep
            if was_empty and k.u32[(pipe >> 2) + _HEAD] != k.u32[(pipe >> 2) + _TAIL]:
                _wake(k, pipe + _RD_WAIT)
        inode_set_mctime_current(f.f_inode)
        return k.u64[written]

    def _write(self, current: task_struct, f: file, pipe: int, source: iov_iter, written: int,
               again: bool) -> None:
        """Write all that ``source`` has; count it at ``written``, an index into ``u64``."""
        k: Kernel = f.k
        u32, u64 = k.u32, k.u64
        words, flags = pipe >> 2, u32[(f.pa + _F_FLAGS) >> 2]
        if not u32[words + _READERS]:
            send_sig(SIGPIPE, current)
            raise SyscallError(Errno.EPIPE)
        if not again:
            u64[written] += self._merge(k, pipe, source)
        while source.count:
            room = u32[words + _MAX_USAGE] - (u32[words + _HEAD] - u32[words + _TAIL] & _M32)
            if room <= 0:
                if flags & O_NONBLOCK:
                    raise SyscallError(Errno.EAGAIN)
                sleep_on_file(current, f, wait_queue_head(k, pipe + _WR_WAIT))
            nr_pages = min(room, (source.count + PAGE_SIZE - 1) >> PAGE_SHIFT)
            u64[written] += self._fill(k, pipe, source, nr_pages, bool(flags & O_DIRECT))

    def _merge(self, k: Kernel, pipe: int, source: iov_iter) -> int:
        """Write what makes no whole page behind the bytes of the last buffer, if it fits there.

        Raises:
            SyscallError: EFAULT.
        """
        u32, words = k.u32, pipe >> 2
        head, size = u32[words + _HEAD], source.count & PAGE_SIZE - 1
        if not size or head == u32[words + _TAIL]:
            return 0
        at = _buffer(k, pipe, head - 1)
        buf = at >> 2
        used = u32[buf + _BUF_LEN]
        end = u32[buf + _BUF_OFFSET] + used
        if not u32[buf + _BUF_FLAGS] & PIPE_BUF_FLAG_CAN_MERGE or end + size > PAGE_SIZE:
            return 0
        data = source.copy_from_iter(size)
        if len(data) < size:
            raise SyscallError(Errno.EFAULT)
        start = (k.u64[at >> 3] & PHYSICAL_MASK) + end
        k.u8[start : start + size] = data
        u32[buf + _BUF_LEN] = used + size
        return size

    def _fill(self, k: Kernel, pipe: int, source: iov_iter, nr_pages: int, packets: bool) -> int:
        """Write up to ``nr_pages`` new buffers, all full but perhaps the last; return the bytes.

        A page that faults is not written at all.

        Raises:
            SyscallError: EFAULT: at the first page.
            OutOfFrames: for the first page.
        """
        frames = _take_frames(k, pipe, nr_pages)
        size = min(source.count, len(frames) << PAGE_SHIFT)
        data = memoryview(source.copy_from_iter(size))
        if len(data) < size:
            size = len(data) & -PAGE_SIZE
        u8, u32, u64, head = k.u8, k.u32, k.u64, k.u32[(pipe >> 2) + _HEAD]
        flags = PIPE_BUF_FLAG_PACKET if packets else PIPE_BUF_FLAG_CAN_MERGE
        done = 0
        for frame in frames:
            part = min(size - done, PAGE_SIZE)
            if not part:
                _give_frame(k, pipe, frame)
                continue
            u8[frame : frame + part] = data[done : done + part]
            done += part
            at = _buffer(k, pipe, head)
            u64[at >> 3] = frame + PAGE_OFFSET
            buf = at >> 2
            u32[buf + _BUF_OFFSET], u32[buf + _BUF_LEN], u32[buf + _BUF_FLAGS] = 0, part, flags
            head = head + 1 & _M32
        u32[(pipe >> 2) + _HEAD] = head
        if not done:
            raise SyscallError(Errno.EFAULT)
        return done

    def poll(self, f: file, pt: poll_table | None) -> int:
        """Return what a read or a write would find: EPOLLHUP, the end; EPOLLERR, no reader."""
        pipe = pipe_inode_info.at(f.k, f.private_data)
        used, mask = pipe.head - pipe.tail & _M32, 0
        if f.f_mode & FMODE_READ:
            poll_wait(pipe.rd_wait, pt)
            if used:
                mask |= EPOLLIN | EPOLLRDNORM
            if not pipe.writers:
                mask |= EPOLLHUP
        if f.f_mode & FMODE_WRITE:
            poll_wait(pipe.wr_wait, pt)
            if used < pipe.max_usage:
                mask |= EPOLLOUT | EPOLLWRNORM
            if not pipe.readers:
                mask |= EPOLLERR
        return mask

    def unlocked_ioctl(self, current: Any, f: file, cmd: int, arg: int) -> int:
        """Do FIONREAD: store the number of bytes in the pipe."""
        if cmd != FIONREAD:
            raise SyscallError(Errno.ENOTTY)
        k, pipe = f.k, pipe_inode_info.at(f.k, f.private_data)
        tail = pipe.tail
        slots = range(tail, tail + (pipe.head - tail & _M32))
        lengths = (k.u32[(_buffer(k, pipe.pa, n) >> 2) + _BUF_LEN] for n in slots)
        put_user_u32(k, arg, sum(lengths) & _M32)
        return 0

    def pipe_fcntl(self, f: file, cmd: int, arg: int) -> int:
        """Return the pipe's size in bytes, after having set it with F_SETPIPE_SZ."""
        pipe = pipe_inode_info.at(f.k, f.private_data)
        if cmd != F_GETPIPE_SZ:
            pipe_resize_ring(pipe, round_pipe_size(arg & _M32) >> PAGE_SHIFT)
        return pipe.max_usage << PAGE_SHIFT

    def release(self, node: inode, f: file) -> None:
        """Count the file no more; tell those at the other end if it was the last of its kind."""
        pipe = pipe_inode_info.at(f.k, f.private_data)
        if f.f_mode & FMODE_READ:
            pipe.readers -= 1
        if f.f_mode & FMODE_WRITE:
            pipe.writers -= 1
        if (not pipe.readers) != (not pipe.writers):
            wake_up(pipe.rd_wait)
            wake_up(pipe.wr_wait)
        pipe.files -= 1
        if not pipe.files:
            node.i_pipe = 0
            free_pipe_info(pipe)


# ---- size


def round_pipe_size(size: int) -> int:
    """Return the size that a pipe gets for which ``size`` is asked; 0: none is that large."""
    if size > 1 << 31:
        return 0
    return 1 << (max(size, PAGE_SIZE) - 1).bit_length()


def pipe_resize_ring(pipe: pipe_inode_info, nr_slots: int) -> None:
    """Give a pipe another number of slots, a power of two.

    Raises:
        SyscallError: EINVAL: none.  EBUSY: more are in use.  ENOMEM: too many for one array.
        OutOfFrames.
    """
    k, tail = pipe.k, pipe.tail
    used = pipe.head - tail & _M32
    if not nr_slots:
        raise SyscallError(Errno.EINVAL)
    if nr_slots < used:
        raise SyscallError(Errno.EBUSY)
    if nr_slots * _BUF_SIZE > KMALLOC_MAX_SIZE:
        raise SyscallError(Errno.ENOMEM)
    bufs = kmalloc(k, nr_slots * _BUF_SIZE)
    for n in range(used):
        to, from_ = bufs + n * _BUF_SIZE, _buffer(k, pipe.pa, tail + n)
        k.u8[to : to + _BUF_SIZE] = k.u8[from_ : from_ + _BUF_SIZE]
    kfree_pa(k, pipe.bufs & PHYSICAL_MASK)
    pipe.bufs = bufs + PAGE_OFFSET
    pipe.head, pipe.tail = used, 0
    pipe.ring_size = pipe.max_usage = nr_slots
    wake_up(pipe.wr_wait)  # there may be more room now


# ---- pipefs


class PipefsDentryOperations(DentryOperations, ops=Ops.PIPEFS_DOPS):
    """pipefs_dentry_operations."""

    def d_dname(self, d: dentry) -> bytes:
        return b"pipe:[%d]" % d_backing_inode(d).i_ino


class PipefsSuperOperations(SuperOperations, ops=Ops.PIPEFS_SOPS):
    """pipefs_ops."""


class PipefsType(FileSystemType, ops=Ops.PIPEFS_TYPE):
    """pipefs: has a root because every file system has one; a pipe is not under it."""

    name = "pipefs"

    def fill_super(self, sb: super_block) -> None:
        sb.s_magic = PIPEFS_MAGIC
        sb.s_op = Ops.PIPEFS_SOPS
        root = new_inode(sb)
        root.i_ino, root.i_mode = 1, S_IFDIR | 0o600
        simple_inode_init_ts(root)
        sb.s_root = d_make_root(root)


def init_pipe_fs(k: Kernel) -> None:
    """Mount pipefs for the kernel."""
    k.data(fs_data).pipe_mnt = kern_mount(k, Ops.PIPEFS_TYPE)


def do_pipe2(current: task_struct, fildes: int, flags: int) -> int:
    """Make a pipe and two descriptors of it, or nothing."""
    if flags & ~(O_CLOEXEC | O_NONBLOCK | O_DIRECT | O_NOTIFICATION_PIPE):
        raise SyscallError(Errno.EINVAL)
    if flags & O_NOTIFICATION_PIPE:
        raise SyscallError(Errno.ENOPKG)  # as Linux without CONFIG_WATCH_QUEUE
    files = files_of(current)
    with ExitStack() as undo:
        ends = create_pipe_files(current, flags)
        for f in ends:
            undo.callback(fput, f)
        fds = []
        for _ in ends:
            fds.append(get_unused_fd_flags(current, flags))
            undo.callback(put_unused_fd, files, fds[-1])
        copy_to_user(current.k, fildes, _FDS.pack(*fds))
        undo.pop_all()
    for fd, f in zip(fds, ends, strict=True):
        fd_install(files, fd, f)
    return 0


# System calls


@SYSCALL_DEFINE
def sys_pipe(current: task_struct, fildes: UserPtr) -> int:
    """Make a pipe.  See pipe(2)."""
    return do_pipe2(current, fildes, 0)


@SYSCALL_DEFINE
def sys_pipe2(current: task_struct, fildes: UserPtr, flags: Int) -> int:
    """Make a pipe, with flags.  See pipe(2).

    Limits: O_NOTIFICATION_PIPE is ENOPKG.
    """
    return do_pipe2(current, fildes, flags)
