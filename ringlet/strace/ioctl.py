"""ioctl(2): the requests of terminals and of files in general.

Of others only the parts of the number are written, as strace does with those that it does not
know.  See: ioctl_tty(2), tcgetattr(3).
"""

from __future__ import annotations

import struct
from typing import Final

from ringlet.strace.arguments import Structure, custom, indirect
from ringlet.strace.call import Call, Choice, Format, Out, Signature
from ringlet.strace.names import Flags, Names, joined
from ringlet.strace.text import hexadecimal, int_, long_, uint

_REQUESTS: Final = Names("", """
    TCGETS=0x5401 TCSETS=0x5402 TCSETSW=0x5403 TCSETSF=0x5404 TCSBRK=0x5409 TCXONC=0x540a
    TCFLSH=0x540b TIOCEXCL=0x540c TIOCNXCL=0x540d TIOCSCTTY=0x540e TIOCGPGRP=0x540f
    TIOCSPGRP=0x5410 TIOCOUTQ=0x5411 TIOCGWINSZ=0x5413 TIOCSWINSZ=0x5414 FIONREAD=0x541b
    TIOCCONS=0x541d TIOCPKT=0x5420 FIONBIO=0x5421 TIOCNOTTY=0x5422 TIOCSETD=0x5423
    TIOCGETD=0x5424 TCSBRKP=0x5425 TIOCSBRK=0x5427 TIOCCBRK=0x5428 TIOCGSID=0x5429
    TCGETS2=0x802c542a TCSETS2=0x402c542b TCSETSW2=0x402c542c TCSETSF2=0x402c542d
    TIOCGPTN=0x80045430 TIOCSPTLCK=0x40045431 TIOCVHANGUP=0x5437 TIOCGPTPEER=0x5441
    FIONCLEX=0x5450 FIOCLEX=0x5451 FIOASYNC=0x5452 FIOQSIZE=0x5460""")
# Linux has given these numbers twice, to sound cards and to terminals; strace names both.
_TWICE: Final = {0x5402: "SNDCTL_TMR_START or TCSETS", 0x5403: "SNDCTL_TMR_STOP or TCSETSW",
                 0x5404: "SNDCTL_TMR_CONTINUE or TCSETSF"}
_DIRECTIONS: Final = ("_IOC_NONE", "_IOC_WRITE", "_IOC_READ", "_IOC_READ|_IOC_WRITE")


def _request(call: Call, value: int) -> str:
    value &= 0xFFFF_FFFF
    name = _TWICE.get(value) or _REQUESTS.get(value)
    if name:
        return name
    size, kind, number = (hexadecimal(call, value >> shift & mask)
                          for shift, mask in ((16, 0x3FFF), (8, 0xFF), (0, 0xFF)))
    return f"_IOC({_DIRECTIONS[value >> 30]}, {kind}, {number}, {size})"


# ---------------------------------------------------------------------------- termios

_IFLAG: Final = Flags("", """
    IGNBRK=0o1 BRKINT=0o2 IGNPAR=0o4 PARMRK=0o10 INPCK=0o20 ISTRIP=0o40 INLCR=0o100 IGNCR=0o200
    ICRNL=0o400 IUCLC=0o1000 IXON=0o2000 IXANY=0o4000 IXOFF=0o10000 IMAXBEL=0o20000
    IUTF8=0o40000""")
_OFLAG: Final = Flags("", """
    OPOST=0o1 OLCUC=0o2 ONLCR=0o4 OCRNL=0o10 ONOCR=0o20 ONLRET=0o40 OFILL=0o100 OFDEL=0o200""")
_CFLAG: Final = Flags("", """
    CSTOPB=0o100 CREAD=0o200 PARENB=0o400 PARODD=0o1000 HUPCL=0o2000 CLOCAL=0o4000
    CMSPAR=0o10000000000 CRTSCTS=0o20000000000""")
_LFLAG: Final = Flags("", """
    ISIG=0o1 ICANON=0o2 XCASE=0o4 ECHO=0o10 ECHOE=0o20 ECHOK=0o40 ECHONL=0o100 NOFLSH=0o200
    TOSTOP=0o400 IEXTEN=0o100000 ECHOCTL=0o1000 ECHOPRT=0o2000 ECHOKE=0o4000 FLUSHO=0o10000
    PENDIN=0o40000 EXTPROC=0o200000""")
