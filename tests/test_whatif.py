"""Forked runs: nothing of the run is touched, the changes are made, and what is said of them is true."""

import json
import math

import pytest
import torch
from torch import nn

import downslope
from downslope import rng, schedules
from downslope.diagnose.forks import Change, run
from downslope.diagnose.whatif import learning_rates, paired, student, what_if
from downslope.errors import RunError, SettingError
from downslope.optim import SGD, AdamW, Muon, for_model


def step(model, optimizer, batch):
    x, y = batch
    model.train()
    optimizer.zero_grad()
    loss = nn.functional.mse_loss(model(x), y)
    loss.backward()
    optimizer.step()
    return loss.item()


def problem(make=lambda m: SGD(m.parameters(), lr=0.02, momentum=0.9)):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 1))
    optimizer = make(model)
    x = torch.randn(600, 4)
    y = x.sum(1, keepdim=True)
    for i in range(5):
        step(model, optimizer, (x[32 * i : 32 * i + 32], y[32 * i : 32 * i + 32]))
    batches = [[(x[i : i + 32], y[i : i + 32]) for i in range(s, s + 320, 32)] for s in (0, 60, 120, 180)]

    @torch.no_grad()
    def score(model):
        model.eval()
        return [nn.functional.mse_loss(model(x[s : s + 50]), y[s : s + 50]).item() for s in (500, 550)]

    return model, optimizer, batches, score


def everything(model, optimizer):
    state = [v for s in optimizer.state.values() for v in s.values() if isinstance(v, torch.Tensor)]
    return [t.detach().clone() for t in (*model.state_dict().values(), *state)], torch.get_rng_state()


MAKERS = {
    "ours": lambda m: SGD(m.parameters(), lr=0.02, momentum=0.9),
    "torch": lambda m: torch.optim.AdamW(m.parameters(), lr=0.01),
    "a schedule": lambda m: AdamW(m.parameters(), lr=schedules.cosine(0.01, steps=100), max_norm=1.0),
    "a route": lambda m: for_model(Muon, m, lr=0.01),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_the_run_is_left_bit_for_bit_as_it_was(make) -> None:
    model, optimizer, batches, score = problem(make)
    before, numbers = everything(model, optimizer)
    rates = [group["lr"] for group in optimizer.param_groups]
    training = model.training
    changes = [*learning_rates((0.3, 3)), Change("clipped", max_norm=0.1), Change("off", max_norm=math.inf)]
    changes.append(Change("another", optimizer=lambda m: torch.optim.SGD(m.parameters(), lr=0.1)))
    verdict = what_if(model, optimizer, step, batches, score, changes)
    after, same_numbers = everything(model, optimizer)
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True)) and torch.equal(numbers, same_numbers)
    assert rates == [group["lr"] for group in optimizer.param_groups] and model.training == training
    assert [o.change.name for o in verdict.outcomes] == [
        "as it is", "lr x 0.3", "lr x 3", "clipped", "off", "another"
    ]  # fmt: skip
    names = [o.losses for o in verdict.outcomes]
    assert len({tuple(losses) for losses in names}) >= 4, "the changes change nothing"


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_a_fork_without_a_change_is_the_run_itself(make) -> None:
    model, optimizer, batches, _ = problem(make)
    with rng.kept():
        fork = run(model, optimizer, step, batches[0], Change("none"))
    for batch in batches[0]:
        step(model, optimizer, batch)
    assert all(torch.equal(a, b) for a, b in zip(fork.state_dict().values(), model.state_dict().values()))


def test_a_rate_is_scaled_under_a_schedule_too() -> None:
    model, optimizer, batches, _ = problem(MAKERS["a schedule"])
    seen = []

    def watched(model, optimizer, batch):
        loss = step(model, optimizer, batch)
        seen.append(optimizer.param_groups[0]["lr"])
        return loss

    run(model, optimizer, watched, batches[0], Change("slow", lr_factor=0.5))
    expected = [0.5 * schedules.cosine(0.01, steps=100)(i) for i in range(5, 15)]
    assert seen == pytest.approx(expected)
    assert optimizer.schedules[0]["lr"](5) == schedules.cosine(0.01, steps=100)(5)


