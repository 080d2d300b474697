"""What the words of the command line mean."""

from __future__ import annotations

import argparse
import os
import sys

from guest_kernel.layout.declare import MAX_RAM

_DEFAULT_MEM = 256 << 20  # emulator.machine.DEFAULT_MEM, which is not imported for a usage text


def execute(words: list[str]) -> int:
    """Do what the command line says; return the exit status.

    Raises:
        SystemExit: it is wrong, or asked for help.
    """
    parser = _parser()
    options = parser.parse_args(_complete(words))
    _check(parser, options)
    status: int = options.command(options)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ringlet", description="An x86-64 machine in Python that boots a tiny real kernel.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    run = commands.add_parser("run", help="boot the kernel and run a program on it",
                              description="Boot the kernel and run a static Linux program on it.")
    run.set_defaults(command=_run)
    _machine_options(run)
    run.add_argument("--strace", metavar="FILE",
                     help="print each system call as strace(1) does: --strace to standard error, "
                          "--strace=FILE to FILE")
    _run_options(run)
    _record_option(run)
    run.add_argument("program", metavar="PROGRAM", help="path of the program on the host")
    run.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARGS")

    resume = commands.add_parser(
        "resume", help="go on with a program from a snapshot",
        description="Go on with a program from a snapshot that ringlet run --snapshot has written.")
    resume.set_defaults(command=_run)
    _host_options(resume)
    _run_options(resume)
    resume.add_argument("resume", metavar="FILE", help="the snapshot")

    replay = commands.add_parser(
        "replay", help="do a recorded run again",
        description="Do a run again that ringlet run --record or ringlet shell --record has "
                    "recorded; if it goes another way, say where.")
    replay.set_defaults(command=_replay)
    _microcode_option(replay)
    replay.add_argument("recording", metavar="FILE", help="the recording")

    debug = commands.add_parser(
        "debug", help="debug a program, and the kernel under it",
        description="Debug a program and the kernel under it, on a Python console with gdb's "
                    "commands.")
    debug.set_defaults(command=_debug, parser=debug)
    _machine_options(debug)
    debug.add_argument("--stdin", metavar="FILE",
                       help="what the program reads (default: nothing)")
    debug.add_argument("-x", "--command", metavar="FILE", dest="script",
                       help="do the commands in FILE first")
    debug.add_argument("--plain", action="store_true",
                       help="use the plain console even if IPython is installed")
    debug.add_argument("--replay", metavar="FILE",
                       help="debug the run that was recorded in FILE, from its beginning")
    debug.add_argument("--resume", metavar="FILE",
                       help="debug from the snapshot in FILE on, of a bare machine also")
    debug.add_argument("program", metavar="PROGRAM", nargs="?",
                       help="path of the program on the host")
    debug.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARGS")

    shell = commands.add_parser(
        "shell", help="boot the kernel and talk to a shell on it",
        description="Boot the kernel with busybox and bash on it, and talk to a shell. "
                    "Three times Ctrl-] leaves, whatever the guest does.")
    shell.set_defaults(command=_shell)
    _machine_options(shell)
    shell.add_argument("--root", metavar="DIR",
                       help="put the files of DIR of the host into the guest, instead of busybox "
                            "and bash from build/debian")
    shell.add_argument("--no-realtime", dest="realtime", action="store_false",
                       help="let a sleep take no time on the host")
    _record_option(shell)
    shell.add_argument("program", metavar="PROGRAM", nargs="?",
                       help="the guest's path of the shell (default /bin/bash, else /bin/sh)")
    shell.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARGS")

    syscalls = commands.add_parser("syscalls", help="list the system calls and what is supported")
    syscalls.set_defaults(command=_syscalls)

    demo = commands.add_parser("demo", help="show the machine at work on a small program")
    demo.set_defaults(command=_demo)

    layout = commands.add_parser(
        "layout", help="print the kernel's structures as C, with offsets",
        description="Print structures of the kernel as C, with offsets, sizes, who writes each "
                    "member and what it means; without a name, list them all.")
    layout.set_defaults(command=_layout)
    layout.add_argument("structures", nargs="*", metavar="STRUCT", type=_structure,
                        help="name of a structure, such as task_struct")
    return parser


