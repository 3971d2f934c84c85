"""What a watch is asked: what if, from the middle of a loop; remedies on forks; the page of a report."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import downslope
from downslope.diagnose.finding import Finding, Picture, Report
from downslope.diagnose.findings import SYMPTOMS
from downslope.diagnose.remedies import TRIALS
from downslope.errors import SettingError
from downslope.report.findings import headline, html
from downslope.report.small import svg
from findings_cases import SICK, adamw, data, mlp, run


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def trained(lr: float, steps: int = 60) -> tuple[nn.Module, torch.optim.Optimizer, Any]:
    torch.manual_seed(0)
    x, y, *_ = data()
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr, momentum=0.9)
    seen = downslope.watch(model, optimizer, budget=1.0)
    for _ in range(steps):
        rows = torch.randint(len(x), (32,))
        optimizer.zero_grad()
        F.cross_entropy(model(x[rows]), y[rows]).backward()
        optimizer.step()
    return model, optimizer, seen


def test_what_if_is_answered_in_the_middle_of_a_loop() -> None:
    model, _, seen = trained(1e-3)
    before = [t.clone() for t in (*model.state_dict().values(), torch.get_rng_state())]
    found = seen.whatif(
        lr=(0.1, 3, "10x", 1000.0),
        clip=(1e-3, "off"),
        optimizer={"Adam": lambda m: torch.optim.Adam(m.parameters(), 1e-2)},
        settings=[{"momentum": 0.0}],
    )
    assert all(torch.equal(a, b) for a, b in zip(before, (*model.state_dict().values(), torch.get_rng_state())))
    assert found.best == 10.0 and found.safe is not None and found.safe[1] == 10.0 and found.edge == 1000.0
    expected = {
        "lr x 0.1": "worse", "lr x 10": "better", "clipped to 0.001": "worse", "Adam": "better",
        "momentum=0.0": "worse",
    }  # fmt: skip
    assert {name: found[name].verdict for name in expected} == expected
    assert found["not clipped"].losses == found.outcomes[0].losses  # as nothing was
    assert seen.signals.steps == 60
    seen.close()


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "a rate of nothing": ({"lr": (0,)}, "a factor is a number above 0"),
    "a rate in words": ({"lr": ("fast",)}, "give factors"),
    "a clip in words": ({"clip": ("on",)}, "give a norm above 0"),
    "no steps": ({"steps": 0}, "must be at least 1"),
    "no such setting": ({"settings": [{"betas": (0.9, 0.9)}]}, "SGD has no setting 'betas'"),
}


@pytest.mark.parametrize("given, words", BAD.values(), ids=BAD)
def test_what_does_not_fit_is_said(given: dict[str, Any], words: str) -> None:
    _, _, seen = trained(1e-3, 5)
    with seen, pytest.raises(SettingError, match=words):
        seen.whatif(**given)


def test_what_if_says_when_it_cannot_make_a_step() -> None:
    _, _, seen = trained(1e-3, 0)
    with seen, pytest.raises(SettingError, match="no batch has been seen yet"):
        seen.whatif()
    x, y, *_ = data()
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with downslope.watch(model, optimizer, budget=1.0) as seen:
        for _ in range(3):
            F.cross_entropy(model(x[:20]) * 2.0 + 1.0, y[:20]).backward()  # not of what the model gives
            optimizer.step()
        with pytest.raises(SettingError, match="cannot be made anew"):
            seen.whatif()


# ---- remedies

HELPS = {
    "not zeroed, sgd": "with zero_grad", "softmax twice, cnn": "without the first", "constant weights": "He or Xavier",
    "head alone by mistake": "with all parameters", "raw inputs, sgd": "with normalised inputs", "sorted": "mixed over",
    "maximised": "minimised", "adam 1e-6": "lr x 10", "dead relus": "He or Xavier",
    "a noisy line, 4 samples": "8 batches at once", "deep sigmoid": "ReLUs with He's start",
}  # fmt: skip


@pytest.mark.parametrize("name", HELPS)
def test_forked_runs_confirm_a_remedy(name: str) -> None:
    finding = run(next(case for case in SICK if case.name == name)).findings[0]
    assert finding.tried is not None and HELPS[name] in finding.tried, finding.tried
    assert finding.helped is True and finding.confidence >= 0.9


def test_norms_without_decay_are_tried_for_as_long_as_decay_needs() -> None:
    strong = replace(
        next(c for c in SICK if c.symptom == "weight-decay-on-norms"), optimizer=adamw(1e-2, weight_decay=3)
    )
    finding = run(strong).findings[0]
    assert finding.symptom == "weight-decay-on-norms" and finding.helped is True
    steps = math.ceil(-math.log(0.3) / (1e-2 * 3))
    assert f"in {steps} steps no decay on norms and biases" in str(finding.tried)
    slow = run(replace(strong, optimizer=adamw(5e-3, weight_decay=1), epochs=20)).findings[0]
    assert slow.symptom == "weight-decay-on-norms" and slow.tried is None  # a fork is too short for that


def test_sigmoids_that_are_no_modules_are_left_as_they_are() -> None:
    class Gate(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.sigmoid(x)

    deep = next(c for c in SICK if c.name == "deep sigmoid")
    finding = run(replace(deep, model=lambda: mlp(depth=8, act=Gate))).findings[0]
    assert finding.symptom == "vanishing-gradients" and finding.tried is None


def test_a_remedy_that_does_worse_is_withdrawn() -> None:
    from downslope.diagnose import remedies
    from downslope.diagnose.forks import Change

    _, _, seen = trained(1e-2)
    trial, found = seen._follower.trial, Finding("plateau", "v", "c", "r", confidence=0.8)
    worse = lambda f, trial, s: trial.compare([Change("lr x 0", lr_factor=1e-6)])  # noqa: E731
    same = lambda f, trial, s: trial.compare([Change("the same", lr_factor=1.0)])  # noqa: E731
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(remedies.TRIALS, "plateau", worse)
        tried = remedies.tried(found, trial, seen.signals)
        assert tried.helped is False and "it did worse" in str(tried.tried) and tried.confidence < 0.8
        patch.setitem(remedies.TRIALS, "plateau", same)
        tried = remedies.tried(found, trial, seen.signals)
        assert tried.helped is None and "cannot be told apart" in str(tried.tried) and tried.confidence == 0.8
        trial.seconds = 100.0
        assert remedies.tried(found, trial, seen.signals).tried is None
        assert "1e+02 s a step is too long" in next(iter(trial.refused))
    seen.close()


def test_remedies_are_of_symptoms() -> None:
    assert set(TRIALS) <= set(SYMPTOMS)


def test_curvature_beyond_the_limit_is_told() -> None:
    """A quadratic of curvature 4: descent is stable up to 2 / lr."""
    model = nn.Linear(1, 1, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with downslope.watch(model, optimizer, budget=1.0) as seen:
        for _ in range(4):
            optimizer.zero_grad()
            F.mse_loss(model(torch.full((8, 1), 2.0**0.5)), torch.ones(8, 1)).backward()
            optimizer.step()
        seen._follower.guard.paused = True
        for lr in (0.1, 1.0):
            optimizer.param_groups[0]["lr"] = lr
            assert seen._edge() == pytest.approx(lr * 4.0 / 2.0, rel=1e-3)


# ---- the page


def test_every_finding_has_its_picture_and_the_page_holds_everything(tmp_path: Path) -> None:
    report = run(next(case for case in SICK if case.name == "overfitting"))
    page = report.save(tmp_path / "deep" / "out")
    text = page.read_text()
    finding = report.findings[0]
    assert finding.picture is not None and set(finding.picture.lines) == {"loss", "validation"}
    for part in (
        finding.verdict[1:],
        finding.remedy,
        "Overfitting",
        f"stop at {finding.since_step}",
        "<svg",
        "90% sure",
    ):
        assert part in text, part
    assert "http" not in text.replace("http-equiv", "") and len(text) < 60_000
    again = Report.from_json(json.loads((page.parent / "findings.json").read_text()))
    assert headline(again) == headline(report) and again.findings[0].picture is not None
    assert html(again, "out").count("<polyline") == 2


def test_a_page_of_nothing_and_one_of_anything() -> None:
    assert "Nothing is wrong" in html(Report([], steps=3), "x")
    wild = Finding(
        "<b>", "a < b", "c & d", "r", evidence={"a": [1, [2.0, math.nan]], "b": {"c": None, "d": [{}]}, "e": "x" * 3}
    )
    text = html(Report([wild, wild], notes=["<i>"]), "<title>")
    assert "<b>" not in text and "<i>" not in text and "&lt;b&gt;" in text and "A &lt; b" in text


PICTURES = {
    "one point": Picture("t", lines={"a": [(3, 2.0)]}),
    "all the same": Picture("t", lines={"a": [(0, 2.0), (1, 2.0)]}, log=True),
    "zero on a log scale": Picture("t", lines={"a": [(0, 0.0), (1, 2.0)]}, log=True, levels=[(0.0, "none")]),
    "huge": Picture("t", lines={"a": [(0, 1e-30), (5, 1e30)], "b": []}, marks=[(99, "late")], log=True),
    "bars of nothing": Picture("t", bars={"a": 0.0, "b": 0.0}),
    "negative bars": Picture("t", bars={"a": -1.0, "b" * 50: 2.0}, log=True),
}


@pytest.mark.parametrize("picture", PICTURES.values(), ids=PICTURES)
def test_pictures_stand_whatever_the_numbers(picture: Picture) -> None:
    from xml.etree import ElementTree

    drawn = ElementTree.fromstring(svg(picture))
    numbers = [v for e in drawn.iter() for k, v in e.attrib.items() if k in ("x", "y", "x1", "y1", "width", "points")]
    assert numbers and "nan" not in " ".join(numbers) and "inf" not in " ".join(numbers)
