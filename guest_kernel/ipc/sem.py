"""System V semaphores.

A call of semop(2) is a list of operations that are done all together or not at all.  If they cannot
be done yet the task sleeps, and **whoever changes the set does the operations for it**: the sleeper
finds the result in its ``sem_queue`` when it is called again.  So nobody who comes later can take
what a sleeper was woken for, and sleepers are served in the order in which they came.

A sleeper of a single operation is on a list of its semaphore: ``pending_alter``, or, if it waits
for zero, ``pending_const``.  While any sleeper has several operations (``complex_count``), all
those that alter are on the ``pending_alter`` of the set, because an older one must be served first
whatever semaphores it names.

A ``sem_queue`` lives from the first sleep to the end of the call, and ``task.sysvsem.queue`` points
at it.  The sleeper takes it off its list itself when a signal or its deadline has woken it; that
includes SIGKILL, because a task that is killed in its sleep is called once more before it ends.  A
task that ends without that, after a mistake of the kernel's own, is taken off by exit_sem().

SEM_UNDO makes a note in a ``sem_undo``, which is on two lists: that of the set, and the
``sem_undo_list`` of the tasks that share it (CLONE_SYSVSEM).  When the last of these ends,
exit_sem() takes back what is noted.

Unlike Linux's, an operation list is first worked out on copies of the values and then stored, so
nothing has to be taken back half-way; and there is one lock less to choose, because no handler is
interrupted.

See: Linux ipc/sem.c; semop(2), semctl(2), semget(2).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Final, NoReturn, TypeAlias

from guest_kernel.errors import Errno, SyscallError
from guest_kernel.ipc.util import (
    IPC64_PERM,
    IPC_INFO,
    IPC_NOWAIT,
    IPC_RMID,
    IPC_SET,
    IPC_STAT,
    S_IRUGO,
    S_IRWXUGO,
    S_IWUGO,
    ipc_addid,
    ipc_get_maxidx,
    ipc_init_ids,
    ipc_obtain_object_check,
    ipc_obtain_object_idr,
    ipc_ops,
    ipc_params,
    ipc_rmid,
    ipc_update_perm,
    ipcctl_obtain_check,
    ipcget,
    ipcperms,
    kernel_to_ipc64_perm,
)
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import PHYSICAL_MASK
from guest_kernel.layout.ipc import (
    IPC_SEM_IDS,
    SC_SEMMNI,
    SC_SEMMNS,
    SC_SEMMSL,
    SC_SEMOPM,
    ipc_data,
    ipc_ids,
    ipc_namespace,
    kern_ipc_perm,
    sem,
    sem_array,
    sem_queue,
    sem_undo,
    sembuf,
)
from guest_kernel.layout.list import list_head
from guest_kernel.layout.sched import TASK_NORMAL, pid, task_struct
from guest_kernel.layout.sem_types import sem_undo_list
from guest_kernel.lib.list import (
    INIT_LIST_HEAD,
    list_add,
    list_add_tail,
    list_del,
    list_empty,
    list_first_entry_or_null,
    list_for_each_entry,
    list_for_each_va,
    list_move,
    list_move_tail,
    list_splice_init,
)
from guest_kernel.mm.page_alloc import OutOfFrames
from guest_kernel.mm.slab import kfree, kfree_pa, kmalloc, kzalloc
from guest_kernel.mm.uaccess import copy_from_user, copy_to_user
from guest_kernel.process.pid import PIDTYPE_TGID, get_pid, pid_nr, put_pid, task_pid_type
from guest_kernel.sched.core import try_to_wake_up
from guest_kernel.sched.wait import NEVER, schedule_timeout, signal_pending
from guest_kernel.syscalls import SYSCALL_DEFINE, Int, UInt, ULong, UserPtr
from guest_kernel.time.clocks import TIMESPEC, ktime_get_coarse_real_ns
from guest_kernel.time.hrtimer import KTIME_MAX
from guest_kernel.time.nanosleep import timespec_to_ns
from guest_kernel.time.timekeeping import NSEC_PER_SEC, ktime_get

# ---- limits, as Linux has them at first; the first four are in ipc_namespace.sem_ctls
SEMMNI: Final = 32000  # sets
SEMMSL: Final = 32000  # semaphores in a set
SEMMNS: Final = SEMMNI * SEMMSL  # semaphores in all sets
SEMOPM: Final = 500  # operations of a call
SEMVMX: Final = 32767  # value of a semaphore
SEMAEM: Final = SEMVMX  # what a process may have to add when it ends; one more to subtract
SEMUSZ: Final = 20  # told by IPC_INFO, and of no use

# ---- sembuf.sem_flg
SEM_UNDO: Final = 0x1000

# ---- commands of semctl(2)
GETPID: Final = 11
GETVAL: Final = 12
GETALL: Final = 13
GETNCNT: Final = 14
GETZCNT: Final = 15
SETVAL: Final = 16
SETALL: Final = 17
SEM_STAT: Final = 18
SEM_INFO: Final = 19
SEM_STAT_ANY: Final = 20

# clone(2): share the list of what is to be undone.
CLONE_SYSVSEM: Final = 0x0004_0000

SEMBUF: Final = struct.Struct("<Hhh")  # sem_num sem_op sem_flg
# struct seminfo: semmap semmni semmns semmnu semmsl semopm semume semusz semvmx semaem.
SEMINFO: Final = struct.Struct("<10i")
# struct semid64_ds behind sem_perm: sem_otime sem_ctime sem_nsems, each but the last with a spare.
_SEMID64_TIMES: Final = struct.Struct("<q8xq8xQ16x")
SEMID64_DS_SIZE: Final = IPC64_PERM.size + _SEMID64_TIMES.size

Operation: TypeAlias = tuple[int, int, int]  # sem_num, sem_op, sem_flg

_IPC_NS: Final = ipc_data.offsetof("init_ipc_ns")
_SEM_IDS: Final = _IPC_NS + ipc_namespace.offsetof("ids") + IPC_SEM_IDS * ipc_ids.size
_SEM_CTLS: Final = ipc_namespace.offsetof("sem_ctls")
_SYSVSEM_QUEUE: Final = task_struct.offsetof("sysvsem.queue") >> 3
_SYSVSEM_UNDO_LIST: Final = task_struct.offsetof("sysvsem.undo_list") >> 3
_PENDING_ALTER: Final = sem_array.offsetof("pending_alter")
_PENDING_CONST: Final = sem_array.offsetof("pending_const")
_SEMS: Final = sem_array.offsetof("sems")
_SEM_SIZE: Final = sem.size
_SEMVAL: Final = sem.offsetof("semval")
_SEMPID: Final = sem.offsetof("sempid")
_SEM_PENDING_ALTER: Final = sem.offsetof("pending_alter")
_SEM_PENDING_CONST: Final = sem.offsetof("pending_const")
_SEM_OTIME: Final = sem.offsetof("sem_otime")
_SEMADJ: Final = sem_undo.offsetof("semadj")
_PENDING: Final = -Errno.EINTR  # sem_queue.status of one that still waits


def sem_init(k: Kernel) -> None:
    """Set the limits.  See Linux sem_init_ns()."""
    ns = k.data(ipc_data).init_ipc_ns
    for index, limit in ((SC_SEMMSL, SEMMSL), (SC_SEMMNS, SEMMNS), (SC_SEMOPM, SEMOPM),
                         (SC_SEMMNI, SEMMNI)):
        ns.sem_ctls[index] = limit
    ipc_init_ids(_sem_ids(k))


def _sem_ids(k: Kernel) -> ipc_ids:
    return ipc_ids(k, k.data(ipc_data).pa + _SEM_IDS)


def _sem_ctl(k: Kernel, index: int) -> int:
    limit: int = k.i32[((k.data(ipc_data).pa + _IPC_NS + _SEM_CTLS) >> 2) + index]
    return limit


def _sem(sma: sem_array, num: int) -> sem:
    return sem(sma.k, sma.pa + _SEMS + num * _SEM_SIZE)


def _sems(sma: sem_array) -> Iterator[sem]:
    return (_sem(sma, num) for num in range(sma.sem_nsems))


def _obtain_check(k: Kernel, semid: int) -> sem_array:
    """Return the set whose number is ``semid``.

    Raises:
        SyscallError: EINVAL: there is none.
    """
    return sem_array(k, ipc_obtain_object_check(_sem_ids(k), semid).pa)


def _real_seconds(k: Kernel) -> int:
    """Return what time(2) would: ktime_get_real_seconds()."""
    return ktime_get_coarse_real_ns(k) // NSEC_PER_SEC


# ------------------------------------------------------------------------- sets


def newary(current: task_struct, params: ipc_params) -> int:
    """Make a set of semaphores, all 0, and return its number.

    Raises:
        SyscallError: EINVAL: of no semaphores.  ENOSPC: too many semaphores, or sets.
        OutOfFrames.
    """
    k: Kernel = current.k
    nsems = params.nsems
    if not nsems:
        raise SyscallError(Errno.EINVAL)
    ns = k.data(ipc_data).init_ipc_ns
    if ns.used_sems + nsems > _sem_ctl(k, SC_SEMMNS):
        raise SyscallError(Errno.ENOSPC)
    with ExitStack() as undo:
        sma = _sem_alloc(k, nsems)
        undo.callback(kfree_pa, k, sma.pa)
        sma.sem_perm.mode = params.flg & S_IRWXUGO
        sma.sem_perm.key = params.key
        semid = ipc_addid(current, _sem_ids(k), sma.sem_perm, _sem_ctl(k, SC_SEMMNI))
        undo.pop_all()
    ns.used_sems += nsems
    return semid


def _sem_alloc(k: Kernel, nsems: int) -> sem_array:
    size = _SEMS + nsems * _SEM_SIZE
    pa = kmalloc(k, size)
    k.u8[pa : pa + size] = bytes(size)
    sma = sem_array(k, pa)
    sma.sem_nsems = nsems
    sma.sem_ctime = _real_seconds(k)
    for head in (sma.pending_alter, sma.pending_const, sma.list_id):
        INIT_LIST_HEAD(head)
    for semaphore in _sems(sma):
        INIT_LIST_HEAD(semaphore.pending_alter)
        INIT_LIST_HEAD(semaphore.pending_const)
    return sma


def freeary(sma: sem_array) -> None:
    """Remove a set.  Who sleeps on it gets EIDRM; nothing of it will be undone."""
    k: Kernel = sma.k
    for un in list_for_each_entry(sma.list_id, sem_undo, "list_id"):
        _free_undo(un)
    for head in _queues(sma):
        for queue in _sleepers(head):
            _unlink_queue(queue)
            _wake_up_sem_queue(queue, -Errno.EIDRM)
    for semaphore in _sems(sma):
        _update_pid(k, semaphore.pa, 0)
    ipc_rmid(_sem_ids(k), sma.sem_perm)
    k.data(ipc_data).init_ipc_ns.used_sems -= sma.sem_nsems
    kfree_pa(k, sma.pa)


def _queues(sma: sem_array) -> Iterator[list_head]:
    yield sma.pending_const
    yield sma.pending_alter
    for semaphore in _sems(sma):
        yield semaphore.pending_const
        yield semaphore.pending_alter


def sem_more_checks(ipcp: kern_ipc_perm, params: ipc_params) -> None:
    """Refuse a set that is smaller than what is asked for.

    Raises:
        SyscallError: EINVAL.
    """
    if params.nsems > sem_array(ipcp.k, ipcp.pa).sem_nsems:
        raise SyscallError(Errno.EINVAL)


def _update_pid(k: Kernel, semaphore: int, number: int) -> None:
    """Note the process that has changed the semaphore at ``semaphore``: ipc_update_pid().

    Args:
        number: address of its struct pid; 0: none.
    """
    place = (semaphore + _SEMPID) >> 3
    old = k.u64[place]
    if old == number:
        return
    k.u64[place] = number
    if number:
        get_pid(pid(k, number & PHYSICAL_MASK))
    if old:
        put_pid(pid(k, old & PHYSICAL_MASK))


def _tgid_va(task: task_struct) -> int:
    number = task_pid_type(task, PIDTYPE_TGID)
    assert number is not None
    return number.va


# -------------------------------------------------------------------- operations


def _perform_atomic_semop(sma: sem_array, ops: Sequence[Operation], undo: int,
                          number: int) -> int:
    """Do all operations, or none.

    Args:
        undo: physical address of the caller's sem_undo of this set; 0: no operation has SEM_UNDO.
        number: address of the struct pid of the caller's process.

    Returns:
        0: they are done.  -EAGAIN: one cannot be done and has IPC_NOWAIT.  -ERANGE: a value, or
        what would have to be undone, leaves its range.  Else the first that cannot be done, counted
        from 1: the caller has to sleep.
    """
    k: Kernel = sma.k
    i32, i16 = k.i32, k.i16
    sems = sma.pa + _SEMS
    values: dict[int, int] = {}
    adjustments: dict[int, int] = {}
    for blocking, (num, op, flg) in enumerate(ops, 1):
        value = values[num] if num in values else i32[(sems + num * _SEM_SIZE + _SEMVAL) >> 2]
        if (value if not op else value + op < 0):
            return -Errno.EAGAIN if flg & IPC_NOWAIT else blocking
        value += op
        if value > SEMVMX:
            return -Errno.ERANGE
        if flg & SEM_UNDO:
            place = ((undo + _SEMADJ) >> 1) + num
            adjustment = (adjustments[place] if place in adjustments else i16[place]) - op
            if not -SEMAEM - 1 <= adjustment <= SEMAEM:
                return -Errno.ERANGE
            adjustments[place] = adjustment
        values[num] = value
    for place, adjustment in adjustments.items():
        i16[place] = adjustment
    for num, value in values.items():
        semaphore = sems + num * _SEM_SIZE
        i32[(semaphore + _SEMVAL) >> 2] = value
        _update_pid(k, semaphore, number)
    return 0


def _operations(queue: sem_queue) -> list[Operation]:
    sops = queue.sops
    assert sops is not None
    size = queue.nsops * SEMBUF.size
    return list(SEMBUF.iter_unpack(queue.k.u8[sops.pa : sops.pa + size]))


def _try_queue(sma: sem_array, queue: sem_queue, ops: Sequence[Operation]) -> int:
    """Do the operations of a sleeper, if they can be done now; see _perform_atomic_semop()."""
    undo, number = queue.undo, queue.pid
    assert number is not None
    result = _perform_atomic_semop(sma, ops, 0 if undo is None else undo.pa, number.va)
    if result > 0:
        _set_blocking(queue, result)
    return result


def _set_blocking(queue: sem_queue, blocking: int) -> None:
    assert queue.sops is not None
    queue.blocking = sembuf(queue.k, queue.sops.pa + (blocking - 1) * SEMBUF.size)


def _sleepers(head: list_head) -> Iterator[sem_queue]:
    """Yield each sleeper of a list; the one that was yielded last may be taken off."""
    k: Kernel = head.k
    for node in list_for_each_va(k.u64, head.va):
        yield sem_queue(k, node & PHYSICAL_MASK)  # its first member is the node


def _set_semotime(sma: sem_array, ops: Sequence[Operation] | None) -> None:
    num = ops[0][0] if ops else 0
    sma.k.i64[(sma.pa + _SEMS + num * _SEM_SIZE + _SEM_OTIME) >> 3] = _real_seconds(sma.k)


# ------------------------------------------------------------------------- waking


def _do_smart_update(sma: sem_array, ops: Sequence[Operation] | None, otime: bool) -> None:
    """The set has changed: do what sleepers have waited for, and wake them.

    Args:
        ops: what has been done; None: any semaphore may have changed.
        otime: the set has been operated on; so it has if ``ops`` are given.
    """
    if ops is not None and not _any_sleeper(sma, ops):
        _set_semotime(sma, ops)
        return
    if _do_smart_wakeup_zero(sma, ops):
        otime = True
    if not list_empty(sma.pending_alter):
        heads = [sma.pending_alter]
    elif ops is None:
        heads = [semaphore.pending_alter for semaphore in _sems(sma)]
    else:
        # Single operations that sleep want to subtract: only a greater value can help them.
        heads = [_sem(sma, num).pending_alter for num, op, _ in ops if op > 0]
    for head in heads:
        if not list_empty(head) and _update_queue(sma, head):
            otime = True
    if otime:
        _set_semotime(sma, ops)
    _unmerge_queues(sma)


def _any_sleeper(sma: sem_array, ops: Sequence[Operation]) -> bool:
    """Tell whether somebody sleeps whom these operations might help."""
    u64, pa = sma.k.u64, sma.pa
    places = [pa + _PENDING_ALTER, pa + _PENDING_CONST]
    for num, _, _ in ops:
        semaphore = pa + _SEMS + num * _SEM_SIZE
        places += semaphore + _SEM_PENDING_ALTER, semaphore + _SEM_PENDING_CONST
    # An empty list's head points at itself.
    return any(u64[place >> 3] & PHYSICAL_MASK != place for place in places)


def _do_smart_wakeup_zero(sma: sem_array, ops: Sequence[Operation] | None) -> bool:
    """Wake who waits for zero and does not alter the set.

    Returns:
        True if there was anybody.
    """
    completed = got_zero = False
    for num in range(sma.sem_nsems) if ops is None else [op[0] for op in ops]:
        semaphore = _sem(sma, num)
        if not semaphore.semval:
            got_zero = True
            completed |= _wake_const_ops(sma, semaphore.pending_const)
    if got_zero:
        completed |= _wake_const_ops(sma, sma.pending_const)
    return completed


def _wake_const_ops(sma: sem_array, head: list_head) -> bool:
    completed = False
    for queue in _sleepers(head):
        result = _try_queue(sma, queue, _operations(queue))
        if result <= 0:
            _unlink_queue(queue)
            _wake_up_sem_queue(queue, result)
            completed |= not result
    return completed


def _update_queue(sma: sem_array, head: list_head) -> bool:
    """Do what can be done now of a list of sleepers that alter, in order.

    What one of them has done may help an older one, so after a success on the list of the set it
    begins from the start.

    Returns:
        True if any operations were done.
    """
    completed = False
    again = True
    while again:
        again = False
        for queue in _sleepers(head):
            ops = _operations(queue)
            result = _try_queue(sma, queue, ops)
            if result > 0:
                continue
            _unlink_queue(queue)
            if not result:
                completed = True
                _do_smart_wakeup_zero(sma, ops)
                # A single subtraction cannot help others of its semaphore.
                again = not list_empty(sma.pending_alter) or len(ops) > 1
            _wake_up_sem_queue(queue, result)
            if again:
                break
    return completed


def _wake_up_sem_queue(queue: sem_queue, status: int) -> None:
    """Leave a sleeper, which is on no list any more, its result, and wake it."""
    sleeper = queue.sleeper
    assert sleeper is not None
    queue.status = status
    try_to_wake_up(sleeper, TASK_NORMAL)


# ------------------------------------------------------------------------- sleeping


def _link_queue(sma: sem_array, queue: sem_queue, ops: Sequence[Operation]) -> None:
    """Put a sleeper on the list where it is looked for."""
    alter = any(op for _, op, _ in ops)
    owner: sem_array | sem = sma
    if len(ops) > 1:
        if not sma.complex_count:
            _merge_queues(sma)
        sma.complex_count += 1
    elif not alter or not sma.complex_count:
        owner = _sem(sma, ops[0][0])
    list_add_tail(queue.list, owner.pending_alter if alter else owner.pending_const)


def _unlink_queue(queue: sem_queue) -> None:
    list_del(queue.list)
    if queue.nsops > 1:
        sma = queue.sma
        assert sma is not None
        sma.complex_count -= 1


def _merge_queues(sma: sem_array) -> None:
    """From now on all sleepers that alter are on one list."""
    for semaphore in _sems(sma):
        list_splice_init(semaphore.pending_alter, sma.pending_alter)


def _unmerge_queues(sma: sem_array) -> None:
    """Put those of single operations on the lists of their semaphores again, if that will do."""
    if sma.complex_count:
        return
    for queue in _sleepers(sma.pending_alter):
        sops = queue.sops
        assert sops is not None
        list_move_tail(queue.list, _sem(sma, sops.sem_num).pending_alter)


def _sleep(current: task_struct, sma: sem_array, ops: Sequence[Operation], undo: sem_undo | None,
           blocking: int, expires: int) -> NoReturn:
    """Sleep until the operations are done, a signal comes, or ``expires``; then be called again.

    Raises:
        Sleep: always, but for:
        SyscallError: EINTR: a signal waits.
        OutOfFrames.
    """
    k: Kernel = current.k
    if signal_pending(current):
        raise SyscallError(Errno.EINTR)
    queue = kzalloc(k, sem_queue)
    try:
        sops = kmalloc(k, len(ops) * SEMBUF.size)
    except OutOfFrames:
        kfree(queue)
        raise
    for index, op in enumerate(ops):
        SEMBUF.pack_into(k.u8, sops + index * SEMBUF.size, *op)
    queue.sleeper, queue.sma, queue.undo = current, sma, undo
    queue.pid = task_pid_type(current, PIDTYPE_TGID)
    queue.status = _PENDING
    queue.sops, queue.nsops = sembuf(k, sops), len(ops)
    _set_blocking(queue, blocking)
    _link_queue(sma, queue, ops)
    current.sysvsem.queue = queue.va
    current.restart_block.expires = expires
    schedule_timeout(current, expires)


def _resume(current: task_struct) -> int:
    """Go on after a sleep: the result that the waker has left, or why nobody has.

    Raises:
        SyscallError: EAGAIN: the deadline is reached.  EINTR: a signal has come.  EIDRM: the set is
            gone.  ERANGE.
        Sleep: it was woken for nothing.
    """
    k: Kernel = current.k
    queue = sem_queue(k, current.sysvsem.queue & PHYSICAL_MASK)
    status = queue.status
    if status == _PENDING:
        expires = current.restart_block.expires
        if ktime_get(k) >= expires:
            status = -Errno.EAGAIN
        elif not signal_pending(current):
            schedule_timeout(current, expires)
    _drop_queue(current, queue)
    if status:
        raise SyscallError(Errno(-status))
    return 0


def _drop_queue(task: task_struct, queue: sem_queue) -> None:
    """End a sleep: take it off its list if it is on one, and free it."""
    if queue.status == _PENDING:
        _unlink_queue(queue)
        assert queue.sma is not None
        _unmerge_queues(queue.sma)
    task.sysvsem.queue = 0
    assert queue.sops is not None
    kfree_pa(task.k, queue.sops.pa)
    kfree(queue)


def do_semtimedop(current: task_struct, semid: int, tsops: int, nsops: int,
                  timeout: tuple[int, int] | None) -> int:
    """Do operations on a set, or sleep until they can be done.

    Args:
        tsops: user address of ``nsops`` struct sembuf.
        timeout: seconds and nanoseconds to sleep at most; None: no limit.

    Returns:
        0.

    Raises:
        SyscallError: E2BIG, EINVAL, EFAULT, EFBIG, EACCES, EAGAIN, ERANGE, EINTR, EIDRM: semop(2).
        Sleep.
        OutOfFrames.
    """
    k: Kernel = current.k
    if nsops > _sem_ctl(k, SC_SEMOPM):
        raise SyscallError(Errno.E2BIG)
    if nsops < 1:
        raise SyscallError(Errno.EINVAL)
    ops = list(SEMBUF.iter_unpack(copy_from_user(k, tsops, nsops * SEMBUF.size)))
    if semid < 0:
        raise SyscallError(Errno.EINVAL)
    expires = NEVER if timeout is None else _deadline(k, *timeout)
    highest, alter, undos = 0, False, False
    for num, op, flg in ops:
        highest = max(highest, num)
        alter = alter or op != 0
        undos = undos or flg & SEM_UNDO != 0
    un = find_alloc_undo(current, semid) if undos else None
    sma = _obtain_check(k, semid)
    if highest >= sma.sem_nsems:
        raise SyscallError(Errno.EFBIG)
    ipcperms(current, sma.sem_perm, S_IWUGO if alter else S_IRUGO)
    result = _perform_atomic_semop(sma, ops, 0 if un is None else un.pa, _tgid_va(current))
    if result > 0:
        _sleep(current, sma, ops, un, result, expires)
    if result < 0:
        raise SyscallError(Errno(-result))
    if alter:
        _do_smart_update(sma, ops, True)
    else:
        _set_semotime(sma, ops)
    return 0


def _deadline(k: Kernel, seconds: int, nanoseconds: int) -> int:
    """Return when a sleep ends, monotonic ns; NEVER if that is beyond what a timer can hold.

    Raises:
        SyscallError: EINVAL: the time is negative, or has a second or more of nanoseconds.
    """
    expires = ktime_get(k) + timespec_to_ns(seconds, nanoseconds)
    return expires if expires < KTIME_MAX else NEVER


# ------------------------------------------------------------------------- undoing


def get_undo_list(task: task_struct) -> sem_undo_list:
    """Return the task's list of undos, which is made if there is none.

    Raises:
        OutOfFrames.
    """
    ulp = task.sysvsem.undo_list
    if ulp is None:
        ulp = task.sysvsem.undo_list = kzalloc(task.k, sem_undo_list)
        ulp.refcnt = 1
        INIT_LIST_HEAD(ulp.list_proc)
    return ulp


def find_alloc_undo(current: task_struct, semid: int) -> sem_undo:
    """Return what ``current`` has to undo in a set, which is made if there is nothing yet.

    Raises:
        SyscallError: EINVAL: there is no such set.
        OutOfFrames.
    """
    k: Kernel = current.k
    ulp = get_undo_list(current)
    for un in list_for_each_entry(ulp.list_proc, sem_undo, "list_proc"):
        if un.semid == semid:
            list_move(un.list_proc, ulp.list_proc)
            return un
    sma = _obtain_check(k, semid)
    size = _SEMADJ + 2 * sma.sem_nsems
    pa = kmalloc(k, size)
    k.u8[pa : pa + size] = bytes(size)
    un = sem_undo(k, pa)
    un.ulp, un.semid = ulp, semid
    list_add(un.list_proc, ulp.list_proc)
    list_add(un.list_id, sma.list_id)
    return un


def _free_undo(un: sem_undo) -> None:
    list_del(un.list_id)
    list_del(un.list_proc)
    kfree_pa(un.k, un.pa)


def copy_semundo(clone_flags: int, task: task_struct, parent: task_struct) -> None:
    """Let a new task share its parent's undos, if CLONE_SYSVSEM is given; else it has none.

    exit_sem() takes it back.

    Raises:
        OutOfFrames: nothing has changed.
    """
    if clone_flags & CLONE_SYSVSEM:
        ulp = get_undo_list(parent)
        ulp.refcnt += 1
        task.sysvsem.undo_list = ulp


def exit_sem(task: task_struct) -> None:
    """Have ``task``, which ends or unshares its undos, use semaphores no more.

    The last task that shares the undos has them done: what it has taken is given back, and what it
    has given is taken, as far as the range of the values allows.
    """
    k: Kernel = task.k
    w = task.pa >> 3
    if not (k.u64[w + _SYSVSEM_QUEUE] or k.u64[w + _SYSVSEM_UNDO_LIST]):
        return
    if task.sysvsem.queue:
        _drop_queue(task, sem_queue(k, task.sysvsem.queue & PHYSICAL_MASK))
    ulp = task.sysvsem.undo_list
    if ulp is None:
        return
    task.sysvsem.undo_list = None
    ulp.refcnt -= 1
    if ulp.refcnt:
        return
    while (un := list_first_entry_or_null(ulp.list_proc, sem_undo, "list_proc")) is not None:
        sma = _obtain_check(k, un.semid)
        for num in range(sma.sem_nsems):
            adjustment = k.i16[((un.pa + _SEMADJ) >> 1) + num]
            if adjustment:
                semaphore = _sem(sma, num)
                semaphore.semval = min(max(semaphore.semval + adjustment, 0), SEMVMX)
                _update_pid(k, semaphore.pa, _tgid_va(task))
        _free_undo(un)
        _do_smart_update(sma, None, True)
    kfree(ulp)


# ------------------------------------------------------------------------- control


def _semctl_info(k: Kernel, cmd: int) -> bytes:
    """Return the ``struct seminfo`` of IPC_INFO or SEM_INFO."""
    used = cmd == SEM_INFO
    return SEMINFO.pack(
        SEMMNS, _sem_ctl(k, SC_SEMMNI), _sem_ctl(k, SC_SEMMNS), SEMMNS, _sem_ctl(k, SC_SEMMSL),
        _sem_ctl(k, SC_SEMOPM), SEMOPM, _sem_ids(k).in_use if used else SEMUSZ, SEMVMX,
        k.data(ipc_data).init_ipc_ns.used_sems if used else SEMAEM)


def _semctl_stat(current: task_struct, semid: int, cmd: int) -> tuple[bytes, int]:
    """Return the ``struct semid64_ds`` of a set, and what the call returns.

    Args:
        semid: for SEM_STAT and SEM_STAT_ANY, an index.

    Raises:
        SyscallError: EINVAL: there is no such set.  EACCES.
    """
    k: Kernel = current.k
    if cmd == IPC_STAT:
        sma = _obtain_check(k, semid)
    else:
        sma = sem_array(k, ipc_obtain_object_idr(_sem_ids(k), semid).pa)
    if cmd != SEM_STAT_ANY:
        ipcperms(current, sma.sem_perm, S_IRUGO)
    otime = max(semaphore.sem_otime for semaphore in _sems(sma))
    data = kernel_to_ipc64_perm(sma.sem_perm) + _SEMID64_TIMES.pack(
        otime, sma.sem_ctime, sma.sem_nsems)
    return data, 0 if cmd == IPC_STAT else sma.sem_perm.id


def _semctl_setval(current: task_struct, semid: int, semnum: int, value: int) -> int:
    """Set one value; nobody will undo what was done to it.

    Raises:
        SyscallError: ERANGE, EINVAL, EACCES.
    """
    k: Kernel = current.k
    if not 0 <= value <= SEMVMX:
        raise SyscallError(Errno.ERANGE)
    sma = _obtain_check(k, semid)
    if not 0 <= semnum < sma.sem_nsems:
        raise SyscallError(Errno.EINVAL)
    ipcperms(current, sma.sem_perm, S_IWUGO)
    _set_values(current, sma, {semnum: value})
    return 0


def _set_values(current: task_struct, sma: sem_array, values: dict[int, int]) -> None:
    k: Kernel = sma.k
    for un in list_for_each_entry(sma.list_id, sem_undo, "list_id"):
        for num in values:
            k.i16[((un.pa + _SEMADJ) >> 1) + num] = 0
    number = _tgid_va(current)
    for num, value in values.items():
        semaphore = _sem(sma, num)
        semaphore.semval = value
        _update_pid(k, semaphore.pa, number)
    sma.sem_ctime = _real_seconds(k)
    _do_smart_update(sma, None, False)


def _semctl_main(current: task_struct, semid: int, semnum: int, cmd: int, arg: int) -> int:
    """GETALL, SETALL, GETVAL, GETPID, GETNCNT, GETZCNT.

    Args:
        arg: GETALL and SETALL: user address of an array of unsigned short.

    Raises:
        SyscallError: EINVAL, EACCES, EFAULT, ERANGE.
    """
    k: Kernel = current.k
    sma = _obtain_check(k, semid)
    nsems = sma.sem_nsems
    ipcperms(current, sma.sem_perm, S_IWUGO if cmd == SETALL else S_IRUGO)
    if cmd == GETALL:
        copy_to_user(k, arg, struct.pack(f"<{nsems}H", *(s.semval for s in _sems(sma))))
        return 0
    if cmd == SETALL:
        values = struct.unpack(f"<{nsems}H", copy_from_user(k, arg, 2 * nsems))
        if max(values) > SEMVMX:
            raise SyscallError(Errno.ERANGE)
        _set_values(current, sma, dict(enumerate(values)))
        return 0
    if not 0 <= semnum < nsems:
        raise SyscallError(Errno.EINVAL)
    semaphore = _sem(sma, semnum)
    if cmd == GETVAL:
        return semaphore.semval
    if cmd == GETPID:
        number = semaphore.sempid
        return 0 if number is None else pid_nr(number)
    return _count_semcnt(sma, semnum, cmd == GETZCNT)


def _count_semcnt(sma: sem_array, semnum: int, count_zero: bool) -> int:
    """Return how many tasks sleep until a semaphore is 0, or is greater."""
    semaphore = _sem(sma, semnum)
    own = semaphore.pending_const if count_zero else semaphore.pending_alter
    count = sum(1 for _ in _sleepers(own))
    for head in (sma.pending_alter, sma.pending_const):
        for queue in _sleepers(head):
            blocking = queue.blocking
            assert blocking is not None
            if blocking.sem_num == semnum and (blocking.sem_op == 0) == count_zero:
                count += 1
    return count


def _semctl_down(current: task_struct, semid: int, cmd: int, perm: bytes) -> int:
    """IPC_RMID and IPC_SET.

    Raises:
        SyscallError: EINVAL, EPERM.
    """
    k: Kernel = current.k
    ipcp = ipcctl_obtain_check(current, _sem_ids(k), semid)
    sma = sem_array(k, ipcp.pa)
    if cmd == IPC_RMID:
        freeary(sma)
    else:
        ipc_update_perm(ipcp, perm)
        sma.sem_ctime = _real_seconds(k)
    return 0


_SEM_OPS: Final = ipc_ops(newary, sem_more_checks)

# System calls


@SYSCALL_DEFINE
def sys_semget(current: task_struct, key: Int, nsems: Int, semflg: Int) -> int:
    """Return the number of a set of semaphores, which may have to be made.  See semget(2)."""
    k: Kernel = current.k
    if not 0 <= nsems <= _sem_ctl(k, SC_SEMMSL):
        raise SyscallError(Errno.EINVAL)
    return ipcget(current, _sem_ids(k), _SEM_OPS, ipc_params(key, semflg, nsems))


@SYSCALL_DEFINE
def sys_semop(current: task_struct, semid: Int, tsops: UserPtr, nsops: UInt) -> int:
    """Do operations on semaphores, all or none, or wait until they can be done.  See semop(2)."""
    if current.k.u64[(current.pa >> 3) + _SYSVSEM_QUEUE]:
        return _resume(current)
    return do_semtimedop(current, semid, tsops, nsops, None)


@SYSCALL_DEFINE
def sys_semtimedop(current: task_struct, semid: Int, tsops: UserPtr, nsops: UInt,
                   timeout: UserPtr) -> int:
    """Do operations on semaphores, and wait for it for a time.  See semtimedop(2)."""
    k: Kernel = current.k
    if k.u64[(current.pa >> 3) + _SYSVSEM_QUEUE]:
        return _resume(current)
    time = TIMESPEC.unpack(copy_from_user(k, timeout, TIMESPEC.size)) if timeout else None
    return do_semtimedop(current, semid, tsops, nsops, time)


@SYSCALL_DEFINE
def sys_semctl(current: task_struct, semid: Int, semnum: Int, cmd: Int, arg: ULong) -> int:
    """Ask about a set of semaphores, change it or remove it.  See semctl(2)."""
    k: Kernel = current.k
    if semid < 0:
        raise SyscallError(Errno.EINVAL)
    if cmd in (IPC_INFO, SEM_INFO):
        result = ipc_get_maxidx(_sem_ids(k))
        copy_to_user(k, arg, _semctl_info(k, cmd))
        return result
    if cmd in (IPC_STAT, SEM_STAT, SEM_STAT_ANY):
        data, result = _semctl_stat(current, semid, cmd)
        copy_to_user(k, arg, data)
        return result
    if cmd == SETVAL:
        return _semctl_setval(current, semid, semnum, (arg & 0xFFFF_FFFF ^ 1 << 31) - (1 << 31))
    if cmd in (GETALL, SETALL, GETVAL, GETPID, GETNCNT, GETZCNT):
        return _semctl_main(current, semid, semnum, cmd, arg)
    if cmd in (IPC_RMID, IPC_SET):
        perm = copy_from_user(k, arg, SEMID64_DS_SIZE) if cmd == IPC_SET else b""
        return _semctl_down(current, semid, cmd, perm[:IPC64_PERM.size])
    raise SyscallError(Errno.EINVAL)
