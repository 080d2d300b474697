"""What all System V IPC objects have in common: numbers, keys, permissions.

An object's number, ``id``, is the index where it is found, and above IPCMNI_SHIFT bits a sequence
number, so that the number of an object that is gone is hardly ever that of a later one.  Indices go
round: the next one is looked for behind the last, and whenever an index is not above the last one
the sequence number is raised.

An index is at most 64, or one and a half times the number of objects if that is more, so that the
table stays small.

See: Linux ipc/util.c, ipc/util.h; svipc(7).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final, NamedTuple

from guest_kernel.errors import Errno, SyscallError
from guest_kernel.fs.inode import in_group_p
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import PHYSICAL_MASK
from guest_kernel.layout.ipc import IPC_KEY_CHAINS, ipc_ids, kern_ipc_perm
from guest_kernel.layout.list import hlist_head
from guest_kernel.layout.sched import task_struct
from guest_kernel.lib.idr import idr_alloc_cyclic, idr_find, idr_init, idr_remove
from guest_kernel.lib.list import hlist_add_head, hlist_del, hlist_for_each_entry
from guest_kernel.mm.vma import capable

# ---- flags of semget(2) and its like
IPC_CREAT: Final = 0o1000  # make the object if there is none
IPC_EXCL: Final = 0o2000  # fail if there is one
IPC_NOWAIT: Final = 0o4000  # of an operation: fail instead of sleeping
IPC_PRIVATE: Final = 0  # the key of an object that no key finds

# ---- commands of semctl(2) and its like
IPC_RMID: Final = 0
IPC_SET: Final = 1
IPC_STAT: Final = 2
IPC_INFO: Final = 3

IPCMNI_SHIFT: Final = 15
IPCMNI: Final = 1 << IPCMNI_SHIFT  # objects of one kind, at most
IPC_MIN_CYCLE: Final = 64
IPCID_SEQ_MAX: Final = 0x7FFF_FFFF >> IPCMNI_SHIFT

S_IRWXUGO: Final = 0o777
S_IRUGO: Final = 0o444
S_IWUGO: Final = 0o222

# struct ipc64_perm: key uid gid cuid cgid mode seq; and what is unused.
IPC64_PERM: Final = struct.Struct("<i5IH2x4x16x")
_NO_ID: Final = 0xFFFF_FFFF  # (uid_t)-1 and (gid_t)-1 are nobody's

_KEY_HT: Final = ipc_ids.offsetof("key_ht")
_SEQ: Final = kern_ipc_perm.offsetof("seq")
_EUID: Final = task_struct.offsetof("euid")


class ipc_params(NamedTuple):
    """What semget(2) and its like are asked for.  See Linux struct ipc_params.

    Attributes:
        nsems: semget(2): semaphores in the set.
    """

    key: int
    flg: int
    nsems: int


class ipc_ops(NamedTuple):
    """How one kind of object is made and looked at.  See Linux struct ipc_ops.

    Attributes:
        getnew: makes an object and returns its number.
        more_checks: refuses an object that does not fit what is asked for.
    """

    getnew: Callable[[task_struct, ipc_params], int]
    more_checks: Callable[[kern_ipc_perm, ipc_params], None]


def ipc_init_ids(ids: ipc_ids) -> None:
    """Say that there are no objects of a kind.  ``ids`` is filled with zeros."""
    idr_init(ids.ipcs_idr)
    ids.max_idx = ids.last_idx = -1


# ------------------------------------------------------------------------------- numbers


def ipcid_to_idx(number: int) -> int:
    """Return the index that is in an object's number."""
    return number & IPCMNI - 1


