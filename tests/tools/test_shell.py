"""``ringlet shell`` at a terminal of the host, as a person would use it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import pytest

from tests.guest import ROOT
from tests.programs.debian import program
from tests.tools.terminal import PATIENCE, Terminal

BASH: Final = r"bash-5\.\d# "
SH: Final = r"/ # "


def shell(*words: str) -> Terminal:
    """Start ``ringlet shell`` on a terminal."""
    return Terminal([sys.executable, "-m", "ringlet", "shell", "--mem", "64M", *words])


@pytest.fixture(autouse=True)
def programs() -> None:
    """Both shells have been fetched."""
    program("busybox")
    program("bash-static")


@pytest.mark.parametrize(("words", "prompt"), [([], BASH), (["/bin/sh"], SH)],
                         ids=["bash", "busybox"])
def test_a_person_works_at_the_shell(words: list[str], prompt: str) -> None:
    """Do keys, jobs, pipelines and the window do what they do on Linux?"""
    with shell(*words) as terminal:
        terminal.expect(prompt)
        assert terminal.is_raw
        terminal.type("echo started; cat\r")
        terminal.expect("\r\nstarted\r\n")
        terminal.type("hello\r")
        terminal.expect("hello\r\nhello\r\n")
        terminal.type("\x03")
        terminal.expect(r"\^C")
        terminal.expect(prompt)
        terminal.type("echo started; sleep 100\r")
        terminal.expect("\r\nstarted\r\n")
        time.sleep(0.2)  # a person sees that nothing happens
        terminal.type("\x1a")
        terminal.expect(r"\^Z")
        terminal.expect(r"\[1\]\+ +Stopped +sleep 100")
        terminal.expect(prompt)
        terminal.type("jobs\r")
        terminal.expect(r"\[1\]\+ +Stopped +sleep 100")
        terminal.expect(prompt)
        terminal.type("bg\r")
        terminal.expect(r"\[1\]\+? +sleep 100")
        terminal.expect(prompt)
        terminal.type("jobs\r")
        terminal.expect(r"\[1\]\+ +Running +sleep 100")
        terminal.expect(prompt)
        terminal.type("fg\r")
        terminal.expect("sleep 100\r\n")
        terminal.type("\x03")
        terminal.expect(prompt)
        terminal.type("echo one two | tr a-z A-Z | cat\r")
        terminal.expect("\r\nONE TWO\r\n")
        terminal.expect(prompt)
        terminal.type("stty size\r")
        terminal.expect("\r\n30 100\r\n")
        terminal.expect(prompt)
        terminal.resize(20, 60)
        terminal.type("stty size\r")
        terminal.expect("\r\n20 60\r\n")
        terminal.expect(prompt)
        terminal.type("tty; exit 7\r")
        terminal.expect("/dev/ttyS0\r\n")
        assert terminal.wait() == 7
        assert terminal.modes == terminal.before


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_the_terminal_is_given_back_when_a_signal_ends_ringlet(signum: signal.Signals) -> None:
    """Is it as it was, and does ringlet end by the signal?"""
    with shell() as terminal:
        terminal.expect(BASH)
        assert terminal.is_raw
        terminal.process.send_signal(signum)
        assert terminal.wait() == -signum
        assert terminal.modes == terminal.before


def test_the_terminal_is_given_back_while_the_guest_computes() -> None:
    """Does SIGTERM end a guest that never waits?"""
    with shell("/bin/sh") as terminal:
        terminal.expect(SH)
        terminal.type("echo begun; while :; do :; done\r")
        terminal.expect("\r\nbegun\r\n")
        terminal.process.terminate()
        assert terminal.wait() == -signal.SIGTERM
        assert terminal.modes == terminal.before


def test_a_key_interrupts_a_guest_that_computes() -> None:
    """Does ^C reach a program that never waits?"""
    with shell("/bin/sh") as terminal:
        terminal.expect(SH)
        terminal.type("echo begun; while :; do :; done\r")
        terminal.expect("\r\nbegun\r\n")
        terminal.type("\x03")
        terminal.expect(SH)
        terminal.type("exit\r")
        terminal.wait()


CRASHES: Final = {
    "exception": "raise RuntimeError('a mistake')",
    "fault": "import ctypes; ctypes.string_at(8)",
    "kill": "import os; os.kill(os.getpid(), 9)",
}
_CRASH: Final = """
import sys
from emulator.devices.uart import Uart
def crash(self):
    %s
