"""Types of C, as entries of DWARF describe them.  See: DWARF 5, "Type Entries"."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, Final, NamedTuple

_QUALIFIERS: Final = {"DW_TAG_const_type": "const", "DW_TAG_volatile_type": "volatile",
                      "DW_TAG_restrict_type": "restrict", "DW_TAG_atomic_type": "_Atomic"}
_RECORDS: Final = {"DW_TAG_structure_type": "struct", "DW_TAG_union_type": "union"}
# DW_ATE_*
_BOOLEAN, _FLOAT, _SIGNED, _SIGNED_CHAR, _UNSIGNED_CHAR = 2, 4, 5, 6, 8


class Member(NamedTuple):
    """A field of a structure or union: with bits, it is a bit-field."""

    name: str
    type: Type
    offset: int
    bit: int = 0
    bits: int = 0


class Type:
    """A type as an entry of DWARF describes it; without an entry, ``void``."""

    def __init__(self, die: Any) -> None:
        self._die = die

    @cached_property
    def tag(self) -> str:
        return "void" if self._die is None else str(self._die.tag)

    def _attribute(self, name: str, otherwise: Any = None) -> Any:
        attribute = None if self._die is None else self._die.attributes.get(name)
        return otherwise if attribute is None else attribute.value

    @cached_property
    def target(self) -> Type:
        """What it is of: what a pointer points to, an array's element, a typedef's type."""
        has = self._die is not None and "DW_AT_type" in self._die.attributes
        return Type(self._die.get_DIE_from_attribute("DW_AT_type") if has else None)

    @cached_property
    def plain(self) -> Type:
        """The type without typedefs and qualifiers."""
        named = self.tag == "DW_TAG_typedef" or self.tag in _QUALIFIERS
        return self.target.plain if named else self

    @property
    def is_pointer(self) -> bool:
        return self.plain.tag == "DW_TAG_pointer_type"

    @property
    def is_array(self) -> bool:
        return self.plain.tag == "DW_TAG_array_type"

    @property
    def is_record(self) -> bool:
        return self.plain.tag in _RECORDS

    @property
    def is_character(self) -> bool:
        return self.plain._attribute("DW_AT_encoding") in (_SIGNED_CHAR, _UNSIGNED_CHAR)

    @property
    def is_signed(self) -> bool:
        plain = self.plain
        if plain.tag == "DW_TAG_enumeration_type":
            return any(value < 0 for value in plain.enumerators.values())
        return plain._attribute("DW_AT_encoding") in (_SIGNED, _SIGNED_CHAR)

    @property
    def is_float(self) -> bool:
        return bool(self.plain._attribute("DW_AT_encoding") == _FLOAT)

    @property
    def is_boolean(self) -> bool:
        return bool(self.plain._attribute("DW_AT_encoding") == _BOOLEAN)

    @property
    def is_enumeration(self) -> bool:
        return self.plain.tag == "DW_TAG_enumeration_type"

    @property
    def is_function(self) -> bool:
        return self.plain.tag == "DW_TAG_subroutine_type"

    @property
    def is_scalar(self) -> bool:
        return self.is_pointer or self.plain.tag in ("DW_TAG_base_type", "DW_TAG_enumeration_type")

    @cached_property
    def counts(self) -> tuple[int, ...]:
        """An array's dimensions; 0: it is not said."""
        found = []
        for child in self.plain._die.iter_children():
            if child.tag == "DW_TAG_subrange_type":
                count = child.attributes.get("DW_AT_count")
                last = child.attributes.get("DW_AT_upper_bound")
                found.append(count.value if count is not None and isinstance(count.value, int)
                             else last.value + 1 if last is not None and isinstance(
                                 last.value, int) else 0)
        return tuple(found) or (0,)

    @cached_property
    def size(self) -> int:
        """Bytes; 0 of an incomplete type, and of a function."""
        plain = self.plain
        size = plain._attribute("DW_AT_byte_size")
        if size is not None:
            return int(size)
        if plain.tag == "DW_TAG_pointer_type":
            return 8
        if plain.tag == "DW_TAG_array_type":
            total = plain.target.size
            for count in plain.counts:
                total *= count
            return total
        return 0

    @cached_property
    def members(self) -> tuple[Member, ...]:
        """A structure's fields; one without a name has fields that count as the structure's."""
        found: list[Member] = []
        for child in self.plain._die.iter_children():
            if child.tag != "DW_TAG_member":
                continue
            offset = child.attributes.get("DW_AT_data_member_location")
            at = offset.value if offset is not None and isinstance(offset.value, int) else 0
            kind = Type(child).target
            name = child.attributes.get("DW_AT_name")
            if name is None:
                found.append(Member("", kind, at))
                continue
            bits = child.attributes.get("DW_AT_bit_size")
            if bits is None:
                found.append(Member(name.value.decode(), kind, at))
                continue
            place = child.attributes.get("DW_AT_data_bit_offset")
            first = place.value if place is not None else 8 * at
            found.append(Member(name.value.decode(), kind, first // 8, first % 8, bits.value))
        return tuple(found)

    def member(self, name: str) -> Member | None:
        """Return a structure's field by its name, also one in a field without a name."""
        for member in self.members:
            if member.name == name:
                return member
            if not member.name and member.type.is_record:
                inner = member.type.member(name)
                if inner is not None:
                    return inner._replace(offset=member.offset + inner.offset)
        return None

    @cached_property
    def enumerators(self) -> Mapping[str, int]:
        """An enumeration's names."""
        return {child.attributes["DW_AT_name"].value.decode():
                child.attributes["DW_AT_const_value"].value
                for child in self.plain._die.iter_children() if child.tag == "DW_TAG_enumerator"}

    def __str__(self) -> str:
        return self._declare("")

    def definition(self) -> str:
        """Return the type with its fields or names, as ``ptype`` shows it."""
        return self.plain._declare("", whole=True)

    def _declare(self, inner: str, *, whole: bool = False) -> str:
        """Return how C declares ``inner`` to be of this type; ``whole`` with its fields."""
        if self.tag == "DW_TAG_pointer_type":
            of = self.target.tag in ("DW_TAG_array_type", "DW_TAG_subroutine_type")
            return self.target._declare(f"(*{inner})" if of else f"*{inner}", whole=whole)
        if self.tag == "DW_TAG_array_type":
            counts = "".join(f"[{count or ''}]" for count in self.counts)
            return self.target._declare(inner + counts, whole=whole)
        if self.tag == "DW_TAG_subroutine_type":
            parameters = ", ".join(self._parameters()) or "void"
            return self.target._declare(f"{inner}({parameters})", whole=whole)
        if self.tag in _QUALIFIERS:
            word = _QUALIFIERS[self.tag]
            if self.target.tag == "DW_TAG_pointer_type":
                return self.target._declare(f" {word} {inner}".rstrip(), whole=whole)
            return f"{word} {self.target._declare(inner, whole=whole)}"
        if whole and self.tag == "DW_TAG_typedef":
            return self.plain._declare(inner, whole=True)
        return f"{self._named(whole=whole)} {inner}".rstrip()

    def _named(self, *, whole: bool) -> str:
        is_enum = self.tag == "DW_TAG_enumeration_type"
        word = "enum" if is_enum else _RECORDS.get(self.tag, "")
        name = self._attribute("DW_AT_name", b"" if word else b"void").decode()
        body = ""
        if word and (whole or not name):
            body = "{...}" if not whole else self._names() if is_enum else self._body()
        return " ".join(filter(None, (word, name, body)))

    def _body(self) -> str:
        lines = [f"{m.type._declare(m.name, whole=not m.name)}{f' : {m.bits}' if m.bits else ''};"
                 for m in self.members]
        return "{\n" + "".join(f"    {line}\n" for part in lines for line in part.split("\n")) + "}"

    def _names(self) -> str:
        texts, following = [], 0
        for name, value in self.enumerators.items():
            texts.append(name if value == following else f"{name} = {value}")
            following = value + 1
        return f"{{{', '.join(texts)}}}"

    def _parameters(self) -> Iterator[str]:
        for child in self._die.iter_children():
            if child.tag == "DW_TAG_formal_parameter":
                yield str(Type(child).target)
            elif child.tag == "DW_TAG_unspecified_parameters":
                yield "..."





class PointerTo(Type):
    """The type of ``&x``, which no entry need describe."""

    def __init__(self, of: Type) -> None:
        super().__init__(None)
        self._of = of

    @property
    def tag(self) -> str:
        return "DW_TAG_pointer_type"

    @property
    def target(self) -> Type:
        return self._of

    @property
    def size(self) -> int:
        return 8


class Row(Type):
    """An array of several dimensions, without the first of them."""

    def __init__(self, of: Type) -> None:
        super().__init__(of._die)
        self.counts = of.counts[1:]
