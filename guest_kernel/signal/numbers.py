"""Signal numbers of Linux x86-64, what each does by default, and why it was sent.

See: signal(7), sigaction(2); Linux include/uapi/asm-generic/siginfo.h, include/linux/signal.h.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

_NSIG: Final = 64
SIGRTMIN: Final = 32
SIGRTMAX: Final = _NSIG


class Signal(IntEnum):
    """The standard signals, with strsignal(3)'s words; real-time signals have numbers only."""

    SIGHUP = 1  # Hangup
    SIGINT = 2  # Interrupt
    SIGQUIT = 3  # Quit
    SIGILL = 4  # Illegal instruction
    SIGTRAP = 5  # Trace/breakpoint trap
    SIGABRT = 6  # Aborted
    SIGBUS = 7  # Bus error
    SIGFPE = 8  # Floating point exception
    SIGKILL = 9  # Killed
    SIGUSR1 = 10  # User defined signal 1
    SIGSEGV = 11  # Segmentation fault
    SIGUSR2 = 12  # User defined signal 2
    SIGPIPE = 13  # Broken pipe
    SIGALRM = 14  # Alarm clock
    SIGTERM = 15  # Terminated
    SIGSTKFLT = 16  # Stack fault
    SIGCHLD = 17  # Child exited
    SIGCONT = 18  # Continued
    SIGSTOP = 19  # Stopped (signal)
    SIGTSTP = 20  # Stopped
    SIGTTIN = 21  # Stopped (tty input)
    SIGTTOU = 22  # Stopped (tty output)
    SIGURG = 23  # Urgent I/O condition
    SIGXCPU = 24  # CPU time limit exceeded
    SIGXFSZ = 25  # File size limit exceeded
    SIGVTALRM = 26  # Virtual timer expired
    SIGPROF = 27  # Profiling timer expired
    SIGWINCH = 28  # Window changed
    SIGIO = 29  # I/O possible
    SIGPWR = 30  # Power failure
    SIGSYS = 31  # Bad system call
    SIGIOT = SIGABRT
    SIGPOLL = SIGIO


(SIGHUP, SIGINT, SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGKILL, SIGUSR1, SIGSEGV,
 SIGUSR2, SIGPIPE, SIGALRM, SIGTERM, SIGSTKFLT, SIGCHLD, SIGCONT, SIGSTOP, SIGTSTP, SIGTTIN,
 SIGTTOU, SIGURG, SIGXCPU, SIGXFSZ, SIGVTALRM, SIGPROF, SIGWINCH, SIGIO, SIGPWR, SIGSYS) = Signal


class Disposition(IntEnum):
    """What happens if a process has said nothing about a signal: signal(7), "Action"."""

    TERM = 0  # the process ends
    IGN = 1  # nothing
    CORE = 2  # the process ends; its core is dumped
    STOP = 3  # the process stops
    CONT = 4  # the process goes on if it is stopped


# All others, the real-time signals too, are TERM.
_DEFAULT_ACTIONS: Final[dict[int, Disposition]] = {
    SIGQUIT: Disposition.CORE, SIGILL: Disposition.CORE, SIGTRAP: Disposition.CORE,
    SIGABRT: Disposition.CORE, SIGBUS: Disposition.CORE, SIGFPE: Disposition.CORE,
    SIGSEGV: Disposition.CORE, SIGXCPU: Disposition.CORE, SIGXFSZ: Disposition.CORE,
    SIGSYS: Disposition.CORE,
    SIGCHLD: Disposition.IGN, SIGURG: Disposition.IGN, SIGWINCH: Disposition.IGN,
    SIGSTOP: Disposition.STOP, SIGTSTP: Disposition.STOP, SIGTTIN: Disposition.STOP,
    SIGTTOU: Disposition.STOP,
    SIGCONT: Disposition.CONT,
}


def default_action(number: int) -> Disposition:
    """Return what signal ``number`` does if nothing else was asked for."""
    return _DEFAULT_ACTIONS.get(number, Disposition.TERM)


def signal_name(number: int) -> str:
    """Return the name of signal ``number``, 1 to 64, as strace(1) writes it."""
    if number < SIGRTMIN:
        return Signal(number).name
    return "SIGRTMIN" if number == SIGRTMIN else f"SIGRT_{number - SIGRTMIN}"


def signal_number(name: str) -> int | None:
    """Return the number of a signal by its name, with or without ``SIG``, or its number."""
    if name.isdecimal():
        return int(name) if 0 < int(name) <= _NSIG else None
    wanted = name.upper().removeprefix("SIG")
    return next((number for number in range(1, _NSIG + 1)
                 if signal_name(number).removeprefix("SIG") == wanted), None)


def sigmask(number: int) -> int:
    """Return the set that holds signal ``number`` alone."""
    return 1 << (number - 1)


def _set_of(*actions: Disposition) -> int:
    return sum(sigmask(n) for n in range(1, _NSIG + 1) if default_action(n) in actions)


SIG_KERNEL_IGNORE_MASK: Final = _set_of(Disposition.IGN, Disposition.CONT)
SIG_KERNEL_STOP_MASK: Final = _set_of(Disposition.STOP)
SIG_KERNEL_COREDUMP_MASK: Final = _set_of(Disposition.CORE)

