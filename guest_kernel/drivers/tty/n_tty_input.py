"""Input: from the bytes that a port has received to lines, echoes and signals.

See: Linux drivers/tty/n_tty.c; termios(3), "Canonical and noncanonical mode".
"""

from __future__ import annotations

from typing import Final

from guest_kernel.drivers.tty import termbits as t
from guest_kernel.drivers.tty.flow import start_tty, stop_tty
from guest_kernel.drivers.tty.line import (
    BS,
    CR,
    ECHO_BLOCK,
    ECHO_OP_ERASE_TAB,
    ECHO_OP_MOVE_BACK_COL,
    ECHO_OP_SET_CANON_COL,
    ECHO_OP_START,
    IS_CONTROL,
    MASK,
    NL,
    TAB,
    Line,
)
from guest_kernel.layout.tty import N_TTY_BUF_SIZE, n_tty_data
from guest_kernel.sched.wait import wake_up
from guest_kernel.signal.numbers import SIGINT, SIGQUIT, SIGTSTP
from guest_kernel.signal.signal import kill_pgrp

LONG: Final = 16  # it is worth looking for runs in so many bytes

# What VWERASE takes for a part of a word.
IS_WORD: Final = bytes(
    c in b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"
    or (c >= 0xC0 and c not in (0xD7, 0xF7)) for c in range(256))


