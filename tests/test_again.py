"""The run made again: which samples it takes, that it goes as the run went, and that nothing of the run is touched."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import downslope
from downslope.diagnose.again import FOLDS, Again, Made, Maker, Samples
from downslope.diagnose.watch import Watch


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def blobs(count: int = 400) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    y = torch.randint(4, (count,), generator=generator)
    return torch.eye(4)[y] @ torch.randn(4, 6, generator=generator) + torch.randn(count, 6, generator=generator), y


def watched(
    optimizer: Callable[[Any], torch.optim.Optimizer] = lambda p: torch.optim.SGD(p, 0.1),
    model: Callable[[], nn.Module] = lambda: nn.Linear(6, 4),
    epochs: int = 4,
    batch: int = 16,
    scheduler: Callable[[Any], Any] | None = None,
    micro: int = 1,
) -> tuple[nn.Module, torch.optim.Optimizer, Watch]:
    torch.manual_seed(0)
    x, y = blobs()
    network = model()
    rule = optimizer(network.parameters())
    schedule = scheduler(rule) if scheduler else None
    seen = downslope.watch(network, rule, budget=1.0)
    for _ in range(epochs):
        network.train()
        for rows in torch.randperm(len(x)).split(batch):
            rule.zero_grad()
            for part in rows.chunk(micro):
                (F.cross_entropy(network(x[part]), y[part]) / micro).backward()
            rule.step()
            if schedule is not None:
                schedule.step()
        network.eval()
    return network, rule, seen


def maker(seen: Watch, batches: float = 1.0) -> Maker:
    seen._state()
    return Maker(seen._follower.trial, seen.signals.lr, batches)


def test_no_sample_is_in_two_folds_and_none_is_there_twice() -> None:
    _, _, seen = watched()
    samples = Samples.of(seen._follower.trial)
    assert samples is not None and samples.all and samples.count == 400  # 4 epochs were drawn from 400
    places = [i for fold in samples.folds for i in fold]
    rows = samples.whole.tensors[0][places]
    assert len(samples.folds) == FOLDS and len(torch.unique(rows, dim=0)) == len(rows) == 400
    held = torch.cat([part.tensors[0] for part in samples.parts(1, True, 16)])
    drawn = torch.cat([batch.tensors[0] for batch in samples.draw(1, 16, 50)])
    assert len(held) == len(samples.folds[1])
    assert not (drawn[:, None] == held[None]).all(-1).any()


def test_of_data_that_came_once_no_sample_is_taken_twice() -> None:
    _, _, seen = watched(epochs=1, batch=8)
    made = maker(seen)
    assert made.samples is not None and not made.samples.all
    assert made.steps == int(0.8 * 400 / 8)
    found = made((1.0,))
    assert found is not None and not found.whole


def test_it_goes_as_the_run_went() -> None:
    """With the run's schedule, from its first weights and its rule's first states, in the modes that it trained in."""
    rates: list[float] = []

    class Rule(torch.optim.Optimizer):
        """Adagrad, which has states from its making on."""

        def __init__(self, params: Any, lr: float):
            super().__init__(params, {"lr": lr})
            for p in self.param_groups[0]["params"]:
                self.state[p] = {"step": torch.zeros(()), "sum": torch.full_like(p, 0.1)}

        @torch.no_grad()
        def step(self, closure: Any = None) -> None:  # type: ignore[override]
            rates.append(self.param_groups[0]["lr"])
            for p in self.param_groups[0]["params"]:
                self.state[p]["step"] += 1
                self.state[p]["sum"] += p.grad.square()
                p.sub_(p.grad / self.state[p]["sum"].sqrt(), alpha=rates[-1])

    modes: list[bool] = []

    class Net(nn.Linear):
        def forward(self, input: torch.Tensor) -> torch.Tensor:
            if torch.is_grad_enabled():
                modes.append(self.training)
            return super().forward(input)

    warm = lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda t: min(1.0, (t + 1) / 30))  # noqa: E731
    model, _, seen = watched(lambda p: Rule(p, 0.1), lambda: Net(6, 4), scheduler=warm)
    assert not model.training  # scored last
    run = list(rates)
    rates.clear()
    modes.clear()
    found = maker(seen)((1.0, 0.1))
    assert found is not None and found.whole and found.steps == len(run) == 100
    folds = len(found.runs[1.0])
    assert rates[: len(run)] == pytest.approx(run) and len(rates) == 2 * folds * len(run)
    assert rates[-len(run) :] == pytest.approx([0.1 * lr for lr in run])
    assert all(modes) and modes
    assert abs(found.trained(1.0) - seen.signals.end()) < 0.1 < found.trained(0.1) - found.trained(1.0)


def test_the_rate_can_be_held_where_it_was_highest() -> None:
    gone = lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.5)  # noqa: E731
    _, _, seen = watched(scheduler=gone)
    make = maker(seen)
    own, held = make((1.0,)), make((1.0,), True)
    assert own is not None and held is not None and own is not held
    assert held.held(1.0) < own.held(1.0) - 0.1


def test_a_step_takes_as_many_batches_as_the_run_s_did() -> None:
    _, _, seen = watched(micro=4)
    s = seen.signals
    each = s.counts["backwards"] / s.counts["seen_backward"]
    made = maker(seen, each)
    assert each == 4 and made.samples is not None and made.samples.batch == 4 and made.size == 16


def test_the_run_is_left_as_it_is() -> None:
    model, rule, seen = watched(
        lambda p: torch.optim.Adam(p, 1e-2), lambda: nn.Sequential(nn.Linear(6, 4), nn.Dropout())
    )
    before = [t.clone() for t in (*model.state_dict().values(), torch.get_rng_state())]
    states = {k: v.clone() for state in rule.state.values() for k, v in state.items()}
    assert maker(seen)((1.0, 10.0)) is not None
    assert all(torch.equal(a, b) for a, b in zip(before, (*model.state_dict().values(), torch.get_rng_state())))
    assert all(torch.equal(states[k], v) for k, v in list(rule.state.values())[-1].items())
    assert not model.training and rule.param_groups[0]["lr"] == 1e-2


class Text(nn.Module):
    """Scores of each place in a text, one behind the other: texts first, or places first."""

    def __init__(self, texts_first: bool):
        super().__init__()
        self.embed, self.head, self.texts_first = nn.Embedding(9, 8), nn.Linear(8, 9), texts_first

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores = self.head(self.embed(x))
        return (scores if self.texts_first else scores.transpose(0, 1)).flatten(0, 1)


@pytest.mark.parametrize("texts_first", [True, False])
def test_texts_are_told_apart_where_their_targets_stand_one_behind_the_other(texts_first: bool) -> None:
    torch.manual_seed(0)
    x = torch.randint(9, (60, 5))
    y = (x + 1) % 9
    model = Text(texts_first)
    rule = torch.optim.Adam(model.parameters(), 1e-2)
    seen = downslope.watch(model, rule, budget=1.0)
    for rows in torch.randint(60, (60, 12)):
        rule.zero_grad()
        targets = y[rows] if texts_first else y[rows].T
        F.cross_entropy(model(x[rows]), targets.reshape(-1)).backward()
        rule.step()
    samples = Samples.of(seen._follower.trial)
    if not texts_first:
        assert samples is None  # a text's targets cannot be found
        return
    assert samples is not None
    batch = next(samples.draw(0, 8, 1))
    assert torch.equal(batch.targets.view(8, 5), (batch.tensors[0] + 1) % 9)


def test_gains_count_where_all_folds_agree_and_something_was_learned() -> None:
    def again(own: list[float], low: list[float], start: float = 2.0) -> float:
        runs = {1.0: [Made(x, x, x) for x in own], 0.1: [Made(x, x, x) for x in low]}
        return Again(100, True, start, runs).gain(0.1)

    assert again([1.5, 1.7], [0.5, 0.7]) == pytest.approx(1.0 / 1.4)
    assert math.isnan(again([1.5, 0.4], [0.5, 0.7]))  # one is higher
    assert math.isnan(again([9.0, 9.0], [1.99, 1.99]))  # nothing was learned, only less harm done
    assert again([1.95, 1.95], [1.9, 1.9]) == pytest.approx(0.05 / 0.4)  # a short way is not made much of
    assert again([math.inf, math.inf], [0.5, 0.7]) == math.inf
