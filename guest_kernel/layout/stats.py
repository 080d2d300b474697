"""Counters that nothing in the kernel reads: for --stats and /proc."""

from guest_kernel.layout.declare import U64, Array, Struct


class stats_data(Struct):
    """What has happened since boot."""

    syscalls = Array(U64, 512, "hosted system calls that have ended, by number")