Uart.hang_up = crash
feed = Uart.feed
def fed(self, data):
    feed(self, data)
    if b"!" in data:
        crash(self)
Uart.feed = fed
from ringlet.__main__ import script
sys.argv[1:] = ["shell", "--mem", "64M"]
script()
"""


@pytest.mark.parametrize("how", CRASHES)
def test_the_terminal_is_given_back_after_a_crash(how: str) -> None:
    """Is it as it was after a mistake of the emulator's, a fault of the process, SIGKILL?"""
    with Terminal([sys.executable, "-c", _CRASH % CRASHES[how]]) as terminal:
        terminal.expect(BASH)
        assert terminal.is_raw
        terminal.type("!")
        status = terminal.wait()
        assert status == {"exception": 1, "fault": -signal.SIGSEGV, "kill": -signal.SIGKILL}[how]
        end = time.monotonic() + PATIENCE
        while terminal.modes != terminal.before and time.monotonic() < end:
            time.sleep(0.01)  # the guardian is another process
        assert terminal.modes == terminal.before
        if how == "exception":
            assert "RuntimeError: a mistake" in terminal.left


def test_ringlet_can_be_stopped_and_continued() -> None:
    """Is the terminal given back for as long as SIGTSTP stops ringlet, and taken again?"""
    with shell("/bin/sh") as terminal:
        terminal.expect(SH)
        terminal.process.send_signal(signal.SIGTSTP)
        end = time.monotonic() + PATIENCE
        while terminal.is_raw and time.monotonic() < end:
            time.sleep(0.01)
        assert terminal.modes == terminal.before
        terminal.resize(11, 44)
        terminal.process.send_signal(signal.SIGCONT)
        while not terminal.is_raw and time.monotonic() < end:
            time.sleep(0.01)
        terminal.type("stty size\r")
        terminal.expect("\r\n11 44\r\n")
        terminal.type("exit\r")
        assert terminal.wait() == 0


def test_three_times_a_key_leaves_a_guest_that_does_not_answer() -> None:
    """Is there a way out, and is the terminal given back?"""
    with shell("/bin/sh") as terminal:
        terminal.expect(SH)
        terminal.type("trap '' INT; echo begun; while :; do :; done\r")
        terminal.expect("\r\nbegun\r\n")
        terminal.type("\x03\x1d\x1d\x1d")
        assert terminal.wait() == 130
        assert "ringlet: left the guest" in terminal.left
        assert terminal.modes == terminal.before


def test_a_terminal_that_goes_away_hangs_the_guests_up() -> None:
    """Does the shell in the guest end when the person has gone?"""
    with shell() as terminal:
        terminal.expect(BASH)
        os.close(terminal.master)
        terminal.master = os.dup(2)
        assert terminal.process.wait(PATIENCE) in (-signal.SIGHUP, 129)


def test_the_host_idles_while_the_guest_waits() -> None:
    """Does waiting for a key take no time of the processor?"""
    with shell("/bin/sh") as terminal:
        terminal.expect(SH)
        times = Path(f"/proc/{terminal.process.pid}/stat")

        def ticks() -> int:
            fields = times.read_text().rpartition(")")[2].split()
            return int(fields[11]) + int(fields[12])

        before = ticks()
        time.sleep(1)
        assert ticks() - before <= 10  # of 100 that a busy loop would take
        terminal.type("exit\r")
        terminal.wait()


