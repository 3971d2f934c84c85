"""Trials that train together: each as it is alone, and those that cannot are told why.

Tolerance: batched operations add in another order, so a loss may be off in the last bits, and training lets that grow;
over these few steps no loss of a curve is off by more than 2e-4 of itself, no metric by more than two samples."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from downslope.compiler.plan import program
from downslope.errors import RunError
from downslope.optim import OPTIMIZERS
from downslope.optim.stacked import Stacked
from downslope.race.alone import run_alone
from downslope.race.batched import can_batch, check, run, run_batch, size, way
from downslope.race.common import Common
from downslope.race.trial import Record, Trial, settings
from downslope.training import Data, Task
from downslope.training.together.model import StackedModel, Stream

SAMPLES = (72, 40, 40)
BATCH = 16  # the last batch of an epoch has 8
LOSS = 2e-4


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    check._known.clear()
    yield
    torch.set_num_threads(before)


def pictures(*shape: int) -> Callable[[], list[tuple[torch.Tensor, torch.Tensor]]]:
    """Noisy classes that can be learned, of inputs of a shape."""

    def data() -> list[tuple[torch.Tensor, torch.Tensor]]:
        generator = torch.Generator().manual_seed(5)
        labels = torch.randint(0, 4, (sum(SAMPLES),), generator=generator)
        centres = torch.randn(4, *shape, generator=generator)
        inputs = centres[labels] + torch.randn(sum(SAMPLES), *shape, generator=generator)
        return list(zip(inputs.split(SAMPLES), labels.split(SAMPLES)))

    return data


def accuracy(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return (output.argmax(1) == target).double().mean()


class Tied(nn.Module):
    """Names to names, with one matrix for both."""

    def __init__(self) -> None:
        super().__init__()
        self.names, self.hidden = nn.Embedding(4, 6), nn.Linear(6, 6)
        self.head = nn.Linear(6, 4, bias=False)
        self.head.weight = self.names.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.tanh(self.hidden(self.names(x.abs().long().clamp(max=3)).mean(1))))


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.RNNBase] = nn.GRU) -> None:
        super().__init__()
        self.memory, self.head = kind(3, 6, batch_first=True), nn.Linear(6, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.memory(x)[0][:, -1])


class Attention(nn.Module):
    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.inward = nn.Linear(3, 8)
        self.block = nn.TransformerEncoderLayer(8, 2, 16, dropout=dropout, batch_first=True)
        self.head = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.block(self.inward(x)).mean(1))


def mlp() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 9), nn.ReLU(), nn.Linear(9, 4))


def convolutions(*between: nn.Module, norm: bool = True) -> nn.Module:
    """A bias before a batch norm would have a gradient that is rounding alone, which Adam makes whole steps of."""
    norms = [nn.BatchNorm2d(5)] if norm else []
    first = [nn.Conv2d(1, 5, 3, padding=1, bias=not norm), *norms, nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*first, *between, nn.Flatten(), nn.Linear(20, 4))


def frozen() -> nn.Module:
    made = nn.Sequential(nn.Flatten(), nn.Linear(12, 9), nn.Tanh(), nn.Linear(9, 4))
    made[1].weight.requires_grad_(False)
    return made


# Each with the shape of its inputs.
NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "mlp": (mlp, (12,)),
    "convolutions, batch norm": (convolutions, (1, 4, 4)),
    "convolutions, dropout": (lambda: convolutions(nn.Dropout2d(0.3), norm=False), (1, 4, 4)),
    "group norm": (
        lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.GroupNorm(2, 4), nn.Flatten(), nn.Linear(16, 4)),
        (1, 4, 4),
    ),
    "gru": (Recurrent, (4, 3)),
    "lstm": (lambda: Recurrent(nn.LSTM), (4, 3)),
    "attention, layer norm": (Attention, (4, 3)),
    "attention, dropout": (lambda: Attention(0.2), (4, 3)),
    "tied weights": (Tied, (5,)),
    "a frozen layer": (frozen, (12,)),
}


def task_of(network: Callable[..., nn.Module], shape: tuple[int, ...], **constants: Any) -> Task:
    return Task("made up", network, pictures(*shape), nn.functional.cross_entropy, accuracy, **constants)


def trials(
    optimizer: str = "adam", *given: dict[str, Any], seeds: tuple[int, ...] = (0,), epochs: int = 2
) -> list[Trial]:
    given = given or ({"lr": 0.003}, {"lr": 0.01, "betas[0]": 0.8}, {"lr": 0.03, "weight_decay": 0.1})
    return [Trial(optimizer, settings(each), seed, epochs) for seed in seeds for each in given]


def together(task: Task, wanted: list[Trial], **common: Any) -> tuple[list[Record], list[Record]]:
    """The records of the trials together, and alone."""
    data, shared = task.make_data(), Common(**{"batch": BATCH, **common})
    found = {Trial.from_json(r["trial"]): r for r in run_batch(task, data, shared, wanted)}
    assert found.keys() == set(wanted)
    return [found[trial] for trial in wanted], [run_alone(task, data, shared, trial) for trial in wanted]


def assert_same(ours: list[Record], theirs: list[Record]) -> None:
    for a, b in zip(ours, theirs, strict=True):
        assert (a["how"], b["how"]) == ("batched", "alone")
        assert a.keys() == b.keys() and a["curve"].keys() == b["curve"].keys()
        for name in ("trial", "diverged", "diverged_at_step", "steps", "state_bytes"):
            assert a[name] == b[name], name
        for name in ("train_loss", "validation_loss"):
            assert a["curve"][name] == pytest.approx(b["curve"][name], rel=LOSS, abs=1e-6), name
        assert a["curve"]["step"] == b["curve"]["step"]
        assert a["curve"]["validation_metric"] == pytest.approx(b["curve"]["validation_metric"], abs=2.1 / SAMPLES[1])
        for name in ("validation_loss", "test_loss"):
            assert a[name] == (None if b[name] is None else pytest.approx(b[name], rel=LOSS)), name
        assert a["seconds"] > 0 or a["diverged"]


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_a_trial_together_is_the_trial_alone(network: Any) -> None:
    task = task_of(*network)
    ours, theirs = together(task, trials(seeds=(0, 7)))
    assert_same(ours, theirs)
    losses = [r["curve"]["train_loss"][-1] for r in theirs]
    assert len({round(loss, 4) for loss in losses}) == len(losses), "trials that do not differ show nothing"


VARIED: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "sgd, with and without momentum": (
        "sgd",
        [{"lr": 0.1}, {"lr": 0.03, "momentum": 0.9}, {"lr": 0.1, "nesterov": True, "momentum": 0.5}],
    ),
    "adamw, decay": ("adamw", [{"lr": 0.01}, {"lr": 0.01, "weight_decay": 0.5}]),
    "clipped by their own norms": ("sgd", [{"lr": 0.5, "max_norm": 0.1}, {"lr": 0.5, "max_norm": 1.0}, {"lr": 0.1}]),
    "averaged": ("adam", [{"lr": 0.01, "ema": 0.9}, {"lr": 0.01}]),
    "schedules": ("adam", [{"lr": 0.01, "schedule": "wsd"}, {"lr": 0.01, "schedule": "constant"}, {"lr": 0.01}]),
    "whole tensors": ("lamb", [{"lr": 0.01}, {"lr": 0.03, "weight_decay": 0.1}, {"lr": 0.02, "ema": 0.9}]),
    "lion": ("lion", [{"lr": 0.001}, {"lr": 0.003, "betas[1]": 0.9}]),
}


@pytest.mark.parametrize("varied", VARIED.values(), ids=VARIED)
def test_trials_differ_in_whatever_is_a_number(varied: tuple[str, list[dict[str, Any]]]) -> None:
    optimizer, given = varied
    ours, theirs = together(task_of(mlp, (12,)), trials(optimizer, *given), warmup=0.2)
    assert_same(ours, theirs)


def whole() -> list[str]:
    """The rules that look at whole tensors, and are not for matrices alone."""
    chosen = {name: program(made.choose({**made.setting_defaults})) for name, made in OPTIMIZERS.items()}
    return [name for name, found in chosen.items() if found.whole and not found.needs_matrices]


@pytest.mark.parametrize("optimizer", whole())
def test_a_rule_that_looks_at_whole_tensors_sees_one_trials(optimizer: str) -> None:
    ours, theirs = together(task_of(mlp, (12,)), trials(optimizer, {"lr": 0.01}, {"lr": 0.02}), warmup=0.2)
    assert_same(ours, theirs)
    assert theirs[0]["curve"]["train_loss"] != theirs[1]["curve"]["train_loss"]


def test_shorter_trials_finish_first_and_leave() -> None:
    wanted = [Trial("adam", settings({"lr": 0.01}), 0, epochs) for epochs in (3, 1, 2)]
    task, shared = task_of(convolutions, (1, 4, 4)), Common(BATCH)
    data = task.make_data()
    found = list(run_batch(task, data, shared, wanted))
    assert [r["trial"]["epochs"] for r in found] == [1, 2, 3]
    assert_same(found, [run_alone(task, data, shared, wanted[i]) for i in (1, 2, 0)])


def scaled(scale: float = 1.0, width: int = 9) -> nn.Module:
    made = nn.Sequential(nn.Flatten(), nn.Linear(12, width), nn.ReLU(), nn.Linear(width, 4))
    with torch.no_grad():
        made[1].weight *= scale
    return made


def test_settings_of_the_task_may_change_first_weights_and_nothing_else() -> None:
    task, shared = task_of(scaled, (12,)), Common(BATCH)
    wanted = trials("adam", {"lr": 0.01, "task.scale": 0.1}, {"lr": 0.01, "task.scale": 3.0})
    assert_same(*together(task, wanted))
    wider = trials("adam", {"lr": 0.01, "task.width": 9}, {"lr": 0.01, "task.width": 10})
    assert "other shapes" in way(task, task.make_data(), shared, wider).why


def drop(p: float = 0.5) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 9), nn.Dropout(p), nn.Linear(9, 4))


def test_a_setting_that_changes_the_network_itself_keeps_trials_apart() -> None:
    task = task_of(drop, (12,))
    wanted = trials("adam", {"lr": 0.01, "task.p": 0.1}, {"lr": 0.01, "task.p": 0.5})
    assert way(task, task.make_data(), Common(BATCH), wanted).why == "p of layer 2 differs"


def test_dropout_masks_are_those_of_the_seed() -> None:
    task = task_of(drop, (12,))
    found = way(task, task.make_data(), Common(BATCH), trials(seeds=(0, 1)))
    assert found == check.Way(inner=False, draws=True)
    torch.manual_seed(0)
    network = drop()
    model = StackedModel(task, [network] * 3)
    state = torch.get_rng_state()
    model.draw_from([Stream(0, 2), Stream(2, 3)], [state, torch.Generator().manual_seed(4).get_state()])
    batch = (torch.ones(8, 12), torch.zeros(8, dtype=torch.long))
    first, second = model.backward(batch, False), model.backward(batch, False)
    assert first[0] == first[1] != first[2]  # the same weights: what differs is the masks
    assert second[0] == second[1] != first[0]
    torch.set_rng_state(state)
    alone = nn.functional.cross_entropy(network(batch[0]), batch[1])
    assert float(first[0]) == pytest.approx(alone.item(), rel=1e-6)


def test_trials_that_draw_and_share_no_seed_are_trained_alone() -> None:
    task, shared, wanted = task_of(drop, (12,)), Common(BATCH), trials("adam", {"lr": 0.01}, seeds=(0, 1, 2))
    data = task.make_data()
    found = list(run_batch(task, data, shared, wanted))
    assert [r["how"] for r in found] == ["alone"] * 3
    assert [r["trial"]["seed"] for r in found] == [0, 1, 2]
    together = list(run_batch(task, data, shared, trials(seeds=(0, 1, 2))))
    assert {r["how"] for r in together} == {"batched"}


@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
def test_a_trial_that_diverges_ends_at_once_and_the_others_do_not_notice(seeds: tuple[int, ...]) -> None:
    given = [{"lr": lr, "momentum": 0.9} for lr in (0.01, 1e30, 0.1, 1e4, 0.03)]
    ours, theirs = together(task_of(convolutions, (1, 4, 4)), trials("sgd", *given, seeds=seeds), schedule="constant")
    assert_same(ours, theirs)
    assert [r["diverged"] for r in ours[:5]] == [False, True, False, True, False]
    assert ours[1]["diverged_at_step"] == ours[1]["steps"] < ours[0]["steps"] and ours[1]["test_loss"] is None


def test_diverged_trials_leave_the_stacks_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 20 trials of which three diverge one after the other, two leave at a time."""
    task, shared = task_of(mlp, (12,)), Common(BATCH, schedule="constant", exploded=3.0)
    given = [{"lr": 0.001 * (1 + k)} for k in range(17)] + [{"lr": 1e3}, {"lr": 1e5}, {"lr": 30.0}]
    wanted, sizes = trials("sgd", *given), []
    compact = Stacked.compact
    monkeypatch.setattr(Stacked, "compact", lambda self, keep: sizes.append(len(keep)) or compact(self, keep))
    data = task.make_data()
    found = list(run_batch(task, data, shared, wanted))
    diverged = [r for r in found if r["diverged"]]
    assert len(diverged) == 3 and sizes[0] == 17 and found[:3] == diverged
    records = {Trial.from_json(r["trial"]): r for r in found}
    assert_same([records[t] for t in wanted], [run_alone(task, data, shared, t) for t in wanted])


