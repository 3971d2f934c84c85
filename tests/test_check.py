"""Checks from outside: nothing is left changed, the command line, and how single readings are made."""

import json
import random
import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import downslope.check as checks
from downslope import SettingError, Task, cli
from downslope.check.rates import read
from downslope.check.tree import change, count, leaves
from downslope.check.verdict import GRADES, Notes
from test_check_healthy import SIMPLE, loaders, mlp, task


def everything(model, loader):
    """Every state that a check could disturb."""
    return [
        torch.get_rng_state(), loader.generator.get_state(),
        torch.tensor(np.random.get_state()[1].astype(np.int64)),
        torch.tensor(random.getstate()[1]), *model.state_dict().values(),
        torch.tensor([m.training for m in model.modules()]),
        torch.tensor([p.requires_grad for p in model.parameters()]),
        torch.tensor([p.grad is None for p in model.parameters()]), torch.tensor(torch.get_num_threads()),
        torch.tensor(torch.is_grad_enabled()),
    ]  # fmt: skip


def test_nothing_is_left_changed():
    torch.manual_seed(5), random.seed(5), np.random.seed(5)
    model = mlp(12, 16, 4, norm=nn.BatchNorm1d).train()
    model[0].eval()
    loader = loaders(*SIMPLE[0], shuffle=True, generator=torch.Generator().manual_seed(8))
    before = [t.clone() for t in everything(model, loader)]
    kept = Task.of(lambda: model, loader, loaders(*SIMPLE[1]), loss=F.cross_entropy)  # the same module every time
    with torch.no_grad():
        found = checks.check(kept)
        torch.set_grad_enabled(True)
    assert not [v for v in found if v.verdict == "fail"]
    for old, new in zip(before, everything(model, loader), strict=True):
        assert torch.equal(old, new)


def test_the_same_seed_gives_the_same_verdicts_whatever_else_is_asked():
    sound = task(lambda: mlp(12, 16, 4), SIMPLE)
    whole = {v.name: v for v in checks.check(sound, seed=3)}
    torch.rand(7)
    for v in checks.check(sound, seed=3, only=["overfit", "first-loss", "learning-rate", "inputs-used"]):
        assert (v.evidence, v.figures) == (whole[v.name].evidence, whole[v.name].figures)
    other = checks.check(sound, seed=4, only=["first-loss"])[0]
    assert other.figures["loss"] != whole["first-loss"].figures["loss"]


def test_the_package_is_the_function_too():
    assert callable(checks) and [v.name for v in checks(task(lambda: mlp(12, 4), SIMPLE), only=["step"])] == ["step"]


@pytest.mark.parametrize("optimizer", ["sgd", "lion", "adadelta", torch.optim.SGD])
def test_the_rate_of_any_optimizer(optimizer):
    (found,) = checks.check(task(lambda: mlp(12, 16, 4), SIMPLE), only=["learning-rate"], optimizer=optimizer)
    assert found.verdict in ("ok", "warn"), str(found)
    low, high = found.figures["interval"]
    assert low < found.figures["tried"]["inside"]["lr"] * 10 <= high * 2


def test_a_run_cut_short_proves_nothing():
    found = checks.check(task(lambda: mlp(12, 16, 4), SIMPLE), seconds=0)
    runs = {v.name: v for v in found if v.name in ("overfit", "inputs-used", "learning-rate")}
    assert {v.verdict for v in runs.values()} <= {"cannot tell"}
    assert "stopped after 0 s" in runs["overfit"].evidence
    assert not found.failed


def test_what_follows_a_step_that_does_not_run():
    found = {v.name: v.verdict for v in checks.check(task(lambda: mlp(11, 4), SIMPLE))}
    assert found["step"] == "fail" and found["gradcheck"] == found["overfit"] == "cannot tell"
    assert found["labels"] == found["leakage"] == "ok"


def test_the_worst_note_is_the_verdict():
    notes = Notes()
    assert notes.verdict().verdict == "ok"
    for grade in GRADES:
        {"ok": lambda: notes.ok("a"), "cannot tell": lambda: notes.unsure("b"), "warn": lambda: notes.warn("c", "C"),
         "fail": lambda: notes.fail("d", "D")}[grade]()  # fmt: skip
        assert notes.verdict().verdict == grade
    assert notes.verdict().evidence == "d; c" and notes.verdict().remedy == "D; C"


