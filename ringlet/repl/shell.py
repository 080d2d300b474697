"""The console: reads lines, commands of gdb's or Python, and shows what they give.

Names that Python has here: ``d`` the debugger, ``m`` the machine, ``cpu`` its registers, ``views``
what the commands show, ``tasks`` the tasks, ``current`` the running one, ``prog`` drgn's program if
drgn is installed, and ``shell`` this console.
"""

from __future__ import annotations

import ast
import contextlib
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from types import CodeType, FrameType
from typing import Any, Final

from emulator.snapshot import Snapshot
from guest_kernel.errors import KernelPanic
from guest_kernel.layout.declare import Struct
from guest_kernel.view import View
from ringlet.debugger.core import Debugger
from ringlet.debugger.errors import DebuggerError
from ringlet.debugger.points import Point
from ringlet.debugger.stop import Stop
from ringlet.repl import views
from ringlet.repl.commands import COMMANDS, find, translate
from ringlet.repl.why import explain

PROMPT: Final = "(ringlet) "


class Quit(Exception):  # it is no error
    """The user leaves."""


class Shell:
    """A console of one debugger.

    Attributes:
        names: what Python knows here.
        checkpoints: snapshots, by number.
        repeated: what an empty line does again; empty: nothing.
    """

    def __init__(self, debugger: Debugger) -> None:
        self.debugger = debugger
        self.names: dict[str, Any] = _Namespace(self)
        self.checkpoints: dict[int, Snapshot] = {}
        self.repeated = ""

    def is_command(self, line: str) -> bool:
        """Tell whether a line is a command, and not Python; a wrong one is one, too."""
        words = line.split(maxsplit=1)
        try:
            return words[0] == "py" or translate(line) is not None if words else False
        except DebuggerError:
            return True

    def execute(self, line: str) -> str:
        """Do what a line says; return what is to be shown.

        Raises:
            Quit: it says to leave.
        """
        text = line.strip()
        if not text:
            text = self.repeated
            if not text:
                return ""
        self.repeated = text if _repeats(text) else ""
        try:
            if text.split()[0] == "py" and len(text.split()) > 1:
                python = translate(text.removeprefix("py").strip())
                return python if python is not None else "That is Python already."
            python = translate(text)
            return self.show(self._python(text if python is None else python))
        except (DebuggerError, KernelPanic) as error:
            return sentence(error)
        except KeyboardInterrupt:
            return f"Interrupted.\n{views.place(self.debugger)}"

    def _python(self, text: str) -> Any:
        """Run Python; return the value of its last expression.

        Raises:
            DebuggerError: it makes no sense, or has failed.
        """
        try:
            tree = ast.parse(text)
        except SyntaxError:
            raise DebuggerError(undefined(text.split()[0])) from None
        last = tree.body[-1] if tree.body else None
        code: CodeType
        try:
            with self.interruptible():
                if isinstance(last, ast.Expr):
                    before = ast.Module(tree.body[:-1], [])
                    exec(compile(before, "<console>", "exec"), self.names)
                    code = compile(ast.Expression(last.value), "<console>", "eval")
                    return eval(code, self.names)
                exec(compile(tree, "<console>", "exec"), self.names)
                return None
        except (DebuggerError, KernelPanic, Quit, KeyboardInterrupt):
            raise
        except NameError as error:
            raise DebuggerError(sentence(error)) from None
        except Exception as error:
            raise DebuggerError(traceback.format_exception_only(error)[-1].rstrip()) from None

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """Let Ctrl-C stop the guest, and not the console, while a command runs.

        Where the guest does not run, it raises KeyboardInterrupt, as ever.
        """
        def handle(_number: int, _frame: FrameType | None) -> None:
            if not self.debugger.is_running:
                raise KeyboardInterrupt
            self.debugger.interrupt()

        try:
            before = signal.signal(signal.SIGINT, handle)
        except ValueError:  # not in the main thread
            yield
            return
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def show(self, value: Any) -> str:
        """Return how a value is shown; nothing for None."""
        if value is None:
            return ""
        if isinstance(value, Stop):
            return views.stop(self.debugger, value)
        if isinstance(value, Point):
            return views.point(value)
        if isinstance(value, Struct):
            return views.structure(self.debugger, value)
        # drgn shows what an object is by str().
        return str(value) if type(value).__module__ == "_drgn" else (
            value if isinstance(value, str) else repr(value))

    # Commands of the console's own

    def checkpoint(self) -> str:
        """Take a snapshot."""
        session = self.debugger.session
        snapshot = self.debugger.machine.snapshot() if session is None else session.snapshot()
        number = len(self.checkpoints) + 1
        self.checkpoints[number] = snapshot
        return f"Checkpoint {number} at clock {snapshot.clock:,}."

    def restart(self, number: int) -> Stop:
        """Go back to a snapshot.

        Raises:
            DebuggerError: there is none of that number.
        """
        if number not in self.checkpoints:
            raise DebuggerError(f"There is no checkpoint {number}.")
        return self.debugger.restore(self.checkpoints[number])

    def help(self, word: str = "") -> str:
        """Show the commands, or one."""
        if word:
            command = find(word)
            if command is None:
                raise DebuggerError(f"There is no command {word!r}.")
            names = ", ".join((command.name, *command.aliases))
            return f"{names} {command.usage}\n{command.help}"
        return "\n".join([f"{c.name:<12} {c.help}" for c in COMMANDS] + [
            "", "What is no command is Python: d, m, cpu, current, tasks, prog, views.",
            "py COMMAND shows the Python that a command stands for."])

    def quit(self) -> None:
        """Leave."""
        raise Quit

    def complete(self, text: str) -> list[str]:
        """Return what the last word of a line may become."""
        words = text.split()
        if len(words) <= 1 and not text.endswith(" "):
            start = words[0] if words else ""
            return sorted({c.name for c in COMMANDS if c.name.startswith(start)}
                          | {name for name in self.names if name.startswith(start)
                             and not name.startswith("_")})
        start = "" if text.endswith(" ") else words[-1]
        if start.startswith("$"):
            return [f"${name}" for name in (*views.GENERAL, "rflags", *views.SEGMENTS,
                                            *views.CONTROL) if name.startswith(start[1:])]
        names = set(self.debugger.system.symbols)
        for module in self.debugger.modules():
            names.update(module.image.table.by_name)
        return sorted(name for name in names if name.startswith(start))[:200]

    # The loop

    def interact(self, read: Callable[[str], str] = input) -> None:
        """Read and do lines until the end of input, or ``quit``."""
        _set_up_readline(self)
        while True:
            try:
                shown = self.execute(read(PROMPT))
            except EOFError:
                print()
                return
            except KeyboardInterrupt:
                print("Quit")
                continue
            except Quit:
                return
            if shown:
                print(shown)
            sys.stdout.flush()


