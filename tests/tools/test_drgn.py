"""Do drgn and its own helpers for Linux find what is on a machine?

A program is given up in the middle: its tasks sleep, and the machine stands still.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from emulator.arch.paging import PAGE_SIZE
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import PAGE_OFFSET, START_KERNEL_MAP, Embed
from guest_kernel.layout.sched import task_struct
from guest_kernel.lib.rbtree import rbtree_inorder_for_each_entry as our_inorder
from guest_kernel.process.pid import find_task_by_vpid
from ringlet.layout import structures
from ringlet.session import Session
from tests.guest import compile_c

drgn = pytest.importorskip("drgn", reason="not here: drgn is not installed")

from drgn import Object, Program, cast, container_of, offsetof, sizeof  # noqa: E402
from drgn.helpers.linux import (  # noqa: E402
    access_process_vm,
    cmdline,
    compound_head,
    cpu_curr,
    d_path,
    environ,
    find_pid,
    find_slab_cache,
    find_task,
    follow_phys,
    for_each_file,
    for_each_online_cpu,
    for_each_slab_cache,
    for_each_task,
    for_each_task_in_group,
    for_each_vma,
    get_task_state,
    hlist_for_each_entry,
    idr_find,
    idr_for_each,
    list_for_each_entry,
    page_to_pfn,
    page_to_virt,
    pid_task,
    rbtree_inorder_for_each_entry,
    task_cpu,
    validate_list_count_nodes,
    validate_rbtree_inorder_for_each_entry,
    virt_to_page,
    virt_to_phys,
    vma_find,
    vma_name,
    xa_for_each,
    xa_load,
)

from ringlet.drgn import program  # noqa: E402

SUBJECT = Path(__file__).with_name("drgn_subject.c")
PAGES = 70


class Subject(NamedTuple):
    """A machine with the program on it.

    Attributes:
        main, sleeper, zombie, thread: numbers of the tasks.
        code, text, size: addresses in the program: its main(), and a string and its size.
    """

    prog: Program
    k: Kernel
    path: bytes
    main: int
    sleeper: int
    zombie: int
    thread: int
    code: int
    text: int
    size: int

    def task(self, nr: int | None = None) -> Object:
        """Return a task as drgn has it."""
        return find_task(self.prog, self.main if nr is None else nr)

    def our_task(self, nr: int | None = None) -> task_struct:
        """Return a task as the kernel has it."""
        task = find_task_by_vpid(self.k, self.main if nr is None else nr)
        assert task is not None
        return task


@pytest.fixture(scope="module")
def subject() -> Iterator[Subject]:
    path = str(compile_c(SUBJECT, "-pthread"))
    with Session(seed=1, append="pid_max=400") as session:
        result = session.run([path, "one", "two"], env={"NAME": "value"}, timeout=2)
        assert result.status == 124
        words = [int(word, 0) for word in result.output.split()]
        yield Subject(program(session), session.kernel.k, path.encode(), *words)


# ---- types, objects, memory


def test_every_structure_is_as_declared(subject: Subject) -> None:
    """Has each type drgn makes the size and the offsets of its declaration?"""
    for name, kind in structures().items():
        made = subject.prog.type(f"struct {name}")
        assert sizeof(made) == kind.size, name
        for field in kind.fields.values():
            assert offsetof(made, field.name) == field.offset, f"{name}.{field.name}"
            member = made.member(field.name)
            assert sizeof(member.type) == field.size, f"{name}.{field.name}"
            if isinstance(field, Embed):
                assert member.type.tag == field.target.__name__


def test_base_types_have_linuxs_names(subject: Subject) -> None:
    """Are typedefs as wide as Linux's, and signed where they are?"""
    sizes = {"u8": 1, "s16": 2, "__u32": 4, "u64": 8, "pid_t": 4, "size_t": 8, "loff_t": 8,
             "phys_addr_t": 8, "bool": 1}
    assert {name: sizeof(subject.prog.type(name)) for name in sizes} == sizes
    assert subject.prog.type("pid_t").type.is_signed
    with pytest.raises(LookupError, match="no_such"):
        subject.prog.type("struct no_such")


def test_globals_and_constants_are_found(subject: Subject) -> None:
    """Are variables, routines and constants objects of the right type at the right address?"""
    prog = subject.prog
    assert prog["init_task"].comm.string_() == b"swapper"
    assert prog["init_task"].address_ == subject.k.symbols["init_task"]
    assert prog["pid_max"].value_() == 400
    assert prog["saved_command_line"].string_() == b"seed=1 pid_max=400"
    assert str(prog["PIDTYPE_SID"]) == "(enum pid_type)PIDTYPE_SID"
    assert prog["TASK_INTERRUPTIBLE"].value_() == 1
    assert prog["PAGE_OFFSET"].value_() == PAGE_OFFSET
    assert prog["pcpu_hot"].current_task == prog["init_task"].address_of_()
    entry = prog["entry_SYSCALL_64"]
    assert (entry.address_, str(entry.type_)) == (subject.k.symbols["entry_SYSCALL_64"],
                                                  "void (void)")
    assert prog.symbol(prog["sys_call_table"][39].value_()).name == "__x64_sys_getpid"
    with pytest.raises(KeyError, match="no_such"):
        prog["no_such"]


