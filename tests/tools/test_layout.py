"""``ringlet layout``: C that says what the declarations say, and agrees with Linux."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping

import pytest

from guest_kernel.layout.declare import (
    I32,
    U8,
    U16,
    U32,
    U64,
    Array,
    Chars,
    Embed,
    EmbedArray,
    Ptr,
    Struct,
    VoidPtr,
)
from ringlet.layout import describe, find, structures
from tests.guest import ROOT


def layout(*names: str) -> subprocess.CompletedProcess[str]:
    """Run ``ringlet layout``."""
    return subprocess.run([sys.executable, "-m", "ringlet", "layout", *names], text=True,
                          capture_output=True, cwd=ROOT, timeout=60, check=False)


def check_c(text: str) -> None:
    """Have gcc look at a C text; its complaint is the failure's message."""
    command = ["gcc", "-std=gnu11", "-Wall", "-Werror", "-fsyntax-only", "-x", "c", "-"]
    done = subprocess.run(command, input=f"#include <stddef.h>\n{text}\n", text=True,
                          capture_output=True, check=False)
    assert not done.returncode, done.stderr


def assertions(kind: type[Struct], theirs: str, names: Mapping[str, str]) -> Iterator[str]:
    """Yield C that holds if each of our fields is where ``theirs`` has the member of that name."""
    for field, member in names.items():
        place = kind.fields[field]
        yield (f"_Static_assert(offsetof({theirs}, {member}) == {place.offset}, "
               f'"{kind.__name__}.{field}: offset");')
        yield (f"_Static_assert(sizeof((({theirs} *)0)->{member}) == {place.size}, "
               f'"{kind.__name__}.{field}: size");')


# ---- What is printed


class inner(Struct):
    """Something small."""

    word = U16("two bytes")


class outer(Struct):
    """One field of each kind.  See nowhere.

    More is said here, and not printed.
    """

    flag = U8("one byte", writer="asm")
    count = U32("behind a hole, and with a meaning that takes more than one line", writer="both")
    parent = Ptr(lambda: outer, "a pointer")
    cookie = VoidPtr("in a union with it", overlay="parent")
    part = Embed(inner, "a structure")
    parts = EmbedArray(inner, 3, "several")
    name = Chars(5, "text")
    numbers = Array(U64, 2, "numbers")
    registers = Array(U8, 32, "aligned", align=16)
    last = I32("the last one")


PRINTED = """\
/* One field of each kind.  See nowhere.  test_layout.py */
struct outer {
        unsigned char  flag;            /*     0     1  asm   one byte */
        /* hole of 3 */
        unsigned int   count;           /*     4     4  both  behind a hole, and with a meaning
                                                              that takes more than one line */
        union {
                struct outer * parent;  /*     8     8  host  a pointer */
                void * cookie;          /*     8     8  host  in a union with it */
        };                              /*     8     8 */
        struct inner   part;            /*    16     2  host  a structure */
        struct inner   parts[3];        /*    18     6  host  several */
        char           name[5];         /*    24     5  host  text */
        /* hole of 3 */
        unsigned long  numbers[2];      /*    32    16  host  numbers */
        unsigned char  registers[32] __attribute__((aligned(16)));
                                        /*    48    32  host  aligned */
        int            last;            /*    80     4  host  the last one */

        /* size: 96, alignment: 16, members: 10, padding: 12 */
};"""


def test_each_kind_of_field_is_shown() -> None:
    """Are type, name, offset, size, writer and doc there, with unions, holes and padding?"""
    assert "\n".join(describe(outer)) == PRINTED


def test_no_line_is_longer_than_a_terminal() -> None:
    """Do all structures fit in 100 columns?"""
    done = layout(*structures())
    assert [line for line in done.stdout.splitlines() if len(line) > 100] == []


def test_printed_text_is_c_with_the_declared_offsets() -> None:
    """Does a C compiler place every member of every structure where it is said to lie?"""
    done = layout(*_in_order_of_definition(structures().values()))
    assert done.returncode == 0
    checks = [f"_Static_assert(sizeof(struct {name}) == {kind.size}, \"{name}: size\");"
              for name, kind in structures().items()]
    for name, kind in structures().items():
        checks += assertions(kind, f"struct {name}", {field: field for field in kind.fields})
    check_c("\n".join([done.stdout, *checks]))


def _in_order_of_definition(kinds: Iterable[type[Struct]]) -> list[str]:
    """Return the structures' names, each behind those that it has inside."""
    order: list[str] = []

    def visit(kind: type[Struct]) -> None:
        for field in kind.fields.values():
            if isinstance(field, Embed | EmbedArray):
                visit(field.target)
        if kind.__name__ not in order:
            order.append(kind.__name__)

    for kind in kinds:
        visit(kind)
    return order


def test_without_a_name_all_structures_are_listed() -> None:
    """Is every declared structure in the list, with its size?"""
    text = "".join(path.read_text() for path in (ROOT / "guest_kernel" / "layout").glob("*.py"))
    declared = set(re.findall(r"^class (\w+)\(Struct\):", text, re.MULTILINE))
    done = layout()
    rows = [line.split(None, 2) for line in done.stdout.splitlines()]
    assert declared == {row[1] for row in rows}
    assert [row[1] for row in rows] == sorted(declared)
    assert {row[1]: int(row[0]) for row in rows} == {name: find(name).size for name in declared}


