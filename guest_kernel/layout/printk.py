"""The kernel log in RAM.  See Linux kernel/printk/printk_ringbuffer.h, which is larger."""

from typing import Final

from guest_kernel.layout.declare import U8, U64, Array, Struct

LOG_BUF_LEN: Final = 1 << 16


class printk_data(Struct):
    """The log: records one after the other, the oldest overwritten first.

    A record is u16 length of all of it, u8 level, u8 unused, u32 unused, u64 monotonic ns, text.
    """

    log_first = U64("position of the oldest record; a place is its position modulo the size")
    log_next = U64("position behind the newest record")
    oops_count = U64("oopses since boot")
    panic_on_oops = U64("1: an oops stops the machine; the boot option panic_on_oops")
    log_buf = Array(U8, LOG_BUF_LEN, "the records")
