"""The line discipline against the host's own: the same keys, settings, reads and writes."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import time
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from guest_kernel.drivers.tty import termbits as t
from guest_kernel.drivers.tty.driver import TtyOperations
from guest_kernel.drivers.tty.line import Line
from guest_kernel.drivers.tty.n_tty import (
    canon_copy,
    n_tty_close,
    n_tty_open,
    n_tty_receive_buf,
    n_tty_set_termios,
    raw_copy,
)
from guest_kernel.layout.tty import tty_driver, tty_port, tty_struct
from guest_kernel.lib.list import INIT_LIST_HEAD
from guest_kernel.mm.iov_iter import kvec_iter
from guest_kernel.mm.slab import kfree, kzalloc
from tests.kernel.conftest import BareKernel, boot

PATIENCE: Final = 2.0  # seconds of the host that its work may take
OPS: Final = 9999


class Wire(TtyOperations):
    """A driver like the host's pseudo-terminal: nothing is taken while output is stopped."""

    def __init__(self) -> None:
        self.sent = bytearray()

    def write(self, tty: tty_struct, data: bytes) -> int:
        if tty.flow.stopped:
            return 0
        self.sent += data
        return len(data)

    def flush_buffer(self, tty: tty_struct) -> None:
        # The host would take back what its master has not read: whether it has is chance.
        assume(not self.sent)

    def write_room(self, tty: tty_struct) -> int:
        return 0 if tty.flow.stopped else 65536


class Ours:
    """A terminal of the guest's kernel, on plain RAM."""

    def __init__(self, k: BareKernel) -> None:
        self.wire = Wire()
        TtyOperations.tables[OPS] = self.wire
        self.tty = tty = kzalloc(k, tty_struct)
        tty.driver, tty.port, tty.ops = kzalloc(k, tty_driver), kzalloc(k, tty_port), OPS
        tty.driver.type = 4
        for queue in (tty.read_wait, tty.write_wait):
            INIT_LIST_HEAD(queue.head)
        self._load((t.STD_IFLAG, t.STD_OFLAG, t.STD_LFLAG, t.INIT_C_CC))
        n_tty_open(tty)

    def close(self) -> None:
        n_tty_close(self.tty)
        for part in (self.tty.driver, self.tty.port, self.tty):
            kfree(part)

    def _load(self, modes: tuple[int, int, int, bytes]) -> None:
        termios = self.tty.termios
        termios.c_iflag, termios.c_oflag, termios.c_lflag = modes[:3]
        termios.c_cc[:] = modes[3]

    def set(self, modes: tuple[int, int, int, bytes]) -> None:
        before = self.tty.termios.c_lflag, self.tty.termios.c_iflag
        self._load(modes)
        n_tty_set_termios(self.tty, *before)

    def type(self, keys: bytes) -> bytes:
        n_tty_receive_buf(self.tty, keys)
        return self.seen()

    def seen(self) -> bytes:
        sent = bytes(self.wire.sent)
        self.wire.sent.clear()
        return sent

    def hides(self, keys: bytes) -> bool:
        """Tell whether nothing may show that keys have been processed."""
        hidden = not self.tty.termios.c_lflag & t.ECHO or self.tty.flow.stopped
        return bool(hidden or self.tty.termios.c_cc[t.VSTOP] in keys)

    def available(self) -> int:
        line = Line(self.tty)
        data = line.data
        if not line.lflag & t.ICANON:
            return line.read_cnt()
        count = data.canon_head - data.read_tail
        return count - sum(line.flagged(data.read_tail + n) and not c
                           for n, c in enumerate(line.take(count)))

    def ready(self) -> bool:
        return Line(self.tty).input_available(poll=True)

    def read(self, n: int) -> bytes | None:
        line = Line(self.tty)
        if not line.input_available():
            return None
        to = kvec_iter(self.tty.k, n)
        (canon_copy if line.is_canon() else lambda *a: raw_copy(*a, n))(line, to)
        return to.data

    def write(self, data: bytes) -> int:
        line = Line(self.tty)
        line.process_echoes()
        return line.process_output(data, self.wire.write_room(self.tty)) if data else 0


class Theirs:
    """A pseudo-terminal of the host's kernel."""

    def __init__(self) -> None:
        self.master, self.slave = pty.openpty()
        for fd in (self.master, self.slave):
            os.set_blocking(fd, False)

    def close(self) -> None:
        os.close(self.master)
        os.close(self.slave)

    def set(self, modes: tuple[int, int, int, bytes]) -> None:
        iflag, oflag, lflag, cc = modes
        fcntl.ioctl(self.slave, t.TCSETS, t.TERMIOS.pack(iflag, oflag, 0xBF, lflag, 0, cc))

    def type(self, keys: bytes, expected: bytes) -> bytes:
        os.write(self.master, keys)
        return self.seen(expected)

    def seen(self, expected: bytes) -> bytes:
        """Return what came out: as soon as it is as long as what is expected."""
        out = b""
        end = time.monotonic() + PATIENCE
        while len(out) < len(expected) and time.monotonic() < end:
            if select.select([self.master], [], [], 0.05)[0]:
                out += os.read(self.master, 65536)
        if select.select([self.master], [], [], 0)[0]:
            out += os.read(self.master, 65536)
        return out

    def available(self, expected: int) -> int:
        end = time.monotonic() + PATIENCE
        while True:
            found = struct.unpack("i", fcntl.ioctl(self.slave, t.TIOCINQ, b"\0" * 4))[0]
            if found == expected or time.monotonic() > end:
                return int(found)
            time.sleep(0)

    def ready(self) -> bool:
        poll = select.poll()
        poll.register(self.slave, select.POLLIN)
        return bool(poll.poll(0))

    def read(self, n: int) -> bytes | None:
        try:
            return os.read(self.slave, n)
        except BlockingIOError:
            return None

    def write(self, data: bytes) -> int:
        try:
            return os.write(self.slave, data)
        except BlockingIOError:
            return 0


