"""Watching: it changes nothing, sees what it says, costs what it may, and never breaks the loop."""

from __future__ import annotations

import copy
import io
import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import downslope
from downslope.diagnose.finding import Finding, Report
from downslope.diagnose.follow import Follower
from downslope.diagnose.probes import losses
from downslope.diagnose.probes.around import Around
from downslope.diagnose.probes.layers import Layers
from downslope.diagnose.probes.ring import Ring
from downslope.errors import SettingError
from findings_cases import Embedded, Recurrent, Residual, Root, Transformer, cnn, data, mlp

MODELS: dict[str, Callable[[], nn.Module]] = {
    "mlp-dropout": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Dropout(0.3), nn.Linear(32, 10)
    ),
    "cnn-bn": cnn,
    "residual": Residual,
    "transformer": Transformer,
    "gru": Recurrent,
    "embedding": Embedded,
}
OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "sgd": lambda p: torch.optim.SGD(p, 0.05, momentum=0.9),
    "adamw": lambda p: torch.optim.AdamW(p, 1e-3),
    "downslope": lambda p: downslope.optim.Lion(p, lr=1e-3, max_norm=1.0),
}


def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int = 12, batch: int = 16) -> list[float]:
    x, y, vx, vy = data()
    found = []
    for i in range(steps):
        model.train()
        rows = torch.randint(len(x), (batch,))
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
        found.append(loss.item())
        if i % 5 == 4:
            model.eval()
            with torch.no_grad():
                F.cross_entropy(model(vx[:50]), vy[:50])
    return found