_BAUD: Final = Names("B???", """
    B0=0 B50=1 B75=2 B110=3 B134=4 B150=5 B200=6 B300=7 B600=8 B1200=9 B1800=10 B2400=11
    B4800=12 B9600=13 B19200=14 B38400=15 BOTHER=0o10000 B57600=0o10001 B115200=0o10002
    B230400=0o10003 B460800=0o10004 B500000=0o10005 B576000=0o10006 B921600=0o10007
    B1000000=0o10010 B1152000=0o10011 B1500000=0o10012 B2000000=0o10013 B2500000=0o10014
    B3000000=0o10015 B3500000=0o10016 B4000000=0o10017""")
_CBAUD: Final = 0o10017
_IBSHIFT: Final = 16  # the input speed, if it is another, in the same bits above
_CSIZE: Final = 0o60
# The delays of c_oflag: name, shift and mask of each.
_DELAYS: Final = (("NL", 8, 1), ("CR", 9, 3), ("TAB", 11, 3), ("BS", 13, 1), ("VT", 14, 1),
                  ("FF", 15, 1))
_DELAY_MASK: Final = sum(mask << shift for _, shift, mask in _DELAYS)


def _flags(table: Flags, value: int) -> str:
    """A field of flags alone: strace writes nothing for 0."""
    return joined(*table.split(value))


def _termios(call: Call, data: bytes) -> str:
    iflag, oflag, cflag, lflag = struct.unpack_from("<4I", data)
    delays = "|".join(f"{name}{oflag >> shift & mask}" for name, shift, mask in _DELAYS)
    speed, input_speed = cflag & _CBAUD, cflag >> _IBSHIFT & _CBAUD
    baud = _BAUD(call, speed)
    if input_speed:
        baud += f"|{_BAUD(call, input_speed)}<<IBSHIFT"
    return (f"{{c_iflag={_flags(_IFLAG, iflag)}, "
            f"c_oflag={delays.replace('TAB3', 'XTABS')}|{_flags(_OFLAG, oflag & ~_DELAY_MASK)}, "
            f"c_cflag={baud}|CS{5 + (cflag & _CSIZE) // 16}|"
            f"{_flags(_CFLAG, cflag & ~(_CBAUD | _CBAUD << _IBSHIFT | _CSIZE))}, "
            f"c_lflag={_flags(_LFLAG, lflag)}, ...}}")


termios: Final = custom(36, _termios)
termios2: Final = custom(44, _termios)
winsize: Final = Structure("<4H", ws_row=uint, ws_col=uint, ws_xpixel=uint, ws_ypixel=uint)


# ---------------------------------------------------------------------------- requests

_QUEUES: Final = Names("TC???", "TCIFLUSH=0 TCOFLUSH=1 TCIOFLUSH=2", bits=64)
_FLOWS: Final = Names("TC???", "TCOOFF=0 TCOON=1 TCIOFF=2 TCION=3", bits=64)


def _with(*more: Format | Out) -> Signature:
    return Signature(int_, _request, *more)


_NONE: Final = _with()
_LONG: Final = _with(long_)
_INT_IN: Final = _with(indirect(int_))
_INT_OUT: Final = _with(Out(indirect(int_)))
_TERMIOS_IN: Final = _with(termios)
_TERMIOS2_IN: Final = _with(termios2)
_BY_REQUEST: Final = {
    0x5401: _with(Out(termios)),
    0x5402: _TERMIOS_IN,
    0x5403: _TERMIOS_IN,
    0x5404: _TERMIOS_IN,
    0x5409: _LONG,
    0x540A: _with(_FLOWS),
    0x540B: _with(_QUEUES),
    0x540C: _NONE,
    0x540D: _NONE,
    0x540E: _LONG,
    0x540F: _INT_OUT,
    0x5410: _INT_IN,
    0x5411: _INT_OUT,
    0x5413: _with(Out(winsize)),
    0x5414: _with(winsize),
    0x541B: _INT_OUT,
    0x541D: _NONE,
    0x5420: _INT_IN,
    0x5421: _INT_IN,
    0x5422: _NONE,
    0x5423: _INT_IN,
    0x5424: _INT_OUT,
    0x5425: _LONG,
    0x5427: _NONE,
    0x5428: _NONE,
    0x5429: _INT_OUT,
    0x802C_542A: _with(Out(termios2)),
    0x402C_542B: _TERMIOS2_IN,
    0x402C_542C: _TERMIOS2_IN,
    0x402C_542D: _TERMIOS2_IN,
    0x8004_5430: _INT_OUT,
    0x4004_5431: _INT_IN,
    0x5437: _NONE,
    0x5450: _NONE,
    0x5451: _NONE,
    0x5452: _INT_IN,
}
_OTHER: Final = _with(hexadecimal)

CALLS: Final[dict[str, Signature | Choice]] = {
    "ioctl": Choice(lambda call: _BY_REQUEST.get(call.arguments[1] & 0xFFFF_FFFF, _OTHER)),
}