def ipc_addid(current: task_struct, ids: ipc_ids, new: kern_ipc_perm, limit: int) -> int:
    """Give a new object, whose key is set, its number, and make the caller its creator.

    It can be found from now on.

    Args:
        limit: there may be so many objects of the kind.

    Raises:
        SyscallError: ENOSPC: there are.
        OutOfFrames.
    """
    in_use = ids.in_use
    if in_use >= min(limit, IPCMNI):
        raise SyscallError(Errno.ENOSPC)
    new.uid = new.cuid = current.euid
    new.gid = new.cgid = current.egid
    index = idr_alloc_cyclic(ids.ipcs_idr, new.va, 0,
                             min(max(in_use * 3 // 2, IPC_MIN_CYCLE), IPCMNI))
    if index <= ids.last_idx:
        ids.seq = (ids.seq + 1) % IPCID_SEQ_MAX
    ids.last_idx = index
    new.seq = ids.seq
    new.id = (ids.seq << IPCMNI_SHIFT) + index
    if new.key != IPC_PRIVATE:
        hlist_add_head(new.khtnode, _chain(ids, new.key))
    ids.in_use = in_use + 1
    ids.max_idx = max(ids.max_idx, index)
    return new.id


def ipc_rmid(ids: ipc_ids, ipcp: kern_ipc_perm) -> None:
    """Have an object found no more, by number or by key."""
    index = ipcid_to_idx(ipcp.id)
    idr_remove(ids.ipcs_idr, index)
    if ipcp.key != IPC_PRIVATE:
        hlist_del(ipcp.khtnode)
    ids.in_use -= 1
    if index == ids.max_idx:
        index -= 1
        while index >= 0 and not idr_find(ids.ipcs_idr, index):
            index -= 1
        ids.max_idx = index


def ipc_obtain_object_idr(ids: ipc_ids, number: int) -> kern_ipc_perm:
    """Return the object at the index that is in ``number``.

    Raises:
        SyscallError: EINVAL: there is none.
    """
    k: Kernel = ids.k
    va = idr_find(ids.ipcs_idr, number & IPCMNI - 1)
    if not va:
        raise SyscallError(Errno.EINVAL)
    return kern_ipc_perm(k, va & PHYSICAL_MASK)


def ipc_obtain_object_check(ids: ipc_ids, number: int) -> kern_ipc_perm:
    """Return the object that has ``number``.

    Raises:
        SyscallError: EINVAL: there is none.
    """
    ipcp = ipc_obtain_object_idr(ids, number)
    if ids.k.u64[(ipcp.pa + _SEQ) >> 3] != number >> IPCMNI_SHIFT:
        raise SyscallError(Errno.EINVAL)
    return ipcp


def ipc_get_maxidx(ids: ipc_ids) -> int:
    """Return the highest index in use; 0 if there is none, too."""
    return max(ids.max_idx, 0)


# ------------------------------------------------------------------------------- keys


def _chain(ids: ipc_ids, key: int) -> hlist_head:
    return hlist_head(ids.k, ids.pa + _KEY_HT + key % IPC_KEY_CHAINS * hlist_head.size)


def ipc_findkey(ids: ipc_ids, key: int) -> kern_ipc_perm | None:
    """Return the object whose key is ``key``, which is not IPC_PRIVATE."""
    for ipcp in hlist_for_each_entry(_chain(ids, key), kern_ipc_perm, "khtnode"):
        if ipcp.key == key:
            return ipcp
    return None


def ipcget(current: task_struct, ids: ipc_ids, ops: ipc_ops, params: ipc_params) -> int:
    """Return the number of the object that is asked for, which may have to be made.

    Raises:
        SyscallError: ENOENT: there is none, and IPC_CREAT is not given.  EEXIST: there is one, and
            IPC_CREAT and IPC_EXCL are given.  EACCES: its permissions deny what ``flg`` says.
            What the operations raise.
        OutOfFrames.
    """
    flg = params.flg
    if params.key == IPC_PRIVATE:
        return ops.getnew(current, params)
    ipcp = ipc_findkey(ids, params.key)
    if ipcp is None:
        if not flg & IPC_CREAT:
            raise SyscallError(Errno.ENOENT)
        return ops.getnew(current, params)
    if flg & IPC_CREAT and flg & IPC_EXCL:
        raise SyscallError(Errno.EEXIST)
    ops.more_checks(ipcp, params)
    ipcperms(current, ipcp, flg)
    number: int = ipcp.id
    return number


# ------------------------------------------------------------------------------- permissions


def ipcperms(current: task_struct, ipcp: kern_ipc_perm, flag: int) -> None:
    """Check that ``current`` may use an object.

    Args:
        flag: permission bits; what is asked for is the union of the three groups.

    Raises:
        SyscallError: EACCES.
    """
    euid = current.k.u32[(current.pa + _EUID) >> 2]
    requested = flag >> 6 | flag >> 3 | flag
    granted = ipcp.mode
    if euid in (ipcp.cuid, ipcp.uid):
        granted >>= 6
    elif in_group_p(current, ipcp.cgid) or in_group_p(current, ipcp.gid):
        granted >>= 3
    if requested & ~granted & 0o7 and not capable(current.k):
        raise SyscallError(Errno.EACCES)


def ipcctl_obtain_check(current: task_struct, ids: ipc_ids, number: int) -> kern_ipc_perm:
    """Return the object that has ``number``, for its owner to change or remove.

    Raises:
        SyscallError: EINVAL: there is none.  EPERM: the caller is neither owner nor creator.
    """
    ipcp = ipc_obtain_object_check(ids, number)
    if current.euid not in (ipcp.cuid, ipcp.uid) and not capable(current.k):
        raise SyscallError(Errno.EPERM)
    return ipcp


def kernel_to_ipc64_perm(ipcp: kern_ipc_perm) -> bytes:
    """Return the ``struct ipc64_perm`` that says who may use an object."""
    return IPC64_PERM.pack(ipcp.key, ipcp.uid, ipcp.gid, ipcp.cuid, ipcp.cgid, ipcp.mode,
                           ipcp.seq & 0xFFFF)


def ipc_update_perm(ipcp: kern_ipc_perm, perm: bytes) -> None:
    """Set owner, group and permission bits from a ``struct ipc64_perm``.

    Raises:
        SyscallError: EINVAL: an ID is nobody's.
    """
    _, uid, gid, _, _, mode, _ = IPC64_PERM.unpack(perm)
    if _NO_ID in (uid, gid):
        raise SyscallError(Errno.EINVAL)
    ipcp.uid, ipcp.gid = uid, gid
    ipcp.mode = ipcp.mode & ~S_IRWXUGO | mode & S_IRWXUGO
