"""Lazy initialisation, as ext4's thread does it with the tables of a new file system.

See: Linux fs/ext4/ext4.h struct ext4_lazy_init, ext4_li_request.
"""

from typing import Final

from emulator.arch.paging import PAGE_SIZE
from guest_kernel.layout.declare import U32, U64, Embed, Ptr, Struct, VoidPtr
from guest_kernel.layout.list import list_head
from guest_kernel.layout.sched import task_struct

LI_GROUP_SIZE: Final = PAGE_SIZE  # of a table, what is initialised at a time


class lazy_init(Struct):
    """The thread, and what it has to do."""

    li_list_lock = U32("spin_lock(): whoever holds it may use the list and what is in it",
                       writer="both")
    li_request_list = Embed(list_head, "li_request.lr_request of each", writer="both")
    li_task = Ptr(lambda: task_struct, "the thread; NULL: there is none")


class li_request(Struct):
    """A table that is to be initialised, group by group."""

    lr_request = Embed(list_head, "its place in li_request_list; empty when all is done",
                       writer="both")
    lr_table = VoidPtr("the table")
    lr_next_group = U32("groups that are initialised", writer="asm")
    lr_ngroups = U32("groups that there are, more than 0")
    lr_next_sched = U64("when the next is to be, monotonic ns", writer="both")
    lr_timeout = U64("how long to leave the CPU to others between two, ns")