@pytest.mark.parametrize(("name", "hint"), [
    ("task_strct", "; did you mean task_struct or fs_struct or tty_struct?"),
    ("lisst_head", "; did you mean list_head or hlist_head?"),
    ("task", "; did you mean task_struct?"), ("zzzz", ""), ("", ""),
])
def test_unknown_name_is_a_usage_error_with_near_ones(name: str, hint: str) -> None:
    """Is it refused before anything is printed, and is the right name suggested?"""
    done = layout("list_head", name)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "usage: ringlet layout [-h] [STRUCT ...]\n"
        f"ringlet layout: error: argument STRUCT: there is no structure {name!r}{hint}\n")


# ---- What is Linux's


# Linux's declarations: include/linux/types.h, rbtree_types.h, xarray.h; mm_types.h for a kernel
# with CONFIG_MEMCG on x86-64, where spinlock_t is 4 bytes and gfp_t is an unsigned int.
LINUX = """
struct list_head { struct list_head *next, *prev; };
struct hlist_head { struct hlist_node *first; };
struct hlist_node { struct hlist_node *next, **pprev; };
struct rb_node {
    unsigned long __rb_parent_color;
    struct rb_node *rb_right;
    struct rb_node *rb_left;
} __attribute__((aligned(sizeof(long))));
struct rb_root { struct rb_node *rb_node; };
struct rb_root_cached { struct rb_root rb_root; struct rb_node *rb_leftmost; };
struct xarray { unsigned int xa_lock; unsigned int xa_flags; void *xa_head; };
struct xa_node {
    unsigned char shift, offset, count, nr_values;
    struct xa_node *parent;
    struct xarray *array;
    union { struct list_head private_list; struct { void *next; void (*func)(void *); } rcu_head; };
    void *slots[64];
    union { unsigned long tags[3][1]; unsigned long marks[3][1]; };
};
struct page {
    unsigned long flags;
    union {
        struct {
            union { struct list_head lru; };
            void *mapping;
            unsigned long index;
            unsigned long private;
        };
        struct { unsigned long compound_head; };
    };
    union { unsigned int page_type; int _mapcount; };
    int _refcount;
    unsigned long memcg_data;
};
"""

SAME = ("list_head", "hlist_head", "hlist_node", "rb_node", "rb_root", "rb_root_cached", "xarray",
        "xa_node")
PAGE = ("flags", "lru", "compound_head", "mapping", "index", "private", "_mapcount", "_refcount")


@pytest.mark.parametrize("name", SAME)
def test_library_structures_are_linuxs(name: str) -> None:
    """Do lists, trees and arrays have Linux's members at Linux's offsets, and its size?"""
    kind = find(name)
    check_c("\n".join([LINUX, *assertions(kind, f"struct {name}", {f: f for f in kind.fields}),
                       f'_Static_assert(sizeof(struct {name}) == {kind.size}, "size");']))


def test_struct_page_has_linuxs_size_and_offsets() -> None:
    """Does struct page keep what its declaration claims?"""
    kind = find("page")
    check_c("\n".join([LINUX, *assertions(kind, "struct page", {f: f for f in PAGE}),
                       f'_Static_assert(sizeof(struct page) == {kind.size}, "size");']))


# By our names, which are the kernel's own, those of the header that programs get.
PT_REGS = {name: {"orig_ax": "orig_rax", "flags": "eflags"}.get(
    name, f"r{name}" if name in {"bp", "bx", "ax", "cx", "dx", "si", "di", "ip", "sp"} else name)
    for name in find("pt_regs").fields}


@pytest.mark.parametrize(("header", "theirs"), [
    ("asm/ptrace.h", "struct pt_regs"), ("sys/user.h", "struct user_regs_struct")])
def test_pt_regs_has_linuxs_order(header: str, theirs: str) -> None:
    """Is each register where the host's headers, hence debuggers, have it?"""
    kind = find("pt_regs")
    check_c("\n".join([f"#include <{header}>", *assertions(kind, theirs, PT_REGS)]))


@pytest.mark.parametrize(("header", "theirs", "name", "names"), [
    ("sys/resource.h", "struct rlimit", "rlimit",
     {"rlim_cur": "rlim_cur", "rlim_max": "rlim_max"}),
    # The library has another struct sigaction; this is the kernel's.
    ("asm/signal.h", "struct sigaction", "k_sigaction",
     {"flags": "sa_flags", "restorer": "sa_restorer", "mask": "sa_mask"}),
    ("asm/termbits.h", "struct termios2", "ktermios",
     {name: name for name in ("c_iflag", "c_oflag", "c_cflag", "c_lflag", "c_line", "c_cc",
                              "c_ispeed", "c_ospeed")}),
    ("asm/termios.h", "struct winsize", "winsize",
     {name: name for name in ("ws_row", "ws_col", "ws_xpixel", "ws_ypixel")}),
    ("sys/sem.h", "struct sembuf", "sembuf",
     {"sem_num": "sem_num", "sem_op": "sem_op", "sem_flg": "sem_flg"}),
])
def test_structures_that_programs_pass_are_linuxs(header: str, theirs: str, name: str,
                                                  names: dict[str, str]) -> None:
    """Is what a system call copies in or out the host's structure?"""
    kind = find(name)
    check_c("\n".join([f"#include <{header}>", *assertions(kind, theirs, names),
                       f'_Static_assert(sizeof({theirs}) == {kind.size}, "size");']))

