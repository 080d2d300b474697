"""Recording a run, and replaying it: what came from outside, and when; the rest follows from it.

A run is a function of its options, its files and its input with positions on the clock
(docs/determinism.md), so a recording is these, with a digest in the place of each file, and nothing
else.  To tell where a replay goes another way, it holds *checkpoints* as well: a running checksum
of the host calls, by clock and number.  There are at most :data:`MOST` of them, each one of 1, 2,
4… calls, so a short run is checked at every call.

The file is JSON.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from emulator.cpu.cpu import MicrocodeKind
from emulator.digest import blake2b
from emulator.machine import Machine
from guest_kernel.drivers.console import resize_window
from guest_kernel.kernel import Kernel
from ringlet.console import Ended, EndedHere, Input, Left
from ringlet.session import Result, Session, identity
from ringlet.shell import Contents, ShellRoot

FORMAT: Final = "ringlet recording"
VERSION: Final = 2
MOST: Final = 2048  # checkpoints
_STEP: Final = struct.Struct("<QQ")

Came = bytes | tuple[int, int] | None
"""What came from outside: keys, ``b""`` for the end of input, a window's rows and columns, or None:
the end of the run, by a signal to ringlet or by the person who has left the guest."""


class RecordingError(Exception):
    """A recording cannot be used; the message says why."""


class DivergenceError(Exception):
    """A replay has gone another way than the run that was recorded; the message says where."""


class Checkpoint(NamedTuple):
    """One host call, and the checksum of all up to it."""

    clock: int
    number: int
    checksum: int


class End(NamedTuple):
    """What a run has come to.

    Attributes:
        clock: when.
        status: the program's, as a shell has it; None: the run has stopped before.
        output: a digest of the console's output.
        ram: the machine's fingerprint.

    Of a run that was ended from outside while the machine was at something, nobody can say what
    these two will be in a replay: they are empty.
    """

    clock: int
    status: int | None
    output: str
    ram: str


class Recording(NamedTuple):
    """A recorded run.

    Attributes:
        options: those of the session: ``Session.options``.
        kernel: see ``ringlet.session.identity``.
        argv, env: of the program; the first argument is its path, on the host if there is no root.
        program: a digest of that file; empty: it is one of the root's.
        root: what was put into the guest before.
        timeout: virtual seconds.
        events: what came from outside, by clock.
        stride: host calls from one checkpoint to the next.
        checkpoints: see above.
        end: what the run has come to.
    """

    options: Mapping[str, Any]
    kernel: str
    argv: Sequence[str]
    env: Mapping[str, str]
    program: str
    root: Contents | None
    timeout: float | None
    events: Sequence[tuple[int, Came]]
    stride: int
    checkpoints: Sequence[Checkpoint]
    end: End


class Recorder:
    """Records a run: what happens in a ``with`` block.

    Args:
        session: just booted, or as it was then.
        argv, env, timeout: of the run.
        root: what has been put into the guest since, with the program.

    Raises:
        RecordingError: the session was not booted, but taken up from a snapshot.
        OSError, RootError: the program, or a file of the root, cannot be read.
    """

    def __init__(self, session: Session, argv: Sequence[str], env: Mapping[str, str],
                 timeout: float | None, root: ShellRoot | None = None) -> None:
        if session.options is None:
            raise RecordingError("a session that was taken up from a snapshot cannot be recorded: "
                                 "a replay begins with booting")
        self._session = session
        self._recording = Recording(
            dict(session.options), identity(), list(argv), dict(env),
            digest_of(argv[0]) if root is None else "",
            None if root is None else root.contents(), timeout, [], 1, [], End(0, None, "", ""))
        self._events: list[tuple[int, Came]] = []
        self._checkpoints: list[Checkpoint] = []
        self._stride = 1
        self._output = blake2b(digest_size=16)
        self._comparable = True  # a replay can come to this end
        self._block = ExitStack()

    def came(self, clock: int, what: Came) -> None:
        """Something has come from outside: what an ``Input`` is given as ``record``."""
        self._events.append((clock, what))

    def __enter__(self) -> Self:
        self._block.enter_context(_calls_seen(self._session.machine, self._called))
        self._block.enter_context(_output_seen(self._session, self._output.update))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._block.close()
        if isinstance(error, Left | Ended | KeyboardInterrupt | OSError):
            self.came(self._session.machine.clock, None)
            # The first two come between two steps of the machine, the others anywhere.
            self._comparable = isinstance(error, Left | Ended)

    def recording(self, result: Result | None) -> Recording:
        """Return what has been recorded, while the machine is where the run has left it.

        Args:
            result: how the program has ended; None: it has not.
        """
        machine = self._session.machine
        status = None if result is None else result.status
        end = End(machine.clock, status, "", "") if not self._comparable else End(
            machine.clock, status, self._output.hexdigest(), machine.fingerprint())
        return self._recording._replace(events=self._events, stride=self._stride,
                                        checkpoints=self._checkpoints, end=end)

    def _called(self, index: int, checkpoint: Checkpoint) -> None:
        if index % self._stride == 0:
            self._checkpoints.append(checkpoint)
            if len(self._checkpoints) > MOST:
                self._stride *= 2
                self._checkpoints[:] = self._checkpoints[1::2]


class Replay(Input):
    """Feeds what came in a recorded run, when it came.

    Attributes:
        until: when the next comes; None: nothing more does.
    """

    def __init__(self, machine: Machine, k: Kernel, events: Sequence[tuple[int, Came]]) -> None:
        super().__init__(machine, k, lambda n: b"")
        self._all = events
        self._events = list(events)

    @property
    def until(self) -> int | None:  # type: ignore[override]  # it follows from what is left
        return self._events[0][0] if self._events else None

    def idle(self) -> bool:
        """Let time pass until the next comes, if no timer is due before."""
        if not self._events:
            return False
        machine, clock = self._machine, self._events[0][0]
        timer = machine.hpet.next_event()
        if timer is not None and timer < clock and machine.clock < clock:
            return False
        if machine.clock < clock:
            machine.pass_time(clock)
        self.take()
        return True

    def rewound(self, k: Kernel, clock: int) -> Replay:
        """Return what came from an earlier clock on."""
        return Replay(self._machine, k, [event for event in self._all if event[0] >= clock])

    def take(self) -> None:
        """Give the guest what comes now."""
        _, what = self._events.pop(0)
        if isinstance(what, tuple):
            resize_window(self._k, *what)
        elif what is None:
            raise EndedHere
        elif what:
            self._machine.uart.feed(what)
        else:
            self._machine.uart.hang_up()


@contextmanager
def _calls_seen(machine: Machine, called: Callable[[int, Checkpoint], None]) -> Iterator[None]:
    """Have ``called`` told of each host call: its index, from 1, and its checkpoint."""
    served = machine.host_call
    assert served is not None
    checksum = index = 0

    def serve(number: int) -> None:
        nonlocal checksum, index
        checksum = zlib.crc32(_STEP.pack(machine.clock, number), checksum)
        index += 1
        called(index, Checkpoint(machine.clock, number, checksum))
        served(number)

    machine.host_call = serve
    try:
        yield
    finally:
        machine.host_call = served


@contextmanager
def _output_seen(session: Session, seen: Callable[[bytes], None]) -> Iterator[None]:
    """Have ``seen`` told of what a session's console sends."""
    output = session.output

    def emit(data: bytes) -> None:
        seen(data)
        if output is None:
            session.machine.console += data
        else:
            output(data)

    session.output = emit
    try:
        yield
    finally:
        session.output = output


