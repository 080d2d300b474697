"""Recorded runs: they are done again exactly, or the first difference is named."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from emulator.snapshot import write_file
from ringlet.console import Input
from ringlet.debugger import Debugger, Reason
from ringlet.recording import (
    MOST,
    DivergenceError,
    Recorder,
    Recording,
    RecordingError,
    beginning,
    read_recording,
    replay,
    write_recording,
)
from ringlet.session import DEFAULT_ENV, Session
from tests.guest import ROOT
from tests.programs.debian import program

BUSYBOX = str(program("busybox"))
# Reads line by line, sleeps, makes random numbers and children.
SCRIPT = """\
while read line; do
    echo "$line: $(od -A n -N 4 -t x4 /dev/urandom)"
    sleep 0.3
done | sort
"""
OPTIONS = {"seed": 9, "quantum": 30_000, "mem": 64 << 20}


def record(path: Path, argv: list[str], stdin: bytes = b"", timeout: float | None = None) -> bytes:
    """Record a run; return its output."""
    output = bytearray()
    with (Session(**OPTIONS, output=output.extend) as session,  # type: ignore[arg-type]  # mixed
          Recorder(session, argv, DEFAULT_ENV, timeout) as recorder):
        source = Input(session.machine, session.kernel.k, io.BytesIO(stdin).readline,
                       record=recorder.came)
        result = session.run(argv, stdin=source, timeout=timeout)
        write_recording(recorder.recording(result), path)
    return bytes(output)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recording, bytes]:
    """A recording of the script, and its output."""
    path: Path = tmp_path_factory.mktemp("recording") / "r"
    output = record(path, [BUSYBOX, "sh", "-c", SCRIPT], b"one\ntwo\nthree\n")
    assert path.stat().st_size < 100 << 10
    return read_recording(path), output


@pytest.mark.parametrize("microcode", ["native", "python"])
def test_a_run_is_done_again_exactly(recorded: tuple[Recording, bytes], microcode: Any) -> None:
    """Are output, clock, RAM and every host call the recorded run's, on either microcode?"""
    recording, output = recorded
    again = bytearray()
    result = replay(recording, again.extend, microcode=microcode)
    assert result is not None
    assert (bytes(again), result.status) == (output, 0)
    assert output.count(b"\n") == 3
    assert recording.stride == 1


def test_input_has_its_place_on_the_clock(recorded: tuple[Recording, bytes]) -> None:
    """Is each line recorded with the clock at which it came, and the end?"""
    recording, _ = recorded
    clocks = [clock for clock, _ in recording.events]
    assert [what for _, what in recording.events] == [b"one\n", b"two\n", b"three\n", b""]
    assert clocks == sorted(clocks)
    assert clocks[2] - clocks[1] > 300_000_000


@pytest.mark.parametrize("change", [
    {"events": [(0, b"one\n")]}, {"options": {**OPTIONS, "seed": 10}},
    {"options": {**OPTIONS, "quantum": 31_000}}, {"env": {"PATH": "/bin", "A": "b"}},
], ids=["input", "seed", "quantum", "env"])
def test_another_run_is_named_with_its_place(recorded: tuple[Recording, bytes],
                                             change: dict[str, Any]) -> None:
    """Is the first host call that differs named, with the clock up to which all was equal?"""
    recording, _ = recorded
    with pytest.raises(DivergenceError, match=r"after clock \d+ the replay (makes|differs)"):
        replay(recording._replace(**change))


def test_the_first_difference_is_the_one_that_is_named(recorded: tuple[Recording, bytes]) -> None:
    """Does a checkpoint that was changed come out as the place?"""
    recording, _ = recorded
    points = list(recording.checkpoints)
    points[40] = points[40]._replace(clock=points[40].clock + 1)
    with pytest.raises(DivergenceError) as caught:
        replay(recording._replace(checkpoints=points))
    assert f"after clock {points[39].clock} " in str(caught.value)
    assert f"the run made {points[40].number} at {points[40].clock}" in str(caught.value)


def test_the_end_is_compared(recorded: tuple[Recording, bytes]) -> None:
    """If only memory differs at the end, does it say so?"""
    recording, _ = recorded
    with pytest.raises(DivergenceError, match="at its end, ram is"):
        replay(recording._replace(end=recording.end._replace(ram="0")))


def test_a_recording_of_another_kernel_says_so(recorded: tuple[Recording, bytes]) -> None:
    """Is the kernel named where the replay differs?"""
    recording, _ = recorded
    other = recording._replace(kernel="0123", end=recording.end._replace(clock=1))
    with pytest.raises(DivergenceError, match="recorded with kernel 0123, and this is"):
        replay(other)


