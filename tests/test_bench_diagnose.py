"""The benchmark of the diagnosis: its tables, its split, its rules of others, and two cases from start to end."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from benchmarks.diagnose import __main__ as main
from benchmarks.diagnose import figures, journal, page
from benchmarks.diagnose.datasets import BUNDLED, DIMENSIONS, data
from benchmarks.diagnose.healthy import HEALTHY
from benchmarks.diagnose.judge import judge
from benchmarks.diagnose.kept_settings import KEPT
from benchmarks.diagnose.plan import Plan, _order, _replace, train
from benchmarks.diagnose.rules import cs231n, sagemaker, umlaut
from benchmarks.diagnose.rules.record import Course, Look, Record
from benchmarks.diagnose.rules.table import RULES
from benchmarks.diagnose.setting import Setting
from benchmarks.diagnose.settings import SETTINGS, TUNED
from benchmarks.diagnose.sick import SICK
from benchmarks.diagnose.split import Case, cases, settings
from torch import nn

from downslope.diagnose.findings import SYMPTOMS


def test_the_tables_are_as_wide_as_they_claim() -> None:
    assert len({k.name for k in SICK}) == len(SICK) >= 40 and len({k.name for k in HEALTHY}) == len(HEALTHY) >= 40
    assert all(set(k.settings) <= set(SETTINGS) and k.settings for k in (*SICK, *HEALTHY))
    for table in (TUNED, KEPT):
        used = [s for s in table.values() if any(s.name in settings(k) for k in (*SICK, *HEALTHY))]
        assert len(used) == len(table)
        assert len({s.architecture for s in used} - {"none"}) >= 5
        assert len({s.task.partition(",")[0] for s in used} & BUNDLED) >= 3
    for kind in (*SICK, *HEALTHY):  # a kind can be made in each of its settings
        for name in settings(kind):
            assert isinstance(kind.change(Plan.of(SETTINGS[name])), Plan)


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=lambda s: s.name)
def test_the_network_of_a_setting_fits_its_data(setting: Setting) -> None:
    x, y, vx, vy = data(setting.task)
    assert len(x) == len(y) >= 2 * setting.batch and len(vx) == len(vy) >= 64
    assert x.dtype == vx.dtype and y.dtype == vy.dtype and x.shape[1:] == vx.shape[1:]
    if setting.task in DIMENSIONS:
        inputs, outputs = DIMENSIONS[setting.task]
        assert x[0].numel() == inputs and (y[0].numel() == outputs if y.is_floating_point() else y.max() == outputs - 1)
    torch.manual_seed(0)
    output = setting.model()(x[: setting.batch]).detach()
    assert setting.loss(output, y[: setting.batch]).isfinite() and setting.metric(output, y[: setting.batch]) <= 1
    assert setting.lr <= setting.top and setting.sgd <= setting.sgd_top and setting.chance < setting.reach


def test_every_symptom_is_planted_and_what_counts_as_right_exists_and_is_narrow() -> None:
    planted = [name for kind in SICK for name in kind.right]
    assert set(planted) == set(SYMPTOMS) - {"same-batches"}  # of several processes, which a case is not
    assert all(1 <= len(kind.right) <= 2 for kind in SICK) and not any(kind.right for kind in HEALTHY)
    assert all(rule.means <= set(SYMPTOMS) for rule in RULES)
    assert len({rule.name for rule in RULES}) == len(RULES)


def test_no_case_is_tuned_on_and_kept() -> None:
    """No kind in a setting that it is kept in, and no seed, is in both parts."""
    tuning, kept = cases("tuning"), cases("kept")
    assert not {(c.kind.name, c.setting) for c in tuning} & {(c.kind.name, c.setting) for c in kept}
    assert not {c.seed for c in tuning} & {c.seed for c in kept}
    assert sorted(c.name for c in (*tuning, *kept)) == sorted(c.name for c in cases())
    assert {c.setting for c in tuning} == set(SETTINGS)
    for table, least in ((SICK, 150), (HEALTHY, 200)):
        new = [k for k in table if set(k.settings) <= set(KEPT)]  # of the second part
        assert len(new) >= 14 and all(
            {s for s, part in settings(k).items() if part == "kept"} <= set(TUNED) for k in new
        )
        assert all(set(k.settings) <= set(TUNED) for k in table if k not in new)
        assert sum(c.kind in table for c in kept) >= least
        assert len({c.kind.name for c in kept if c.kind in table}) >= 40
    assert [c.seed == 402 for c in kept] == sorted(c.seed == 402 for c in kept)


def test_what_was_kept_before_has_its_names_still() -> None:
    """Numbers of cases by seed, as they were published."""
    counts = Counter((c.kind.healthy, c.seed) for c in cases("tuning"))
    assert counts == {
        (False, 0): 120,
        (True, 0): 97,
        (True, 1): 97,
        (False, 101): 169,
        (True, 101): 134,
        (True, 102): 134,
        (False, 301): 235,
        (True, 301): 177,
        (True, 302): 177,
    }


def test_results_of_cases_that_have_left_a_part_are_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main, "RESULTS", tmp_path / "results.json")
    kept, moved = cases("kept")[0], next(c for c in cases("tuning") if c.seed == 101)
    before = [{"case": c.name, "split": "kept"} for c in (kept, moved)]
    main.RESULTS.write_text(json.dumps({"entries": before}))
    new = {"case": cases("tuning")[0].name, "split": "tuning"}
    assert main.merge([new])["entries"] == [before[0], new]


def test_what_loops_do_wrong_is_done() -> None:
    torch.manual_seed(0)
    plan = replace(Plan.of(SETTINGS["mlp rings"]), batch=8, order="grouped")
    y = torch.arange(96) % 3
    order = _order(plan, y)
    batches = y[order].view(-1, 8)
    assert sorted(order.tolist()) == list(range(96)) and (batches == batches[:, :1]).all()
    assert (batches[:, 0].diff() != 0).sum() > 2  # sorted ones change twice
    for which in (0, -1):
        model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 2))
        before = list(model.parameters())
        _replace(model, which)
        same = [p is q for p, q in zip(before, model.parameters())]
        assert same == ([False, False, True, True] if which == 0 else [True, True, False, False])


@pytest.mark.parametrize("name", ["zeroed once an epoch", "values of gradients clipped to nothing"])
def test_a_slip_of_the_kept_part_changes_what_is_learned(name: str) -> None:
    kind = next(k for k in SICK if k.name == name)
    plan = replace(kind.change(Plan.of(SETTINGS["mlp rings"])), epochs=1)
    sick, well = (train(p, 7, None) for p in (plan, replace(plan, slips=frozenset(), clip_value=None)))
    assert sick.losses[0] == well.losses[0] and sick.losses[1:3] != well.losses[1:3]


def case(kind: str, setting: str) -> Case:
    """With fewer epochs than in the benchmark."""
    found = next(k for k in (*SICK, *HEALTHY) if k.name == kind)
    return Case(replace(found, change=lambda p: replace(found.change(p), epochs=3)), setting, 7, "tuning")


def test_a_sick_case_from_start_to_end() -> None:
    entry = judge(case("gradients not zeroed", "mlp digits"))
    assert entry["found"][0] == "gradients-not-zeroed" and figures.right_first(entry) and not entry["healthy"]
    assert entry["rules"] and set(entry["rules"]) <= {rule.name for rule in RULES} and math.isfinite(entry["score"])


def test_a_healthy_case_from_start_to_end_is_the_same_when_nobody_looks(tmp_path: Path) -> None:
    one, other = judge(case("as it is", "mlp digits")), judge(case("as it is", "mlp digits"), None)
    assert one["found"] == [] and (one["score"], one["loss"]) == (other["score"], other["loss"])
    log = tmp_path / "journal.jsonl"
    journal.add(log, one | {"loss": math.nan}, "a")
    journal.add(log, other, "b")
    log.write_text(log.read_text() + '{"case": "cut o')
    assert list(journal.read(log, "a")) == [one["case"]] and journal.read(log, "a")[one["case"]]["loss"] is None
    text = page.page({"date": "2000-01-01", "machine": "", "entries": [one | {"split": "kept", "holds": True}]}, {})
    assert "0 of 1, 0.0% (0.0% to 97.5%)" in text


def look(model: nn.Module, x: torch.Tensor, *, lr: float = 1e-3, step: float = 1e-3) -> list[Look]:
    """A step of descent of a model, as the rules see it."""
    record = Record()
    record.rules = []
    optimizer = torch.optim.SGD(model.parameters(), lr)
    model(x).square().mean().backward()
    record.before(0, model, x, 1.0, optimizer)
    with torch.no_grad():
        for p in model.parameters():
            p += step * p.norm() * torch.ones_like(p) / math.sqrt(p.numel())
    record.after(0, model)
    return record.looks


def net(act: nn.Module, bias: float = 0.0, scale: float = 1.0) -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), act, nn.Linear(16, 4))
    with torch.no_grad():
        model[0].weight *= scale
        model[0].bias.fill_(bias)
    return model


X = torch.randn(64, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "rule, sick, well",
    [
        (sagemaker.dead_relu, (net(nn.ReLU(), -50.0), X), (net(nn.ReLU()), X)),
        (sagemaker.saturated, (net(nn.Tanh(), 20.0), X), (net(nn.Tanh()), X)),
        (sagemaker.vanishing_gradient, (net(nn.Tanh(), 20.0), X), (net(nn.Tanh()), X)),
        (sagemaker.exploding_tensor, (net(nn.ReLU()), X / 0), (net(nn.ReLU()), X)),
        (sagemaker.poor_initialisation, (net(nn.ReLU(), 0.1, 20.0), X), (net(nn.Tanh()), 9 * X)),
        (sagemaker.all_zero, (net(nn.ReLU(), -50.0), X), (net(nn.ReLU()), X)),
        (umlaut.input_range, (net(nn.ReLU()), X * 99), (net(nn.ReLU()), X.clamp(-1, 1))),
        (umlaut.not_a_number, (net(nn.ReLU()), X * torch.nan), (net(nn.ReLU()), X)),
    ],
    ids=lambda v: getattr(v, "__name__", ""),
)
def test_a_published_rule_fires_on_planted_tensors_and_not_on_others(rule, sick, well) -> None:  # type: ignore[no-untyped-def]
    assert rule(look(*sick), Course()) and not rule(look(*well), Course())


def test_published_rules_of_rates_and_courses() -> None:
    small, usual, large = (look(net(nn.ReLU(), 0.1), X, lr=r, step=r) for r in (1e-9, 1e-3, 20.0))
    high, low = sagemaker.update_ratio(False), sagemaker.update_ratio(True)
    assert [high(x, Course()) for x in (small, usual, large)] == [False, False, True]  # type: ignore[operator]
    assert [low(x, Course()) for x in (small, usual, large)] == [True, False, False]  # type: ignore[operator]
    assert [cs231n.updates_large(x, Course()) for x in (small, usual, large)] == [False, False, True]
    assert [cs231n.updates_small(x, Course()) for x in (small, usual, large)] == [True, False, False]
    assert [umlaut.high_rate(x, Course()) for x in (usual, large)] == [False, True]
    assert umlaut.low_rate(small, Course()) and not umlaut.low_rate(usual, Course())
    falling = Course(losses=[1 / (i + 1) for i in range(11)], classes=10)
    flat = Course(losses=[2.3] * 11, classes=10)
    assert [sagemaker.not_decreasing([], c) for c in (falling, flat)] == [False, True]
    assert [cs231n.first_loss([], c) for c in (falling, flat)] == [True, False]
    assert cs231n.three_times([], Course(losses=[1.0, 3.1])) and not cs231n.three_times([], falling)
    fits = Course(train=[1.0, 0.5], validation=[1.0, 0.5])
    over = Course(train=[1.0, 0.5], validation=[1.0, 1.2], train_accuracy=[0.99], validation_accuracy=[0.7])
    assert [sagemaker.overfit([], c) for c in (fits, over)] == [False, True]
    assert [umlaut.overfitting([], c) for c in (fits, over)] == [False, True]
    assert cs231n.wide_gap([], over)
    rare = Course(counts={0: 600, 1: 30}, right={0: 600, 1: 30})
    assert sagemaker.class_imbalance([], rare) and not sagemaker.class_imbalance([], Course(counts={0: 5, 1: 5}))
