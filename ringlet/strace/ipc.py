"""System V IPC: semaphores.

See: semget(2), semop(2), semctl(2).
"""

from __future__ import annotations

import struct
from typing import Final

from ringlet.strace.arguments import Structure, array, custom
from ringlet.strace.call import Call, Choice, Format, Out, Signature
from ringlet.strace.clocks import timespec
from ringlet.strace.names import Flags, Names
from ringlet.strace.text import address, hexadecimal32, int_, signed32, uid, uint

_PERMISSIONS: Final = 0o777
_IPC_64: Final = 0x100  # of a command: older architectures' way to ask for structures of today
_OUTSIDE: Final = 0xFFFF_FFFF & ~_PERMISSIONS

_RESOURCE: Final = Flags("", "IPC_CREAT=0o1000 IPC_EXCL=0o2000 IPC_NOWAIT=0o4000")
_SEM_FLAGS: Final = Flags("SEM_???", "SEM_UNDO=0x1000 IPC_NOWAIT=0o4000")
_SEMCTL: Final = Names("SEM_???", """
    IPC_RMID=0 IPC_SET=1 IPC_STAT=2 IPC_INFO=3 GETPID=11 GETVAL=12 GETALL=13 GETNCNT=14 GETZCNT=15
    SETVAL=16 SETALL=17 SEM_STAT=18 SEM_INFO=19 SEM_STAT_ANY=20""")


def _key(call: Call, value: int) -> str:
    return hexadecimal32(call, value) if value & 0xFFFF_FFFF else "IPC_PRIVATE"


def _resource_flags(call: Call, value: int) -> str:
    """Flags and permissions; strace has no bar between unknown flags alone and permissions."""
    found, rest = _RESOURCE.split(value & _OUTSIDE)
    if rest:
        found.append(hex(rest))
    bar = "|" if found and found != [hex(rest)] else ""
    return "|".join(found) + bar + f"0{value & _PERMISSIONS:02o}"


_SEMBUF: Final = struct.Struct("<HhH")


def _sembuf(call: Call, data: bytes) -> str:
    num, op, flags = _SEMBUF.unpack(data)
    return f"{{sem_num={num}, sem_op={op}, sem_flg={_SEM_FLAGS(call, flags)}}}"


_sembufs: Final = array(_SEMBUF.size, _sembuf, 2, 32)


# ---------------------------------------------------------------------------- semctl

_SEMID64: Final = struct.Struct("<6I8x16xQ8xQ8xQ16x")


def _mode(value: int) -> str:
    return f"0{value:02o}"


def _semid_ds(call: Call, data: bytes) -> str:
    key, owner, group, creator, creator_group, mode, otime, ctime, nsems = _SEMID64.unpack(data)
    return (f"{{sem_perm={{uid={uid(call, owner)}, gid={uid(call, group)}, mode={_mode(mode)}, "
            f"key={key}, cuid={uid(call, creator)}, cgid={uid(call, creator_group)}}}, "
            f"sem_otime={otime}, sem_ctime={ctime}, sem_nsems={nsems}}}")


def _semid_ds_to_set(call: Call, data: bytes) -> str:
    _, owner, group, _, _, mode, *_ = _SEMID64.unpack(data)
    return (f"{{sem_perm={{uid={uid(call, owner)}, gid={uid(call, group)}, "
            f"mode={_mode(mode)}}}}}")


_SEMINFO: Final = Structure("<10I", semmap=int_, semmni=int_, semmns=int_, semmnu=int_,
                            semmsl=int_, semopm=int_, semume=int_, semusz=int_, semvmx=int_,
                            semaem=int_)


def _command(call: Call, value: int) -> str:
    prefix = "IPC_64|" if value & _IPC_64 else ""
    return prefix + _SEMCTL(call, value & 0xFFFF_FFFF & ~_IPC_64)


def _semctl(argument: Format | Out) -> Signature:
    return Signature(int_, int_, _command, argument)


_STAT: Final = _semctl(Out(custom(_SEMID64.size, _semid_ds)))
_INFO: Final = _semctl(Out(_SEMINFO))
_SEMCTL_FORMS: Final = {1: _semctl(custom(_SEMID64.size, _semid_ds_to_set)), 2: _STAT, 3: _INFO,
                        18: _STAT, 19: _INFO, 20: _STAT}
_SEMCTL_OTHER: Final = _semctl(address)


CALLS: Final[dict[str, Signature | Choice]] = {
    "semget": Signature(_key, int_, _resource_flags),
    "semop": Signature(int_, _sembufs, uint),
    "semctl": Choice(lambda call: _SEMCTL_FORMS.get(
        signed32(call.arguments[2]) & ~_IPC_64, _SEMCTL_OTHER)),
    "semtimedop": Signature(int_, _sembufs, uint, timespec),
}
