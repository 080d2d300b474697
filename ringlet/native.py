"""Running a program on the host, as in the guest, and leaving nothing of it there.

What is started is a *guardian*, a copy of this process that starts the program and waits.  It ends
all processes of the program's session when it is told that the output is complete, or that the run
is given up, or when this process has ended, however that came about (``PR_SET_PDEATHSIG``).  The
program itself cannot tell.  Only who has begun another session of its own, as daemons do, stays.

See: prctl(2), setsid(2), sigwaitinfo(2).
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import select
import selectors
import signal
import subprocess
import termios
import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import IO, Any, Final, NamedTuple, NoReturn

from ringlet.session import DEFAULT_ENV

TIMEOUT: Final = 60  # seconds

# What a guardian is told: the output is complete, so wait for the program; or end it.
FINISH: Final = signal.SIGRTMAX - 1
GIVE_UP: Final = signal.SIGRTMAX
_PR_SET_PDEATHSIG: Final = 1
_PF_FORKNOEXEC: Final = 0x40  # Linux include/linux/sched.h: forked, and has not exec'd
_STATE, _SESSION, _FLAGS = 0, 3, 6  # of what _stat() returns
_libc: Final = ctypes.CDLL(None, use_errno=True)


class Outcome(NamedTuple):
    """What a program printed, standard error included, and its status as a shell has it."""

    status: int
    output: bytes


def run_native(argv: Sequence[str], stdin: bytes = b"") -> Outcome:
    """Run on the host, in the guest's environment and directory.

    As in the guest, where the console is no terminal, the program does not lead its session.

    Raises:
        subprocess.TimeoutExpired: it has not ended within :data:`TIMEOUT`.
    """
    with native_process(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                        stderr=subprocess.STDOUT) as process:
        output = _exchange(process, stdin)
        return Outcome(finish(process), output)


@contextlib.contextmanager
def native_process(argv: Sequence[str], *, terminal: bool = False,
                   **streams: int | IO[Any]) -> Iterator[subprocess.Popen[bytes]]:
    """Start a program on the host; behind the block nothing is left of its session.

    Args:
        terminal: standard input is one, and the program leads a session of which it is the
            controlling terminal.
        streams: ``stdin``, ``stdout`` and ``stderr``, as for Popen.

    Returns:
        The guardian: for :func:`finish`.
    """
    with subprocess.Popen(argv, env=DEFAULT_ENV, cwd="/", preexec_fn=partial(
            _guard, os.getpid(), terminal), **streams) as process:  # type: ignore[call-overload]  # streams
        try:
            yield process
        finally:
            process.send_signal(GIVE_UP)  # which does nothing if it has ended


def finish(process: subprocess.Popen[bytes]) -> int:
    """Wait for the end of a program whose output is complete; return its status.

    Raises:
        subprocess.TimeoutExpired: it has not ended within :data:`TIMEOUT`.
    """
    process.send_signal(FINISH)
    return process.wait(TIMEOUT)


def default_signals() -> None:
    """Begin as in the guest, also where whoever runs the tests ignores SIGHUP, as nohup does."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _exchange(process: subprocess.Popen[bytes], stdin: bytes) -> bytes:
    """Give a program its input, and return all that it, and who it has started, prints."""
    source, sink = process.stdin, process.stdout
    assert source is not None
    assert sink is not None
    left, output, end = memoryview(stdin), bytearray(), time.monotonic() + TIMEOUT
    with selectors.DefaultSelector() as selector:
        selector.register(sink, selectors.EVENT_READ)
        selector.register(source, selectors.EVENT_WRITE)
        while selector.get_map():
            ready = selector.select(max(0, end - time.monotonic()))
            if not ready:
                raise subprocess.TimeoutExpired(process.args, TIMEOUT, bytes(output))
            for key, _ in ready:
                if key.fileobj is sink:
                    data = os.read(key.fd, 65536)
                    output += data
                    if not data:
                        selector.unregister(sink)
                    continue
                try:
                    # No more than PIPE_BUF, of which select(2) says that it does not block.
                    left = left[os.write(key.fd, left[: select.PIPE_BUF]) :]
                except BrokenPipeError:
                    left = left[:0]
                if not left:
                    selector.unregister(source)
                    source.close()
    return bytes(output)


# The guardian


def _guard(parent: int, terminal: bool) -> None:
    """Become a guardian, and return in its child, which then becomes the program."""
    default_signals()
    _libc.prctl(_PR_SET_PDEATHSIG, int(GIVE_UP), 0, 0, 0)  # fork(2) clears it in the child
    if os.getppid() != parent:
        os._exit(1)  # it has ended before that
    waited = {signal.SIGCHLD, FINISH, GIVE_UP}
    signal.pthread_sigmask(signal.SIG_BLOCK, waited)
    if not terminal:
        os.setsid()
    pid = os.fork()
    if pid:
        os.closerange(0, os.sysconf("SC_OPEN_MAX"))
        _wait(pid, pid if terminal else os.getpid(), waited)
    if terminal:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _wait(pid: int, session: int, waited: set[int]) -> NoReturn:
    """Wait for the program's end and the end of its output, in whatever order they come."""
    status, finishing = None, False
    while status is None or not finishing:
        number = signal.sigwait(waited)
        if number == GIVE_UP:
            if status is None:  # it may not have begun its session yet
                os.kill(pid, signal.SIGKILL)
            break
        finishing = finishing or number == FINISH
        if status is None and os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            started = not int(_stat(pid)[_FLAGS]) & _PF_FORKNOEXEC
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            if not started:
                break  # Popen waits for us, and says why
    _end_session(session)
    os._exit(1 if status is None else 128 - status if status < 0 else status)


def _end_session(session: int) -> None:
    """Kill all processes of a session but this one, and those that they start meanwhile."""
    while members := [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc")))
                      if pid != os.getpid() and _lives_in(pid, session)]:
        for pid in members:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.001)


def _lives_in(pid: int, session: int) -> bool:
    try:
        stat = _stat(pid)
    except (FileNotFoundError, ProcessLookupError):
        return False
    return int(stat[_SESSION]) == session and stat[_STATE] not in (b"Z", b"X")


def _stat(pid: int) -> list[bytes]:
    """Return the fields of /proc/PID/stat from the third on; see proc_pid_stat(5)."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()
