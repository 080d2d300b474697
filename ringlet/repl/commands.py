"""gdb's words as Python: each command is a way to write an expression about ``d`` and ``views``.

:func:`translate` turns a line into that expression, and ``py LINE`` shows it.  What is no command
is Python already.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from ringlet.debugger.errors import DebuggerError

# A line is Python's, whatever its first word, if that word is assigned, called or looked into.
_PYTHON: Final = re.compile(r"\w+(\s*(=(?!=)|:=|[-+*/|&^%@]=|,)|\(|\[|\.\w)")


class Command(NamedTuple):
    """A command.

    Attributes:
        name: its full name.
        usage: its arguments, as people write them.
        help: one sentence.
        python: turns the rest of the line into Python.
        aliases: other names.
        repeats: an empty line does it again.
    """

    name: str
    usage: str
    help: str
    python: Callable[[str], str]
    aliases: tuple[str, ...] = ()
    repeats: bool = False


def _fixed(expression: str) -> Callable[[str], str]:
    def python(rest: str) -> str:
        if rest:
            raise DebuggerError(f"This command takes no argument, and {rest!r} is one.")
        return expression

    return python


def _counted(method: str) -> Callable[[str], str]:
    return lambda rest: f"d.{method}({rest and _integer(rest)})"


def _integer(text: str) -> str:
    try:
        return str(int(text, 0))
    except ValueError:
        raise DebuggerError(f"{text!r} is not a number.") from None


def _numbers(text: str) -> list[str]:
    if not text:
        raise DebuggerError("Which number?  See info breakpoints.")
    return [_integer(word) for word in text.split()]


def _break(temporary: bool) -> Callable[[str], str]:
    def python(rest: str) -> str:
        spec, given, condition = f" {rest} ".partition(" if ")
        if given and not condition.strip():
            raise DebuggerError("A condition is missing behind if.")
        words = spec.split()
        task = ""
        for word in ("task", "thread"):
            if len(words) > 2 and words[-2] == word:
                task, words = _integer(words[-1]), words[:-2]
        location = " ".join(words)
        options = [repr(location) if location else "f'*{d.rip}'"]
        if temporary:
            options.append("temporary=True")
        if condition.strip():
            options.append(f"condition={condition.strip()!r}")
        if task:
            options.append(f"pid={task}")
        return f"d.break_({', '.join(options)})"

    return python


def _watch(access: str) -> Callable[[str], str]:
    def python(rest: str) -> str:
        expression, _, condition = f" {rest} ".partition(" if ")
        expression, _, size = expression.partition(",")
        if not expression.strip():
            raise DebuggerError("What is to be watched?  An address, and after a comma its size.")
        options = [repr(expression.strip())]
        if size.strip():
            options.append(_integer(size.strip()))
        if access != "write":
            options.append(f"access={access!r}")
        if condition.strip():
            options.append(f"condition={condition.strip()!r}")
        return f"d.watch({', '.join(options)})"

    return python


def _catch(rest: str) -> str:
    words = rest.split()
    if not words:
        raise DebuggerError("Which event?  catch syscall, exception, fault, cow, fork, exec, exit, "
                            "switch, signal or oops.")
    return f"d.catch({', '.join(map(repr, words))})"


def _delete(rest: str) -> str:
    if not rest:
        return "d.points.clear()"
    return "; ".join(f"d.delete({number})" for number in _numbers(rest))


def _enable(value: bool) -> Callable[[str], str]:
    def python(rest: str) -> str:
        if not rest:
            return f"[setattr(p, 'enabled', {value}) for p in d.points.values()] and None"
        return "; ".join(f"d.point({number}).enabled = {value}" for number in _numbers(rest))

    return python


def _condition(rest: str) -> str:
    number, _, expression = rest.partition(" ")
    return f"d.point({_integer(number)}).condition = {expression.strip() or None!r}"


def _ignore(rest: str) -> str:
    words = _numbers(rest)
    if len(words) != 2:
        raise DebuggerError("ignore takes a breakpoint's number and a count.")
    return f"d.point({words[0]}).ignore = d.point({words[0]}).hits + {words[1]}"


def _continue(rest: str) -> str:
    return "d.continue_()" if not rest else f"views.continue_many(d, {_integer(rest)})"


def _until(rest: str) -> str:
    return f"d.until({rest!r})" if rest else "d.until()"


def _advance(rest: str) -> str:
    if not rest:
        raise DebuggerError("advance takes a location.")
    return f"d.advance({rest!r})"


_FORMAT: Final = re.compile(r"/(?P<count>\d*)(?P<letters>[a-z]*)")


def _examine(rest: str) -> str:
    match = _FORMAT.match(rest)
    letters, count = (match["letters"], match["count"]) if match else ("", "")
    expression = rest[match.end() :].strip() if match else rest
    kind = next((letter for letter in letters if letter in "xduotacsi"), "x")
    size = next((letter for letter in letters if letter in "bhwg"), "w" if kind in "xduot" else "g")
    unknown = set(letters) - set("xduotacsibhwg")
    if unknown:
        raise DebuggerError(f"x knows no format {''.join(sorted(unknown))!r}.")
    where = f"d.address({expression!r})" if expression else "d.rip"
    return f"views.examine(d, {where}, {count or 1}, {kind!r}, {size!r})"


_ASSIGNMENT: Final = re.compile(r"([^\"']+?)(?<![=!<>])=(?!=)(.+)")


def _print(rest: str) -> str:
    match = _FORMAT.match(rest)
    kind = match["letters"] if match else ""
    expression = rest[match.end() :].strip() if match else rest
    if not expression:
        raise DebuggerError("print takes an expression.")
    if kind not in ("", "x", "d", "u", "o", "t", "c", "a"):
        raise DebuggerError(f"print knows no format {kind!r}.")
    assigned = _ASSIGNMENT.fullmatch(expression)
    value = f"d.evaluate({expression!r})" if assigned is None else (
        f"d.assign({assigned[1].strip()!r}, d.evaluate({assigned[2].strip()!r}))")
    return f"views.printed(d, {value}, {kind!r})"


def _info(rest: str) -> str:
    words = rest.split()
    topics = {
        "registers": "views.registers(d{})", "breakpoints": "views.breakpoints(d)",
        "watchpoints": "views.breakpoints(d)", "proc": "views.proc(d{})", "line": "views.line(d)",
        "symbol": "views.symbol(d, {expr})", "threads": "views.ps(d)", "tasks": "views.ps(d)",
        "frame": "views.frame(d)", "locals": "views.variables(d)",
        "args": "views.variables(d, arguments=True)", "sharedlibrary": "views.modules(d)",
        "mappings": "views.vmmap(d)", "source": "views.line(d)",
    }
    if not words:
        raise DebuggerError(f"info of what?  {', '.join(topics)}.")
    found = [topic for topic in topics if topic.startswith(words[0])]
    if not found:
        raise DebuggerError(f"There is no info {words[0]}; there is {', '.join(topics)}.")
    template = topics[found[0]]
    if "{expr}" in template:
        if len(words) < 2:
            raise DebuggerError(f"info {found[0]} takes an address.")
        return template.format(expr=f"d.address({' '.join(words[1:])!r})")
    if words[1:] and "{}" not in template:
        raise DebuggerError(f"info {found[0]} takes no argument, and {words[1]!r} is one.")
    return template.format("".join(f", {word!r}" for word in words[1:]))


def _view(function: str, kind: str = "") -> Callable[[str], str]:
    """Return a translator for a view with, perhaps, one argument.

    Args:
        kind: ``address`` or ``pid``, of the argument; empty: there is none.
    """
    def python(rest: str) -> str:
        if rest and not kind:
            raise DebuggerError(f"This command takes no argument, and {rest!r} is one.")
        if not rest:
            return f"views.{function}(d)"
        value = f"d.address({rest!r})" if kind == "address" else _integer(rest)
        return f"views.{function}(d, {value})"

    return python


def _backtrace(rest: str) -> str:
    words, options = rest.split(), []
    if words and words[0] != "task":
        options.append(f"limit={_integer(words.pop(0))}")
    if words:
        if words[0] != "task" or len(words) != 2:
            raise DebuggerError("backtrace takes a count, and task with a number.")
        options.append(f"pid={_integer(words[1])}")
    return f"views.backtrace(d{''.join(f', {option}' for option in options)})"


def _needs_address(function: str) -> Callable[[str], str]:
    def python(rest: str) -> str:
        if not rest:
            raise DebuggerError("This command takes an address.")
        return f"views.{function}(d, d.address({rest!r}))"

    return python


def _set(rest: str) -> str:
    target, equals, value = rest.removeprefix("var ").partition("=")
    target, value = target.strip(), value.strip()
    if not equals or not value or not target:
        raise DebuggerError("set takes $register = expression, or variable = expression.")
    if target.startswith("$"):
        return f"d.set_register({target[1:]!r}, int(d.evaluate({value!r})))"
    return f"_ = d.assign({target!r}, d.evaluate({value!r}))"


def _type(whole: bool) -> Callable[[str], str]:
    def python(rest: str) -> str:
        if not rest:
            raise DebuggerError("This command takes an expression.")
        return f"views.type_of(d, d.evaluate({rest!r}){', whole=True' if whole else ''})"

    return python


def _frame(step: int) -> Callable[[str], str]:
    """Return a translator: of ``frame`` if ``step`` is 0, else of ``up`` or ``down``."""
    def python(rest: str) -> str:
        if not step:
            return f"views.select(d, {_integer(rest)})" if rest else "views.select(d, d.selected)"
        return f"views.select(d, d.selected {'-+'[step > 0]} {_integer(rest or '1')})"

    return python


def _list(rest: str) -> str:
    return f"views.listing(d, {rest!r})" if rest else "views.listing(d)"


COMMANDS: Final = (
    Command("break", "[LOCATION] [task PID] [if CONDITION]", "Stop before code.", _break(False),
            ("b", "br", "brea")),
    Command("tbreak", "[LOCATION] [if CONDITION]", "Stop before code, once.", _break(True),
            ("tb", "tbr")),
    Command("watch", "WHAT[, SIZE] [if CONDITION]", "Stop when memory or a task's field changes.",
            _watch("write"), ("wa",)),
    Command("rwatch", "ADDRESS[, SIZE]", "Stop when memory is read.", _watch("read"), ("rw",)),
    Command("awatch", "ADDRESS[, SIZE]", "Stop when memory is read or written.",
            _watch("access"), ("aw",)),
    Command("catch", "EVENT [WHICH...]", "Stop at events of the kernel's or the CPU's.", _catch,
            ("cat",)),
    Command("delete", "[NUMBER...]", "Remove breakpoints; all, without a number.", _delete, ("d",)),
    Command("enable", "[NUMBER...]", "Let breakpoints stop again.", _enable(True), ("en",)),
    Command("disable", "[NUMBER...]", "Keep breakpoints, but do not stop.", _enable(False),
            ("dis",)),
    Command("condition", "NUMBER [EXPRESSION]", "Stop only if the expression holds.", _condition,
            ("cond",)),
    Command("ignore", "NUMBER COUNT", "Pass a breakpoint so many times.", _ignore),
    Command("continue", "[COUNT]", "Run until something stops the machine.", _continue,
            ("c", "cont", "fg"), repeats=True),
    Command("stepi", "[COUNT]", "Execute an instruction, also into calls and the kernel.",
            _counted("stepi"), ("si",), repeats=True),
    Command("nexti", "[COUNT]", "Execute an instruction, with all that it calls.",
            _counted("nexti"), ("ni",), repeats=True),
    Command("step", "", "Execute until another line begins, also in a called function.",
            _fixed("d.step()"), ("s",), repeats=True),
    Command("next", "", "Execute until another line of this function begins.", _fixed("d.next()"),
            ("n",), repeats=True),
    Command("finish", "", "Run until this function, or the hosted handler, returns.",
            _fixed("d.finish()"), ("fin",)),
    Command("until", "[LOCATION]", "Run to a later line, or to a location.", _until, ("u",),
            repeats=True),
    Command("advance", "LOCATION", "Run to a location.", _advance, ("adv",)),
    Command("backtrace", "[COUNT] [task PID]", "Show who has called whom, also in another task.",
            _backtrace, ("bt", "where")),
    Command("frame", "[NUMBER]", "Let expressions be about another frame, and show it.", _frame(0),
            ("f",)),
    Command("up", "[COUNT]", "Go to the caller's frame.", _frame(1), repeats=True),
    Command("down", "[COUNT]", "Go back to the called function's frame.", _frame(-1), ("dow",),
            repeats=True),
    Command("print", "[/FORMAT] EXPRESSION",
            "Show a value: print $rax, print/x counter, print *p.", _print, ("p", "inspect")),
    Command("x", "[/COUNTFORMATSIZE] ADDRESS", "Show memory: x/8gx $rsp, x/5i $rip, x/s $rdi.",
            _examine),
    Command("info", "TOPIC", "Show registers, breakpoints, proc, line, symbol, tasks, frame.",
            _info, ("i", "inf")),
    Command("disassemble", "[ADDRESS]", "Show instructions with symbols.",
            _view("disassembly", "address"), ("disas", "disass")),
    Command("list", "[LOCATION]", "Show source lines.", _list, ("l",)),
    Command("set", "[var] NAME = EXPRESSION", "Change a register or a variable.", _set),
    Command("whatis", "EXPRESSION", "Show a variable's type.", _type(False)),
    Command("ptype", "EXPRESSION", "Show a variable's type, with its fields.", _type(True)),
    Command("vmmap", "[PID]", "Show a task's mappings.", _view("vmmap", "pid")),
    Command("pagewalk", "ADDRESS", "Show each level of an address's translation.",
            _needs_address("pagewalk")),
    Command("ps", "", "List the tasks.", _view("ps")),
    Command("pstree", "", "Show the tasks as a tree.", _view("pstree")),
    Command("task", "[PID]", "Show a task.", _view("task", "pid")),
    Command("rq", "", "Show the run queue.", _view("rq")),
    Command("slab", "", "List the slab caches.", _view("slab")),
    Command("frames", "", "Show what the RAM's frames are used for.", _view("frames")),
    Command("dmesg", "", "Show the kernel's log.", _view("dmesg")),
    Command("explain", "", "Say why the machine is where it is.", _fixed("explain(d)")),
    Command("context", "", "Show registers, code, stack, task and calls.", _view("context")),
    Command("checkpoint", "", "Take a snapshot of the machine; restart goes back to it.",
            lambda rest: "shell.checkpoint()"),
    Command("restart", "NUMBER", "Go back to a checkpoint.",
            lambda rest: f"shell.restart({_integer(rest)})"),
    Command("help", "[COMMAND]", "Show the commands, or one.",
            lambda rest: f"shell.help({rest!r})" if rest else "shell.help()", ("h",)),
    Command("quit", "", "Leave.", lambda rest: "shell.quit()", ("q", "exit")),
)


def find(word: str) -> Command | None:
    """Return the command that a word names: in full, by an alias, or by an unambiguous beginning.

    Raises:
        DebuggerError: several begin so.
    """
    for command in COMMANDS:
        if word == command.name or word in command.aliases:
            return command
    found = [command for command in COMMANDS if command.name.startswith(word)] if len(
        word) > 1 else []
    if len(found) > 1:
        raise DebuggerError(f"{word!r} may be {', '.join(c.name for c in found)}.")
    return found[0] if found else None


def translate(line: str) -> str | None:
    """Return a command's Python; None: the line is no command.

    Raises:
        DebuggerError: it is one, with arguments that make no sense.
    """
    text = line.strip()
    if not text or _PYTHON.match(text):
        return None
    match = re.match(r"[A-Za-z]+", text)
    if match is None:
        return None
    word, rest = match[0], text[match.end() :]
    if (rest and rest[0] not in " /$*&") or not word.islower():
        return None
    command = find(word)
    return None if command is None else command.python(rest.strip())

