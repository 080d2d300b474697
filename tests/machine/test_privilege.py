"""What ring 3 may not do: each is the right exception, and the machine goes on.

See: Intel SDM vol. 3A, "Privileged Instructions".
"""

from __future__ import annotations

import pytest

from emulator.arch.descriptors import (
    KERNEL_CS,
    KERNEL_DS,
    TSS_SELECTOR,
    USER32_CS,
    USER_CS,
    USER_DS,
)
from emulator.arch.exceptions import Vector
from emulator.arch.registers import CR4, EFER, MSR, RFLAGS
from emulator.bare import USER_CODE, USER_DATA, USER_STACK, Bare
from emulator.cpu.control import Exit
from ringlet.testing import Asm

PRIVILEGED = [
    "hlt", "cli", "sti", "rdmsr", "wrmsr", "clts", "invd", "wbinvd", "lmsw ax", "swapgs",
    "lgdt [rbx]", "lidt [rbx]", "lldt ax", "ltr ax", "invlpg [rbx]", ".byte 0x48, 0x0f, 0x07",
    ".byte 0x0f, 0x35", "rdpmc",
    *(f"mov rax, {register}" for register in ("cr0", "cr2", "cr3", "cr4", "cr8", "dr0", "dr7")),
    *(f"mov {register}, rax" for register in ("cr0", "cr2", "cr3", "cr4", "cr8", "dr0", "dr7")),
]
PORTS = ["in al, 0x60", "in ax, dx", "in eax, 0xf0", "out 0x60, al", "out dx, eax", "out 0xf0, al",
         "out 0xf4, eax", "insb", "insd", "outsb", "outsw", "rep insb", "rep outsd"]


@pytest.mark.parametrize("instruction", [*PRIVILEGED, *PORTS])
def test_privileged_instruction_is_gp_in_ring_3(machine: Bare, instruction: str) -> None:
    """Is it #GP(0) at the instruction, with no register changed?

    bad: it is executed, or another exception, or the machine does not go on.
    """
    cpu = machine.cpu
    cpu.write_msr(MSR.IA32_EFER, cpu.read_msr(MSR.IA32_EFER) | EFER.SCE)  # for SYSRET
    control = {name: getattr(cpu.regs, name) for name in ("cr0", "cr3", "cr4", "dr0", "dr7")}
    result = machine.run(f"mov ecx, 4\nhere: {instruction}\nafter: nop", ring=3, rbx=USER_DATA,
                         rdi=USER_DATA, rsi=USER_DATA, rax=0x1234, rdx=0x60)
    assert result.trap is not None
    assert (result.trap.vector, result.trap.error_code) == (Vector.GP, 0)
    assert result.rip == result.labels["here"]
    assert (result.rax, result.rbx, result.rcx, result.rdx) == (0x1234, USER_DATA, 4, 0x60)
    assert (result.rsi, result.rdi, result.rsp) == (USER_DATA, USER_DATA, USER_STACK)
    assert control == {name: getattr(machine.cpu.regs, name) for name in control}
    assert result.calls == []
    assert machine.run("mov eax, 5", ring=3).rax == 5


@pytest.mark.parametrize("iopl", [0, 1, 2])
def test_cli_and_sti_obey_iopl(asm: Asm, iopl: int) -> None:
    """Are they #GP while CPL is more than IOPL, and allowed at IOPL 3?"""
    flags = RFLAGS.RESERVED1 | iopl << 12
    for instruction in ("cli", "sti"):
        result = asm(instruction, ring=3, rflags=flags)
        assert result.trap is not None
        assert result.trap.vector == Vector.GP
    result = asm("sti\npushfq\npop rax\ncli\npushfq\npop rbx", ring=3,
                 rflags=RFLAGS.RESERVED1 | RFLAGS.IOPL)
    assert (result.rax & RFLAGS.IF, result.rbx & RFLAGS.IF) == (RFLAGS.IF, 0)


def test_popf_of_ring_3_changes_neither_iopl_nor_if(asm: Asm) -> None:
    """Are the bits that it may not set silently kept?"""
    flags = RFLAGS.IOPL | RFLAGS.IF | RFLAGS.CF | RFLAGS.RESERVED1
    result = asm("push rcx\npopfq\npushfq\npop rax", ring=3, rcx=flags)
    assert result.rax & (RFLAGS.IOPL | RFLAGS.IF | RFLAGS.CF) == RFLAGS.CF


@pytest.mark.parametrize("segment", ["ds", "es", "fs", "gs", "ss"])
@pytest.mark.parametrize("selector", [KERNEL_DS, KERNEL_CS, 0xFF8, TSS_SELECTOR])
def test_segment_of_the_kernel_cannot_be_loaded(asm: Asm, segment: str, selector: int) -> None:
    """Is a selector that ring 3 may not have #GP of it?"""
    result = asm(f"here: mov {segment}, eax", ring=3, rax=selector | 3)
    assert result.trap is not None
    assert (result.trap.vector, result.trap.error_code) == (Vector.GP, selector)
    assert result.rip == result.labels["here"]