def test_symbols_name_addresses(subject: Subject) -> None:
    """Is an address inside a variable or a routine called after it?"""
    prog = subject.prog
    for name in ("init_task", "init_pid_ns", "runqueues", "__switch_to_asm", "schedule"):
        assert prog.symbol(name).address == subject.k.symbols[name]
        assert prog.symbol(subject.k.symbols[name] + 1).name == name
    with pytest.raises(LookupError):
        prog.symbol(PAGE_OFFSET)


def test_memory_is_the_same_by_every_address(subject: Subject) -> None:
    """Do physical addresses, both kernel mappings and page tables lead to the same bytes?"""
    prog, k = subject.prog, subject.k
    init_task = prog["init_task"]
    pa = init_task.address_ - START_KERNEL_MAP
    expected = bytes(k.u8[pa : pa + task_struct.size])
    assert init_task.to_bytes_() == expected
    assert prog.read(pa, len(expected), physical=True) == expected
    assert prog.read(PAGE_OFFSET + pa, len(expected)) == expected
    kernel = prog["init_mm"].address_of_()
    assert follow_phys(kernel, init_task.address_).value_() == pa
    assert follow_phys(kernel, PAGE_OFFSET + pa).value_() == pa
    for address in (0, PAGE_OFFSET + k.ram.size, START_KERNEL_MAP):
        with pytest.raises(drgn.FaultError):
            prog.read(address, 1)
    assert prog.read(PAGE_OFFSET + k.ram.size - 1, 1) == bytes(k.u8[-1:])


def test_user_memory_is_read_through_its_page_table(subject: Subject) -> None:
    """Are the program's data, arguments and environment what it has?"""
    task = subject.task()
    assert access_process_vm(task, subject.text, subject.size) == (
        b"this lies in the program's data\0")
    assert cmdline(task) == [subject.path, b"one", b"two"]
    assert environ(task) == [b"NAME=value"]
    with pytest.raises(drgn.FaultError):
        access_process_vm(task, 0, 1)


# ---- tasks and numbers


def test_tasks_are_walked_by_number_and_by_list(subject: Subject) -> None:
    """Do init_pid_ns, init_task.tasks and thread groups name the same tasks?"""
    prog = subject.prog
    numbers = sorted([1, 2, subject.main, subject.sleeper, subject.zombie, subject.thread])
    assert [task.pid.value_() for task in for_each_task(prog)] == numbers
    assert [task.pid.value_() for task in for_each_task(prog, idle=True)] == [0, *numbers]
    processes = [task.tgid.value_() for task in list_for_each_entry(
        "struct task_struct", prog["init_task"].tasks.address_of_(), "tasks")]
    assert sorted(processes) == [nr for nr in numbers if nr != subject.thread]
    group = for_each_task_in_group(subject.task(), include_self=True)
    assert [task.pid.value_() for task in group] == [subject.main, subject.thread]
    assert sorted(thread.tid for thread in prog.threads()) == numbers


def test_a_task_is_found_and_is_who_it_says(subject: Subject) -> None:
    """Are names, states, relations and groups right?"""
    main, sleeper, zombie = (
        subject.task(nr) for nr in (subject.main, subject.sleeper, subject.zombie))
    assert main.value_() == subject.our_task().va
    assert main.comm.string_() == b"drgn_subject"
    assert [get_task_state(task) for task in (main, sleeper, zombie)] == [
        "S (sleeping)", "S (sleeping)", "Z (zombie)"]
    assert zombie.exit_code.value_() == 7 << 8
    children = list_for_each_entry("struct task_struct", main.children.address_of_(), "sibling")
    assert list(children) == [sleeper, zombie]
    assert main.real_parent.pid.value_() == 1
    assert not find_task(subject.prog, 399)
    assert validate_list_count_nodes(main.children.address_of_()) == 2
    kind = subject.prog["PIDTYPE_PGID"]
    members = hlist_for_each_entry(
        "struct task_struct", main.signal.pids[kind].tasks[kind].address_of_(), "pid_links[2]")
    assert {task.pid.value_() for task in members} == {
        1, subject.main, subject.sleeper, subject.zombie}


def test_numbers_are_in_the_idr(subject: Subject) -> None:
    """Does drgn's idr walk find every struct pid under its number?"""
    prog = subject.prog
    namespace = prog["init_pid_ns"]
    for number, entry in idr_for_each(namespace.idr.address_of_()):
        pid = cast("struct pid *", entry)
        assert pid == find_pid(prog, number)
        assert pid.numbers[0].nr == number
        assert pid.numbers[0].ns == namespace.address_of_()
        assert idr_find(namespace.idr.address_of_(), number) == entry
    assert pid_task(find_pid(prog, subject.thread), prog["PIDTYPE_TGID"]).value_() == 0
    assert namespace.child_reaper.pid.value_() == 1


