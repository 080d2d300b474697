"""Terminals in the guest alone: what a serial line does and a pseudo-terminal does not."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import pytest

from emulator import elf
from guest_kernel import boot, image
from guest_kernel.layout.tty import tty_data
from guest_kernel.mm.slab import for_each_slab_cache, kmem_cache_usage
from ringlet.session import Session
from tests.guest import Keys, Outcome, Step, compile_c, script_of

SYSCALLS: Final = Path(__file__).parent.parent / "syscalls"
HEADER: Final = f'#include "{SYSCALLS}/terminal.h"\n'

pytestmark = pytest.mark.machine(tty=True, panic_on_oops=True)


def build(tmp_path: Path, body: str) -> str:
    """Compile a program whose ``main`` is ``body``."""
    source = tmp_path / "program.c"
    source.write_text(HEADER + "int main(void)\n{\n" + body + "\n}\n")
    return str(compile_c(source))


def run(session: Session, argv: Sequence[str], *steps: tuple[str, str]) -> Outcome:
    """Run a program, and type what the steps say."""
    keys = Keys(session.machine, session.kernel.k,
                [Step(at.encode(), "type", what.encode("latin-1")) for at, what in steps])
    result = session.run(argv, stdin=keys, timeout=60)
    assert not keys.person, result.output
    return Outcome(result.status, result.output.replace(b"\r\n", b"\n"))


def test_while_output_is_stopped_a_ring_takes_it(session: Session, tmp_path: Path) -> None:
    """Are 4096 bytes taken, counted, waited for, and sent in order?"""
    program = build(tmp_path, r"""
	static char text[6000];
	int queued = -1;
	struct termios modes = get_modes();

	memset(text, 'x', sizeof(text));
	say("stop?");
	while (input_queue() < 2)
		pause_ms(1);
	pause_ms(5);
	fcntl(1, F_SETFL, O_RDWR | O_NONBLOCK);
	long taken = write(1, text, sizeof(text));
	long more = write(1, "y", 1), error = errno;
	ioctl(TTY, TIOCOUTQ, &queued);
	struct pollfd entry = { .fd = 1, .events = POLLOUT };
	int ready = poll(&entry, 1, 0);
	fcntl(1, F_SETFL, O_RDWR);
	pid_t child = spawn();
	if (!child) {
		pause_ms(20);
		/* What VSTOP has stopped. */
		ioctl(TTY, TCXONC, (long)TCOOFF);
		ioctl(TTY, TCXONC, (long)TCOON);
		_exit(0);
	}
	ioctl(TTY, TCSETSW, &modes);
	waitpid(child, NULL, 0);
	say("\n%ld %ld %ld %d %d\n", taken, more, error, queued, ready);
	ioctl(TTY, TIOCOUTQ, &queued);
	say("%d\n", queued);
	return 0;
""")
    outcome = run(session, [program], ("stop?", "a\n"), ("a", "\x13"))
    assert outcome.status == 0
    assert outcome.output.startswith(b"stop?a\n" + b"x" * 4096 + b"\n4096 -1 11 4096 0\n0\n")


def test_a_signal_ends_a_wait_for_output(session: Session, tmp_path: Path) -> None:
    """Is TCSBRK EINTR, and TCSETSW made again, when a signal comes while output is stopped?"""
    program = build(tmp_path, r"""
	struct termios modes = get_modes();
	set_action(SIGUSR1, (void (*)(int))getpid, SA_RESTART);
	ioctl(TTY, TCXONC, (long)TCOOFF);
	say("queued\n");
	pid_t parent = getpid(), child = spawn();
	if (!child) {
		pause_ms(5);
		kill(parent, SIGUSR1);
		pause_ms(5);
		kill(parent, SIGUSR1);
		pause_ms(5);
		ioctl(TTY, TCXONC, (long)TCOON);
		_exit(0);
	}
	long drained = ioctl(TTY, TCSBRK, 1L), error = errno;
	long set = ioctl(TTY, TCSETSW, &modes);
	waitpid(child, NULL, 0);
	say("%ld %s %ld\n", drained, strerrorname_np(error), set);
	return 0;
""")
    assert run(session, [program]).output == b"queued\n-1 EINTR 0\n"


def test_stopped_output_can_be_forgotten(session: Session, tmp_path: Path) -> None:
    """Does TCOFLUSH drop it, and a writer that waits go on?"""
    program = build(tmp_path, r"""
	static char text[6000];
	memset(text, 'x', sizeof(text));
	ioctl(TTY, TCXONC, (long)TCOOFF);
	pid_t child = spawn();
	if (!child)
		_exit(write(1, text, sizeof(text)) != sizeof(text));
	pause_ms(5);
	ioctl(TTY, TCFLSH, (long)TCOFLUSH);
	ioctl(TTY, TCFLSH, (long)TCOFLUSH);
	pause_ms(5);
	ioctl(TTY, TCFLSH, (long)TCOFLUSH);
	reap("child", child);
	ioctl(TTY, TCXONC, (long)TCOON);
	say("end\n");
	return 0;
