"""What the guest of ``ringlet shell`` finds in its file system."""

from __future__ import annotations

import os
import stat
from typing import Final

from guest_kernel.fs.install import install_directory, install_symlink
from ringlet.session import Session

PROGRAMS: Final = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))),
                               "build", "debian", "bin")
SHELLS: Final = ("/bin/bash", "/bin/sh")
ENV: Final = (("PATH", "/bin:/usr/bin:/sbin:/usr/sbin"), ("HOME", "/root"), ("USER", "root"))
_BUSYBOX: Final = "/bin/busybox"
_OURS: Final = {_BUSYBOX: "busybox", "/bin/bash": "bash-static"}
_ETC: Final = {"/etc/passwd": b"root:x:0:0:root:/root:/bin/sh\n", "/etc/group": b"root:x:0:\n"}


class RootError(Exception):
    """The file system cannot be made; the message says why."""


class ShellRoot:
    """The files that a guest with a shell has.

    Args:
        folder: a directory of the host that is copied, special files left out; None: busybox, with
            a name for each of its applets, and bash, as ``make programs`` fetches them.
    """

    def __init__(self, folder: str | None) -> None:
        self._folder = folder

    def shell(self) -> str:
        """Return the path of the shell in the guest.

        Raises:
            RootError: there is none, or there are no files at all.
        """
        if self._folder is None:
            for name in _OURS.values():
                if not os.path.isfile(os.path.join(PROGRAMS, name)):
                    raise RootError(f"{PROGRAMS}/{name} is not there: run `make programs`, or name "
                                    "a directory with --root")
            return SHELLS[0]
        if not os.path.isdir(self._folder):
            raise RootError(f"{self._folder}: is not a directory")
        for path in SHELLS:
            if os.path.lexists(self._folder + path):
                return path
        raise RootError(f"{self._folder}: has neither {' nor '.join(SHELLS)}; name a program")

    def install(self, session: Session) -> None:
        """Put the files into a booted guest.

        Raises:
            RootError: a file cannot be read, or the guest refuses it.
        """
        try:
            if self._folder is not None:
                self._copy(session, self._folder)
            else:
                self._install_ours(session)
        except OSError as error:
            raise RootError(f"{error.filename}: {error.strerror}") from error

    def _install_ours(self, session: Session) -> None:
        for path, name in _OURS.items():
            with open(os.path.join(PROGRAMS, name), "rb") as program:
                session.install(path, program.read())
        for path, content in _ETC.items():
            session.install(path, content, 0o644)
        done = session.run([_BUSYBOX, "--install", "-s", "/bin"], bring=False)
        if done.status:
            raise RootError(f"busybox --install: {done.output.decode('utf-8', 'replace')}")

    def _copy(self, session: Session, folder: str) -> None:
        k = session.kernel.k
        for place, folders, files in os.walk(folder, onerror=_refuse):
            inside = os.path.relpath(place, folder)
            below = "/" if inside == "." else f"/{inside}/"
            for name in sorted([*folders, *files]):
                source, path = os.path.join(place, name), below + name
                mode = os.lstat(source).st_mode
                if stat.S_ISLNK(mode):
                    install_symlink(k, os.fsencode(path), os.fsencode(os.readlink(source)))
                elif stat.S_ISDIR(mode):
                    install_directory(k, os.fsencode(path), stat.S_IMODE(mode))
                elif stat.S_ISREG(mode):
                    with open(source, "rb") as host:
                        session.install(path, host.read(), stat.S_IMODE(mode))


def _refuse(error: OSError) -> None:
    raise error
