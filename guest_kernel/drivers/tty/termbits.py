"""What programs and terminals say to each other: requests, flags and control characters.

See: Linux include/uapi/asm-generic/termbits.h, ioctls.h, termios.h; termios(3), ioctl_tty(2).
"""

from __future__ import annotations

import struct
from typing import Final

# ---- ioctl(2)
TCGETS: Final = 0x5401
TCSETS: Final = 0x5402
TCSETSW: Final = 0x5403
TCSETSF: Final = 0x5404
TCGETA: Final = 0x5405
TCSETA: Final = 0x5406
TCSETAW: Final = 0x5407
TCSETAF: Final = 0x5408
TCSBRK: Final = 0x5409
TCXONC: Final = 0x540A
TCFLSH: Final = 0x540B
TIOCEXCL: Final = 0x540C
TIOCNXCL: Final = 0x540D
TIOCSCTTY: Final = 0x540E
TIOCGPGRP: Final = 0x540F
TIOCSPGRP: Final = 0x5410
TIOCOUTQ: Final = 0x5411
TIOCSTI: Final = 0x5412
TIOCGWINSZ: Final = 0x5413
TIOCSWINSZ: Final = 0x5414
TIOCMGET: Final = 0x5415
TIOCGSOFTCAR: Final = 0x5419
TIOCSSOFTCAR: Final = 0x541A
TIOCINQ: Final = 0x541B  # and FIONREAD
TIOCNOTTY: Final = 0x5422
TIOCSETD: Final = 0x5423
TIOCGETD: Final = 0x5424
TCSBRKP: Final = 0x5425
TIOCSBRK: Final = 0x5427
TIOCCBRK: Final = 0x5428
TIOCGSID: Final = 0x5429
TCGETS2: Final = 0x802C_542A
TCSETS2: Final = 0x402C_542B
TCSETSW2: Final = 0x402C_542C
TCSETSF2: Final = 0x402C_542D
TIOCGDEV: Final = 0x8004_5432
TIOCVHANGUP: Final = 0x5437
TIOCGEXCL: Final = 0x8004_5440

TCOOFF: Final = 0
TCOON: Final = 1
TCIOFF: Final = 2
TCION: Final = 3
TCIFLUSH: Final = 0
TCOFLUSH: Final = 1
TCIOFLUSH: Final = 2

# ---- c_iflag
IGNBRK: Final = 0x0001
BRKINT: Final = 0x0002
PARMRK: Final = 0x0008
ISTRIP: Final = 0x0020
INLCR: Final = 0x0040
IGNCR: Final = 0x0080
ICRNL: Final = 0x0100
IUCLC: Final = 0x0200
IXON: Final = 0x0400
IXANY: Final = 0x0800
IXOFF: Final = 0x1000
IMAXBEL: Final = 0x2000
IUTF8: Final = 0x4000

# ---- c_oflag
OPOST: Final = 0x0001
OLCUC: Final = 0x0002
ONLCR: Final = 0x0004
OCRNL: Final = 0x0008
ONOCR: Final = 0x0010
ONLRET: Final = 0x0020
TABDLY: Final = 0x1800
XTABS: Final = 0x1800

# ---- c_cflag
CBAUD: Final = 0x100F
BOTHER: Final = 0x1000
CS8: Final = 0x0030
CREAD: Final = 0x0080
HUPCL: Final = 0x0400
CLOCAL: Final = 0x0800
CIBAUD: Final = 0x100F_0000
IBSHIFT: Final = 16
CMSPAR: Final = 0x4000_0000
B38400: Final = 0x000F

# ---- c_lflag
ISIG: Final = 0x0001
ICANON: Final = 0x0002
ECHO: Final = 0x0008
ECHOE: Final = 0x0010
ECHOK: Final = 0x0020
ECHONL: Final = 0x0040
NOFLSH: Final = 0x0080
TOSTOP: Final = 0x0100
ECHOCTL: Final = 0x0200
ECHOPRT: Final = 0x0400
ECHOKE: Final = 0x0800
IEXTEN: Final = 0x8000
EXTPROC: Final = 0x1_0000

# ---- places in c_cc
VINTR: Final = 0
VQUIT: Final = 1
VERASE: Final = 2
VKILL: Final = 3
VEOF: Final = 4
VTIME: Final = 5
VMIN: Final = 6
VSTART: Final = 8
VSTOP: Final = 9
VSUSP: Final = 10
VEOL: Final = 11
VREPRINT: Final = 12
VWERASE: Final = 14
VLNEXT: Final = 15
VEOL2: Final = 16

_POSIX_VDISABLE: Final = 0  # in c_cc: no character does this

TERMIOS: Final = struct.Struct("<IIIIB19s")  # and termios2, with two speeds behind
TERMIOS2: Final = struct.Struct("<IIIIB19sII")
TERMIO: Final = struct.Struct("<HHHHB8sx")
WINSIZE: Final = struct.Struct("<HHHH")

# tty_std_termios.
STD_IFLAG: Final = ICRNL | IXON
STD_OFLAG: Final = OPOST | ONLCR
STD_CFLAG: Final = B38400 | CS8 | CREAD | HUPCL
STD_LFLAG: Final = ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN
INIT_C_CC: Final = bytes((3, 28, 127, 21, 4, 0, 1, 0, 17, 19, 26, 0, 18, 15, 23, 22, 0, 0, 0))
STD_SPEED: Final = 38400

# Speeds by the bits of CBAUD, CBAUDEX put behind the others.
_BAUD_TABLE: Final = (
    0, 50, 75, 110, 134, 150, 200, 300, 600, 1200, 1800, 2400, 4800, 9600, 19200, 38400,
    57600, 115200, 230400, 460800, 500000, 576000, 921600, 1000000, 1152000, 1500000, 2000000,
    2500000, 3000000, 3500000, 4000000)


def output_speed(c_cflag: int, c_ospeed: int) -> int:
    """Return the output speed of settings, in bits per second: tty_termios_baud_rate()."""
    bits = c_cflag & CBAUD
    if bits == BOTHER:
        return c_ospeed
    index = bits & 0xF | (bits & BOTHER) >> 8
    index = index if index < 16 else index - 1
    return _BAUD_TABLE[index] if index < len(_BAUD_TABLE) else 0


def input_speed(c_cflag: int, c_ispeed: int, c_ospeed: int) -> int:
    """Return the input speed of settings: tty_termios_input_baud_rate()."""
    bits = c_cflag >> IBSHIFT & CBAUD
    if not bits:
        return output_speed(c_cflag, c_ospeed)
    return c_ispeed if bits == BOTHER else output_speed(bits, 0)
