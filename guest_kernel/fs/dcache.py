"""The dentry cache: the tree of names, and the hash table that finds one in a directory.

A dentry is found by its parent's address and its name; the hash is a CRC of both, so that it is
the same in every run.  A hashed dentry is positive: a name that is not there has no dentry, except
for the moment in which it is being made.

A dentry lives as long as it is referenced: by an open file, a task's root or working directory, a
mount, its children, or its file system.  ramfs holds one reference on each of its dentries for as
long as the name exists, so the tree *is* its directory; proc holds one for as long as a process is
there that a dentry is about.  There is no list of unused dentries, because nothing here would be
dear to look up again.

See: Linux fs/dcache.c, fs/d_path.c; Documentation/filesystems/path-lookup.rst.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final
from zlib import crc32

from guest_kernel.errors import BUG
from guest_kernel.fs.inode import iput
from guest_kernel.layout.declare import PAGE_OFFSET, PHYSICAL_MASK
from guest_kernel.layout.fs import (
    DCACHE_DIRECTORY_TYPE,
    DCACHE_ENTRY_TYPE,
    DCACHE_OP_REVALIDATE,
    DCACHE_REGULAR_TYPE,
    DCACHE_SPECIAL_TYPE,
    DCACHE_SYMLINK_TYPE,
    DNAME_INLINE_LEN,
    S_IFDIR,
    S_IFLNK,
    S_IFMT,
    S_IFREG,
    Ops,
    dentry,
    fs_data,
    inode,
    super_block,
)
from guest_kernel.layout.list import hlist_head
from guest_kernel.lib.list import (
    INIT_LIST_HEAD,
    hlist_add_head,
    hlist_del_init,
    list_add_tail,
    list_del,
    list_for_each_entry,
)
from guest_kernel.mm.slab import kfree, kfree_pa, kmalloc, kzalloc

if TYPE_CHECKING:
    from guest_kernel.kernel import Kernel

D_HASH_BITS: Final = 12  # chains; a pointer each

_D_HASH: Final = dentry.offsetof("d_hash")
_D_PPREV: Final = dentry.offsetof("d_hash.pprev")
_D_PARENT: Final = dentry.offsetof("d_parent")
_NAME_HASH: Final = dentry.offsetof("d_name.hash")
_NAME_LEN: Final = dentry.offsetof("d_name.len")
_NAME: Final = dentry.offsetof("d_name.name")
_D_INAME: Final = dentry.offsetof("d_iname")
_D_INODE: Final = dentry.offsetof("d_inode")
_D_COUNT: Final = dentry.offsetof("d_lockref.count")

_TYPE_OF_FORMAT: Final = {
    S_IFDIR: DCACHE_DIRECTORY_TYPE,
    S_IFLNK: DCACHE_SYMLINK_TYPE,
    S_IFREG: DCACHE_REGULAR_TYPE,
}


def dcache_init(k: Kernel) -> None:
    """Make the hash table."""
    data = k.data(fs_data)
    size = 8 << D_HASH_BITS
    pa = kmalloc(k, size)
    k.u8[pa : pa + size] = bytes(size)
    data.dentry_hashtable = pa + PAGE_OFFSET
    data.d_hash_bits = D_HASH_BITS


# ---- names


def full_name_hash(parent_pa: int, name: bytes) -> int:
    """Return the hash of a name in a directory: 32 bits."""
    return crc32(name, parent_pa & 0xFFFF_FFFF)


def d_hash(k: Kernel, hash_: int) -> int:
    """Return the physical address of the chain for a hash."""
    data = k.data(fs_data)
    table: int = data.dentry_hashtable & PHYSICAL_MASK
    return table + (hash_ >> (32 - data.d_hash_bits)) * hlist_head.size


def dentry_name(d: dentry) -> bytes:
    """Return a dentry's name."""
    k, pa = d.k, d.pa
    at = k.u64[(pa + _NAME) >> 3] & PHYSICAL_MASK
    return bytes(k.u8[at : at + k.u32[(pa + _NAME_LEN) >> 2]])


def _free_name(d: dentry) -> None:
    at = d.d_name.name & PHYSICAL_MASK
    if at != d.pa + _D_INAME:
        kfree_pa(d.k, at)


# ---- finding


def d_lookup(parent: dentry, name: bytes) -> dentry | None:
    """Return the hashed dentry ``name`` in ``parent``, or None.  Takes no reference."""
    k = parent.k
    u64, u32 = k.u64, k.u32
    parent_pa, size = parent.pa, len(name)
    hash_ = crc32(name, parent_pa)
    node = u64[d_hash(k, hash_) >> 3]
    while node:
        pa = (node & PHYSICAL_MASK) - _D_HASH
        if (
            u32[(pa + _NAME_HASH) >> 2] == hash_
            and u64[(pa + _D_PARENT) >> 3] & PHYSICAL_MASK == parent_pa
            and u32[(pa + _NAME_LEN) >> 2] == size
        ):
            at = u64[(pa + _NAME) >> 3] & PHYSICAL_MASK
            if k.u8[at : at + size] == name:
                return dentry(k, pa)
        node = u64[(pa + _D_HASH) >> 3]
    return None


