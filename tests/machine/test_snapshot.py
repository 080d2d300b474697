"""Snapshots of a bare machine: in memory, in a file, and in another process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import everything, outcome

from emulator import snapshot as snapshots
from emulator.bare import KERNEL_CODE, USER_DATA, Bare
from emulator.cpu.control import Exit
from emulator.digest import blake2b
from emulator.machine import Machine
from emulator.snapshot import DIGEST_SIZE, Snapshot, SnapshotError, read_file, write_file

HERE = Path(__file__).parent

# Goes on with a file's machine and prints what it comes to.
ANOTHER_PROCESS = """\
import sys
sys.path.insert(0, sys.argv[1])
from programs import outcome
from emulator.machine import Machine
from emulator.snapshot import read_file
machine = Machine.of(read_file(sys.argv[2]), microcode=sys.argv[3])
print(machine.run().name)
print(outcome(machine))
"""


@pytest.fixture(scope="module")
def reference() -> tuple[object, ...]:
    """What the program that uses everything comes to in one run."""
    machine = Bare(Machine(4 << 20))
    everything(machine)
    assert machine.go().ended
    return outcome(machine.machine)


def half_way(machine: Bare, clocks: int = 5000) -> Snapshot:
    everything(machine)
    assert machine.go(machine.machine.clock + clocks).exit is Exit.TIMER
    return machine.machine.snapshot()


def test_taking_snapshots_changes_nothing(machine: Bare, reference: tuple[object, ...]) -> None:
    """Is the end the same if a snapshot is taken, and restored, at every turn?"""
    everything(machine)
    for turn in range(100_000):
        if machine.go(machine.machine.clock + 499).exit is not Exit.TIMER:
            break
        taken = machine.machine.snapshot()
        if turn % 3 == 0:
            machine.machine.restore(taken)
    assert outcome(machine.machine) == reference


def test_a_machine_goes_back_as_often_as_wanted(machine: Bare,
                                                reference: tuple[object, ...]) -> None:
    """Does every run from a snapshot come to the same end, whatever happened between?"""
    taken = half_way(machine)
    later = None
    for _ in range(3):
        assert machine.go().ended
        assert outcome(machine.machine) == reference
        later = later or machine.machine.snapshot()
        machine.machine.restore(taken)
        assert machine.machine.clock == taken.clock
    machine.machine.restore(later)
    assert outcome(machine.machine) == reference


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 3000), st.integers(0, 6)), min_size=1, max_size=12))
def test_random_walks_through_time_end_the_same(reference: tuple[object, ...],
                                                steps: list[tuple[int, int]]) -> None:
    """From any of the snapshots that a random walk has taken, is the end the one end?"""
    machine = Bare(Machine(4 << 20))
    everything(machine)
    taken = [machine.machine.snapshot()]
    for clocks, back in steps:
        machine.machine.restore(taken[back % len(taken)])
        if machine.go(machine.machine.clock + clocks).exit is Exit.TIMER:
            taken.append(machine.machine.snapshot())
    assert machine.go().ended
    assert outcome(machine.machine) == reference
    machine.machine.close()


def test_code_that_differs_is_translated_anew(machine: Bare) -> None:
    """After a restore, does the code run that was there, not what was translated since?"""
    assert machine.run("mov eax, 1").rax == 1
    taken = machine.machine.snapshot()
    assert machine.run("mov eax, 2").rax == 2
    newer = machine.machine.snapshot()
    machine.machine.restore(taken)
    assert machine.run(None).rax == 1
    machine.machine.restore(newer)
    assert machine.run(None).rax == 2


def test_code_that_the_guest_has_changed_is_translated_anew(machine: Bare) -> None:
    """The same, if the guest itself has stored to its code."""
    machine.assemble("mov eax, 1")
    taken = machine.machine.snapshot()
    for _ in range(2):
        assert machine.run(None).rax == 1
        machine.ram.u8[KERNEL_CODE + 0x100 : KERNEL_CODE + 0x10A] = (
            b"\xc6\x05" + (-0x100 - 7 + 1 & 0xFFFF_FFFF).to_bytes(4, "little") + b"\x09\xf4\0\0")
        machine.begin(0, rip=KERNEL_CODE + 0x100)
        assert machine.go().exit is Exit.HALT
        assert machine.run(None).rax == 9
        machine.machine.restore(taken)


def test_two_machines_go_on_apart(machine: Bare, reference: tuple[object, ...]) -> None:
    """Does neither of a fork see what the other stores?"""
    half_way(machine)
    second = machine.machine.fork()
    try:
        machine.write(USER_DATA, b"first   ")
        assert second.cpu.read_linear(USER_DATA, 8) != b"first   "
        second.ram.write(KERNEL_CODE, bytes(64))
        machine.machine.restore(half := machine.machine.snapshot())
        assert machine.read(USER_DATA, 8) == b"first   "
        assert half.pages[KERNEL_CODE] != bytes(second.ram.u8[KERNEL_CODE : KERNEL_CODE + 4096])
    finally:
        second.close()


def test_input_under_way_is_part_of_it(machine: Bare) -> None:
    """Does what the host has offered to the console, but the guest not read, come back?"""
    machine.machine.uart.feed(b"typed ahead")
    taken = machine.machine.snapshot()
    machine.machine.uart.state.wire.clear()
    machine.machine.restore(taken)
    assert bytes(machine.machine.uart.state.wire) == b"typed ahead"
    assert taken.devices["uart"]["wire"] == b"typed ahead"


def test_a_snapshot_shares_nothing_with_its_machine(machine: Bare) -> None:
    """Does a run after it leave it alone?"""
    taken = half_way(machine)
    copy = deepcopy(taken)
    machine.go()
    assert taken == copy


# Files


def test_a_file_holds_all_of_it(machine: Bare, tmp_path: Path) -> None:
    """Is what is read what was written, notes included?"""
    half_way(machine)
    machine.machine.uart.feed(b"\x00\xff")
    taken = machine.machine.snapshot({"kernel": "none", "what": "ünïcode"})
    write_file(taken, tmp_path / "s")
    read = read_file(tmp_path / "s")
    assert (read.mem, read.engine, read.cpu, read.pages, read.notes) == (
        taken.mem, taken.engine, taken.cpu, taken.pages, taken.notes)
    assert list(read.counters) == list(taken.counters)
    assert [path.name for path in tmp_path.iterdir()] == ["s"]
    machine = Machine.of(read)
    assert machine.snapshot().devices == taken.devices
    machine.close()


def test_equal_pages_are_written_once(machine: Bare, tmp_path: Path) -> None:
    """Does a hundred times the same page cost what it costs once?"""
    page = blake2b(b"page").digest() * 64
    sizes = []
    for count in (1, 100):
        for index in range(count):
            machine.ram.write((1 << 21) + index * 4096, page)
        write_file(machine.machine.snapshot(), tmp_path / "s")
        sizes.append((tmp_path / "s").stat().st_size)
    assert sizes[1] - sizes[0] < 1000


@pytest.mark.parametrize("microcode", ["native", "python"])
def test_another_process_goes_on_bit_for_bit(make_machine: Callable[..., Bare], tmp_path: Path,
                                             microcode: str) -> None:
    """Does a file's machine, in a new process and on either microcode, end as the first does?"""
    machine = make_machine()
    write_file(half_way(machine), tmp_path / "s")
    assert machine.go().ended
    done = subprocess.run([sys.executable, "-c", ANOTHER_PROCESS, HERE, tmp_path / "s", microcode],
                          capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout == f"HOST_CALL\n{outcome(machine.machine)}\n"


def damaged(path: Path, change: Callable[[bytearray], object]) -> Path:
    data = bytearray(path.read_bytes())
    change(data)
    (path.parent / "damaged").write_bytes(data)
    return path.parent / "damaged"


def seal(data: bytearray) -> None:
    """Give changed bytes the checksum that belongs to them."""
    data[-DIGEST_SIZE:] = blake2b(data[:-DIGEST_SIZE], digest_size=DIGEST_SIZE).digest()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    machine = Bare(Machine(4 << 20))
    path: Path = tmp_path_factory.mktemp("snapshot") / "s"
    write_file(machine.machine.snapshot(), path)
    machine.machine.close()
    return path


def newer(data: bytearray) -> None:
    data[16] += 1
    seal(data)


@pytest.mark.parametrize(("change", "reason"), [
    pytest.param(lambda data: data.clear(), "not a snapshot", id="empty"),
    pytest.param(lambda data: data.__setitem__(slice(0, 4), b"\x7fELF"), "not a snapshot",
                 id="foreign"),
    pytest.param(lambda data: data.__delitem__(slice(18, None)), "not a snapshot", id="stub"),
    pytest.param(newer, "of version 2; this ringlet reads version 1", id="newer"),
    pytest.param(lambda data: data.__delitem__(slice(40, None)), "incomplete", id="half a header"),
    pytest.param(lambda data: data.pop(), "incomplete", id="a byte less"),
    pytest.param(lambda data: data.append(0), "damaged", id="a byte more"),
    pytest.param(lambda data: data.__setitem__(30, data[30] ^ 1), "damaged", id="header"),
    pytest.param(lambda data: data.__setitem__(-100, data[-100] ^ 1), "damaged", id="body"),
    pytest.param(lambda data: data.__setitem__(-1, data[-1] ^ 1), "damaged", id="checksum"),
])
def test_a_file_that_is_not_whole_is_refused(file: Path, change: Callable[[bytearray], object],
                                             reason: str) -> None:
    """Is what is truncated, foreign, newer or tampered with refused, with the reason?"""
    with pytest.raises(SnapshotError, match=reason):
        read_file(damaged(file, change))


@pytest.mark.parametrize(("old", "new"), [
    ('"mem": 4194304', '"mem": 4096   '), ('"mem": 4194304', '"mem": [1]    '),
    ('"counters": [', '"counters": ["", '), ('"counters": [', '"counters": [7.5, '),
    ('"devices"', '"davices"'), ('"pages": ', '"pages": 1'), ('"pages": ', '"pages": -'),
    ('"contents": ', '"contents": 1'), ('"engine": "', '"engine": 7, "e": "'),
    ('"cpu": "', '"cpu": "z'), ('"wire": "', '"wire": "z'), ('"wire": ', '"wire": {}, "w": '),
    ('"notes": {}', '"notes": {"a": 1}'),
])
def test_a_header_that_makes_no_sense_is_refused(file: Path, old: str, new: str) -> None:
    """Is one with the right checksum, but that no ringlet writes, an error that says so?"""
    def change(data: bytearray) -> None:
        assert data.count(old.encode()) == 1
        data[:] = data.replace(old.encode(), new.encode())
        size = int.from_bytes(data[20:24], "little") + len(new) - len(old)
        data[20:24] = size.to_bytes(4, "little")
        seal(data)

    with pytest.raises(SnapshotError, match="not what a ringlet writes"):
        read_file(damaged(file, change))


def test_a_machine_refuses_what_does_not_fit(machine: Bare) -> None:
    """Is a snapshot of another size, engine or kind refused, and the machine as it was?"""
    taken = half_way(machine)
    machine.go(machine.machine.clock + 100)
    before = outcome(machine.machine)
    for wrong, reason in (
        (taken._replace(mem=8 << 20), "of a machine of 8192 KiB; this one has 4096 KiB"),
        (taken._replace(engine="Unicorn 9"), "needs Unicorn 9; this is Unicorn 2"),
        (taken._replace(cpu=b"short"), "5 bytes are no state"),
        (taken._replace(counters=[1, 2]), "words of 64 bits"),
        (taken._replace(counters=[-1, *taken.counters[1:]]), "words of 64 bits"),
        (taken._replace(devices={"pic": taken.devices["pic"]}), "its devices are pic"),
        (taken._replace(devices={**taken.devices, "hpet": {"config": 1}}), "hpet: saved fields"),
        (taken._replace(devices={**taken.devices, "uart": {
            **taken.devices["uart"], "wire": [7, 900]}}), "range"),
    ):
        with pytest.raises(SnapshotError, match=reason):
            machine.machine.restore(wrong)
        assert outcome(machine.machine) == before
    for wrong in (taken._replace(mem=17), taken._replace(mem=1 << 40)):
        with pytest.raises(SnapshotError, match="not the state of such a machine"):
            Machine.of(wrong)


def test_a_write_that_fails_leaves_the_file_before(machine: Bare, tmp_path: Path,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    """If the disk is full, is the older file whole, and nothing else left?"""
    write_file(half_way(machine), tmp_path / "s")
    old = (tmp_path / "s").read_bytes()

    def full(_file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(snapshots.os, "fsync", full)
    machine.go(machine.machine.clock + 100)
    with pytest.raises(OSError, match="No space"):
        write_file(machine.machine.snapshot(), tmp_path / "s")
    assert (tmp_path / "s").read_bytes() == old
    assert [path.name for path in tmp_path.iterdir()] == ["s"]
