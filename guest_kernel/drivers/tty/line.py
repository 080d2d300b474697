"""A terminal as the line discipline sees it: its settings, its queue, its column, its echo.

What is typed is echoed.  An echo waits in ``echo_buf`` for room in the driver, and with it what it
does to the cursor's column, which is known only when the echo is sent: *operations*, which begin
with ECHO_OP_START.  A byte behind it that is no operation is a control character, to be shown as
``^X``; ECHO_OP_START itself is written twice.

See: Linux drivers/tty/n_tty.c.
"""

from __future__ import annotations

from typing import Final

from guest_kernel.drivers.tty import termbits as t
from guest_kernel.drivers.tty.driver import tty_operations
from guest_kernel.errors import BUG
from guest_kernel.layout.tty import N_TTY_BUF_SIZE, tty_struct

# In echo_buf.
ECHO_OP_START: Final = 0xFF
ECHO_OP_MOVE_BACK_COL: Final = 0x80  # the cursor goes one column less far than it seemed
ECHO_OP_SET_CANON_COL: Final = 0x81  # here the line begins
ECHO_OP_ERASE_TAB: Final = 0x82  # go back over a tab; a byte follows: how far the line went before

ECHO_BLOCK: Final = 256  # so many bytes are gathered before they are sent, or until a batch ends
ECHO_DISCARD_WATERMARK: Final = N_TTY_BUF_SIZE - (ECHO_BLOCK + 32)

MASK: Final = N_TTY_BUF_SIZE - 1
NL, CR, TAB, BS = b"\n\r\t\b"

# What is echoed as it is, and moves the cursor by one column.
PLAIN: Final = bytes(range(0x20, 0x7F))

# The kernel's classes of characters are Latin-1's: lib/ctype.c.
IS_CONTROL: Final = bytes(c < 32 or c == 0x7F for c in range(256))


