"""The project's own source files: assembly, and what a result in the cache depends on.

They are read at every start, so without pathlib, whose import takes longer than all of them.
"""

import os


def beside(module: str, name: str) -> str:
    """Return the path of ``name`` in the folder of a module, which gives its ``__file__``."""
    return os.path.join(os.path.dirname(os.path.abspath(module)), name)


def inside(folder: str, suffix: str = "") -> list[str]:
    """Return the paths of a folder's files whose names end with ``suffix``, sorted."""
    return [os.path.join(folder, name) for name in sorted(os.listdir(folder))
            if name.endswith(suffix) and os.path.isfile(os.path.join(folder, name))]


def read(path: str) -> bytes:
    """Return the content of a file."""
    with open(path, "rb") as file:
        return file.read()


def read_text(path: str) -> str:
    """Return the content of a text in UTF-8."""
    return read(path).decode()