def test_all_diverge() -> None:
    ours, theirs = together(task_of(mlp, (12,)), trials("sgd", {"lr": 1e30}, {"lr": 1e31}))
    assert_same(ours, theirs)
    assert all(r["diverged"] and r["validation_loss"] is None and not r["curve"]["step"] for r in ours)


def test_nan_in_the_data_is_the_datas_fault() -> None:
    def spoilt() -> Any:
        parts = pictures(12)()
        parts[0][0][3, 2] = math.nan
        return parts

    task = Task("made up", mlp, spoilt, nn.functional.cross_entropy, accuracy)
    with pytest.raises(RunError, match="the inputs hold nan: 1 of"):
        list(run_batch(task, task.make_data(), Common(BATCH), trials()))


# ---- what cannot train together, and why


class Branch(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(12, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.head(x)
        return out * 2 if out.mean().item() > 0 else out


class Selected(Branch):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.head(x)
        return out + out[out > 0].sum()


class Remembering(Branch):
    """Keeps what is no buffer from step to step."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Any = 0.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.head(x) + self.seen
        self.seen = out.detach().mean(0)
        return out


class Hidden(Branch):
    """Its first weights also stand in a tensor that is neither parameter nor buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.start = self.head.weight.detach().clone()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(x) + x @ self.start.T


class Gambling(Branch):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(x) * random.random()


REFUSED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "a branch on a value": (Branch, r"several trials at once: RuntimeError: .*\.item\(\)"),
    "a boolean index": (Selected, "several trials at once: RuntimeError"),
    "spectral norm": (
        lambda: nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(12, 4))),
        "several trials at once|not what it is alone",
    ),
    "a memory of its own": (Remembering, "seen of the network differs from step to step"),
    "weights in hiding": (Hidden, "start of the network differs"),
    "Python's random numbers": (Gambling, "Python's random state"),
}


