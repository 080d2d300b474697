"""The virtual clock: exact, the same in any slicing and on any microcode, and all there is of time.

See: :mod:`emulator.cpu.control`; Intel SDM vol. 2B, "RDTSC", "RDTSCP".
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from programs import everything, map_hpet, outcome

from emulator.arch.exceptions import Vector
from emulator.arch.paging import PTE
from emulator.arch.registers import EFER, MSR, RFLAGS
from emulator.assembler import assemble
from emulator.bare import USER_DATA, Bare
from emulator.cpu import binding, control
from emulator.cpu.binding import lib
from emulator.cpu.control import Exit
from emulator.devices.device import Device
from emulator.devices.hpet import Hpet
from emulator.machine import NEVER, Machine
from ringlet.testing import Asm


@pytest.mark.parametrize("ring", [0, 3])
def test_rdtsc_counts_the_bytes_between(asm: Asm, ring: int) -> None:
    """Is the difference of two readings the size of the code between them?"""
    result = asm("rdtsc\nmov ebx, eax\nmov ecx, 100\nloop_: nop\ndec ecx\njnz loop_\nrdtsc", ring)
    assert result.rax - result.rbx == 2 + 2 + 5 + 100 * 5
    assert result.rdx == 0


def test_rdtsc_is_the_clock_before_the_instruction(machine: Bare) -> None:
    """Does RDTSC agree with the clock at which a trap finds the machine?"""
    machine.machine.run()
    result = machine.run("nop\nrdtsc\nhere: hlt")
    end = machine.machine.clock
    assert result.rax == end - 3


def test_rdtsc_fills_both_halves(machine: Bare) -> None:
    """Is EDX the upper half, and are the upper halves of the registers cleared?"""
    machine.cpu.words[0] = 0x12_3456_789A
    result = machine.run("rdtsc", ring=3, rax=1 << 63, rdx=1 << 63)
    assert result.rdx == 0x12
    assert 0 < result.rax - 0x3456_789A < 20


def test_rdtscp_gives_tsc_aux_too(machine: Bare) -> None:
    """Is ECX what the kernel put into IA32_TSC_AUX: the CPU's number?"""
    machine.cpu.write_msr(MSR.IA32_TSC_AUX, 0x1234)
    result = machine.run("rdtsc\nmov ebx, eax\nrdtscp", ring=3, rcx=1 << 63)
    assert result.rcx == 0x1234
    assert result.rax - result.rbx == 4


def test_cpuid_is_always_the_same(asm: Asm) -> None:
    """Is there nothing of the host in it, and is it executed in ring 3?"""
    leaves = {}
    for leaf in (0, 1, 7, 0xD, 0x8000_0001, 0x8000_0008):
        result = asm("cpuid", ring=3, rax=leaf)
        leaves[leaf] = (result.rax, result.rbx, result.rcx, result.rdx)
    vendor = b"".join(leaves[0][index].to_bytes(4, "little") for index in (1, 3, 2))
    assert vendor == b"GenuineIntel"
    assert leaves[1][2] == 0x8698_2203
    assert leaves[0x8000_0001][3] == 0x2810_0800
    assert leaves[7] == (0, 0, 0, 0)


@pytest.mark.parametrize("instruction", ["rdrand rax", "rdseed rax"])
def test_there_is_no_randomness(asm: Asm, instruction: str) -> None:
    """Is RDRAND undefined, as CPUID says?"""
    result = asm(instruction, ring=3)
    assert result.trap is not None
    assert result.trap.vector == Vector.UD


def test_fault_takes_back_what_was_not_executed(asm: Asm) -> None:
    """Is the clock of a fault in the middle of a block that of its instruction, plus 1?"""
    start = asm("rdtsc\nhere: mov rbx, [rcx]\nnop\nnop\nnop", ring=3, rcx=0x1000)
    assert start.trap is not None
    stub = asm("rdtsc\nhere: ud2\nnop\nnop\nnop", ring=3)
    assert stub.trap is not None
    # From RDTSC to the stub's report: 2 bytes, the delivery, and the stub.
    assert start.trap.clock - start.rax == stub.trap.clock - stub.rax - 2


@pytest.mark.parametrize("prefix", ["", ".byte 0x66\n"])
def test_int_n_that_is_barred_has_not_been_executed(asm: Asm, prefix: str) -> None:
    """Are the bytes of an INT n whose delivery faults taken back, as RIP goes back to it?"""
    barred = asm(f"rdtsc\n{prefix}int 0x70", ring=3)
    hlt = asm("rdtsc\nhlt", ring=3)
    assert barred.trap is not None
    assert hlt.trap is not None
    assert barred.trap.vector == hlt.trap.vector == Vector.GP
    assert barred.trap.clock - barred.rax == hlt.trap.clock - hlt.rax


