"""Spikes of the loss: each cause planted, replayed and ranked first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import downslope
from downslope.diagnose import forensics
from downslope.diagnose.finding import Finding
from downslope.diagnose.probes import ring
from downslope.diagnose.watch import Watch

STEPS, AT = 220, 150


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def targets(x: torch.Tensor) -> torch.Tensor:
    return (x[:, :1] - x[:, 1:2]).tanh() + 0.1 * x[:, 2:3]


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(8, 32), nn.Tanh(), nn.Dropout(0.05), nn.Linear(32, 1))


class Normed(nn.Module):
    """Divides by a norm that is summed in half precision: no more than 65,504. Its scale is no matter otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(8, 64), nn.Linear(64, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.first(x).half()
        size = (h * h).sum(-1, keepdim=True)
        return self.last(8 * h.float() / size.float().sqrt())


def run(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    inputs: Callable[[int, torch.Tensor], torch.Tensor] = lambda i, x: x,
    spoil: Callable[[int, Any], None] = lambda i, o: None,
    clip: float | None = None,
    parts: int = 1,
    wanted: Callable[[torch.Tensor], torch.Tensor] = targets,
    see: Callable[[Watch], Any] | None = None,
) -> Finding | None:
    generator = torch.Generator().manual_seed(1)
    with downslope.watch(model, optimizer, budget=1.0) as seen:
        for i in range(STEPS):
            optimizer.zero_grad()
            spoil(i, optimizer)
            for _ in range(parts):
                x = torch.randn(64, 8, generator=generator)
                y = wanted(x)
                (F.mse_loss(model(inputs(i, x)), y) / parts).backward()
            if clip is not None:
                nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
        if see is not None:
            see(seen)
        return next((f for f in seen.report() if f.symptom == "loss-spikes"), None)


def bad_batch(**more: Any) -> Finding | None:
    def inputs(i: int, x: torch.Tensor) -> torch.Tensor:
        if i == AT:
            x = x.clone()
            x[[7, 40]] *= -300.0
        return x

    model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 1))
    return run(model, torch.optim.Adam(model.parameters(), 1e-2), inputs, **more)


def stale(**more: Any) -> Finding | None:
    """A feature that was never there is there from now on: its second moment is zero."""

    def inputs(i: int, x: torch.Tensor) -> torch.Tensor:
        x = x.clone()
        x[:, 7] = x[:, 7] * 60.0 if i >= AT - 2 else 0.0
        return x

    model = nn.Linear(8, 1)
    with torch.no_grad():
        model.weight[:, 7] = 0.0
    return run(model, torch.optim.Adam(model.parameters(), 2e-2), inputs, wanted=lambda x: x[:, :1] * 0.1, **more)


def at_the_edge(high: float = 1.6, **more: Any) -> Finding | None:
    def spoil(i: int, optimizer: Any) -> None:
        optimizer.param_groups[0]["lr"] = high if AT <= i < AT + 4 else 0.1

    model = mlp()
    return run(model, torch.optim.SGD(model.parameters(), 0.1), spoil=spoil, **more)


def overflow(**more: Any) -> Finding | None:
    model = Normed()
    grown = lambda i, x: x * 300.0 if i == AT else x  # noqa: E731
    return run(model, torch.optim.Adam(model.parameters(), 1e-2), grown, wanted=lambda x: x[:, :1].sign() * 2, **more)


PLANTED = {
    "bad batch": bad_batch,
    "stale second moment": stale,
    "learning rate": at_the_edge,
    "overflow": overflow,
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What every replay has found."""
    found: list[Any] = []

    def inquire(*args: Any) -> Any:
        found.append(forensics.inquire(*args))
        return found[-1]

    monkeypatch.setattr("downslope.diagnose.watch.inquire", inquire)
    return found


@pytest.mark.parametrize("cause", PLANTED)
def test_a_planted_cause_is_ranked_first(cause: str, asked: list[Any]) -> None:
    torch.manual_seed(0)
    found = PLANTED[cause]()
    assert found is not None, "no spike was seen"
    assert isinstance(asked[-1], forensics.Inquest), asked
    assert asked[-1].causes[0].name == cause and found.cause == asked[-1].causes[0].words
    assert found.tried is not None and found.tried.startswith("replayed") and found.confidence == 0.9
    assert len(found.evidence["batches"][0]) == 8
    if cause == "bad batch":
        assert "rows 7, 40" in found.cause or "rows 40, 7" in found.cause


def test_accumulated_and_clipped_steps_are_replayed(asked: list[Any]) -> None:
    torch.manual_seed(0)
    found = at_the_edge(high=6.0, parts=2, clip=0.5)
    assert isinstance(asked[-1], forensics.Inquest) and found is not None
    assert asked[-1].causes[0].name == "learning rate"


def test_a_loop_that_does_more_than_is_seen_is_not_judged_by_a_replay(asked: list[Any]) -> None:
    """It moves the weights by itself; or it writes over its batches."""
    torch.manual_seed(0)
    model = mlp()

    def spoil(i: int, optimizer: Any) -> None:
        optimizer.param_groups[0]["lr"] = 1.6 if AT <= i < AT + 4 else 0.1
        with torch.no_grad():
            model[0].weight += 0.005 * torch.randn(32, 8)  # type: ignore[operator]

    found = run(model, torch.optim.SGD(model.parameters(), 0.1), spoil=spoil)
    assert found is not None and "not replayed: a replay does not give the same losses" in str(found.tried)

    held = torch.zeros(64, 8)
    found = bad_batch_in(lambda i, x: held.copy_(x * (-300.0 if i == AT else 1.0)))
    assert found is not None and "has written over its batches" in str(found.tried)


def bad_batch_in(inputs: Callable[[int, torch.Tensor], torch.Tensor]) -> Finding | None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 1))
    return run(model, torch.optim.Adam(model.parameters(), 1e-2), inputs)


def test_a_replay_leaves_the_run_bit_for_bit() -> None:
    torch.manual_seed(0)
    model = mlp()
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    before: list[Any] = []

    def everything() -> list[torch.Tensor]:
        held = [t for state in optimizer.state.values() for t in state.values() if isinstance(t, torch.Tensor)]
        grads = [p.grad for p in model.parameters() if p.grad is not None]
        return [t.clone() for t in (*model.state_dict().values(), *held, *grads, torch.get_rng_state())]

    def spoil(i: int, o: Any) -> None:
        o.param_groups[0]["lr"] = 0.5 if AT <= i < AT + 2 else 1e-2

    found = run(model, optimizer, spoil=spoil, see=lambda seen: before.extend(everything()))
    assert found is not None and str(found.tried).startswith("replayed")
    assert model.training and all(torch.equal(a, b) for a, b in zip(before, everything(), strict=True))


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[ring.Ring] = []
    model = mlp()
    run(model, torch.optim.SGD(model.parameters(), 0.1), see=lambda w: seen.append(w._follower.ring))
    assert len(seen[0].copies) <= 2 and ring.STRETCH <= len(seen[0].entries) <= 2 * ring.STRETCH
    monkeypatch.setattr(ring, "BYTES", 5 * 64 * 8 * 4)
    run(model, torch.optim.SGD(model.parameters(), 0.1), see=lambda w: seen.append(w._follower.ring))
    assert len(seen[1].entries) == 5
    monkeypatch.setattr(ring, "STATES", 100)
    torch.manual_seed(0)
    found = bad_batch()
    assert found is not None and found.tried == "not replayed: a copy of the model is too large"
    assert "bad batch" in found.cause  # still the likeliest by what was seen
