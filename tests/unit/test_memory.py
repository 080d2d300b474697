"""RAM: what is kept of it comes back, whatever was stored meanwhile."""

from __future__ import annotations

import builtins
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from emulator.arch.paging import PAGE_SIZE
from emulator.memory import SPAN, Pages, Ram, fingerprint

SIZE = SPAN + SPAN // 2
# The ends of a span and of RAM, neighbours, and a page of its own.
PAGES = (0, 1, 2, 5, SPAN // PAGE_SIZE - 1, SPAN // PAGE_SIZE, SIZE // PAGE_SIZE - 1)


class Keeping(RuleBasedStateMachine):
    """Two pieces of RAM that exchange what they have kept, and a model of each."""

    @initialize()
    def make(self) -> None:
        self.rams = [Ram(SIZE), Ram(SIZE)]
        self.models: list[dict[int, int]] = [{}, {}]
        self.kept: list[tuple[Pages, dict[int, int]]] = [({}, {})]

    @rule(which=st.integers(0, 1), page=st.sampled_from(PAGES), value=st.integers(0, 3))
    def store(self, which: int, page: int, value: int) -> None:
        self.rams[which].u8[page * PAGE_SIZE + 7] = value
        self.models[which][page] = value

    @rule(which=st.integers(0, 1), page=st.sampled_from(PAGES))
    def load(self, which: int, page: int) -> None:
        assert self.rams[which].u8[page * PAGE_SIZE + 7] == self.models[which].get(page, 0)

    @rule(which=st.integers(0, 1))
    def keep(self, which: int) -> None:
        self.kept.append((self.rams[which].keep(), dict(self.models[which])))

    @rule(which=st.integers(0, 1), data=st.data())
    def take_back(self, which: int, data: st.DataObject) -> None:
        pages, model = data.draw(st.sampled_from(self.kept))
        before = {page: self.models[which].get(page, 0) for page in PAGES}
        changed = self.rams[which].take_back(pages)
        self.models[which] = dict(model)
        for page, value in before.items():
            if value != model.get(page, 0):
                assert any(start <= page * PAGE_SIZE < end for start, end in changed)

    @invariant()
    def kept_is_what_it_was(self) -> None:
        for pages, model in self.kept:
            assert {pa // PAGE_SIZE: page[7] for pa, page in pages.items()} == {
                page: value for page, value in model.items() if value}

    @invariant()
    def ram_is_its_model(self) -> None:
        for ram, model in zip(self.rams, self.models, strict=True):
            assert [pa // PAGE_SIZE for pa in ram.resident_pages()] == sorted(
                page for page, value in model.items() if value)

    def teardown(self) -> None:
        for ram in getattr(self, "rams", ()):
            ram.close()


TestKeeping = Keeping.TestCase
TestKeeping.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)


def test_what_has_not_changed_is_shared() -> None:
    """Do two of RAM's contents share the pages that are equal, also those written anew?"""
    ram = Ram(SIZE)
    ram.u8[0] = ram.u8[PAGE_SIZE] = ram.u8[2 * PAGE_SIZE] = 1
    first = ram.keep()
    ram.u8[0], ram.u8[PAGE_SIZE] = 2, 1
    second = ram.keep()
    assert [first[pa] is second[pa] for pa in sorted(first)] == [False, True, True]


def test_untouched_memory_costs_nothing() -> None:
    """Does a large RAM in which little was stored keep little?"""
    ram = Ram(1 << 30)
    ram.u8[512 << 20] = 1
    assert list(ram.keep()) == [512 << 20]
    assert ram.u8[0] == 0
    assert ram.take_back({}) == [(0, PAGE_SIZE), (512 << 20, (512 << 20) + PAGE_SIZE)]
    assert list(ram.resident_pages()) == []


def test_a_host_without_page_maps_keeps_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without /proc, is everything compared, to the same result?"""
    real = builtins.open

    def no_proc(file: Any, *arguments: Any, **options: Any) -> Any:
        if str(file).startswith("/proc"):
            raise FileNotFoundError(file)
        return real(file, *arguments, **options)

    ram = Ram(SIZE)
    monkeypatch.setattr(builtins, "open", no_proc)
    ram.u8[9] = 1
    empty, first = Ram(SIZE).keep(), ram.keep()
    ram.u8[9], ram.u8[SPAN] = 2, 3
    digest, second = fingerprint(ram), ram.keep()
    ram.take_back(first)
    assert (ram.u8[9], ram.u8[SPAN]) == (1, 0)
    ram.take_back(second)
    assert fingerprint(ram) == digest
    ram.take_back(empty)
    assert not list(ram.resident_pages())