@contextmanager
def beginning(recording: Recording, output: Callable[[bytes], None] | None = None, *,
              microcode: MicrocodeKind | None = None) -> Iterator[Session]:
    """Give a session at the beginning of a recorded run, to which will come what came then.

    Args:
        output: gets what the console sends.
        microcode: as for a session; it need not be the recorded run's.

    Raises:
        RecordingError: the program is another.
        OSError: it is not there.
        RootError: a file of the root is not there, or another.
    """
    root = None if recording.root is None else ShellRoot(recording.root.folder)
    if root is not None and recording.root is not None:
        root.check(recording.root)
    elif digest_of(recording.argv[0]) != recording.program:
        raise RecordingError(f"{recording.argv[0]} is not the program that was recorded")
    with Session(**recording.options, microcode=microcode, output=output) as session:
        if root is not None:
            root.install(session)
        session.start(recording.argv, env=recording.env, bring=root is None,
                      stdin=Replay(session.machine, session.kernel.k, recording.events))
        yield session


def replay(recording: Recording, output: Callable[[bytes], None] | None = None, *,
           microcode: MicrocodeKind | None = None) -> Result | None:
    """Do a recorded run again.

    Args:
        output, microcode: see :func:`beginning`.

    Returns:
        How the program ended; None if the run was ended from outside before.

    Raises:
        RecordingError, OSError, RootError: see :func:`beginning`.
        DivergenceError: the replay has gone another way.
        Exception: what the recorded run has ended with, such as KernelPanic.
    """
    printed = blake2b(digest_size=16)

    def emit(data: bytes) -> None:
        printed.update(data)
        if output is not None:
            output(data)

    with beginning(recording, emit, microcode=microcode) as session:
        machine = session.machine
        expected = iter(recording.checkpoints)
        before = 0

        def called(index: int, checkpoint: Checkpoint) -> None:
            nonlocal before
            if index % recording.stride:
                return
            wanted = next(expected, None)
            if wanted != checkpoint:
                raise DivergenceError(_difference(recording, before, wanted, checkpoint))
            before = checkpoint.clock

        result: Result | None = None
        try:
            with _calls_seen(machine, called), suppress(EndedHere):
                result = session.resume(timeout=recording.timeout)
        finally:
            end = End(machine.clock, None if result is None else result.status,
                      printed.hexdigest(), machine.fingerprint())
        for name, value in end._asdict().items():
            if value != getattr(recording.end, name) and getattr(recording.end, name) != "":
                raise DivergenceError(
                    f"after clock {before} the replay differs: at its end, {name} is {value} "
                    f"instead of {getattr(recording.end, name)}{_kernels(recording)}")
        return result


