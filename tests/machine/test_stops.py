"""A debugger's means: steps, breakpoints and watchpoints; and that the guest cannot tell."""

from __future__ import annotations

import pytest
from programs import everything, outcome

from emulator.bare import USER_CODE, USER_DATA, Bare
from emulator.cpu.control import Exit
from emulator.cpu.stops import AccessKind, Watch
from emulator.machine import Machine


@pytest.fixture(scope="module")
def reference() -> tuple[object, ...]:
    """What the program that uses everything comes to in one run."""
    machine = Bare(Machine(4 << 20))
    everything(machine)
    assert machine.go().ended
    return outcome(machine.machine)


def test_single_steps_are_the_run(machine: Bare, reference: tuple[object, ...]) -> None:
    """Stepped from end to end, through interrupts, faults and calls, is the run the same?"""
    everything(machine)
    steps = 0
    while (reason := machine.machine.step()) is Exit.STEP:
        steps += 1
        assert steps < 100_000
    assert reason is Exit.STOPPED
    assert outcome(machine.machine) == reference
    assert steps > 1000


def test_steps_and_runs_mix(machine: Bare, reference: tuple[object, ...]) -> None:
    """Are runs of odd lengths with some steps between them the one run?"""
    everything(machine)
    for turn in range(100_000):
        if machine.go(machine.machine.clock + 50 + turn % 97).exit is not Exit.TIMER:
            break
        for _ in range(turn % 5):
            machine.machine.step()
    assert outcome(machine.machine) == reference


def test_snapshots_between_steps_change_nothing(machine: Bare,
                                                reference: tuple[object, ...]) -> None:
    """May a machine be left, and gone back to, in the middle of a block?"""
    everything(machine)
    for turn in range(100_000):
        if turn % 7 == 0:
            taken = machine.machine.snapshot()
            for _ in range(turn % 11):
                machine.machine.step()
            machine.machine.restore(taken)
        reason = (machine.machine.step() if turn % 3
                  else machine.go(machine.machine.clock + 200).exit)
        if reason not in (Exit.STEP, Exit.TIMER):
            break
    assert outcome(machine.machine) == reference


# Breakpoints

LOOP = "mov ecx, 5\nl: inc eax\nmid: add eax, ecx\ndec ecx\njnz l\nend_: nop"


@pytest.mark.parametrize("ring", [0, 3])
def test_breakpoint_stops_before_its_instruction(machine: Bare, ring: int) -> None:
    """Does a run stop each time before the instruction, which is then executed once?"""
    labels = machine.assemble(LOOP, ring)
    machine.cpu.stops.breakpoints = {labels["mid"], labels["end_"]}
    machine.begin(ring)
    seen = []
    while (result := machine.go()).exit is Exit.BREAKPOINT and not result.ended:
        seen.append((machine.cpu.rip, machine.cpu.regs.rax, machine.cpu.regs.rcx))
    mid = labels["mid"]
    assert seen == [(mid, 1, 5), (mid, 7, 4), (mid, 12, 3), (mid, 16, 2), (mid, 19, 1),
                    (labels["end_"], 20, 0)]
    assert machine.cpu.stops.breakpoints == {mid, labels["end_"]}


def test_removed_breakpoints_are_gone(machine: Bare) -> None:
    """Is code that was translated with one run without it?"""
    labels = machine.assemble(LOOP)
    machine.cpu.stops.breakpoints = {labels["mid"]}
    machine.begin()
    machine.go()
    machine.cpu.stops.breakpoints = ()
    assert machine.go().ended
    assert machine.run(None).ended


def test_stepping_onto_a_breakpoint_reports_it_once(machine: Bare) -> None:
    """After a step to a breakpoint, does a run go on from there?"""
    labels = machine.assemble(LOOP)
    machine.cpu.stops.breakpoints = {labels["mid"]}
    machine.begin()
    assert machine.go().exit is Exit.BREAKPOINT
    for _ in range(4):
        assert machine.machine.step() is Exit.STEP
    assert machine.cpu.rip == labels["mid"]
    assert machine.go().exit is Exit.BREAKPOINT
    assert (machine.cpu.rip, machine.cpu.regs.rcx) == (labels["mid"], 3)


def test_breakpoint_where_an_exception_arrives(machine: Bare) -> None:
    """Is a handler's first instruction a place for one, and the program goes on after it?"""
    labels = machine.assemble("jmp start\nhandler: add qword ptr [rsp], 2\niretq\nstart: ud2\nnop")
    machine.gate(6, labels["handler"])
    machine.cpu.stops.breakpoints = {labels["handler"]}
    machine.begin()
    assert machine.go().exit is Exit.BREAKPOINT
    assert machine.cpu.rip == labels["handler"]
    assert machine.go().ended


def test_breakpoints_everywhere_change_nothing(machine: Bare,
                                               reference: tuple[object, ...]) -> None:
    """With one on many instructions of both rings, does the run come to the same end?"""
    program = everything(machine)
    base = min(program.values())
    machine.cpu.stops.breakpoints = {*program.values(), *range(base, base + 0x80, 3),
                                     *range(0x4_0000, 0x4_0100)}
    stops = 0
    while (result := machine.go()).exit is Exit.BREAKPOINT and not result.ended:
        stops += 1
        if stops % 3 == 0:
            machine.machine.step()
    assert result.ended
    assert stops > 500
    assert outcome(machine.machine) == reference


