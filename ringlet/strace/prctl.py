"""prctl(2) and arch_prctl(2): what their options take and return."""

from __future__ import annotations

from typing import Final

from ringlet.strace.arguments import indirect
from ringlet.strace.call import Call, Choice, Format, Out, Signature
from ringlet.strace.names import Names
from ringlet.strace.text import address, hexadecimal, int_, quote, signal, ulong

_OPTIONS: Final = Names("PR_???", """
    PR_SET_PDEATHSIG=1 PR_GET_PDEATHSIG=2 PR_GET_DUMPABLE=3 PR_SET_DUMPABLE=4 PR_GET_UNALIGN=5
    PR_SET_UNALIGN=6 PR_GET_KEEPCAPS=7 PR_SET_KEEPCAPS=8 PR_GET_FPEMU=9 PR_SET_FPEMU=10
    PR_GET_FPEXC=11 PR_SET_FPEXC=12 PR_GET_TIMING=13 PR_SET_TIMING=14 PR_SET_NAME=15
    PR_GET_NAME=16 PR_GET_ENDIAN=19 PR_SET_ENDIAN=20 PR_GET_SECCOMP=21 PR_SET_SECCOMP=22
    PR_CAPBSET_READ=23 PR_CAPBSET_DROP=24 PR_GET_TSC=25 PR_SET_TSC=26 PR_GET_SECUREBITS=27
    PR_SET_SECUREBITS=28 PR_SET_TIMERSLACK=29 PR_GET_TIMERSLACK=30
    PR_TASK_PERF_EVENTS_DISABLE=31 PR_TASK_PERF_EVENTS_ENABLE=32 PR_MCE_KILL=33
    PR_MCE_KILL_GET=34 PR_SET_MM=35 PR_SET_CHILD_SUBREAPER=36 PR_GET_CHILD_SUBREAPER=37
    PR_SET_NO_NEW_PRIVS=38 PR_GET_NO_NEW_PRIVS=39 PR_GET_TID_ADDRESS=40 PR_SET_THP_DISABLE=41
    PR_GET_THP_DISABLE=42 PR_MPX_ENABLE_MANAGEMENT=43 PR_MPX_DISABLE_MANAGEMENT=44
    PR_SET_FP_MODE=45 PR_GET_FP_MODE=46 PR_CAP_AMBIENT=47 PR_SVE_SET_VL=50 PR_SVE_GET_VL=51
    PR_GET_SPECULATION_CTRL=52 PR_SET_SPECULATION_CTRL=53 PR_PAC_RESET_KEYS=54
    PR_SET_TAGGED_ADDR_CTRL=55 PR_GET_TAGGED_ADDR_CTRL=56 PR_SET_IO_FLUSHER=57
    PR_GET_IO_FLUSHER=58 PR_SET_SYSCALL_USER_DISPATCH=59 PR_PAC_SET_ENABLED_KEYS=60
    PR_PAC_GET_ENABLED_KEYS=61 PR_SCHED_CORE=62 PR_SME_SET_VL=63 PR_SME_GET_VL=64
    PR_SET_VMA=0x53564d41 PR_SET_PTRACER=0x59616d61""")
_DUMPABLE: Final = Names("SUID_DUMP_???", """
    SUID_DUMP_DISABLE=0 SUID_DUMP_USER=1 SUID_DUMP_ROOT=2""", bits=64)
_CAPABILITIES: Final = Names("CAP_???", """
    CAP_CHOWN=0 CAP_DAC_OVERRIDE=1 CAP_DAC_READ_SEARCH=2 CAP_FOWNER=3 CAP_FSETID=4 CAP_KILL=5
    CAP_SETGID=6 CAP_SETUID=7 CAP_SETPCAP=8 CAP_LINUX_IMMUTABLE=9 CAP_NET_BIND_SERVICE=10
    CAP_NET_BROADCAST=11 CAP_NET_ADMIN=12 CAP_NET_RAW=13 CAP_IPC_LOCK=14 CAP_IPC_OWNER=15
    CAP_SYS_MODULE=16 CAP_SYS_RAWIO=17 CAP_SYS_CHROOT=18 CAP_SYS_PTRACE=19 CAP_SYS_PACCT=20
    CAP_SYS_ADMIN=21 CAP_SYS_BOOT=22 CAP_SYS_NICE=23 CAP_SYS_RESOURCE=24 CAP_SYS_TIME=25
    CAP_SYS_TTY_CONFIG=26 CAP_MKNOD=27 CAP_LEASE=28 CAP_AUDIT_WRITE=29 CAP_AUDIT_CONTROL=30
    CAP_SETFCAP=31 CAP_MAC_OVERRIDE=32 CAP_MAC_ADMIN=33 CAP_SYSLOG=34 CAP_WAKE_ALARM=35
    CAP_BLOCK_SUSPEND=36 CAP_AUDIT_READ=37 CAP_PERFMON=38 CAP_BPF=39
    CAP_CHECKPOINT_RESTORE=40""", bits=64)