def _machine_options(command: argparse.ArgumentParser) -> None:
    """Add what can be told about a machine that is booted."""
    add = command.add_argument
    add("--mem", type=_size, default=_DEFAULT_MEM, metavar="SIZE",
        help="RAM in bytes, or with a suffix K, M or G (default 256M)")
    add("--seed", type=_number, default=0, metavar="N",
        help="seed of the machine's random generator (default 0)")
    add("--append", default="", metavar="WORDS",
        help="more words for the kernel's command line, such as pid_max=400")
    add("--env", action="append", default=[], metavar="NAME=VALUE", type=_variable,
        help="set a variable in the program's environment; may be repeated")
    add("--sched", default="fair", metavar="NAME",
        help="who gets the processor: fair (default), fifo, sjf, stcf, rr, lottery, stride, or "
             "mlfq[,queues=N][,allotment=TIME][,boost=TIME]")
    add("--quantum", metavar="TIME",
        help="length of a turn: nanoseconds, or with a suffix us, ms or s (default 4ms)")
    _host_options(command)


def _host_options(command: argparse.ArgumentParser) -> None:
    """Add what can be told about any machine."""
    command.add_argument("--dmesg", action="store_true",
                         help="print the kernel log to standard error at the end")
    _microcode_option(command)


def _microcode_option(command: argparse.ArgumentParser) -> None:
    command.add_argument("--microcode", choices=("native", "python"),
                         help="which microcode the CPU uses (default: native where the host can)")


def _record_option(command: argparse.ArgumentParser) -> None:
    command.add_argument("--record", metavar="FILE",
                         help="write to FILE what ringlet replay needs to do the run again")


def _run_options(command: argparse.ArgumentParser) -> None:
    """Add what can be told about a program's run."""
    add = command.add_argument
    add("--stats", choices=("text", "json"),
        help="print what the run has cost to standard error: --stats or --stats=json")
    add("--timeout", type=_seconds, metavar="S",
        help="give up after S seconds of virtual time, with status 124")
    add("--snapshot", metavar="FILE",
        help="when the program is given up, save the machine to FILE, from which ringlet resume "
             "goes on")
    add("--snapshot-every", type=_seconds, metavar="S",
        help="save the machine every S seconds of virtual time, too")
    add("--realtime", action="store_true", help="do not let virtual time run ahead of the host's")