# ---- making


def d_alloc(parent: dentry, name: bytes) -> dentry:
    """Make a negative dentry, not hashed, of which the caller has the only reference."""
    d = _d_alloc(parent.d_sb, name)
    d.d_name.hash = full_name_hash(parent.pa, name)
    d.d_parent = dget(parent)
    list_add_tail(d.d_child, parent.d_subdirs)
    return d


def d_alloc_pseudo(sb: super_block, dops: Ops) -> dentry:
    """Make a negative dentry that is in no directory: an anonymous file's.

    Args:
        dops: its dentry_operations; ``d_dname`` says what it is called.
    """
    d = _d_alloc(sb, b"")
    d.d_op = dops
    return d


def _d_alloc(sb: super_block, name: bytes) -> dentry:
    k, size = sb.k, len(name)
    external = kmalloc(k, size + 1) if size >= DNAME_INLINE_LEN else 0
    try:
        d = kzalloc(k, dentry)
    except BaseException:
        if external:
            kfree_pa(k, external)
        raise
    at = external or d.pa + _D_INAME
    k.u8[at : at + size + 1] = name + b"\0"
    k.u64[(d.pa + _NAME) >> 3] = at + PAGE_OFFSET
    k.u32[(d.pa + _NAME_LEN) >> 2] = size
    d.d_lockref.count = 1
    d.d_parent = d
    d.d_sb = sb
    d.d_op = sb.s_d_op
    if d.d_op:
        d.d_flags = DCACHE_OP_REVALIDATE
    INIT_LIST_HEAD(d.d_child)
    INIT_LIST_HEAD(d.d_subdirs)
    k.data(fs_data).nr_dentry += 1
    return d


def d_make_root(root: inode) -> dentry:
    """Make the root of a file system; takes over the caller's reference to the inode."""
    d = _d_alloc(root.i_sb, b"/")
    d_instantiate(d, root)
    return d


def d_instantiate(d: dentry, node: inode) -> None:
    """Make a negative dentry name ``node``; takes over the caller's reference to it."""
    if d.d_inode is not None:
        BUG(f"{d!r} has an inode already")
    d.d_inode = node
    kind = _TYPE_OF_FORMAT.get(node.i_mode & S_IFMT, DCACHE_SPECIAL_TYPE)
    d.d_flags = d.d_flags & ~DCACHE_ENTRY_TYPE | kind
    hlist_add_head(d.d_alias, node.i_dentry)


def d_add(d: dentry, node: inode) -> None:
    """Make a negative dentry name ``node``, and hash it, so that it can be found."""
    d_instantiate(d, node)
    d_rehash(d)


def d_rehash(d: dentry) -> None:
    """Put a dentry into the hash table."""
    chain = d_hash(d.k, d.d_name.hash)
    hlist_add_head(d.d_hash, hlist_head(d.k, chain))


def d_unhashed(d: dentry) -> bool:
    """Tell whether the dentry is not in the hash table: not yet, or no more."""
    return not d.k.u64[(d.pa + _D_PPREV) >> 3]


def d_drop(d: dentry) -> None:
    """Take a dentry out of the hash table; users keep it, nobody finds it."""
    if not d_unhashed(d):
        hlist_del_init(d.d_hash)


def d_unlinked(d: dentry) -> bool:
    """Tell whether the name of a dentry has been removed."""
    return d_unhashed(d) and d.d_parent != d


# ---- counting


def dget(d: dentry) -> dentry:
    """Take a reference."""
    d.k.i32[(d.pa + _D_COUNT) >> 2] += 1
    return d


def dput(d: dentry | None) -> None:
    """Drop a reference; the last one frees the dentry, and perhaps its parents."""
    while d is not None:
        i32, at = d.k.i32, (d.pa + _D_COUNT) >> 2
        i32[at] -= 1
        if i32[at]:
            if i32[at] < 0:
                BUG(f"{d!r} {dentry_name(d)!r}: reference count is {i32[at]}")
            return
        d = _dentry_kill(d)


def _dentry_kill(d: dentry) -> dentry | None:
    """Free an unreferenced dentry; return its parent, whose reference the caller drops."""
    parent = d.d_parent
    d_drop(d)
    list_del(d.d_child)
    node = d.d_inode
    if node is not None:
        hlist_del_init(d.d_alias)
        d.d_inode = None
        iput(node)
    _free_name(d)
    d.k.data(fs_data).nr_dentry -= 1
    is_root = parent == d
    kfree(d)
    return None if is_root else parent


def d_children(d: dentry) -> Iterator[dentry]:
    """Yield the dentries under ``d``, hashed or not."""
    return list_for_each_entry(d.d_subdirs, dentry, "d_child")


def d_backing_inode(d: dentry) -> inode:
    """Return the inode of a dentry that is known to be positive."""
    k = d.k
    va = k.u64[(d.pa + _D_INODE) >> 3]
    if not va:
        BUG(f"{d!r} {dentry_name(d)!r} is negative")
    return inode(k, va & PHYSICAL_MASK)
