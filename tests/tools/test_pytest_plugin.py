"""The pytest plugin, as a project that tests with it uses it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.guest import ROOT
from tests.programs.debian import program

pytest_plugins = ["pytester"]

HELLO = """\
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char line[64];

	while (fgets(line, sizeof(line), stdin))
		printf("%s: %s", argv[1], line);
	return argc;
}
"""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """An empty project; pytest runs in a process of its own, as a user's does."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(Path.home() / ".cache"))
    pytester.makefile(".c", hello=HELLO)
    return pytester


def test_a_few_lines_of_assembly(project: pytest.Pytester) -> None:
    """Are registers, memory, flags and traps of both rings there, and each test's its own?"""
    project.makepyfile("""
        import pytest
        from emulator.arch.exceptions import Vector
        from emulator.bare import USER_DATA

        def test_registers(asm):
            r = asm("mov rax, 6\\nimul rax, rbx", ring=3, rbx=7)
            assert r.rax == 42
            assert r.trap is None

        def test_memory(asm):
            r = asm("mov dword ptr [rsi], 0x1234", ring=3, rsi=USER_DATA)
            assert r.mem.u32(USER_DATA) == 0x1234
            assert r.mem[USER_DATA:USER_DATA + 2] == b"\\x34\\x12"

        def test_memory_is_new_in_each_test(asm):
            assert asm("nop").mem.u32(USER_DATA) == 0

        def test_traps(asm, machine):
            r = asm("mov eax, [rsi]", ring=3, rsi=0xdead000)
            assert [t.vector for t in r.traps] == [Vector.PF]
            assert r.trap.cr2 == 0xdead000

        def test_flags_and_entries(asm):
            r = asm("stc", ring=3)
            assert r.flags & 1
            assert r.entry(USER_DATA) & 7 == 7

        @pytest.mark.machine(mem=8 << 20)
        def test_marker(machine):
            assert machine.ram.size == 8 << 20
    """)
    project.runpytest_subprocess("-q").assert_outcomes(passed=6)


def test_programs_on_the_kernel(project: pytest.Pytester) -> None:
    """Are C files compiled and programs run, with input, status and counts?"""
    project.makepyfile(f"""
        import pytest

        def test_c(guest):
            r = guest("hello.c", "me", stdin=b"hi\\n")
            assert (r.stdout, r.status) == (b"me: hi\\n", 2)
            assert r.syscalls["write"] == 1
            assert r.faults["anonymous"] > 0

        @pytest.mark.native
        def test_both(guest):
            assert guest("hello.c", "x", stdin=b"a\\nb\\n").status == 2

        def test_a_program(guest, kernel):
            assert guest({str(program("busybox"))!r}, "ls", "/root").stdout == b""
            assert kernel.dmesg

        @pytest.mark.guest_timeout(2)
        def test_timeout(guest):
            assert guest({str(program("busybox"))!r}, "sleep", "9").timed_out

        @pytest.mark.machine(seed=5, quantum=100_000, sched="rr")
        def test_options(kernel, guest):
            assert "seed=5" in kernel.dmesg and "sched=rr" in kernel.dmesg

        @pytest.mark.machine(tty=True, append="pid_max=400", panic_on_oops=True)
        def test_a_terminal_and_words_of_the_command_line(kernel, guest):
            assert "pid_max=400" in kernel.dmesg and "panic_on_oops" in kernel.dmesg
            assert guest({str(program("busybox"))!r}, "tty").stdout == b"/dev/ttyS0\\r\\n"
    """)
    project.runpytest_subprocess("-q").assert_outcomes(passed=6)


