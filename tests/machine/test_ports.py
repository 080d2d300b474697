"""I/O ports: IOPL, the TSS's bitmap, and what a refused access leaves behind.

See: Intel SDM vol. 1, "I/O Port Protection".
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from emulator.arch import descriptors
from emulator.arch.exceptions import PageFaultError, Vector
from emulator.arch.registers import RFLAGS
from emulator.bare import TSS, USER_DATA, Bare, Result
from emulator.devices.device import Device
from ringlet.testing import Asm

BASE = 0x5000


class Probe(Device):
    """A device that notes accesses; a read gives the port's number in each byte."""

    name = "probe"
    wide = True

    def __init__(self) -> None:
        self.seen: list[tuple[str, int, int, int]] = []

    def read_port(self, port: int, size: int) -> int:
        self.seen.append(("in", port, size, 0))
        return port & 0xFF | 0x11223300 & (1 << 8 * size) - 1

    def write_port(self, port: int, size: int, value: int) -> None:
        self.seen.append(("out", port, size, value))


@pytest.fixture
def probe(machine: Bare) -> Iterator[Probe]:
    probe = Probe()
    machine.machine.ports.attach(range(BASE, BASE + 64), probe)
    return probe


SIZES = {1: "al", 2: "ax", 4: "eax"}
CLOSED = RFLAGS.RESERVED1


def refused(result: Result, at: str = "here") -> bool:
    if result.trap is None:
        return False
    assert (result.trap.vector, result.trap.error_code) == (Vector.GP, 0)
    assert result.rip == result.labels[at]
    return True


@pytest.mark.parametrize("size", [1, 2, 4])
def test_ring_0_reaches_devices_in_every_size(asm: Asm, probe: Probe, size: int) -> None:
    """Do IN and OUT carry the value of their size, and leave the rest of RAX as the manual says?"""
    register = SIZES[size]
    result = asm(f"mov rax, rcx\nout dx, {register}\nmov rax, rcx\nin {register}, dx",
                 rcx=0xFFFF_FFFF_8765_4321, rdx=BASE)
    assert probe.seen == [("out", BASE, size, 0x8765_4321 & (1 << 8 * size) - 1),
                          ("in", BASE, size, 0)]
    value = 0x11223300 & (1 << 8 * size) - 1 | BASE & 0xFF
    kept = {1: 0xFFFF_FFFF_8765_4300, 2: 0xFFFF_FFFF_8765_0000, 4: 0}[size]
    assert result.rax == kept | value


@pytest.mark.parametrize("iopl", [0, 1, 2, 3])
def test_iopl_opens_all_ports(asm: Asm, probe: Probe, iopl: int) -> None:
    """May ring 3 use ports just when IOPL is 3?"""
    result = asm("here: in al, dx\njmp a\na:", ring=3, rflags=CLOSED | iopl << 12, rdx=BASE)
    assert refused(result) is (iopl < 3)
    assert bool(probe.seen) is (iopl == 3)


@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("direction", ["in", "out"])
def test_bitmap_must_allow_every_port_of_an_access(machine: Bare, probe: Probe, direction: str,
                                                   size: int) -> None:
    """Around an allowed range, across bytes of the map: is each access all inside, or refused?"""
    allowed = range(BASE + 5, BASE + 19)  # across two bytes of the map
    machine.allow_ports(allowed)
    register = SIZES[size]
    operands = f"{register}, dx" if direction == "in" else f"dx, {register}"
    machine.assemble(f"here: {direction} {operands}\njmp a\na:", ring=3)
    for port in range(BASE, BASE + 24):
        probe.seen.clear()
        machine.begin(3, rdx=port)
        result = machine.go()
        may = all(each in allowed for each in range(port, port + size))
        assert result.ended is may, hex(port)
        assert bool(probe.seen) is may
        if not may:
            assert result.trap is not None
            assert result.trap.vector == Vector.GP


