"""Who prints the trace: told of each call by the kernel, it writes lines as strace(1) does.

A line is begun when the call begins, so that a call that never returns is seen, and ended when it
has returned.  If another task comes in between, the line is broken off and taken up again::

    [pid     5] read(3,  <unfinished ...>
    [pid     6] write(4, "x", 1)            = 1
    [pid     5] <... read resumed>"x", 1)   = 1
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TextIO

from guest_kernel.hostcalls import Tracer
from guest_kernel.kernel import Kernel
from guest_kernel.layout.ptrace import pt_regs
from guest_kernel.layout.sched import PF_FORKNOEXEC, SYSCALL_WORK_SYSCALL_TRACE, task_struct
from guest_kernel.process.pid import find_task_by_vpid
from guest_kernel.sched.wait import fatal_signal_pending
from guest_kernel.signal.numbers import signal_name
from guest_kernel.signal.signal import signal_of
from guest_kernel.syscalls import ARGUMENT_REGISTERS
from ringlet.strace.call import Call, Signature
from ringlet.strace.clone import MAKES_A_TASK
from ringlet.strace.memory import UserMemory
from ringlet.strace.process import EXECVE
from ringlet.strace.signals import siginfo_text
from ringlet.strace.table import signatures, unknown

if TYPE_CHECKING:
    from ringlet.session import Result

COLUMN: Final = 40  # where results begin: strace's -a
_AT_NULL: Final = 0
_AT_EXECFN: Final = 31

_REGISTERS: Final = tuple(pt_regs.offsetof(name) >> 3 for name in ARGUMENT_REGISTERS)
_SP: Final = pt_regs.offsetof("sp") >> 3


@dataclass(slots=True)
class _Tracee:
    """A task that is traced.

    Attributes:
        pid, tgid: its number and its thread group's.
        task: where its task_struct is; execve(2) can give that another number.
        call: the call that it makes, while it makes one.
        signature, name: of that call, or of the one before.
        text: what is written of that call's line, without the prefix.
        ended: it is a leader that has ended before the other threads of its group.
    """

    pid: int
    tgid: int
    task: int
    call: Call | None = None
    signature: Signature = field(default_factory=Signature)
    name: str = ""
    text: str = ""
    ended: bool = False


class Strace(Tracer):
    """A tracer, as ``guest_kernel.hostcalls.Tracer`` has it.

    Args:
        kernel: whose tasks are traced.
        file: gets the lines.
    """

    def __init__(self, kernel: Kernel, file: TextIO) -> None:
        self._k = kernel
        self._file = file
        self._signatures = signatures()
        self._tracees: dict[int, _Tracee] = {}
        self._open: _Tracee | None = None  # whose line has not ended

    # ------------------------------------------------------------- told by the kernel

    def attach(self, task: task_struct) -> None:
        """Trace ``task``, which is about to run in ring 3 for the first time.

        All its calls go to the hosted kernel from now on, and those of the tasks that it makes.
        """
        task.thread_info.syscall_work |= SYSCALL_WORK_SYSCALL_TRACE
        tracee = self._tracees[task.pid] = _Tracee(task.pid, task.tgid, task.va)
        if not task.flags & PF_FORKNOEXEC:
            self._exec(task, tracee)

    def enter(self, task: task_struct, nr: int, regs: int) -> None:
        """A call begins; ``regs`` is the index of its pt_regs in ``u64``."""
        if not self._is_traced(task):
            return
        tracee = self._tracee(task)
        u64 = self._k.u64
        call = Call(UserMemory(task), tuple(u64[regs + at] for at in _REGISTERS),
                    stack=u64[regs + _SP])
        name, signature = self._signatures.get(nr) or unknown(nr)
        tracee.signature = signature.of(call)
        text = tracee.signature.begin(call)
        if name == "restart_syscall":
            text = f"<... resuming interrupted {tracee.name or 'system call'} ...>"
        tracee.call, tracee.name = call, name
        self._begin(tracee, f"{name}({text}")

    def leave(self, task: task_struct, nr: int, regs: int, result: int) -> None:
        """A call has ended with ``result``."""
        if not self._is_traced(task) or fatal_signal_pending(task):
            return  # a task that is being killed does not stop for its tracer any more
        tracee = self._tracee(task)
        if tracee.call is None:
            return
        call, tracee.call = tracee.call, None
        call.ended, call.result = True, result
        self._resume(tracee)
        self._end(tracee, f"{tracee.signature.end(call)}) ", tracee.signature.result(call))
        if tracee.name in MAKES_A_TASK and result > 0:
            child = find_task_by_vpid(self._k, result)
            if child is not None and not child.exit_state and self._is_traced(child):
                self._tracee(child)

    def signal(self, task: task_struct, info: bytes) -> None:
        """A signal is delivered; ``info`` is its ``siginfo_t``, or the start of it."""
        if self._is_traced(task):
            info = info.ljust(128, b"\0")
            number = int.from_bytes(info[:4], "little")
            call = Call(UserMemory(task), (0,) * len(_REGISTERS))
            self._line(self._tracee(task),
                       f"--- {signal_name(number)} {siginfo_text(call, info)} ---")

    def stop(self, task: task_struct, sig: int) -> None:
        """A task has been stopped by signal ``sig``."""
        if self._is_traced(task):
            self._line(self._tracee(task), f"--- stopped by {signal_name(sig)} ---")

    def exit(self, task: task_struct, status: int) -> None:
        """A task has ended; ``status`` is its wait status.

        A leader can be waited for, and is reported, when the last thread of its group has ended.
        """
        if not self._is_traced(task):
            return
        tracee = self._tracee(task)
        self._end_call(tracee)
        if tracee.pid == tracee.tgid and self._threads(tracee.tgid) > 1:
            tracee.ended = True
            return
        self._exited(tracee, status)
        leader = self._tracees.get(tracee.tgid)
        if leader is not None and leader.ended and self._threads(tracee.tgid) == 1:
            self._exited(leader, signal_of(task).group_exit_code)

    # ------------------------------------------------------------ told by the front end

    def finish(self, result: Result) -> None:
        """The run is over: say how each task ended that the kernel has not told us of."""
        for tracee in list(self._tracees.values()):
            # Without a signal, exit and exit_group are the only ways out; a program that is in
            # none of them has been given up.
            leaves = tracee.call is not None and tracee.name in ("exit", "exit_group")
            if result.signal or leaves:
                self._end_call(tracee)
                self._exited(tracee, result.signal or result.status << 8)
            else:
                self._detached(tracee)
        self._file.flush()

    # ------------------------------------------------------------------------- tracees

    def _is_traced(self, task: task_struct) -> bool:
        return bool(task.thread_info.syscall_work & SYSCALL_WORK_SYSCALL_TRACE)

    def _threads(self, tgid: int) -> int:
        """Return how many tracees there are of a thread group."""
        return sum(tracee.tgid == tgid for tracee in self._tracees.values())

    def _tracee(self, task: task_struct) -> _Tracee:
        """Return the tracee that ``task`` is; say so if it is a new one.

        The end of the call that has made a task says first that it is there; where the maker waits
        for the task, as in vfork(2), the first that is heard of the task itself does.
        """
        tracee = self._tracees.get(task.pid)
        if tracee is None:
            tracee = self._tracees[task.pid] = _Tracee(task.pid, task.tgid, task.va)
            self._break_off()
            self._file.write(f"strace: Process {task.pid} attached\n")
        elif tracee.ended and tracee.task != task.va:
            return self._supersede(tracee, task.va)
        return tracee

    def _supersede(self, leader: _Tracee, task: int) -> _Tracee:
        """A thread has become its group's leader, by execve(2), and has the number of the old."""
        thread = next(tracee for tracee in self._tracees.values() if tracee.task == task)
        self._line(leader, f"+++ superseded by execve in pid {thread.pid} +++")
        del self._tracees[thread.pid]
        thread.pid = leader.pid
        self._tracees[thread.pid] = thread
        return thread

    # --------------------------------------------------------------------------- lines

    def _exec(self, task: task_struct, tracee: _Tracee) -> None:
        """Write the call that has made the task what it is: a kernel thread made it."""
        memory = UserMemory(task)
        sp = task.mm.start_stack if task.mm is not None else 0

        def word(va: int) -> int:
            return int.from_bytes(memory.read(va, 8) or b"", "little")

        argv = sp + 8
        envp = argv + 8 * (word(sp) + 1)
        call = Call(memory, (_execfn(task), argv, envp, 0, 0, 0))
        self._begin(tracee, f"execve({EXECVE.begin(call)}")
        call.ended = True
        self._end(tracee, ") ", EXECVE.result(call))

    def _end_call(self, tracee: _Tracee) -> None:
        """End the line of a call that will not return."""
        if tracee.call is not None:
            self._resume(tracee)
            self._end(tracee, ") " if tracee.signature.begun_whole else " <unfinished ...>) ", "?")
            tracee.call = None

    def _exited(self, tracee: _Tracee, status: int) -> None:
        """A task has ended with a wait status, and is none any more."""
        how = f"killed by {signal_name(status & 0x7F)}" if status & 0x7F else (
            f"exited with {status >> 8 & 0xFF}")
        self._line(tracee, f"+++ {how}{' (core dumped)' if status & 0x80 else ''} +++")
        del self._tracees[tracee.pid]

    def _detached(self, tracee: _Tracee) -> None:
        """The task is left as it is."""
        if tracee.call is not None:
            self._resume(tracee)
            self._file.write(" <detached ...>\n")
            self._open = None
        del self._tracees[tracee.pid]

    def _begin(self, tracee: _Tracee, text: str) -> None:
        self._break_off()
        self._open, tracee.text = tracee, self._prefix(tracee) + text
        self._file.write(tracee.text)
        if self._file.isatty():
            self._file.flush()

    def _resume(self, tracee: _Tracee) -> None:
        """Go on with a line that has been broken off."""
        if self._open is not tracee:
            self._begin(tracee, f"<... {tracee.name} resumed>")

    def _end(self, tracee: _Tracee, text: str, result: str) -> None:
        padding = " " * (COLUMN - len(tracee.text) - len(text))
        self._file.write(f"{text}{padding}= {result}\n")
        self._open = None

    def _line(self, tracee: _Tracee, text: str) -> None:
        """Write a line of its own."""
        self._break_off()
        self._file.write(f"{self._prefix(tracee)}{text}\n")

    def _break_off(self) -> None:
        if self._open is not None:
            self._file.write(" <unfinished ...>\n")
            self._open = None

    def _prefix(self, tracee: _Tracee) -> str:
        return f"[pid {tracee.pid:5}] " if len(self._tracees) > 1 else ""


def _execfn(task: task_struct) -> int:
    """Return the user address of the path that the task was executed from."""
    words = task.mm.saved_auxv if task.mm is not None else ()
    for key, value in zip(words[::2], words[1::2], strict=False):
        if key == _AT_EXECFN:
            return int(value)
        if key == _AT_NULL:
            break
    return 0
