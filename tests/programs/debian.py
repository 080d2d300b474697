"""Where the real programs are that ``make programs`` fetched from Debian."""

from pathlib import Path

from tests.programs.fetch import PROGRAMS


def program(name: str) -> Path:
    """Return the path of a fetched program: "busybox", "bash-static", "zsh-static", "musl-gcc".

    Raises:
        KeyError: no program of that name is fetched.
        FileNotFoundError: it has not been fetched.
    """
    if name not in PROGRAMS:
        raise KeyError(f"{name!r} is not fetched; there are {', '.join(sorted(PROGRAMS))}")
    path = PROGRAMS[name]
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there: run `make programs`")
    return path
