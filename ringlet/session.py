"""One booted machine, and the programs that are run on it."""

import io
import os
import posixpath
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, Self

from emulator.cpu.control import Exit
from emulator.cpu.cpu import MicrocodeKind
from emulator.machine import DEFAULT_EPOCH, DEFAULT_MEM, Machine
from guest_kernel import boot
from guest_kernel.errors import Errno, KernelPanic
from guest_kernel.fs.install import exists, install_file
from guest_kernel.hostcalls import Tracer
from guest_kernel.init import pack_request, request_run
from guest_kernel.kernel import Kernel
from guest_kernel.layout.init import init_data
from guest_kernel.layout.mm_types import MM_ANONPAGES
from guest_kernel.layout.sched import TASK_STATE_ARRAY, task_struct
from guest_kernel.printk import dmesg
from guest_kernel.process.tasks import for_each_process_thread
from guest_kernel.sched.core import task_state
from guest_kernel.sched.options import parse
from ringlet import root
from ringlet.console import Input
from ringlet.stats import Statistics

LARGE_RSS: Final = 512  # anonymous pages; more do not fit in the TLB that the engine begins with
NSEC_PER_SEC: Final = 1_000_000_000
TIMEOUT_STATUS: Final = 124  # as timeout(1)
DEFAULT_ENV: Final = {"PATH": "/bin:/usr/bin", "HOME": "/root", "TERM": "dumb"}


class ProgramError(Exception):
    """The program could not be started.

    Attributes:
        status: 126, it cannot be executed, or 127, it was not found; as docker-run(1).
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class DeadlockError(Exception):
    """Every task sleeps, and nothing that could happen would wake one."""

    def __init__(self, k: Kernel) -> None:
        tasks = [f"{task.pid} {task.comm.decode('utf-8', 'replace')} is {_state(task)}"
                 for task in for_each_process_thread(k)
                 if task.mm is not None and not task.exit_state]
        super().__init__(f"every task sleeps for ever: {', '.join(tasks)}")


def _state(task: task_struct) -> str:
    """Return how ps(1) calls the task's state."""
    states = (1 << len(TASK_STATE_ARRAY) - 2) - 1  # those that are reported
    return TASK_STATE_ARRAY[(task_state(task) & states).bit_length()].partition("(")[2].rstrip(")")


class Result(NamedTuple):
    """How a program ended.

    Attributes:
        status: its exit status, or 128 + N if signal N killed it, or 124 on a timeout.
        output: what it wrote to the console, unless the session's ``output`` took it.
        statistics: what the machine did meanwhile.
        signal: the signal that killed it, or 0.
    """

    status: int
    output: bytes
    statistics: Statistics
    signal: int = 0


