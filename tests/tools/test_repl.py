"""``ringlet debug`` at a terminal: IPython's console, and the plain one, as a person uses them."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.guest import compile_c
from tests.tools.terminal import PATIENCE, Terminal

HERE = Path(__file__).resolve().parent
PROMPT = r"\(ringlet\) "
COLOURS = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


class Console(Terminal):
    """A terminal of which only the text is looked at, without colours and cursor movements."""

    raw = ""  # all that has appeared

    def _read(self, seconds: float) -> bool:
        before = len(self._output)
        read = super()._read(seconds)
        self.raw += self._output[before:]
        self._output = COLOURS.sub("", self._output)
        return read

    def settle(self) -> str:
        """Wait for the prompt, and until nothing more appears; return what has not been seen."""
        end = time.monotonic() + PATIENCE
        while self._read(0.3) or not re.search(rf"{PROMPT}$", self._output):
            if time.monotonic() > end:
                pytest.fail(f"no prompt behind {self.left!r}")
        seen = self.left
        self._seen = len(self._output)
        return seen

    def command(self, line: str) -> str:
        """Type a line at the prompt; return what comes before the next prompt."""
        self.type(f"{line}\r")
        # The line is drawn anew when it is complete, and perhaps echoed before.
        *_, shown = re.split(re.escape(line) + r"\s*\n", self.settle())
        return re.sub(rf"\r|{PROMPT}$", "", shown).strip()


def console(*words: str, source: Path = HERE / "debugging" / "calls.c",
            **environment: str) -> Console:
    """Start ``ringlet debug`` on a program, at a terminal that has colours."""
    program = compile_c(source, "-g", "-O0")
    started = Console([sys.executable, "-m", "ringlet", "debug", *words, str(program)],
                      TERM="xterm", PROMPT_TOOLKIT_NO_CPR="1", **environment)
    started.settle()
    return started


@pytest.fixture(params=["ipython", "plain"])
def debug(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Console]:
    words = ["--plain"] if request.param == "plain" else []
    with console(*words, XDG_CACHE_HOME=str(tmp_path)) as started:
        yield started


def test_commands_and_python_are_typed(debug: Console) -> None:
    """Do both consoles do gdb's commands and Python, and say what is wrong in a sentence?"""
    assert re.match(r"Breakpoint 1 at 0x[0-9a-f]+$", debug.command("break main"))
    assert "main () at tests/tools/debugging/calls.c" in debug.command("c")
    assert debug.command("p 6 * 7") == "42 (0x2a)"
    assert debug.command("6 * 7") == "42"
    assert debug.command("py b main") == "d.break_('main')"
    assert debug.command("here = d.rip") == ""
    assert debug.command("here == d.rip") == "True"
    assert debug.command("frobnicate 3") == (
        "Undefined command or name: 'frobnicate'.  Try help.")
    assert debug.command("nosuch") == "Undefined command or name: 'nosuch'.  Try help."
    assert debug.command("raise NameError(7)") == "Undefined command or name: None.  Try help."
    assert debug.command("delete 7") == "There is no breakpoint number 7."
    assert debug.command("d.delete(7)") == "There is no breakpoint number 7."
    assert "pid = 0x" in debug.command("current")
    debug.type("quit\r")
    assert debug.wait() == 0
    assert "Traceback" not in debug.output


def test_an_empty_line_repeats_a_step(debug: Console) -> None:
    """Does it, and only what can be repeated?"""
    def clock() -> int:
        return int(debug.command("m.clock"))

    start = clock()
    debug.command("stepi")
    after = clock()
    assert after > start
    debug.type("\r")  # behind m.clock there is nothing to repeat
    debug.settle()
    assert clock() == after
    debug.command("stepi")
    debug.type("\r")
    debug.settle()
    assert clock() > after


def test_the_end_of_input_leaves(debug: Console) -> None:
    """Does Ctrl-D at the prompt?"""
    debug.type("\x04")
    assert debug.wait() == 0


def test_ctrl_c_at_the_prompt_does_not_leave(debug: Console) -> None:
    """Is what was typed forgotten, and the console still there?"""
    debug.type("half a line")
    debug.expect("half a line")
    debug.type("\x03")
    while debug._read(0.5):  # IPython goes on in the same line
        pass
    assert debug.command("p 1") == "1 (0x1)"


def test_ctrl_c_stops_a_loop_of_python(debug: Console) -> None:
    """Where the guest does not run, does it interrupt Python as ever?"""
    debug.type("print('be' 'gun'); any(number for number in iter(int, 1))\r")
    debug.expect("begun")
    debug.type("\x03")
    debug.settle()
    assert debug.command("p 1") == "1 (0x1)"


@pytest.mark.parametrize("words", [[], ["--plain"]])
def test_ctrl_c_stops_the_guest(words: list[str], tmp_path: Path) -> None:
    """Does it, where that can be looked at and gone on with?"""
    source = tmp_path / "loop.c"
    source.write_text("int main(void) { for (volatile long i = 0;; i++); }\n")
    with console(*words, source=source, XDG_CACHE_HOME=str(tmp_path)) as debug:
        debug.command("tbreak main")
        debug.command("continue")
        for _ in range(2):
            debug.type("c\r")
            debug.expect(r"c\s*\n")
            time.sleep(0.5)  # so that it runs
            debug.type("\x03")
            debug.expect(r"Interrupted\.")
            assert "main () at" in debug.settle()
        assert "loop.c" in debug.command("bt")
        debug.type("quit\r")
        assert debug.wait() == 0


def test_tab_completes_commands_and_symbols(debug: Console) -> None:
    """Is what can follow offered?"""
    debug.type("pagew\t")
    debug.expect("pagewalk")
    debug.type(" $rip\r")
    assert "PML4E" in debug.settle()
    debug.type("break __x64_sys_getpi\t")
    debug.expect("__x64_sys_getpid")
    debug.type("\r")
    debug.expect(r"Breakpoint 1 at")


def test_ipython_shows_colours_and_no_colour_is_respected(tmp_path: Path) -> None:
    """Are addresses coloured at a terminal, unless NO_COLOR is set?"""
    coloured = {}
    for value in ("", "1"):
        with console(XDG_CACHE_HOME=str(tmp_path), NO_COLOR=value) as debug:
            debug.command("break main")
            coloured[value] = "\x1b[36m0x" in debug.raw
    assert coloured == {"": True, "1": False}


def test_ipython_remembers_what_was_typed(tmp_path: Path) -> None:
    """Is the last session's last line under the up key, and nothing left in the home folder?"""
    home = tmp_path / "home"
    home.mkdir()
    for keys in ("p 1234567\r", "\x1b[A"):
        with console(XDG_CACHE_HOME=str(tmp_path / "cache"), HOME=str(home)) as debug:
            debug.type(keys)
            debug.expect("1234567")
            if keys.endswith("\r"):
                debug.settle()
                debug.type("quit\r")
                assert debug.wait() == 0
    assert list(home.iterdir()) == []
