"""Nothing of a program that ran on the host stays there, however its run has ended."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from ringlet import native
from tests.guest import ROOT, compile_c, run_native

# Two children in groups of their own, who take no notice of a hang-up, hold a FIFO open: its end
# is when they are gone.
PROGRAM: Final = r"""
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	int fifo = open(argv[1], O_WRONLY);

	for (int i = 0; i < 2; i++)
		if (!fork()) {
			setpgid(0, 0);
			signal(SIGHUP, SIG_IGN);
			signal(SIGTERM, SIG_IGN);
			close(0);
			close(1);
			close(2);
			write(fifo, "x", 1);
			for (;;)
				pause();
		}
	if (!strcmp(argv[2], "stay"))
		for (;;)
			pause();
	puts("over");
	return 5;
}
"""
RUN: Final = {
    "pipe": "from tests.guest import run_native; run_native({argv!r})",
    "terminal": "from tests.guest import Step, run_native_on_terminal; "
                "run_native_on_terminal({argv!r}, [Step(b'never', 'hang up')])",
}


@pytest.fixture
def program(tmp_path: Path) -> str:
    source = tmp_path / "stays.c"
    source.write_text(PROGRAM)
    return str(compile_c(source))


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


def read(fd: int, size: int) -> bytes:
    """Read from the FIFO when there is something, or its end."""
    ready, _, _ = select.select([fd], [], [], 60)
    assert ready, "somebody is still there"
    return os.read(fd, size)


def hold(fifo: Path) -> int:
    """Return the FIFO, open for reading: nobody has opened it for writing yet."""
    return os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)


@pytest.mark.native
@pytest.mark.parametrize("how", RUN)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=lambda number: number.name)
def test_a_program_ends_with_who_runs_it(program: str, fifo: Path, how: str,
                                         number: signal.Signals) -> None:
    """If the tests are cut off, are the program and its children gone, in whatever group?

    bad: the children wait for ever, and so does the end of the FIFO.
    """
    fd = hold(fifo)
    code = RUN[how].format(argv=[program, str(fifo), "stay"])
    runner = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.DEVNULL,
                              preexec_fn=native.default_signals)  # SIGINT may be ignored here
    seen = b""
    try:
        while len(seen) < 2:
            seen += read(fd, 2)
        runner.send_signal(number)
        assert runner.wait(60)
    finally:
        runner.kill()
        runner.wait()
    assert read(fd, 1) == b""
    os.close(fd)


@pytest.mark.native
def test_children_do_not_outlive_a_run(program: str, fifo: Path) -> None:
    """Are those gone whom a program leaves behind, and are its output and status as ever?"""
    fd = hold(fifo)
    assert run_native([program, str(fifo), "go"]) == (5, b"over\n")
    while read(fd, 2):
        pass
    os.close(fd)


@pytest.mark.native
def test_a_program_that_hangs_is_ended(program: str, fifo: Path,
                                       monkeypatch: pytest.MonkeyPatch) -> None:
    """Is what is given up said, and gone?"""
    monkeypatch.setattr(native, "TIMEOUT", 1)
    fd = hold(fifo)
    with pytest.raises(subprocess.TimeoutExpired):
        run_native([program, str(fifo), "stay"])
    while read(fd, 2):
        pass
    os.close(fd)


@pytest.mark.native
def test_a_program_begins_as_in_the_guest() -> None:
    """Are streams, status of a death, and input of any length what a shell has?"""
    assert run_native(["/bin/sh", "-c", "cat; echo err >&2; kill -9 $$"], b"x" * 200_000) == (
        128 + 9, b"x" * 200_000 + b"err\n")
    assert run_native(["/bin/sh", "-c", "exec <&-; echo early"], b"x" * 200_000) == (0, b"early\n")
    with pytest.raises(FileNotFoundError):
        run_native(["/nowhere"])