def test_a_long_run_stays_small(tmp_path: Path) -> None:
    """Are there no more than so many checkpoints, and are they held all the same?"""
    path = tmp_path / "r"
    count = "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo $i; done"
    record(path, [BUSYBOX, "sh", "-c", count])
    assert path.stat().st_size < 100 << 10
    recording = read_recording(path)
    assert recording.stride > 1
    assert MOST / 2 <= len(recording.checkpoints) <= MOST
    assert replay(recording) is not None
    points = list(recording.checkpoints)
    points[9] = points[9]._replace(checksum=1)
    with pytest.raises(DivergenceError, match=f"after clock {points[8].clock} the replay differs "
                                              f"before clock {points[9].clock}"):
        replay(recording._replace(checkpoints=points))


def test_a_run_that_was_given_up_is_replayed_too(tmp_path: Path) -> None:
    """Does a run with a time-out end where it did?"""
    record(tmp_path / "r", [BUSYBOX, "sleep", "5"], timeout=2)
    result = replay(read_recording(tmp_path / "r"))
    assert result is not None
    assert result.timed_out


def test_a_session_keeps_what_it_was_booted_with(tmp_path: Path) -> None:
    """Is all that matters to the guest recorded, and refused where there was no booting?"""
    argv = [BUSYBOX, "date", "+%Y"]
    given = {**OPTIONS, "epoch": 1_000_000_000, "panic_on_oops": True}
    with Session(**given) as session:  # type: ignore[arg-type]  # mixed
        assert session.options is not None
        assert given.items() <= session.options.items()
        with Recorder(session, argv, DEFAULT_ENV, None) as recorder:
            result = session.run(argv)
            write_recording(recorder.recording(result), tmp_path / "r")
        assert result.output == b"2001\n"
        with session.fork() as fork:
            assert fork.options is None
            with pytest.raises(RecordingError, match="taken up from a snapshot cannot be recorded"):
                Recorder(fork, argv, DEFAULT_ENV, None)
    recording = read_recording(tmp_path / "r")
    assert recording.options == session.options
    assert replay(recording) is not None


# Files and the command line


@pytest.mark.parametrize(("change", "reason"), [
    (lambda content: content.clear(), "not a recording"),
    (lambda content: content.update(format="something"), "not a recording"),
    (lambda content: content.update(version=3), "of version 3; this ringlet reads version 2"),
    (lambda content: content.pop("argv"), "damaged"),
    (lambda content: content.update(events=[["x", ""]]), "damaged"),
    (lambda content: content.update(events=[[1, "zz"]]), "damaged"),
    (lambda content: content.update(checkpoints=[[1]]), "damaged"),
    (lambda content: content.update(stride=0), "damaged"),
    (lambda content: content.update(nonsense=0), "damaged"),
], ids=["empty", "foreign", "newer", "no argv", "clock", "bytes", "checkpoint", "stride", "field"])
def test_a_file_that_is_none_is_refused(recorded: tuple[Recording, bytes], tmp_path: Path,
                                        change: Any, reason: str) -> None:
    """Is the reason given?"""
    write_recording(recorded[0], tmp_path / "r")
    content = json.loads((tmp_path / "r").read_text())
    change(content)
    (tmp_path / "r").write_text(json.dumps(content))
    with pytest.raises(RecordingError, match=reason):
        read_recording(tmp_path / "r")


def ringlet(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-m", "ringlet", *arguments], input=stdin,
                          capture_output=True, cwd=ROOT, timeout=120, check=False)


def test_the_command_line_records_and_replays(tmp_path: Path) -> None:
    """Do output and status come again, without the input, and is a changed program refused?"""
    copy = tmp_path / "busybox"
    copy.write_bytes(Path(BUSYBOX).read_bytes())
    copy.chmod(0o755)
    file = str(tmp_path / "r")
    words = ["run", "--seed", "3", "--record", file, str(copy), "sh", "-c", "tr a-z A-Z; exit 3"]
    first = ringlet(*words, stdin=b"hello\n")
    then = ringlet("replay", "--microcode", "python", file)
    assert (first.stdout, first.returncode) == (then.stdout, then.returncode) == (b"HELLO\n", 3)
    copy.write_bytes(copy.read_bytes() + b"\0")
    changed = ringlet("replay", file)
    assert changed.returncode == 125
    assert changed.stderr.decode() == f"ringlet: {copy} is not the program that was recorded\n"
    for wrong, message in ((["replay", "Makefile"], b"ringlet: Makefile: not a recording\n"),
                           (["replay", "nowhere"], b"No such file or directory"),
                           (["run", "--record", "x", "--strace", "y"], b"--record does not go")):
        done = ringlet(*wrong)
        assert done.returncode in (2, 125)
        assert message in done.stderr
        assert b"Traceback" not in done.stderr


# ---- debugging a recorded run


