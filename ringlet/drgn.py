"""The kernel's structures as drgn has them: for scripts that look at a machine.

drgn is a debugger that is a library: C's types and expressions as Python objects, and helpers for
Linux's structures.  Ours have Linux's names and layout, so its helpers for lists, trees, arrays,
numbers and tasks work on them as they are.  What it needs is made here from what the kernel has
anyhow: memory is the machine's RAM, read when it is asked for; types are the declarations in
``guest_kernel/layout``; objects are the globals of the image.  There is no debugging information
to load.

See: https://drgn.readthedocs.io, "User Guide"; docs/inspect.md.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from functools import cache
from typing import Final

from drgn import (
    Architecture,
    FindObjectFlags,
    Object,
    Platform,
    Program,
    Symbol,
    SymbolBinding,
    SymbolIndex,
    SymbolKind,
    Type,
    TypeEnumerator,
    TypeKind,
    TypeKindSet,
    TypeMember,
)

from emulator.arch.paging import PAGE_SIZE
from guest_kernel import layout
from guest_kernel.image import GLOBALS
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import (
    KERNEL_LOAD,
    PAGE_OFFSET,
    PHYSICAL_MASK,
    START_KERNEL_MAP,
)
from guest_kernel.layout.mm_types import vm_data
from guest_kernel.layout.sched import TASK_STATE_ARRAY
from guest_kernel.process.sys import UTS_RELEASE
from guest_kernel.syscall_table import load
from ringlet.layout import ctype, groups, structures
from ringlet.session import Session

# Linux's names of C's types.  See Linux include/linux/types.h, arch/x86.
TYPEDEFS: Final = {
    "u8": "unsigned char", "u16": "unsigned short", "u32": "unsigned int",
    "u64": "unsigned long long", "s8": "signed char", "s16": "short", "s32": "int",
    "s64": "long long", "__u8": "unsigned char", "__u16": "unsigned short",
    "__u32": "unsigned int", "__u64": "unsigned long long", "__s8": "signed char",
    "__s16": "short", "__s32": "int", "__s64": "long long",
    "uint8_t": "u8", "uint16_t": "u16", "uint32_t": "u32", "uint64_t": "u64",
    "int8_t": "s8", "int16_t": "s16", "int32_t": "s32", "int64_t": "s64",
    "size_t": "unsigned long", "ssize_t": "long", "loff_t": "long long", "pid_t": "int",
    "uid_t": "unsigned int", "gid_t": "unsigned int", "dev_t": "u32", "umode_t": "unsigned short",
    "gfp_t": "unsigned int", "ktime_t": "s64", "phys_addr_t": "u64", "dma_addr_t": "u64",
    "pgdval_t": "unsigned long", "pteval_t": "unsigned long", "bool": "_Bool",
}

# Which of the constants are Linux's enumerations, by how their names begin.
ENUMERATIONS: Final = {"pid_type": "PIDTYPE_", "pageflags": "PG_"}


def program(machine: Session | Kernel) -> Program:
    """Return a drgn program for a machine on which the kernel has booted.

    It sees the machine as it is at each access; between two accesses the machine may run, and go
    back in time.  It cannot write.

    Args:
        machine: a session, or the kernel of one, as a handler or a tracer has it.
    """
    k = machine.kernel.k if isinstance(machine, Session) else machine
    prog = Program(Platform(Architecture.X86_64))
    _add_memory(prog, k)
    prog.register_type_finder("ringlet", _Types().find, enable_index=0)
    prog.register_object_finder("ringlet", _Objects(k).find, enable_index=0)
    prog.register_symbol_finder("ringlet", _symbols(k), enable_index=0)
    return prog


def _add_memory(prog: Program, k: Kernel) -> None:
    """Give ``prog`` the RAM, by physical addresses and at the kernel's own two mappings of it.

    Other addresses drgn translates itself, with swapper_pg_dir, or with a task's page table.
    """
    def reader(start: int) -> Callable[[int, int, int, bool], bytes]:
        def read(address: int, count: int, offset: int, physical: bool) -> bytes:
            return bytes(k.ram.u8[start + offset : start + offset + count])
        return read

    prog.add_memory_segment(0, k.ram.size, reader(0), physical=True)
    swapper = (k.data(vm_data).swapper_pg_dir & PHYSICAL_MASK) + START_KERNEL_MAP
    prog.set_linux_kernel_custom("\n".join([
        f"OSRELEASE={UTS_RELEASE.decode()}", f"PAGESIZE={PAGE_SIZE}",
        f"SYMBOL(swapper_pg_dir)={swapper:x}", "NUMBER(phys_base)=0", "KERNELOFFSET=0",
        "NUMBER(pgtable_l5_enabled)=0", ""]), is_live=True)
    prog.add_memory_segment(PAGE_OFFSET, k.ram.size, reader(0))
    prog.add_memory_segment(START_KERNEL_MAP + KERNEL_LOAD, k.image_end - KERNEL_LOAD,
                            reader(KERNEL_LOAD))


# ---- types


class _Types:
    """Finds types by name: structures of the layout, Linux's typedefs, enumerations."""

    def __init__(self) -> None:
        self._found: dict[tuple[TypeKind, str], Type | None] = {}

    def find(self, prog: Program, kinds: TypeKindSet, name: str,
             filename: str | None) -> Type | None:
        if filename is not None:
            return None
        for kind, make in ((TypeKind.STRUCT, _struct), (TypeKind.TYPEDEF, _typedef),
                           (TypeKind.ENUM, _enum)):
            if kind in kinds:
                if (kind, name) not in self._found:
                    self._found[kind, name] = make(prog, name)
                found = self._found[kind, name]
                if found is not None:
                    return found
        return None


