"""What is known of each call, by name and by number.

A call that is in no module's ``CALLS`` is written as ``strace -e raw`` does: its name, and its
arguments in hexadecimal.
"""

from __future__ import annotations

from typing import Final

from guest_kernel.syscall_table import load
from ringlet.strace import (
    clocks,
    clone,
    events,
    fcntl,
    files,
    ioctl,
    ipc,
    mm,
    prctl,
    process,
    sched,
    signals,
)
from ringlet.strace.call import Choice, Signature
from ringlet.strace.text import hexadecimal

_MODULES: Final = (files, fcntl, ioctl, mm, process, clone, prctl, sched, signals, clocks, events,
                   ipc)
_REGISTERS: Final = 6

# How many arguments the calls have that are not decoded.
_ARGUMENTS: Final = {
    0: "vhangup restart_syscall",
    1: "shmdt uselib _sysctl adjtimex acct swapoff iopl get_kernel_syms set_thread_area io_destroy "
       "get_thread_area mq_unlink userfaultfd memfd_secret",
    2: "shutdown listen msgget capget capset ustat pivot_root umount2 swapon create_module "
       "delete_module removexattr lremovexattr fremovexattr io_setup mq_notify ioprio_get "
       "fanotify_init clock_adjtime io_uring_setup fsopen landlock_restrict_self "
       "process_mrelease",
    3: "shmget shmat shmctl socket connect accept sendmsg recvmsg bind getsockname getpeername "
       "msgctl syslog sysfs modify_ldt ioperm init_module nfsservctl tuxcall "
       "security listxattr llistxattr flistxattr io_submit io_cancel lookup_dcookie "
       "set_mempolicy mq_getsetattr ioprio_set open_by_handle_at finit_module "
       "seccomp bpf open_tree fsmount fspick landlock_create_ruleset map_shadow_stack mseal "
       "lsm_list_modules",
    4: "socketpair msgsnd ptrace quotactl getxattr lgetxattr fgetxattr epoll_ctl_old "
       "epoll_wait_old mq_open kexec_load request_key migrate_pages vmsplice accept4 "
       "sendmmsg io_uring_register quotactl_fd landlock_add_rule reboot cachestat "
       "fchmodat2 futex_wake futex_requeue statmount listmount lsm_get_self_attr "
       "lsm_set_self_attr",
    5: "setsockopt getsockopt msgrcv mount query_module getpmsg putpmsg afs_syscall setxattr "
       "lsetxattr fsetxattr io_getevents vserver get_mempolicy mq_timedsend mq_timedreceive "
       "add_key keyctl perf_event_open recvmmsg fanotify_mark name_to_handle_at kcmp "
       "kexec_file_load move_mount fsconfig process_madvise mount_setattr futex_waitv",
    6: "sendto recvfrom mbind move_pages process_vm_readv process_vm_writev io_uring_enter "
       "futex_wait",
}

_RAW: Final = tuple(Signature(*[hexadecimal] * n) for n in range(_REGISTERS + 1))


def signatures() -> dict[int, tuple[str, Signature | Choice]]:
    """Return the name and the signature of each call in ``syscalls.tbl``, by number."""
    known: dict[str, Signature | Choice] = {
        name: _RAW[n] for n, names in _ARGUMENTS.items() for name in names.split()}
    for module in _MODULES:
        known |= module.CALLS
    return {row.number: (row.name, known.get(row.name, _RAW[_REGISTERS]))
            for row in load()}


def unknown(number: int) -> tuple[str, Signature]:
    """Return the same for a number that no call has."""
    return f"syscall_{number:#x}", _RAW[_REGISTERS]