def test_nothing_of_a_test_is_left_on_the_machine(project: pytest.Pytester) -> None:
    """Is what one test has attached to a machine from outside gone in the next?

    bad: the second test of a pair stops at a breakpoint, or its output and calls go elsewhere.
    """
    project.makepyfile("""
        import pytest
        from emulator.bare import KERNEL_CODE
        from emulator.cpu.control import Exit

        @pytest.mark.parametrize("turn", [1, 2])
        def test_bare(machine, turn):
            result = machine.run("out 0xf0, al\\njmp on\\non: nop")
            assert result.ended and result.calls == [0]
            machine.cpu.stops.breakpoints = {KERNEL_CODE}
            machine.machine.host_call = None
            machine.machine.before_host_call = lambda number: True

        @pytest.mark.parametrize("turn", [1, 2])
        def test_kernel(kernel, turn):
            assert not kernel.machine.console
            assert kernel.run(["/bin/hello"]).output == b"hello, world\\n"
            kernel.output = [].append
            kernel.machine.before_host_call = lambda number: True
            kernel.machine.cpu.stops.breakpoints = {kernel.kernel.k.symbols["entry_SYSCALL_64"]}
            kernel.kernel.call = kernel.kernel.tracer = None
    """)
    project.runpytest_subprocess("-q").assert_outcomes(passed=4)


def test_a_failing_test_shows_its_machine_and_leaves_a_replay(project: pytest.Pytester) -> None:
    """Has the report registers, back-trace, page walk, tasks and log, and does the file replay?"""
    project.makefile(".c", crash='#include <stdio.h>\nint main(void) { puts("before"); '
                                 'fflush(stdout); return *(int *)0x1234567; }\n')
    project.makepyfile("""
        def test_it(guest):
            assert guest("crash.c").status == 0
    """)
    result = project.runpytest_subprocess("-q")
    result.assert_outcomes(failed=1)
    text = result.stdout.str()
    for part in ("registers", "back-trace", "page walk of the last faulting address, 0x1234567",
                 "PML4E", "tasks", "kthreadd", "kernel log", "segfault", "the last events",
                 "Return from write: 7", "Page fault: a load at 0x1234567", "takes SIGSEGV"):
        assert part in text, part
    found = re.search(r"ringlet replay (\S+)", text)
    assert found is not None
    again = subprocess.run([sys.executable, "-m", "ringlet", "replay", found[1]],
                           capture_output=True, cwd=ROOT, check=False)
    assert (again.stdout, again.returncode) == (b"before\n", 128 + 11)


def test_a_fixture_of_the_projects_own_is_reported_too(project: pytest.Pytester) -> None:
    """Does `asm` work on a machine that the project makes, and the report tell of it?"""
    project.makeconftest("""
        import pytest
        from emulator.bare import Bare

        @pytest.fixture(params=["native", "python"])
        def machine(request, report_on):
            return report_on(Bare(microcode=request.param))
    """)
    project.makepyfile("""
        from emulator.bare import USER_CODE

        def test_it(asm, machine, request):
            assert machine.cpu.microcode == request.node.callspec.params["machine"]
            result = asm("there: mov rax, 0x1234", ring=3)
            assert result.labels["there"] == USER_CODE
            assert result.rax == 1
    """)
    result = project.runpytest_subprocess("-q")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*4660 == 1", "*ringlet: registers*", "*ringlet: back-trace*",
                                 "ringlet debug --resume *.snapshot"])
    files = list((project.path / ".ringlet").glob("*.snapshot"))
    assert len(files) == 2
    done = subprocess.run([sys.executable, "-m", "ringlet", "debug", "--resume", files[0]],
                          input="p m.clock\np $rip\ncontext\n", capture_output=True, text=True,
                          cwd=ROOT, check=False)
    assert done.returncode == 0
    assert "── registers" in done.stdout


