"""What the guest of ``ringlet shell`` finds in its file system."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from emulator.digest import blake2b
from guest_kernel.fs.install import install_directory, install_file, install_symlink
from ringlet.session import Session

PROGRAMS: Final = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))),
                               "build", "debian", "bin")
SHELLS: Final = ("/bin/bash", "/bin/sh")
ENV: Final = (("PATH", "/bin:/usr/bin:/sbin:/usr/sbin"), ("HOME", "/root"), ("USER", "root"))
LISTED: Final = 16 << 10  # characters that the paths and digests of a root take in a recording
_BUSYBOX: Final = "/bin/busybox"
_OURS: Final = {_BUSYBOX: "busybox", "/bin/bash": "bash-static"}
_ETC: Final = {"/etc/passwd": b"root:x:0:0:root:/root:/bin/sh\n", "/etc/group": b"root:x:0:\n"}


class RootError(Exception):
    """The file system cannot be made; the message says why."""


class Entry(NamedTuple):
    """A file, a directory or a symbolic link of a root.

    Attributes:
        path: in the guest.
        mode: kind and permissions, as ``st_mode`` has them.
        content: of a file; of a link, where it points.
    """

    path: str
    mode: int
    content: bytes = b""

    def digest(self) -> str:
        """Return a digest of all but the path."""
        return blake2b(b"%o\0" % self.mode + self.content, digest_size=16).hexdigest()


class Contents(NamedTuple):
    """What a root holds, without holding it: for a recording.

    Attributes:
        folder: as :class:`ShellRoot` takes it.
        depth: below so many directories, files are not listed, but the last of these as a whole.
        digests: of each entry, by path; that of a whole directory ends with a slash.
    """

    folder: str | None
    depth: int
    digests: Mapping[str, str]


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
        k = session.kernel.k
        try:
            for path, mode, content in self._entries():
                place = os.fsencode(path)
                if stat.S_ISLNK(mode):
                    install_symlink(k, place, content)
                elif stat.S_ISDIR(mode):
                    install_directory(k, place, stat.S_IMODE(mode))
                else:
                    install_file(k, place, content, stat.S_IMODE(mode))
        except OSError as error:
            raise RootError(f"{error.filename}: {error.strerror}") from error
        if self._folder is None:
            done = session.run([_BUSYBOX, "--install", "-s", "/bin"], bring=False)
            if done.status:
                raise RootError(f"busybox --install: {done.output.decode('utf-8', 'replace')}")

    def contents(self) -> Contents:
        """Return what the files are.

        Raises:
            RootError: one cannot be read.
        """
        digests = self._digests()
        depth = max((path.count("/") for path in digests), default=0)
        while depth and _size(_gathered(digests, depth)) > LISTED:
            depth -= 1
        return Contents(self._folder, depth, _gathered(digests, depth))

    def check(self, contents: Contents) -> None:
        """See that the files are what they were.

        Args:
            contents: of this root, at that time.

        Raises:
            RootError: they are not, or one cannot be read; the first is named.
        """
        then, now = contents.digests, _gathered(self._digests(), contents.depth)
        for path in sorted({*then, *now}):
            place = self._source(path)
            if path not in now:
                raise RootError(f"{place} is missing; it was in the root that was recorded")
            if path not in then:
                raise RootError(f"{place} was not in the root that was recorded")
            if now[path] != then[path]:
                raise RootError(f"{place} is not what was in the root that was recorded")

    def _source(self, path: str) -> str:
        """Return where on the host an entry comes from."""
        if self._folder is not None:
            return self._folder.rstrip("/") + path
        return os.path.join(PROGRAMS, _OURS[path]) if path in _OURS else path

    def _digests(self) -> dict[str, str]:
        try:
            return {entry.path: entry.digest() for entry in self._entries()}
        except OSError as error:
            raise RootError(f"{error.filename}: {error.strerror}") from error

    def _entries(self) -> Iterator[Entry]:
        """Yield what is in the root, a directory before what is in it, always in one order.

        Raises:
            OSError: a file of the host cannot be read.
        """
        if self._folder is not None:
            yield from _walk(self._folder)
            return
        for path in _OURS:
            yield Entry(path, stat.S_IFREG | 0o755, _read(self._source(path)))
        for path, content in _ETC.items():
            yield Entry(path, stat.S_IFREG | 0o644, content)


def _walk(folder: str) -> Iterator[Entry]:
    for place, folders, files in os.walk(folder, onerror=_refuse):
        folders.sort()
        inside = os.path.relpath(place, folder)
        below = "/" if inside == "." else f"/{inside}/"
        for name in sorted([*folders, *files]):
            source, path = os.path.join(place, name), below + name
            mode = os.lstat(source).st_mode
            if stat.S_ISLNK(mode):
                yield Entry(path, mode, os.fsencode(os.readlink(source)))
            elif stat.S_ISDIR(mode):
                yield Entry(path, mode)
            elif stat.S_ISREG(mode):
                yield Entry(path, mode, _read(source))


def _refuse(error: OSError) -> None:
    raise error


def _read(name: str) -> bytes:
    with open(name, "rb") as file:
        return file.read()


def _gathered(digests: Mapping[str, str], depth: int) -> dict[str, str]:
    """Return digests with those of files below ``depth`` directories put together."""
    listed: dict[str, str] = {}
    below: dict[str, list[str]] = {}
    for path, digest in digests.items():
        parts = path.split("/")
        if len(parts) - 1 <= depth:
            listed[path] = digest
        else:
            below.setdefault("/".join(parts[: depth + 1]) + "/", []).append(f"{path}\0{digest}\0")
    for place, lines in below.items():
        text = os.fsencode("".join(sorted(lines)))
        listed[place] = blake2b(text, digest_size=16).hexdigest()
    return listed


def _size(digests: Mapping[str, str]) -> int:
    return sum(len(path) + len(digest) for path, digest in digests.items())
