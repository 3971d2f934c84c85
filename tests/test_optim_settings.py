"""Settings: what is refused, in which words, and what a user may do with param groups."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import downslope
from downslope import SettingError, optim
from downslope.optim import CLASSES, Adam, by_name
from optim_cases import assert_same_bits, contents, parameters, parameters_for, take_steps

BAD: list[tuple[str, dict[str, Any], str]] = [
    ("Adam", {"lr": -1}, "Adam: lr is -1; it must be at least 0"),
    ("Adam", {"lr": "fast"}, "Adam: lr is 'fast'; it must be a number, a schedule or a tensor of one element"),
    ("Adam", {"lr": None}, "Adam: lr is None; it must be a number"),
    ("Adam", {"lr": float("nan")}, "Adam: lr is nan"),
    ("Adam", {"lr": torch.ones(2)}, r"Adam: lr is a tensor of shape \(2,\); a setting is one number"),
    ("Adam", {"lr": torch.tensor(-0.5)}, "Adam: lr is -0.5; it must be at least 0"),
    ("Adam", {"betas": 0.9}, r"Adam: betas is 0.9; it takes 2 numbers, such as betas=\(0.9, 0.999\)"),
    ("Adam", {"betas": (0.9,)}, r"Adam: betas is \(0.9,\); it takes 2 numbers"),
    ("Adam", {"betas": (0.9, 1.0)}, r"Adam: betas\[1\] is 1.0; it must be at least 0 and below 1"),
    ("Adam", {"eps": -1e-8}, "Adam: eps is -1e-08; it must be at least 0"),
    ("Adam", {"weigth_decay": 0.1}, "Adam: has no setting 'weigth_decay'; did you mean weight_decay"),
    ("Adam", {"momentum": 0.9}, "Adam: has no setting 'momentum'"),
    ("Adam", {"foreach": True, "fused": True}, "Adam: foreach and fused are both asked for"),
    ("AdamW", {"decoupled_weight_decay": False}, "AdamW: has no setting 'decoupled_weight_decay'"),
    ("Adam", {"max_norm": 0}, "Adam: max_norm is 0; it must be above 0, or None for no clipping"),
    ("Adam", {"max_norm": "1"}, "Adam: max_norm is '1'; it must be a number"),
    ("Adam", {"clip_value": -1}, "Adam: clip_value is -1; it must be above 0"),
    ("Adam", {"ema": 1}, "Adam: ema is 1; it must be at least 0 and below 1, such as 0.999"),
    ("SGD", {"nesterov": True}, "SGD: nesterov with momentum=0, dampening=0; Nesterov momentum needs"),
    ("SGD", {"nesterov": True, "momentum": 0.9, "dampening": 0.1}, "SGD: nesterov with momentum=0.9, dampening=0.1"),
    ("Rprop", {"etas": (1.5, 0.5)}, r"Rprop: etas\[0\] is 1.5; it must be above 0 and below 1"),
    ("Adadelta", {"rho": 1.1}, "Adadelta: rho is 1.1; it must be from 0 to 1"),
    ("Lion", {"betas": (0.9, 0.99, 0.999)}, "Lion: betas is .*; it takes 2 numbers"),
]


@pytest.mark.parametrize(("name", "settings", "message"), BAD, ids=lambda x: str(x)[:40])
def test_bad_settings(name: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        CLASSES[name](parameters(), **settings)


IN_GROUPS = [
    case
    for case in BAD
    if case[1]
    .keys()
    .isdisjoint({"momentum", "decoupled_weight_decay", "max_norm", "clip_value", "ema", "weigth_decay"})
]


@pytest.mark.parametrize(("name", "settings", "message"), IN_GROUPS, ids=lambda x: str(x)[:40])
def test_bad_settings_of_a_group(name: str, settings: dict[str, Any], message: str) -> None:
    a, b = parameters((3,), (4,))
    with pytest.raises(SettingError, match=message):
        CLASSES[name]([{"params": a, **settings}])
    optimizer = CLASSES[name]([a])
    with pytest.raises(SettingError, match=message):
        optimizer.add_param_group({"params": b, **settings})
    assert len(optimizer.param_groups) == 1
    take_steps(optimizer, 0, 2)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("weigth_decay", "Adam: a param group has the key 'weigth_decay'; did you mean 'weight_decay'?"),
        ("LR", "did you mean 'lr'?"),
        ("beta", "did you mean 'betas'?"),
        (
            "max_norm",
            r"Adam: max_norm is a setting of the whole optimizer, not of a param group; write Adam\(params, max_",
        ),
        ("ema", "ema is a setting of the whole optimizer"),
    ],
)
def test_misspelt_keys_of_a_group(key: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        Adam([{"params": parameters(), key: 0.1}])


@pytest.mark.parametrize("name", CLASSES)
def test_other_keys_of_a_group_are_kept(name: str) -> None:
    """torch's schedulers, timm and others keep notes there."""
    notes = {"name": "head", "lr_scale": 0.1, "initial_lr": 0.2, "max_lr": 1.0, "max_momentum": 0.9, "layer": 3}
    optimizer = CLASSES[name]([{"params": parameters_for(CLASSES[name]), **notes}])
    take_steps(optimizer, 0, 2)
    assert notes.items() <= optimizer.param_groups[0].items()
    assert notes.items() <= optimizer.state_dict()["param_groups"][0].items()


