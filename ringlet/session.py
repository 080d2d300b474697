"""One booted machine, and the programs that are run on it."""

import io
import os
import posixpath
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Final, NamedTuple, Self

from emulator import elf
from emulator.cpu.control import Exit
from emulator.cpu.cpu import MicrocodeKind
from emulator.digest import blake2b
from emulator.machine import DEFAULT_EPOCH, DEFAULT_MEM, NEVER, Machine
from emulator.snapshot import Snapshot, SnapshotError
from guest_kernel import boot, image
from guest_kernel.errors import Errno, KernelPanic
from guest_kernel.fs.install import exists, install_file
from guest_kernel.hostcalls import HostCalls, Tracer
from guest_kernel.init import pack_request, request_run
from guest_kernel.kernel import Kernel
from guest_kernel.layout.init import RUN_REQUESTED, RUN_RUNNING, init_data
from guest_kernel.layout.mm_types import MM_ANONPAGES
from guest_kernel.layout.sched import task_struct
from guest_kernel.printk import dmesg
from guest_kernel.process.tasks import for_each_process_thread
from guest_kernel.sched.options import parse
from guest_kernel.view import state_name
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
    return state_name(task).partition("(")[2].rstrip(")")


class Result(NamedTuple):
    """How a program ended.

    Attributes:
        status: its exit status, or 128 + N if signal N killed it, or 124 if it was given up.
        output: what it wrote to the console, unless the session's ``output`` took it.
        statistics: what the machine did meanwhile.
        signal: the signal that killed it, or 0.
        timed_out: it was given up, and has not ended.
    """

    status: int
    output: bytes
    statistics: Statistics
    signal: int = 0
    timed_out: bool = False


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

    Attributes:
        machine, kernel: what has been booted.
        options: what it was booted with, by the names of the parameters that matter to the guest;
            None: it was not booted, but is :meth:`of` a snapshot.
        output: see above; it may be changed between two runs.
        program: the path, in the guest, of what was run last; empty: nothing was.
        program_content: that file, if it was brought from the host.
        snapshot_every: virtual seconds between the snapshots that are taken while a program runs.
        on_snapshot: gets each of them.

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
        self._set_up(realtime, output, {
            "mem": mem, "seed": seed, "tty": tty, "rows": rows, "columns": columns,
            "epoch": epoch, "panic_on_oops": panic_on_oops, "append": append, "sched": sched,
            "quantum": quantum})
        self.tty = tty
        turn = None if quantum is None else str(quantum)
        parse(sched, turn)  # says what is wrong before the kernel does
        self.machine = Machine(mem, microcode=microcode, epoch=epoch, output=self._emit)
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
        self._before = Statistics.read(self.machine, self.kernel.k)

    def _set_up(self, realtime: bool, output: Callable[[bytes], None] | None,
                options: Mapping[str, Any] | None) -> None:
        """Set what is not the machine's."""
        self.realtime = realtime
        self.options = options
        self.tty = False
        self.output = output
        self._output_error: BaseException | None = None
        self.program = ""
        self.program_content = b""
        self._input: Input | None = None  # of the last run
        self.snapshot_every: float | None = None
        self.on_snapshot: Callable[[Snapshot], None] | None = None

    @classmethod
    def of(cls, snapshot: Snapshot, *, microcode: MicrocodeKind | None = None,
           realtime: bool = False, output: Callable[[bytes], None] | None = None) -> Self:
        """Return a new session in the state of a snapshot that :meth:`snapshot` has taken.

        Args:
            microcode, realtime, output: as for a new one.

        Raises:
            SnapshotError: it needs another kernel, or another engine.
        """
        _check_kernel(snapshot)
        session = cls.__new__(cls)
        session._set_up(realtime, output, None)
        session.machine = Machine.of(snapshot, microcode=microcode, output=session._emit)
        session.kernel = boot.attach(session.machine, elf.read(image.build()))
        session._before = Statistics.read(session.machine, session.kernel.k)
        session.program = snapshot.notes["program"]
        session.tty = snapshot.notes.get("console") == "tty"
        return session

    def snapshot(self) -> Snapshot:
        """Return the whole state, which :meth:`restore` and :meth:`of` take, as often as wanted.

        Not while the machine runs, but for instance after a run that was given up for its
        ``timeout``, which a :meth:`resume` goes on with.
        """
        return self.machine.snapshot({"kernel": identity(), "program": self.program,
                                      "console": "tty" if self.tty else "pipe"})

    def restore(self, snapshot: Snapshot) -> None:
        """Take the state of a snapshot; ``self.kernel`` is a new object then.

        Raises:
            SnapshotError: it does not fit this machine, or needs another kernel; nothing changes.
        """
        _check_kernel(snapshot)
        self.machine.restore(snapshot)
        k, tracer = self.kernel.k, self.kernel.tracer
        self.kernel = HostCalls(self.machine, k.symbols, k.image_end)
        self.kernel.tracer = tracer
        self.program = snapshot.notes["program"]
        if self._input is not None:
            self._input = self._input.rewound(self.kernel.k, snapshot.clock)

    def fork(self, *, output: Callable[[bytes], None] | None = None) -> Self:
        """Return a second session that goes on from here, by itself."""
        return self.of(self.snapshot(), microcode=self.machine.cpu.microcode,
                       realtime=self.realtime, output=output)

    def _emit(self, data: bytes) -> None:
        """Pass output on; if that fails, the run ends, for the guest has done nothing wrong."""
        if self.output is None:
            self.machine.console += data
            return
        try:
            self.output(data)
        except BaseException as error:
            self._output_error = error
            self.machine.stop(Exit.STOPPED)

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

    @property
    def is_running(self) -> bool:
        """Whether a program has been started and has not ended."""
        return self.kernel.k.data(init_data).state in (RUN_REQUESTED, RUN_RUNNING)

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
            timeout: virtual seconds after which it is given up: nothing else can be run then, but
                :meth:`resume` goes on with it.
            tracer: told of its system calls.
            bring: take the program from the host, if it is there.

        Raises:
            ProgramError: it could not be started.
            KernelPanic: the kernel has stopped.
            DeadlockError: nothing can happen any more; the session is of no further use.
        """
        self.start(argv, env=env, stdin=stdin, bring=bring)
        return self._run(timeout, tracer)

    def start(self, argv: Sequence[str | bytes], *, env: Mapping[str, str] | None = None,
              stdin: bytes | Callable[[int], bytes] | Input = b"", bring: bool = True) -> None:
        """Have a program started when the machine runs next: what :meth:`run` does before it waits.

        Args:
            argv, env, stdin, bring: as for :meth:`run`.

        Raises:
            ProgramError: it cannot be started.
        """
        name = os.fsdecode(argv[0])
        path = self._bring(name) if bring else name
        variables = [os.fsencode(f"{k}={v}") for k, v in (
            DEFAULT_ENV if env is None else env).items()]
        arguments = [a if isinstance(a, bytes) else os.fsencode(a) for a in argv]
        self._before = Statistics.read(self.machine, self.kernel.k)
        request_run(self.kernel.k, pack_request(os.fsencode(path), b"/", arguments, variables))
        self.program = path
        if self.tty:
            self.machine.uart.connect()
        self._attach(self._source(stdin))

    def resume(self, *, stdin: bytes | Callable[[int], bytes] | Input | None = None,
               timeout: float | None = None, tracer: Tracer | None = None) -> Result:
        """Go on with a program that has not ended, and wait for it.

        Args:
            stdin: as for :meth:`run`; None: what is left of that run's, if it was this session's
                last, else nothing.
            timeout, tracer: as for :meth:`run`.

        Returns:
            What has happened since.

        Raises:
            ValueError: no program is running.
            KernelPanic, DeadlockError: as for :meth:`run`.
        """
        if not self.is_running:
            raise ValueError("no program is running")
        self.go_on(stdin)
        return self._run(timeout, tracer)

    def go_on(self, stdin: bytes | Callable[[int], bytes] | Input | None = None) -> None:
        """Let the machine's next run go on with the program: :meth:`resume` before it waits.

        Args:
            stdin: as for :meth:`resume`.
        """
        source = self._input if stdin is None else None
        self._before = Statistics.read(self.machine, self.kernel.k)
        self._attach(source or self._source(stdin or b""))

    def _source(self, stdin: bytes | Callable[[int], bytes] | Input) -> Input:
        if isinstance(stdin, Input):
            return stdin
        read = io.BytesIO(stdin).read if isinstance(stdin, bytes) else stdin
        return Input(self.machine, self.kernel.k, read, pace=self.realtime)

    def _attach(self, source: Input) -> None:
        """Let the console's input come from ``source``, and begin with no output."""
        self._input = source
        self.machine.idle = source.idle
        self.machine.tick = lambda: self._tick(source)
        self.machine.console.clear()

    def _run(self, timeout: float | None, tracer: Tracer | None) -> Result:
        self.kernel.tracer = tracer
        machine = self.machine
        limit = NEVER if timeout is None else machine.clock + int(timeout * NSEC_PER_SEC)
        every = NEVER if self.snapshot_every is None else int(self.snapshot_every * NSEC_PER_SEC)
        snapshot = machine.clock + every
        while True:
            reason = machine.run(min(limit, snapshot, self.input_due))
            if self._output_error is not None:
                raise self._output_error
            if reason is not Exit.TIMER:
                break
            self.take_input()
            if machine.clock >= snapshot:
                snapshot = machine.clock + every
                if self.on_snapshot is not None:
                    self.on_snapshot(self.snapshot())
            if machine.clock >= limit:
                break
        return self.result(reason)

    @property
    def input_due(self) -> int:
        """A place of the clock at which :meth:`take_input` has to be called; NEVER: there is none.

        For who lets the machine run instead of :meth:`run`.
        """
        until = None if self._input is None else self._input.until
        return NEVER if until is None else until

    def take_input(self) -> None:
        """Give the guest what has come until now at a certain place of the clock."""
        while self.machine.clock >= self.input_due:
            assert self._input is not None
            self._input.take()

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
        self.program_content = b""
        if os.path.exists(name):
            check_program(name)
            with open(name, "rb") as host:
                self.program_content = host.read()
                self.install(path, self.program_content, os.fstat(host.fileno()).st_mode & 0o777)
        return path

    def result(self, reason: Exit) -> Result:
        """Return how the program has ended, after a run of the machine that has.

        Args:
            reason: what the machine's run has answered.

        Raises:
            ProgramError, KernelPanic, DeadlockError: as for :meth:`run`.
        """
        k, path = self.kernel.k, self.program
        statistics = Statistics.read(self.machine, k) - self._before
        output = bytes(self.machine.console)
        if reason is Exit.TIMER:
            return Result(TIMEOUT_STATUS, output, statistics, timed_out=True)
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


@cache
def identity() -> str:
    """Return a digest of the kernel that this process has: its image and its structures."""
    from ringlet.layout import structures

    fields = [(kind.__name__, name, field.offset, field.size)
              for kind in structures().values() for name, field in kind.fields.items()]
    return blake2b(image.build() + str(fields).encode(), digest_size=16).hexdigest()


def _check_kernel(snapshot: Snapshot) -> None:
    kernel = snapshot.notes.get("kernel")
    if kernel is None:
        raise SnapshotError("the snapshot is of a machine without this kernel")
    if kernel != identity():
        raise SnapshotError(f"the snapshot is of kernel {kernel}; this is {identity()}")


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
