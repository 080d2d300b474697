"""``ringlet run --strace``: the system calls of a program, in strace(1)'s format.

::

    openat(AT_FDCWD, "/etc/passwd", O_RDONLY|O_CLOEXEC) = -1 ENOENT (No such file or directory)
    read(0, "hi\\n", 4096)                   = 3

Lines are those of strace 6.1 with its default options, and ``tests/tools/test_strace.py`` compares
the two.  They differ where that is said:

- Dates are UTC.  strace writes local time, and a trace would depend on where it is made.
- The first line, execve, has the address of the new program's environment; strace has that of the
  process which called.
- Calls in ``table._ARGUMENTS`` (sockets, message queues, shared memory, modules, keys, ...), the
  options of prctl that other architectures have, and ioctl requests for anything but terminals and
  files in general are written as ``strace -e raw`` does.
- Memory of a page that the program has not touched yet is read from where it will come from, as
  strace can; see ``memory``.

Looking changes nothing in the guest but one word: ``thread_info.syscall_work`` of the traced task,
which the entry code tests.  With it set, a call that guest assembly would answer (getpid) goes to
the hosted kernel, and the entry code takes another way through entry.asm.  So **a traced program
sees the same answers, but not the same clock**: each call retires some code bytes more or fewer.
Two traced runs are equal to each other, byte for byte.

Only ``--strace`` loads this package.
"""

from ringlet.strace.tracer import Strace

__all__ = ["Strace"]
