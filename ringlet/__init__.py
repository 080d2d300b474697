"""ringlet: an x86-64 machine in Python that boots a tiny real kernel.

    >>> import ringlet
    >>> system = ringlet.boot(seed=1)
    >>> result = system.run(["/bin/busybox", "echo", "hello"])
    >>> result.status, result.output
    (0, b'hello\\n')
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ringlet.session import Result, Session

__all__ = ["Result", "Session", "boot"]
__version__ = "0.1.0"


def boot(**options: Any) -> Session:
    """Boot the kernel on a new machine; see :class:`ringlet.session.Session` for the options."""
    from ringlet.session import Session

    return Session(**options)


def __getattr__(name: str) -> Any:
    # The machinery is imported when it is first used: ``import ringlet`` costs nothing.
    if name in ("Result", "Session"):
        from ringlet import session

        return getattr(session, name)
    raise AttributeError(f"module 'ringlet' has no attribute {name!r}")