@pytest.mark.parametrize("segment", ["ds", "es", "fs", "gs"])
@pytest.mark.parametrize("selector", [0, 3, USER_DS, USER_CS, USER32_CS])
def test_segment_of_ring_3_and_null_can_be_loaded(asm: Asm, segment: str, selector: int) -> None:
    """Is what Linux allows allowed?"""
    result = asm(f"mov {segment}, eax\nmov ecx, {segment}", ring=3, rax=selector)
    assert result.ended
    assert result.rcx & 0xFFFF == selector


@pytest.mark.parametrize(("cs", "ss", "error_code"), [
    (KERNEL_CS, KERNEL_DS, KERNEL_CS), (KERNEL_CS | 3, USER_DS, KERNEL_CS), (0, USER_DS, 0),
    (USER_DS, USER_DS, USER_DS & ~3), (USER_CS, KERNEL_DS, KERNEL_DS)])
def test_iretq_of_ring_3_cannot_raise_its_privilege(asm: Asm, cs: int, ss: int,
                                                    error_code: int) -> None:
    """Is a frame with a kernel selector #GP of the selector?"""
    result = asm(f"push {ss}\npush rsp\npush 2\npush {cs}\nlea rax, [rip + go]\npush rax\n"
                 "here: iretq\ngo: nop", ring=3)
    assert result.trap is not None
    assert (result.trap.vector, result.trap.error_code) == (Vector.GP, error_code)
    assert result.trap.regs["cs"] == USER_CS


def test_far_return_of_ring_3_may_change_to_32_bit_code_and_back(asm: Asm) -> None:
    """May a program run in compatibility mode, and does its SYSCALL stay closed?"""
    result = asm(f"""
        push {USER32_CS}
        lea rax, [rip + code32]
        push rax
        .byte 0x48, 0xcb
    code32:
        .byte 0x40
        .byte 0xea
        .long there
        .word {USER_CS}
    there:
        mov rdx, rax
    """, ring=3, rcx=5)
    assert result.ended
    # 40 was INC EAX; in 64-bit mode it is a REX prefix.
    assert result.rdx == result.labels["code32"] + 1
    assert result.cs == USER_CS


def test_call_gates_do_not_exist(machine: Bare) -> None:
    """Is a far jump to a system descriptor of the GDT #GP?"""
    machine.write(USER_DATA, (0).to_bytes(4, "little") + (TSS_SELECTOR | 3).to_bytes(2, "little"))
    result = machine.run(".byte 0xff, 0x2b", ring=3, rbx=USER_DATA)  # jmp far [rbx]
    assert result.trap is not None
    assert (result.trap.vector, result.trap.error_code) == (Vector.GP, TSS_SELECTOR)


def test_rdtsc_with_tsd_is_gp_in_ring_3(machine: Bare) -> None:
    """Does CR4.TSD close the time-stamp counter to ring 3, and not to ring 0?"""
    tsd = 1 << 2
    assert machine.run("rdtsc\nrdtscp", ring=3).ended
    machine.cpu.regs.cr4 = machine.cpu.regs.cr4 | tsd
    for instruction in ("rdtsc", "rdtscp"):
        result = machine.run(f"here: {instruction}", ring=3)
        assert result.trap is not None
        assert (result.trap.vector, result.rip) == (Vector.GP, result.labels["here"])
        assert machine.run(instruction).ended


def test_sgdt_and_smsw_are_allowed_in_ring_3(machine: Bare) -> None:
    """Without UMIP, may ring 3 read what the manual lets it read?"""
    assert not machine.cpu.regs.cr4 & 1 << 11
    assert CR4.PAE
    result = machine.run("sgdt [rbx]\nsidt [rbx+16]\nsmsw rax\nstr ecx\nsldt edx", ring=3,
                         rbx=USER_DATA)
    assert result.ended
    assert result.rcx == TSS_SELECTOR


def test_ring_0_does_what_ring_3_may_not(asm: Asm) -> None:
    """Are MSRs, control registers and SWAPGS native in ring 0?"""
    result = asm(f"""
        mov ecx, {int(MSR.IA32_KERNEL_GS_BASE):#x}
        mov eax, 0x1234
        xor edx, edx
        wrmsr
        swapgs
        mov ecx, {int(MSR.IA32_GS_BASE):#x}
        rdmsr
        mov rbx, cr0
        clts
    """)
    assert result.ended
    assert result.rax == 0x1234
    assert result.rbx >> 31 & 1


def test_host_call_is_ring_0s_alone(machine: Bare) -> None:
    """Even with IOPL 3 or an open bitmap, does port 0xf0 call nobody for ring 3?"""
    result = machine.run("mov al, 9\nout 0xf0, al\njmp a\na:", ring=3,
                         rflags=RFLAGS.IOPL | RFLAGS.RESERVED1)
    assert result.ended
    machine.allow_ports(range(0xF0, 0xF1))
    again = machine.run("mov al, 9\nout 0xf0, al\njmp a\na:", ring=3)
    assert again.ended
    assert (result.calls, again.calls) == ([], [])


def test_debug_exit_is_closed_to_ring_3(asm: Asm) -> None:
    """Can a program not end the machine?"""
    result = asm("mov al, 9\nout 0xf4, al\njmp a\na:", ring=3)
    assert result.trap is not None
    assert result.trap.vector == Vector.GP
    assert result.exit is not Exit.DEBUG_EXIT
    assert result.rip == USER_CODE + 2
