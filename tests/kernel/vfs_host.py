"""The host's own kernel as an oracle: the same system calls, made raw in a directory of its own.

A child process makes a directory its root (as root, or in a user namespace), closes all descriptors
and then makes the calls that it is told to.  Descriptors and paths are so the same there as in a
fresh guest.  Run as a program, this file is that child.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import resource
import shutil
import signal
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NR_OPEN = 1024  # RLIMIT_NOFILE of both sides
_REQUESTS, _ANSWERS = 4000, 4001  # descriptors of the pipes in the child, out of the way
CLONE_NEWUSER = 0x1000_0000


@dataclass(frozen=True)
class Out:
    """A buffer that the call may write to; its contents come back."""

    size: int


class Host:
    """The parent's side."""

    def __init__(self, root: Path) -> None:
        """Start a child whose root is ``root``, which must be empty.

        Raises:
            OSError: neither root's rights nor user namespaces are to be had.
        """
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        ready = self._answer()
        if ready != "ready":
            self.close()
            raise OSError(ready)

    def call(self, number: int, *arguments: int | bytes | Out) -> tuple[int, list[bytes]]:
        """Make a call; return RAX as a signed number, and the contents of each Out."""
        # The child cannot import this module's classes: its root is elsewhere.
        plain = [("out", a.size) if isinstance(a, Out) else a for a in arguments]
        self._ask(("call", number, plain))
        answer: tuple[int, list[bytes]] = self._answer()
        return answer

    def reset(self) -> None:
        """Empty the root directory and close all descriptors."""
        self._ask(("reset",))
        assert self._answer() == "done"

    def close(self) -> None:
        """End the child."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def _ask(self, request: Any) -> None:
        assert self._process.stdin is not None
        data = pickle.dumps(request)
        self._process.stdin.write(struct.pack("<I", len(data)) + data)
        self._process.stdin.flush()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        (size,) = struct.unpack("<I", self._process.stdout.read(4))
        return pickle.loads(self._process.stdout.read(size))


# ---- the child


def _send(answer: object) -> None:
    data = pickle.dumps(answer)
    data = struct.pack("<I", len(data)) + data
    while data:
        data = data[os.write(_ANSWERS, data) :]


def _receive() -> Any:
    def exactly(size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = os.read(_REQUESTS, size - len(data))
            if not piece:
                raise SystemExit(0)
            data += piece
        return data

    (size,) = struct.unpack("<I", exactly(4))
    return pickle.loads(exactly(size))


def _become_root() -> None:
    if os.geteuid() == 0:
        return
    uid, gid = os.getuid(), os.getgid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER):
        raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWUSER)")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1")


def _empty_root() -> None:
    os.closerange(0, NR_OPEN)
    os.chdir("/")
    os.umask(0o022)
    os.chmod("/", 0o755)
    for entry in list(os.scandir("/")):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)


def _serve(root: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        _become_root()
        os.chroot(root)
        os.chdir("/")
    except OSError as error:
        _send(str(error))
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (NR_OPEN, 8192))
    _empty_root()
    _send("ready")
    while True:
        request = _receive()
        if request[0] == "reset":
            _empty_root()
            _send("done")
            continue
        _, number, arguments = request
        outs: list[Any] = []
        raw: list[Any] = []
        for argument in arguments:
            if isinstance(argument, tuple):
                size = argument[1]
                outs.append(ctypes.create_string_buffer(b"\xaa" * size, size))
                raw.append(outs[-1])
            elif isinstance(argument, bytes):
                raw.append(ctypes.create_string_buffer(argument + b"\0"))
            else:
                raw.append(ctypes.c_long(argument))
        result = libc.syscall(ctypes.c_long(number), *raw)
        if result == -1:
            result = -ctypes.get_errno()
        _send((result, [out.raw for out in outs]))


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
    os.dup2(0, _REQUESTS)
    os.dup2(1, _ANSWERS)
    _serve(sys.argv[1])
