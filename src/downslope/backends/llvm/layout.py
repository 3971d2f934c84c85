"""What a kernel is made for, and the pieces of code that every kernel has."""

from __future__ import annotations

from dataclasses import dataclass

from ...compiler.plan import Plan
from ..storage import STORAGES, Kept, random_numbers
from .block import Block
from .kept import KIND, MAPS, Place, Random


@dataclass(frozen=True)
class Layout:
    """What a kernel is made for: a plan, and how each of its tensors is kept."""

    plan: Plan
    kept: Kept

    @property
    def real(self) -> str:
        return "double" if self.kept[0] == "float64" else "float"

    @property
    def tensors(self) -> list[str]:
        """Those that the pass touches."""
        return list(dict.fromkeys([*self.plan.reads, *self.plan.writes]))

    def storage(self, tensor: str) -> str:
        return self.kept[self.plan.tensors.index(tensor)]

    def number(self, tensor: str) -> int:
        return self.plan.tensors.index(tensor)

    @property
    def blocked(self) -> bool:
        return any(self.storage(t) in MAPS for t in self.tensors)

    @property
    def coded(self) -> list[str]:
        """What is written in 8 bits."""
        return [t for t in self.plan.writes if self.storage(t) in MAPS]

    @property
    def random(self) -> dict[str, int]:
        return random_numbers(self.plan.tensors, self.kept)


def spread(name: str, kind: str, value: str, lanes: int) -> list[str]:
    """A scalar in every lane of a vector."""
    return [
        f"  %{name}.one = insertelement <{lanes} x {kind}> poison, {kind} {value}, i64 0",
        f"  %{name}.v = shufflevector <{lanes} x {kind}> %{name}.one, <{lanes} x {kind}> poison, "
        f"<{lanes} x i32> zeroinitializer",
    ]


def at(tensor: str, suffix: str = "") -> str:
    """Where a tensor begins; names that are not ASCII are quoted."""
    name = f"at.{tensor}{suffix}"
    return f"%{name}" if name.isascii() else f'%"{name}"'


def place(of: Layout, tensor: str, block: Block, random: Random) -> Place:
    """Where the elements of the loop's turn lie."""
    storage = of.storage(tensor)
    found = block.let(f"getelementptr {KIND[storage]}, ptr {at(tensor)}, i64 {random.index}")
    beside = STORAGES[storage].beside
    if storage in MAPS:
        near = f"%scale{of.number(tensor)}.{'s' if block.lanes == 1 else 'v'}"
    elif beside is not None:
        near = block.let(f"getelementptr i16, ptr {at(f'{tensor}_{beside.suffix}')}, i64 {random.index}")
    else:
        near = ""
    return Place(tensor, found, near, random)


def loop(
    block: Block,
    first: str,
    last: str,
    then: str,
    before: str = "entry",
    carried: dict[str, tuple[str, str]] | None = None,
) -> list[str]:
    """The lines of a block for each turn from `first` to `last`; `carried` are values that go from turn to turn, by
    name: their type and what they start at."""
    p = block.prefix
    return [
        f"{p}.test:",
        f"  %{p}.i = phi i64 [ {first}, %{before} ], [ %{p}.next, %{p}.loop ]",
        *(
            f"  %{p}.{name} = phi {kind} [ {start}, %{before} ], [ %{p}.{name}.next, %{p}.loop ]"
            for name, (kind, start) in (carried or {}).items()
        ),
        f"  %{p}.more = icmp slt i64 %{p}.i, {last}",
        f"  br i1 %{p}.more, label %{p}.loop, label %{then}",
        f"{p}.loop:",
        *block.lines,
        f"  %{p}.next = add i64 %{p}.i, {block.lanes}",
        f"  br label %{p}.test",
    ]