""")
    assert run(session, [program]).output == b"child: exited 0\nend\n"


def test_the_other_end_is_told_to_wait_by_characters(session: Session, tmp_path: Path) -> None:
    """Does IXOFF send VSTOP when little room is left, and VSTART when there is again?"""
    program = build(tmp_path, r"""
	CHANGE_MODES(iflag, IXOFF, IXON);
	make_raw(1, 0);
	CHANGE_MODES(iflag, IXOFF, 0);
	say("more?");
	static char data[8192];
	while (input_queue() < 4000)
		pause_ms(1);
	say("full ");
	while (input_queue() > 100)
		read(TTY, data, 1000);
	say("end\n");
	return 0;
""")
    output = run(session, [program], ("more?", "z" * 4000)).output
    assert output == b"more?\x13full \x11end\n"


def test_the_modems_lines_can_be_asked_for(session: Session, tmp_path: Path) -> None:
    """Are DTR and RTS on, and CTS, DSR and the carrier, as at a cable?"""
    program = build(tmp_path, r"""
	int lines = 0, soft = -1, device = 0;
	ioctl(TTY, TIOCMGET, &lines);
	ioctl(TTY, TIOCGSOFTCAR, &soft);
	ioctl(TTY, TIOCGDEV, &device);
	say("%#x %d %#x\n", lines & 0x1ff, soft, device);
	return 0;
""")
    assert run(session, [program]).output == b"0x166 0 0x440\n"


def test_settings_stay_when_a_terminal_is_closed(session: Session, tmp_path: Path) -> None:
    """Are they there for the next program, and what was typed ahead is not lost?"""
    first = build(tmp_path, 'CHANGE_MODES(lflag, NOFLSH, ECHO); say("typed?"); '
                            'while (!input_queue()) pause_ms(1); return 0;')
    assert run(session, [first], ("typed?", "lost\n")).output == b"typed?"
    session.machine.uart.feed(b"kept\n")
    (tmp_path / "second").mkdir()
    second = build(tmp_path / "second", """
	say("%d %d\\n", !!(get_modes().c_lflag & NOFLSH), !!(get_modes().c_lflag & ECHO));
	show_read(TTY, 100);
	return 0;
""")
    assert run(session, [second]).output == b'1 0\nread 100: 5 "kept\\012"\n'


def test_the_console_is_the_terminal_without_job_control(session: Session, tmp_path: Path) -> None:
    """Does /dev/console never become the controlling terminal, nor stop the background?"""
    program = build(tmp_path, r"""
	int value = 0;
	CHANGE_MODES(lflag, TOSTOP, 0);
	pid_t child = spawn();
	if (!child) {
		setpgid(0, 0);
		int console = open("/dev/console", O_RDWR);
		dprintf(console, "from the background\n");
		_exit(0);
	}
	reap("child", child);
	child = spawn();
	if (!child) {
		setsid();
		CHECK(open("/dev/console", O_RDWR) >= 0);
		CHECK(open("/dev/tty", O_RDWR) == -1 && errno == ENXIO);
		_exit(0);
	}
	reap("another session", child);
	/* Once nobody has it, who leads a session gets it by opening it. */
	set_action(SIGHUP, SIG_IGN, 0);
	ioctl(TTY, TIOCNOTTY);
	CHECK(open("/dev/ttyS0", O_RDWR | O_NOCTTY) >= 0);
	CHECK(open("/dev/tty", O_RDWR) == -1 && errno == ENXIO);
	CHECK(open("/dev/ttyS0", O_WRONLY) >= 0);
	CHECK(open("/dev/tty", O_RDWR) == -1 && errno == ENXIO);
	CHECK(open("/dev/ttyS0", O_RDWR) >= 0);
	CHECK(open("/dev/tty", O_RDWR) >= 0);
	CHECK(open("/dev/tty9", O_RDWR) == -1 && errno == ENOENT);
	return report_status();
""")
    program_output = run(session, [program])
    assert program_output.status == 0, program_output.output
    assert b"from the background\n" in program_output.output


@pytest.mark.parametrize("clocal", [False, True])
def test_a_lost_carrier_hangs_up_unless_the_line_is_local(session: Session, tmp_path: Path,
                                                         clocal: bool) -> None:
    """Does CLOCAL decide what becomes of who reads?"""
    program = build(tmp_path, f"""
	CHANGE_MODES(cflag, {"CLOCAL" if clocal else "0"}, 0);
	make_raw(0, 5);
	say("gone?");
	return read(TTY, &(char){{0}}, 1) ? 1 : 7;