class Session:
    """A machine with the kernel booted.

    Args:
        mem: bytes of RAM.
        seed: of the machine's random generator.
        microcode: ``"native"``, ``"python"``, or None for the better one.
        tty: a terminal is at the console's other end, of ``rows`` and ``columns``.
        epoch: seconds since 1970 when the machine starts.
        panic_on_oops: a mistake of the kernel's stops the machine, instead of killing the task.
        append: more words for the kernel's command line, such as ``pid_max=400``: docs/boot.md.
        realtime: do not let virtual time run ahead of the host's.
        sched: who schedules: see guest_kernel/sched/options.py.
        quantum: length of a turn, in ns or as "4ms"; None: the policy's own.
        output: gets what the console sends; by default it gathers in each :class:`Result`.

    Raises:
        BootError: too little memory.
        ValueError: ``sched`` or ``quantum`` makes no sense.
    """

    def __init__(self, mem: int = DEFAULT_MEM, seed: int = 0,
                 microcode: MicrocodeKind | None = None, tty: bool = False, rows: int = 24,
                 columns: int = 80, epoch: int = DEFAULT_EPOCH, realtime: bool = False,
                 panic_on_oops: bool = False, append: str = "", sched: str = "fair",
                 quantum: int | str | None = None,
                 output: Callable[[bytes], None] | None = None) -> None:
        self.realtime = realtime
        self.tty = tty
        self.output = output
        self._output_error: BaseException | None = None
        turn = None if quantum is None else str(quantum)
        parse(sched, turn)  # says what is wrong before the kernel does
        self.machine = Machine(mem, microcode=microcode, epoch=epoch,
                               output=None if output is None else self._emit)
        options = f"seed={seed}"
        if sched != "fair":
            options += f" sched={sched}"
        if turn is not None:
            options += f" quantum={turn}"
        if tty:
            options += f" console=tty rows={rows} columns={columns}"
        if panic_on_oops:
            options += " panic_on_oops"
        if append:
            options += f" {append}"
        self.kernel = boot.start(self.machine, root.base(), options)

    def _emit(self, data: bytes) -> None:
        """Pass output on; if that fails, the run ends, for the guest has done nothing wrong."""
        assert self.output is not None
        try:
            self.output(data)
        except BaseException as error:
            self._output_error = error
            self.machine.stop(Exit.BREAKPOINT)

    def close(self) -> None:
        """Free the machine."""
        self.machine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def dmesg(self) -> str:
        """The kernel log, as dmesg(1) prints it."""
        return dmesg(self.kernel.k)

    def install(self, path: str, data: bytes, mode: int = 0o755) -> None:
        """Put a file into the guest, with the directories on its way.

        Raises:
            OSError: the guest's file system refuses it.
        """
        install_file(self.kernel.k, path.encode(), data, mode)

    def run(self, argv: Sequence[str | bytes], *, env: Mapping[str, str] | None = None,
            stdin: bytes | Callable[[int], bytes] | Input = b"", timeout: float | None = None,
            tracer: Tracer | None = None, bring: bool = True) -> Result:
        """Run a program and wait for it.

        Args:
            argv: its arguments; the first is its path, on the host if such a file is there (it is
                put into the guest under that name), else in the guest.
            env: its environment, in place of a small default.
            stdin: bytes for the console, or a function that returns the next ones, or what decides
                itself when something comes.
            timeout: virtual seconds after which it is given up, with the machine: nothing else
                can be run then.
            tracer: told of its system calls.
            bring: take the program from the host, if it is there.

        Raises:
            ProgramError: it could not be started.
            KernelPanic: the kernel has stopped.
            DeadlockError: nothing can happen any more; the session is of no further use.
        """
        name = os.fsdecode(argv[0])
        path = self._bring(name) if bring else name
        variables = [os.fsencode(f"{k}={v}") for k, v in (
            DEFAULT_ENV if env is None else env).items()]
        arguments = [a if isinstance(a, bytes) else os.fsencode(a) for a in argv]
        before = Statistics.read(self.machine, self.kernel.k)
        request_run(self.kernel.k, pack_request(os.fsencode(path), b"/", arguments, variables))
        source = self._input(stdin)
        if self.tty:
            self.machine.uart.connect()
        self.machine.idle = source.idle
        self.machine.tick = lambda: self._tick(source)
        self.kernel.tracer = tracer
        self.machine.console.clear()
        limit = None if timeout is None else self.machine.clock + int(timeout * NSEC_PER_SEC)
        reason = self.machine.run(limit)
        if self._output_error is not None:
            raise self._output_error
        return self._result(path, reason, before)

    def _input(self, stdin: bytes | Callable[[int], bytes] | Input) -> Input:
        if isinstance(stdin, Input):
            return stdin
        read = io.BytesIO(stdin).read if isinstance(stdin, bytes) else stdin
        return Input(self.machine, self.kernel.k, read, pace=self.realtime)

    def _tick(self, source: Input) -> None:
        """Keep time, and let the engine's TLB grow to what the program uses.

        The engine resizes its TLB only when it is flushed, which a single large program never
        causes; a small one would lose by it.  The guest cannot notice.
        """
        source.tick()
        mm = self.kernel.k.current().mm
        if mm is not None and mm.rss_stat[MM_ANONPAGES] > LARGE_RSS:
            self.machine.cpu.flush_tlb()

    def _bring(self, name: str) -> str:
        """Return the guest's path for ``name``; bring the host's file there if there is one."""
        path = posixpath.normpath("/" + name.lstrip("/"))
        if os.path.exists(name):
            check_program(name)
            with open(name, "rb") as host:
                self.install(path, host.read(), os.fstat(host.fileno()).st_mode & 0o777)
        return path

    def _result(self, path: str, reason: Exit, before: Statistics) -> Result:
        k = self.kernel.k
        statistics = Statistics.read(self.machine, k) - before
        output = bytes(self.machine.console)
        if reason is Exit.TIMER:
            return Result(TIMEOUT_STATUS, output, statistics)
        if reason is not Exit.DEBUG_EXIT:
            if reason is Exit.HALT:
                raise DeadlockError(k)
            raise KernelPanic(f"the machine stopped: {reason.name}")
        errno = k.data(init_data).exec_errno
        if errno == Errno.ENOENT and exists(self.kernel.k, os.fsencode(path)):
            raise ProgramError(f"{path}: its program interpreter (dynamic linker) is not in the "
                               "guest", 127)
        if errno:
            raise ProgramError(f"{path}: {os.strerror(errno)}",
                               127 if errno == Errno.ENOENT else 126)
        status = self.machine.exit_status
        signal = status & 0x7F
        return Result(128 + signal if signal else status >> 8 & 0xFF, output, statistics, signal)


def check_program(path: str) -> None:
    """Say in words why the kernel would refuse a host's file.

    Raises:
        ProgramError: it is no x86-64 ELF program.
    """
    if os.path.isdir(path):
        raise ProgramError(f"{path}: is a directory", 126)
    try:
        with open(path, "rb") as file:
            head = file.read(20)
    except OSError as error:
        raise ProgramError(f"{path}: {error.strerror}", 126) from error
    if not os.access(path, os.X_OK):
        raise ProgramError(f"{path}: is not executable", 126)
    if head[:4] != b"\x7fELF" or len(head) < 20:
        raise ProgramError(f"{path}: is not an ELF program", 126)
    machine = int.from_bytes(head[18:20], "little" if head[5] == 1 else "big")
    if head[4] != 2 or machine != 62:
        names = {3: "i386", 8: "MIPS", 20: "PowerPC", 21: "PowerPC64", 40: "Arm",
                 62: "x86-64 (x32)", 183: "AArch64", 243: "RISC-V"}
        name = names.get(machine, f"machine {machine}")
        bits = {1: "32-bit", 2: "64-bit"}.get(head[4], "malformed")
        raise ProgramError(f"{path}: is a {bits} {name} program; only 64-bit x86-64 ones run", 126)
