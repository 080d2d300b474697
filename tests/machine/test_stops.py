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
    bare = Bare(Machine(4 << 20))
    everything(bare)
    assert bare.go().ended
    return outcome(bare.machine)


def test_single_steps_are_the_run(bare: Bare, reference: tuple[object, ...]) -> None:
    """Stepped from end to end, through interrupts, faults and calls, is the run the same?"""
    everything(bare)
    steps = 0
    while (reason := bare.machine.step()) is Exit.STEP:
        steps += 1
        assert steps < 100_000
    assert reason is Exit.STOPPED
    assert outcome(bare.machine) == reference
    assert steps > 1000


def test_steps_and_runs_mix(bare: Bare, reference: tuple[object, ...]) -> None:
    """Are runs of odd lengths with some steps between them the one run?"""
    everything(bare)
    for turn in range(100_000):
        if bare.go(bare.machine.clock + 50 + turn % 97).exit is not Exit.TIMER:
            break
        for _ in range(turn % 5):
            bare.machine.step()
    assert outcome(bare.machine) == reference


def test_snapshots_between_steps_change_nothing(bare: Bare, reference: tuple[object, ...]) -> None:
    """May a machine be left, and gone back to, in the middle of a block?"""
    everything(bare)
    for turn in range(100_000):
        if turn % 7 == 0:
            taken = bare.machine.snapshot()
            for _ in range(turn % 11):
                bare.machine.step()
            bare.machine.restore(taken)
        if (bare.machine.step() if turn % 3 else bare.go(bare.machine.clock + 200).exit) not in (
                Exit.STEP, Exit.TIMER):
            break
    assert outcome(bare.machine) == reference


# Breakpoints

LOOP = "mov ecx, 5\nl: inc eax\nmid: add eax, ecx\ndec ecx\njnz l\nend_: nop"


@pytest.mark.parametrize("ring", [0, 3])
def test_breakpoint_stops_before_its_instruction(bare: Bare, ring: int) -> None:
    """Does a run stop each time before the instruction, which is then executed once?"""
    labels = bare.assemble(LOOP, ring)
    bare.cpu.stops.breakpoints = {labels["mid"], labels["end_"]}
    bare.begin(ring)
    seen = []
    while (result := bare.go()).exit is Exit.BREAKPOINT and not result.ended:
        seen.append((bare.cpu.rip, bare.cpu.regs.rax, bare.cpu.regs.rcx))
    mid = labels["mid"]
    assert seen == [(mid, 1, 5), (mid, 7, 4), (mid, 12, 3), (mid, 16, 2), (mid, 19, 1),
                    (labels["end_"], 20, 0)]
    assert bare.cpu.stops.breakpoints == {mid, labels["end_"]}


def test_removed_breakpoints_are_gone(bare: Bare) -> None:
    """Is code that was translated with one run without it?"""
    labels = bare.assemble(LOOP)
    bare.cpu.stops.breakpoints = {labels["mid"]}
    bare.begin()
    bare.go()
    bare.cpu.stops.breakpoints = ()
    assert bare.go().ended
    assert bare.run(None).ended


def test_stepping_onto_a_breakpoint_reports_it_once(bare: Bare) -> None:
    """After a step to a breakpoint, does a run go on from there?"""
    labels = bare.assemble(LOOP)
    bare.cpu.stops.breakpoints = {labels["mid"]}
    bare.begin()
    assert bare.go().exit is Exit.BREAKPOINT
    for _ in range(4):
        assert bare.machine.step() is Exit.STEP
    assert bare.cpu.rip == labels["mid"]
    assert bare.go().exit is Exit.BREAKPOINT
    assert (bare.cpu.rip, bare.cpu.regs.rcx) == (labels["mid"], 3)


def test_breakpoint_where_an_exception_arrives(bare: Bare) -> None:
    """Is a handler's first instruction a place for one, and the program goes on after it?"""
    labels = bare.assemble("jmp start\nhandler: add qword ptr [rsp], 2\niretq\nstart: ud2\nnop")
    bare.gate(6, labels["handler"])
    bare.cpu.stops.breakpoints = {labels["handler"]}
    bare.begin()
    assert bare.go().exit is Exit.BREAKPOINT
    assert bare.cpu.rip == labels["handler"]
    assert bare.go().ended


