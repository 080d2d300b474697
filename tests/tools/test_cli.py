"""The command line, as a person or a script uses it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.guest import ROOT, userland
from tests.programs.debian import program


def ringlet(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run ``python -m ringlet``."""
    return subprocess.run([sys.executable, "-m", "ringlet", *arguments], input=stdin,
                          capture_output=True, cwd=ROOT, timeout=120, check=False)


def test_run_prints_what_the_program_prints_and_ends_with_its_status() -> None:
    """Do output and status come through?"""
    done = ringlet("run", str(userland("hello")))
    assert (done.stdout, done.stderr, done.returncode) == (b"hello, world\n", b"", 0)
    assert ringlet("run", str(userland("exit42"))).returncode == 42


def test_standard_input_reaches_the_program_unchanged() -> None:
    """Is standard input passed byte for byte, with its end?"""
    data = bytes(range(256)) * 100
    done = ringlet("run", str(program("busybox")), "cat", stdin=data)
    assert done.stdout == data


def test_a_program_killed_by_a_signal_gives_128_plus_its_number() -> None:
    """Is SIGSEGV status 139, as a shell has it?"""
    assert ringlet("run", str(userland("rings")), "null-read").returncode == 139


def test_relative_path_and_argv0_are_as_given() -> None:
    """Does the program see the name that was typed?"""
    busybox = program("busybox").relative_to(ROOT)
    done = ringlet("run", f"./{busybox}", "sh", "-c", "echo $0")
    assert (done.stdout, done.returncode) == (b"sh\n", 0)


@pytest.mark.parametrize("options", [[], ["--seed", "1"], ["--"]], ids=["none", "one", "end"])
def test_what_follows_the_program_is_the_program_s(options: list[str]) -> None:
    """Do words that look like options of ours, and ``--``, reach the program?"""
    words = [str(program("busybox")), "--", "--seed", "--", "run"]
    done = ringlet("run", *options, *words)
    assert done.stderr + done.stdout == b"--: applet not found\n"
    words[1:1] = ["echo"]
    assert ringlet("run", *options, *words).stdout == b"-- --seed -- run\n"


def test_policy_and_quantum_decide_whose_output_comes_first() -> None:
    """Do children of a shell print one after the other, or in turns, as the options say?"""
    script = "for j in A B C; do for i in {1..8}; do echo -n $j; done & done; wait"
    bash = str(program("bash-static"))
    fifo = ringlet("run", "--sched", "fifo", bash, "-c", script).stdout
    turns = ringlet("run", "--sched=rr", "--quantum", "5us", bash, "-c", script).stdout
    assert fifo == b"A" * 8 + b"B" * 8 + b"C" * 8
    assert sorted(turns) == sorted(fifo)
    assert len(set(turns[:8])) == 3


def test_program_that_nothing_can_wake_is_said_to_be_so() -> None:
    """Is a machine on which nothing can happen any more an error that names who sleeps?"""
    done = ringlet("run", str(program("bash-static")), "-c", "echo before; kill -STOP $$; echo no")
    assert (done.stdout, done.returncode) == (b"before\n", 125)
    assert done.stderr.decode().endswith(
        "bash-static: every task sleeps for ever: 3 bash-static is stopped\n")


def test_environment_is_small_and_can_be_set() -> None:
    """Does the program get the variables given, and none of the host's?"""
    done = ringlet("run", "--env", "A=1", "--env", "B=x y", str(program("busybox")), "env")
    lines = done.stdout.decode().splitlines()
    assert {"A=1", "B=x y"} <= set(lines)
    assert {line.partition("=")[0] for line in lines} == {"A", "B", "HOME", "PATH", "TERM"}


@pytest.mark.parametrize(("arguments", "status", "message"), [
    (["/no/such/program"], 127, "ringlet: /no/such/program: no such file"),
    (["/"], 126, "ringlet: /: is a directory"),
    (["README.md"], 126, "ringlet: README.md: is not executable"),
    (["--mem", "8K", "/bin/true"], 125,
     "ringlet: 8 KiB of memory are not enough; this needs "),
    (["--mem", "2560K", str(program("bash-static"))], 125,
     f"ringlet: {program('bash-static')}: does not fit in 2560 KiB of memory"),
    (["--sched", "fifo", "--quantum", "4ms", str(userland("hello"))], 125,
     "ringlet: fifo has no quantum: a task runs as long as it likes"),
    (["--sched=cfs", str(userland("hello"))], 125, "ringlet: 'cfs' is no scheduling policy: "),
    (["/bin/true"], 127, "ringlet: /bin/true: its program interpreter (dynamic linker) is not in"),
])
def test_what_cannot_be_run_is_said_in_one_line(arguments: list[str], status: int,
                                                message: str) -> None:
    """Is the error one clear line, with docker's status?"""
    done = ringlet("run", *arguments)
    lines = done.stderr.decode().splitlines()
    assert done.returncode == status
    assert len(lines) == 1
    assert lines[0].startswith(message)


