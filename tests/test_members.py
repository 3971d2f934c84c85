"""Members of an ensemble that train together are what they are one after the other, and go on after a stop."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from downslope import RunError, SettingError, Task
from downslope.training import checkpoint
from downslope.training.run import train

MEMBERS = 3


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def model(norm: bool = True) -> nn.Module:
    """Without a bias before the norm: it would have no gradient but rounding, of which Adam makes whole steps."""
    normed = nn.BatchNorm1d(8) if norm else nn.Identity()
    return nn.Sequential(nn.Linear(4, 8, bias=False), normed, nn.Tanh(), nn.Linear(8, 3))


def parts() -> list[tuple[torch.Tensor, torch.Tensor]]:
    inputs = torch.randn(90, 4, generator=torch.Generator().manual_seed(0))
    targets = inputs[:, :3].argmax(1)
    return [(inputs[:50], targets[:50]), (inputs[50:70], targets[50:70]), (inputs[70:], targets[70:])]


class Rows(torch.utils.data.Dataset):
    def __len__(self) -> int:
        return 50

    def __getitem__(self, i: int) -> Any:
        return {"x": parts()[0][0][i]}, parts()[0][1][i]


class Named(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = model(norm=False)

    def forward(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        return self.inner(inputs["x"])


def named() -> Any:
    inputs, targets = parts()[1]
    return Rows(), DataLoader(TensorDataset(inputs, targets), 7, collate_fn=gathered)


def gathered(rows: Any) -> Any:
    inputs, targets = torch.utils.data.default_collate(rows)
    return {"x": inputs}, targets


def metric(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return (output.argmax(1) == target).double().mean()


def hardness(inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return inputs.square().sum(1)


# Seven steps an epoch, the last one of two samples.
CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "momentum, cosine": {"optimizer": "momentum", "lr": 0.05, "schedule": "cosine", "schedule_settings": {"warmup": 3}},
    "no count in its states": {"optimizer": "sgd", "optimizer_settings": {"momentum": 0.9}, "lr": 0.05},
    "scalar states": {"optimizer": "nadam"},
    "average, clipped": {"ema": 0.8, "max_norm": 0.5, "clip_value": 0.3},
    "stopping": {"patience": 1, "min_gain": 0.02, "eval_steps": 2, "epochs": 6},
    "plateau": {"schedule": "plateau", "schedule_settings": {"patience": 0}, "eval_steps": 3, "monitor": "loss"},
    "sequential": {"order": "sequential", "eval_epochs": 2},
    "curriculum": {"order": "curriculum", "difficulty": hardness, "pacing": "root"},
    "full batch": {"batch": "full", "epochs": 8},
    "drop last": {"drop_last": True},
    "statistics": {"batchnorm": True, "init": "xavier"},
    "nested data": {"model": Named, "data": named},
}


def make(case: str) -> tuple[Task, dict[str, Any]]:
    options = {"epochs": 3, "lr": 0.02, "seed": 4, "members": MEMBERS, **CASES[case]}
    own = {name: options.pop(name) for name in ("drop_last",) if name in options}
    made, data = options.pop("model", model), options.pop("data", parts)
    return Task("tiny", made, data, nn.functional.cross_entropy, metric, batch=8, **own), options


def numbers(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name != "seconds"}


def close(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return abs(a - b) <= 1e-4 * max(1.0, abs(a), abs(b))
    return a == b


@pytest.mark.parametrize("case", CASES)
def test_together_they_are_what_they_are_alone(case: str, tmp_path: Any) -> None:
    task, options = make(case)
    alone = train(task, together="no", **options)
    joint = train(task, together="yes", out=tmp_path / "run", watch=0, **options)
    assert joint.config.together == "yes" and joint.steps == alone.steps
    assert joint.validation_loss == pytest.approx(alone.validation_loss, abs=1e-4)
    for number, (ours, theirs) in enumerate(zip(joint.members, alone.members)):
        for mine, other in zip(ours.records, theirs.records, strict=True):
            assert mine.keys() == other.keys()
            assert all(close(mine[name], other[name]) for name in numbers(mine)), (mine, other)
        weights = theirs.model.state_dict()
        assert all(torch.allclose(t, weights[n], atol=2e-4) for n, t in ours.model.state_dict().items())
        folder = tmp_path / "run" / f"member-{number}"
        kept = torch.load(folder / "model.pt", weights_only=True)
        assert all(torch.equal(t, kept[n]) for n, t in ours.model.state_dict().items())
        assert [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()] == ours.records
        assert {"config.json", "last.pt", "best.pt"} <= {path.name for path in folder.iterdir()}
    steps = [member.steps for member in joint.members]
    if case == "stopping":
        assert len(set(steps)) > 1 and max(steps) < 6 * 7, "they stop, and not at once"


class Stop:
    """Ctrl-C after a step."""

    def __init__(self, step: int):
        self.step = step

    def on_step(self, loop: Any) -> None:
        if loop.step == self.step:
            loop.interrupted = True
            loop.stop()


class Break(Stop):
    """The process is lost after a step."""

    def on_step(self, loop: Any) -> None:
        if loop.step == self.step and loop.name == "member 1":
            raise RuntimeError("lost")


@pytest.mark.parametrize("case", CASES)
def test_a_stopped_ensemble_ends_like_one_never_stopped(case: str, tmp_path: Any) -> None:
    task, options = make(case)
    whole = train(task, together="yes", **options)
    last = max(member.steps for member in whole.members)
    for how, at in ((Stop, 2), (Stop, last - 1), (Break, max(2, last // 2))):
        out = tmp_path / f"{how.__name__}-{at}"
        given = {**options, "together": "yes", "out": out, "watch": 0, "save_seconds": 1000 if how is Stop else 0}
        if how is Break:
            with pytest.raises(RuntimeError, match="lost"):
                train(task, callbacks=[Break(at)], **given)
        else:
            assert train(task, callbacks=[Stop(at)], **given).interrupted
        result = train(task, resume=out, **({"difficulty": hardness} if case == "curriculum" else {}))
        for again, member in zip(result.members, whole.members):
            assert [numbers(r) for r in again.records] == [numbers(r) for r in member.records]
            weights = member.model.state_dict()
            assert all(torch.equal(t, weights[n]) for n, t in again.model.state_dict().items())


def test_callbacks_see_each_member_and_may_end_it() -> None:
    seen: dict[str, list[Any]] = {}

    class Look:
        def on_step(self, loop: Any) -> None:
            grads = [p.grad for p in loop.model.parameters()]
            assert all(g is not None and g.isfinite().all() for g in grads)
            state = loop.optimizer.state[next(iter(loop.model.parameters()))]
            seen.setdefault(loop.name, []).append((loop.step, float(state["step"])))
            if loop.name == "member 1" and loop.step == 4:
                loop.stop()

    task, options = make("plain")
    result = train(task, together="yes", callbacks=[Look()], **options)
    assert [member.steps for member in result.members] == [21, 4, 21]
    assert seen["member 1"] == [(n, n) for n in range(1, 5)] and len(seen["member 2"]) == 21
    assert not result.interrupted and result.validation_loss is not None


def test_one_that_diverges_ends_them_and_keeps_the_last_good_state(tmp_path: Any) -> None:
    def loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return (output - target).square().mean()

    inputs = torch.randn(40, 2, generator=torch.Generator().manual_seed(1))
    task = Task("steep", lambda: nn.Linear(2, 1), lambda: [(inputs, inputs[:, :1])], loss, batch=10)
    result = train(task, members=2, together="yes", lr=1e12, epochs=9, optimizer="sgd", out=tmp_path / "r", watch=0)
    assert result.diverged_at is not None and result.validation_loss is None
    events = [json.loads(line) for line in (tmp_path / "r" / "member-0" / "records.jsonl").read_text().splitlines()]
    assert events[-1]["event"] == "diverged" or result.members[1].diverged_at is not None


def test_what_cannot_be_together_says_why_and_is_trained_all_the_same(tmp_path: Any) -> None:
    plain, options = make("plain")

    def dropping() -> nn.Module:
        return nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 3))

    loader = lambda: (DataLoader(TensorDataset(*parts()[0]), 8, shuffle=True), parts()[1])  # noqa: E731
    cross_entropy = nn.functional.cross_entropy
    refused: list[tuple[Task, dict[str, Any], str]] = [
        (plain, {"accumulate": 2}, "no accumulation, mixed precision or penalties"),
        (plain, {"optimizer": lambda params: torch.optim.SGD(params, lr=0.1), "lr": None}, "a function"),
        (plain, {"optimizer": "muon"}, "more than one rule|whole tensors"),
        (plain, {"optimizer": "schedulefreeadamw"}, "another point"),
        (plain, {"optimizer_settings": {"state_dtype": "bfloat16"}}, "another storage"),
        (Task("dropping", dropping, parts, cross_entropy), {}, "draws random numbers"),
        (Task("loaded", model, loader, cross_entropy), {}, "DataLoader"),
    ]
    for task, more, words in refused:
        given = {**options, "epochs": 1, **more}
        with pytest.raises(SettingError, match=f"together=.yes.: {task.name}: .*({words})"):
            train(task, together="yes", **given)
        assert train(task, **given).config.together == "no"


def test_auto_is_decided_once_and_written_down(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    task, options = make("plain")
    for gain, found in ((3.0, "yes"), (0.5, "no")):
        monkeypatch.setattr("downslope.training.members.gain", lambda *_, gain=gain: gain)
        out = tmp_path / found
        train(task, out=out, callbacks=[Stop(3)], **options)
        assert json.loads((out / "config.json").read_text())["together"] == found
        monkeypatch.setattr("downslope.training.members.gain", None)  # not asked again
        assert train(task, resume=out).config.together == found


def test_a_cut_off_state_is_named_and_nothing_is_touched(tmp_path: Any) -> None:
    task, options = make("plain")
    out = tmp_path / "run"
    train(task, together="yes", out=out, callbacks=[Stop(5)], watch=0, **options)
    content = (out / "last.pt").read_bytes()
    assert len(checkpoint.load(out / "last.pt")["members"]) == MEMBERS
    (out / "last.pt").write_bytes(content[: len(content) // 2])
    with pytest.raises(RunError, match=r"last.pt: is not a whole checkpoint"):
        train(task, resume=out)
    (out / "last.pt").write_bytes(content)
    assert not train(task, resume=out).interrupted


def test_gain_is_measured() -> None:
    from downslope.training.build import resolve
    from downslope.training.config import Config
    from downslope.training.together.choose import gain

    task, _ = make("plain")
    data = task.make_data()
    before: Callable[[], torch.Tensor] = torch.get_rng_state
    state = before()
    assert gain(resolve(Config(members=4), task, data), task, data) > 0
    assert torch.equal(state, torch.get_rng_state())