def flags(*bits: int) -> st.SearchStrategy[int]:
    return st.sets(st.sampled_from(bits)).map(sum)


IFLAGS: Final = (t.ISTRIP, t.INLCR, t.IGNCR, t.ICRNL, t.IUCLC, t.IXON, t.IXANY, t.IUTF8, t.PARMRK,
                 t.IMAXBEL)
OFLAGS: Final = (t.OLCUC, t.ONLCR, t.OCRNL, t.ONOCR, t.ONLRET, t.XTABS)
LFLAGS: Final = (t.ISIG, t.ECHO, t.ECHOE, t.ECHOK, t.ECHONL, t.ECHOCTL, t.ECHOPRT, t.ECHOKE,
                 t.IEXTEN, t.NOFLSH)
CONTROLS: Final = t.INIT_C_CC + b"\n\r\t\b\x00\x07\x1b\xff"


def _often(bit: int, chance: int = 8) -> st.SearchStrategy[int]:
    return st.integers(0, chance - 1).map(lambda n: bit if n else 0)


def _modes(draw: st.DrawFn) -> tuple[int, int, int, bytes]:
    cc = bytearray(t.INIT_C_CC)
    if draw(st.booleans()):
        cc[t.VEOL], cc[t.VEOL2] = draw(st.sampled_from([(0, 0), (0x3B, 0), (0x3B, 0x2C)]))
    if not draw(st.integers(0, 5)):
        cc[draw(st.sampled_from([t.VERASE, t.VKILL, t.VWERASE, t.VINTR, t.VEOF, t.VLNEXT]))] = (
            draw(st.sampled_from(b"\0ax\xff")))
    if draw(st.integers(0, 3)):
        common = t.STD_IFLAG | draw(flags(t.IUTF8)), t.STD_OFLAG, t.STD_LFLAG
        toggled = draw(flags(*LFLAGS)) if draw(st.booleans()) else 0
        return common[0], common[1], common[2] ^ toggled, bytes(cc)
    return (draw(flags(*IFLAGS)), draw(_often(t.OPOST)) | draw(flags(*OFLAGS)),
            draw(_often(t.ICANON, 3)) | draw(flags(*LFLAGS)), bytes(cc))


modes = st.composite(_modes)()
text = st.lists(st.one_of(st.sampled_from(list(CONTROLS)), st.sampled_from(list(b"ab c_X7\t")),
                          st.integers(0, 255)), max_size=40).map(bytes)
umlauts = st.text(alphabet="aä€\t \x7f\x17\x15\n", max_size=30).map(str.encode)
pasted = st.lists(st.one_of(
    st.text(alphabet="ab XYZ09~\xff", min_size=10, max_size=150).map(lambda s: s.encode("latin-1")),
    st.sampled_from([bytes((c,)) for c in CONTROLS])), max_size=6).map(b"".join)
steps = st.lists(st.one_of(
    st.tuples(st.just("set"), modes),
    st.tuples(st.just("type"), st.one_of(text, umlauts, pasted)),
    st.tuples(st.just("write"), st.one_of(text, umlauts)),
    st.tuples(st.just("read"), st.integers(1, 50)),
), min_size=1, max_size=12)


@pytest.fixture(scope="module")
def kernel() -> BareKernel:
    return boot()


Script = list[tuple[str, Any]]


def compare(kernel: BareKernel, script: Script) -> None:
    """Do the same with both terminals.

    The host's worker may be late where nothing shows that it is done: a difference must show again.

    Raises:
        AssertionError: they differ; it names the step.
    """
    for _ in range(3):
        try:
            return _compare(kernel, script)
        except AssertionError:
            pass
    return _compare(kernel, script)


def drain(ours: Ours, theirs: Theirs, where: str) -> None:
    """Read until nothing is left: then poll(2) waits for what is under way in the host."""
    while ours.ready():
        assert theirs.read(4096) == ours.read(4096), where


def _compare(kernel: BareKernel, script: Script) -> None:
    ours, theirs = Ours(kernel), Theirs()
    try:
        for number, (verb, argument) in enumerate(script):
            where = f"step {number}: {verb} {argument!r}"
            if verb == "set":
                ours.set(argument)
                theirs.set(argument)
                expected = ours.seen()
                assert theirs.seen(expected) == expected, where
            elif verb == "type":
                if not argument:
                    continue
                if ours.hides(argument):
                    drain(ours, theirs, where)
                expected = ours.type(argument)
                assert theirs.type(argument, expected) == expected, where
            elif verb == "write":
                written = ours.write(argument)
                assert theirs.write(argument) == written, where
                expected = ours.seen()
                assert theirs.seen(expected) == expected, where
            else:
                assert theirs.available(ours.available()) == ours.available(), where
                got = ours.read(argument)
                assert theirs.read(argument) == got, where
            assert theirs.available(ours.available()) == ours.available(), where
            assert theirs.ready() == ours.ready(), where
    finally:
        theirs.close()
        ours.close()


RELAXED: Final = settings(deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.native
@settings(RELAXED, max_examples=150)
@given(script=steps)
def test_the_line_discipline_does_what_the_hosts_does(kernel: BareKernel, script: Script) -> None:
    """Are output, echo, what can be read and what is read the same, after each step?"""
    compare(kernel, script)


@pytest.mark.native
@pytest.mark.campaign
@settings(RELAXED, max_examples=20_000)
@given(script=steps)
def test_the_line_discipline_for_long(kernel: BareKernel, script: Script) -> None:
    """Is it so for many more?"""
    compare(kernel, script)