def everything(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Weights, buffers, states and random numbers, by name."""
    found = {f"model.{name}": value for name, value in model.state_dict().items()}
    for place, state in optimizer.state_dict()["state"].items():
        found |= {f"{place}.{name}": torch.as_tensor(value) for name, value in state.items() if value is not None}
    return found | {"rng": torch.get_rng_state()}


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("optim", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_watching_and_reporting_change_no_bit(make: Any, optim: Any) -> None:
    runs = []
    for watched in (False, True):
        torch.manual_seed(3)
        model = make()
        optimizer = optim(model.parameters())
        seen = downslope.watch(model, optimizer, budget=1.0) if watched else None
        first = train(model, optimizer)
        if seen is not None:
            assert "switched off" not in str(seen.report())
            for factors in ((0.1, 10.0), ("start", 0.1)):
                seen._follower.guard.paused = True
                seen._rates(factors)  # the forks that a suspicion would ask for
                seen._follower.guard.paused = False
        runs.append(([*first, *train(model, optimizer)], everything(model, optimizer)))
        if seen is not None:
            assert len(seen.signals.samples) == 24 and len(seen.signals.layers) == 24
            assert list(seen.signals.loss) == pytest.approx(runs[0][0], rel=1e-6)
            seen.close()
    (plain, bits), (looked_at, same) = runs
    assert plain == looked_at and bits.keys() == same.keys()
    for name in bits:
        assert torch.equal(bits[name], same[name]), name


def test_what_is_seen_of_a_step_is_what_happened() -> None:
    x, y, *_ = data()
    model = mlp(depth=1)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    seen = downslope.watch(model, optimizer, budget=1.0)
    before = [p.detach().clone() for p in model.parameters()]
    loss = F.cross_entropy(model(x[:20]), y[:20])
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 0.1)
    clipped = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    optimizer.step()
    sample, read = seen.signals.samples[0], seen.signals.losses[0]
    assert sample.loss == pytest.approx(loss.item()) and sample.after_clip == pytest.approx(0.1, rel=1e-3)
    assert sample.before_clip > 0.1 and sample.along == pytest.approx(-1.0, abs=1e-4)
    for i, (p, b, g) in enumerate(zip(model.parameters(), before, clipped)):
        assert sample.grad[i] == pytest.approx(g.norm().item(), rel=1e-4)
        assert sample.weight[i] == pytest.approx(b.norm().item(), rel=1e-4)
        assert sample.update[i] == pytest.approx((p.detach() - b).norm().item(), rel=1e-3)
    assert read.kind == "classes" and read.wanted.total() == 20 and read.wanted == _counted(y[:20])
    assert [(p.name, p.kind, p.follows) for p in seen.signals.parameters] == [
        ("1.weight", "weight", "relu"),
        ("1.bias", "bias", "relu"),
        ("3.weight", "weight", "log_softmax"),
        ("3.bias", "bias", "log_softmax"),
    ]
    seen.close()


def _counted(values: torch.Tensor) -> dict[int, int]:
    return {int(v): int((values == v).sum()) for v in values.unique()}


LOSSES: dict[str, tuple[Callable[..., torch.Tensor], tuple[int, ...], str]] = {
    "cross_entropy": (F.cross_entropy, (10,), "classes"),
    "smoothed": (lambda o, y: F.cross_entropy(o, y, label_smoothing=0.1), (10,), "classes"),
    "segmentation": (lambda o, y: F.cross_entropy(o, y[:, None].expand(-1, 3)), (10, 3), "classes"),
    "nll": (lambda o, y: F.nll_loss(F.log_softmax(o, 1), y), (10,), "classes"),
    "bce": (lambda o, y: F.binary_cross_entropy_with_logits(o, (y > 4).float()), (), "binary"),
    "bce of probabilities": (lambda o, y: F.binary_cross_entropy(o.sigmoid(), (y > 4).float()), (), "binary"),
    "mse": (lambda o, y: F.mse_loss(o, y.float()), (), "values"),
    "huber": (lambda o, y: F.huber_loss(o, y.float()), (), "absolute"),
    "scaled": (lambda o, y: F.cross_entropy(o, y) * 0.25 + o.square().mean(), (10,), "classes"),
    "own": (lambda o, y: (o.exp().sum(1).log() - o.gather(1, y[:, None])[:, 0]).mean(), (10,), "unknown"),
}


@pytest.mark.parametrize("loss, shape, kind", LOSSES.values(), ids=LOSSES)
def test_the_loss_is_known_by_its_graph(loss: Any, shape: Any, kind: str) -> None:
    torch.manual_seed(0)
    scores = torch.randn(6, *shape, requires_grad=True) * 1.0
    found = losses.find(loss(scores, torch.arange(6)))
    assert ("unknown" if found is None else losses.count(found, 0, 1.0, 6).kind) == kind


def test_the_loss_over_a_sequence_is_made_anew() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(9, 16), nn.Linear(16, 9), _ClassesFirst())
    optimizer = torch.optim.Adam(model.parameters())
    with downslope.watch(model, optimizer, budget=1.0) as seen:
        for _ in range(3):
            x, y = torch.randint(9, (2, 6, 5))
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        report = seen.report(forks=False)
        assert not report.notes and seen._follower.trial.ready and seen._follower.trial.agrees
        read = seen.signals.losses[-1]
        assert read.wanted == _counted(y) and not read.per_sample


class _ClassesFirst(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.movedim(2, 1)


def test_a_scaled_loss_is_told_as_it_was_before_scaling() -> None:
    x, y, *_ = data()
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**12)
    with downslope.watch(model, optimizer, budget=1.0) as seen:
        loss = F.cross_entropy(model(x[:50]), y[:50])
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        assert seen.signals.loss[0] == pytest.approx(loss.item(), rel=1e-5)


def test_accumulated_batches_are_one_step_and_their_loss_the_mean() -> None:
    x, y, *_ = data()
    model = mlp()
    optimizer = torch.optim.Adam(model.parameters())
    with downslope.watch(model, optimizer, budget=1.0) as seen:
        for step in range(6):
            optimizer.zero_grad()
            values = []
            for part in range(4):
                loss = F.cross_entropy(model(x[part::9]), y[part::9])
                (loss / 1).backward()
                values.append(loss.item())
            optimizer.step()
            assert seen.signals.loss[step] == pytest.approx(sum(values) / 4, rel=1e-5)
        assert seen.signals.counts["not_zeroed"] == 0


def test_two_players_are_told_apart() -> None:
    """In adversarial training the generator's backward goes through the discriminator, whose step is another one."""
    torch.manual_seed(0)
    x, *_ = data()
    make, judge = nn.Sequential(nn.Linear(8, 64)), nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 1))
    g, d = torch.optim.Adam(make.parameters(), 1e-3), torch.optim.Adam(judge.parameters(), 1e-3)
    one = torch.ones(50, 1)
    with downslope.watch(make, g, budget=1.0) as generator, downslope.watch(judge, d, budget=1.0) as discriminator:
        for i in range(25):
            d.zero_grad()
            fake = make(torch.randn(50, 8))
            real = x[i * 25 : i * 25 + 50].flatten(1)
            own = F.binary_cross_entropy_with_logits(judge(real), one[: len(real)])
            own = own + F.binary_cross_entropy_with_logits(judge(fake.detach()), 0 * one)
            own.backward()
            d.step()
            g.zero_grad()
            loss = F.binary_cross_entropy_with_logits(judge(make(torch.randn(50, 8))), one)
            loss.backward()
            g.step()
            assert generator.signals.loss[i] == pytest.approx(loss.item(), rel=1e-5)
            assert discriminator.signals.loss[i] == pytest.approx(own.item(), rel=1e-5)
        for each in (generator, discriminator):
            assert [f.symptom for f in each.report()] == []


