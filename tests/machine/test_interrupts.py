"""Interrupts of devices: when they are taken, what HLT does, and how time goes on without code.

See: Intel SDM vol. 3A, "Masking Maskable Hardware Interrupts"; vol. 2A, "HLT", vol. 2B, "STI".
"""

from __future__ import annotations

import pytest
from programs import COM1_VECTOR, EOI, TIMER_VECTOR, hpet_timer, map_hpet, pic_init

from emulator.arch.descriptors import INTERRUPT_GATE, KERNEL_CS, KERNEL_DS, TRAP_GATE, USER_CS
from emulator.arch.registers import RFLAGS
from emulator.bare import KERNEL_STACK, RSP0, USER_DATA, USER_STACK, Bare, Trap
from emulator.cpu import control
from emulator.cpu.control import Activity, Exit
from emulator.devices.device import Device

IRQ = 3  # a line that no device is on
VECTOR = TIMER_VECTOR + IRQ
ON = RFLAGS.RESERVED1 | RFLAGS.IF


def raise_irq(machine: Bare, level: bool = True) -> None:
    machine.machine.pic.set_irq(IRQ, level)
    machine.machine.arm()


@pytest.fixture
def line(machine: Bare) -> list[Trap]:
    """Open the line; its interrupts are noted, and ended."""
    traps: list[Trap] = []

    def handle(trap: Trap) -> None:
        traps.append(trap)
        raise_irq(machine, False)
        machine.machine.write(0x20, 1, EOI)

    machine.run(pic_init(IRQ))
    machine.on_trap[VECTOR] = handle
    return traps


def timer(machine: Bare, period: int, *, periodic: bool = False) -> list[Trap]:
    """Start timer 0; its interrupts are noted, and ended."""
    traps: list[Trap] = []

    def handle(trap: Trap) -> None:
        traps.append(trap)
        machine.machine.write(0x20, 1, EOI)

    map_hpet(machine)
    machine.on_trap[TIMER_VECTOR] = handle
    machine.run(pic_init(0) + hpet_timer(period, periodic=periodic))
    return traps


@pytest.mark.parametrize("ring", [0, 3])
def test_interrupt_is_delivered_through_the_idt(machine: Bare, line: list[Trap], ring: int) -> None:
    """Does the handler find the program's state, and the program go on as if nothing had been?"""
    machine.begin(ring, rflags=ON | RFLAGS.CF)
    machine.assemble("mov ecx, 1000\nloop_: dec ecx\njnz loop_\nsetc al", ring)
    raise_irq(machine)
    result = machine.go()
    assert result.ended
    assert (result.rcx, result.rax) == (0, 1)
    [trap] = line
    assert trap.regs["cs"] == (USER_CS if ring else KERNEL_CS)
    assert trap.regs["rsp"] == (USER_STACK if ring else KERNEL_STACK)
    assert trap.handler["rsp"] == (RSP0 if ring else KERNEL_STACK) - 40
    assert trap.handler["ss"] == (0 if ring else KERNEL_DS)
    assert not trap.regs["rflags"] & RFLAGS.RF


def test_flags_of_the_program_reach_the_handler(machine: Bare, line: list[Trap]) -> None:
    """Does delivery between two runs of the engine keep arithmetic flags and DF?"""
    flags = ON | RFLAGS.CF | RFLAGS.OF | RFLAGS.ZF | RFLAGS.DF
    machine.begin(3, rflags=flags)
    machine.assemble("loop_: jmp loop_", ring=3)
    raise_irq(machine)
    machine.go(machine.machine.clock + 100)
    [trap] = line
    assert trap.regs["rflags"] == flags
    assert trap.handler["rflags"] == flags & ~RFLAGS.IF


@pytest.mark.parametrize(("type_", "nested"), [(INTERRUPT_GATE, False), (TRAP_GATE, True)])
def test_gate_type_decides_about_nesting(machine: Bare, line: list[Trap], type_: int,
                                         nested: bool) -> None:
    """Is IF cleared on the way through an interrupt gate only?"""
    machine.gate(VECTOR, type_=type_)
    machine.begin(3, rflags=ON)
    machine.assemble("nop", ring=3)
    raise_irq(machine)
    machine.go()
    assert bool(line[0].handler["rflags"] & RFLAGS.IF) is nested


def test_interrupt_waits_for_if(machine: Bare, line: list[Trap]) -> None:
    """Is it pending while IF is 0, and taken when POPF sets it?"""
    machine.begin(0)
    labels = machine.assemble("mov ecx, 9\nloop_: dec ecx\njnz loop_\npushfq\nor dword ptr [rsp], "
                              f"{int(RFLAGS.IF)}\npopfq\nthere: nop")
    raise_irq(machine)
    assert machine.go().ended
    assert [trap.rip for trap in line] == [labels["there"]]