def test_breakpoints_everywhere_change_nothing(bare: Bare, reference: tuple[object, ...]) -> None:
    """With one on many instructions of both rings, does the run come to the same end?"""
    program = everything(bare)
    base = min(program.values())
    bare.cpu.stops.breakpoints = {*program.values(), *range(base, base + 0x80, 3),
                                  *range(0x4_0000, 0x4_0100)}
    stops = 0
    while (result := bare.go()).exit is Exit.BREAKPOINT and not result.ended:
        stops += 1
        if stops % 3 == 0:
            bare.machine.step()
    assert result.ended
    assert stops > 500
    assert outcome(bare.machine) == reference


# Watchpoints


def watch(bare: Bare, va: int, size: int, *kinds: AccessKind) -> None:
    entry = bare.ram.u64[bare.entry(va) >> 3] & ~0xFFF & (1 << 51) - 1
    bare.cpu.stops.watches = [Watch(entry + (va & 0xFFF), size, frozenset(kinds))]


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
def test_watchpoint_stops_behind_each_access(bare: Bare, kinds: tuple[AccessKind, ...],
                                             places: str) -> None:
    """Does a run stop behind loads, stores or both, also behind those that touch an edge?"""
    labels = bare.assemble(ACCESSES, 3)
    watch(bare, USER_DATA + 8, 4, *kinds)
    bare.begin(3, rsi=USER_DATA)
    seen = ""
    while (result := bare.go()).exit is Exit.WATCHPOINT:
        seen += next(name for name, place in labels.items() if place == bare.cpu.rip)
    assert result.ended
    assert seen == places


def test_watchpoint_tells_what_was_accessed(bare: Bare) -> None:
    """Are address, size, value and instruction of an access known?"""
    bare.assemble(ACCESSES, 3)
    watch(bare, USER_DATA + 8, 4, "write")
    bare.begin(3, rsi=USER_DATA)
    assert bare.go().exit is Exit.WATCHPOINT
    [access] = bare.cpu.stops.accesses
    assert access.kind == "write"
    assert access.size == 4
    assert access.value == 7
    assert access.rip == USER_CODE + 2
    assert bare.read(USER_DATA + 8, 4) == b"\7\0\0\0"


def test_an_access_that_ends_its_block_is_seen_too(bare: Bare) -> None:
    """Is the stop behind a call that stores its return address, at the call's target?"""
    labels = bare.assemble("mov rsp, rsi\nback: call there\nthere: add rsp, 8\ndec ecx\njnz back",
                           3)
    watch(bare, USER_DATA + 0x100 - 8, 8, "write")
    bare.begin(3, rsi=USER_DATA + 0x100, rcx=3)
    for _ in range(3):
        clock = bare.machine.clock
        assert bare.go().exit is Exit.WATCHPOINT
        assert bare.cpu.rip == labels["there"]
        assert bare.machine.clock > clock
    assert bare.go().ended


def test_every_mapping_of_a_page_is_watched(bare: Bare) -> None:
    """Is a store through another address of the same memory seen?"""
    bare.map(0x5000_0000, bare.ram.u64[bare.entry(USER_DATA) >> 3] & 0xF_FFFF_F000)
    bare.assemble("mov byte ptr [rsi], 1\nnop", 3)
    watch(bare, USER_DATA, 1, "write")
    bare.begin(3, rsi=0x5000_0000)
    assert bare.go().exit is Exit.WATCHPOINT


def test_watching_changes_nothing(bare: Bare, reference: tuple[object, ...]) -> None:
    """With the data page watched, and steps between, does the run come to the same end?"""
    everything(bare)
    watch(bare, USER_DATA, 0x400, "read", "write")
    stops = 0
    while (result := bare.go()).exit is Exit.WATCHPOINT:
        stops += 1
        if stops % 5 == 0:
            bare.machine.step()
    assert result.ended
    assert stops > 300
    assert outcome(bare.machine) == reference


# Host calls


def test_a_run_can_end_before_a_host_call(bare: Bare) -> None:
    """Is the call made when the run goes on, also in a machine made from a snapshot, and once?"""
    made: list[int] = []
    served = bare.machine.host_call
    assert served is not None

    def serve(number: int) -> None:
        made.append(number)
        served(number)

    bare.machine.host_call = serve
    bare.machine.before_host_call = lambda number: number == 7
    bare.assemble("mov al, 5\nout 0xf0, al\njmp a\na: mov al, 7\nout 0xf0, al\njmp b\nb: nop")
    bare.begin()
    assert bare.go().exit is Exit.HOST_CALL
    assert (made, bare.machine.host_call_number) == ([5], 7)
    copy = bare.machine.fork()
    copied: list[int] = []
    copy.host_call = copied.append
    assert copy.step() is Exit.STEP
    assert (copied, made) == ([7], [5])
    copy.close()
    assert bare.go().ended
    assert made[:2] == [5, 7]