def undefined(word: str | None) -> str:
    """Say that a word is neither a command nor Python."""
    return f"Undefined command or name: {word!r}.  Try help."


def sentence(error: DebuggerError | KernelPanic | NameError) -> str:
    """Say an error in a sentence."""
    if isinstance(error, NameError):
        return undefined(error.name)
    return f"Kernel panic: {error}" if isinstance(error, KernelPanic) else str(error)


class _Namespace(dict[str, Any]):
    """What Python knows; some of it changes when the machine runs."""

    def __init__(self, shell: Shell) -> None:
        debugger = shell.debugger
        super().__init__(shell=shell, d=debugger, views=views, explain=explain, m=debugger.machine,
                         cpu=debugger.machine.cpu.regs, __name__="__console__")
        self._shell = shell

    def __missing__(self, name: str) -> Any:
        debugger = self._shell.debugger
        if isinstance(debugger.system, View):
            if name == "current":
                return debugger.system.k.current()
            if name == "tasks":
                return list(debugger.system.tasks())
            if name == "prog":
                return _drgn(debugger.system)
        raise KeyError(name)


def _drgn(view: View) -> Any:
    try:
        from ringlet.drgn import program
    except ImportError:
        raise DebuggerError("prog needs drgn: pip install 'ringlet[drgn]'.") from None
    return program(view.k)


def _repeats(text: str) -> bool:
    try:
        command = find(text.split()[0])
    except DebuggerError:
        return False
    return command is not None and command.repeats


def _set_up_readline(shell: Shell) -> None:
    """Complete words with TAB, where the host's terminal can."""
    if not sys.stdin.isatty():
        return
    try:
        import readline
    except ImportError:
        return
    found: list[str] = []

    def complete(_text: str, state: int) -> str | None:
        if state == 0:
            found[:] = shell.complete(readline.get_line_buffer())
        return found[state] if state < len(found) else None

    readline.set_completer(complete)
    readline.set_completer_delims(" \t,*")
    readline.parse_and_bind("tab: complete")