# Those of exceptions, which are taken first.
SYNCHRONOUS_MASK: Final = sum(map(sigmask, (SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE, SIGSYS)))

# These two can be neither blocked, nor ignored, nor handled.
SIG_KERNEL_ONLY_MASK: Final = sigmask(SIGKILL) | sigmask(SIGSTOP)

# Standard ones that have nothing special: what asm/signal.asm takes.  SIGALRM starts a timer anew.
SIMPLE_SIGNALS: Final = (sigmask(SIGRTMIN) - 1) & ~(
    SYNCHRONOUS_MASK | SIG_KERNEL_STOP_MASK | SIG_KERNEL_ONLY_MASK | sigmask(SIGALRM))

# ---- k_sigaction.handler, if it is no address
SIG_DFL: Final = 0
SIG_IGN: Final = 1

# ---- k_sigaction.flags
SA_NOCLDSTOP: Final = 0x0000_0001  # SIGCHLD: not for children that stop
SA_NOCLDWAIT: Final = 0x0000_0002  # SIGCHLD: children leave no zombies
SA_SIGINFO: Final = 0x0000_0004  # the handler takes three arguments
SA_EXPOSE_TAGBITS: Final = 0x0000_0800
SA_RESTORER: Final = 0x0400_0000  # restorer is valid; x86-64 requires it
SA_ONSTACK: Final = 0x0800_0000  # run on the alternate stack
SA_RESTART: Final = 0x1000_0000  # system calls that it interrupts begin again
SA_NODEFER: Final = 0x4000_0000  # the signal is not blocked while its handler runs
SA_RESETHAND: Final = 0x8000_0000  # back to SIG_DFL when the handler begins

# A program finds out what the kernel supports by setting a flag and looking whether it stays.
UAPI_SA_FLAGS: Final = (
    SA_NOCLDSTOP | SA_NOCLDWAIT | SA_SIGINFO | SA_EXPOSE_TAGBITS | SA_RESTORER | SA_ONSTACK
    | SA_RESTART | SA_NODEFER | SA_RESETHAND
)

# ---- si_code: who sent a signal; a positive one is the kernel's, and its meaning the signal's.
SI_USER: Final = 0  # kill(2)
SI_KERNEL: Final = 0x80
SI_QUEUE: Final = -1  # sigqueue(3)
SI_TIMER: Final = -2
SI_MESGQ: Final = -3
SI_ASYNCIO: Final = -4
SI_SIGIO: Final = -5
SI_TKILL: Final = -6  # tkill(2), tgkill(2)
SI_DETHREAD: Final = -7  # execve(2), to the other threads
SI_ASYNCNL: Final = -60  # a name was looked up

# SIGILL
ILL_ILLOPC: Final = 1  # illegal opcode
ILL_ILLOPN: Final = 2  # illegal operand
ILL_ILLADR: Final = 3  # illegal addressing mode
ILL_ILLTRP: Final = 4  # illegal trap
ILL_PRVOPC: Final = 5  # privileged opcode
ILL_PRVREG: Final = 6  # privileged register
ILL_COPROC: Final = 7  # coprocessor error
ILL_BADSTK: Final = 8  # internal stack error

# SIGFPE
FPE_INTDIV: Final = 1  # integer divide by zero
FPE_INTOVF: Final = 2  # integer overflow
FPE_FLTDIV: Final = 3  # floating point divide by zero
FPE_FLTOVF: Final = 4  # floating point overflow
FPE_FLTUND: Final = 5  # floating point underflow
FPE_FLTRES: Final = 6  # floating point inexact result
FPE_FLTINV: Final = 7  # floating point invalid operation
FPE_FLTSUB: Final = 8  # subscript out of range

# SIGSEGV
SEGV_MAPERR: Final = 1  # nothing is mapped at the address
SEGV_ACCERR: Final = 2  # the mapping does not permit the access

# SIGBUS
BUS_ADRALN: Final = 1  # alignment
BUS_ADRERR: Final = 2  # behind the end of the mapped file
BUS_OBJERR: Final = 3  # object specific hardware error

# SIGTRAP
TRAP_BRKPT: Final = 1  # breakpoint
TRAP_TRACE: Final = 2  # single step, ptrace(2)
TRAP_BRANCH: Final = 3  # branch
TRAP_HWBKPT: Final = 4  # hardware breakpoint or watchpoint

# SIGCHLD
CLD_EXITED: Final = 1
CLD_KILLED: Final = 2
CLD_DUMPED: Final = 3
CLD_TRAPPED: Final = 4
CLD_STOPPED: Final = 5
CLD_CONTINUED: Final = 6

# SIGPOLL
POLL_IN: Final = 1
POLL_OUT: Final = 2
POLL_MSG: Final = 3
POLL_ERR: Final = 4
POLL_PRI: Final = 5
POLL_HUP: Final = 6

# The greatest positive si_code of a signal that has its own; the others', as SIGPOLL's.
NSIGPOLL: Final = POLL_HUP
NSIG_CODES: Final[dict[int, int]] = {
    SIGILL: 11, SIGFPE: 15, SIGSEGV: 10, SIGBUS: 5, SIGTRAP: 6, SIGCHLD: 6, SIGIO: NSIGPOLL,
    SIGSYS: 2,
}
