"""N_TTY, the line discipline: between a terminal's keys and the programs that read and write it.

Input comes from :func:`n_tty_receive_buf`.  With ICANON it is gathered to lines, which can be
edited until they are finished; only finished lines can be read.  Without, bytes can be read when
there are as many as VMIN says, or when VTIME is over.  Some characters stop and start the output,
or send signals to the foreground process group.

What it needs of a terminal is in :class:`Line` (``line.py``), how it takes input in
:class:`InputLine` (``n_tty_input.py``): views that live as long as one call; all state is in RAM.

Limits:
    No parity errors or breaks, which no wire here makes.  Two reads at a time with a VMIN of more
    than one may share the bytes.

See: Linux drivers/tty/n_tty.c; termios(3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn

from guest_kernel.drivers.tty import termbits as t
from guest_kernel.drivers.tty.flow import start_tty
from guest_kernel.drivers.tty.jobctrl import check_change, job_control, tty_io_nonblock
from guest_kernel.drivers.tty.line import CR, MASK, NL, Line
from guest_kernel.drivers.tty.n_tty_input import InputLine, reset_buffer_flags
from guest_kernel.errors import Errno, Sleep, SyscallError
from guest_kernel.fs.file import hold_restart_file
from guest_kernel.fs.poll import EPOLLIN, EPOLLOUT, EPOLLRDNORM, EPOLLWRNORM
from guest_kernel.layout.fs import Ops, file
from guest_kernel.layout.sched import task_struct, wait_queue_head
from guest_kernel.layout.tty import (
    N_TTY_BUF_SIZE,
    TTY_DRIVER_TYPE_PTY,
    TTY_THROTTLED,
    n_tty_data,
    tty_struct,
)
from guest_kernel.mm.slab import kfree, kzalloc
from guest_kernel.mm.uaccess import put_user_u32
from guest_kernel.process.workqueue import schedule_work
from guest_kernel.sched.wait import (
    NEVER,
    poll_table,
    poll_wait,
    signal_pending,
    sleep_on,
    wake_up,
)
from guest_kernel.time.timekeeping import ktime_get

if TYPE_CHECKING:
    from guest_kernel.kernel import Kernel
    from guest_kernel.mm.iov_iter import iov_iter

TTY_THRESHOLD_THROTTLE: Final = 128
TTY_THRESHOLD_UNTHROTTLE: Final = 128
WAKEUP_CHARS: Final = 256  # poll: with less in the driver, there is room
KERNEL_BUFFER: Final = 64  # tty_read() takes so much at a time, and a larger VMIN asks for no more
NSEC_PER_DECISECOND: Final = 100_000_000


def n_tty_open(tty: tty_struct) -> None:
    """Give a terminal its line discipline.

    Raises:
        OutOfFrames.
    """
    tty.disc_data = kzalloc(tty.k, n_tty_data)
    n_tty_set_termios(tty, None)


def n_tty_close(tty: tty_struct) -> None:
    """Take it away."""
    kfree(tty.disc_data)
    tty.disc_data = None


def n_tty_flush_buffer(tty: tty_struct) -> None:
    """Forget what has been typed and not been read."""
    data = tty.disc_data
    assert data is not None
    reset_buffer_flags(data)
    _check_unthrottle(Line(tty))


def n_tty_reset(tty: tty_struct) -> None:
    """Forget all that is under way in both directions: the terminal has been hung up."""
    data = tty.disc_data
    assert data is not None
    reset_buffer_flags(data)
    data.echo_head = data.echo_tail = data.echo_mark = data.echo_commit = 0
    data.column = data.canon_column = 0
    data.lnext = data.no_room = 0
    n_tty_set_termios(tty, None)


def n_tty_set_termios(tty: tty_struct, old_lflag: int | None, old_iflag: int = 0) -> None:
    """Act on new settings.

    Args:
        old_lflag: c_lflag of the old ones; None: there were none.
        old_iflag: c_iflag of the old ones.
    """
    line = Line(tty)
    data, iflag, lflag = line.data, line.iflag, line.lflag
    if old_lflag is None or (old_lflag ^ lflag) & (t.ICANON | t.EXTPROC):
        data.read_flags[:] = bytes(N_TTY_BUF_SIZE // 8)
        data.line_start = data.read_tail
        if not lflag & t.ICANON or not line.read_cnt():
            data.canon_head = data.read_tail
            data.push = 0
        else:  # what has come so far is a line
            line.set_flag(data.read_head - 1)
            data.canon_head = data.read_head
            data.push = 1
        data.commit_head = data.read_head
        data.erasing = data.lnext = 0
    data.icanon = int(bool(lflag & t.ICANON))
    data.raw = int(not (
        iflag & (t.ISTRIP | t.IUCLC | t.IGNCR | t.ICRNL | t.INLCR | t.IXON | t.PARMRK)
        or lflag & (t.ICANON | t.ISIG | t.ECHO)))
    if not data.raw:
        _set_char_map(line)
    _kick_worker(line)
    flow = tty.flow
    if old_iflag & t.IXON and not iflag & t.IXON and not flow.tco_stopped:
        start_tty(tty)
        line.process_echoes()
    wake_up(tty.write_wait)
    wake_up(tty.read_wait)


def _set_char_map(line: Line) -> None:
    """Note which characters mean something."""
    iflag, lflag, cc = line.iflag, line.lflag, line.cc
    places: list[int] = []
    special = set()
    if iflag & (t.IGNCR | t.ICRNL):
        special.add(CR)
    if iflag & t.INLCR:
        special.add(NL)
    if lflag & t.ICANON:
        special.add(NL)
        places += [t.VERASE, t.VKILL, t.VEOF, t.VEOL]
        if lflag & t.IEXTEN:
            places += [t.VWERASE, t.VLNEXT, t.VEOL2]
            if lflag & t.ECHO:
                places.append(t.VREPRINT)
    if iflag & t.IXON:
        places += [t.VSTART, t.VSTOP]
    if lflag & t.ISIG:
        places += [t.VINTR, t.VQUIT, t.VSUSP]
    special.update(cc[place] for place in places)
    special.discard(t._POSIX_VDISABLE)
    bits = sum(1 << c for c in special)
    line.data.char_map[:] = memoryview(bits.to_bytes(32, "little")).cast("Q")


def n_tty_receive_buf(tty: tty_struct, chunk: bytes) -> int:
    """Take input from the port; return how many bytes there was room for."""
    line = InputLine(tty)
    data = line.data
    received = 0
    while True:
        room = N_TTY_BUF_SIZE - line.read_cnt()
        if line.iflag & t.PARMRK:
            room = -(-room // 3)
        room -= 1
        if room <= 0:
            overflow = bool(data.icanon) and data.canon_head == data.read_tail
            if overflow and room < 0:
                data.read_head -= 1  # the last character gives way
            room = int(overflow)
            data.no_room = int(not room)
        count = min(len(chunk) - received, room)
        if not count:
            break
        line.receive(chunk[received : received + count])
        received += count
    _check_throttle(line)
    return received


def _check_throttle(line: InputLine) -> None:
    """Have the other end wait if there is little room left, unless the line has no end yet."""
    tty = line.tty
    driver = tty.driver
    assert driver is not None
    if driver.type != TTY_DRIVER_TYPE_PTY and not tty.flags & TTY_THROTTLED and (
            line.receive_room() < TTY_THRESHOLD_THROTTLE):
        tty.flags |= TTY_THROTTLED
        line.ops.throttle(tty)


def _check_unthrottle(line: Line) -> None:
    tty = line.tty
    if line.chars_in_buffer() > TTY_THRESHOLD_UNTHROTTLE:
        return
    _kick_worker(line)
    if tty.flags & TTY_THROTTLED:
        tty.flags &= ~TTY_THROTTLED
        line.ops.unthrottle(tty)


def _kick_worker(line: Line) -> None:
    """Have the port pass on what there was no room for."""
    if line.data.no_room:
        line.data.no_room = 0
        port = line.tty.port
        assert port is not None
        schedule_work(port.buf.work)


# ---- reading


def n_tty_input_available(tty: tty_struct) -> bool:
    """Tell whether there is something to read."""
    return Line(tty).input_available()


def n_tty_read(tty: tty_struct, f: file, to: iov_iter) -> int:
    """Read a line, or without ICANON as VMIN and VTIME say.

    Raises:
        SyscallError: EIO, ERESTARTSYS: see ``job_control``.  EAGAIN: nothing, and O_NONBLOCK.
            EFAULT; the bytes are lost, as in Linux.
    """
    k: Kernel = tty.k
    current = k.current()
    block = current.restart_block
    if not block.fn:  # the first try: see sched/wait.py
        job_control(current, tty, f)
        block.arg[0] = 0
        block.expires = NEVER
    line = Line(tty)
    if not to.count:
        return 0
    done: int = block.arg[0]
    if done:
        to.iov_iter_advance(done)
    if line.is_canon():
        if not line.input_available():
            _wait_for_input(current, line, f, done, NEVER)
        count = canon_copy(line, to)
        _check_unthrottle(line)
        return done + count
    minimum = line.cc[t.VMIN]
    between = line.cc[t.VTIME] * NSEC_PER_DECISECOND
    if not minimum:
        if not block.fn and not line.input_available():
            if not between:
                return done
            block.expires = ktime_get(k) + between
        minimum, between = 1, 0
    copied = raw_copy(line, to, KERNEL_BUFFER - done if minimum > KERNEL_BUFFER else to.count)
    if copied:
        done += copied
        block.arg[0] = done
        block.expires = ktime_get(k) + between if between else NEVER
        _check_unthrottle(line)
    if done < min(minimum, KERNEL_BUFFER) and to.count:
        _wait_for_input(current, line, f, done, block.expires)
    return done


def _wait_for_input(current: task_struct, line: Line, f: file, done: int, expires: int) -> None:
    """Sleep until there is input; return if the read is over with what it has.

    Args:
        done: bytes that the read has already.
        expires: when it has waited long enough, monotonic ns.

    Raises:
        Sleep.
        SyscallError: EAGAIN, ERESTARTSYS: and the read has nothing.
    """
    if ktime_get(current.k) >= expires:
        return
    if tty_io_nonblock(f):
        if done:
            return
        raise SyscallError(Errno.EAGAIN)
    if signal_pending(current) and done:
        return
    sleep_on_tty(current, f, line.tty.read_wait, expires)


def sleep_on_tty(current: task_struct, f: file, queue: wait_queue_head,
                 expires: int = NEVER) -> NoReturn:
    """Sleep in a call that has ``f`` open until ``queue`` is woken, then be called again.

    Raises:
        Sleep, SyscallError: as ``sleep_on``.
    """
    try:
        sleep_on(current, queue, expires=expires)
    except Sleep:
        hold_restart_file(current, f)
        raise


def raw_copy(line: Line, to: iov_iter, limit: int) -> int:
    """Read what there is, but no more than ``limit`` bytes; return the number of bytes.

    Raises:
        SyscallError: EFAULT; the bytes are lost.
    """
    data = line.data
    chunk = line.take(min(data.commit_head - data.read_tail, to.count, limit))
    data.read_tail += len(chunk)
    if to.copy_to_iter(chunk) < len(chunk):
        raise SyscallError(Errno.EFAULT)
    return len(chunk)


def canon_copy(line: Line, to: iov_iter) -> int:
    """Read one line, or what fits of it; return the number of bytes.

    See canon_copy_from_read_buf(), canon_skip_eof().

    Raises:
        SyscallError: EFAULT; the bytes are lost.
    """
    data = line.data
    tail, limit = data.read_tail, min(to.count, data.canon_head - data.read_tail)
    end = _find_flag(line, tail, tail + limit)
    found = end < tail + limit
    count = end - tail
    chunk = line.take(count + found)
    if found and chunk[-1] == t._POSIX_VDISABLE:
        chunk = chunk[:-1]
    data.read_tail = tail + count + found
    if found:
        line.clear_flag(end)
        if data.push:
            data.push = 0
        else:
            data.line_start = data.read_tail
    elif data.read_tail != data.canon_head and line.flagged(data.read_tail) and (
            line.take(1)[0] == t._POSIX_VDISABLE):
        # All is read but the mark of VEOF: without it, the next read would be an empty one.
        line.clear_flag(data.read_tail)
        data.read_tail += 1
    if to.copy_to_iter(chunk) < len(chunk):
        raise SyscallError(Errno.EFAULT)
    return len(chunk)


def _find_flag(line: Line, start: int, end: int) -> int:
    """Return the first place from ``start`` on that ends a line; ``end`` if there is none."""
    flags = int.from_bytes(bytes(line.data.read_flags), "little")
    first = start & MASK
    flags = (flags >> first | flags << N_TTY_BUF_SIZE - first) & (1 << end - start) - 1
    return start + (flags & -flags).bit_length() - 1 if flags else end


# ---- writing


def n_tty_write(tty: tty_struct, f: file, source: iov_iter) -> int:
    """Write all, waiting while output is stopped.

    Raises:
        SyscallError: EIO, ERESTARTSYS: see ``check_change``; or with TOSTOP alone.  EAGAIN: no
            room, and O_NONBLOCK.  EFAULT: at the first byte.
    """
    current = tty.k.current()
    block = current.restart_block
    if not block.fn:
        if tty.termios.c_lflag & t.TOSTOP and f.f_op != Ops.CONSOLE_FOPS:
            check_change(current, tty)
        block.arg[0] = 0
    done: int = block.arg[0]
    source.iov_iter_advance(done)
    line = Line(tty)
    line.process_echoes()
    if signal_pending(current):
        if done:
            return done
        raise SyscallError(Errno.ERESTARTSYS)
    blocked = False
    while source.count and not blocked:
        room = line.ops.write_room(tty)
        chunk = source.copy_from_iter(min(source.count, room, 1 << 16))
        if not chunk and room:
            if done:
                return done
            raise SyscallError(Errno.EFAULT)
        taken = line.process_output(chunk, room) if chunk else 0
        blocked = not room or taken < len(chunk)
        done += taken
    if not blocked:
        return done
    if tty_io_nonblock(f):
        if done:
            return done
        raise SyscallError(Errno.EAGAIN)
    block.arg[0] = done
    sleep_on_tty(current, f, tty.write_wait, NEVER)


# ---- the rest


def n_tty_poll(tty: tty_struct, pt: poll_table | None) -> int:
    """Return the EPOLL* events that hold now, and put ``pt`` on the queues that tell more."""
    poll_wait(tty.read_wait, pt)
    poll_wait(tty.write_wait, pt)
    line = Line(tty)
    mask = 0
    if line.input_available(poll=True):
        mask |= EPOLLIN | EPOLLRDNORM
    if line.ops.chars_in_buffer(tty) < WAKEUP_CHARS and line.ops.write_room(tty):
        mask |= EPOLLOUT | EPOLLWRNORM
    return mask


def n_tty_ioctl(tty: tty_struct, cmd: int, arg: int) -> bool:
    """Answer TIOCOUTQ or TIOCINQ; False: it is another request.

    Raises:
        SyscallError: EFAULT.
    """
    line = Line(tty)
    if cmd == t.TIOCOUTQ:
        put_user_u32(tty.k, arg, line.ops.chars_in_buffer(tty))
    elif cmd == t.TIOCINQ:
        put_user_u32(tty.k, arg, _inq_canon(line) if line.lflag & t.ICANON else line.read_cnt())
    else:
        return False
    return True


def _inq_canon(line: Line) -> int:
    """Return how many characters of finished lines there are, without the marks of VEOF."""
    data = line.data
    count = data.canon_head - data.read_tail
    return count - sum(line.flagged(data.read_tail + n) and c == t._POSIX_VDISABLE
                       for n, c in enumerate(line.take(count)))