def _struct(prog: Program, name: str) -> Type | None:
    kind = structures().get(name)
    if kind is None:
        return None
    members = []
    for group in groups(kind):
        if len(group) == 1:
            members.append(_member(prog, *ctype(group[0]), group[0].name, group[0].offset))
        else:
            union = prog.union_type(None, max(field.size for field in group), [
                _member(prog, *ctype(field), field.name, 0) for field in group])
            members.append(TypeMember(union, None, 8 * group[0].offset))
    return prog.struct_type(name, kind.size, members)


def _member(prog: Program, base: str, suffix: str, name: str, offset: int) -> TypeMember:
    # Found when it is asked for: structures point at each other.
    return TypeMember(lambda: prog.type(f"{base} {suffix}"), name, 8 * offset)


def _typedef(prog: Program, name: str) -> Type | None:
    target = TYPEDEFS.get(name)
    return None if target is None else prog.typedef_type(name, prog.type(target))


def _enum(prog: Program, name: str) -> Type | None:
    prefix = ENUMERATIONS.get(name)
    if prefix is None:
        return None
    return prog.enum_type(name, prog.type("unsigned int"), [
        TypeEnumerator(constant, value) for constant, value in _constants().items()
        if constant.startswith(prefix)])


# ---- objects and symbols


@cache
def _constants() -> dict[str, int]:
    """Return every number that the layout gives a name."""
    found = {"ARCH_PFN_OFFSET": 0}  # mem_map begins with frame 0
    for info in pkgutil.iter_modules(layout.__path__, f"{layout.__name__}."):
        module = importlib.import_module(info.name)
        found |= {name: value for name, value in vars(module).items()
                  if type(value) is int and (name[:1] != "_" or name[:2] == "__")}
    return found


def _globals(k: Kernel) -> Iterator[tuple[str, str, int, int]]:
    """Yield name, C type, address and size of each variable of the image."""
    for kind in GLOBALS:
        address = k.symbols[kind.__name__]
        if not kind.__name__.endswith("_data"):
            yield kind.__name__, f"struct {kind.__name__}", address, kind.size
            continue
        for name, field in kind.fields.items():
            yield name, " ".join(ctype(field)), address + field.offset, field.size
    for name, item, n in (("sys_call_table", "void *", max(row.number for row in load()) + 1),
                          ("task_state_array", "const char *", len(TASK_STATE_ARRAY))):
        yield name, f"{item} [{n}]", k.symbols[name], 8 * n


def _functions(k: Kernel) -> Iterator[tuple[str, int]]:
    """Yield name and address of each routine of the image, in order of addresses."""
    start, end = k.symbols["_text"], k.symbols["_etext"]
    yield from sorted(((name, va) for name, va in k.symbols.items() if start <= va < end),
                      key=lambda item: item[1])


class _Objects:
    """Finds objects by name: variables and routines of the image, constants of the layout."""

    def __init__(self, k: Kernel) -> None:
        self._variables = {name: (kind, address) for name, kind, address, _ in _globals(k)}
        self._functions = dict(_functions(k))

    def find(self, prog: Program, name: str, flags: FindObjectFlags,
             filename: str | None) -> Object | None:
        if filename is not None:
            return None
        if flags & FindObjectFlags.VARIABLE and name in self._variables:
            kind, address = self._variables[name]
            return Object(prog, kind, address=address)
        if flags & FindObjectFlags.CONSTANT and name in _constants():
            return _constant(prog, name, _constants()[name])
        if flags & FindObjectFlags.FUNCTION and name in self._functions:
            function = prog.function_type(prog.void_type(), ())
            return Object(prog, function, address=self._functions[name])
        return None


def _constant(prog: Program, name: str, value: int) -> Object:
    for enumeration, prefix in ENUMERATIONS.items():
        if name.startswith(prefix):
            return Object(prog, f"enum {enumeration}", value)
    bits = value.bit_length()
    return Object(prog, "int" if bits < 32 else "unsigned int" if bits == 32 else
                  "unsigned long", value)


def _symbols(k: Kernel) -> SymbolIndex:
    """Return the symbols of the image; a routine ends where the next one begins."""
    symbols = [Symbol(name, address, size, SymbolBinding.GLOBAL, SymbolKind.OBJECT)
               for name, _, address, size in _globals(k) if size]
    functions = list(_functions(k))
    ends = [*(va for _, va in functions[1:]), k.symbols["_etext"]]
    symbols += [Symbol(name, va, end - va, SymbolBinding.GLOBAL, SymbolKind.FUNC)
                for (name, va), end in zip(functions, ends, strict=True) if end > va]
    return SymbolIndex(symbols)