def test_a_step_with_a_closure_is_seen() -> None:
    x, y, *_ = data()
    model = mlp(depth=1)
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=3)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x[:100]), y[:100])
        loss.backward()
        return loss

    with downslope.watch(model, optimizer, budget=1.0) as seen:
        for _ in range(5):
            optimizer.step(closure)
        assert seen.signals.steps == 5 and seen.signals.loss[4] < seen.signals.loss[0]
        assert seen.report().findings == []


@pytest.mark.parametrize("what", ["the compiled", "the plain", "in place"])
def test_a_compiled_model_is_watched_from_outside(what: str) -> None:
    """No hook is compiled, breaks the graph, or has it compiled anew; the numbers are those of a run not watched."""
    torch._dynamo.reset()
    runs, compiles = [], [0]

    def count(graph: Any, inputs: Any) -> Any:
        compiles[0] += 1
        return graph.forward

    x, y, *_ = data()
    for watched in (False, True):
        torch._dynamo.reset()
        torch.manual_seed(0)
        compiles[0] = 0
        model = Root(True)
        called = torch.compile(model, backend=count, fullgraph=True) if what != "in place" else model
        if what == "in place":
            model.compile(backend=count, fullgraph=True)
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        seen = None
        if watched:
            seen = downslope.watch(called if what == "the compiled" else model, optimizer, budget=1.0)
        losses = []
        for i in range(12):
            optimizer.zero_grad()
            loss = F.cross_entropy(called(x[i : i + 20]), y[i : i + 20])
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        runs.append((losses, compiles[0]))
        if seen is not None:
            report = seen.report()
            assert report.steps == 12 and report.findings == []
            assert bool(seen._follower.trial.usable) == (what == "the compiled")
            assert any("no forward pass was seen" in note for note in report.notes) == (what != "the compiled")
            if what == "the compiled":
                assert seen.whatif(lr=(10.0,), steps=5, repeats=2)["lr x 10"].verdict
            seen.close()
    assert runs[0] == runs[1]


@pytest.mark.parametrize("make, said", [(cnn, True), (lambda: cnn(False), False), (mlp, False)])
def test_a_bias_before_a_batch_norm_is_a_note_and_no_finding(make: Any, said: bool) -> None:
    model = make()
    optimizer = torch.optim.Adam(model.parameters())
    with downslope.watch(model, optimizer, budget=1.0) as seen:
        train(model, optimizer, 6)
        report = seen.report()
    assert report.findings == []
    assert [note for note in report.notes if "0.bias and 1 more): bias=False" in note] == report.notes * said
    assert len(report.notes) == said


def test_copies_and_pickles_of_a_watched_model_are_not_watched() -> None:
    model = mlp()
    optimizer = torch.optim.Adam(model.parameters())
    with downslope.watch(model, optimizer, budget=1.0) as seen:
        train(model, optimizer, 3)
        twin, own = copy.deepcopy((model, optimizer))
        file = io.BytesIO()
        torch.save(model, file)
        file.seek(0)
        loaded = torch.load(file, weights_only=False)
        train(twin, own, 3)
        train(loaded, torch.optim.Adam(loaded.parameters()), 3)
        assert seen.signals.steps == 3


def test_afterwards_nothing_is_left() -> None:
    before = torch.autograd.backward
    model = cnn()
    optimizer = torch.optim.Adam(model.parameters())
    first = downslope.watch(model, optimizer)
    assert torch.autograd.backward is not before
    train(model, optimizer, 2)
    first.close()
    assert torch.autograd.backward is before
    assert not optimizer._optimizer_step_pre_hooks and not optimizer._optimizer_step_post_hooks
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    train(model, optimizer, 2)
    assert first.signals.steps == 2 and first.report().steps == 2
    downslope.watch(model, optimizer).close()  # and it can be watched again