@pytest.mark.parametrize("refused", REFUSED.values(), ids=REFUSED)
def test_what_has_no_form_for_several_trials_is_told_why(refused: tuple[Callable[[], nn.Module], str]) -> None:
    network, why = refused
    task = task_of(network, (12,))
    found = can_batch(task, task.make_data(), Common(BATCH), trials(seeds=(0, 1)))
    assert found["size"] == 1
    assert re.search(why, found["why"]), found["why"]
    with pytest.raises(RunError, match="cannot train together"):
        list(run_batch(task, task.make_data(), Common(BATCH), trials(seeds=(0, 1))))


def test_wrong_gradients_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check sees a batched form that is off by 0.1 %."""
    task = task_of(mlp, (12,))
    right = StackedModel.backward

    def off(self: StackedModel, *given: Any) -> torch.Tensor:
        losses = right(self, *given)
        self.learned[1].grad *= 1.001  # type: ignore[operator]
        return losses

    monkeypatch.setattr(StackedModel, "backward", off)
    found = way(task, task.make_data(), Common(BATCH), trials())
    assert found.why == "in a step together the gradient of 1.bias is not what it is alone"


class Rows(Dataset[Any]):
    def __init__(self, noise: float = 0.0) -> None:
        self.inputs, self.targets = pictures(12)()[0]
        self.noise = noise

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self.inputs[i] + self.noise * torch.randn(12), self.targets[i]


def test_datasets_are_read_by_row_and_loaders_are_refused() -> None:
    def of(train: Any) -> Task:
        return Task("made up", mlp, lambda: (train, pictures(12)()[1]), nn.functional.cross_entropy, accuracy)

    assert_same(*together(of(Rows()), trials(seeds=(0, 3))))
    for train, why in ((DataLoader(Rows(), BATCH), "is a DataLoader"), (Rows(0.1), "draws its samples at random")):
        task = of(train)
        assert why in way(task, task.make_data(), Common(BATCH if isinstance(train, Rows) else None), trials()).why


def test_only_trials_of_one_optimizer_of_ours() -> None:
    task = task_of(mlp, (12,))
    data, shared = task.make_data(), Common(BATCH, classes={"theirs": torch.optim.Adam})
    assert "several optimizers" in way(task, data, shared, trials("adam") + trials("sgd")).why
    assert "no optimizer of downslope" in way(task, data, shared, trials("theirs")).why
    assert can_batch(task, data, shared, trials()[:1]) == {"size": 1, "why": "there is only one"}


# ---- how many


def test_the_number_is_doubled_while_each_gets_quicker(monkeypatch: pytest.MonkeyPatch) -> None:
    task, wanted = task_of(mlp, (12,)), trials("adam", *({"lr": 0.01 * (k + 1)} for k in range(40)))
    arguments = (task, task.make_data(), Common(BATCH), wanted)
    tried: list[int] = []

    def seconds(cost: Callable[[int], float]) -> Any:
        def of(task: Any, data: Any, common: Any, trials: list[Trial], found: Any) -> tuple[float, int]:
            tried.append(len(trials))
            return cost(len(trials)), 0

        return of

    monkeypatch.setattr(size, "_seconds_alone", lambda *_: 1.0)
    monkeypatch.setattr(size, "_seconds", seconds(lambda k: 2.0 + 0.1 * k))
    assert can_batch(*arguments) == {"size": 32, "why": "", "gain": 6.15} and tried == [2, 4, 8, 16, 32, 40]
    monkeypatch.setattr(size, "_seconds", seconds(lambda k: 0.5 * k if k <= 8 else 0.48 * k))
    assert can_batch(*arguments) == {"size": 2, "why": "", "gain": 2.0}
    monkeypatch.setattr(size, "_seconds", seconds(lambda k: 1.1 * k))
    assert can_batch(*arguments)["size"] == 1 and "one after the other" in can_batch(*arguments)["why"]

    def short(k: int) -> float:
        if k > 4:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate")
        return 1.0

    monkeypatch.setattr(size, "_seconds", seconds(short))
    assert can_batch(*arguments)["size"] == 4


def test_a_real_try_gives_a_number_and_leaves_no_trace() -> None:
    task = task_of(drop, (12,))
    torch.manual_seed(11)
    before = torch.get_rng_state()
    found = can_batch(task, task.make_data(), Common(BATCH), trials(seeds=(0, 1)))
    assert 1 <= found["size"] <= 6
    list(run_batch(task, task.make_data(), Common(BATCH), trials(epochs=1)))
    assert torch.equal(before, torch.get_rng_state())


def test_seconds_are_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps take a second each on this clock; scores take none."""
    now = [0.0]
    monkeypatch.setattr(run.time, "perf_counter", lambda: now[0])
    step = Stacked.step
    monkeypatch.setattr(Stacked, "step", lambda self: (now.__setitem__(0, now[0] + 1.0), step(self))[1])
    task = task_of(mlp, (12,))
    found = list(run_batch(task, Data(*task.make_data().__dict__.values()), Common(BATCH), trials(epochs=2)))
    assert sum(r["seconds"] for r in found) == pytest.approx(10.0, abs=0.01)
