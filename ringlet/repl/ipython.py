"""The console with IPython and rich, the ``repl`` extra: history, editing, completion, colours.

The same commands and names as the plain console's, :class:`ringlet.repl.shell.Shell`, which does
them; what is no command goes to IPython, with its ``?``, its ``%`` and ``!``, and its history of
results.
"""

from __future__ import annotations

import os
import tempfile
from typing import Any

from IPython.core.completer import (
    CompletionContext,
    SimpleCompletion,
    SimpleMatcherResult,
    context_matcher,
)
from IPython.core.interactiveshell import ExecutionResult
from IPython.terminal.interactiveshell import TerminalInteractiveShell
from IPython.terminal.prompts import Prompts
from pygments.token import Token
from traitlets.config import Config

from emulator.assembler import cache_directory
from guest_kernel.errors import KernelPanic
from guest_kernel.layout.declare import Struct
from ringlet.debugger.errors import DebuggerError
from ringlet.debugger.points import Point
from ringlet.debugger.stop import Stop
from ringlet.repl.shell import PROMPT, Quit, Shell, sentence, undefined


class _Prompts(Prompts):
    def in_prompt_tokens(self) -> list[tuple[Any, str]]:
        return [(Token.Prompt, PROMPT)]

    def continuation_prompt_tokens(self, width: int | None = None, **_: Any) -> list[
            tuple[Any, str]]:
        return [(Token.Prompt, "... ".rjust(len(PROMPT) if width is None else width))]

    def out_prompt_tokens(self) -> list[tuple[Any, str]]:
        return []


class IPythonConsole(TerminalInteractiveShell):
    """An interactive IPython whose lines may be the debugger's commands.

    Args:
        shell: does the commands.
    """

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self._raw = ""
        config = Config()
        config.TerminalInteractiveShell.prompts_class = _Prompts
        config.TerminalInteractiveShell.confirm_exit = False
        config.TerminalInteractiveShell.term_title = False
        config.TerminalInteractiveShell.separate_in = ""
        config.TerminalInteractiveShell.automagic = False
        config.TerminalInteractiveShell.enable_tip = False
        config.TerminalInteractiveShell.banner1 = ""
        config.TerminalInteractiveShell.xmode = "Minimal"
        config.Completer.use_jedi = False
        cache = cache_directory()
        config.HistoryManager.enabled = cache is not None
        self._folder = tempfile.TemporaryDirectory(prefix="ringlet-") if cache is None else None
        folder = cache if self._folder is None else self._folder.name
        super().__init__(config=config, ipython_dir=os.path.join(str(folder), "ipython"),
                         user_ns=shell.names)
        self.input_transformers_cleanup.insert(0, self._command_as_call)
        self.set_custom_exc((DebuggerError, KernelPanic, NameError), _say)
        assert self.Completer is not None
        self.Completer.custom_matchers.append(self._complete_words)
        assert self.display_formatter is not None
        formatter = self.display_formatter.formatters["text/plain"]
        for kind in (Stop, Point, Struct):
            formatter.for_type(kind, self._pretty)

    def show(self, text: str) -> None:
        """Print what a command gives, in colours where the terminal has them."""
        if text:
            from ringlet.repl.colours import show  # not for the first prompt

            show(text)

    def command(self, line: str) -> None:
        """Do a command; what it gives is printed."""
        try:
            self.show(self._shell.execute(line))
        except Quit:
            self.ask_exit()

    # What IPython calls

    def _command_as_call(self, lines: list[str]) -> list[str]:
        """Turn a line that is a command into Python that does it."""
        text = "".join(lines).strip()
        if "\n" in text or not self._shell.is_command(text):
            return lines
        return [f"get_ipython().command({text!r})\n"]

    def prompt_for_code(self) -> str:
        """Read a line; an empty one repeats the last, if that repeats."""
        text: str = super().prompt_for_code()
        return text if text.strip() else self._shell.repeated

    def run_cell(self, raw_cell: str, *args: Any, **options: Any) -> ExecutionResult:
        """Do what was typed; Ctrl-C meanwhile stops the guest."""
        self._raw = raw_cell
        if not self._shell.is_command(raw_cell):
            self._shell.repeated = ""
        with self._shell.interruptible():
            return super().run_cell(raw_cell, *args, **options)

    def showsyntaxerror(self, *args: Any, **options: Any) -> None:
        """Say that a line is no command, rather than that it is no Python."""
        if "\n" in self._raw.strip():
            super().showsyntaxerror(*args, **options)
        else:
            self.show(undefined(self._raw.split()[0]))

    @context_matcher()
    def _complete_words(self, context: CompletionContext) -> SimpleMatcherResult:
        line = context.full_text.split("\n")[context.cursor_line][: context.cursor_position]
        found = self._shell.complete(line)
        # What is matched is the word in IPython's sense; ours may begin before it, as with $.
        behind = line.removesuffix(context.token)
        word = line.rpartition(" ")[2]
        start = len(word) - len(context.token) if word else 0
        return {"completions": [SimpleCompletion(word[start:]) for word in found],
                "suppress": bool(behind.strip()) and self._shell.is_command(line)}

    def _pretty(self, value: Any, printer: Any, _cycle: bool) -> None:
        printer.text(self._shell.show(value))


def _say(console: IPythonConsole, _kind: type, error: DebuggerError | KernelPanic | NameError,
         _traceback: Any, tb_offset: int | None = None) -> None:
    """Show an error as a sentence."""
    console.show(sentence(error))


def interact(shell: Shell) -> None:
    """Read and do lines until the end of input, or ``quit``."""
    console = IPythonConsole.instance(shell)  # IPython's parts look for the one that there is
    try:
        console.mainloop()
    finally:
        IPythonConsole.clear_instance()