def test_a_trace_on_the_guests_terminal_has_whole_lines() -> None:
    """Does each line begin at the left, though the terminal is raw?"""
    with Terminal([sys.executable, "-m", "ringlet", "run", "--strace", str(program("busybox")),
                   "echo", "hello"]) as terminal:
        assert terminal.wait() == 0
        terminal.expect("exited with 0")
        lines = terminal.output.split("\n")
        assert len(lines) > 10
        assert all(line.endswith("\r") for line in lines[:-1])


def test_commands_can_come_from_a_pipe() -> None:
    """Is a shell without a terminal one that reads a script?"""
    done = subprocess.run([sys.executable, "-m", "ringlet", "shell", "--mem", "64M"], cwd=ROOT,
                          input=b"echo $((6 * 7)) | cat\ntty\nexit 3\n", capture_output=True,
                          timeout=PATIENCE, check=False)
    assert (done.stdout, done.stderr, done.returncode) == (b"42\nnot a tty\n", b"", 3)


def test_a_folder_can_be_the_root(tmp_path: Path) -> None:
    """Are its files, links and permissions in the guest?"""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "busybox").write_bytes(program("busybox").read_bytes())
    (tmp_path / "bin" / "busybox").chmod(0o755)
    (tmp_path / "bin" / "sh").symlink_to("busybox")
    (tmp_path / "etc").mkdir(0o700)
    (tmp_path / "etc" / "motd").write_text("hello\n")
    (tmp_path / "etc" / "motd").chmod(0o640)
    script = b"cd /etc; /bin/busybox cat motd; /bin/busybox stat -c '%a %n' . motd\n"
    done = subprocess.run([sys.executable, "-m", "ringlet", "shell", "--root", str(tmp_path)],
                          cwd=ROOT, input=script, capture_output=True, timeout=PATIENCE,
                          check=False)
    assert (done.stdout, done.stderr) == (b"hello\n700 .\n640 motd\n", b"")


@pytest.mark.parametrize(("words", "message"), [
    (["--root", "/nowhere"], "/nowhere: is not a directory"),
    (["--root", "{empty}"], "{empty}: has neither /bin/bash nor /bin/sh; name a program"),
    (["/bin/nothing"], "/bin/nothing: No such file or directory"),
])
def test_what_cannot_be_is_said(words: list[str], message: str, tmp_path: Path) -> None:
    """Does a root without a shell, or a shell that is not there, give a clear error?"""
    words = [word.format(empty=tmp_path) for word in words]
    done = subprocess.run([sys.executable, "-m", "ringlet", "shell", *words], cwd=ROOT, input=b"",
                          capture_output=True, timeout=PATIENCE, check=False)
    assert done.returncode in (125, 127)
    assert done.stderr.decode() == f"ringlet: {message.format(empty=tmp_path)}\n"


def test_a_program_at_a_terminal_is_gone_on_with_at_another(tmp_path: Path) -> None:
    """After --snapshot, does ringlet resume give keys, ^C and the window's size to the guest?"""
    file = str(tmp_path / "snapshot")
    busybox = str(program("busybox"))
    script = "trap 'echo caught' INT; sleep 1; read x; echo got $x; stty size; read y; echo end"
    with Terminal([sys.executable, "-m", "ringlet", "run", "--timeout", "0.5", "--snapshot", file,
                   busybox, "sh", "-c", script]) as terminal:
        assert terminal.wait() == 124
    with Terminal([sys.executable, "-m", "ringlet", "resume", file], rows=17,
                  columns=71) as terminal:
        terminal.type("abc\r")
        terminal.expect("got abc")
        terminal.expect("17 71")
        terminal.type("\x03")
        terminal.expect("caught")
        terminal.type("\r")
        terminal.expect("end")
        assert terminal.wait() == 0
        assert terminal.modes == terminal.before
