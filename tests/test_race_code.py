"""The code that a race hands out: it runs as pasted, and torch's gives the same parameters as downslope's."""

from __future__ import annotations

import copy

import pytest
import torch

from downslope.optim import OPTIMIZERS, TORCH
from downslope.race.code import code
from downslope.race.common import SCHEDULES

STEPS = 20
SETTINGS = {
    "sgd": {"lr": 0.1, "weight_decay": 1e-3},
    "momentum": {"lr": 0.05, "momentum": 0.8, "weight_decay": 1e-3},
    "nag": {"lr": 0.05, "momentum": 0.8},
    "adam": {"lr": 0.01, "betas[0]": 0.8, "weight_decay": 1e-3},
    "adamw": {"lr": 0.012, "betas[1]": 0.99, "betas[0]": 0.85, "weight_decay": 0.1, "eps": 1e-6},
    "rmsprop": {"lr": 0.003, "alpha": 0.9, "momentum": 0.5},
    "amsgrad": {"lr": 0.01, "weight_decay": 1e-3},
    "lion": {"lr": 1e-3, "betas[0]": 0.8},
}
# what torch.optim has in no form, of the rules that downslope has
ONLY_HERE = {"qhm", "rootmeansquare", "yogi", "adabelief", "adan", "adopt", "ademamix", "qhadam", "signum", "lion"}
IN_TORCH = {*map(str.lower, TORCH), "momentum", "nag", "amsgrad"}
ONLY_HERE |= {"muon"}  # torch's has no rule for vectors


def network():
    torch.manual_seed(3)
    layers = torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3)
    return torch.nn.Sequential(*layers).double()


def trained(text, model):
    """The parameters after STEPS steps of the code, pasted after a model."""
    torch.manual_seed(5)
    inputs, targets = torch.randn(STEPS, 16, 6).double(), torch.randint(0, 3, (STEPS, 16))
    space = {"model": model}
    exec(text, space)
    for x, y in zip(inputs, targets):
        space["optimizer"].zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()
        space["optimizer"].step()
        if "scheduler" in space:
            space["scheduler"].step()
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize(
    ("name", "schedule", "warmup"),
    [
        (name, schedule, warmup)
        for name in OPTIMIZERS
        for schedule in SCHEDULES
        for warmup in (0.0, 0.2)
        if name in IN_TORCH or (schedule, warmup) in (("constant", 0.0), ("cosine", 0.2))
    ],
)
def test_both_codes_run_and_give_the_same_parameters(name, schedule, warmup):
    made = code(name, SETTINGS.get(name, {}), schedule, warmup, STEPS)
    start = network()
    before = torch.cat([p.detach().flatten() for p in start.parameters()])
    ours = trained(made["downslope"], copy.deepcopy(start))
    assert not torch.equal(ours, before)
    if made["torch"] is None:
        elsewhere_constant = name in ("momentum", "nag") and (schedule, warmup) != ("constant", 0.0)
        assert name in ONLY_HERE or elsewhere_constant or not hasattr(torch.optim, OPTIMIZERS[name].__name__)
        return
    theirs = trained(made["torch"], copy.deepcopy(start))
    # torch's NAdam keeps a product in float32
    assert (ours - theirs).norm() <= {"nadam": 1e-6}.get(name, 1e-8) * (ours - before).norm()


def test_torch_code_is_there_for_all_that_torch_has():
    for name in TORCH:
        if hasattr(torch.optim, name) and name != "Muon":  # which has no rule for vectors
            for schedule in SCHEDULES:
                assert code(name.lower(), {}, schedule, 0.1, 100)["torch"], (name, schedule)
    for name in ("momentum", "nag", "amsgrad"):
        assert code(name, {}, "constant", 0.0, 100)["torch"]
    # torch's momentum is 0 by default
    assert "SGD(model.parameters(), lr=0.01, momentum=0.9)" in str(code("momentum", {}, "constant", 0.0, 100)["torch"])


def test_the_code_as_it_reads():
    settings = {"lr": 1.2e-3, "betas[0]": 0.85, "weight_decay": 0.1, "task.hidden": 64}
    assert code("adamw", settings, "cosine", 0.0, 600) == {
        "downslope": "# with the task's hidden=64\nfrom downslope import optim, schedules\n\n"
        "optimizer = optim.AdamW(model.parameters(), lr=schedules.cosine(0.0012, steps=600), betas=(0.85, 0.999), "
        "weight_decay=0.1)\n",
        "torch": "# with the task's hidden=64\nimport torch\n\n"
        "optimizer = torch.optim.AdamW(model.parameters(), lr=0.0012, betas=(0.85, 0.999), weight_decay=0.1)\n"
        "scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=600, eta_min=0.0)\n"
        "# after each optimizer.step(): scheduler.step()\n",
    }


def test_a_trials_own_schedule_goes_before_the_races():
    assert code("adam", {"lr": 0.1, "schedule": "linear"}, "cosine", 0.0, 50) == code(
        "adam", {"lr": 0.1}, "linear", 0.0, 50
    )


RULES = """
import downslope

def halved(p, g, *, lr=0.1, power=1):
    return p - lr / 2**power * g

@downslope.optimizer
def Halved(p, g, *, lr=0.1, power=1):
    return p - lr / 2**power * g
"""


@pytest.mark.parametrize("name", ["halved", "Halved"])
def test_a_rule_of_the_users_own(name, tmp_path, monkeypatch):
    (tmp_path / "rules_of_mine.py").write_text(RULES)
    monkeypatch.syspath_prepend(tmp_path)
    made = code("halved", {"lr": 0.1, "power": 2}, "cosine", 0.0, STEPS, f"{tmp_path}/rules_of_mine.py:{name}")
    assert made["torch"] is None
    plain = code("sgd", {"lr": 0.025}, "cosine", 0.0, STEPS)
    torch.testing.assert_close(trained(made["downslope"], network()), trained(plain["downslope"], network()))
    assert f"from rules_of_mine import {name}\n" in made["downslope"]


def test_a_rule_of_a_script_or_notebook_is_there_already():
    made = code("halved", {"lr": 0.1}, "constant", 0.0, 50, "__main__:halved")["downslope"]
    assert made.startswith("from downslope import optimizer\n\noptimizer = optimizer(halved)(")
    assert "__main__" not in made


def test_a_part_of_a_tuple_of_an_unknown_rule_stands_in_a_comment():
    made = code("mine", {"lr": 0.1, "betas[0]": 0.8}, "constant", 0.0, 50)
    assert made["downslope"] == "# and with betas[0]=0.8\noptimizer = mine(model.parameters(), lr=0.1)\n"


def test_what_torch_does_not_take_has_no_torch_code():
    assert code("adam", {"lr": 0.1, "max_norm": 1.0}, "constant", 0.0, 50)["torch"] is None
