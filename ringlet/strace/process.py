"""Calls on processes: making, ending, waiting, identity, limits, scheduling, futexes.

See: clone(2), wait4(2), waitid(2), execve(2), getrlimit(2), sched(7), futex(2), getrandom(2).
"""

from __future__ import annotations

import struct
from typing import Final

from guest_kernel.signal.numbers import SIGRTMAX, SIGTRAP, signal_name
from ringlet.strace.arguments import (
    Structure,
    custom,
    indirect,
    vector,
)
from ringlet.strace.call import MAX_STRLEN, Call, Choice, Out, Signature
from ringlet.strace.clocks import timeval
from ringlet.strace.files import AT_FLAGS, fd_at
from ringlet.strace.names import Flags, Names, joined
from ringlet.strace.signals import siginfo
from ringlet.strace.text import (
    address,
    buffer,
    hexadecimal,
    hexadecimal32,
    int_,
    path,
    quote,
    quote_hexadecimal,
    string,
    uid,
    uint,
    ulong,
)

# ---------------------------------------------------------------------------- execve

def argument_vector(call: Call, va: int) -> str:
    """``argv``: pointers to strings, up to NULL."""
    if not va:
        return "NULL"
    texts: list[str] = []
    while True:
        at = va + 8 * len(texts)
        data = call.memory.read(at, 8)
        if data is None:
            if not texts:
                return hex(va)
            texts.append(f"... /* {at:#x} */")
            break
        pointer = int.from_bytes(data, "little")
        if not pointer:
            break
        if len(texts) == MAX_STRLEN:
            texts.append("...")
            break
        texts.append(string(call, pointer))
    return f"[{', '.join(texts)}]"


def environment(call: Call, va: int) -> str:
    """``envp``: how many variables there are."""
    if not va:
        return "NULL"
    n, end = 0, ""
    while True:
        data = call.memory.read(va + 8 * n, 8)
        if data is None:
            if not n:
                return hex(va)
            end = ", unterminated"
            break
        if not any(data):
            break
        n += 1
    return f"{va:#x} /* {n} var{'' if n == 1 else 's'}{end} */"


# ---------------------------------------------------------------------------- wait

_WAIT: Final = Flags("W???", """
    WNOHANG=0x1 WEXITED=0x4 WSTOPPED=0x2 WCONTINUED=0x8 WNOWAIT=0x1000000 __WCLONE=0x80000000
    __WALL=0x40000000 __WNOTHREAD=0x20000000""")
_ID_TYPES: Final = Names("P_???", "P_ALL=0 P_PID=1 P_PGID=2 P_PIDFD=3")
_STOPPED: Final = 0x7F
_CONTINUED: Final = 0xFFFF
_CORE_DUMPED: Final = 0x80


def wait_status(status: int) -> str:
    """Return a wait status in terms of <sys/wait.h>."""
    low, code = status & 0x7F, status >> 8 & 0xFF
    rest = f"|{status & ~0xFFFF:#x}" if status & ~0xFFFF else ""
    if not low:
        return f"{{WIFEXITED(s) && WEXITSTATUS(s) == {code}}}{rest}"
    if status & 0xFFFF == _CONTINUED:
        return f"{{WIFCONTINUED(s)}}{rest}"
    if low == _STOPPED:
        name = _signal_of_status(code & 0x7F)
        # PTRACE_O_TRACESYSGOOD tells a stop at a system call by this bit.
        traced = " | 0x80" if code == SIGTRAP | 0x80 else ""
        return f"{{WIFSTOPPED(s) && WSTOPSIG(s) == {name}{traced}}}{rest}"
    core = " && WCOREDUMP(s)" if status & _CORE_DUMPED else ""
    return f"{{WIFSIGNALED(s) && WTERMSIG(s) == {_signal_of_status(low)}{core}}}{rest}"


