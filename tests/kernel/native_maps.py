"""Runs sequences of memory calls on the host, in a window of addresses that is nobody's.

Started as a program by ``test_mmap.py``; speaks JSON lines on stdin and stdout.  It is the oracle:
for each call its result, and what /proc/self/maps shows of the window.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import sys
import tempfile

NUMBERS = {"mmap": 9, "mprotect": 10, "munmap": 11, "mremap": 25, "msync": 26, "mincore": 27,
           "madvise": 28}


def main() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    window, window_end, file_size = json.loads(sys.stdin.readline())

    def call(name: str, *arguments: int) -> int:
        result = libc.syscall(ctypes.c_long(NUMBERS[name]),
                              *(ctypes.c_ulong(a & (1 << 64) - 1) for a in arguments))
        return -ctypes.get_errno() if result == -1 else result

    libc.syscall.restype = ctypes.c_long
    reader, writer = os.pipe()

    def touch(va: int, value: int | None) -> int:
        """Read or write a byte without a signal: let the kernel copy it."""
        if value is None:
            n = libc.write(writer, ctypes.c_void_p(va), 1)
            return -ctypes.get_errno() if n < 0 else os.read(reader, 1)[0]
        os.write(writer, bytes([value]))
        n = libc.read(reader, ctypes.c_void_p(va), 1)
        if n < 0:
            os.read(reader, 1)
            return -ctypes.get_errno()
        return 0

    def maps() -> list[list[object]]:
        found = []
        with open("/proc/self/maps") as f:
            for line in f:
                place, perms, offset = line.split()[:3]
                start, end = (int(part, 16) for part in place.split("-"))
                if window <= start < window_end:
                    found.append([start, end, perms, int(offset, 16)])
        return found

    for line in sys.stdin:
        with tempfile.TemporaryFile() as f:
            f.write(bytes(i // 4096 + 1 for i in range(file_size)))
            f.flush()
            answers = []
            for name, *arguments in json.loads(line):
                if name == "touch":
                    result = touch(*arguments)
                else:
                    if name == "mmap":
                        fd = arguments[4]
                        arguments[4] = f.fileno() if fd == 0 else fd
                    result = call(name, *arguments)
                answers.append([result, maps()])
        call("munmap", window, window_end - window)
        print(json.dumps(answers), flush=True)


if __name__ == "__main__":
    assert errno.EFAULT == 14
    main()
