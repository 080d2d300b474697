"""``ringlet shell --record`` at a terminal of the host, and ``ringlet replay`` of that."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from ringlet.recording import DivergenceError, Recording, read_recording, replay
from ringlet.shell import LISTED, RootError, ShellRoot
from tests.guest import ROOT
from tests.programs.debian import program
from tests.tools.terminal import PATIENCE, Terminal
from tests.tools.test_shell import BASH, SH, shell

SMALL: Final = 100 << 10
ENDED: Final = "ringlet: the run was ended here, from outside\n"


@pytest.fixture(autouse=True)
def programs() -> None:
    """Both shells have been fetched."""
    program("busybox")
    program("bash-static")


def ringlet(*words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-m", "ringlet", *words], cwd=ROOT, input=stdin,
                          capture_output=True, timeout=PATIENCE, check=False)


def person(terminal: Terminal) -> None:
    """Work at bash: commands, ^C at a program that waits and at one that computes, a new window."""
    terminal.expect(BASH)
    terminal.type("echo $RANDOM; od -A n -N 4 -t x4 /dev/urandom | cat; date\r")
    terminal.expect(BASH)
    terminal.type("echo started; cat\r")
    terminal.expect("\r\nstarted\r\n")
    terminal.type("hello\r")
    terminal.expect("hello\r\nhello\r\n")
    terminal.type("\x03")
    terminal.expect(BASH)
    terminal.type("echo begun; while :; do :; done\r")
    terminal.expect("\r\nbegun\r\n")
    terminal.resize(20, 60)
    terminal.type("\x03")
    terminal.expect(BASH)
    terminal.type("stty size; sleep 0.2\r")
    terminal.expect("\r\n20 60\r\n")
    terminal.expect(BASH)
    terminal.resize(40, 90)
    terminal.type("stty size; exit 7\r")
    terminal.expect("\r\n40 90\r\n")
    assert terminal.wait() == 7


@pytest.fixture(scope="module", params=[[], ["--no-realtime"]], ids=["paced", "free"])
def recorded(request: pytest.FixtureRequest,
             tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """A recording of a person at bash, and what the console sent."""
    path: Path = tmp_path_factory.mktemp("shell") / "r"
    with shell("--record", str(path), *request.param) as terminal:
        person(terminal)
        return path, terminal.output.encode()


# Replayed


@pytest.mark.parametrize("microcode", ["native", "python"])
def test_a_session_at_the_terminal_is_done_again_exactly(recorded: tuple[Path, bytes],
                                                         microcode: Any) -> None:
    """Are console, clock, RAM and every host call the same, on either microcode?"""
    path, output = recorded
    again = bytearray()
    result = replay(read_recording(path), again.extend, microcode=microcode)
    assert (bytes(again), result and result.status) == (output, 7)


def test_the_command_line_does_it_again_in_another_process(recorded: tuple[Path, bytes]) -> None:
    """Without a terminal and without a key, do the same bytes and the same status come out?"""
    path, output = recorded
    done = ringlet("replay", str(path))
    assert (done.stdout, done.stderr, done.returncode) == (output, b"", 7)


def test_what_came_from_the_terminal_is_all_that_is_kept(recorded: tuple[Path, bytes]) -> None:
    """Are keys and windows there by their clock, root and program by name, in a small file?"""
    path, _ = recorded
    recording = read_recording(path)
    clocks = [clock for clock, _ in recording.events]
    assert clocks == sorted(clocks)
    assert [what for _, what in recording.events if isinstance(what, tuple)] == [(20, 60),
                                                                                  (40, 90)]
    keys = b"".join(what for _, what in recording.events if isinstance(what, bytes))
    assert keys.count(b"\x03") == 2
    assert keys.endswith(b"exit 7\r")
    assert recording.root is not None
    assert set(recording.root.digests) == {"/bin/busybox", "/bin/bash", "/etc/passwd",
                                           "/etc/group"}
    assert (recording.argv, recording.program) == (["/bin/bash"], "")
    assert path.stat().st_size <= SMALL


def _later_key(recording: Recording) -> Recording:
    events = list(recording.events)
    place = next(i for i, (_, what) in enumerate(events) if what == b"\x03")
    events[place] = events[place][0] + 1000, b"\x03"
    return recording._replace(events=events)


def _other_window(recording: Recording) -> Recording:
    return recording._replace(events=[
        (clock, (21, 60) if what == (20, 60) else what) for clock, what in recording.events])


@pytest.mark.parametrize("change", [_later_key, _other_window], ids=["key", "window"])
def test_another_session_is_named_with_its_place(recorded: tuple[Path, bytes],
                                                 change: Callable[[Recording], Recording]) -> None:
    """Is the clock named up to which all was equal, and the first difference?"""
    recording = read_recording(recorded[0])
    with pytest.raises(DivergenceError, match=r"^after clock \d+ the replay (makes|differs)"):
        replay(change(recording))


# How a session can end


def _busy(terminal: Terminal) -> None:
    terminal.type("trap '' INT; echo begun; while :; do :; done\r")
    terminal.expect("\r\nbegun\r\n")


def _idle(terminal: Terminal) -> None:
    terminal.type("echo begun; sleep 100\r")
    terminal.expect("\r\nbegun\r\n")


@pytest.mark.parametrize("doing", [_busy, _idle])
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_what_a_signal_ends_is_replayed_up_to_there(
        doing: Callable[[Terminal], None], signum: signal.Signals, tmp_path: Path) -> None:
    """Is the recording written when a signal ends ringlet, and does the replay end there, too?"""
    path = tmp_path / "r"
    with shell("--record", str(path), "/bin/sh") as terminal:
        terminal.expect(SH)
        doing(terminal)
        terminal.process.send_signal(signum)
        assert terminal.wait() == -signum
        output = terminal.output.encode()
    assert read_recording(path).events[-1] == (read_recording(path).end.clock, None)
    done = ringlet("replay", str(path))
    assert (done.stdout, done.stderr.decode(), done.returncode) == (output, ENDED, 130)


def test_a_run_at_a_terminal_is_recorded_in_the_same_way(tmp_path: Path) -> None:
    """Does ``ringlet run --record`` leave what can be replayed when a signal ends it?"""
    path = tmp_path / "r"
    words = ["run", "--record", str(path), str(program("busybox")), "sh", "-c", "echo begun; cat"]
    with Terminal([sys.executable, "-m", "ringlet", *words]) as terminal:
        terminal.expect("begun")
        terminal.process.terminate()
        assert terminal.wait() == -signal.SIGTERM
    done = ringlet("replay", str(path))
    assert (done.stdout, done.stderr.decode(), done.returncode) == (b"begun\r\n", ENDED, 130)


@pytest.mark.parametrize("keys", [["\x1d\x1d\x1d"], ["\x1d", "\x1d", "\x1d"]])
def test_what_its_person_has_left_is_replayed_up_to_there(keys: list[str], tmp_path: Path) -> None:
    """Does Ctrl-] end the replay where the person left, with no key more?"""
    path = tmp_path / "r"
    with shell("--record", str(path), "/bin/sh") as terminal:
        terminal.expect(SH)
        terminal.type("cat\r")
        terminal.expect("\r\n")
        for key in keys:
            terminal.type(key)
            if key is not keys[-1]:
                terminal.expect(r"\^]")
        assert terminal.wait() == 130
    output = terminal.output.partition("ringlet: left the guest")[0].encode()
    done = ringlet("replay", str(path))
    assert (done.stdout, done.stderr.decode(), done.returncode) == (output, ENDED, 130)


def test_a_terminal_that_goes_away_leaves_a_recording(tmp_path: Path) -> None:
    """Is a hang-up replayed, whether the guest has still seen it or not?"""
    path = tmp_path / "r"
    with shell("--record", str(path)) as terminal:
        terminal.expect(BASH)
        os.close(terminal.master)
        terminal.master = os.dup(2)
        status = terminal.process.wait(PATIENCE)
    assert status in (-signal.SIGHUP, 129)
    assert ringlet("replay", str(path)).returncode == (129 if status == 129 else 130)


def test_an_interrupt_without_a_terminal_ends_the_replay_there(tmp_path: Path) -> None:
    """Does a run that ^C has ended in the middle of something end again, and not go on?"""
    path = tmp_path / "r"
    with subprocess.Popen([sys.executable, "-m", "ringlet", "shell", "--record", str(path)],
                          cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"echo begun; while :; do :; done\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"begun\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130
    done = ringlet("replay", str(path))
    assert (done.stdout, done.stderr.decode(), done.returncode) == (b"begun\n", ENDED, 130)


def test_a_file_that_cannot_be_written_is_said_before_the_session(tmp_path: Path) -> None:
    """Does nobody work for an hour, only to learn that nothing has been recorded?"""
    for words in (["shell"], ["run", str(program("busybox")), "true"]):
        done = ringlet(words[0], "--record", str(tmp_path), *words[1:], stdin=b"echo ran\n")
        assert (done.stdout, done.returncode) == (b"", 125)
        assert done.stderr.decode() == (
            f"ringlet: [Errno 21] Is a directory: '{tmp_path}'\n")
    done = ringlet("shell", "--record", "/dev/full", stdin=b"echo ran\n")
    assert (done.stdout, done.returncode) == (b"ran\n", 125)
    assert done.stderr.decode() == "ringlet: /dev/full: No space left on device\n"


# The root


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory with busybox that can be a root."""
    root = tmp_path / "root"
    (root / "bin").mkdir(parents=True)
    (root / "bin" / "busybox").write_bytes(program("busybox").read_bytes())
    (root / "bin" / "busybox").chmod(0o755)
    (root / "bin" / "sh").symlink_to("busybox")
    (root / "etc").mkdir()
    (root / "etc" / "motd").write_text("hello\n")
    return root