""")
    keys = Keys(session.machine, session.kernel.k, [Step(b"gone?", "hang up")])
    result = session.run([program], stdin=keys, timeout=60)
    assert (result.status, result.signal) == ((7, 0) if clocal else (129, 1))
    # Somebody is there again for the next program.
    (tmp_path / "second").mkdir()
    second = build(tmp_path / "second", 'say("here?"); show_read(TTY, 100); return 0;')
    output = run(session, [second], ("here?", "yes\n")).output
    assert output == b'here?read 100: 4 "yes\\012"\n'  # with the settings that were


def test_after_a_hang_up_a_terminal_can_be_opened_again(session: Session, tmp_path: Path) -> None:
    """Do old files stay dead, and does a new one read and write?"""
    program = build(tmp_path, r"""
	char c;
	set_action(SIGHUP, SIG_IGN, 0);
	say("before\n");
	if (syscall(SYS_vhangup))
		return 1;
	int fd = open("/dev/ttyS0", O_RDWR);
	if (fd < 0 || ioctl(TTY, TCGETS, &c) != -1)
		return 2;
	dprintf(fd, "again?");
	if (read(fd, &c, 1) != 1 || c != 'x' || read(TTY, &c, 1) != 0)
		return 3;
	if (open("/dev/tty", O_RDWR) < 0)
		return 4;
	dprintf(fd, "end\n");
	return 0;
""")
    outcome = run(session, [program], ("again?", "x\n"))
    assert (outcome.status, outcome.output) == (0, b"before\nagain?x\nend\n")


def test_when_the_leader_ends_its_line_is_hung_up(session: Session, tmp_path: Path) -> None:
    """Is a process that lives on without a terminal, and is its file dead?"""
    program = build(tmp_path, r"""
	volatile int *shared = share_pages(1);
	pid_t child = spawn();
	if (!child) {
		set_action(SIGHUP, SIG_IGN, 0);
		shared[0] = 1;
		while (getppid() != 1)
			pause_ms(1);
		int dead = write(1, "x", 1) == -1 && errno == EIO;
		int fd = open("/dev/ttyS0", O_RDWR | O_NOCTTY);
		dprintf(fd, "%d %d\n", dead, open("/dev/tty", O_RDWR) == -1);
		_exit(0);
	}
	wait_for(shared, 1);
	return 0;
""")
    assert run(session, [program]).status == 0
    idle = run(session, [build_again(tmp_path, "pause_ms(50); return 0;")])
    assert b"1 1\n" in idle.output


def build_again(tmp_path: Path, body: str) -> str:
    """Compile another program."""
    folder = tmp_path / "again"
    folder.mkdir()
    return build(folder, body)


@pytest.mark.machine(panic_on_oops=True)
def test_where_the_console_is_a_pipe_there_is_no_terminal(session: Session, tmp_path: Path) -> None:
    """Are both devices ENXIO?"""
    program = build(tmp_path, r"""
	SHOW(open("/dev/ttyS0", O_RDWR));
	SHOW(open("/dev/tty", O_RDWR));
	SHOW(isatty(0));
	return 0;
""")
    lines = session.run([program]).output.splitlines()
    assert [line.rpartition(b" ")[2] for line in lines] == [b"ENXIO", b"ENXIO", b"0"]


def usage(session: Session) -> dict[bytes, int]:
    """Return how many objects of a terminal's structures there are."""
    names = {b"tty_struct", b"n_tty_data", b"tty_file_private", b"pid", b"sigqueue"}
    return {cache.name: kmem_cache_usage(cache)[0]
            for cache in for_each_slab_cache(session.kernel.k) if cache.name in names}


PROGRAMS: Final = ("tty_jobs", "tty_controlling", "tty_hang_up", "tty_vhangup", "tty_leader_ends",
                   "tty_background_write", "tty_vtime")


def typed(name: str, forgets: Callable[[], bool]) -> tuple[object, ...]:
    """Run a program of tests/syscalls; return what came out and how the machine ended."""
    source = SYSCALLS / f"{name}.c"
    executable = elf.read(image.build())
    with Session(seed=3, tty=True, panic_on_oops=True) as session:
        machine = session.machine

        def call(value: int) -> None:
            if forgets():
                session.kernel = boot.attach(machine, executable)
                machine.host_call = call
            session.kernel.call(value)

        machine.host_call = call
        keys = Keys(machine, session.kernel.k, script_of(source))
        result = session.run([str(compile_c(source))], stdin=keys, timeout=60)
        return result.status, result.output, machine.clock, machine.fingerprint()


@pytest.mark.parametrize("name", PROGRAMS)
def test_all_of_a_terminal_is_in_ram(name: str) -> None:
    """Does the guest not notice that everything hosted is forgotten now and then?"""
    remembered = typed(name, lambda: False)
    chance = random.Random(0)
    assert typed(name, lambda: chance.random() < 0.1) == remembered


@pytest.mark.parametrize("name", PROGRAMS)
def test_nothing_is_left_of_a_terminal(session: Session, name: str) -> None:
    """When all of a program's processes have ended, are there no structures of its terminal?"""
    source = SYSCALLS / f"{name}.c"
    before = usage(session)
    keys = Keys(session.machine, session.kernel.k, script_of(source))
    session.run([str(compile_c(source))], stdin=keys, timeout=60)
    after = usage(session)
    worker = 1 if after[b"pid"] > before[b"pid"] else 0  # kworker/0:0, which stays
    assert {name: after.get(name, 0) - (worker if name == b"pid" else 0) for name in after} == {
        name: before.get(name, 0) for name in after}
    assert session.kernel.k.data(tty_data).serial_port.tty is None
