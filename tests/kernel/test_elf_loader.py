"""Whatever file is offered as a program, the kernel answers and the machine goes on."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guest_kernel.layout.init import RUN_RUNNING, init_data
from ringlet.root import ASM
from ringlet.session import ProgramError, Session
from tests.guest import run_native
from userland.assembler import assemble_program

HELLO = assemble_program(os.path.join(ASM, "hello.asm"))
EHDR, PHDR = 64, 56
INTERESTING = [0, 1, 2, 3, 7, 0xFF, 0x1000, 0xFFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF,
               0x400000, 0x7FFFFFFFF000, 0x800000000000, 0xFFFF888000000000,
               0xFFFFFFFF80100000, 0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF]


def _run(session: Session, image: bytes) -> int:
    """Run ``image``; return its status, or 126 if the kernel refuses it."""
    session.install("/bin/mutant", image)
    try:
        return session.run(["/bin/mutant"], timeout=1).status
    except ProgramError as error:
        return error.status


def test_a_truncated_program_is_refused_or_dies(session: Session) -> None:
    """Is each prefix of a program answered with ENOEXEC or a signal?"""
    for length in [*range(0, EHDR + 4 * PHDR + 2, 3), 4096, len(HELLO) - 1]:
        status = _run(session, HELLO[:length])
        assert status in (0, 126) or status > 128, length
    assert _run(session, HELLO) == 0


@settings(max_examples=60, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(
    st.tuples(st.integers(4, EHDR + 5 * PHDR - 8), st.sampled_from([1, 2, 4, 8]),
              st.one_of(st.sampled_from(INTERESTING), st.integers(0, 2**64 - 1))),
    min_size=1, max_size=4))
def test_mutated_headers_never_disturb_the_kernel(changes: list[tuple[int, int, int]]) -> None:
    """Does a changed header end in anything but ENOEXEC, ENOMEM, a status or a signal?"""
    image = bytearray(HELLO)
    for offset, size, value in changes:
        image[offset : offset + size] = (value & (1 << 8 * size) - 1).to_bytes(size, "little")
    with Session(seed=1, mem=32 << 20) as session:
        _run(session, bytes(image))
        if session.kernel.k.data(init_data).state != RUN_RUNNING:  # else it loops for ever
            assert session.run(["/bin/exit42"]).status == 42


@pytest.mark.parametrize(("offset", "fmt", "value"), [
    (16, "<H", 1),  # ET_REL
    (18, "<H", 40),  # EM_ARM
    (54, "<H", 32),  # e_phentsize
    (56, "<H", 0),  # e_phnum
    (32, "<Q", 1 << 40),  # e_phoff
])
def test_foreign_or_absurd_header_is_enoexec(session: Session, offset: int, fmt: str,
                                             value: int) -> None:
    """Is a program for another machine, or with an absurd table, refused as one?"""
    image = bytearray(HELLO)
    struct.pack_into(fmt, image, offset, value)
    session.install("/bin/mutant", bytes(image))
    with pytest.raises(ProgramError, match=r"^/bin/mutant: Exec format error$"):
        session.run(["/bin/mutant"])


@pytest.mark.native
@pytest.mark.parametrize("elf_class", [1, 3])
def test_the_class_in_the_identification_does_not_matter(session: Session, elf_class: int,
                                                         tmp_path: Path) -> None:
    """Linux looks at the machine, not at EI_CLASS; does the guest run such a program too?"""
    image = bytearray(HELLO)
    image[4] = elf_class
    program = tmp_path / "hello"
    program.write_bytes(image)
    program.chmod(0o755)
    native = run_native([str(program)])
    session.install("/bin/mutant", bytes(image))
    result = session.run(["/bin/mutant"])
    assert (result.status, result.output) == native
