"""Binding of system-call handlers to the rows of ``syscalls.tbl``.

A handler is a function named for its row's entry point.  Its first parameter is the calling task;
the others are the call's arguments, whose annotations say how a register becomes a number::

    @SYSCALL_DEFINE
    def sys_lseek(current: task_struct, fd: UInt, offset: Long, whence: UInt) -> int:

Modules that define handlers use ``from __future__ import annotations``, so an annotation is the
alias's name.  Conversion is compiled once a signature, at registration.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

from guest_kernel.layout.ptrace import pt_regs

Int: TypeAlias = int  # int: the low 32 bits, signed
UInt: TypeAlias = int  # unsigned int: the low 32 bits
Long: TypeAlias = int  # long: 64 bits, signed
ULong: TypeAlias = int  # unsigned long, size_t: 64 bits
UserPtr: TypeAlias = int  # an address in user space, 64 bits, read only through uaccess

# Expression for each annotation; ``{u64}`` is the register's index in pt_regs.
_CONVERSIONS: Final = {
    "Int": "i32[(r + {index}) * 2]",
    "UInt": "u32[(r + {index}) * 2]",
    "Long": "i64[r + {index}]",
    "ULong": "u64[r + {index}]",
    "UserPtr": "u64[r + {index}]",
}

# The System V ABI's registers for the arguments of a system call.
ARGUMENT_REGISTERS: Final = ("di", "si", "dx", "r10", "r8", "r9")

Handler = TypeVar("Handler", bound=Callable[..., int])
Adapter: TypeAlias = Callable[[Any, int], int]


class Definition(NamedTuple):
    """A handler as registered.

    Attributes:
        name: its entry point, ``sys_read``.
        function: the handler.
        adapter: called with the current task and the index of its ``pt_regs`` in ``u64``.
        parameters: the arguments' names and types, in order.
        limits: what is not supported, the "Limits:" section of the docstring; empty if complete.
    """

    name: str
    function: Callable[..., int]
    adapter: Adapter
    parameters: tuple[tuple[str, str], ...]
    limits: str


DEFINITIONS: Final[dict[str, Definition]] = {}
_factories: dict[tuple[str, ...], Callable[[Callable[..., int]], Adapter]] = {}


def SYSCALL_DEFINE(function: Handler) -> Handler:
    """Register ``function`` as the handler of the entry point that it is named for.

    Raises:
        TypeError: an annotation is none of this module's aliases.
        ValueError: the entry point has a handler already.
    """
    name = function.__name__
    if name in DEFINITIONS:
        raise ValueError(f"{name} is defined twice")
    annotations = dict(function.__annotations__)
    annotations.pop("return", None)
    code = function.__code__
    parameters = tuple((p, annotations[p]) for p in code.co_varnames[1 : code.co_argcount])
    for parameter, alias in parameters:
        if alias not in _CONVERSIONS:
            raise TypeError(f"{name}: parameter {parameter} has the unknown type {alias!r}")
    DEFINITIONS[name] = Definition(
        name, function, _adapter(function, tuple(t for _, t in parameters)), parameters,
        _limits(function.__doc__ or ""),
    )
    return function


def _adapter(function: Callable[..., int], types: tuple[str, ...]) -> Adapter:
    """Compile ``function(current, converted registers…)`` for one signature."""
    conversions = tuple(_CONVERSIONS[t] for t in types)
    factory = _factories.get(conversions)
    if factory is None:
        arguments = "".join(
            ", " + conversion.format(index=pt_regs.offsetof(register) // 8)
            for conversion, register in zip(conversions, ARGUMENT_REGISTERS, strict=False)
        )
        lines = ["def factory(function):", "    def adapter(current, r):"]
        views = sorted({conversion.partition("[")[0] for conversion in conversions})
        lines += [f"        {view} = current.k.{view}" for view in views]
        lines += [f"        return function(current{arguments})", "    return adapter"]
        namespace: dict[str, Any] = {}
        exec("\n".join(lines), namespace)
        factory = _factories[conversions] = namespace["factory"]
    return factory(function)


def _limits(doc: str) -> str:
    _, found, rest = doc.partition("Limits:")
    return " ".join(rest.partition("\n\n")[0].split()) if found else ""