def test_a_machine_goes_with_its_test(project: pytest.Pytester) -> None:
    """Is a machine that only one test has used freed after it, though pytest keeps the test?"""
    project.makepyfile("""
        import gc
        import weakref

        import pytest
        from emulator.bare import Bare

        made = []

        @pytest.fixture
        def machine(report_on):
            bare = Bare()
            made.append(weakref.ref(bare))
            return report_on(bare)

        @pytest.mark.parametrize("turn", [1, 2, 3])
        def test_it(machine, turn):
            gc.collect()
            assert [ref() for ref in made] == [None] * (turn - 1) + [machine]
    """)
    project.runpytest_subprocess("-q").assert_outcomes(passed=3)


def test_a_failing_assembly_test_shows_the_walk_bit_by_bit(project: pytest.Pytester) -> None:
    """Are entries and flags that differ explained by their bits?"""
    project.makepyfile("""
        from emulator.arch.paging import PTE
        from emulator.bare import USER_DATA
        from ringlet.testing import Entry, Flags

        def test_entry(asm):
            r = asm("mov [rsi], al", ring=3, rsi=USER_DATA)
            assert r.entry(USER_DATA) == Entry(r.entry(USER_DATA) & ~PTE.D | PTE.G)

        def test_flags(asm):
            assert asm("stc", ring=3).flags == Flags(2)
    """)
    result = project.runpytest_subprocess("-q")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*D: 1 instead of 0", "*G: 0 instead of 1", "*CF: 1 instead of 0"])
    assert list((project.path / ".ringlet").glob("*.snapshot"))


def test_native_programs_that_differ_fail(project: pytest.Pytester) -> None:
    """Does the native marker compare both worlds?"""
    project.makefile(".c", uname="""
        #include <stdio.h>
        #include <sys/utsname.h>
        int main(void) { struct utsname u; uname(&u); puts(u.release); return 0; }
    """)
    project.makepyfile("""
        import pytest

        @pytest.mark.native
        def test_it(guest):
            guest("uname.c")
    """)
    result = project.runpytest_subprocess("-q")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*native: status 0*", "*guest:  status 0*"])


@pytest.mark.parametrize(("source", "message"), [
    ("@pytest.mark.machine(speed=3)\ndef test(machine): pass", "*machine marker takes*not speed*"),
    ("@pytest.mark.machine(seed=3)\ndef test(machine): pass", "*a bare machine has no seed*"),
    ("def test(guest): guest('nothere.c')", "*nothere.c*"),
    ("def test(guest): guest('bad.c')", "*bad.c does not compile*"),
])
def test_wrong_use_is_explained(project: pytest.Pytester, source: str, message: str) -> None:
    """Does each mistake have a message?"""
    project.makefile(".c", bad="int main(void) { return nothing; }")
    project.makepyfile(f"import pytest\n\n{source}\n")
    result = project.runpytest_subprocess("-q")
    assert result.ret
    result.stdout.fnmatch_lines([message])


def test_it_works_with_xdist(project: pytest.Pytester) -> None:
    """Do workers have machines of their own?"""
    project.makepyfile("""
        import pytest

        @pytest.mark.parametrize("n", range(40))
        def test_asm(asm, n):
            assert asm("lea rax, [rbx + 1]", ring=3, rbx=n).rax == n + 1
    """)
    project.runpytest_subprocess("-q", "-n", "2").assert_outcomes(passed=40)


def test_it_costs_nothing_where_it_is_not_used() -> None:
    """Is no machine imported by a test run without its fixtures?"""
    code = ("import sys, pytest; pytest.main(['--collect-only', '-q', '-p', "
            "'ringlet.pytest_plugin', '/dev/null']); "
            "print([m for m in sys.modules if m.split('.')[0] in ('emulator', 'guest_kernel')])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                          cwd="/", env={**os.environ, "PYTEST_ADDOPTS": ""}, check=False)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_examples_of_the_documentation_pass(tmp_path: Path) -> None:
    """Does what docs/plugin.md shows do what it says?"""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull,
         "--rootdir", tmp_path, ROOT / "docs/examples"],
        capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.stdout.splitlines()[-1].startswith("4 passed"), done.stdout
