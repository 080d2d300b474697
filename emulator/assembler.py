"""Keystone, within its quirks.

One flat section a call, bytes only: symbols are learnt by appending a table of their addresses and
reading it back.  Known quirks (sections crash the process, absolute operands come out wrong,
numeric labels fail) are listed in docs; ``tests/unit/test_assembler.py`` holds the ones we rely on.
"""

import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

_LABEL = re.compile(r"^\s*([A-Za-z_.$][\w.$]*):", re.MULTILINE)
_COMMENT = re.compile(r"\s*;.*$", re.MULTILINE)


class AssemblyError(Exception):
    """A text that Keystone does not take."""


def assemble(source: str, address: int = 0,
             symbols: Mapping[str, int] | None = None) -> tuple[bytes, dict[str, int]]:
    """Assemble 64-bit code in Intel syntax.

    Args:
        source: the text; a comment begins with ``;``.
        address: where the first byte will lie.
        symbols: names that the text uses, and their values.

    Returns:
        The bytes, and the address of each label.  A label that begins with ``.L`` is local.

    Raises:
        AssemblyError: with Keystone's reason, and the line if it can be found.
    """
    import keystone

    text = _COMMENT.sub("", source)
    labels = [name for name in _LABEL.findall(text) if not name.startswith(".L")]
    head = "".join(f"{name} = {value:#x}\n" for name, value in (symbols or {}).items())
    table = "".join(f".quad {name}\n" for name in labels)
    engine = keystone.Ks(keystone.KS_ARCH_X86, keystone.KS_MODE_64)
    try:
        encoding, _ = engine.asm(f"{head}{text}\n.balign 8\n{table}", address, as_bytes=True)
    except keystone.KsError as error:
        raise AssemblyError(f"{error}{_where(head, text, address)}") from error
    code = bytes(encoding or b"")
    split = len(code) - 8 * len(labels)
    return code[:split], {
        name: int.from_bytes(code[split + 8 * i : split + 8 * i + 8], "little")
        for i, name in enumerate(labels)
    }


def _where(head: str, text: str, address: int) -> str:
    """Find the first line without which everything before it still assembles."""
    import keystone

    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.strip().endswith(":") or ".macro" in text:
            continue
        stub = "".join(f"{name}:\n" for name in _LABEL.findall(text))
        try:
            keystone.Ks(keystone.KS_ARCH_X86, keystone.KS_MODE_64).asm(
                f"{head}{stub}{_LABEL.sub('', line)}", address)
        except keystone.KsError:
            return f" in line {number}: {line.strip()}"
    return ""


def cache_directory() -> Path | None:
    """Return where assembled code is kept between runs, or ``None`` if nowhere is writable.

    ``RINGLET_CACHE`` names it; else it is ``ringlet`` in the user's cache directory.
    """
    place = os.environ.get("RINGLET_CACHE")
    base = Path(place) if place else (
        Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ringlet")
    try:
        base.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return base if os.access(base, os.W_OK) else None


def cached(kind: str, key: bytes, build: Callable[[], bytes]) -> bytes:
    """Return what ``build`` makes, from the cache if the same ``key`` was built before.

    A file of the cache carries its own checksum; a damaged one is built again.
    """
    digest = hashlib.sha256(key).hexdigest()[:32]
    directory = cache_directory()
    path = directory / f"{kind}-{digest}" if directory else None
    if path is not None:
        try:
            data = path.read_bytes()
        except OSError:
            data = b""
        if data and hashlib.sha256(data[32:]).digest() == data[:32]:
            return data[32:]
    data = build()
    if path is not None:
        with tempfile.NamedTemporaryFile(dir=directory, delete=False) as file:
            file.write(hashlib.sha256(data).digest() + data)
        Path(file.name).replace(path)
    return data

