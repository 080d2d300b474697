"""Pieces of assembly that several tests use, and one program that uses everything."""

from __future__ import annotations

from emulator.arch.descriptors import KERNEL_CS, USER32_CS
from emulator.arch.exceptions import Vector
from emulator.arch.paging import PTE
from emulator.arch.registers import EFER, MSR, RFLAGS
from emulator.bare import USER_CODE, USER_DATA, USER_STACK, Bare
from emulator.cpu.binding import REGISTERS
from emulator.devices.hpet import Hpet
from emulator.machine import Machine

TIMER_VECTOR = 0x20
COM1_VECTOR = 0x24

# The pair of controllers, from vector 0x20 on.
PIC_INIT = """
    mov al, 0x11
    out 0x20, al
    out 0xa0, al
    mov al, 0x20
    out 0x21, al
    mov al, 0x28
    out 0xa1, al
    mov al, 4
    out 0x21, al
    mov al, 2
    out 0xa1, al
    mov al, 1
    out 0x21, al
    out 0xa1, al
    mov al, {mask:#x}
    out 0x21, al
    mov al, 0xff
    out 0xa1, al
    jmp {label}
{label}:
"""

EOI = 0x20


def pic_init(*irqs: int, label: str = "pic_done") -> str:
    """Set the controllers up, with ``irqs`` of the master open."""
    return PIC_INIT.format(mask=0xFF & ~sum(1 << irq for irq in irqs), label=label)


def hpet_timer(period: int, *, periodic: bool) -> str:
    """Let timer 0 raise IRQ 0 after, or every, ``period`` ns; rdi and rax are used."""
    config = 1 << 2 | (1 << 3 | 1 << 6 if periodic else 0)
    return f"""
    mov edi, {Hpet.BASE:#x}
    mov dword ptr [rdi + 0x10], 0
    mov qword ptr [rdi + 0xf0], 0
    mov dword ptr [rdi + 0x100], {config}
    mov rax, {period}
    mov [rdi + 0x108], rax
    {"mov [rdi + 0x108], rax" if periodic else "nop"}
    mov dword ptr [rdi + 0x10], 3
"""


def map_hpet(machine: Bare) -> None:
    machine.map(Hpet.BASE, Hpet.BASE, flags=PTE.P | PTE.RW | PTE.NX)


# Ring 0 sets up a periodic timer and goes to ring 3; its handlers count what arrives.  In the data
# page: 0 ticks, 8 page faults, 16 #UD, 24 #GP, 32 calls, 0x800 when each tick came, 0x900 its RIP.
KERNEL = """
    jmp setup
timer:
    push rax
    push rbx
    push rdx
    mov ebx, {data:#x}
    add qword ptr [rbx], 1
    rdtsc
    mov edx, [rbx]
    and edx, 31
    mov [rbx + rdx * 8 + 0x800], eax
    mov rax, [rsp + 24]
    mov [rbx + rdx * 8 + 0x900], rax
    mov al, 0x20
    out 0x20, al
    pop rdx
    pop rbx
    pop rax
    iretq
page_fault:
    push rbx
    mov ebx, {data:#x}
    add qword ptr [rbx + 8], 1
    add qword ptr [rsp + 16], 2
    pop rbx
    add rsp, 8
    iretq
skip_2:
    push rbx
    mov ebx, {data:#x}
    add qword ptr [rbx + 16], 1
    add qword ptr [rsp + 8], 2
    pop rbx
    iretq
gp:
    push rbx
    mov ebx, {data:#x}
    add qword ptr [rbx + 24], 1
    add qword ptr [rsp + 16], 1
    pop rbx
    add rsp, 8
    iretq
breakpoint:
    iretq
system_call:
    mov r12d, {data:#x}
    add qword ptr [r12 + 32], 1
    mov rax, [r12 + 32]
    .byte 0x48, 0x0f, 0x07
setup:
    {pic}
    {hpet}
    push 0x2b
    push {stack:#x}
    push {flags}
    push 0x33
    push {code:#x}
    iretq
"""

USER = """
    mov ebx, {data:#x}
    mov r15d, {rounds}
round_:
    mov ecx, 40
compute:
    imul rax, rax, 13
    add rax, rcx
    rol rax, 7
    dec ecx
    jnz compute
    mov [rbx + 0x40], rax
    syscall
    mov [rbx + 0x48], rax
    mov esi, 0x1000
    mov eax, [rsi]
    ud2
    hlt
    mov edx, 0x60
    out dx, al
    rdtsc
    mov [rbx + 0x50], eax
    rdtscp
    mov [rbx + 0x58], ecx
    int3
    lea rsi, [rbx + 0x100]
    lea rdi, [rbx + 0x200]
    mov ecx, 100
    rep movsb
    lea rdi, [rbx + 0x300]
    mov ecx, 30
    rep stosq
    xor ecx, ecx
    cpuid
    mov ebx, {data:#x}
    add [rbx + 0x60], rdx
    pushfq
    pop rdx
    add [rbx + 0x68], rdx
    dec r15d
    jnz round_
"""


def everything(machine: Bare, *, period: int = 997, rounds: int = 12) -> dict[str, int]:
    """Be about to run a program with timer interrupts, faults, traps, calls, ports and strings.

    It ends by itself.  The data page afterwards tells what happened when.

    Returns:
        The labels of the part in ring 3.
    """
    map_hpet(machine)
    labels = machine.assemble(KERNEL.format(
        data=USER_DATA, stack=USER_STACK, code=USER_CODE, flags=RFLAGS.IF | RFLAGS.RESERVED1,
        pic=pic_init(0), hpet=hpet_timer(period, periodic=True)))
    for vector, name in ((TIMER_VECTOR, "timer"), (Vector.PF, "page_fault"), (Vector.GP, "gp"),
                         (Vector.UD, "skip_2")):
        machine.gate(vector, labels[name])
    machine.gate(Vector.BP, labels["breakpoint"], dpl=3)
    program = machine.assemble(USER.format(data=USER_DATA, rounds=rounds), ring=3)
    cpu = machine.cpu
    cpu.write_msr(MSR.IA32_STAR, KERNEL_CS << 32 | USER32_CS << 48)
    cpu.write_msr(MSR.IA32_LSTAR, labels["system_call"])
    cpu.write_msr(MSR.IA32_FMASK, RFLAGS.IF | RFLAGS.DF)
    cpu.write_msr(MSR.IA32_TSC_AUX, 5)
    cpu.write_msr(MSR.IA32_EFER, cpu.read_msr(MSR.IA32_EFER) | EFER.SCE)
    machine.write(USER_DATA + 0x100, bytes(range(100)))
    machine.begin(0, rip=labels["setup"])
    return program


def outcome(machine: Machine) -> tuple[object, ...]:
    """All that a guest could tell two runs apart by."""
    return (machine.clock, machine.fingerprint(),
            {name: getattr(machine.cpu.regs, name) for name in REGISTERS},
            [machine.cpu.read_msr(msr) for msr in MSR],
            {device.name: device.save() for device in machine.devices})