_SECCOMP: Final = Names("SECCOMP_MODE_???", """
    SECCOMP_MODE_DISABLED=0 SECCOMP_MODE_STRICT=1 SECCOMP_MODE_FILTER=2""", bits=64)
_TSC: Final = Names("PR_TSC_???", "PR_TSC_ENABLE=1 PR_TSC_SIGSEGV=2")
_ARCH: Final = Names("ARCH_???", """
    ARCH_SET_GS=0x1001 ARCH_SET_FS=0x1002 ARCH_GET_FS=0x1003 ARCH_GET_GS=0x1004
    ARCH_GET_CPUID=0x1011 ARCH_SET_CPUID=0x1012 ARCH_GET_XCOMP_SUPP=0x1021
    ARCH_GET_XCOMP_PERM=0x1022 ARCH_REQ_XCOMP_PERM=0x1023 ARCH_GET_XCOMP_GUEST_PERM=0x1024
    ARCH_REQ_XCOMP_GUEST_PERM=0x1025 ARCH_MAP_VDSO_X32=0x2001 ARCH_MAP_VDSO_32=0x2002
    ARCH_MAP_VDSO_64=0x2003""")
_COMM_LEN: Final = 16


def _name(call: Call, va: int) -> str:
    """A task's name: strace looks at no more of it than counts, so a full one has no end."""
    found = call.memory.string(va, _COMM_LEN - 1) if va else None
    return address(call, va) if found is None else quote(found[0], more=not found[1])


def _name_filled(call: Call, va: int) -> str:
    found = call.memory.string(va, _COMM_LEN) if va and not call.failed else None
    return address(call, va) if found is None else quote(found[0], more=not found[1])


def _dumpable_result(call: Call, value: int) -> str:
    name = _DUMPABLE.get(value)
    return f"{value} ({name})" if name else str(value)


_NSIG_SHOWN: Final = 128  # strace takes what is larger for no signal


def _pdeath_signal(call: Call, value: int) -> str:
    return signal(call, value) if value <= _NSIG_SHOWN else str(value)


def _option(*more: Format | Out, result: Format | None = None) -> Signature:
    return Signature(_OPTIONS, *more, result=result)


_NONE: Final = _option()
_ULONG: Final = _option(ulong)
_INT_OUT: Final = _option(Out(indirect(int_)))
# Of these the kernel checks that the arguments which are not used are 0.
_STRICT: Final = _option(hexadecimal, hexadecimal, hexadecimal, hexadecimal)
_STRICT_SET: Final = _option(ulong, hexadecimal, hexadecimal, hexadecimal)
_BY_OPTION: Final = {
    1: _option(_pdeath_signal),
    2: _option(Out(indirect(signal))),
    3: _option(result=_dumpable_result),
    4: _option(_DUMPABLE),
    7: _NONE,
    8: _ULONG,
    9: _INT_OUT,
    10: _ULONG,
    11: _INT_OUT,
    12: _ULONG,
    13: _NONE,
    14: _ULONG,
    15: _option(_name),
    16: _option(Out(_name_filled)),
    19: _INT_OUT,
    20: _ULONG,
    21: _NONE,
    22: _option(_SECCOMP, hexadecimal, hexadecimal, hexadecimal),
    23: _option(_CAPABILITIES),
    24: _option(_CAPABILITIES),
    25: _option(Out(indirect(_TSC))),
    26: _option(_TSC),
    29: _ULONG,
    30: _NONE,
    31: _NONE,
    32: _NONE,
    36: _ULONG,
    37: _INT_OUT,
    38: _STRICT_SET,
    40: _option(Out(indirect(hexadecimal, 8))),
    41: _STRICT_SET,
    57: _STRICT_SET,
    0x59616D61: _ULONG,
}

_ARCH_SET: Final = Signature(_ARCH, hexadecimal)
_ARCH_GET: Final = Signature(_ARCH, Out(indirect(address, 8)))
_ARCH_BY_OPTION: Final = {0x1003: _ARCH_GET, 0x1004: _ARCH_GET, 0x1011: Signature(_ARCH)}

CALLS: Final[dict[str, Signature | Choice]] = {
    "prctl": Choice(lambda call: _BY_OPTION.get(call.arguments[0] & 0xFFFF_FFFF, _STRICT)),
    "arch_prctl": Choice(lambda call: _ARCH_BY_OPTION.get(
        call.arguments[0] & 0xFFFF_FFFF, _ARCH_SET)),
}