def _signal_of_status(number: int) -> str:
    return signal_name(number) if 1 <= number <= SIGRTMAX else str(number)


def _status(call: Call, va: int) -> str:
    """The status of wait4(2); nothing has been stored if no child was found."""
    data = call.fetch(va, 4) if call.result else None
    return address(call, va) if data is None else (
        f"[{wait_status(int.from_bytes(data, 'little'))}]")


rusage: Final = custom(144, lambda call, data: (
    f"{{ru_utime={timeval.text(call, data[:16])}, ru_stime={timeval.text(call, data[16:32])}, "
    "...}"))


def _rusage_of_wait(call: Call, va: int) -> str:
    return rusage(call, va) if call.result else address(call, va)


# ---------------------------------------------------------------------------- identity

def _groups(call: Call, va: int) -> str:
    """The groups that getgroups(2) has stored."""
    return address(call, va) if call.failed else vector(uid, call.result)(call, va)


_NGROUPS_MAX: Final = 65536


def _set_groups(call: Call, va: int) -> str:
    count = call.arguments[0] & 0xFFFF_FFFF
    return address(call, va) if count > _NGROUPS_MAX else vector(uid, count)(call, va)


_PER: Final = Names("PER_???", """
    PER_LINUX=0 PER_BSD=0x6 PER_LINUX32=0x8 PER_RISCOS=0xc PER_OSF4=0xf PER_HPUX=0x10
    PER_MASK=0xff""")
_PER_FLAGS: Final = Flags("PER_???", """
    UNAME26=0x20000 ADDR_NO_RANDOMIZE=0x40000 FDPIC_FUNCPTRS=0x80000 MMAP_PAGE_ZERO=0x100000
    ADDR_COMPAT_LAYOUT=0x200000 READ_IMPLIES_EXEC=0x400000 ADDR_LIMIT_32BIT=0x800000
    SHORT_INODE=0x1000000 WHOLE_SECONDS=0x2000000 STICKY_TIMEOUTS=0x4000000
    ADDR_LIMIT_3GB=0x8000000""")


def _personality(call: Call, value: int) -> str:
    value &= 0xFFFF_FFFF
    if value == 0xFFFF_FFFF:  # only asks
        return hex(value)
    flags = joined(*_PER_FLAGS.split(value & ~0xFF))
    name = _PER(call, value & 0xFF)
    return f"{name}|{flags}" if flags else name


def _personality_result(call: Call, value: int) -> str:
    return f"{hexadecimal(call, value)} ({_personality(call, value)})"


_UTS_LEN: Final = 64


def _utsname(call: Call, data: bytes) -> str:
    def name(field: bytes) -> str:
        text, ended, _ = field.partition(b"\0")
        return quote(text[:_UTS_LEN], more=not ended)

    return f"{{sysname={name(data[:65])}, nodename={name(data[65:130])}, ...}}"


def _host_name(call: Call, va: int) -> str:
    """A name to be set; one that is too long is not looked at."""
    size = call.arguments[1] & 0xFFFF_FFFF
    return address(call, va) if size > _UTS_LEN else buffer(call, va, size)


_sysinfo: Final = custom(112, lambda call, data: (
    "{{uptime={}, loads=[{}, {}, {}], totalram={}, freeram={}, sharedram={}, bufferram={}, "
    "totalswap={}, freeswap={}, procs={}, totalhigh={}, freehigh={}, mem_unit={}}}").format(
        *struct.unpack_from("<10QH6x2QI", data)))


# ---------------------------------------------------------------------------- limits

_RLIMITS: Final = Names("RLIMIT_???", """
    RLIMIT_CPU=0 RLIMIT_FSIZE=1 RLIMIT_DATA=2 RLIMIT_STACK=3 RLIMIT_CORE=4 RLIMIT_RSS=5
    RLIMIT_NPROC=6 RLIMIT_NOFILE=7 RLIMIT_MEMLOCK=8 RLIMIT_AS=9 RLIMIT_LOCKS=10
    RLIMIT_SIGPENDING=11 RLIMIT_MSGQUEUE=12 RLIMIT_NICE=13 RLIMIT_RTPRIO=14 RLIMIT_RTTIME=15""")