# Watchpoints


def watch(machine: Bare, va: int, size: int, *kinds: AccessKind) -> None:
    entry = machine.ram.u64[machine.entry(va) >> 3] & ~0xFFF & (1 << 51) - 1
    machine.cpu.stops.watches = [Watch(entry + (va & 0xFFF), size, frozenset(kinds))]


ACCESSES = """
    mov [rsi], ecx
a:  mov dword ptr [rsi + 8], 7
b:  mov eax, [rsi + 8]
c:  add dword ptr [rsi + 8], 1
d:  movups [rsi], xmm0
e:  mov [rsi + 11], rax
f:  push qword ptr [rsi + 5]
g:  nop
"""


@pytest.mark.parametrize(("kinds", "places"), [
    (("write",), "bdef"), (("read",), "cdg"), (("read", "write"), "bcdefg"),
])
def test_watchpoint_stops_behind_each_access(machine: Bare, kinds: tuple[AccessKind, ...],
                                             places: str) -> None:
    """Does a run stop behind loads, stores or both, also behind those that touch an edge?"""
    labels = machine.assemble(ACCESSES, 3)
    watch(machine, USER_DATA + 8, 4, *kinds)
    machine.begin(3, rsi=USER_DATA)
    seen = ""
    while (result := machine.go()).exit is Exit.WATCHPOINT:
        seen += next(name for name, place in labels.items() if place == machine.cpu.rip)
    assert result.ended
    assert seen == places


def test_watchpoint_tells_what_was_accessed(machine: Bare) -> None:
    """Are address, size, value and instruction of an access known?"""
    machine.assemble(ACCESSES, 3)
    watch(machine, USER_DATA + 8, 4, "write")
    machine.begin(3, rsi=USER_DATA)
    assert machine.go().exit is Exit.WATCHPOINT
    [access] = machine.cpu.stops.accesses
    assert access.kind == "write"
    assert access.size == 4
    assert access.value == 7
    assert access.rip == USER_CODE + 2
    assert machine.read(USER_DATA + 8, 4) == b"\7\0\0\0"


def test_an_access_that_ends_its_block_is_seen_too(machine: Bare) -> None:
    """Is the stop behind a call that stores its return address, at the call's target?"""
    labels = machine.assemble("mov rsp, rsi\nback: call there\n"
                              "there: add rsp, 8\ndec ecx\njnz back", 3)
    watch(machine, USER_DATA + 0x100 - 8, 8, "write")
    machine.begin(3, rsi=USER_DATA + 0x100, rcx=3)
    for _ in range(3):
        clock = machine.machine.clock
        assert machine.go().exit is Exit.WATCHPOINT
        assert machine.cpu.rip == labels["there"]
        assert machine.machine.clock > clock
    assert machine.go().ended


def test_every_mapping_of_a_page_is_watched(machine: Bare) -> None:
    """Is a store through another address of the same memory seen?"""
    machine.map(0x5000_0000, machine.ram.u64[machine.entry(USER_DATA) >> 3] & 0xF_FFFF_F000)
    machine.assemble("mov byte ptr [rsi], 1\nnop", 3)
    watch(machine, USER_DATA, 1, "write")
    machine.begin(3, rsi=0x5000_0000)
    assert machine.go().exit is Exit.WATCHPOINT


def test_watching_changes_nothing(machine: Bare, reference: tuple[object, ...]) -> None:
    """With the data page watched, and steps between, does the run come to the same end?"""
    everything(machine)
    watch(machine, USER_DATA, 0x400, "read", "write")
    stops = 0
    while (result := machine.go()).exit is Exit.WATCHPOINT:
        stops += 1
        if stops % 5 == 0:
            machine.machine.step()
    assert result.ended
    assert stops > 300
    assert outcome(machine.machine) == reference


# Host calls


def test_a_run_can_end_before_a_host_call(machine: Bare) -> None:
    """Is the call made when the run goes on, also in a machine made from a snapshot, and once?"""
    made: list[int] = []
    served = machine.machine.host_call
    assert served is not None

    def serve(number: int) -> None:
        made.append(number)
        served(number)

    machine.machine.host_call = serve
    machine.machine.before_host_call = lambda number: number == 7
    machine.assemble("mov al, 5\nout 0xf0, al\njmp a\na: mov al, 7\nout 0xf0, al\njmp b\nb: nop")
    machine.begin()
    assert machine.go().exit is Exit.HOST_CALL
    assert (made, machine.machine.host_call_number) == ([5], 7)
    copy = machine.machine.fork()
    copied: list[int] = []
    copy.host_call = copied.append
    assert copy.step() is Exit.STEP
    assert (copied, made) == ([7], [5])
    copy.close()
    assert machine.go().ended
    assert made[:2] == [5, 7]
