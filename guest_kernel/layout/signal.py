"""Signals that wait: what is known of one, and where it is queued.

See: Linux include/linux/signal_types.h; sigaction(2), "The siginfo_t argument to a SA_SIGINFO
handler".
"""

from typing import Final

from guest_kernel.layout.declare import I32, I64, U32, Embed, Ptr, Struct
from guest_kernel.layout.list import hlist_node, list_head


class kernel_siginfo(Struct):
    """Why a signal was sent: the first 48 bytes of ``siginfo_t``; the rest of that is zeros.

    Behind ``pad0`` Linux has a union, whose widest member is shown here.  In the others ``si_addr``
    of an exception lies at ``si_pid``, and ``si_value`` of sigqueue(3) at ``si_status``.
    """

    si_signo = I32("the signal")
    si_errno = I32("0")
    si_code = I32("SI_*, or a positive number of the signal's own")
    pad0 = U32("unused: what follows is a union, aligned to 8")
    si_pid = I32("kill, sigqueue, SIGCHLD: who; 0 from the kernel")
    si_uid = U32("its real user ID")
    si_status = I32("SIGCHLD: exit status, or the signal")
    si_utime = I64("SIGCHLD: user time of the child, in ticks of 10 ms")
    si_stime = I64("SIGCHLD: system time of the child, in ticks of 10 ms")


class user_struct(Struct):
    """What is counted for a user ID.  See Linux include/linux/sched/user.h, struct ucounts."""

    count = U32("references: one for each task")
    uid = U32("the user ID")
    processes = I32("tasks, for RLIMIT_NPROC")
    sigpending = I32("queued signals, for RLIMIT_SIGPENDING")
    uidhash_node = Embed(hlist_node, "its place in uidhash_table")


SIGQUEUE_PREALLOC: Final = 1


class sigqueue(Struct):
    """A signal that waits, if there is something to know about it."""

    list = Embed(list_head, "its place in sigpending.list")
    flags = I32("SIGQUEUE_PREALLOC: it is part of a timer")
    info = Embed(kernel_siginfo, "why it was sent")
    user = Ptr(lambda: user_struct, "whose RLIMIT_SIGPENDING it counts for")
