"""Booting this kernel on a machine: image, initial RAM disk, and the hosted half attached."""

from __future__ import annotations

from typing import Final

from emulator import boot, elf
from emulator.arch.paging import PAGE_SIZE
from emulator.cpu.control import Exit
from emulator.machine import Machine
from guest_kernel import image
from guest_kernel.errors import KernelPanic
from guest_kernel.hostcalls import HostCalls
from guest_kernel.layout.declare import MAX_RAM
from guest_kernel.mm.page_alloc import mem_map_size

MINIMUM_FREE: Final = 1 << 20  # what the kernel itself needs to start


def attach(machine: Machine, executable: elf.Executable) -> HostCalls:
    """Attach the hosted half to a machine on which ``executable`` runs, or is about to.

    Nothing is carried over from an earlier attachment: all state is the machine's.
    """
    end = max(pa + size for pa, _, size in executable.segments)
    return HostCalls(machine, executable.symbols, end)


def start(machine: Machine, ramdisk: bytes, command_line: str) -> HostCalls:
    """Boot the kernel until init waits for a program.

    Args:
        ramdisk: a cpio archive in "newc" format, the root file system.
        command_line: the kernel's, such as ``seed=1 console=tty``.

    Raises:
        BootError: the machine has too little memory, or too much.
        KernelPanic: the kernel could not start.
    """
    if machine.ram.size > MAX_RAM:
        raise boot.BootError(f"{machine.ram.size >> 20} MiB of memory are more than the kernel can "
                             f"use, which is {MAX_RAM >> 20} MiB")
    executable = elf.read(image.build())
    end = max(pa + size for pa, _, size in executable.segments)
    need = end + mem_map_size(machine.ram.size) + len(ramdisk) * 2 + MINIMUM_FREE
    if machine.ram.size < need:
        raise boot.BootError(
            f"{machine.ram.size >> 10} KiB of memory are not enough; this needs {need >> 10} KiB")
    # At the end of RAM, where nothing else is placed by address.
    ramdisk_pa = (machine.ram.size - len(ramdisk)) // PAGE_SIZE * PAGE_SIZE
    boot.load_segments(machine, [*executable.segments, (ramdisk_pa, ramdisk, len(ramdisk))])
    boot.fill_boot_params(machine, command_line.encode(), (ramdisk_pa, len(ramdisk)))
    boot.enter_long_mode(machine, executable.entry)
    calls = attach(machine, executable)
    reason = machine.run()
    if reason is not Exit.HALT:
        raise KernelPanic(f"the kernel did not come up: {reason.name}")
    return calls