def test_positions() -> None:
    with pytest.raises(SettingError, match="Adam: takes 5 settings by position, got 6"):
        Adam(parameters(), 1e-3, (0.9, 0.99), 1e-8, 0, False, True)
    with pytest.raises(SettingError, match=r"Adam: lr is given twice, as 0.1 and as 0.2"):
        Adam(parameters(), 0.1, lr=0.2)


def test_a_setting_changed_between_steps_counts() -> None:
    changed, other = Adam(parameters(), lr=0.1), Adam(parameters(), lr=0.1)
    take_steps(changed, 0, 2)
    take_steps(other, 0, 2)
    changed.param_groups[0].update(lr=0.01, betas=(0.5, 0.9), weight_decay=0.1, amsgrad=True, maximize=True)
    rest = Adam(
        other.param_groups[0]["params"], lr=0.01, betas=(0.5, 0.9), weight_decay=0.1, amsgrad=True, maximize=True
    )
    rest.state.update({p: dict(state) for p, state in other.state.items()})
    take_steps(changed, 2, 4)
    take_steps(rest, 2, 4)
    assert_same_bits(changed, rest)


def test_text_put_into_a_group_changes_nothing() -> None:
    optimizer = Adam(parameters(), lr=0.1)
    take_steps(optimizer, 0, 1)
    before = contents(optimizer)
    optimizer.param_groups[0]["betas"] = (0.9, "slow")
    with pytest.raises(SettingError, match=r"adam: betas\[1\] of a param group is 'slow'; it must be a number"):
        take_steps(optimizer, 1, 2)
    torch.testing.assert_close(contents(optimizer), before, rtol=0, atol=0)


def test_names() -> None:
    assert by_name("adamw") is by_name("Adam_W") is CLASSES["AdamW"]
    with pytest.raises(SettingError, match=r"unknown optimizer 'addam'; did you mean .*adam"):
        by_name("addam")
    with pytest.raises(AttributeError, match=r"downslope.optim has no optimizer 'Adamm'; did you mean"):
        _ = optim.Adamm
    assert {*CLASSES} <= {*optim.__all__}


def test_the_base_class_makes_no_optimizer() -> None:
    with pytest.raises(SettingError, match=r"Optimizer: has no formula; make .* downslope.optimizer\(formula\)"):
        optim.Optimizer(parameters())


def test_every_error_is_downslopes_and_a_value_error() -> None:
    assert issubclass(SettingError, downslope.DownslopeError) and issubclass(SettingError, ValueError)
