"""A guest cannot reach the host: whatever bytes it runs, the machine ends in a way it can name.

Ring 3 may run anything: the outcome is a trap, the program's end, or the clock's limit.  Ring 0
may besides halt, shut the processor down, or ask a device for what it does not offer.  Nothing may
raise EngineError, hang, or end the process.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from emulator.arch.descriptors import KERNEL_CS, USER32_CS, USER_CS
from emulator.arch.exceptions import Vector
from emulator.arch.registers import EFER, MSR, RFLAGS
from emulator.bare import KERNEL_CODE, KERNEL_STACK, USER_CODE, USER_DATA, USER_STACK, Bare
from emulator.cpu.control import Exit
from emulator.devices.device import UnsupportedError
from emulator.devices.hpet import Hpet
from emulator.machine import Machine
from ringlet.testing import Asm

PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)

PREFIXES = st.lists(st.sampled_from(b"\x66\x67\xf2\xf3\xf0\x2e\x64\x65\x48\x41\x4c\x40"),
                    max_size=3).map(bytes)
OPCODES = st.one_of(
    st.integers(0, 255).map(lambda op: bytes([op])),
    st.integers(0, 255).map(lambda op: bytes([0x0F, op])),
    st.integers(0, 255).map(lambda op: bytes([0x0F, 0x38, op])),
    st.integers(0, 255).map(lambda op: bytes([0x0F, 0x3A, op])),
    st.integers(0xD8, 0xDF).map(lambda op: bytes([op])),
    # System instructions, string instructions, ports, far transfers, interrupts.
    st.sampled_from([0x00, 0x01, 0xAE, 0xC7, 0xBA, 0x05, 0x34, 0x20, 0x22, 0x21, 0x23, 0x30, 0x32]
                    ).map(lambda op: bytes([0x0F, op])),
    st.sampled_from(b"\xcd\xcc\xf1\xf4\xe4\xec\xee\x6c\x6e\xcf\xcb\xca\xea\xff\x8e\x9d\xa4\xaa\xf6"
                    ).map(lambda op: bytes([op])),
)
INSTRUCTIONS = st.tuples(PREFIXES, OPCODES, st.binary(max_size=6)).map(b"".join)
PROGRAMS = st.one_of(st.binary(min_size=1, max_size=64),
                     st.lists(INSTRUCTIONS, min_size=1, max_size=12).map(b"".join))
VALUES = st.one_of(
    st.sampled_from([0, 1, USER_DATA, USER_DATA + 0x800, USER_CODE, USER_STACK - 0x100, 0x1000,
                     0x1_0000, KERNEL_CODE, (1 << 64) - 1, 1 << 63, 1 << 47, 0x3F8, 0x20,
                     Hpet.BASE, 0xC000_0080]),
    st.integers(0, (1 << 64) - 1))
REGISTERS = st.fixed_dictionaries(
    dict.fromkeys(("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp"), VALUES),
    optional={"rsp": VALUES})
FLAGS = st.sampled_from([0, 0, RFLAGS.TF, RFLAGS.IF, RFLAGS.DF, RFLAGS.AC, RFLAGS.NT]).map(
    lambda flag: flag | RFLAGS.RESERVED1)


@pytest.fixture(scope="module", params=["native", "python"])
def kind(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


def new_bare(kind: str) -> Bare:
    """A machine with SYSCALL enabled, as a kernel has it."""
    machine = Bare(Machine(4 << 20, microcode="native" if kind == "native" else "python"))
    labels = machine.assemble(f"entry: mov rsp, {KERNEL_STACK:#x}\nint 0x81")
    cpu = machine.cpu
    cpu.write_msr(MSR.IA32_EFER, cpu.read_msr(MSR.IA32_EFER) | EFER.SCE)
    cpu.write_msr(MSR.IA32_STAR, KERNEL_CS << 32 | USER32_CS << 48)
    cpu.write_msr(MSR.IA32_LSTAR, labels["entry"])
    cpu.write_msr(MSR.IA32_FMASK, 0x4_7700)
    return machine


@pytest.fixture(scope="module")
def shared(kind: str) -> Iterator[Bare]:
    """One machine for many programs of ring 3, which cannot harm it."""
    machine = new_bare(kind)
    yield machine
    machine.machine.close()


@settings(max_examples=400, deadline=None, phases=PHASES,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(code=PROGRAMS, registers=REGISTERS, rflags=FLAGS, mode=st.sampled_from([USER_CS] * 5 + [
    USER32_CS]))
@example(code=bytes.fromhex("f00fbaf205"), registers={}, rflags=2, mode=USER_CS)
@example(code=bytes.fromhex("f00fb3d8"), registers={}, rflags=2, mode=USER32_CS)
def test_ring_3_may_run_any_bytes(shared: Bare, code: bytes, registers: dict[str, int],
                                  rflags: int, mode: int) -> None:
    """Is the outcome a trap, the end, or the limit, and does the machine go on?"""
    shared.place(code, ring=3)
    shared.begin(3, rflags=rflags, cs=mode, **registers)
    result = shared.go(shared.machine.clock + 3000)
    assert result.exit in (Exit.STOPPED, Exit.TIMER), result
    assert result.calls == []
    assert shared.run("mov eax, 5", ring=3).rax == 5


@settings(max_examples=100, deadline=None, phases=PHASES,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(code=PROGRAMS, registers=REGISTERS, rflags=FLAGS)
def test_ring_0_may_run_any_bytes(kind: str, code: bytes, registers: dict[str, int],
                                  rflags: int) -> None:
    """Does even a kernel gone wild end in a way that has a name, within its time?"""
    machine = new_bare(kind)
    try:
        machine.place(code)
        machine.begin(0, rflags=rflags, **registers)
        result = machine.go(machine.machine.clock + 3000)
        assert result.exit in (Exit.STOPPED, Exit.TIMER, Exit.HALT, Exit.SHUTDOWN,
                               Exit.DEBUG_EXIT), result
    except UnsupportedError:
        pass  # a device was asked for what it does not offer, and said so
    finally:
        machine.machine.close()


LOCKED = ["f00fa3d8", "f00fabd8", "f00fb3d8", "f00fbbd8", "f00fbae805", "f0480fbaf805",
          "66f00fabc0", "f3f00fa3d9"]


@pytest.mark.parametrize("code", LOCKED)
def test_locked_bit_test_of_a_register_is_undefined(machine: Bare, code: str) -> None:
    """The engine calls abort() over these: is it #UD at the instruction, with those before done?

    bad: ring 3 has ended the host's process.
    """
    data = ",".join(f"0x{byte:02x}" for byte in bytes.fromhex(code))
    source = f"inc ecx\nmov [rsi], ecx\njmp go\ngo: inc edx\nadd edx, 2\nhere: .byte {data}\nnop"
    for _ in range(3):
        result = machine.run(source, ring=3, rsi=USER_DATA)
        assert result.trap is not None
        assert (result.trap.vector, result.rip) == (Vector.UD, result.labels["here"])
        assert (result.rcx, result.rdx) == (1, 3)
    machine.on_trap[Vector.UD] = lambda trap: machine.change(rip=trap.rip + len(code) // 2)
    assert machine.run(source, ring=3, rsi=USER_DATA).ended


def test_locked_bit_test_of_memory_is_allowed(asm: Asm) -> None:
    """And is the form that processors have not refused?"""
    result = asm("lock bts dword ptr [rsi], 5\nmov eax, [rsi]", ring=3, rsi=USER_DATA)
    assert (result.ended, result.rax) == (True, 32)


def test_time_of_an_abandoned_translation_is_exact(asm: Asm) -> None:
    """Does the clock count just what was executed before the instruction?"""
    clean = asm("rdtsc\nnop\nnop\nnop\nhere: ud2", ring=3)
    locked = asm("rdtsc\nnop\nnop\nnop\nhere: .byte 0xf0, 0x0f, 0xab, 0xd8", ring=3)
    assert clean.trap is not None
    assert locked.trap is not None
    assert locked.trap.vector == Vector.UD
    assert locked.trap.clock - locked.rax == clean.trap.clock - clean.rax
