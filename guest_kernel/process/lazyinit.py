"""An example of a kernel thread: it initialises tables piece by piece while others use the CPU.

ext4 does so with the inode tables of a new file system, so that mkfs and mount need not wait for
it.  The thread, ``lazyinit_thread()``, is in asm/examples.asm: it runs in ring 0 with interrupts on
and can be preempted, so a lock protects the list of requests; between two pieces it sleeps, until
the next one is due, a request comes, or :func:`destroy_lazyinit_thread` wants it to stop.

See: Linux fs/ext4/super.c ext4_lazyinit_thread(), ext4_run_lazyinit_thread(),
ext4_destroy_lazyinit_thread().  There the thread ends when nothing is left to do; here it waits.
"""

from __future__ import annotations

from guest_kernel.errors import BUG_ON
from guest_kernel.kernel import Kernel
from guest_kernel.layout.lazyinit import lazy_init, li_request
from guest_kernel.layout.sched import task_struct
from guest_kernel.lib.list import (
    INIT_LIST_HEAD,
    list_add_tail,
    list_del_init,
    list_for_each_entry,
)
from guest_kernel.mm.slab import kfree, kzalloc
from guest_kernel.process.kthread import kthread_run, kthread_stop
from guest_kernel.sched.core import wake_up_process
from guest_kernel.time.timekeeping import ktime_get


def li_info_new(k: Kernel) -> lazy_init:
    """Return a lazy_init without a thread or requests.  See ext4_li_info_new()."""
    eli = kzalloc(k, lazy_init)
    INIT_LIST_HEAD(eli.li_request_list)
    return eli


def run_lazyinit_thread(current: task_struct, eli: lazy_init) -> None:
    """Start the thread.

    Raises:
        Sleep: it is not there yet; the caller is called again, and calls this again.
        SyscallError: ENOMEM, EAGAIN.
    """
    k: Kernel = current.k
    eli.li_task = kthread_run(current, k.symbols["lazyinit_thread"], eli.va, b"ext4lazyinit")


def register_li_request(eli: lazy_init, table: int, ngroups: int, timeout: int) -> li_request:
    """Have a table initialised, the first group ``timeout`` ns from now.

    Args:
        table: its kernel address.
        ngroups: how many pieces of LI_GROUP_SIZE it has.
        timeout: ns between two of them.

    Returns:
        The request: the caller's to free when ``lr_next_group`` is ``lr_ngroups``.
    """
    BUG_ON(not ngroups, "register_li_request: a table without groups")
    # A hosted function is one instruction to the guest, and nobody is preempted who holds a lock.
    BUG_ON(bool(eli.li_list_lock), f"{eli!r}: the lock is held by somebody who does not run")
    elr = kzalloc(eli.k, li_request)
    elr.lr_table, elr.lr_ngroups, elr.lr_timeout = table, ngroups, timeout
    elr.lr_next_sched = ktime_get(eli.k) + timeout
    list_add_tail(elr.lr_request, eli.li_request_list)
    if eli.li_task is not None:
        wake_up_process(eli.li_task)
    return elr


def destroy_lazyinit_thread(current: task_struct, eli: lazy_init) -> int:
    """Stop the thread, free ``eli`` and the requests that are not done; return the groups it did.

    Raises:
        Sleep: it has not ended yet; the caller is called again, and calls this again.
    """
    assert eli.li_task is not None
    groups = kthread_stop(current, eli.li_task)
    for elr in list_for_each_entry(eli.li_request_list, li_request, "lr_request"):
        list_del_init(elr.lr_request)
        kfree(elr)
    kfree(eli)
    return groups
