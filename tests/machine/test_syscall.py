"""SYSCALL and SYSRET: kvm-unit-tests' x86/syscall.c, and what the manual says besides."""

from __future__ import annotations

import pytest

from emulator.arch.descriptors import KERNEL_CS, KERNEL_DS, USER32_CS, USER_CS, USER_DS
from emulator.arch.exceptions import Vector
from emulator.arch.registers import EFER, MSR, RFLAGS
from emulator.bare import KERNEL_CODE, USER_CODE, USER_STACK, Bare
from emulator.cpu import control
from ringlet.testing import Asm

# What the kernel's entry sees, kept for the test; then back to ring 3.
ENTRY = """
    mov r8, rsp
    mov r9, cs
    mov r10, ss
    mov rsp, 0x30000
    pushfq
    pop r12
    mov r13, rcx
    mov r14, r11
    mov rsp, r8
    .byte 0x48, 0x0f, 0x07      # sysretq
""".replace("#", ";")


def enable(machine: Bare, entry: str = ENTRY, fmask: int = 0) -> None:
    machine.assemble(entry)
    machine.cpu.write_msr(MSR.IA32_STAR, KERNEL_CS << 32 | USER32_CS << 48)
    machine.cpu.write_msr(MSR.IA32_LSTAR, KERNEL_CODE)
    machine.cpu.write_msr(MSR.IA32_FMASK, fmask)
    machine.cpu.write_msr(MSR.IA32_EFER, machine.cpu.read_msr(MSR.IA32_EFER) | EFER.SCE)


def test_syscall_enters_ring_0_at_lstar(machine: Bare) -> None:
    """Does SYSCALL load RCX, R11, CS and SS, and leave RSP alone?

    good: RCX is behind the instruction, R11 is RFLAGS, CS and SS are STAR[47:32] and 8 more.
    bad: any of them is something else, or the stack was switched.
    """
    enable(machine)
    result = machine.run("stc\nthere: syscall\nafter: nop", ring=3)
    assert result.ended
    assert result.r13 == result.rcx == result.labels["after"]
    assert result.r14 == result.r11 == RFLAGS.CF | RFLAGS.RESERVED1
    assert (result.r9, result.r10, result.r8) == (KERNEL_CS, KERNEL_DS, USER_STACK)
    assert machine.cpu.words[control.NR_SYSCALLS >> 3] == 1


def test_sysret_returns_to_ring_3(machine: Bare) -> None:
    """Does SYSRETQ load RIP, RFLAGS, CS and SS of ring 3?"""
    enable(machine)
    result = machine.run("syscall\npushfq\npop rbx\nhlt", ring=3)
    assert result.trap is not None
    assert result.trap.vector == Vector.GP  # HLT: we are in ring 3 again
    assert (result.cs, result.ss, result.rsp) == (USER_CS, USER_DS, USER_STACK)


def test_entry_runs_with_the_rights_of_ring_0(machine: Bare) -> None:
    """May the entry write supervisor pages, through the segments that SYSCALL loaded?"""
    enable(machine, "mov ebx, 0x90000\nmov dword ptr [rbx], 77\nmov eax, [rbx]\nhlt")
    result = machine.run("syscall", ring=3)
    assert result.rax == 77
    assert machine.cpu.cpl == 0


@pytest.mark.parametrize("fmask", [0, RFLAGS.DF, RFLAGS.IF | RFLAGS.DF | RFLAGS.CF,
                                   RFLAGS.ZF | RFLAGS.AC, 0xFFFF_FFFF])
def test_fmask_clears_flags(machine: Bare, fmask: int) -> None:
    """Are just the flags of IA32_FMASK cleared in ring 0, and come back from R11?"""
    enable(machine, fmask=fmask)
    flags = RFLAGS.RESERVED1 | RFLAGS.IF | RFLAGS.DF | RFLAGS.CF | RFLAGS.ZF | RFLAGS.AC
    result = machine.run("syscall\npushfq\npop r15", ring=3, rflags=flags)
    assert result.r14 == flags
    assert result.r12 == flags & ~fmask | RFLAGS.RESERVED1
    assert result.r15 == flags


def test_flags_that_an_instruction_left_unevaluated_reach_r11(machine: Bare) -> None:
    """Is R11 exact where the engine computes flags lazily?"""
    enable(machine)
    result = machine.run("mov eax, 0x7fffffff\nadd eax, 1\nsyscall", ring=3)
    assert result.r14 == RFLAGS.OF | RFLAGS.SF | RFLAGS.AF | RFLAGS.PF | RFLAGS.RESERVED1
    assert result.r12 == result.r14


