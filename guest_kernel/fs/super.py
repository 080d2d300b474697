"""Super blocks: file systems that are in use.

See: Linux fs/super.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from guest_kernel.fs.operations import file_system_type
from guest_kernel.layout.fs import MAX_LFS_FILESIZE, MKDEV, SB_ACTIVE, Ops, fs_data, super_block
from guest_kernel.lib.list import INIT_LIST_HEAD, list_add_tail
from guest_kernel.mm.slab import kzalloc

if TYPE_CHECKING:
    from guest_kernel.kernel import Kernel

_PAGE_SHIFT: Final = 12


def get_tree_nodev(k: Kernel, kind: Ops) -> super_block:
    """Make a file system of some type that lies on no device."""
    data = k.data(fs_data)
    sb = kzalloc(k, super_block)
    data.unnamed_dev += 1
    sb.s_dev = MKDEV(0, data.unnamed_dev)
    sb.s_blocksize_bits = _PAGE_SHIFT
    sb.s_blocksize = 1 << _PAGE_SHIFT
    sb.s_maxbytes = MAX_LFS_FILESIZE
    sb.s_type = kind
    sb.s_time_gran = 1
    file_system = file_system_type(kind)
    sb.s_id = file_system.name.encode()
    INIT_LIST_HEAD(sb.s_inodes)
    list_add_tail(sb.s_list, data.super_blocks)
    file_system.fill_super(sb)
    sb.s_flags |= SB_ACTIVE
    return sb