class InputLine(Line):
    """A terminal that receives."""

    def _eraser(self, c: int) -> None:
        """Take back a character, a word or the line: VERASE, VWERASE, VKILL."""
        data, lflag = self.data, self.lflag
        if data.read_head == data.canon_head:
            return
        one, word = self.is_char(c, t.VERASE), False
        if not one:
            word = self.is_char(c, t.VWERASE)
        if not one and not word:
            if not lflag & t.ECHO:
                data.read_head = data.canon_head
                return
            if not (lflag & t.ECHOK and lflag & t.ECHOKE and lflag & t.ECHOE):
                data.read_head = data.canon_head
                self.finish_erasing()
                self.echo_char(self.cc[t.VKILL])
                if lflag & t.ECHOK:
                    self.echo_char_raw(NL)
                return
        seen_alnums = False
        while data.read_head != data.canon_head:
            head = data.read_head - 1
            c = self.read_buf[head & MASK]
            while self.is_continuation(c) and head != data.canon_head:
                head -= 1
                c = self.read_buf[head & MASK]
            if self.is_continuation(c):
                break  # not a part of a character
            if word:
                if IS_WORD[c]:
                    seen_alnums = True
                elif seen_alnums:
                    break
            count = data.read_head - head
            data.read_head = head
            if lflag & t.ECHO:
                self._echo_erased(c, head, count, one)
            if one:
                break
        if data.read_head == data.canon_head and lflag & t.ECHO:
            self.finish_erasing()

    def _echo_erased(self, c: int, head: int, count: int, one: bool) -> None:
        """Show that the character ``c`` of ``count`` bytes at ``head`` has gone."""
        data, lflag = self.data, self.lflag
        if lflag & t.ECHOPRT:
            if not data.erasing:
                self.echo_char_raw(ord("\\"))
                data.erasing = 1
            self.echo_char(c)
            for place in range(head + 1, head + count):
                self.echo_char_raw(self.read_buf[place & MASK])
                self.add_echo(ECHO_OP_START, ECHO_OP_MOVE_BACK_COL)
        elif one and not lflag & t.ECHOE:
            self.echo_char(self.cc[t.VERASE])
        elif c == TAB:
            self._echo_erase_tab()
        else:
            if IS_CONTROL[c] and lflag & t.ECHOCTL:
                self.add_echo(BS, ord(" "), BS)
            if not IS_CONTROL[c] or lflag & t.ECHOCTL:
                self.add_echo(BS, ord(" "), BS)

    def _echo_erase_tab(self) -> None:
        """Go back over a tab: so far as the characters before it, since another tab, leave it."""
        data = self.data
        columns = after_tab = 0
        place = data.read_head
        while place != data.canon_head:
            place -= 1
            c = self.read_buf[place & MASK]
            if c == TAB:
                after_tab = 0x80
                break
            if IS_CONTROL[c]:
                columns += 2 if self.lflag & t.ECHOCTL else 0
            elif not self.is_continuation(c):
                columns += 1
        self.add_echo(ECHO_OP_START, ECHO_OP_ERASE_TAB, columns & 7 | after_tab)

    def _signal_char(self, sig: int, c: int) -> None:
        """A character that sends a signal; what has been typed and written before it is dropped."""
        tty, data = self.tty, self.data
        kill_pgrp(tty.ctrl.pgrp, sig)
        if not self.lflag & t.NOFLSH:
            data.echo_head = data.echo_tail = data.echo_mark = data.echo_commit = 0
            self.ops.flush_buffer(tty)
            reset_buffer_flags(data)
        if self.iflag & t.IXON:
            start_tty(tty)
        if self.lflag & t.ECHO:
            self.echo_char(c)
            self.commit_echoes()
        else:
            self.process_echoes()

    def _receive_special(self, c: int) -> None:
        """A character that may mean something: n_tty_receive_char_special()."""
        tty, data, iflag, lflag = self.tty, self.data, self.iflag, self.lflag
        if iflag & t.IXON:
            if self.is_char(c, t.VSTART):
                start_tty(tty)
                self.process_echoes()
                return
            if self.is_char(c, t.VSTOP):
                stop_tty(tty)
                return
        if lflag & t.ISIG:
            for place, sig in ((t.VINTR, SIGINT), (t.VQUIT, SIGQUIT), (t.VSUSP, SIGTSTP)):
                if self.is_char(c, place):
                    self._signal_char(sig, c)
                    return
        self._start_if_any()
        if c == CR:
            if iflag & t.IGNCR:
                return
            if iflag & t.ICRNL:
                c = NL
        elif c == NL and iflag & t.INLCR:
            c = CR
        if data.icanon and self._receive_canon(c):
            return
        if lflag & t.ECHO:
            self.finish_erasing()
            if c == NL:
                self.echo_char_raw(NL)
            else:
                self._echo_typed(c)
            self.commit_echoes()
        self._put_doubled(c)

    def _receive_canon(self, c: int) -> bool:
        """A character that edits or ends the line; False: it is an ordinary one."""
        data, lflag = self.data, self.lflag
        extended = lflag & t.IEXTEN
        if self.is_char(c, t.VERASE) or self.is_char(c, t.VKILL) or (
                extended and self.is_char(c, t.VWERASE)):
            self._eraser(c)
            self.commit_echoes()
        elif extended and self.is_char(c, t.VLNEXT):
            data.lnext = 1
            if lflag & t.ECHO:
                self.finish_erasing()
                if lflag & t.ECHOCTL:
                    self.add_echo(ord("^"), BS)
                    self.commit_echoes()
        elif extended and lflag & t.ECHO and self.is_char(c, t.VREPRINT):
            self.finish_erasing()
            self.echo_char(c)
            self.echo_char_raw(NL)
            for place in range(data.canon_head, data.read_head):
                self.echo_char(self.read_buf[place & MASK])
            self.commit_echoes()
        elif c == NL:
            if lflag & (t.ECHO | t.ECHONL):
                self.echo_char_raw(NL)
                self.commit_echoes()
            self._finish_line(c)
        elif self.is_char(c, t.VEOF):
            self._finish_line(t._POSIX_VDISABLE)
        elif self.is_char(c, t.VEOL) or (extended and self.is_char(c, t.VEOL2)):
            if lflag & t.ECHO:
                self._echo_typed(c)
                self.commit_echoes()
            if c == 0xFF and self.iflag & t.PARMRK:
                self.put(c)
            self._finish_line(c)
        else:
            return False
        return True

    def _finish_line(self, c: int) -> None:
        """End the line with ``c``; _POSIX_VDISABLE stands for VEOF and is not read."""
        data = self.data
        self.set_flag(data.read_head)
        self.put(c)
        data.canon_head = data.read_head
        wake_up(self.tty.read_wait)

    def _echo_typed(self, c: int) -> None:
        data = self.data
        if data.canon_head == data.read_head:
            self.add_echo(ECHO_OP_START, ECHO_OP_SET_CANON_COL)
        self.echo_char(c)

    def _put_doubled(self, c: int) -> None:
        """Add a character; PARMRK writes 0xff twice, since once it begins a mark."""
        if c == 0xFF and self.iflag & t.PARMRK:
            self.put(c)
        self.put(c)

    def _start_if_any(self) -> None:
        """With IXANY any character starts what VSTOP has stopped."""
        if self.iflag & (t.IXON | t.IXANY) == t.IXON | t.IXANY:
            flow = self.tty.flow
            if flow.stopped and not flow.tco_stopped:
                start_tty(self.tty)
                self.process_echoes()

    def _receive_char(self, c: int) -> None:
        """A character that means itself."""
        self._start_if_any()
        if self.lflag & t.ECHO:
            self.finish_erasing()
            self._echo_typed(c)
            self.commit_echoes()
        self._put_doubled(c)

    def _strip(self, c: int) -> int:
        if self.iflag & t.ISTRIP:
            c &= 0x7F
        if self.iflag & t.IUCLC and self.lflag & t.IEXTEN:
            c = _lower(c)
        return c

    def receive(self, chunk: bytes) -> None:
        """Process input that there is room for: __receive_buf()."""
        data = self.data
        if data.raw:
            self._put_all(chunk)
        elif self.lflag & t.EXTPROC:
            self._put_all(bytes(map(self._strip, chunk)))
        else:
            self._receive_typed(bytes(map(self._strip, chunk)))
            self.flush_echoes()
        if self.is_canon():
            return
        data.commit_head = data.read_head
        if self.read_cnt():
            wake_up(self.tty.read_wait)

    def _receive_typed(self, chunk: bytes) -> None:
        """Take characters one by one, but for runs of such as mean and look like nothing else.

        Such runs are taken at once, as far as no echo would be sent in between.
        """
        data = self.data
        special = data.char_map.tolist()
        plain = b""
        if len(chunk) >= LONG and not self.iflag & t.IXANY:
            plain = bytes(c for c in range(0x20, ECHO_OP_START)
                          if c != 0x7F and not special[c >> 6] >> (c & 63) & 1)
        place = 0
        while place < len(chunk):
            if plain and not data.lnext and not data.erasing:
                run = chunk[place : place + self._echo_room()]
                run = run[: len(run) - len(run.lstrip(plain))]
                if run:
                    self._receive_run(run)
                    place += len(run)
                    continue
            c = chunk[place]
            place += 1
            if data.lnext:
                data.lnext = 0
                self._receive_char(c)
            elif special[c >> 6] >> (c & 63) & 1:
                self._receive_special(c)
            else:
                self._receive_char(c)

    def _echo_room(self) -> int:
        """Return how many characters can be echoed before a block is full and sent."""
        if not self.lflag & t.ECHO:
            return N_TTY_BUF_SIZE
        data = self.data
        return max(ECHO_BLOCK - 3 - (data.echo_head - data.echo_tail), 0)  # 2 for the column

    def _receive_run(self, run: bytes) -> None:
        """Take characters that mean themselves and are echoed as they are."""
        data = self.data
        if self.lflag & t.ECHO:
            if data.canon_head == data.read_head:
                self.add_echo(ECHO_OP_START, ECHO_OP_SET_CANON_COL)
            self.add_echo(*run)
            data.echo_mark = data.echo_head
        self._put_all(run)

    def _put_all(self, chunk: bytes) -> None:
        head = self.data.read_head
        start = head & MASK
        first = min(len(chunk), N_TTY_BUF_SIZE - start)
        self.read_buf[start : start + first] = chunk[:first]
        self.read_buf[: len(chunk) - first] = chunk[first:]
        self.data.read_head = head + len(chunk)

    def receive_room(self) -> int:
        """Return how many bytes ``receive`` may be given now."""
        data = self.data
        left = N_TTY_BUF_SIZE - self.read_cnt() * (3 if self.iflag & t.PARMRK else 1) - 1
        # A line without an end takes what comes, for it may be erased.
        return left if left > 0 else int(
            bool(data.icanon) and data.canon_head == data.read_tail)


def _lower(c: int) -> int:
    return c + 32 if 0x41 <= c <= 0x5A or (0xC0 <= c <= 0xDE and c != 0xD7) else c


def reset_buffer_flags(data: n_tty_data) -> None:
    """Forget all input."""
    data.read_head = data.commit_head = data.canon_head = data.read_tail = 0
    data.line_start = 0
    data.erasing = data.push = 0
    data.read_flags[:] = bytes(N_TTY_BUF_SIZE // 8)