def test_validation_losses_come_from_the_loss_module_or_from_the_user() -> None:
    x, y, vx, vy = data()
    model, loss = mlp(), nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters())
    with downslope.watch(model, optimizer, loss=loss) as seen:
        for _ in range(3):
            optimizer.zero_grad()
            loss(model(x[:50]), y[:50]).backward()
            optimizer.step()
            with torch.no_grad():
                model.eval()
                values = [loss(model(part), target).item() for part, target in zip(vx.split(100), vy.split(100))]
                model.train()
        assert seen.signals.validation[-1][1] != values  # the last round ends with the next step
        optimizer.zero_grad()
        loss(model(x[:50]), y[:50]).backward()
        optimizer.step()
        assert seen.signals.validation[-1][1] == pytest.approx(sum(values) / len(values))
        seen.validation(1.5)
        assert seen.signals.validation[-1] == (4, 1.5)


@pytest.mark.parametrize("probe", ["losses", "norms", "layers", "ring"])
def test_a_probe_that_fails_is_switched_off_and_said(probe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any, **kwargs: Any) -> Any:
        raise ZeroDivisionError("as planned")

    target = {
        "losses": (Follower, "_read_loss"),
        "norms": (Around, "after_step"),
        "layers": (Layers, "_layer"),
        "ring": (Ring, "begin"),
    }[probe]
    monkeypatch.setattr(*target, broken)
    model = mlp()
    optimizer = torch.optim.Adam(model.parameters())
    with downslope.watch(model, optimizer, budget=1.0) as seen:
        train(model, optimizer, 6)
        report = seen.report()
    notes = [note for note in report.notes if "as planned" in note]
    assert len(notes) == 1 and probe in notes[0] and "step 0" in notes[0] and "switched off" in notes[0]
    assert report.steps == 6


def test_a_watch_that_fails_throughout_takes_itself_away(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any) -> None:
        raise RuntimeError("as planned")

    monkeypatch.setattr(Follower, "_step_post", broken)
    model = mlp()
    optimizer = torch.optim.Adam(model.parameters())
    with downslope.watch(model, optimizer) as seen:
        assert len(train(model, optimizer, 6)) == 6
        assert any("watching ended" in note for note in seen.report().notes)


def test_a_judge_that_fails_is_said_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    from downslope.diagnose import findings

    def broken(signals: Any) -> None:
        raise KeyError("as planned")

    monkeypatch.setitem(findings.SYMPTOMS, "dead-relu", findings.Symptom("", broken))
    model = mlp()
    optimizer = torch.optim.Adam(model.parameters())
    with downslope.watch(model, optimizer, budget=1.0) as seen:
        x, y, *_ = data()
        for _ in range(10):  # never set to zero
            F.cross_entropy(model(x[:20]), y[:20]).backward()
            optimizer.step()
        report = seen.report()
    assert [f.symptom for f in report] == ["gradients-not-zeroed"]
    assert any("dead-relu" in note and "as planned" in note for note in report.notes)


def test_a_crash_in_the_loop_leaves_the_report_up_to_there() -> None:
    model = mlp()
    optimizer = torch.optim.Adam(model.parameters())
    seen = downslope.watch(model, optimizer, budget=1.0)
    with pytest.raises(RuntimeError):
        train(model, optimizer, 4)
        model(torch.zeros(2, 3))
    report = seen.report()
    assert report.steps == 4 and report.findings == []
    seen.close()


CRASH = """
import sys, torch, downslope
model = torch.nn.Linear(4, 2)
optimizer = torch.optim.SGD(model.parameters(), 0.1)
def main():
    watch = downslope.watch(model, optimizer, budget=1.0, out=sys.argv[1])
    for i in range(20):
        x = torch.randn(16, 4)
        torch.nn.functional.cross_entropy(model(x), (x[:, 0] > 0).long()).backward()
        optimizer.step()
    if sys.argv[2] == "crash":
        raise ValueError("boom")
main()
"""


@pytest.mark.parametrize("how", ["crash", "end"])
def test_a_program_that_ends_leaves_its_report(how: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CRASH, str(tmp_path / "out"), how], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode == 0) == (how == "end")
    found = json.loads((tmp_path / "out" / "findings.json").read_text())
    assert [f["symptom"] for f in found["findings"]] == ["gradients-not-zeroed"] and found["steps"] == 20
    assert "Gradients are not set to zero" in (tmp_path / "out" / "report.html").read_text()
    if how == "crash":
        assert "the loop ended by ValueError after 20 steps" in found["notes"]
        assert done.stderr.index("boom") < done.stderr.index("gradients-not-zeroed")