def _difference(recording: Recording, before: int, wanted: Checkpoint | None,
                got: Checkpoint) -> str:
    if wanted is None:
        text = f"the replay makes host call {got.number} at clock {got.clock}, the run made none"
    elif recording.stride == 1:
        text = (f"the replay makes host call {got.number} at clock {got.clock}, the run made "
                f"{wanted.number} at {wanted.clock}")
    else:
        text = (f"the replay differs before clock {max(wanted.clock, got.clock)}: the host calls' "
                f"checksum is {got.checksum:#010x} instead of {wanted.checksum:#010x}")
    return f"after clock {before} {text}{_kernels(recording)}"


def _kernels(recording: Recording) -> str:
    if recording.kernel == identity():
        return ""
    return f"; it was recorded with kernel {recording.kernel}, and this is {identity()}"


def digest_of(path: str) -> str:
    """Return a file's digest.

    Raises:
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        return blake2b(file.read(), digest_size=16).hexdigest()


# Files


def write_recording(recording: Recording, path: str | os.PathLike[str]) -> None:
    """Write a recording to a file.

    Raises:
        OSError: it cannot be written.
    """
    events = [[clock, what.hex() if isinstance(what, bytes) else what]
              for clock, what in recording.events]
    root = None if recording.root is None else recording.root._asdict()
    text = json.dumps({"format": FORMAT, "version": VERSION, **recording._asdict(), "root": root,
                       "events": events, "end": recording.end._asdict()}, separators=(",", ":"))
    with open(path, "w") as file:
        file.write(text)


def read_recording(path: str | os.PathLike[str]) -> Recording:
    """Read a recording.

    Raises:
        OSError: it cannot be read.
        RecordingError: it is none, or of another version, or damaged.
    """
    name = os.fspath(path)
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
        if content.pop("format") != FORMAT:
            raise ValueError("another format")
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise RecordingError(f"{name}: not a recording") from error
    version = content.pop("version", None)
    if version != VERSION:
        raise RecordingError(f"{name}: a recording of version {version}; this ringlet reads "
                             f"version {VERSION}")
    try:
        events = [(_integer(clock), _came(what)) for clock, what in content.pop("events")]
        checkpoints = [Checkpoint(*map(_integer, point)) for point in content.pop("checkpoints")]
        end = End(**content.pop("end"))
        root = content.pop("root")
        recording = Recording(events=events, checkpoints=checkpoints, end=end,
                              root=None if root is None else _contents(**root), **content)
        if recording.stride < 1 or not recording.argv:
            raise ValueError("no program")
    except (ValueError, LookupError, TypeError) as error:
        raise RecordingError(f"{name}: damaged: {error}") from error
    return recording


def _came(what: Any) -> Came:
    if what is None:
        return None
    if isinstance(what, str):
        return bytes.fromhex(what)
    return _integer(what[0]), _integer(what[1])


def _contents(folder: str | None, depth: int, digests: Mapping[str, str]) -> Contents:
    if not isinstance(folder, str | None):
        raise ValueError(f"{folder!r} where a directory belongs")
    return Contents(folder, _integer(depth), {path: str(digests[path]) for path in digests})


def _integer(value: Any) -> int:
    if type(value) is not int:
        raise ValueError(f"{value!r} where a number belongs")
    return value