_RUSAGE: Final = Names("RUSAGE_???", """
    RUSAGE_SELF=0 RUSAGE_CHILDREN=0xffffffff RUSAGE_BOTH=0xfffffffe RUSAGE_THREAD=1""")


def _limit(call: Call, value: int) -> str:
    if value == (1 << 64) - 1:
        return "RLIM64_INFINITY"
    return f"{value // 1024}*1024" if value > 1024 and not value % 1024 else str(value)


rlimit: Final = Structure("<2Q", rlim_cur=_limit, rlim_max=_limit)


# ---------------------------------------------------------------------------- random

_GETRANDOM: Final = Flags("GRND_???", "GRND_NONBLOCK=1 GRND_RANDOM=2 GRND_INSECURE=4")


def _random_bytes(call: Call, va: int) -> str:
    """What getrandom(2) has stored, in hexadecimal."""
    data = call.fetch(va, min(call.result, MAX_STRLEN + 1))
    if data is None:
        return address(call, va)
    return quote_hexadecimal(data[:MAX_STRLEN], more=call.result > MAX_STRLEN)


_id: Final = indirect(int_)
_uid: Final = indirect(uid)

EXECVE: Final = Signature(path, argument_vector, environment)

CALLS: Final[dict[str, Signature | Choice]] = {
    "getpid": Signature(),
    "execve": EXECVE,
    "exit": Signature(int_),
    "wait4": Signature(int_, Out(_status), _WAIT, _rusage_of_wait),
    "uname": Signature(Out(custom(390, _utsname))),
    "getrlimit": Signature(_RLIMITS, Out(rlimit)),
    "getrusage": Signature(_RUSAGE, Out(rusage)),
    "sysinfo": Signature(Out(_sysinfo)),
    "getuid": Signature(),
    "getgid": Signature(),
    "setuid": Signature(uid),
    "setgid": Signature(uid),
    "geteuid": Signature(),
    "getegid": Signature(),
    "setpgid": Signature(int_, int_),
    "getppid": Signature(),
    "getpgrp": Signature(),
    "setsid": Signature(),
    "setreuid": Signature(uid, uid),
    "setregid": Signature(uid, uid),
    "getgroups": Signature(int_, Out(_groups)),
    "setgroups": Signature(int_, _set_groups),
    "setresuid": Signature(uid, uid, uid),
    "getresuid": Signature(Out(_uid), _uid, _uid),
    "setresgid": Signature(uid, uid, uid),
    "getresgid": Signature(Out(_uid), _uid, _uid),
    "getpgid": Signature(int_),
    "setfsuid": Signature(uid),
    "setfsgid": Signature(uid),
    "getsid": Signature(int_),
    "personality": Signature(_personality, result=_personality_result),
    "setrlimit": Signature(_RLIMITS, rlimit),
    "sethostname": Signature(_host_name, uint),
    "setdomainname": Signature(_host_name, uint),
    "gettid": Signature(),
    "set_tid_address": Signature(hexadecimal),
    "exit_group": Signature(int_),
    "waitid": Signature(_ID_TYPES, int_, Out(siginfo), _WAIT, rusage),
    "prlimit64": Signature(int_, _RLIMITS, rlimit, Out(rlimit)),
    "getrandom": Signature(Out(_random_bytes), ulong, _GETRANDOM),
    "execveat": Signature(fd_at, path, argument_vector, environment, AT_FLAGS),
    "pidfd_open": Signature(int_, Flags("PIDFD_???", "PIDFD_NONBLOCK=0o4000")),
    "pidfd_getfd": Signature(int_, int_, hexadecimal32),
}
