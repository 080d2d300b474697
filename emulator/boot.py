"""Starting an image: the state in which a boot loader hands over, and the page of what it knows.

The state is Linux's 64-bit boot protocol: ring 0, 64-bit mode, paging on with all RAM mapped at its
physical addresses, interrupts off, flat segments ``__BOOT_CS`` 0x10 and ``__BOOT_DS`` 0x18, RSI the
physical address of ``boot_params``.

Low memory while booting; the image may take it back once it has its own tables:

    0x1000  GDT
    0x2000  boot_params
    0x3000  command line
    0x4000  PML4, then PDPT, then one page directory for each GiB of RAM

See: Linux Documentation/arch/x86/boot.rst, "64-bit Boot Protocol"; zero-page.rst.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final

from emulator.arch import descriptors
from emulator.arch.paging import HUGE_PAGE_SIZE, LARGE_PAGE_SIZE, PAGE_SIZE, PTE
from emulator.arch.registers import CR0, CR4, EFER, MSR
from emulator.cpu.context import Context
from emulator.machine import Machine

GDT: Final = 0x1000
BOOT_PARAMS: Final = 0x2000
COMMAND_LINE: Final = 0x3000
COMMAND_LINE_SIZE: Final = 0x1000
PML4: Final = 0x4000
FIRST_FREE: Final = 0x1_0000  # nothing of ours lies from here on

# Offsets in boot_params.
E820_ENTRIES: Final = 0x1E8
RAMDISK_IMAGE: Final = 0x218
RAMDISK_SIZE: Final = 0x21C
CMD_LINE_PTR: Final = 0x228
E820_TABLE: Final = 0x2D0
E820_TYPE_RAM: Final = 1
E820_TYPE_RESERVED: Final = 2


class BootError(Exception):
    """The image cannot be started on this machine."""


def load_segments(machine: Machine, segments: Iterable[tuple[int, bytes, int]]) -> None:
    """Place segments (physical address, data, size in memory) in RAM.

    Raises:
        BootError: one does not fit.
    """
    ram = machine.ram
    for pa, data, size in segments:
        if pa + size > ram.size:
            raise BootError(
                f"the image ends at {pa + size:#x}, RAM at {ram.size:#x}: give it more memory")
        ram.write(pa, data)


def fill_boot_params(machine: Machine, command_line: bytes, ramdisk: tuple[int, int]) -> None:
    """Write ``boot_params`` and the command line.

    Args:
        command_line: without a NUL; at most 4095 bytes.
        ramdisk: physical address and size of the initial RAM disk; 0, 0 for none.

    Raises:
        BootError: the command line is too long.
    """
    if len(command_line) >= COMMAND_LINE_SIZE:
        raise BootError(f"the kernel command line has {len(command_line)} bytes, "
                        f"the limit is {COMMAND_LINE_SIZE - 1}")
    ram = machine.ram
    ram.write(COMMAND_LINE, command_line + b"\0")
    page = bytearray(PAGE_SIZE)
    struct.pack_into("<II", page, RAMDISK_IMAGE, *ramdisk)
    struct.pack_into("<I", page, CMD_LINE_PTR, COMMAND_LINE)
    page[E820_ENTRIES] = 1
    struct.pack_into("<QQI", page, E820_TABLE, 0, ram.size, E820_TYPE_RAM)
    ram.write(BOOT_PARAMS, page)


def enter_long_mode(machine: Machine, entry: int, *, stack: int = 0) -> None:
    """Bring the CPU into the state of the 64-bit boot protocol, at ``entry``.

    Args:
        entry: address of the first instruction; RAM is mapped at its physical addresses.
        stack: initial RSP.

    Raises:
        BootError: there is not enough RAM for the tables.
    """
    ram, cpu = machine.ram, machine.cpu
    if ram.size < FIRST_FREE:
        raise BootError(f"{ram.size:#x} bytes of RAM cannot hold the boot tables")
    ram.write(GDT, struct.pack(
        "<4Q", 0, 0, descriptors.KERNEL_CODE_DESCRIPTOR, descriptors.KERNEL_DATA_DESCRIPTOR))
    _identity_map(machine)
    cpu.regs.cr3 = PML4
    cpu.regs.cr4 = CR4.PAE | CR4.OSFXSR | CR4.OSXMMEXCPT
    cpu.write_msr(MSR.IA32_EFER, EFER.LME | EFER.LMA | EFER.NXE)
    cpu.regs.cr0 = CR0.PE | CR0.MP | CR0.ET | CR0.NE | CR0.WP | CR0.PG
    with cpu.edit() as context:
        _load_boot_segments(context)
    cpu.regs.rsp = stack
    cpu.regs.rsi = BOOT_PARAMS
    cpu.regs.rip = entry


def _identity_map(machine: Machine) -> None:
    """Map RAM at its physical addresses with 2 MiB pages, readable, writable and executable."""
    u64 = machine.ram.u64
    table = int(PTE.P | PTE.RW)
    large = int(PTE.P | PTE.RW | PTE.PS)
    u64[PML4 >> 3] = PML4 + PAGE_SIZE | table
    for gib in range(-(-machine.ram.size // HUGE_PAGE_SIZE)):
        directory = PML4 + (2 + gib) * PAGE_SIZE
        u64[(PML4 + PAGE_SIZE >> 3) + gib] = directory | table
        for entry in range(512):
            pa = gib * HUGE_PAGE_SIZE + entry * LARGE_PAGE_SIZE
            if pa < machine.ram.size:
                u64[(directory >> 3) + entry] = pa | large


def _load_boot_segments(context: Context) -> None:
    layout = context.layout
    for name, selector, flags in (
        ("cs", descriptors.KERNEL_CS, descriptors.KERNEL_CODE_DESCRIPTOR >> 32),
        ("ss", descriptors.KERNEL_DS, descriptors.KERNEL_DATA_DESCRIPTOR >> 32),
        ("ds", descriptors.KERNEL_DS, descriptors.KERNEL_DATA_DESCRIPTOR >> 32),
        ("es", descriptors.KERNEL_DS, descriptors.KERNEL_DATA_DESCRIPTOR >> 32),
    ):
        place = layout.segment(name)
        context.u32[place >> 2] = selector
        context.u64[(place + 8) >> 3] = 0
        context.u32[(place + 16) >> 2] = 0xFFFF_FFFF
        context.u32[(place + 20) >> 2] = flags
    gdt = layout.segment("gdt")
    context.u64[(gdt + 8) >> 3] = GDT
    context.u32[(gdt + 16) >> 2] = 4 * 8 - 1
