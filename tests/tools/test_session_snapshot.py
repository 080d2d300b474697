"""Snapshots of a booted machine, and runs that are gone on with."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from emulator.machine import Machine
from emulator.snapshot import Snapshot, SnapshotError, read_file, write_file
from ringlet.session import Session
from tests.guest import ROOT
from tests.programs.debian import program

BUSYBOX = str(program("busybox"))
# Sleeps, forks, has files and pipes, and takes its input bit by bit.
SCRIPT = """\
i=0
while read line; do
    i=$((i + 1))
    echo "$i: $line" | tr a-z A-Z >> /tmp/log
    sleep 0.$i
    tail -n 1 /tmp/log
done
cat /tmp/log | wc -l
"""
INPUT = b"one\ntwo\nthree\nfour\n"
OUTPUT = b"1: ONE\n2: TWO\n3: THREE\n4: FOUR\n4\n"
ARGV = [BUSYBOX, "sh", "-c", SCRIPT]


def end(session: Session) -> tuple[int, str]:
    return session.machine.clock, session.machine.fingerprint()


@pytest.fixture(scope="module")
def reference() -> tuple[int, str]:
    """The clock and RAM at the end of the script, run in one go."""
    with Session(seed=3) as session:
        assert session.run(ARGV, stdin=INPUT).output == OUTPUT
        return end(session)


def test_a_session_goes_back_to_before_a_program(reference: tuple[int, str]) -> None:
    """Does the same program, run again and again from the booted machine, come to the same end?"""
    with Session(seed=3) as session:
        booted = session.snapshot()
        for _ in range(3):
            assert session.run(ARGV, stdin=INPUT).output == OUTPUT
            assert end(session) == reference
            session.restore(booted)
            assert session.run([BUSYBOX, "test", "-e", "/tmp/log"]).status == 1
            session.restore(booted)


def test_a_run_in_pieces_is_the_run(reference: tuple[int, str]) -> None:
    """Given up and gone on with every few ms, restored at each turn, is the run the same?"""
    with Session(seed=3) as session:
        output = b""
        result = session.run(ARGV, stdin=INPUT, timeout=0.003)
        while result.timed_out:
            output += result.output
            source = session._input
            session.restore(session.snapshot())
            session._input = source  # the host's end of the console, which no snapshot holds
            result = session.resume(timeout=0.003)
        assert output + result.output == OUTPUT
        assert end(session) == reference
        with pytest.raises(ValueError, match="no program is running"):
            session.resume()


def test_two_sessions_go_on_apart_from_one_point() -> None:
    """Does each of a fork go on by itself, with its own input, as if there were no other?"""
    with Session(seed=3) as session:
        session.run(ARGV, stdin=io.BytesIO(INPUT).readline)
        reference = end(session)
    with Session(seed=3) as session:
        output = session.run(ARGV, stdin=io.BytesIO(INPUT).readline, timeout=0.05).output
        fork = session.fork()
        other = fork.resume(stdin=b"zwei\n")
        assert output + session.resume().output == OUTPUT
        assert end(session) == reference
        assert output + other.output == b"1: ONE\n2: ZWEI\n2\n"
        fork.close()


@pytest.mark.parametrize("microcode", ["native", "python"])
def test_a_file_taken_at_a_turn_goes_on_to_the_same_end(tmp_path: Path, microcode: str) -> None:
    """Do all snapshots of a run, read from files, end as the run did, on either microcode?"""
    argv = [BUSYBOX, "sh", "-c", "for i in 1 2 3; do sleep 1; (echo $i) | cat; done"]
    files: list[Path] = []

    def save(snapshot: Snapshot) -> None:
        files.append(tmp_path / str(len(files)))
        write_file(snapshot, files[-1])

    with Session(seed=3) as session:
        session.snapshot_every, session.on_snapshot = 0.7, save
        result = session.run(argv)
        reference = end(session)
    assert result.output == b"1\n2\n3\n"
    assert len(files) == 4
    for file, left in zip(files, (b"1\n2\n3\n", b"2\n3\n", b"3\n", b"3\n"), strict=True):
        with Session.of(read_file(file), microcode=microcode) as session:
            assert session.resume().output == left
            assert end(session) == reference


def test_snapshots_need_their_own_kernel() -> None:
    """Is one of a bare machine, or of another kernel, refused with the reason?"""
    machine = Machine(4 << 20)
    with pytest.raises(SnapshotError, match="without this kernel"):
        Session.of(machine.snapshot())
    machine.close()
    with Session() as session:
        taken = session.snapshot()
        other = taken._replace(notes={**taken.notes, "kernel": "0123"})
        before = end(session)
        for refuse in (session.restore, Session.of):
            with pytest.raises(SnapshotError, match="is of kernel 0123; this is"):
                refuse(other)
        assert end(session) == before


# The command line


def ringlet(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-m", "ringlet", *arguments], input=b"",
                          capture_output=True, cwd=ROOT, timeout=120, check=False)


def test_a_program_that_was_given_up_is_resumed(tmp_path: Path) -> None:
    """Does ``resume`` print what ``run --timeout --snapshot`` did not, and end with the status?"""
    file = str(tmp_path / "s")
    first = ringlet("run", "--timeout", "1.5", "--snapshot", file, BUSYBOX, "sh", "-c",
                    "for i in 1 2 3; do sleep 1; echo $i; done; exit 7")
    assert (first.returncode, first.stdout) == (124, b"1\n")
    for timeout, status, output in (("1", 124, b"2\n"), ("9", 7, b"2\n3\n")):
        then = ringlet("resume", "--timeout", timeout, file)
        assert (then.returncode, then.stdout) == (status, output)
    assert b"context switches" in ringlet("resume", "--stats", file).stderr


def test_kill_9_loses_nothing_before_the_last_snapshot(tmp_path: Path) -> None:
    """After SIGKILL to the emulator, does ``resume`` go on from the last file written?"""
    file = tmp_path / "s"
    count = "i=0; while [ $i -lt 100000 ]; do i=$((i + 1)); sleep 0.01; echo $i; done"
    with subprocess.Popen([sys.executable, "-m", "ringlet", "run", "--snapshot-every", "0.1",
                           "--snapshot", file, BUSYBOX, "sh", "-c", count],
                          stdout=subprocess.PIPE, cwd=ROOT) as running:
        assert running.stdout is not None
        seen = [int(running.stdout.readline()) for _ in range(60)]
        running.send_signal(signal.SIGKILL)
        seen += [int(line) for line in running.stdout if line.endswith(b"\n")]
    snapshot = read_file(file)
    lines = ringlet("resume", "--timeout", "0.5", str(file)).stdout.split()
    # About a line in 10 ms, and what was printed before the file was written is not printed again.
    first = int(lines[0])
    assert abs(first - snapshot.clock / 1e7) < 10
    assert seen == list(range(1, len(seen) + 1))
    assert 50 < first <= len(seen) + 12
    assert [int(line) for line in lines] == list(range(first, first + len(lines)))


@pytest.mark.parametrize(("arguments", "status", "message"), [
    (["resume", "nowhere"], 127, b"ringlet: nowhere: no such file\n"),
    (["resume", "Makefile"], 125, b"ringlet: Makefile: not a snapshot\n"),
    (["run", "--snapshot", "x", "y"], 2, b"--snapshot needs --timeout or --snapshot-every"),
    (["run", "--snapshot-every", "1", "y"], 2, b"--snapshot-every needs --snapshot FILE"),
    (["run", "--snapshot-every", "1", "--snapshot", "/nowhere/s", BUSYBOX, "sleep", "2"], 125,
     b"ringlet: /nowhere/s: No such file or directory\n"),
    (["run", "--timeout", "1", "--snapshot", "/nowhere/s", BUSYBOX, "sleep", "2"], 125,
     b"ringlet: /nowhere/s: No such file or directory\n"),
])
def test_wrong_files_and_options_are_refused(arguments: list[str], status: int,
                                             message: bytes) -> None:
    """Does each say what is wrong?"""
    done = ringlet(*arguments)
    assert done.returncode == status
    assert done.stderr.endswith(message) or (status == 2 and message in done.stderr)
    assert b"Traceback" not in done.stderr


def test_a_machine_without_a_program_is_not_resumed(tmp_path: Path) -> None:
    """Does a file of a machine that waits for a program say so?"""
    with Session() as session:
        write_file(session.snapshot(), tmp_path / "s")
    done = ringlet("resume", str(tmp_path / "s"))
    assert done.returncode == 125
    assert done.stderr.decode() == f"ringlet: {tmp_path / 's'}: no program is running in it\n"