class Line:
    """A terminal as the line discipline sees it, for the length of one call.

    Attributes:
        data: the line discipline's.
        iflag, oflag, lflag, cc: its settings.
        ops: its driver.
        read_buf: what ``data`` has of that name.
    """

    def __init__(self, tty: tty_struct) -> None:
        data = tty.disc_data
        if data is None:
            BUG(f"{tty!r} has no line discipline")
        termios = tty.termios
        self.tty = tty
        self.data = data
        self.iflag: int = termios.c_iflag
        self.oflag: int = termios.c_oflag
        self.lflag: int = termios.c_lflag
        self.cc = bytes(termios.c_cc)
        self.ops = tty_operations(tty.ops)
        self.read_buf = data.read_buf
        self._echo_buf = data.echo_buf

    # ---- what is known of the input

    def is_char(self, c: int, place: int) -> bool:
        """Tell whether ``c`` is the control character at ``place`` of c_cc."""
        return c == self.cc[place] != t._POSIX_VDISABLE

    def read_cnt(self) -> int:
        """Return how many bytes are in read_buf."""
        return self.data.read_head - self.data.read_tail

    def is_canon(self) -> bool:
        """Tell whether reads are by lines."""
        return bool(self.data.icanon and not self.lflag & t.EXTPROC)

    def input_available(self, *, poll: bool = False) -> bool:
        """Tell whether there is something to read; ``poll``: as much as VMIN says."""
        data = self.data
        if self.is_canon():
            return data.canon_head != data.read_tail
        amount = self.cc[t.VMIN] if poll and not self.cc[t.VTIME] and self.cc[t.VMIN] else 1
        return data.commit_head - data.read_tail >= amount

    def chars_in_buffer(self) -> int:
        """Return how many bytes can be read, the marks of VEOF counted."""
        data = self.data
        head = data.canon_head if data.icanon else data.commit_head
        return head - data.read_tail

    def set_flag(self, place: int) -> None:
        """Note that the character at ``place`` ends a line."""
        place &= MASK
        self.data.read_flags[place >> 3] |= 1 << (place & 7)

    def flagged(self, place: int) -> bool:
        """Tell whether the character at ``place`` ends a line."""
        place &= MASK
        return bool(self.data.read_flags[place >> 3] >> (place & 7) & 1)

    def clear_flag(self, place: int) -> None:
        """Forget that the character at ``place`` ends a line."""
        place &= MASK
        self.data.read_flags[place >> 3] &= ~(1 << (place & 7))

    def put(self, c: int) -> None:
        """Add a character to read_buf: put_tty_queue()."""
        head = self.data.read_head
        self.read_buf[head & MASK] = c
        self.data.read_head = head + 1

    def take(self, count: int) -> bytes:
        """Return the next ``count`` characters of read_buf, and leave them there."""
        start = self.data.read_tail & MASK
        end = start + count
        first = bytes(self.read_buf[start : min(end, N_TTY_BUF_SIZE)])
        return first + bytes(self.read_buf[: end - N_TTY_BUF_SIZE]) if end > N_TTY_BUF_SIZE else (
            first)

    # ---- output

    def is_continuation(self, c: int) -> bool:
        """Tell whether ``c`` only goes on with a character of UTF-8."""
        return bool(self.iflag & t.IUTF8 and c & 0xC0 == 0x80)

    def _output_char(self, c: int, out: bytearray, space: int) -> int:
        """Append a character, processed as OPOST says; return what it takes, -1: no room.

        See do_output_char().
        """
        if not space:
            return -1
        data, oflag = self.data, self.oflag
        if c == NL:
            if oflag & t.ONLRET:
                data.column = 0
            if oflag & t.ONLCR:
                if space < 2:
                    return -1
                data.canon_column = data.column = 0
                out += b"\r\n"
                return 2
            data.canon_column = data.column
        elif c == CR:
            if oflag & t.ONOCR and not data.column:
                return 0
            if oflag & t.OCRNL:
                c = NL
                if oflag & t.ONLRET:
                    data.canon_column = data.column = 0
            else:
                data.canon_column = data.column = 0
        elif c == TAB:
            spaces = 8 - (data.column & 7)
            if oflag & t.TABDLY == t.XTABS:
                if space < spaces:
                    return -1
                data.column += spaces
                out += b" " * spaces
                return spaces
            data.column += spaces
        elif c == BS:
            if data.column:
                data.column -= 1
        elif not IS_CONTROL[c]:
            if oflag & t.OLCUC:
                c = _upper(c)
            if not self.is_continuation(c):
                data.column += 1
        out.append(c)
        return 1

    def process_output(self, chunk: bytes, space: int) -> int:
        """Send bytes, processed as c_oflag says; return how many of them there was room for.

        Args:
            space: what ``write_room`` of the driver says.
        """
        tty, ops = self.tty, self.ops
        if not self.oflag & t.OPOST:
            return ops.write(tty, chunk)
        simple = self.oflag & ~(t.OPOST | t.ONLCR) == 0 and self.oflag & t.ONLCR
        if simple and 2 * len(chunk) <= space:
            self._move_column(chunk)
            ops.write(tty, chunk.replace(b"\n", b"\r\n"))
            return len(chunk)
        out, done = bytearray(), 0
        for c in chunk:
            taken = self._output_char(c, out, space)
            if taken < 0:
                break
            space -= taken
            done += 1
        if out:
            ops.write(tty, bytes(out))
        return done

    def _move_column(self, chunk: bytes) -> None:
        """Set the column that plain output leads to, where OPOST and ONLCR alone are set."""
        data = self.data
        start = max(chunk.rfind(b"\n"), chunk.rfind(b"\r")) + 1
        if start:
            data.canon_column = 0
        column = 0 if start else data.column
        line = chunk[start:]
        if line.isascii() and line.isalnum():
            column += len(line)
        else:
            for c in line:
                if c == TAB:
                    column += 8 - (column & 7)
                elif c == BS:
                    column -= column > 0
                elif not IS_CONTROL[c] and not self.is_continuation(c):
                    column += 1
        data.column = column

    # ---- echo

    def add_echo(self, *codes: int) -> None:
        """Add bytes to echo_buf."""
        data = self.data
        head = data.echo_head
        for code in codes:
            self._echo_buf[head & MASK] = code
            head += 1
        data.echo_head = head

    def echo_char_raw(self, c: int) -> None:
        """Echo a character as it is."""
        if c == ECHO_OP_START:
            self.add_echo(ECHO_OP_START, ECHO_OP_START)
        else:
            self.add_echo(c)

    def echo_char(self, c: int) -> None:
        """Echo a character; a control character as ``^X``, if ECHOCTL is set."""
        if c == ECHO_OP_START or (self.lflag & t.ECHOCTL and IS_CONTROL[c] and c != TAB):
            self.add_echo(ECHO_OP_START, c)
        else:
            self.add_echo(c)

    def _process_echoes(self) -> None:
        """Send what is committed, as far as there is room: __process_echoes()."""
        data, echo = self.data, self._echo_buf
        space = self.ops.write_room(self.tty)
        out = bytearray()
        tail, commit = data.echo_tail, data.echo_commit
        while tail != commit:
            c = echo[tail & MASK]
            if c in PLAIN and not self.oflag & t.OLCUC and space:
                start = tail & MASK
                run = bytes(echo[start : start + min(commit - tail, space)])
                run = run[: len(run) - len(run.lstrip(PLAIN))]
                out += run
                space -= len(run)
                data.column += len(run) if self.oflag & t.OPOST else 0
                tail += len(run)
                continue
            if c != ECHO_OP_START:
                if self.oflag & t.OPOST:
                    taken = self._output_char(c, out, space)
                    if taken < 0:
                        break
                    space -= taken
                elif not space:
                    break
                else:
                    out.append(c)
                    space -= 1
                tail += 1
                continue
            op = echo[(tail + 1) & MASK]
            if op == ECHO_OP_ERASE_TAB:
                columns = echo[(tail + 2) & MASK]
                if not columns & 0x80:
                    columns += data.canon_column
                back = 8 - (columns & 7)
                if back > space:
                    break
                space -= back
                out += b"\b" * back
                data.column = max(data.column - back, 0)
                tail += 3
                continue
            if op == ECHO_OP_SET_CANON_COL:
                data.canon_column = data.column
            elif op == ECHO_OP_MOVE_BACK_COL:
                data.column = max(data.column - 1, 0)
            elif op == ECHO_OP_START:
                if not space:
                    break
                out.append(ECHO_OP_START)
                data.column += 1
                space -= 1
            else:
                if space < 2:
                    break
                out += bytes((ord("^"), op ^ 0x40))
                data.column += 2
                space -= 2
            tail += 2
        while commit > tail and commit - tail >= ECHO_DISCARD_WATERMARK:
            tail += self._echo_length(tail)  # or new ones would overrun it
        data.echo_tail = tail
        if out:
            self.ops.write(self.tty, bytes(out))

    def _echo_length(self, place: int) -> int:
        if self._echo_buf[place & MASK] != ECHO_OP_START:
            return 1
        return 3 if self._echo_buf[(place + 1) & MASK] == ECHO_OP_ERASE_TAB else 2

    def commit_echoes(self) -> None:
        """Mark the end of an operation, and send when enough have gathered."""
        data = self.data
        head = data.echo_mark = data.echo_head
        old = data.echo_commit - data.echo_tail
        count = head - data.echo_tail
        if count < ECHO_BLOCK or count % ECHO_BLOCK > old % ECHO_BLOCK:
            return
        data.echo_commit = head
        self._process_echoes()

    def process_echoes(self) -> None:
        """Send echoes that had to wait."""
        data = self.data
        if data.echo_mark != data.echo_tail:
            data.echo_commit = data.echo_mark
            self._process_echoes()

    def flush_echoes(self) -> None:
        """Send what a batch of input has left to be echoed."""
        data = self.data
        if self.lflag & (t.ECHO | t.ECHONL) and data.echo_commit != data.echo_head:
            data.echo_commit = data.echo_head
            self._process_echoes()

    def finish_erasing(self) -> None:
        """End what ECHOPRT has printed of erased characters."""
        if self.data.erasing:
            self.echo_char_raw(ord("/"))
            self.data.erasing = 0


def _upper(c: int) -> int:
    return c - 32 if 0x61 <= c <= 0x7A or (c >= 0xDF and c != 0xF7) else c
