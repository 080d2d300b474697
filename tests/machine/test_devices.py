"""Devices as ring 0's instructions reach them; each device alone is tested in tests/unit."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from programs import map_hpet

from emulator.bare import USER_DATA, Bare
from emulator.cpu.control import Exit
from emulator.devices.debug_exit import DebugExit
from emulator.devices.hpet import Hpet
from emulator.machine import DEFAULT_EPOCH
from ringlet.testing import Asm


def test_console_prints_what_the_guest_writes(machine: Bare) -> None:
    """Do bytes arrive in order, one at a time and by REP OUTSB?"""
    machine.write(USER_DATA, b", world\n")
    result = machine.run("mov al, 72\nout dx, al\nmov al, 105\nout dx, al\nmov ecx, 8\nrep outsb",
                         rdx=0x3F8, rsi=USER_DATA)
    assert result.ended
    assert bytes(machine.machine.console) == b"Hi, world\n"


def test_console_output_goes_where_the_front_end_says(make_machine: Callable[..., Bare]) -> None:
    """Is ``output`` called as bytes are sent?"""
    sent: list[bytes] = []
    machine = make_machine(output=sent.append)
    machine.run("mov al, 65\nout dx, al\njmp a\na:", rdx=0x3F8)
    assert sent == [b"A"]
    assert not machine.machine.console


def test_console_input_can_be_polled(machine: Bare) -> None:
    """Does LSR tell that there is input, and RBR give it, without interrupts?"""
    machine.machine.uart.feed(b"xy")
    result = machine.run("""
        mov edx, 0x3fc
        mov al, 3
        out dx, al
        jmp wait_
    wait_:
        mov edx, 0x3fd
        in al, dx
        test al, 1
        jz done
        mov edx, 0x3f8
        in al, dx
        shl ebx, 8
        mov bl, al
        jmp wait_
    done:
    """)
    assert result.rbx == int.from_bytes(b"xy", "big")


def test_console_is_always_ready_to_send(asm: Asm) -> None:
    """Does a driver that waits for THRE never wait?"""
    assert asm("in al, dx", rdx=0x3FD).rax & 0x60 == 0x60


@pytest.mark.parametrize("epoch", [DEFAULT_EPOCH, 0, 951_782_400])
def test_cmos_shows_the_epoch_that_the_machine_was_given(make_machine: Callable[..., Bare],
                                                         epoch: int) -> None:
    """Is the time of day the epoch's, and not the host's?"""
    import datetime

    machine = make_machine(epoch=epoch)
    read = "".join(f"mov al, {register}\nout 0x70, al\nin al, 0x71\nshl rbx, 8\nmov bl, al\n"
                   for register in (9, 8, 7, 4, 2, 0))
    result = machine.run(read)
    shown = [(byte >> 4) * 10 + (byte & 15) for byte in result.rbx.to_bytes(6, "big")]
    time = datetime.datetime.fromtimestamp(epoch, datetime.UTC)
    assert shown == [time.year % 100, time.month, time.day, time.hour, time.minute, time.second]


def test_cmos_advances_with_the_virtual_clock(machine: Bare) -> None:
    """Does an hour of the clock show as an hour?"""
    hours = "mov al, 4\nout 0x70, al\nin al, 0x71"
    before = machine.run(hours).rax & 0xFF
    machine.cpu.words[0] += 3600 * 10**9
    after = machine.run(hours).rax & 0xFF
    assert (before, after) == (0x22, 0x23)


@pytest.mark.parametrize(("register", "status"), [("al", 0x42), ("ax", 0x1242),
                                                  ("eax", 0x9876_1242)])
def test_debug_exit_ends_the_run_with_a_status(machine: Bare, register: str, status: int) -> None:
    """Does one OUT end the machine, for CI, with the value as status?"""
    result = machine.run(f"out {DebugExit.PORTS.start:#x}, {register}\njmp on\non: mov ebx, 1\nhlt",
                         rax=0x9876_1242)
    assert result.exit is Exit.DEBUG_EXIT
    assert machine.machine.exit_status == status
    assert machine.cpu.regs.rbx == 0
    assert machine.machine.run() is Exit.HALT  # if one insists, it goes on
    assert machine.cpu.regs.rbx == 1


def test_debug_exit_wins_over_a_halt_in_the_same_block(asm: Asm) -> None:
    """With HLT right behind the OUT, is the exit still what the device said?"""
    assert asm("out 0xf4, al\nhlt").exit is Exit.DEBUG_EXIT


def test_host_call_without_a_host_comes_out_of_run(machine: Bare) -> None:
    """With nobody attached, is a host call an exit with its number?"""
    machine.machine.host_call = None
    machine.assemble("mov eax, 0x1234567\nout 0xf0, eax\njmp next\nnext: mov ebx, 9\nhlt")
    machine.begin(0)
    assert machine.machine.run() is Exit.HOST_CALL
    assert machine.machine.host_call_number == 0x1234567
    assert machine.cpu.regs.rbx == 0
    assert machine.machine.run() is Exit.HALT
    assert machine.cpu.regs.rbx == 9


def test_stop_inside_a_host_call_ends_the_run(machine: Bare) -> None:
    """May a hosted handler end the run, and the next run go on behind the call?"""
    calls: list[int] = []

    def host_call(number: int) -> None:
        calls.append(number)
        machine.machine.stop(Exit.STOPPED)

    machine.machine.host_call = host_call
    machine.assemble("mov al, 1\nout 0xf0, al\njmp a\na: mov al, 2\nout 0xf0, al\njmp b\nb: hlt")
    machine.begin(0)
    assert [machine.machine.run() for _ in range(3)] == [Exit.STOPPED, Exit.STOPPED, Exit.HALT]
    assert calls == [1, 2]


def test_exception_of_a_host_call_comes_out_of_run(machine: Bare) -> None:
    """Is an error in the hosted half an ordinary exception, after which the machine can be seen?"""
    def host_call(number: int) -> None:
        raise RuntimeError(f"call {number}")

    machine.machine.host_call = host_call
    machine.assemble("mov al, 5\nout 0xf0, al\njmp next\nnext: hlt")
    machine.begin(0)
    with pytest.raises(RuntimeError, match="call 5"):
        machine.machine.run()
    assert machine.machine.run() is Exit.HALT


def test_interrupting_the_host_inside_a_device_comes_out_of_run(machine: Bare) -> None:
    """Is KeyboardInterrupt in a device's code not swallowed by the engine?"""
    def stop() -> int:
        raise KeyboardInterrupt

    machine.machine.cmos._now = stop
    with pytest.raises(KeyboardInterrupt):
        machine.run("xor eax, eax\nout 0x70, al\nin al, 0x71\njmp a\na:")