def test_the_cpu_and_its_queue(subject: Subject) -> None:
    """While all sleep: is the idle task on the only CPU?"""
    prog = subject.prog
    assert list(for_each_online_cpu(prog)) == [0]
    assert cpu_curr(prog, 0) == prog["init_task"].address_of_()
    assert prog["runqueues"].curr == prog["runqueues"].idle
    assert task_cpu(subject.task()) == 0


# ---- address spaces, timers, files


def test_vmas_are_in_the_tree_and_in_the_list(subject: Subject) -> None:
    """Does the red-black tree, walked and checked by drgn, hold the VMAs of the list?"""
    mm = subject.task().mm
    listed = list(for_each_vma(mm))
    tree = validate_rbtree_inorder_for_each_entry(
        "struct vm_area_struct", mm.mm_rb.address_of_(), "vm_rb",
        lambda a, b: a.vm_start.value_() - b.vm_start.value_(), allow_equal=False)
    assert list(tree) == listed
    assert len(listed) == mm.map_count
    our = subject.our_task().mm
    assert our is not None
    vma_struct = structures()["vm_area_struct"]
    assert [vma.value_() for vma in listed] == [
        vma.va for vma in our_inorder(our.mm_rb, vma_struct, "vm_rb")]
    code = vma_find(mm, subject.code)
    assert code.vm_start <= subject.code < code.vm_end
    assert d_path(code.vm_file.f_path) == vma_name(code) == subject.path
    assert b"/tmp/drgn.data" in [vma_name(vma) for vma in listed if vma.vm_file]


def test_timers_are_in_a_tree(subject: Subject) -> None:
    """Are the three sleeps' timers there, the earlier one first?"""
    root = subject.prog["hrtimer_bases"].clock_base[0].active
    timers = list(rbtree_inorder_for_each_entry(
        "struct hrtimer", root.rb_root.address_of_(), "node"))
    owners = [container_of(timer, "struct task_struct", "sleep_timer").pid for timer in timers]
    assert [owner.value_() for owner in owners] == [
        subject.sleeper, subject.thread, subject.main]
    assert timers[0].node.address_ == root.rb_leftmost.value_()
    assert 999 < (timers[1].expires - timers[0].expires) / 10**9 < 1001


def test_dentries_are_in_hash_chains(subject: Subject) -> None:
    """Does a walk over the hash table find the program's files by name?"""
    prog = subject.prog
    table = prog["dentry_hashtable"]
    names = {}
    for i in range(1 << prog["d_hash_bits"].value_()):
        for dentry in hlist_for_each_entry("struct dentry", table + i, "d_hash"):
            names[dentry.d_name.name.string_()] = dentry
    assert {b"drgn.data", b"tmp", subject.path.rpartition(b"/")[2]} <= names.keys()
    assert names[b"drgn.data"].d_parent == names[b"tmp"]
    assert names[b"drgn.data"].d_inode.i_size == PAGES * PAGE_SIZE


def test_open_files_and_their_page_cache(subject: Subject) -> None:
    """Are the descriptors those of the program, and is what it wrote in the page cache?"""
    files = dict(for_each_file(subject.task()))
    assert {number: d_path(file.f_path) for number, file in files.items()} == {
        0: b"/dev/console", 1: b"/dev/console", 2: b"/dev/console", 3: b"/tmp/drgn.data"}
    pages = files[3].f_mapping.i_pages.address_of_()
    found = list(xa_for_each(pages))
    assert [index for index, _ in found] == list(range(PAGES))
    for index, entry in found:
        assert xa_load(pages, index) == entry
        assert subject.prog.read(entry, PAGE_SIZE) == b"%c" % (ord("A") + index % 26) * PAGE_SIZE
    assert xa_load(pages, PAGES).value_() == 0
    assert d_path(subject.task().fs.pwd) == b"/"


def test_frames_and_slabs(subject: Subject) -> None:
    """Does the struct page of a task's frame say which slab cache it belongs to?"""
    prog, task = subject.prog, subject.task()
    page = virt_to_page(prog, task)
    assert page_to_pfn(page) == virt_to_phys(prog, task).value_() // PAGE_SIZE
    assert page_to_virt(page).value_() == task.value_() & ~(PAGE_SIZE - 1)
    cache = find_slab_cache(prog, "task_struct")
    page = compound_head(page)
    assert page.flags & (1 << prog["PG_slab"])
    assert page.slab_cache == cache
    assert cache in list(for_each_slab_cache(prog))


# ---- a machine that runs


def test_a_program_sees_the_machine_as_it_is(session: Session) -> None:
    """Does an object that was made before a run read what is there after it?"""
    prog = program(session.kernel.k)
    forks, task = prog["total_forks"], prog["init_pid_ns"].child_reaper
    before = forks.value_()
    assert session.run(["/bin/hello"]).status == 0
    assert forks.value_() == before + 1
    assert find_task(prog, 1) == task
    assert [t.pid.value_() for t in for_each_task(prog)] == [1, 2]