def test_a_block_that_fails_leaves_its_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = mlp()
    optimizer = torch.optim.Adam(model.parameters())
    with pytest.raises(KeyError), downslope.watch(model, optimizer, out=tmp_path / "new" / "folder"):
        train(model, optimizer, 4)
        raise KeyError("as planned")
    report = Report.from_json(json.loads((tmp_path / "new" / "folder" / "findings.json").read_text()))
    assert report.steps == 4 and report.notes[-1] == "the loop ended by KeyError after 4 steps"
    assert capsys.readouterr().err == ""  # nothing is wrong: nothing is said


def other() -> torch.optim.Optimizer:
    return torch.optim.SGD(nn.Linear(2, 2).parameters(), 0.1)


WRONG: dict[str, tuple[Callable[[nn.Module, Any], Any], str]] = {
    "no parameters": (lambda m, o: downslope.watch(nn.ReLU(), o), "ReLU has no parameters"),
    "another model's optimizer": (lambda m, o: downslope.watch(m, other()), "no parameter of this model"),
    "no model": (lambda m, o: downslope.watch([1], o), "a list; give a torch.nn.Module"),  # type: ignore[arg-type]
    "no optimizer": (lambda m, o: downslope.watch(m, None), "a NoneType; give a torch.optim"),  # type: ignore[arg-type]
    "budget of nothing": (lambda m, o: downslope.watch(m, o, budget=0.0), "budget is 0.0; give a part"),
    "budget in words": (lambda m, o: downslope.watch(m, o, budget="2%"), "budget is '2%'"),  # type: ignore[arg-type]
    "loss as a number": (lambda m, o: downslope.watch(m, o, loss=3.0), "loss is 3.0; give the loss module"),
}


@pytest.mark.parametrize("wrong, words", WRONG.values(), ids=WRONG)
def test_wrong_use_is_said_in_words(wrong: Any, words: str) -> None:
    model = mlp()
    before = torch.autograd.backward
    with pytest.raises(SettingError, match=words):
        wrong(model, torch.optim.Adam(model.parameters()))
    assert torch.autograd.backward is before


def test_an_optimizer_is_watched_once_at_a_time() -> None:
    model = mlp()
    optimizer = torch.optim.Adam(model.parameters())
    with downslope.watch(model, optimizer), pytest.raises(SettingError, match="watched already"):
        downslope.watch(model, optimizer)
    downslope.watch(model, optimizer).close()


def test_probes_look_less_often_when_they_would_cost_too_much() -> None:
    looks = {}
    for budget in (0.001, 1.0):
        torch.manual_seed(0)
        model = mlp()
        optimizer = torch.optim.Adam(model.parameters())
        with downslope.watch(model, optimizer, budget=budget) as seen:
            seen._follower.guard.budget.grace = 0.0
            train(model, optimizer, 40)
            looks[budget] = len(seen.signals.samples)
            report = seen.report()
            assert report.overhead > 0 and report.budget == budget and f"budget {budget:.1%}" in str(report)
    assert looks[1.0] == 40 and 1 <= looks[0.001] < 20


def test_long_runs_stay_small() -> None:
    model = nn.Linear(64, 10)
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    x, y, *_ = data()
    with downslope.watch(model, optimizer, budget=1.0) as seen:
        for _ in range(1200):
            optimizer.zero_grad()
            F.cross_entropy(model(x[:8].flatten(1)), y[:8]).backward()
            optimizer.step()
        s = seen.signals
        assert s.steps == 1200 and 200 < len(s.samples) <= 400 and s.samples[0].step == 0 and s.samples[-1].step == 1199


def test_a_report_prints_and_goes_through_json() -> None:
    finding = Finding(
        "lr-too-high",
        "it is",
        "c",
        "r",
        since_step=3,
        evidence={"loss": [1.0, math.inf]},
        alternatives=("other",),
        tried="t",
    )
    report = Report([finding], steps=10, overhead=0.01, budget=0.02, notes=["n"])
    assert report.exit_code == 1 and Report([]).exit_code == 0
    assert Report([Finding("x", "v", "c", "r", severe=False)]).exit_code == 0
    found = json.loads(report.to_json())
    assert found["findings"][0]["evidence"] == {"loss": [1.0, None]} and found["exit_code"] == 1
    again = Report.from_json(found)
    assert str(again) == str(report) and "lr-too-high: it is (since step 3)" in str(report)
    assert "Nothing is wrong" in str(Report([]))