def test_hpet_registers_are_reached_by_loads_and_stores(machine: Bare) -> None:
    """Are its capabilities what the specification says, also by halves?"""
    map_hpet(machine)
    result = machine.run("mov rax, [rdi]\nmov ecx, [rdi + 4]\nmov edx, [rdi]", rdi=Hpet.BASE)
    assert result.rax == result.rcx << 32 | result.rdx
    assert result.rcx == 1_000_000  # femtoseconds: 1 ns
    assert result.rax >> 16 & 0xFFFF == 0x8086


def test_hpet_comparator_of_64_bits_is_set_by_one_store(machine: Bare) -> None:
    """Is a store of 8 bytes, which the engine makes in halves, one to the timer?"""
    map_hpet(machine)
    value = 0x1234_5678_9ABC_DEF0
    result = machine.run("mov dword ptr [rdi + 0x100], 0x48\nmov [rdi + 0x108], rax\n"
                         "mov rcx, [rdi + 0x108]", rdi=Hpet.BASE, rax=value)
    assert result.rcx == value
    assert machine.machine.hpet.state.comparator[0] == value


def test_addresses_around_the_hpet_are_nobodys(machine: Bare) -> None:
    """Does the rest of its page float high?"""
    map_hpet(machine)
    assert machine.run("mov eax, [rdi + 0x400]", rdi=Hpet.BASE).rax == 0xFFFF_FFFF


def test_memory_access_behind_a_host_call_is_made_once(asm: Asm) -> None:
    """Without a jump right behind the call, does the rest of the block still run just once?

    bad: the run ends with RIP at the block's start, and the call is made again, for ever.
    """
    result = asm(f"mov al, 3\nout 0xf0, al\ninc dword ptr [{USER_DATA:#x}+rbx]\n"
                 "mov ecx, [rsi]\njmp on\non: nop", rsi=USER_DATA)
    assert result.ended
    assert result.calls == [3]
    assert result.rcx == 1


def test_front_end_may_stop_the_machine_at_its_output(make_machine: Callable[..., Bare]) -> None:
    """Does a run that was stopped inside a port's device go on behind it, with nothing repeated?"""
    sent: list[bytes] = []

    def output(data: bytes) -> None:
        sent.append(data)
        machine.machine.stop(Exit.STOPPED)

    machine = make_machine(output=output)
    machine.assemble("mov al, 65\nout dx, al\nmov [rsi], al\ninc dword ptr [rsi]\nmov al, 66\n"
                     "jmp on\non: out dx, al\nmov ecx, [rsi]\nhlt")
    machine.begin(0, rdx=0x3F8, rsi=USER_DATA)
    assert [machine.machine.run() for _ in range(3)] == [Exit.STOPPED] * 2 + [Exit.HALT]
    assert sent == [b"A", b"B"]
    assert machine.cpu.regs.rcx == 66


def test_device_error_leaves_the_machine_behind_the_access(machine: Bare) -> None:
    """After an exception in a device's code, is nothing of its block done again?"""
    calls: list[bytes] = []

    def sink(data: bytes) -> None:
        calls.append(data)
        if len(calls) == 1:
            raise KeyboardInterrupt

    machine.machine.uart._sink = sink
    machine.assemble("mov al, 65\nout dx, al\ninc dword ptr [rsi]\nmov ecx, [rsi]\njmp on\non: hlt")
    machine.begin(0, rdx=0x3F8, rsi=USER_DATA)
    with pytest.raises(KeyboardInterrupt):
        machine.machine.run()
    assert machine.machine.run() is Exit.HALT
    assert calls == [b"A"]
    assert machine.cpu.regs.rcx == 1