def test_of_much_data_only_what_was_read_is_judged(monkeypatch):
    monkeypatch.setattr("downslope.check.scan.VALUES", 100)
    monkeypatch.setattr("downslope.check.scan.CHUNK", 10)
    order = SIMPLE[0][1].argsort()
    (x, y), validation = (SIMPLE[0][0][order], SIMPLE[0][1][order]), SIMPLE[1]
    wanted = ["labels", "order", "leakage"]

    def grades(train):
        made = Task.of(lambda: mlp(12, 4), train, validation, loss=F.cross_entropy)
        return {v.name: v.verdict for v in checks.check(made, only=wanted)}

    assert grades((x, y)) == {"labels": "ok", "order": "warn", "leakage": "cannot tell"}  # the targets are at hand
    unsure = dict.fromkeys(wanted, "cannot tell")
    monkeypatch.setattr("downslope.check.scan.ROWS", 10)
    assert grades(DataLoader(TensorDataset(x, y), batch_size=16)) == unsure  # 16 rows, all of one label


RATES = [10 ** (i / 10 - 5) for i in range(51)]


def test_a_sweep_is_read_at_its_fall_its_floor_and_its_edge():
    losses = [2.0] * 20 + [2 - 0.1 * i for i in range(16)] + [0.5] * 5 + [50.0] * 10
    found = read(RATES, losses)
    assert RATES[20] < found.begins < RATES[26] and RATES[36] <= found.lowest <= RATES[41]
    assert RATES[41] <= found.diverges <= RATES[42]
    assert read(RATES, [2.0] * 51) is None and read(RATES, [2.0, float("nan")]) is None
    halted = read(RATES, [*losses[:38], float("nan")])
    assert halted.diverges == RATES[38] and halted.lowest <= RATES[37]


def test_trees():
    tree = {"a": (torch.ones(3), [torch.zeros(3, 2)]), "b": "word"}
    assert len(leaves(tree)) == 2 and count(tree) == 3
    assert change(tree, lambda t: t + 1)["a"][1][0].sum() == 6 and change(tree, len)["b"] == "word"
    assert count([torch.ones(3), torch.ones(2)]) is None


# ---- the command line

FILE = """
import torch
from torch import nn

def data():
    x = torch.randn(200, 5, generator=torch.Generator().manual_seed(0))
    y = (x.sum(1) > 0).long()
    return (x[:150], y[:150]), (x[150:], y[150:])

def model():
    return nn.Linear(5, {outputs})

loss = nn.functional.cross_entropy
"""


def call(args, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["downslope", "check", *args])
    try:
        cli.main()
        status = 0
    except SystemExit as stopped:
        status = stopped.code
    return status, *capsys.readouterr()


@pytest.fixture
def file(tmp_path):
    def write(outputs):
        path = tmp_path / "mine.py"
        path.write_text(FILE.replace("{outputs}", str(outputs)))
        return str(path)

    return write


def test_a_sound_file_passes_with_status_0(file, monkeypatch, capsys):
    status, out, err = call([file(2), "--only", "step,first-loss"], monkeypatch, capsys)
    assert (status or 0, err) == (0, "")
    assert [line.split()[1] for line in out.splitlines()[:2]] == ["step", "first-loss"] and "2 ok; " in out


def test_a_fail_is_status_1_and_json_stands_alone(file, monkeypatch, capsys):
    status, out, err = call([file(1), "--json", "--seed", "2"], monkeypatch, capsys)
    board = json.loads(out)
    assert status == 1 and err == "" and board["seed"] == 2
    assert [v["name"] for v in board["verdicts"]] == list(checks.CHECKS)
    assert board["verdicts"][0]["verdict"] == "fail" and board["verdicts"][0]["remedy"]


def test_a_narrow_terminal_shows_every_word(file, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "50")
    status, out, _ = call([file(1), "--only", "step"], monkeypatch, capsys)
    assert status == 1 and max(map(len, out.splitlines())) <= 50 and "Target" in out


@pytest.mark.parametrize(
    ("args", "said"),
    [(["--only", "overfitt"], "no check 'overfitt'; did you mean overfit"), (["--optimizer", "addam"], "did you mean")],
)
def test_wrong_use_is_one_line(args, said, file, monkeypatch, capsys):
    status, out, err = call([file(2), *args], monkeypatch, capsys)
    assert (status, out) == (2, "") and said in err and err.count("\n") == 1
    with pytest.raises(SettingError):
        checks.check(task(lambda: mlp(12, 4), SIMPLE), **{args[0][2:]: args[1:] if args[0] == "--only" else args[1]})