def end_of(debugger: Debugger, output: bytearray) -> tuple[int, str, bytes]:
    """Return what is compared at the end of a run."""
    return debugger.machine.clock, debugger.machine.fingerprint(), bytes(output)


def test_a_recorded_run_can_be_debugged(recorded: tuple[Recording, bytes]) -> None:
    """With stops at each call, fault and switch, steps, and going back: is its end the same?"""
    recording, output = recorded
    again = bytearray()
    with beginning(recording, again.extend) as session:
        debugger = Debugger(session)
        assert debugger.start().reason is Reason.STEP
        for kind in ("syscall", "fault", "switch"):
            debugger.catch(kind)
        snapshot, printed, stops = None, 0, 0
        while (stop := debugger.continue_()).reason is Reason.CATCHPOINT:
            stops += 1
            if stops % 50 == 0:
                debugger.stepi(20)
            if stops == 200:
                snapshot, printed = session.snapshot(), len(again)
        assert stop.reason is Reason.EXITED
        assert end_of(debugger, again) == (recording.end.clock, recording.end.ram, output)
        assert stops > 400

        # The input that came later comes again.
        assert snapshot is not None
        assert snapshot.clock < recording.events[1][0]
        debugger.restore(snapshot)
        del again[printed:]
        debugger.points.clear()
        assert debugger.continue_().reason is Reason.EXITED
        assert end_of(debugger, again) == (recording.end.clock, recording.end.ram, output)


def test_keys_come_where_they_came_while_steps_are_made(tmp_path: Path) -> None:
    """A key that comes while the guest computes: is it taken at its place between single steps?"""
    argv = [BUSYBOX, "sh", "-c", "while :; do i=1; done"]
    path = tmp_path / "r"
    record(path, argv, timeout=0.02)
    recording = read_recording(path)
    key = recording.end.clock - 5_000_000
    ends = []
    for steps in (False, True):
        changed = recording._replace(options={**recording.options, "tty": True},
                                     events=[(key, b"\x03")])
        with beginning(changed) as session:
            debugger = Debugger(session)
            if steps:
                debugger.continue_(key - 2_000)
                while debugger.machine.clock < key + 5_000:
                    debugger.stepi(50)
            stop = debugger.continue_()
            assert stop.result is not None
            assert stop.result.status == 130
            ends.append(end_of(debugger, bytearray(stop.result.output)))
    assert ends[0] == ends[1]


def test_the_end_from_outside_ends_the_debugging(recorded: tuple[Recording, bytes]) -> None:
    """Is it said that the recording goes no further, whether it runs or is stepped?"""
    recording, _ = recorded
    cut = recording._replace(events=[*recording.events[:1], (recording.events[1][0], None)])
    with beginning(cut) as session:
        stop = Debugger(session).continue_()
    assert stop.reason is Reason.EXITED
    assert stop.detail == "The recorded run was ended here, from outside."


def debug(*words: str, script: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "ringlet", "debug", *words], input=script,
                          capture_output=True, text=True, cwd=ROOT, check=False, timeout=60)


def test_a_recording_is_debugged_from_the_command_line(tmp_path: Path) -> None:
    """Does the program get the input of then, and is a snapshot gone on with?"""
    path = tmp_path / "r"
    record(path, [BUSYBOX, "cat"], b"from then\n")
    done = debug("--replay", str(path), script="catch syscall write\nc\np u64($rsi)\nc\nc\nc\n")
    assert "Call to write(0x1, " in done.stdout
    assert "from then" in done.stdout
    assert "The program has exited with status 0." in done.stdout
    assert done.returncode == 0

    file = tmp_path / "snapshot"
    with Session(seed=1) as session:
        session.run([BUSYBOX, "sh", "-c", "while :; do :; done"], timeout=0.01)
        write_file(session.snapshot(), file)
        clock = session.machine.clock
    done = debug("--resume", str(file), script="p clock\nbt 1\nstepi\np clock\n")
    assert f"{clock} ({clock:#x})" in done.stdout
    assert "Traceback" not in done.stderr
    assert done.returncode == 0


@pytest.mark.parametrize(("words", "said"), [
    (["--replay", "nowhere"], "nowhere"), (["--resume", "nowhere"], "nowhere"),
    (["--replay", "README.md"], "not a recording"), (["--resume", "README.md"], "not a snapshot"),
    (["--replay", "a", "--resume", "b"], "debug takes one of"), ([], "debug takes one of"),
    (["--replay", "a", "program"], "debug takes one of"),
    (["--replay", "a", "--seed", "3"], "--seed does not go with --replay"),
    (["--resume", "a", "--stdin", "x"], "--stdin does not go with --resume"),
])
def test_what_cannot_be_debugged_is_said(words: list[str], said: str) -> None:
    """Is it a sentence, and the status one of ours?"""
    done = debug(*words)
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode in (2, 125)