def test_sti_holds_interrupts_off_for_one_more_instruction(machine: Bare, line: list[Trap]) -> None:
    """Is the instruction behind STI executed first?

    bad: STI; HLT and STI; RET lose an interrupt, or use up the stack.
    """
    machine.begin(0)
    labels = machine.assemble("sti\none: nop\ntwo: nop")
    raise_irq(machine)
    assert machine.go().ended
    assert [trap.rip for trap in line] == [labels["two"]]


def test_mov_ss_holds_interrupts_off_for_one_more_instruction(machine: Bare,
                                                              line: list[Trap]) -> None:
    """May a program load SS and RSP without an interrupt between?"""

    class Button(Device[None]):
        name = "button"

        def write_port(self, port: int, size: int, value: int) -> None:
            machine.machine.pic.set_irq(IRQ, True)

    machine.machine.ports.attach(range(0x5000, 0x5001), Button())
    result = machine.run("mov eax, ss\nout dx, al\nmov ss, ax\none: nop\ntwo: nop\nthree: nop",
                         rflags=ON, rdx=0x5000)
    assert result.ended
    assert [trap.rip for trap in line] == [result.labels["two"]]


def test_sti_then_cli_is_no_window(machine: Bare, line: list[Trap]) -> None:
    """Is there no place between the two for an interrupt?"""
    machine.begin(0)
    machine.assemble("sti\ncli\nnop\nnop")
    raise_irq(machine)
    assert machine.go().ended
    assert line == []


def test_interrupt_is_taken_on_the_way_back_by_iretq(machine: Bare, line: list[Trap]) -> None:
    """Is one that came while ring 0 had IF off taken before the first instruction of ring 3?"""
    machine.begin(3, rflags=ON)
    machine.assemble("start: nop", ring=3)
    raise_irq(machine)
    assert machine.go().ended
    assert [(trap.rip, trap.regs["cs"]) for trap in line] == [(0x4000_0000, USER_CS)]


def test_long_string_instruction_is_interrupted_and_goes_on(machine: Bare) -> None:
    """Is REP MOVSB interruptible between iterations, with RIP at it and RCX what is left?"""
    traps = timer(machine, 2000)
    result = machine.run("mov edi, ebx\nmov esi, ebx\nmov ecx, 3000\nhere: rep movsb", ring=3,
                         rflags=ON, rbx=USER_DATA)
    assert result.ended
    [trap] = traps
    assert trap.rip == result.labels["here"]
    assert 0 < trap.regs["rcx"] < 3000
    assert trap.regs["rdi"] == USER_DATA + 3000 - trap.regs["rcx"]
    assert result.rdi == USER_DATA + 3000


# HLT


def test_halt_without_interrupts_ends_the_run(machine: Bare) -> None:
    """Is HLT with IF off the end, also if an interrupt is pending?"""
    machine.run(pic_init(IRQ))
    machine.begin(0)
    machine.assemble("hlt\nmov ecx, 7")
    raise_irq(machine)
    assert machine.go().exit is Exit.HALT
    assert machine.machine.run() is Exit.HALT  # and it stays
    assert machine.cpu.words[control.ACTIVITY >> 3] == Activity.HLT


def test_halt_with_nothing_to_wait_for_ends_the_run(machine: Bare) -> None:
    """With IF on but no timer and no input, does run() return and not hang?"""
    result = machine.run("mov ecx, 5\nhlt\nmov ecx, 7", rflags=ON)
    assert result.exit is Exit.HALT
    assert result.rcx == 5
    assert machine.machine.run() is Exit.HALT
    assert machine.cpu.regs.rcx == 5


def test_halted_cpu_is_woken_by_a_later_interrupt(machine: Bare, line: list[Trap]) -> None:
    """If a device is fed after run() has returned HALT, does the next run deliver that first?"""
    result = machine.run("mov ecx, 5\nhlt\nback: mov ecx, 7", rflags=ON)
    assert result.exit is Exit.HALT
    raise_irq(machine)
    again = machine.go()
    assert again.ended
    assert [(trap.rip, trap.regs["rcx"]) for trap in line] == [(result.labels["back"], 5)]
    assert again.rcx == 7


def test_sti_hlt_does_not_lose_an_interrupt_that_is_pending(machine: Bare,
                                                            line: list[Trap]) -> None:
    """Is the interrupt taken behind HLT, and not before it, where nothing would wake the CPU?"""
    machine.begin(0)
    labels = machine.assemble("sti\nhlt\nbehind: nop")
    raise_irq(machine)
    assert machine.go().ended
    assert [trap.rip for trap in line] == [labels["behind"]]


