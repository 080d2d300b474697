"""The structures of terminals.

Names and order are Linux 6.12's.  Left out: locks; line disciplines other than N_TTY; SIGIO; flags
beside the bytes of the flip buffer, since no wire here makes errors.

See: Linux include/linux/tty.h, tty_driver.h, tty_port.h, tty_buffer.h; drivers/tty/n_tty.c;
termios(3).
"""

from __future__ import annotations

from typing import Final

from guest_kernel.layout.declare import (
    I32,
    U8,
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
from guest_kernel.layout.fs import file
from guest_kernel.layout.list import list_head
from guest_kernel.layout.sched import pid, wait_queue_head
from guest_kernel.layout.workqueue import work_struct

N_TTY_BUF_SIZE: Final = 4096
NCCS: Final = 19
TTYB_SIZE: Final = 4096
UART_XMIT_SIZE: Final = 4096

# tty_struct.flags
TTY_THROTTLED: Final = 1 << 0  # the other end has been told to wait
TTY_EXCLUSIVE: Final = 1 << 3  # TIOCEXCL: no more opens
TTY_HUPPED: Final = 1 << 18  # it has been hung up
TTY_HUPPING: Final = 1 << 19  # it is being hung up

# tty_driver.type
TTY_DRIVER_TYPE_SERIAL: Final = 3
TTY_DRIVER_TYPE_PTY: Final = 4


class winsize(Struct):
    """The size of a terminal's window, as programs see it."""

    ws_row = U16("rows")
    ws_col = U16("columns")
    ws_xpixel = U16("width, pixels")
    ws_ypixel = U16("height, pixels")


class ktermios(Struct):
    """A terminal's settings; the kernel's ``struct termios2``, and ``termios`` without speeds."""

    c_iflag = U32("input modes")
    c_oflag = U32("output modes")
    c_cflag = U32("control modes")
    c_lflag = U32("local modes")
    c_line = U8("line discipline: 0, N_TTY")
    c_cc = Array(U8, NCCS, "control characters, by V*")
    c_ispeed = U32("input speed, bits per second")
    c_ospeed = U32("output speed")


class tty_bufhead(Struct):
    """What a port has received and the line discipline has not.  (Linux has a list of buffers.)"""

    work = Embed(work_struct, "flush_to_ldisc()")
    head = U64("bytes ever received; a place in data is this modulo its size")
    tail = U64("bytes ever passed on")
    data = Array(U8, TTYB_SIZE, "ring of bytes")


class tty_port(Struct):
    """The part of a terminal that is there while nobody has it open."""

    buf = Embed(tty_bufhead, "what has been received")
    tty = Ptr(lambda: tty_struct, "the terminal while it is open")
    winsize = Embed(winsize, "of the window at the other end: what an open begins with")
    xmit_head = U64("bytes ever put into xmit_buf; a place is this modulo its size")
    xmit_tail = U64("bytes ever sent from it")
    xmit_buf = Array(U8, UART_XMIT_SIZE, "ring of bytes that were written while output is stopped")


class tty_driver(Struct):
    """A kind of terminal."""

    tty_drivers = Embed(list_head, "its place in tty_data.tty_drivers")
    name = Chars(16, "of its devices in /dev, without the number")
    major = I32("device numbers: major")
    minor_start = I32("and the first minor")
    num = U32("how many devices")
    type = U32("TTY_DRIVER_TYPE_*")
    subtype = U32("of a pseudo-terminal: which end")
    ops = U32("Ops: the tty_operations")
    init_termios = Embed(ktermios, "settings of a terminal that was never open")
    ttys = VoidPtr("by index: the terminal while it is open, or NULL", ctype="struct tty_struct **")
    termios = VoidPtr("by index: the settings it was closed with, or NULL",
                      ctype="struct ktermios **")
    ports = VoidPtr("by index: its port", ctype="struct tty_port **")


class tty_flow(Struct):
    """Whether output flows."""

    stopped = U32("1: it does not")
    tco_stopped = U32("1: TCXONC has stopped it, so that no character starts it")


class tty_ctrl(Struct):
    """Whose controlling terminal it is."""

    pgrp = Ptr(lambda: pid, "foreground process group; referenced")
    session = Ptr(lambda: pid, "session; referenced")


class tty_struct(Struct):
    """A terminal that is open."""

    kref = U32("references: the driver's while it is open, and each signal_struct's")
    index = I32("which of its driver's")
    driver = Ptr(lambda: tty_driver, "its driver")
    ops = U32("Ops: the tty_operations")
    count = I32("open files")
    flags = U64("TTY_*")
    termios = Embed(ktermios, "its settings")
    winsize = Embed(winsize, "its window")
    flow = Embed(tty_flow, "whether output flows")
    ctrl = Embed(tty_ctrl, "whose it is")
    write_wait = Embed(wait_queue_head, "tasks that wait for room, or until all is sent")
    read_wait = Embed(wait_queue_head, "tasks that wait for input")
    hangup_work = Embed(work_struct, "do_tty_hangup()")
    disc_data = Ptr(lambda: n_tty_data, "the line discipline's")
    tty_files = Embed(list_head, "tty_file_private.list of its open files")
    port = Ptr(lambda: tty_port, "its port")
    link = Ptr(lambda: tty_struct, "a pseudo-terminal's other end")


class tty_file_private(Struct):
    """What an open file of a terminal points at."""

    tty = Ptr(lambda: tty_struct, "the terminal")
    file = Ptr(lambda: file, "the file")
    list = Embed(list_head, "its place in tty_struct.tty_files")


class n_tty_data(Struct):
    """What the line discipline N_TTY knows of a terminal.

    The heads and tails count bytes; a place in a buffer is one of them modulo its size.  From
    ``read_tail`` to ``canon_head`` are finished lines, from there to ``read_head`` the line that is
    being typed.
    """

    read_head = U64("bytes ever put into read_buf; erasing takes it back")
    commit_head = U64("bytes that a read without ICANON may take")
    canon_head = U64("end of the last finished line")
    echo_head = U64("bytes ever put into echo_buf")
    echo_commit = U64("up to here they may be sent now")
    echo_mark = U64("up to here they are whole operations")
    char_map = Array(U64, 4, "bit n: character n means something")
    no_room = U32("1: input waits in the port because there was no room")
    lnext = U8("1: the next character means nothing (VLNEXT)")
    erasing = U8("1: ECHOPRT has printed a backslash")
    raw = U8("1: no character means anything, and nothing is echoed")
    icanon = U8("1: by lines")
    push = U8("1: the line came from a change to ICANON, and may have no end")
    read_buf = Array(U8, N_TTY_BUF_SIZE, "ring of characters to be read")
    read_flags = Array(U8, N_TTY_BUF_SIZE // 8, "bit n: the character at n ends a line")
    echo_buf = Array(U8, N_TTY_BUF_SIZE, "ring of what is to be echoed: see n_tty.py, ECHO_OP_*")
    read_tail = U64("bytes ever read")
    line_start = U64("where the line begins that is being read")
    column = U32("of the cursor, from 0, as far as that can be known")
    canon_column = U32("where the line that is being typed begins")
    echo_tail = U64("bytes ever sent from echo_buf")


class tty_data(Struct):
    """The terminals' globals, and the console where it is a pipe."""

    tty_drivers = Embed(list_head, "tty_driver.tty_drivers of all")
    is_tty = U32("1: a terminal is at the serial port's other end; 0: a pipe, no line discipline")
    hung_up = U32("a pipe: 1: the carrier is gone, nothing more will come")
    read_head = U64("a pipe: bytes ever received; a place in read_buf is this modulo its size")
    read_tail = U64("a pipe: bytes ever read")
    read_wait = Embed(wait_queue_head, "a pipe: tasks in read(2)")
    read_buf = Array(U8, N_TTY_BUF_SIZE, "a pipe: ring of received bytes")
    serial_port = Embed(tty_port, "a terminal: the serial port")
    window = Embed(winsize, "a terminal: the new size of its window, of which an interrupt tells")
