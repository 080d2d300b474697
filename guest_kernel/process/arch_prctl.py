"""arch_prctl(2): the bases of FS and GS in ring 3.

CR4.FSGSBASE is off, so ring 3 cannot move a base itself; ``task->thread`` holds what it asked for
and the assembly loads it on a switch, or at once when asked.

See: Linux arch/x86/kernel/process_64.c do_arch_prctl_64(), process.c do_arch_prctl_common().
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from guest_kernel.errors import Errno, SyscallError
from guest_kernel.layout.mm_types import TASK_SIZE_MAX
from guest_kernel.layout.sched import WORK_LOAD_BASES, task_struct
from guest_kernel.mm.uaccess import put_user_u64
from guest_kernel.syscalls import SYSCALL_DEFINE, Int, ULong

if TYPE_CHECKING:
    from guest_kernel.kernel import Kernel

ARCH_SET_GS: Final = 0x1001
ARCH_SET_FS: Final = 0x1002
ARCH_GET_FS: Final = 0x1003
ARCH_GET_GS: Final = 0x1004
ARCH_GET_CPUID: Final = 0x1011
ARCH_SET_CPUID: Final = 0x1012

_FSBASE: Final = task_struct.offsetof("thread.fsbase")
_GSBASE: Final = task_struct.offsetof("thread.gsbase")


# System calls


@SYSCALL_DEFINE
def sys_arch_prctl(current: task_struct, option: Int, arg2: ULong) -> int:
    """Set or get the base of FS or GS.  See arch_prctl(2).

    Limits: a base that ring 3 changed by loading a selector is not seen.  CPUID cannot be made to
    fault (ENODEV).  ARCH_MAP_VDSO_*, the XSAVE permissions, address masking and shadow stacks are
    not there (EINVAL).
    """
    k: Kernel = current.k
    if option in (ARCH_SET_FS, ARCH_SET_GS):
        if arg2 >= TASK_SIZE_MAX:
            raise SyscallError(Errno.EPERM)
        k.u64[(current.pa + (_FSBASE if option == ARCH_SET_FS else _GSBASE)) >> 3] = arg2
        k.ask(WORK_LOAD_BASES)
        return 0
    if option in (ARCH_GET_FS, ARCH_GET_GS):
        offset = _FSBASE if option == ARCH_GET_FS else _GSBASE
        put_user_u64(k, arg2, k.u64[(current.pa + offset) >> 3])
        return 0
    if option == ARCH_GET_CPUID:
        return 1  # it does not fault
    raise SyscallError(Errno.ENODEV if option == ARCH_SET_CPUID else Errno.EINVAL)