def test_last_port_of_all_is_guarded_by_the_byte_of_ones(machine: Bare) -> None:
    """Is port 0xffff reachable if the map reaches it, and a wider access from there refused?"""
    machine.allow_ports(range(0xFFF8, 0x1_0000))
    assert machine.run("here: in al, dx\njmp a\na:", ring=3, rdx=0xFFFF).ended
    assert refused(machine.run("here: in ax, dx\njmp a\na:", ring=3, rdx=0xFFFF))
    assert machine.run("here: in ax, dx\njmp a\na:", ring=3, rdx=0xFFFE).ended


@pytest.mark.parametrize(("limit", "may"), [(BASE // 8 + 1, True), (BASE // 8, False), (0, False)])
def test_ports_beyond_the_tss_limit_are_refused(machine: Bare, limit: int, may: bool) -> None:
    """The processor reads two bytes of the map: must both be inside the segment?"""
    machine.allow_ports(range(0x1_0000), limit=limit)
    assert machine.run("here: in al, dx\njmp a\na:", ring=3, rdx=BASE).ended is may


@pytest.mark.parametrize("base", [descriptors.TSS_SIZE, 0x8000, 0xFFFF])
def test_map_base_at_or_above_the_limit_means_no_ports(machine: Bare, base: int) -> None:
    """Is that how a kernel says that there is no map?"""
    machine.ram.write(TSS + descriptors.TSS_IO_MAP_BASE, base.to_bytes(2, "little"))
    assert refused(machine.run("here: in al, dx", ring=3, rdx=0))


def test_tss_too_short_for_the_map_base_means_no_ports(machine: Bare) -> None:
    """Does a limit below 103 refuse everything?"""
    machine.allow_ports(range(0x1_0000))
    machine.load_tss(102)
    assert refused(machine.run("here: in al, dx", ring=3, rdx=BASE))


def test_map_on_a_page_that_is_not_there_is_a_page_fault(machine: Bare) -> None:
    """Is reading the map an access of the supervisor, with its own #PF?"""
    va = 0x5000_0000
    machine.map(va)
    machine.write(va + 0x1000 - 104, machine.ram.read(TSS, 104))
    machine.descriptor(descriptors.TSS_SELECTOR, 0)
    machine.ram.write(0x1_0000 + descriptors.TSS_SELECTOR,
                      descriptors.tss_descriptor(va + 0x1000 - 104, 0x2000 + 104))
    machine.write(va + 0x1000 - 2, (104).to_bytes(2, "little"))
    machine.run(f"mov ax, {descriptors.TSS_SELECTOR:#x}\nltr ax")
    result = machine.run("nop\nhere: out dx, al", ring=3, rdx=0x60)
    assert result.trap is not None
    assert (result.trap.vector, result.trap.error_code) == (Vector.PF, PageFaultError(0))
    assert result.trap.cr2 == va + 0x1000 + (0x60 >> 3)
    assert result.rip == result.labels["here"]


def test_refused_access_undoes_the_rest_of_its_block(machine: Bare, probe: Probe) -> None:
    """The engine runs on to the end of the block: does nothing of that remain?

    bad: a later instruction has changed a register, the flags, memory, x87 or SSE state, a device,
    or has entered the kernel.
    """
    source = f"""
        mov ebx, {USER_DATA:#x}
        mov dword ptr [rbx], 1
        stc
    here:
        out dx, al
        mov dword ptr [rbx], 2
        mov dword ptr [rbx + 4], 2
        mov rcx, 99
        xor eax, eax
        cvtsi2sd xmm0, rcx
        push rcx
        out 0xf0, al
        in al, dx
        fld1
        syscall
        nop
    """
    result = machine.run(source, ring=3, rdx=BASE, rax=5, rcx=6)
    assert refused(result)
    assert (result.rax, result.rcx, result.rsp) == (5, 6, 0x4030_0000)
    assert result.rflags & RFLAGS.CF
    assert machine.read(USER_DATA, 8) == (1).to_bytes(8, "little")
    assert probe.seen == []
    assert result.calls == []


def test_refused_access_can_be_allowed_and_restarted(machine: Bare, probe: Probe) -> None:
    """May a handler open the port and return to the instruction?"""
    machine.allow_ports(range(0))

    def open_port(trap: object) -> None:
        machine.ram.u8[TSS + descriptors.TSS_SIZE + BASE // 8] = 0

    machine.on_trap[Vector.GP] = open_port
    result = machine.run("mov ecx, 1\nout dx, al\nadd ecx, 1\njmp a\na:", ring=3, rdx=BASE, rax=7)
    assert result.ended
    assert probe.seen == [("out", BASE, 1, 7)]
    assert result.rcx == 2


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_the_refused_instruction_of_a_block_is_found(machine: Bare, probe: Probe,
                                                     number: int) -> None:
    """With several port instructions in a block, is RIP at the one that was refused?"""
    machine.allow_ports(range(BASE, BASE + number))
    result = machine.run("\n".join(
        f"inc ecx\nhere{n}: out dx, al\ninc edx" for n in range(4)) + "\nud2", ring=3, rdx=BASE)
    assert refused(result, f"here{number}")
    assert result.rcx == number + 1
    assert [port for _, port, *_ in probe.seen] == list(range(BASE, BASE + number))


def test_allowed_and_refused_accesses_over_many_blocks(machine: Bare, probe: Probe) -> None:
    """Is the count of a block's accesses begun anew for each block and after each exception?"""
    machine.allow_ports(range(BASE, BASE + 1))
    machine.on_trap[Vector.GP] = lambda trap: machine.change(rip=trap.rip + 1)
    machine.on_trap[Vector.UD] = lambda trap: machine.change(rip=trap.rip + 2)
    result = machine.run(f"""
        mov edx, {BASE}
        out dx, al
        ud2
        out dx, al
        inc edx
        out dx, al
        dec edx
        jmp a
    a:  out dx, al
        inc edx
        out dx, al
        out dx, al
    """, ring=3)
    assert result.ended
    assert [trap.vector for trap in result.traps] == [6, 13, 13, 13]
    assert len(probe.seen) == 3


def test_rep_outs_stops_at_the_iteration_that_is_refused(asm: Asm) -> None:
    """Is RIP at the instruction, with RCX and RSI as they were before that iteration?"""
    result = asm("mov ecx, 5\nhere: rep outsb", ring=3, rsi=USER_DATA, rdx=BASE)
    assert refused(result)
    assert (result.rcx, result.rsi) == (5, USER_DATA)


def test_ins_and_outs_move_strings(machine: Bare, probe: Probe) -> None:
    """Do REP INS and REP OUTS make an access for each element, in order?"""
    machine.write(USER_DATA, b"abcdefgh")
    result = machine.run("mov ecx, 2\nrep outsd\nmov edi, ebx\nmov ecx, 3\nrep insb", rdx=BASE,
                         rsi=USER_DATA, rbx=USER_DATA + 16)
    assert result.ended
    assert probe.seen[:2] == [("out", BASE, 4, int.from_bytes(b"abcd", "little")),
                              ("out", BASE, 4, int.from_bytes(b"efgh", "little"))]
    assert machine.read(USER_DATA + 16, 4) == b"\0\0\0\0"
    assert len(probe.seen) == 5
    assert (result.rcx, result.rsi, result.rdi) == (0, USER_DATA + 8, USER_DATA + 19)


def test_refused_ins_leaves_zeros_at_its_destination(machine: Bare) -> None:
    """The one trace of a refused access, which the engine makes first: is it just the element?

    A processor would leave memory alone.
    """
    machine.write(USER_DATA, b"\xff" * 8)
    result = machine.run("here: insw", ring=3, rdi=USER_DATA + 2, rdx=BASE)
    assert refused(result)
    assert result.rdi == USER_DATA + 2
    assert machine.read(USER_DATA, 8) == b"\xff\xff\0\0\xff\xff\xff\xff"


def test_port_nobody_answers_reads_as_ones(asm: Asm) -> None:
    """Does the bus float high?"""
    result = asm("in eax, dx\nout dx, eax", rdx=0x7777)
    assert result.ended
    assert result.rax == 0xFFFF_FFFF


def test_exception_of_a_device_comes_out_of_run(asm: Asm) -> None:
    """Is a function that a device does not offer an error with its name, not a wrong answer?"""
    from emulator.devices.device import UnsupportedError

    with pytest.raises(UnsupportedError, match="pic: ICW1"):
        asm("mov al, 0x12\nout 0x20, al\njmp a\na:")
