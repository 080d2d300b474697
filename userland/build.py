"""Build the programs of ``userland/`` into ``build/userland/``::

    asm/<name>                 from asm/<name>.asm, by Keystone
    c/<name>                   from c/<name>.c and libc/, by gcc
    libc/<name>.o              from libc/<name>.c or .S
    include/syscall_numbers.h  from syscalls.tbl

``python -m userland.build`` does it.  A file is made again when the digest of what it is made
from has changed: its inputs, and the recipe's own sources.  Without gcc the assembly programs are
built and one line says that the C programs are not.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, NamedTuple

from userland.assembler import RECIPE, AssemblyError, assemble_program
from userland.numbers import c_header, find_table

__all__ = ["OUTPUT", "BuildError", "assemble_program", "build", "main"]

PROJECT_ROOT: Final = Path(__file__).resolve().parent.parent
OUTPUT: Final = PROJECT_ROOT / "build" / "userland"

_SOURCES: Final = Path(__file__).resolve().parent
_DIGESTS: Final = "digests.json"
_NO_GCC: Final = "userland: no gcc on the PATH: the C programs are not built"

# The programs are static, know only our headers, and lie where they are linked.
_CFLAGS: Final = [
    "-std=gnu11", "-O2", "-g", "-Wall", "-Wextra", "-Werror",
    "-ffreestanding", "-nostdinc", "-fno-stack-protector", "-fno-pie",
    "-fcf-protection=none", "-fno-asynchronous-unwind-tables",
    # Else gcc would see memset() in the loop of memset() and call it.
    "-fno-tree-loop-distribute-patterns",
    # The same bytes wherever the project lies.
    f"-ffile-prefix-map={PROJECT_ROOT}=.",
]
_LDFLAGS: Final = [
    "-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none", "-Wl,-z,noexecstack",
]


class BuildError(Exception):
    """A program could not be built; the message is the tool's."""


class _Target(NamedTuple):
    """``recipe`` writes the file that it is given; it is run when ``inputs`` have changed."""

    output: Path
    inputs: list[Path]
    recipe: Callable[[Path], None]


def build(output: Path = OUTPUT) -> list[Path]:
    """Bring everything under ``output`` up to date and return the files that were made.

    Raises:
        BuildError: a source is not accepted.
        FileNotFoundError: there is no ``syscalls.tbl``.
    """
    header = output / "include" / "syscall_numbers.h"
    made = _update(output, [
        _Target(header, [Path(find_table())], lambda path: _write(path, c_header().encode())),
        *_assembly_targets(output),
    ])
    gcc = shutil.which("gcc")
    if gcc is None:
        print(_NO_GCC, file=sys.stderr)
        return made
    return [*made, *_update(output, _libc_targets(output, gcc)),
            *_update(output, _c_targets(output, gcc))]


def _assembly_targets(output: Path) -> Iterable[_Target]:
    included = [*sorted((_SOURCES / "asm").glob("*.inc")), Path(find_table())]
    for source in sorted((_SOURCES / "asm").glob("*.asm")):
        def recipe(path: Path, source: Path = source) -> None:
            _write(path, assemble_program(source))
            path.chmod(0o755)

        yield _Target(output / "asm" / source.stem, [source, *included], recipe)


def _libc_targets(output: Path, gcc: str) -> Iterable[_Target]:
    headers = _headers(output)
    for source in _libc_sources():
        def recipe(path: Path, source: Path = source) -> None:
            _run([gcc, *_CFLAGS, *_include_flags(output, gcc), "-c", str(source), "-o", str(path)])

        yield _Target(_object(output, source), [source, *headers], recipe)


def _c_targets(output: Path, gcc: str) -> Iterable[_Target]:
    objects = [_object(output, source) for source in _libc_sources()]
    for source in sorted((_SOURCES / "c").glob("*.c")):
        def recipe(path: Path, source: Path = source) -> None:
            _run([gcc, *_CFLAGS, *_include_flags(output, gcc), *_LDFLAGS, str(source),
                  *map(str, objects), "-o", str(path)])

        yield _Target(output / "c" / source.stem, [source, *_headers(output), *objects], recipe)


def _libc_sources() -> list[Path]:
    return [path for path in sorted((_SOURCES / "libc").iterdir()) if path.suffix in {".c", ".S"}]


def _object(output: Path, source: Path) -> Path:
    return output / "libc" / f"{source.stem}.o"


def _headers(output: Path) -> list[Path]:
    return [*sorted((_SOURCES / "include").rglob("*.h")),
            *sorted((_SOURCES / "libc").glob("*.h")),
            output / "include" / "syscall_numbers.h"]


def _include_flags(output: Path, gcc: str) -> list[str]:
    """Return where headers are looked for: ours, the generated one, and gcc's freestanding ones."""
    own = _run([gcc, "-print-file-name=include"]).strip()
    return ["-I", str(_SOURCES / "include"), "-I", str(output / "include"), "-isystem", own]


def _update(output: Path, targets: Iterable[_Target]) -> list[Path]:
    """Make the targets whose digest is not the recorded one; return their paths."""
    record = output / _DIGESTS
    digests: dict[str, str] = json.loads(record.read_text()) if record.exists() else {}
    made = []
    for target in targets:
        name = str(target.output.relative_to(output))
        digest = _digest(target.inputs)
        if digests.get(name) == digest and target.output.exists():
            continue
        target.output.parent.mkdir(parents=True, exist_ok=True)
        # A reader, or a second builder, sees the old file or the new one.
        fresh = target.output.with_name(f".{target.output.name}.{os.getpid()}")
        try:
            target.recipe(fresh)
            fresh.replace(target.output)
        except AssemblyError as error:
            raise BuildError(str(error)) from error
        finally:
            fresh.unlink(missing_ok=True)
        digests[name] = digest
        made.append(target.output)
    if made:
        fresh = record.with_name(f".{record.name}.{os.getpid()}")
        fresh.write_text(json.dumps(digests, indent=1, sort_keys=True) + "\n")
        fresh.replace(record)
    return made


def _digest(inputs: Iterable[Path]) -> str:
    """Return a digest of the inputs' names and contents and of the recipe's own sources."""
    digest = hashlib.sha256()
    for path in [*map(Path, RECIPE), *inputs]:
        content = path.read_bytes()
        digest.update(f"{path.name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _run(command: list[str]) -> str:
    """Run a tool and return what it prints.

    Raises:
        BuildError: it fails; the message is what it wrote on standard error.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"{' '.join(command)}\n{done.stderr}")
    return done.stdout


def main(argv: list[str] | None = None) -> int:
    """Build, and print the name of each file that was made."""
    parser = argparse.ArgumentParser(
        prog="python -m userland.build", description="Build the programs of userland/."
    )
    parser.add_argument("--output", type=Path, default=OUTPUT,
                        help="directory to build into (default: build/userland)")
    options = parser.parse_args(argv)
    try:
        made = build(options.output.resolve())
    except (BuildError, FileNotFoundError) as error:
        print(f"userland: {error}", file=sys.stderr)
        return 1
    for path in made:
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
