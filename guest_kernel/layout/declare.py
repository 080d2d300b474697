"""How a structure in guest RAM is declared, once, and what is made of the declaration.

A declaration is a class whose attributes are fields, in memory order::

    class list_head(Struct):
        \"""A node, or the head, of a circular doubly linked list.\"""
        next = Ptr(lambda: list_head, "the node after this one, the head at the end")
        prev = Ptr(lambda: list_head, "the node before")

Each field is aligned to its own size, as the System V ABI has it, so a declaration in Linux's order
has Linux's offsets.  From the class come the accessors below, the assembler's symbols
(``guest_kernel.image``), the debugger's types and the reference page.

An instance is a *reference*: a kernel and a physical address.  Each read and write goes to guest
RAM; nothing is kept in Python.  Pointers in RAM are kernel virtual addresses.  RAM is at most
2 GiB and each kernel mapping starts at a multiple of 2 GiB, so the low 31 bits of any kernel
pointer are the physical address: :data:`PHYSICAL_MASK`.

See: drgn's user guide, "References vs. Values"; Linux arch/x86/kernel/asm-offsets.c.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Final, Generic, Protocol, Self, TypeVar, overload

PAGE_OFFSET: Final = 0xFFFF_8880_0000_0000  # the direct map of all RAM
START_KERNEL_MAP: Final = 0xFFFF_FFFF_8000_0000  # the kernel image
KERNEL_LOAD: Final = 0x10_0000  # physical address of the image
PHYSICAL_MASK: Final = 0x7FFF_FFFF
MAX_RAM: Final = PHYSICAL_MASK + 1


class Memory(Protocol):
    """What a reference needs of the kernel it belongs to: its RAM as typed arrays."""

    u8: memoryview
    u16: memoryview
    u32: memoryview
    u64: memoryview
    i16: memoryview
    i32: memoryview
    i64: memoryview
    image_end: int  # physical; the image is [KERNEL_LOAD, image_end)


class Field:
    """A field: its size, alignment and place, and what it means.

    Args:
        doc: what it holds.
        writer: "host", "asm" or "both": who writes it.
        overlay: name of an earlier field whose place this one shares (a union).
    """

    size = 0
    align = 1
    ctype = ""

    def __init__(self, doc: str, *, writer: str = "host", overlay: str | None = None) -> None:
        self.doc = doc
        self.writer = writer
        self.overlay = overlay
        self.name = ""
        self.offset = 0

    def accessor(self) -> property:
        """Make the property that reads and writes this field, its offset being known."""
        raise NotImplementedError


class _Integer(Field):
    view = ""  # the attribute of Memory that holds this type

    @overload
    def __get__(self, obj: None, owner: Any = None) -> Self: ...
    @overload
    def __get__(self, obj: Struct, owner: Any = None) -> int: ...
    def __get__(self, obj: Struct | None, owner: Any = None) -> int | Self:
        raise NotImplementedError  # replaced by accessor()

    def __set__(self, obj: Struct, value: int) -> None:
        raise NotImplementedError

    def accessor(self) -> property:
        return _ACCESSORS[self.view](self.offset, self.doc)


def _accessor_u64(off: int, doc: str) -> property:
    def fget(s: Struct) -> int:
        return s.k.u64[(s.pa + off) >> 3]

    def fset(s: Struct, value: int) -> None:
        s.k.u64[(s.pa + off) >> 3] = value

    return property(fget, fset, doc=doc)


def _accessor_i64(off: int, doc: str) -> property:
    def fget(s: Struct) -> int:
        return s.k.i64[(s.pa + off) >> 3]

    def fset(s: Struct, value: int) -> None:
        s.k.i64[(s.pa + off) >> 3] = value

    return property(fget, fset, doc=doc)


def _accessor_u32(off: int, doc: str) -> property:
    def fget(s: Struct) -> int:
        return s.k.u32[(s.pa + off) >> 2]

    def fset(s: Struct, value: int) -> None:
        s.k.u32[(s.pa + off) >> 2] = value

    return property(fget, fset, doc=doc)


def _accessor_i32(off: int, doc: str) -> property:
    def fget(s: Struct) -> int:
        return s.k.i32[(s.pa + off) >> 2]

    def fset(s: Struct, value: int) -> None:
        s.k.i32[(s.pa + off) >> 2] = value

    return property(fget, fset, doc=doc)


def _accessor_u16(off: int, doc: str) -> property:
    def fget(s: Struct) -> int:
        return s.k.u16[(s.pa + off) >> 1]

    def fset(s: Struct, value: int) -> None:
        s.k.u16[(s.pa + off) >> 1] = value

    return property(fget, fset, doc=doc)


def _accessor_i16(off: int, doc: str) -> property:
    def fget(s: Struct) -> int:
        return s.k.i16[(s.pa + off) >> 1]

    def fset(s: Struct, value: int) -> None:
        s.k.i16[(s.pa + off) >> 1] = value

    return property(fget, fset, doc=doc)


def _accessor_u8(off: int, doc: str) -> property:
    def fget(s: Struct) -> int:
        return s.k.u8[s.pa + off]

    def fset(s: Struct, value: int) -> None:
        s.k.u8[s.pa + off] = value

    return property(fget, fset, doc=doc)


_ACCESSORS: Final = {
    "u64": _accessor_u64,
    "i64": _accessor_i64,
    "u32": _accessor_u32,
    "i32": _accessor_i32,
    "u16": _accessor_u16,
    "i16": _accessor_i16,
    "u8": _accessor_u8,
}


class U64(_Integer):
    size = align = 8
    view, ctype = "u64", "unsigned long"


class I64(_Integer):
    size = align = 8
    view, ctype = "i64", "long"


class U32(_Integer):
    size = align = 4
    view, ctype = "u32", "unsigned int"


class I32(_Integer):
    size = align = 4
    view, ctype = "i32", "int"


class U16(_Integer):
    size = align = 2
    view, ctype = "u16", "unsigned short"


class I16(_Integer):
    size = align = 2
    view, ctype = "i16", "short"


class U8(_Integer):
    size = align = 1
    view, ctype = "u8", "unsigned char"


class VoidPtr(U64):
    """An address as a number.

    Args:
        ctype: what debuggers take it for; "void *": anything, a user address, the address of code.
    """

    def __init__(self, doc: str, *, writer: str = "host", overlay: str | None = None,
                 ctype: str = "void *") -> None:
        super().__init__(doc, writer=writer, overlay=overlay)
        self.ctype = ctype


class Chars(Field):
    """``char[n]``, NUL-padded; read up to the first NUL."""

    ctype = "char []"

    def __init__(self, n: int, doc: str, *, writer: str = "host",
                 overlay: str | None = None) -> None:
        super().__init__(doc, writer=writer, overlay=overlay)
        self.size = n

    @overload
    def __get__(self, obj: None, owner: Any = None) -> Self: ...
    @overload
    def __get__(self, obj: Struct, owner: Any = None) -> bytes: ...
    def __get__(self, obj: Struct | None, owner: Any = None) -> bytes | Self:
        raise NotImplementedError

    def __set__(self, obj: Struct, value: bytes) -> None:
        raise NotImplementedError

    def accessor(self) -> property:
        off, n = self.offset, self.size

        def fget(s: Struct) -> bytes:
            return bytes(s.k.u8[s.pa + off : s.pa + off + n]).partition(b"\0")[0]

        def fset(s: Struct, value: bytes) -> None:
            if len(value) > n:
                raise ValueError(f"{value!r} does not fit in char[{n}]")
            s.k.u8[s.pa + off : s.pa + off + n] = value.ljust(n, b"\0")

        return property(fget, fset, doc=self.doc)


class Array(Field):
    """``n`` integers; read as a memoryview on RAM, item by item writable.

    Args:
        ctype: what debuggers take each one for, as large as ``item``.
    """

    def __init__(self, item: type[_Integer], n: int, doc: str, *, writer: str = "host",
                 overlay: str | None = None, align: int | None = None,
                 ctype: str = "") -> None:
        super().__init__(doc, writer=writer, overlay=overlay)
        self.item, self.n = item, n
        self.size, self.align = item.size * n, align or item.align
        self.item_ctype = ctype or item.ctype
        self.ctype = f"{self.item_ctype} [{n}]"

    @overload
    def __get__(self, obj: None, owner: Any = None) -> Self: ...
    @overload
    def __get__(self, obj: Struct, owner: Any = None) -> memoryview: ...
    def __get__(self, obj: Struct | None, owner: Any = None) -> memoryview | Self:
        raise NotImplementedError

    def accessor(self) -> property:
        off, n, view = self.offset, self.n, self.item.view
        shift = self.item.size.bit_length() - 1

        def fget(s: Struct) -> memoryview:
            first = (s.pa + off) >> shift
            array: memoryview = getattr(s.k, view)
            return array[first : first + n]

        return property(fget, doc=self.doc)


S = TypeVar("S", bound="Struct")


class Ptr(Field, Generic[S]):
    """A pointer to a structure; ``None`` is NULL."""

    size = align = 8

    def __init__(self, target: Callable[[], type[S]], doc: str, *, writer: str = "host",
                 overlay: str | None = None) -> None:
        super().__init__(doc, writer=writer, overlay=overlay)
        self.target = target

    @overload
    def __get__(self, obj: None, owner: Any = None) -> Self: ...
    @overload
    def __get__(self, obj: Struct, owner: Any = None) -> S | None: ...
    def __get__(self, obj: Struct | None, owner: Any = None) -> S | Self | None:
        raise NotImplementedError

    def __set__(self, obj: Struct, value: S | None) -> None:
        raise NotImplementedError

    def accessor(self) -> property:
        off, target = self.offset, self.target
        resolved: type[S] | None = None

        def fget(s: Struct) -> S | None:
            nonlocal resolved
            va = s.k.u64[(s.pa + off) >> 3]
            if not va:
                return None
            if resolved is None:
                resolved = target()
            return resolved(s.k, va & PHYSICAL_MASK)

        def fset(s: Struct, value: S | None) -> None:
            s.k.u64[(s.pa + off) >> 3] = 0 if value is None else value.va

        return property(fget, fset, doc=self.doc)


class Embed(Field, Generic[S]):
    """A structure inside this one."""

    def __init__(self, target: type[S], doc: str, *, writer: str = "host",
                 overlay: str | None = None) -> None:
        super().__init__(doc, writer=writer, overlay=overlay)
        self.target = target
        self.size, self.align = target.size, target.align
        self.ctype = f"struct {target.__name__}"

    @overload
    def __get__(self, obj: None, owner: Any = None) -> Self: ...
    @overload
    def __get__(self, obj: Struct, owner: Any = None) -> S: ...
    def __get__(self, obj: Struct | None, owner: Any = None) -> S | Self:
        raise NotImplementedError

    def accessor(self) -> property:
        off, target = self.offset, self.target

        def fget(s: Struct) -> S:
            return target(s.k, s.pa + off)

        return property(fget, doc=self.doc)


class EmbedArray(Field, Generic[S]):
    """``n`` structures inside this one; read as a list of references."""

    def __init__(self, target: type[S], n: int, doc: str, *, writer: str = "host",
                 overlay: str | None = None) -> None:
        super().__init__(doc, writer=writer, overlay=overlay)
        self.target, self.n = target, n
        self.size, self.align = target.size * n, target.align
        self.ctype = f"struct {target.__name__} [{n}]"

    @overload
    def __get__(self, obj: None, owner: Any = None) -> Self: ...
    @overload
    def __get__(self, obj: Struct, owner: Any = None) -> list[S]: ...
    def __get__(self, obj: Struct | None, owner: Any = None) -> list[S] | Self:
        raise NotImplementedError

    def accessor(self) -> property:
        off, target, n = self.offset, self.target, self.n

        def fget(s: Struct) -> list[S]:
            return [target(s.k, s.pa + off + i * target.size) for i in range(n)]

        return property(fget, doc=self.doc)


class Struct:
    """A reference to a structure in guest RAM.

    Attributes:
        k: the kernel whose RAM it lies in.
        pa: physical address of its first byte.
    """

    __slots__ = ("k", "pa")

    size: ClassVar[int] = 0
    align: ClassVar[int] = 1
    fields: ClassVar[dict[str, Field]] = {}

    def __init__(self, k: Any, pa: int) -> None:
        self.k = k
        self.pa = pa

    def __init_subclass__(cls) -> None:
        fields: dict[str, Field] = {}
        offset, align = 0, 1
        mangled = f"_{cls.__name__.lstrip('_')}__"
        for key, field in list(vars(cls).items()):
            if not isinstance(field, Field):
                continue
            # A name such as __state is mangled in a class body; it keeps Linux's name.
            name = "__" + key.removeprefix(mangled) if key.startswith(mangled) else key
            if name in _RESERVED:
                raise TypeError(f"{cls.__name__}.{name}: a reference has an attribute of that name")
            field.name = name
            if field.overlay is None:
                offset = -(-offset // field.align) * field.align
                field.offset = offset
            else:
                field.offset = fields[field.overlay].offset
            offset = max(offset, field.offset + field.size)
            align = max(align, field.align)
            fields[name] = field
            if key != name:
                delattr(cls, key)
            setattr(cls, name, field.accessor())
        cls.fields = fields
        cls.align = align
        cls.size = -(-offset // align) * align

    @classmethod
    def offsetof(cls, path: str) -> int:
        """Return the offset of a field, or of a field's field: ``"thread.sp"``."""
        field = cls.fields.get(path)
        return field.offset if field is not None else cls._find(path)[0]

    @classmethod
    def _find(cls, path: str) -> tuple[int, Field]:
        name, _, rest = path.partition(".")
        field = cls.fields[name]
        if not rest:
            return field.offset, field
        if not isinstance(field, Embed):
            raise KeyError(f"{cls.__name__}.{name} is not a structure")
        offset, found = field.target._find(rest)
        return field.offset + offset, found

    @classmethod
    def zeros(cls, *paths: str) -> tuple[tuple[int, int, bytes], ...]:
        """Return how to clear some fields at once: first byte, the one behind the last, zeros.

        Neighbours are cleared together.
        """
        spans: list[tuple[int, int]] = []
        for start, field in sorted((cls._find(path) for path in paths), key=lambda at: at[0]):
            end = start + field.size
            if spans and spans[-1][1] == start:
                start = spans.pop()[0]
            spans.append((start, end))
        return tuple((start, end, bytes(end - start)) for start, end in spans)

    @classmethod
    def at(cls, k: Any, va: int) -> Self:
        """Return the structure at kernel virtual address ``va``."""
        return cls(k, va & PHYSICAL_MASK)

    @property
    def va(self) -> int:
        """Its kernel virtual address: in the image's mapping, or in the direct map."""
        pa = self.pa
        if KERNEL_LOAD <= pa < self.k.image_end:
            return pa + START_KERNEL_MAP
        return pa + PAGE_OFFSET

    def clear(self) -> None:
        """Fill it with zeros."""
        self.k.u8[self.pa : self.pa + self.size] = bytes(self.size)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Struct) and self.pa == other.pa and type(self) is type(other)

    def __hash__(self) -> int:
        return hash(self.pa)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.va:#x}>"

    def items(self) -> Iterator[tuple[str, Any]]:
        """Yield each field's name and value, for debuggers."""
        for name in self.fields:
            yield name, getattr(self, name)


# What a field cannot be called: it would hide a reference's own attribute.
_RESERVED: Final = frozenset({"k", "pa", "va", "size", "align", "fields", "offsetof", "zeros", "at",
                              "clear", "items"})


def container_of(node: Struct, target: type[S], member: str) -> S:
    """Return the ``target`` whose ``member`` is ``node``.  See Linux container_of()."""
    return target(node.k, node.pa - target.offsetof(member))