def test_run_stops_at_the_first_block_at_or_after_its_limit(machine: Bare) -> None:
    """Is ``until`` exact to a block, with RIP at its start?"""
    machine.assemble("loop_: nop\nnop\njmp loop_", ring=3)
    machine.begin(3)
    start = machine.machine.clock + 2  # IRETQ
    for limit in range(1, 40):
        result = machine.go(start + limit)
        assert result.exit is Exit.TIMER
        assert machine.machine.clock == start + -(-limit // 4) * 4
        assert machine.cpu.rip == 0x4000_0000


def test_run_with_a_limit_in_the_past_does_nothing(machine: Bare) -> None:
    """Is no block executed when the time is up already?"""
    machine.assemble("inc ecx\nloop_: jmp loop_", ring=3)
    machine.begin(3)
    clock = machine.machine.clock
    assert machine.go(clock).exit is Exit.TIMER
    assert machine.machine.clock == clock


# The same in any slicing


def run_in_slices(machine: Bare, step: int) -> None:
    for _ in range(100_000):
        result = machine.go(machine.machine.clock + step)
        if result.exit is not Exit.TIMER:
            assert result.ended, result
            return
    raise AssertionError("the program does not end")


@pytest.fixture(scope="module")
def reference() -> tuple[object, ...]:
    """What the program that uses everything comes to, on the reference and in one run."""
    machine = Bare(Machine(4 << 20, microcode="python"))
    everything(machine)
    assert machine.go().ended
    assert int.from_bytes(machine.read(USER_DATA, 8), "little") > 12  # ticks
    assert int.from_bytes(machine.read(USER_DATA + 0x18, 8), "little") == 24  # #GP
    return outcome(machine.machine)


@pytest.mark.parametrize("step", [None, 1, 97, 1000, 4567])
def test_any_slicing_comes_to_the_same_end(machine: Bare, reference: tuple[object, ...],
                                           step: int | None) -> None:
    """Interrupts, faults, calls, ports, strings: same clock, RAM, registers and devices?

    The data page holds each tick's RDTSC and RIP, so this also says that preemption falls on the
    same instruction on either microcode, in one run and in slices.
    """
    everything(machine)
    if step is None:
        assert machine.go().ended
    else:
        run_in_slices(machine, step)
    assert outcome(machine.machine) == reference


def test_the_hosts_slices_come_to_the_same_end(machine: Bare, reference: tuple[object, ...],
                                               monkeypatch: pytest.MonkeyPatch) -> None:
    """Does the front end's tick, however often it comes, change nothing?"""
    ticks: list[int] = []
    monkeypatch.setattr("emulator.machine.SLICE", 500)
    everything(machine)
    machine.machine.tick = lambda: ticks.append(machine.machine.clock)
    assert machine.go().ended
    assert len(ticks) > 10
    assert outcome(machine.machine) == reference


def test_state_saved_and_restored_between_slices_changes_nothing(
        machine: Bare, reference: tuple[object, ...]) -> None:
    """Are registers, activity and flags complete in what save_state returns?"""
    everything(machine)
    for _ in range(100_000):
        result = machine.go(machine.machine.clock + 997)
        if result.exit is not Exit.TIMER:
            break
        state = machine.cpu.save_state()
        machine.cpu.regs.rax = machine.cpu.regs.rsp = machine.cpu.regs.cr3 = 0x1234_5000
        machine.cpu.regs.rflags = RFLAGS.CF | RFLAGS.DF | RFLAGS.RESERVED1
        machine.cpu.restore_state(state)
    assert outcome(machine.machine) == reference


def step(machine: Bare) -> None:
    """Execute one instruction, as a debugger that stops inside blocks will."""
    cpu, words = machine.cpu, machine.cpu.words
    words[control.RESUME_CLOCK >> 3] = words[control.CLOCK >> 3]
    words[control.EXIT >> 3] = words[control.BLOCK_SIZE >> 3] = 0
    words[control.DEADLINE >> 3] = NEVER
    binding.flush_tb(cpu.uc)  # what is translated already does not count instructions
    assert lib.uc_emu_start(cpu.uc, cpu.rip, 0, 0, 1) == 0
    words[control.RIP >> 3] = cpu._read("rip")
    cpu._settle(cpu.rip)


def test_a_debuggers_stop_inside_a_block_moves_no_interrupt(machine: Bare,
                                                            reference: tuple[object, ...]) -> None:
    """Is the place where a debugger stopped no place for preemption, and the clock exact there?"""
    stops = 0
    compute = everything(machine)["compute"]
    for slice_ in range(100_000):
        result = machine.go(machine.machine.clock + 50 + slice_ % 7)
        if result.exit is not Exit.TIMER:
            break
        if machine.cpu.rip == compute and not machine.machine.pic.pending:
            for _ in range(1 + slice_ % 3):
                clock, rip = machine.machine.clock, machine.cpu.rip
                step(machine)
                assert machine.machine.clock - clock == machine.cpu.rip - rip > 0
            machine.cpu.words[control.RESUMED_INSIDE >> 3] = 1
            stops += 1
    assert stops > 20
    assert outcome(machine.machine) == reference


def test_state_holds_nothing_of_the_host(make_machine: Callable[..., Bare]) -> None:
    """Are the states of two machines after the same run equal, byte for byte?"""
    states = []
    for machine in (make_machine(), make_machine()):
        everything(machine)
        machine.go(machine.machine.clock + 5000)
        states.append(machine.cpu.save_state())
    assert states[0] == states[1]


def test_breakpoint_registers_survive_a_saved_state(make_machine: Callable[..., Bare]) -> None:
    """Do armed breakpoints fire in a machine that got the state, and go with DR7, and come back?"""
    arm = "mov dr0, rbx\nmov eax, 0x401\nmov dr7, rax\nhlt"
    code = "nop\nhere: nop\nnop"
    first, second = make_machine(), make_machine()
    for machine in (first, second):
        here = machine.assemble(code)["here"]
    unarmed = first.cpu.save_state()
    first.run(arm, rbx=here)
    armed = first.cpu.save_state()

    def hits(machine: Bare) -> bool:
        result = machine.run(code)
        return result.trap is not None and (result.trap.vector, result.rip) == (Vector.DB, here)

    assert hits(first)
    second.cpu.restore_state(armed)
    assert second.cpu.regs.dr7 == 0x401
    assert hits(second)
    second.run("mov eax, 0x400\nmov dr7, rax")
    assert not hits(second)
    second.cpu.restore_state(armed)
    assert hits(second)
    first.cpu.restore_state(unarmed)
    assert not hits(first)
    first.cpu.regs.dr0, first.cpu.regs.dr7 = here, 0x401
    assert hits(first)


# Devices' time


class Stopwatch(Device[None]):
    """A port and a window that note the time of each access."""

    name = "stopwatch"
    wide = True

    def __init__(self, now: Callable[[], int]) -> None:
        self.now = now
        self.times: list[int] = []
        self.values: list[tuple[int, int, int]] = []

    def read_port(self, port: int, size: int) -> int:
        self.times.append(self.now())
        return 0

    def write_port(self, port: int, size: int, value: int) -> None:
        self.times.append(self.now())

    def read_mmio(self, offset: int, size: int) -> int:
        self.times.append(self.now())
        self.values.append((offset, size, 0))
        return 0x1122_3344_5566_7788 & (1 << 8 * size) - 1

    def write_mmio(self, offset: int, size: int, value: int) -> None:
        self.times.append(self.now())
        self.values.append((offset, size, value))


DEVICE = 0xC000_0000


@pytest.fixture
def stopwatch(machine: Bare) -> Stopwatch:
    device = Stopwatch(machine.cpu.now)
    machine.machine.ports.attach(range(0x5000, 0x5010), device)
    machine.machine.mmio.attach(DEVICE, 0x1000, device)
    machine.map(DEVICE, DEVICE)
    machine.map(USER_DATA + 0x1000)
    return device


def check_times(machine: Bare, stopwatch: Stopwatch, source: str, **registers: int) -> Any:
    """Run ``source`` behind an RDTSC; its accesses are made by the labels t0, t1 and so on."""
    result = machine.run(f"rdtsc\nmov r15d, eax\nmov edx, r14d\nstart:\n{source}\njmp over\nover:",
                         **registers)
    assert result.ended, result
    labels = sorted((name for name in result.labels if name[0] == "t" and name[1:].isdigit()),
                    key=lambda name: int(name[1:]))
    begin = result.labels["start"] - 8  # RDTSC and the two MOV
    assert stopwatch.times == [result.r15 + result.labels[name] - begin for name in labels]
    return result


def test_port_accesses_happen_at_their_instructions_time(machine: Bare,
                                                         stopwatch: Stopwatch) -> None:
    """Is the clock exact inside a device's port, wherever in a block the instruction is?"""
    check_times(machine, stopwatch, "nop\nt0: in al, dx\nmov ecx, 5\nt1: out dx, al\n"
                "t2: in eax, dx\nnop\nt3: out dx, ax", r14=0x5000)


@pytest.mark.parametrize("source", [
    "nop\nt0: mov eax, [rbx]\nt1: mov ecx, [rbx]\nnop\nt2: mov [rbx], eax",
    "t0: mov rax, [rbx]\nmov rcx, 5\nt1: mov [rbx + rcx * 8], rax\nt2: mov al, [rbx + 1]",
    "mov rsi, rbx\nmov edi, 0x40200000\nnop\nt0: .byte 0xa5\nt1: .byte 0xad\nxchg rsi, rdi\n"
    "t2: .byte 0x66, 0xab",
    "lea rcx, [rbx + 16]\nmov edx, 2\nt0: mov eax, [rcx + rdx * 4 - 8]\nt1: cmp [rbx], al\n"
    "t2: test [rcx], eax\nt3: mov byte ptr [ebx + 4], 1",
    "push rbx\npop rcx\nmov rax, [rsp - 8]\nt0: mov eax, [rcx]\nlea rbx, [rcx + 8]\n"
    "t1: mov dword ptr [rbx - 8], 7\nt2: movzx eax, word ptr [rbx]",
])
def test_device_accesses_happen_at_their_instructions_time(machine: Bare, stopwatch: Stopwatch,
                                                           source: str) -> None:
    """Is the clock exact inside a device's load and store, though the engine's RIP is not?"""
    check_times(machine, stopwatch, source, rbx=DEVICE)


def test_instruction_that_loads_and_stores_has_one_time(asm: Asm, stopwatch: Stopwatch) -> None:
    """Are both accesses of ADD to a device made by the same instruction?"""
    result = asm("nop\nadd dword ptr [rbx], 1\nnop\nlock xadd [rbx], eax\nmov ecx, [rbx]\n"
                 "jmp over\nover:", rbx=DEVICE)
    assert result.ended
    times = stopwatch.times
    assert times[0] == times[1]
    assert times[2] == times[3] == times[0] + 3 + 1
    assert times[4] == times[3] + 4


def test_access_of_8_bytes_is_one(asm: Asm, stopwatch: Stopwatch) -> None:
    """Does a device with 64-bit registers see whole accesses?"""
    result = asm("mov rax, [rbx]\nmov [rbx + 8], rcx\n"
                 "mov [rbx + 4], ecx\nmov edx, [rbx + 4]",
                 rbx=DEVICE, rcx=0x0123_4567_89AB_CDEF)
    assert result.rax == 0x1122_3344_5566_7788
    assert stopwatch.values == [(0, 8, 0), (8, 8, 0x0123_4567_89AB_CDEF), (4, 4, 0x89AB_CDEF),
                                (4, 4, 0)]


def test_accesses_over_several_rounds_of_a_loop(asm: Asm, stopwatch: Stopwatch) -> None:
    """Is the search for the instruction begun anew in each block?"""
    result = asm("mov ecx, 5\nloop_: nop\nmov eax, [rbx]\nin al, dx\ndec ecx\njnz loop_",
                 rbx=DEVICE, rdx=0x5000)
    assert result.ended
    loads, ports = stopwatch.times[::2], stopwatch.times[1::2]
    assert [port - load for load, port in zip(loads, ports, strict=True)] == [2] * 5
    assert [b - a for a, b in pairwise(loads)] == [8] * 4


def test_hpet_counter_read_by_the_guest_agrees_with_rdtsc(machine: Bare) -> None:
    """Is the main counter the virtual clock, to the nanosecond, inside a block too?"""
    map_hpet(machine)
    result = machine.run(f"""
        mov edi, {Hpet.BASE:#x}
        mov qword ptr [rdi + 0xf0], 0
        mov dword ptr [rdi + 0x10], 1
        rdtsc
    one:
        mov rbx, [rdi + 0xf0]
        nop
        nop
        mov rcx, [rdi + 0xf0]
    two:
        mov esi, eax
        rdtsc
        mov r8, [rdi + 0xf0]
    """)
    first = 7  # bytes of MOV rbx, [rdi + disp32]
    assert result.rcx - result.rbx == first + 2
    assert result.r8 - result.rbx == result.rax - result.rsi
    assert result.rbx == 2 + 7  # RDTSC, and the enabling store itself


def test_hosted_device_access_between_runs_is_at_the_clock(machine: Bare,
                                                           stopwatch: Stopwatch) -> None:
    """What time is it for a kernel's hosted half, between two runs?"""
    machine.run("mov ecx, 100\nloop_: dec ecx\njnz loop_\nhlt")
    machine.machine.read(0x5000, 1)
    assert stopwatch.times == [machine.machine.clock]


# What a run leaves


def test_fingerprint_follows_ram_and_nothing_else(make_machine: Callable[..., Bare]) -> None:
    """Is it equal for equal RAM, whatever the host has backed, and else different?"""
    one, two = make_machine(), make_machine()
    for machine in (one, two):
        machine.run("mov dword ptr [rbx], 5", ring=3, rbx=USER_DATA)
    assert one.machine.fingerprint() == two.machine.fingerprint()
    two.ram.u8[0x3F_0000] = 1
    assert one.machine.fingerprint() != two.machine.fingerprint()
    two.ram.u8[0x3F_0000] = 0  # backed now, and zero again
    assert one.machine.fingerprint() == two.machine.fingerprint()


def test_fingerprint_knows_the_size_of_ram() -> None:
    """Do two empty machines of different sizes differ?"""
    small, large = Machine(1 << 20), Machine(2 << 20)
    assert small.fingerprint() != large.fingerprint()
    assert small.fingerprint() == Machine(1 << 20).fingerprint()


@pytest.mark.parametrize("mem", [0, 4097, -4096, 0xF000_0000])
def test_impossible_amount_of_ram_is_refused(mem: int) -> None:
    """Is it a message, before anything is made?"""
    with pytest.raises(ValueError, match="RAM size"):
        Machine(mem)


# ---- how it divides between the kernel and ring 3

KERNEL = 0xFFFF_8000_0010_0000  # a kernel in its half: calls of ring 3 arrive here


def count_ring0(machine: Bare) -> int:
    """Have the kernel's time counted, and SYSCALL lead to it; return where it is counted."""
    code, _ = assemble("mov ecx, 10\nagain: dec ecx\njnz again\nmov rcx, rbx\n"
                       ".byte 0x48, 0x0f, 0x07", KERNEL)
    machine.map(KERNEL, flags=PTE.P | PTE.RW)
    machine.write(KERNEL, code)
    times = machine.frame()
    machine.cpu.count_ring0(times)
    machine.cpu.write_msr(MSR.IA32_EFER, machine.cpu.read_msr(MSR.IA32_EFER) | EFER.SCE)
    machine.cpu.write_msr(MSR.IA32_LSTAR, KERNEL)
    return times >> 3


CALLS = "mov ebp, 3\nagain: lea rbx, [rip + back]\nsyscall\nback: dec ebp\njnz again"
CALL_SIZE = 5 + 10 * 4 + 3 + 3


def test_the_kernels_time_is_counted(machine: Bare) -> None:
    """Is it what the kernel has executed, to the byte, and is it known when ring 3 runs?"""
    times, u64 = count_ring0(machine), machine.ram.u64
    assert machine.run(CALLS, ring=3).ended
    assert list(u64[times : times + 2]) == [0, 3 * CALL_SIZE]


def test_the_kernels_time_is_known_inside_the_kernel(machine: Bare) -> None:
    """Do the two words and the clock say it at every step, also after a restored snapshot?"""
    times, u64 = count_ring0(machine), machine.ram.u64
    machine.assemble(CALLS, 3)
    machine.begin(3)
    kernel, before = 0, machine.machine.clock
    while kernel < 3 * CALL_SIZE:
        inside = machine.cpu.rip >= KERNEL
        machine.machine.step()
        now = machine.machine.clock
        kernel += now - before if inside else 0
        before = now
        if machine.cpu.rip >= KERNEL and inside:
            assert u64[times + 1] + now - u64[times] == kernel
        machine.machine.restore(machine.machine.snapshot())
    machine.machine.step()
    assert list(u64[times : times + 2]) == [0, 3 * CALL_SIZE]


def test_the_kernel_can_take_what_it_has_counted(machine: Bare) -> None:
    """Does the count begin anew where the kernel sets the words?"""
    times, u64 = count_ring0(machine), machine.ram.u64
    machine.assemble(CALLS, 3)
    machine.begin(3)
    while machine.cpu.rip < KERNEL:
        machine.machine.step()
    machine.machine.step()
    taken = u64[times + 1] + machine.machine.clock - u64[times]
    u64[times], u64[times + 1] = machine.machine.clock, 0
    assert machine.go().ended
    assert taken == 5
    assert list(u64[times : times + 2]) == [0, 3 * CALL_SIZE - taken]


def test_the_kernels_time_is_counted_in_ram_only(machine: Bare) -> None:
    """Is a place outside RAM, or not aligned, refused?"""
    for pa in (4, machine.ram.size - 8, machine.ram.size, -8):
        with pytest.raises(ValueError, match="no place for two words"):
            machine.cpu.count_ring0(pa)