@pytest.mark.parametrize(("content", "message"), [
    (b"#!/bin/sh\necho hi\n", "is not an ELF program"),
    (b"", "is not an ELF program"),
    (b"\x7fELF\x01\x01\x01" + bytes(9) + b"\x02\0\x03\0", "is a 32-bit i386 program; only 64-bit "
     "x86-64 ones run"),
    (b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\0\xb7\0", "is a 64-bit AArch64 program; only "
     "64-bit x86-64 ones run"),
    (b"\x7fELF\x01\x01\x01" + bytes(9) + b"\x02\0\x28\0", "is a 32-bit Arm program; only 64-bit "
     "x86-64 ones run"),
])
def test_a_foreign_program_is_said_to_be_one(content: bytes, message: str, tmp_path: Path) -> None:
    """Does the message say what the file is instead?"""
    path = tmp_path / "foreign"
    path.write_bytes(content)
    path.chmod(0o755)
    done = ringlet("run", str(path))
    assert done.returncode == 126
    assert done.stderr.decode() == f"ringlet: {path}: {message}\n"


@pytest.mark.parametrize("arguments", [
    ["run"], ["run", "--mem", "lots", "x"], ["run", "--seed", "-1", "x"],
    ["run", "--timeout", "0", "x"], ["run", "--env", "novalue", "x"], ["run", "--nonsense", "x"],
    ["nonsense"], [],
])
def test_wrong_usage_is_refused(arguments: list[str]) -> None:
    """Is a wrong option an error with a usage line, before anything runs?"""
    done = ringlet(*arguments)
    assert done.returncode == 2
    assert b"usage: ringlet" in done.stderr
    assert b"Traceback" not in done.stderr


def test_timeout_is_virtual_and_gives_124() -> None:
    """Is a program that never ends given up after the virtual time asked for?"""
    done = ringlet("run", "--timeout", "0.05", str(program("busybox")), "sh", "-c",
                   "while :; do :; done")
    assert done.returncode == 124
    assert done.stderr == b"ringlet: gave up after 0.05 s of virtual time\n"


def test_sleeping_costs_no_time() -> None:
    """Does a sleep of ten hours end, well before the test's own time-out?"""
    done = ringlet("run", str(program("busybox")), "sleep", "36000")
    assert done.returncode == 0


def test_stats_as_json_is_one_object() -> None:
    """Can a script read the statistics?"""
    done = ringlet("run", "--stats=json", str(program("busybox")), "echo", "hi")
    stats = json.loads(done.stderr)
    assert done.stdout == b"hi\n"
    assert stats["syscalls"]["write"] >= 1
    assert stats["faults"]["anonymous"] > 0
    assert stats["exceptions"]["#PF"] >= sum(stats["faults"].values()) / 2
    assert stats["context_switches"] >= 2


def test_stats_as_text_names_its_numbers() -> None:
    """Does a person find calls and faults by name?"""
    text = ringlet("run", "--stats", str(userland("hello"))).stderr.decode()
    for word in ("virtual time", "context switches", "system calls", "write", "#PF"):
        assert word in text


def test_dmesg_shows_the_boot_and_a_segfault() -> None:
    """Does --dmesg print the kernel log?"""
    text = ringlet("run", "--dmesg", str(userland("rings")), "null-read").stderr.decode()
    assert "Linux version 6.12.0-ringlet" in text
    assert "segfault at 0 ip" in text


def test_both_microcodes_give_the_same_output() -> None:
    """Does --microcode only change speed?"""
    outputs = {ringlet("run", f"--microcode={kind}", str(program("busybox")), "seq", "20").stdout
               for kind in ("native", "python")}
    assert outputs == {b"".join(b"%d\n" % n for n in range(1, 21))}


def test_syscalls_lists_every_row_with_its_support() -> None:
    """Does the list say which calls are there, partly there, or absent?"""
    lines = ringlet("syscalls").stdout.decode().splitlines()
    assert lines[0].split() == ["0", "read", "supported"]
    assert any(line.split()[:3] == ["41", "socket", "absent"] for line in lines)
    assert len(lines) > 370


def test_demo_shows_the_page_table_entry_before_and_after() -> None:
    """Does the demonstration show rings, the fault and the entry?"""
    done = ringlet("demo")
    text = done.stdout.decode()
    assert done.returncode == 0
    assert text.index("not present") < text.index("P|RW|US|A|D|NX")
    assert "ring 3" in text


def test_a_closed_pipe_ends_the_run_quietly() -> None:
    """Does ``ringlet run … | head -1`` end without a traceback?"""
    command = (f"{sys.executable} -m ringlet run {program('busybox')} seq 1 200000 | head -n 1; "
               "echo ${PIPESTATUS[0]}")
    done = subprocess.run(["bash", "-c", command], capture_output=True, cwd=ROOT, timeout=120,
                          check=False)
    assert done.stdout == b"1\n141\n"
    assert done.stderr == b""


def test_realtime_makes_a_sleep_last() -> None:
    """With --realtime, does half a virtual second take at least as long on the host?"""
    start = time.monotonic()
    done = ringlet("run", "--realtime", str(program("busybox")), "sleep", "0.5")
    assert done.returncode == 0
    assert time.monotonic() - start >= 0.5
