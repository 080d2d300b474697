"""System V inter-process communication: objects with keys and permissions, and semaphores.

See: Linux include/linux/ipc.h, include/linux/ipc_namespace.h, ipc/util.h, ipc/sem.c.
"""

from typing import Final

from guest_kernel.layout.declare import (
    I16,
    I32,
    I64,
    U16,
    U32,
    U64,
    Array,
    Embed,
    EmbedArray,
    Ptr,
    Struct,
)
from guest_kernel.layout.list import hlist_node, list_head
from guest_kernel.layout.sched import pid, task_struct
from guest_kernel.layout.sem_types import sem_undo_list
from guest_kernel.layout.xarray import idr

# ---- ipc_namespace.ids
IPC_SEM_IDS: Final = 0
IPC_IDS_MAX: Final = 1

# ---- ipc_namespace.sem_ctls, in the order of /proc/sys/kernel/sem
SC_SEMMSL: Final = 0  # semaphores in a set
SC_SEMMNS: Final = 1  # semaphores in all sets
SC_SEMOPM: Final = 2  # operations of one semop(2)
SC_SEMMNI: Final = 3  # sets
SEM_CTLS: Final = 4

IPC_KEY_CHAINS: Final = 64


class kern_ipc_perm(Struct):
    """What all IPC objects begin with: who made the object, and who may use it."""

    id = I32("its number: the index in ipcs_idr, and above it the sequence number")
    key = I32("the name that programs find it by; IPC_PRIVATE: none")
    uid = U32("owner")
    gid = U32("owner's group")
    cuid = U32("creator")
    cgid = U32("creator's group")
    mode = U16("permission bits, as a file's without execute")
    seq = U64("sequence number: tells it from earlier objects at the same index")
    khtnode = Embed(hlist_node, "its place in key_ht, unless the key is IPC_PRIVATE")


class ipc_ids(Struct):
    """All objects of one kind."""

    in_use = I32("how many there are")
    seq = U16("sequence number of the newest")
    ipcs_idr = Embed(idr, "kern_ipc_perm by index")
    max_idx = I32("the highest index in use; -1: none")
    last_idx = I32("the index that was given out last; -1: none yet")
    key_ht = Array(U64, IPC_KEY_CHAINS, "chains of kern_ipc_perm, by key: hlist_head each")


class ipc_namespace(Struct):
    """The objects of all kinds, and the limits.  There is one."""

    ids = EmbedArray(ipc_ids, IPC_IDS_MAX, "by IPC_*_IDS")
    sem_ctls = Array(I32, SEM_CTLS, "limits of semaphores, by SC_*")
    used_sems = I32("semaphores in all sets")


class ipc_data(Struct):
    """The globals of System V IPC."""

    init_ipc_ns = Embed(ipc_namespace, "the one namespace")


class sem(Struct):
    """A semaphore.

    A sleeping operation is on a list here if it is the only one of its semop(2) and no set-wide
    list has to be used: see ``sem_array.complex_count``.
    """

    semval = I32("value: 0 to SEMVMX")
    sempid = Ptr(lambda: pid, "process that changed it last, or NULL")
    pending_alter = Embed(list_head, "sem_queue.list of single operations that change it")
    pending_const = Embed(list_head, "those that wait for zero")
    sem_otime = I64("when it was last operated on, s since 1970; 0: never")


class sem_array(Struct):
    """A set of semaphores."""

    sem_perm = Embed(kern_ipc_perm, "permissions; must be first")
    sem_ctime = I64("when it was made or last changed by semctl(2), s since 1970")
    pending_alter = Embed(list_head, "sleeping calls that alter; all of them if complex_count")
    pending_const = Embed(list_head, "those of several operations that wait for zeros only")
    list_id = Embed(list_head, "sem_undo.list_id of each list of undos")
    sem_nsems = I32("semaphores")
    complex_count = I32("sleeping calls of several operations")
    sems = EmbedArray(sem, 0, "sem_nsems of them follow")


class sembuf(Struct):
    """An operation, as semop(2) takes it."""

    sem_num = U16("which semaphore")
    sem_op = I16("what to add; 0: wait for zero")
    sem_flg = I16("IPC_NOWAIT, SEM_UNDO")


class sem_queue(Struct):
    """A task that sleeps in semop(2)."""

    list = Embed(list_head, "its place in a list of the set, until it is woken; must be first")
    sleeper = Ptr(lambda: task_struct, "the task")
    sma = Ptr(lambda: sem_array, "the set; Linux: a local variable of the sleeper")
    undo = Ptr(lambda: sem_undo, "its undos of this set, if an operation has SEM_UNDO")
    pid = Ptr(lambda: pid, "its process: the sempid of what it will have changed")
    status = I32("-EINTR: it waits; else the result that its waker has for it")
    sops = Ptr(lambda: sembuf, "the operations")
    blocking = Ptr(lambda: sembuf, "the first that cannot be done")
    nsops = I32("how many there are")


class sem_undo(Struct):
    """What a process has to take back in one set when it ends."""

    list_proc = Embed(list_head, "its place in ulp.list_proc")
    ulp = Ptr(lambda: sem_undo_list, "the list that it belongs to")
    list_id = Embed(list_head, "its place in sem_array.list_id")
    semid = I32("the set")
    semadj = Array(I16, 0, "what to add to each semaphore; sem_nsems of them follow")