def _check(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Refuse options that do not go together, or would do nothing."""
    file, every = (getattr(options, name, None) for name in ("snapshot", "snapshot_every"))
    if every is not None and file is None:
        parser.error("--snapshot-every needs --snapshot FILE")
    record, strace = (getattr(options, name, None) for name in ("record", "strace"))
    if record is not None and strace is not None:
        parser.error("--record does not go with --strace, which takes its part in the run")
    if options.command is _debug:
        _check_subject(options)
    if file is not None and every is None and options.timeout is None:
        parser.error("--snapshot needs --timeout or --snapshot-every, which say when")


def _check_subject(options: argparse.Namespace) -> None:
    """Refuse what is not one thing to debug, and options that it cannot have."""
    parser: argparse.ArgumentParser = options.parser
    files = [name for name in ("replay", "resume") if getattr(options, name) is not None]
    if len(files) + (options.program is not None) != 1:
        parser.error("debug takes one of PROGRAM, --replay FILE, --resume FILE")
    defaults = {"mem": _DEFAULT_MEM, "seed": 0, "append": "", "env": [], "sched": "fair",
                "quantum": None, "stdin": None}
    for name, default in defaults.items():
        if files and getattr(options, name) != default:
            parser.error(f"--{name} does not go with --{files[0]}, whose file says what the "
                         "machine is like")


# Options of ``run`` and ``debug`` whose value follows them, and those that may come without one.
_WITH_VALUE = frozenset({"--mem", "--seed", "--append", "--env", "--timeout", "--microcode",
                         "--sched", "--quantum", "--snapshot", "--snapshot-every", "--stdin", "-x",
                         "--command", "--record", "--replay", "--resume"})
_DEFAULT_VALUE = {"--strace": "--strace=", "--stats": "--stats=text"}


def _complete(arguments: list[str]) -> list[str]:
    """Give ``--strace`` and ``--stats`` their values, so that they do not take the program's name.

    What follows the program's name is the program's; argparse would drop a ``--`` right behind it.
    """
    place = 1
    while place < len(arguments) and arguments[place].startswith("-") and arguments[place] != "--":
        arguments[place] = _DEFAULT_VALUE.get(arguments[place], arguments[place])
        place += 2 if arguments[place] in _WITH_VALUE else 1
    if arguments[:1] in (["run"], ["debug"]) and arguments[place + 1 : place + 2] == ["--"]:
        arguments.insert(place + 1, "--")
    return arguments


def _size(text: str) -> int:
    suffixes = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    factor = suffixes.get(text[-1:].upper(), 1)
    digits = text if factor == 1 else text[:-1]
    try:
        size = int(digits, 0) * factor
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 64M") from None
    if not 0 < size <= MAX_RAM or size % 4096:
        raise argparse.ArgumentTypeError(
            f"{text!r}: the size must be a multiple of 4096 and at most 2G")
    return size


def _number(text: str) -> int:
    try:
        value = int(text, 0)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not 0 <= value < 1 << 64:
        raise argparse.ArgumentTypeError(f"{text!r} is not between 0 and 2**64 - 1")
    return value


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds") from None
    if not 0 < value < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r}: give a positive number of seconds")
    return value


def _variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME=VALUE")
    return name, value


def _structure(name: str) -> str:
    from ringlet.layout import UnknownStructureError, find

    try:
        find(name)
    except UnknownStructureError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return name


def _run(options: argparse.Namespace) -> int:
    from ringlet.run import Options, run

    given = {name: value for name, value in vars(options).items() if name in Options._fields}
    return run(Options(**given))


def _replay(options: argparse.Namespace) -> int:
    from ringlet.run import replay

    return replay(options.recording, options.microcode)


def _debug(options: argparse.Namespace) -> int:
    from ringlet.repl.debug import Options, debug

    return debug(Options(**{name: getattr(options, name) for name in Options._fields}))


def _shell(options: argparse.Namespace) -> int:
    from ringlet.run import Options, fail, run
    from ringlet.shell import ENV, RootError, ShellRoot

    root = ShellRoot(options.root)
    try:
        program = options.program or root.shell()
    except RootError as error:
        return fail(str(error))
    environment = [*ENV, ("TERM", os.environ.get("TERM", "dumb")), ("SHELL", program), *options.env]
    return run(Options(
        program, options.arguments, root, mem=options.mem, seed=options.seed,
        append=options.append, env=environment, sched=options.sched, quantum=options.quantum,
        realtime=options.realtime, dmesg=options.dmesg, microcode=options.microcode,
        record=options.record))


def _syscalls(_options: argparse.Namespace) -> int:
    from ringlet.support import table

    for line in table():
        print(line)
    return 0


def _demo(_options: argparse.Namespace) -> int:
    from ringlet.demo import show

    return show(sys.stdout)


def _layout(options: argparse.Namespace) -> int:
    from ringlet.layout import describe, find, listing

    if not options.structures:
        for line in listing():
            print(line)
    for number, name in enumerate(options.structures):
        if number:
            print()
        for line in describe(find(name)):
            print(line)
    return 0