CHANGES: Final[dict[str, tuple[Callable[[Path], Any], str]]] = {
    "content": (lambda root: (root / "etc/motd").write_text("Hello\n"),
                "/etc/motd is not what was in the root that was recorded"),
    "mode": (lambda root: (root / "etc/motd").chmod(0o600),
             "/etc/motd is not what was in the root that was recorded"),
    "directory": (lambda root: (root / "etc").chmod(0o700),
                  "/etc is not what was in the root that was recorded"),
    "link": (lambda root: (root / "bin/sh").unlink() or (root / "bin/sh").symlink_to("x"),
             "/bin/sh is not what was in the root that was recorded"),
    "missing": (lambda root: (root / "etc/motd").unlink(),
                "/etc/motd is missing; it was in the root that was recorded"),
    "more": (lambda root: (root / "etc/more").touch(),
             "/etc/more was not in the root that was recorded"),
    "gone": (lambda root: root.rename(root.with_name("elsewhere")), ": No such file or directory"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_another_root_is_refused_by_name(change: str, folder: Path, tmp_path: Path) -> None:
    """Is a file of ``--root`` that is not as it was named, and the replay not begun?"""
    path = tmp_path / "r"
    words = ["shell", "--root", str(folder), "--record", str(path)]
    first = ringlet(*words, stdin=b"/bin/busybox cat /etc/motd; exit 3\n")
    then = ringlet("replay", str(path))
    assert (first.stdout, first.returncode) == (then.stdout, then.returncode) == (b"hello\n", 3)
    act, message = CHANGES[change]
    act(folder)
    done = ringlet("replay", str(path))
    assert (done.stdout, done.returncode) == (b"", 125)
    assert done.stderr.decode() == f"ringlet: {folder}{message}\n"


def test_another_shell_of_ours_is_refused_by_name(tmp_path: Path,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    """Is a fetched program that has changed, or is not there, named?"""
    path = tmp_path / "r"
    assert ringlet("shell", "--record", str(path), stdin=b"exit 0\n").returncode == 0
    recording = read_recording(path)
    monkeypatch.setattr("ringlet.shell.PROGRAMS", str(tmp_path))
    (tmp_path / "busybox").write_bytes(program("busybox").read_bytes())
    with pytest.raises(RootError, match=f"^{tmp_path}/bash-static: No such file or directory$"):
        replay(recording)
    (tmp_path / "bash-static").write_bytes(program("bash-static").read_bytes() + b"\0")
    with pytest.raises(RootError, match=f"^{tmp_path}/bash-static is not what was in the root "
                                        "that was recorded$"):
        replay(recording)


def test_a_root_of_many_files_stays_small(folder: Path, tmp_path: Path) -> None:
    """Is a large root kept by directory, and then the directory named that has changed?"""
    for number in range(1500):
        place = folder / "usr" / "share" / f"package-{number // 50}" / "doc" / str(number)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(str(number))
    contents = ShellRoot(str(folder)).contents()
    assert contents.depth == 4
    assert sum(map(len, contents.digests.values())) < LISTED
    assert "/etc/motd" in contents.digests
    path = tmp_path / "r"
    words = ["shell", "--root", str(folder), "--record", str(path)]
    assert ringlet(*words, stdin=b"exit 3\n").returncode == 3
    assert path.stat().st_size <= SMALL
    assert ringlet("replay", str(path)).returncode == 3
    (folder / "usr" / "share" / "package-7" / "doc" / "370").write_text("37")
    done = ringlet("replay", str(path))
    assert done.stderr.decode() == (f"ringlet: {folder}/usr/share/package-7/doc/ is not what was "
                                    "in the root that was recorded\n")


@pytest.mark.parametrize("stdin", [b"", b"echo $((6 * 7)) | cat\nexit 3\n"])
def test_a_shell_without_a_terminal_is_recorded_too(stdin: bytes, tmp_path: Path) -> None:
    """Is a script from a pipe done again without it?"""
    path = str(tmp_path / "r")
    first, then = ringlet("shell", "--record", path, stdin=stdin), ringlet("replay", path)
    assert (first.stdout, first.returncode) == (then.stdout, then.returncode)
    assert first.returncode == (3 if stdin else 0)