def test_syscall_without_sce_is_ud(machine: Bare) -> None:
    """Is SYSCALL undefined while EFER.SCE is off?"""
    clock = machine.machine.clock
    result = machine.run("mov ecx, 5\nbad: syscall", ring=3)
    assert result.trap is not None
    assert result.trap.vector == Vector.UD
    assert result.rip == result.labels["bad"]
    assert result.rcx == 5
    assert machine.cpu.words[control.NR_SYSCALLS >> 3] == 0
    assert machine.machine.clock > clock


@pytest.mark.parametrize("instruction", ["syscall", "sysenter"])
def test_32_bit_code_has_no_fast_call(machine: Bare, instruction: str) -> None:
    """Is SYSCALL of compatibility mode undefined, as on Intel processors, and SYSENTER too?"""
    enable(machine)
    machine.assemble(instruction, ring=3)
    machine.begin(3, cs=USER32_CS)
    result = machine.go()
    assert result.trap is not None
    assert (result.trap.vector, result.trap.rip) == (Vector.UD, USER_CODE)
    assert result.cs == USER32_CS


@pytest.mark.parametrize("prefix", ["66", "48", "f2", "f3", "2e", "6748", "666666666648"])
def test_prefixes_of_syscall_do_not_move_the_kernels_entry(machine: Bare, prefix: str) -> None:
    """Is RIP still LSTAR, and RCX behind the instruction?

    bad: the kernel is entered some bytes after LSTAR, as ring 3 likes.
    """
    enable(machine, "mov r13, rcx\nnop\nnop\nnop\nnop\nnop\nnop\nnop\nmov eax, 1\n"
                 ".byte 0x48, 0x0f, 0x07")
    code = bytes.fromhex(prefix) + b"\x0f\x05"
    result = machine.run(f"nop\n.byte {','.join(map(str, code))}\nafter: nop", ring=3)
    assert result.ended
    assert (result.r13, result.rax) == (result.labels["after"], 1)


@pytest.mark.parametrize("prefix", ["", "66", "48", "6666"])
def test_sysenter_is_ud_in_64_bit_code(asm: Asm, prefix: str) -> None:
    """Is SYSENTER undefined, with RIP at the instruction and not at its block?"""
    code = bytes.fromhex(prefix) + b"\x0f\x34"
    result = asm(f"mov eax, 5\nnop\nbad: .byte {','.join(map(str, code))}", ring=3)
    assert result.trap is not None
    assert (result.trap.vector, result.trap.rip) == (Vector.UD, result.labels["bad"])
    assert result.rax == 5


def test_syscall_from_ring_0_enters_too(machine: Bare) -> None:
    """Does the instruction not care where it comes from?"""
    enable(machine, "jmp go\nentry: mov eax, 9\nhlt\ngo: syscall\nback: hlt")
    labels = machine.assemble("jmp go\nentry: mov eax, 9\nhlt\ngo: syscall\nback: hlt")
    machine.cpu.write_msr(MSR.IA32_LSTAR, labels["entry"])
    result = machine.run(None)
    assert (result.rax, result.rcx) == (9, labels["back"])


@pytest.mark.parametrize("masked", [True, False])
def test_single_step_over_syscall_obeys_fmask(machine: Bare, masked: bool) -> None:
    """With TF set, is there a #DB at the entry only if FMASK leaves TF on?

    See: Intel SDM vol. 2B, "SYSCALL"; kvm-unit-tests x86/syscall.c test_syscall_tf().
    """
    enable(machine, fmask=RFLAGS.TF if masked else 0)
    steps: list[tuple[int, int]] = []
    machine.on_trap[Vector.DB] = lambda trap: steps.append((trap.rip, trap.regs["cs"]))
    result = machine.run("syscall\nhere: nop\nnop", ring=3, rflags=RFLAGS.TF | RFLAGS.RESERVED1)
    inside = [rip for rip, cs in steps if cs == KERNEL_CS]
    assert (inside[:1] == [KERNEL_CODE]) is not masked
    assert [rip for rip, cs in steps if cs == USER_CS][-1] == result.labels["here"] + 2
    assert result.ended


def test_a_syscall_costs_its_own_bytes_of_the_clock(machine: Bare) -> None:
    """Is the clock exact over SYSCALL and SYSRET?"""
    enable(machine, ".byte 0x48, 0x0f, 0x07")
    for count in (1, 2, 3):
        result = machine.run("rdtsc\nmov ebx, eax\n" + "syscall\n" * count + "rdtsc", ring=3)
        assert result.rax - result.rbx == 2 + 2 + count * (2 + 3)