def test_idle_cpu_skips_to_the_next_timer(machine: Bare) -> None:
    """Does waiting cost nothing, and is the clock at the timer's match, to the nanosecond?"""
    hour = 3600 * 10**9
    traps = timer(machine, hour)
    start = machine.machine.hpet.state.since
    result = machine.run("hlt\nmov ecx, 7", rflags=ON, until=2 * hour)
    assert result.ended
    [trap] = traps
    assert 0 <= trap.clock - (start + hour) < 300  # and the report's own code
    assert result.rcx == 7


def test_limit_before_the_timer_leaves_the_cpu_halted(machine: Bare) -> None:
    """Can a wait be cut into slices, without waking the program?

    bad: the program goes on behind HLT although no interrupt has come.
    """
    traps = timer(machine, 1_000_000)
    begin = machine.machine.clock
    machine.begin(0, rflags=ON)
    machine.assemble("hlt\nmov ecx, 7")
    for step in range(1, 10):
        result = machine.go(begin + step * 100_000)
        assert result.exit is Exit.TIMER
        assert machine.machine.clock == begin + step * 100_000
        assert machine.cpu.regs.rcx == 0
    assert machine.go(begin + 2_000_000).rcx == 7
    assert len(traps) == 1


def test_idle_callback_may_feed_a_device(machine: Bare, line: list[Trap]) -> None:
    """Is it asked before the clock jumps, as often as it feeds, and is HLT left by an interrupt?"""
    asked: list[int] = []

    def idle() -> bool:
        asked.append(machine.machine.clock)
        if len(asked) == 3:
            raise_irq(machine)
        return True

    machine.machine.idle = idle
    result = machine.run("hlt\nmov ecx, 7", rflags=ON)
    assert result.ended
    assert len(asked) == 3
    assert len(set(asked)) == 1
    assert result.rcx == 7


def test_one_shot_timer_interrupts_once(machine: Bare) -> None:
    """At the first block that begins at or after its time?"""
    traps = timer(machine, 5000)
    due = machine.machine.hpet.next_event()
    assert due is not None
    result = machine.run("mov ecx, 20000\nloop_: dec ecx\njnz loop_", ring=3, rflags=ON)
    assert result.ended
    [trap] = traps
    assert trap.rip == result.labels["loop_"]
    assert 0 <= trap.clock - due < 4 + 100  # a round of the loop, and the report's own code


def test_periodic_timer_interrupts_at_every_period(machine: Bare) -> None:
    """Do ticks stay on the grid, without drift?"""
    traps = timer(machine, 4000, periodic=True)
    due = machine.machine.hpet.next_event()
    assert due is not None
    machine.run("mov ecx, 20000\nloop_: dec ecx\njnz loop_", ring=3, rflags=ON)
    assert len(traps) >= 15
    for number, trap in enumerate(traps):
        assert 0 <= trap.clock - (due + number * 4000) < 110


def test_timer_of_a_program_that_never_enters_ring_0(machine: Bare) -> None:
    """Is a loop in ring 3 that does nothing else preempted?"""
    traps = timer(machine, 3000)
    result = machine.run("loop_: jmp loop_", ring=3, rflags=ON,
                         until=machine.machine.clock + 10_000)
    assert result.exit is Exit.TIMER
    assert len(traps) == 1


def test_console_input_interrupts(machine: Bare) -> None:
    """Does a byte offered by the host reach a program through IRQ 4?"""
    machine.run(pic_init(4) + """
        mov edx, 0x3f9
        mov al, 1
        out dx, al
        mov edx, 0x3fc
        mov al, 0x0b
        out dx, al
        jmp done
    done:
    """)
    labels = machine.assemble("""
    main:
        hlt
        cmp ecx, 3
        jb main
        jmp end
    irq:
        mov edx, 0x3f8
        in al, dx
        mov edi, ebx
        add edi, ecx
        mov [rdi], al
        inc ecx
        mov edx, 0x3fd
        in al, dx
        test al, 1
        jnz irq
        mov al, 0x20
        out 0x20, al
        iretq
    end:
    """)
    machine.gate(COM1_VECTOR, labels["irq"])
    offered = [b"a", b"bc"]

    def idle() -> bool:
        if not offered:
            return False
        machine.machine.uart.feed(offered.pop(0))
        return True

    machine.machine.idle = idle
    machine.begin(0, rflags=ON, rbx=USER_DATA)
    assert machine.go().ended
    assert machine.read(USER_DATA, 3) == b"abc"


def test_interrupt_that_is_withdrawn_is_spurious_or_none(machine: Bare, line: list[Trap]) -> None:
    """If the line falls before IF allows it, is no handler of the line's called?"""
    machine.begin(0)
    machine.assemble("nop\nsti\nnop\nnop")
    raise_irq(machine)
    raise_irq(machine, False)
    assert machine.go().ended
    assert line == []
