"""The console's state.  See Linux include/linux/tty.h; struct termios is the kernel's, 36 bytes."""

from typing import Final

from guest_kernel.layout.declare import I32, U8, U16, U32, U64, Array, Embed, Struct
from guest_kernel.layout.sched import wait_queue_head
from guest_kernel.layout.workqueue import work_struct

N_TTY_BUF_SIZE: Final = 4096
NCCS: Final = 19
TTYB_SIZE: Final = 4096


class tty_bufhead(Struct):
    """What the port has received and no reader can see yet.  (Linux has a list of buffers.)"""

    work = Embed(work_struct, "flush_to_ldisc()")
    head = U64("bytes ever received; a place in data is this modulo its size")
    tail = U64("bytes ever passed on")
    data = Array(U8, TTYB_SIZE, "ring of bytes")


class tty_data(Struct):
    """One console on the serial port: what was received and not read, and its settings."""

    is_tty = U32("1: a terminal is at the other end; 0: a pipe, without line discipline")
    hung_up = U32("1: the carrier is gone, nothing more will come")
    read_head = U64("bytes ever received; a place in read_buf is this modulo its size")
    read_tail = U64("bytes ever read")
    line_end = U64("canonical mode: reads may go up to here; bytes ever completed by a newline")
    read_wait = Embed(wait_queue_head, "tasks in read(2)")
    c_iflag = U32("input modes")
    c_oflag = U32("output modes")
    c_cflag = U32("control modes")
    c_lflag = U32("local modes")
    c_line = U8("line discipline: 0, N_TTY")
    c_cc = Array(U8, NCCS, "control characters")
    ws_row = U16("rows")
    ws_col = U16("columns")
    ws_xpixel = U16("width, pixels")
    ws_ypixel = U16("height, pixels")
    pgrp = I32("foreground process group")
    session = I32("session")
    buf = Embed(tty_bufhead, "a terminal's input, on its way to read_buf")
    read_buf = Array(U8, N_TTY_BUF_SIZE, "ring of received bytes")
