"""What the machine looks like when the kernel has come up."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from emulator.arch.paging import FRAME_MASK, PTE
from emulator.arch.registers import CR0, CR4, EFER, MSR
from guest_kernel.hostcalls import Tracer
from guest_kernel.layout.declare import PAGE_OFFSET, PHYSICAL_MASK, START_KERNEL_MAP
from guest_kernel.layout.mm_types import vm_data
from guest_kernel.layout.sched import STACK_END_MAGIC, pcpu_hot, sched_data, task_struct
from guest_kernel.lib.list import list_for_each_entry
from guest_kernel.printk import dmesg
from ringlet.session import Session


def _leaves(session: Session, table: int, shift: int = 39, va: int = 0,
            rights: int = int(PTE.RW)) -> Iterator[tuple[int, int, int]]:
    """Yield address, physical address and effective bits of each mapping below ``table``."""
    u64 = session.machine.ram.u64
    for index in range(512):
        entry = u64[(table >> 3) + index]
        if not entry & PTE.P:
            continue
        place = va | index << shift
        if shift == 39 and index >= 256:
            place |= 0xFFFF << 48
        combined = rights & entry & PTE.RW
        if shift == 12 or entry & PTE.PS:
            yield place, entry & FRAME_MASK & ~PTE.NX, combined | entry & (PTE.NX | PTE.US)
        else:
            yield from _leaves(session, entry & FRAME_MASK, shift - 9, place, combined)


def test_no_page_is_both_writable_and_executable(session: Session) -> None:
    """Is there any address, kernel's or program's, that can be written and executed?"""
    for va, _, bits in _leaves(session, session.machine.cpu.regs.cr3 & FRAME_MASK):
        assert not (bits & PTE.RW and not bits & PTE.NX), hex(va)


def test_no_frame_is_writable_through_one_address_and_executable_through_another(
        session: Session) -> None:
    """Is the kernel's text read-only in the direct map too?"""
    leaves = list(_leaves(session, session.machine.cpu.regs.cr3 & FRAME_MASK))
    executable = {pa for _, pa, bits in leaves if not bits & PTE.NX}
    writable = {pa for _, pa, bits in leaves if bits & PTE.RW}
    assert executable
    assert not executable & writable


def test_kernel_memory_is_supervisor_only(session: Session) -> None:
    """Can ring 3 use any page of the kernel's half?"""
    for va, _, bits in _leaves(session, session.machine.cpu.regs.cr3 & FRAME_MASK):
        assert va < 1 << 47 or not bits & PTE.US, hex(va)


def test_direct_map_and_image_map_cover_ram(session: Session) -> None:
    """Is all RAM at PAGE_OFFSET, and the image at its link address?"""
    leaves = {va: pa for va, pa, _ in
              _leaves(session, session.machine.cpu.regs.cr3 & FRAME_MASK)}
    assert leaves[PAGE_OFFSET] == 0
    assert leaves[START_KERNEL_MAP + 0x100000] == 0x100000
    assert all(va >= PAGE_OFFSET for va in leaves)


def test_control_registers_are_as_linux_sets_them(session: Session) -> None:
    """WP, NX, global pages, SSE, SYSCALL: does the guest's own code turn them on?"""
    regs = session.machine.cpu.regs
    assert regs.cr0 & (CR0.PG | CR0.WP | CR0.PE) == CR0.PG | CR0.WP | CR0.PE
    assert regs.cr4 & (CR4.PAE | CR4.PGE | CR4.OSFXSR) == CR4.PAE | CR4.PGE | CR4.OSFXSR
    efer = session.machine.cpu.read_msr(MSR.IA32_EFER)
    assert efer & (EFER.SCE | EFER.NXE | EFER.LMA) == EFER.SCE | EFER.NXE | EFER.LMA
    entry = session.kernel.k.symbols["entry_SYSCALL_64"]
    assert session.machine.cpu.read_msr(MSR.IA32_LSTAR) == entry


def test_the_first_three_tasks_are_linuxs(session: Session) -> None:
    """Are pid 0, 1 and 2 swapper, init and kthreadd, and are the latter the former's children?"""
    k = session.kernel.k
    swapper = k.data(sched_data).init_task
    others = list(list_for_each_entry(swapper.tasks, task_struct, "tasks"))
    assert [(t.pid, t.comm) for t in [swapper, *others]] == [
        (0, b"swapper"), (1, b"init"), (2, b"kthreadd")]
    assert all(t.parent == swapper for t in others)
    assert k.data(pcpu_hot).current_task == swapper
    for task in [swapper, *others]:
        assert k.u32[(task.stack & PHYSICAL_MASK) >> 2] == STACK_END_MAGIC


def test_every_vector_has_a_gate(session: Session) -> None:
    """Does each of the 256 gates lead to the stub of its vector?"""
    k = session.kernel.k
    table = k.symbols["idt_table"] & PHYSICAL_MASK
    handlers = set()
    for vector in range(256):
        gate = bytes(k.u8[table + 16 * vector : table + 16 * vector + 16])
        handlers.add(int.from_bytes(gate[0:2] + gate[6:12], "little"))
        assert gate[5] & 0x80
    assert len(handlers) == 256
    assert k.symbols["asm_exc_page_fault"] in handlers


def test_an_idle_machine_costs_what_it_touched(session: Session) -> None:
    """Are most of the 256 MiB never backed by the host?"""
    assert len(list(session.machine.ram.resident_pages())) < 1000


@pytest.mark.machine(seed=1)
def test_the_log_tells_of_the_boot(session: Session) -> None:
    """Does the log begin with the version and the command line?"""
    lines = dmesg(session.kernel.k).splitlines()
    assert lines[0].startswith("[    0.000000] Linux version 6.12.0-ringlet")
    assert lines[1] == "[    0.000000] Command line: seed=1"


def test_address_spaces_share_the_kernels_half(session: Session) -> None:
    """Does a program's PML4 have the kernel's entries, all of them?"""
    k = session.kernel.k
    seen = []

    class Watcher(Tracer):
        def enter(self, task: task_struct, nr: int, regs: int) -> None:
            assert task.mm is not None
            own = (task.mm.pgd & PHYSICAL_MASK) >> 3
            kernel = (k.data(vm_data).swapper_pg_dir & PHYSICAL_MASK) >> 3
            seen.append(k.u64[own + 256 : own + 512] == k.u64[kernel + 256 : kernel + 512])

        def leave(self, task: task_struct, nr: int, regs: int, result: int) -> None:
            pass

    session.run(["/bin/hello"], tracer=Watcher())
    assert seen
    assert all(seen)