def test_it_finds_the_edge_of_a_quadratic_and_the_best_rate() -> None:
    """Descent on x²/2 of curvature 1 converges below lr 2, best near 1."""
    model = nn.Linear(1, 1, bias=False)
    model.weight.data.fill_(1.0)
    noise = torch.Generator().manual_seed(0)
    batches = [[1e-3 * torch.randn((), generator=noise) for _ in range(12)] for _ in range(4)]

    def quadratic(model, optimizer, batch):
        optimizer.zero_grad()
        loss = model.weight.square().sum() / 2 + batch * model.weight.sum()
        loss.backward()
        optimizer.step()
        return loss.item()

    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    verdict = what_if(
        model, optimizer, quadratic, batches, lambda m: [m.weight.square().item()], learning_rates((0.1, 1, 3, 10))
    )
    assert verdict.safe == (0.1, 3.0) and verdict.edge == 10.0 and verdict.best == 3.0
    assert verdict["lr x 10"].verdict in ("worse", "diverged") and verdict["lr x 3"].verdict == "better"
    assert "Safe learning rates: x 0.1 to x 3; x 10 is too high" in str(verdict)
    assert "the edge lies between x 3 and x 10.\nBest: x 3." in str(verdict)


def test_divergence_is_a_result() -> None:
    model, optimizer, batches, score = problem()
    verdict = what_if(model, optimizer, step, batches, score, learning_rates((1e30,)))
    assert verdict["lr x 1e+30"].diverged == 4 and verdict.edge == 1e30 and verdict.safe == (1.0, 1.0)
    assert "diverged in 4 of 4" in str(verdict)


def test_student_and_pairs() -> None:
    from scipy import stats

    values = [0.3, 0.1, 0.25, 0.4, 0.2]
    low, high = stats.t.interval(0.95, 4, loc=sum(values) / 5, scale=stats.sem(values))
    assert student(values) == pytest.approx((sum(values) / 5, low, high), rel=1e-3)
    many = [math.sin(i) for i in range(40)]
    low, high = stats.t.interval(0.95, 39, loc=sum(many) / 40, scale=stats.sem(many))
    assert student(many)[1:] == pytest.approx((low, high), rel=5e-3)
    assert student([1.0]) is None and student([1.0, math.inf]) is None
    assert paired([1.0, 2.0], [0.5, 1.5]) == (0.5, 0.5, 0.5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "one"
    downslope.train("diabetes", out=out, epochs=3, lr=0.01, save_seconds=0)
    return out


def test_a_run_is_forked_at_a_step_it_has_passed_and_not_touched(folder) -> None:
    files = {p.name: p.read_bytes() for p in folder.iterdir()}
    early = downslope.whatif(folder, step=2, lr=["3x", 0.02], steps=3, repeats=2)
    late = downslope.whatif(folder, lr=["3x"], steps=3, repeats=2)
    assert [o.change.name for o in early.outcomes] == ["as it is", "lr x 3", "lr x 2"]
    assert early.start > late.start
    assert files == {p.name: p.read_bytes() for p in folder.iterdir()}


WRONG = {
    "a step beyond": ({"step": 10_000}, RunError, "ended after .* steps; give a step up to that"),
    "a factor below 0": ({"lr": ["-1x"]}, SettingError, "lr '-1': must be a number above 0"),
    "no number": ({"lr": ["fast"]}, SettingError, "lr 'fast': must be a number above 0"),
    "an optimizer": ({"optimizer": ["adem"]}, SettingError, "did you mean"),
    "a setting": ({"settings": [{"momentum": 0.9}]}, SettingError, "has no setting 'momentum'"),
    "no steps": ({"steps": 0}, SettingError, "must be at least 1"),
}


@pytest.mark.parametrize("given, error, words", WRONG.values(), ids=WRONG)
def test_what_does_not_fit_is_said(folder, given, error, words) -> None:
    with pytest.raises(error, match=words):
        downslope.whatif(folder, **given)


def test_no_run_there(tmp_path) -> None:
    with pytest.raises(RunError, match="holds no run"):
        downslope.whatif(tmp_path)


def test_the_command_line(folder, capsys) -> None:
    from downslope.cli import app

    words = ["--lr", "3x", "--clip", "1,off", "--steps", "2", "--repeats", "2", "--json"]
    app(["whatif", str(folder), *words], standalone_mode=False)
    found = json.loads(capsys.readouterr().out)
    assert [o["change"] for o in found["outcomes"]] == ["as it is", "lr x 3", "clipped to 1", "not clipped"]
    assert len(found["outcomes"][0]["losses"]) == 2 and found["steps"] == 2
