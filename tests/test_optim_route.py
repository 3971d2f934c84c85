"""One optimizer of several rules: who gets what, one call, one norm, one state dict."""

import copy
import pickle

import pytest
import torch
from torch import nn

from downslope import schedules
from downslope.errors import SettingError, StateError
from downslope.optim import SGD, AdamW, Lion, Muon, Route, for_model
from downslope.optim.route import Rule
from downslope.optim.select import kinds, named


class Net(nn.Module):
    def __init__(self, layers: int = 2) -> None:
        super().__init__()
        self.emb = nn.Embedding(20, 8)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(8, 12), nn.LayerNorm(12), nn.Linear(12, 8)) for _ in range(layers)
        )
        self.gain = nn.Parameter(torch.ones(8))
        self.head = nn.Linear(8, 20)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.emb(x)
        for block in self.blocks:
            x = x + block(x)
        return self.head(x * self.gain)


def net() -> Net:
    torch.manual_seed(0)
    return Net()


def give_gradients(model: nn.Module, step: int) -> None:
    generator = torch.Generator().manual_seed(step)
    for p in model.parameters():
        p.grad = torch.randn(p.shape, generator=generator)


def steps(optimizer: torch.optim.Optimizer, model: nn.Module, first: int, last: int) -> None:
    for step in range(first, last):
        give_gradients(model, step)
        optimizer.step()


def values(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def test_what_each_parameter_is() -> None:
    model = net()
    found = kinds(model, named(model))
    assert {name for name, kind in found.items() if kind == "matrix"} == {
        f"blocks.{i}.{j}.weight" for i in (0, 1) for j in (0, 2)
    }
    assert found["emb.weight"] == "embedding" and found["head.weight"] == "head" and found["gain"] == "vector"
    assert found["blocks.0.1.weight"] == found["blocks.0.1.bias"] == "norm" and found["head.bias"] == "bias"
    alone = kinds(model.named_parameters(), named(model))
    assert alone["emb.weight"] == "embedding" and alone["head.weight"] == "head"


def test_a_weight_tied_to_an_embedding_is_that_embedding() -> None:
    model = net()
    model.head.weight = model.emb.weight
    assert kinds(model, named(model))["emb.weight"] == "embedding"


@pytest.mark.parametrize("max_norm", [None, 0.5])
def test_it_steps_as_the_optimizers_alone_do_with_the_norm_of_all(max_norm) -> None:
    together, apart = net(), net()
    usual = Route.usual(together, Muon(lr=0.02), AdamW(lr=3e-3, weight_decay=0.1), max_norm=max_norm)
    of = kinds(apart, named(apart))
    parts = {kind: [p for n, p in apart.named_parameters() if of[n] in names] for kind, names in {
        "matrices": ("matrix",), "vectors": ("norm", "bias", "vector"), "rest": ("embedding", "head")
    }.items()}  # fmt: skip
    alone = [
        Muon(parts["matrices"], lr=0.02),
        AdamW(parts["vectors"], lr=3e-3, weight_decay=0.0),
        AdamW(parts["rest"], lr=3e-3, weight_decay=0.1),
    ]
    for step in range(5):
        give_gradients(apart, step)
        if max_norm is not None:
            nn.utils.clip_grad_norm_(apart.parameters(), max_norm)
        for optimizer in alone:
            optimizer.step()
    steps(usual, together, 0, 5)
    for a, b in zip(together.parameters(), apart.parameters()):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_it_is_one_native_call_a_pass() -> None:
    model = net()
    optimizer = Route(model, {"matrices": Lion(lr=1e-3), "rest": AdamW()})
    steps(optimizer, model, 0, 1)
    assert len(optimizer._batch._stages) == 1 and not optimizer._batch._slow


def test_a_checkpoint_has_names_and_goes_on_bitwise() -> None:
    def make(model: nn.Module) -> Route:
        rest = AdamW(lr=schedules.cosine(1e-2, steps=9))
        return Route(model, {"vectors": SGD(lr=0.1, momentum=0.9), "rest": rest}, ema=0.9)

    one, other = net(), net()
    first = make(one)
    steps(first, one, 0, 4)
    saved = copy.deepcopy({"model": one.state_dict(), "optimizer": first.state_dict()})
    assert {*saved["optimizer"]["state"]} == {name for name, _ in one.named_parameters()}
    other.load_state_dict(saved["model"])
    second = make(other)
    second.load_state_dict(saved["optimizer"])
    steps(first, one, 4, 8)
    steps(second, other, 4, 8)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters()))
    for a, b in zip(one.parameters(), other.parameters()):
        assert torch.equal(first.state[a]["ema"], second.state[b]["ema"])


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda both: pickle.loads(pickle.dumps(both))])
def test_copies_go_on_bitwise(duplicate) -> None:
    model = net()
    optimizer = Route.usual(model, Muon(), AdamW(), max_norm=1.0)
    steps(optimizer, model, 0, 2)
    model_2, optimizer_2 = duplicate((model, optimizer))
    steps(optimizer, model, 2, 4)
    steps(optimizer_2, model_2, 2, 4)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), model_2.parameters()))


def test_torchs_schedulers_and_scaler_see_one_optimizer() -> None:
    model = net()
    optimizer = Route.usual(model, Muon(lr=0.1), AdamW(lr=0.01))
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    give_gradients(model, 0)
    for p in model.parameters():
        p.grad *= 8.0
    scaler.scale(torch.zeros(()))
    scaler.step(optimizer)
    scaler.update()
    scheduler.step()
    assert [group["lr"] for group in optimizer.param_groups] == [0.05, 0.005, 0.005]
    alone = net()
    steps(Route.usual(alone, Muon(lr=0.1), AdamW(lr=0.01)), alone, 0, 1)
    for a, b in zip(model.parameters(), alone.parameters()):
        torch.testing.assert_close(a, b)


def test_learning_rates_fall_towards_the_input() -> None:
    model = net()
    optimizer = Route.layerwise(model, AdamW(lr=1.0), 0.5)
    assert [(g["lr"], g["param_names"][0]) for g in optimizer.param_groups] == [
        (0.125, "gain"), (0.25, "blocks.0.0.weight"), (0.5, "blocks.1.0.weight"), (1.0, "head.weight"),
    ]  # fmt: skip
    scheduled = Route.layerwise(model, AdamW(lr=schedules.linear(1.0, 0.0, steps=2)), 0.5)
    steps(scheduled, model, 0, 2)
    assert [g["lr"] for g in scheduled.param_groups] == [0.0625, 0.125, 0.25, 0.5]
    deep = Route.layerwise(model, AdamW(lr=1.0), 0.1, depth=lambda name: int(name.startswith("head")))
    assert [g["lr"] for g in deep.param_groups] == [0.1, 1.0]


def test_printing_it_lists_who_got_what() -> None:
    text = repr(Route.usual(net(), Muon(lr=0.02), AdamW(lr=3e-4), max_norm=1.0))
    assert text.startswith("Route (\n  max_norm: 1.0\n  matrices: Muon(lr=0.02,")
    assert all(name in text for name, _ in net().named_parameters())


def test_one_for_all_of_a_model() -> None:
    model = net()
    optimizer = for_model(Muon, model, lr=0.01, weight_decay=0.2, max_norm=1.0)
    assert isinstance(optimizer, Route) and optimizer.max_norm == 1.0
    assert [g["weight_decay"] for g in optimizer.param_groups] == [0.2, 0.0, 0.2]
    assert type(for_model(AdamW, model, lr=0.01)) is AdamW


def test_without_parameters_it_is_a_rule() -> None:
    assert Muon(lr=0.02) == Rule(Muon, {"lr": 0.02}) and repr(AdamW(lr=0.1)) == "AdamW(lr=0.1)"


WRONG = {
    "nobody": (lambda m: {"matrices": Muon()}, "'gain', of shape (8,), is taken by no rule"),
    "two": (lambda m: {2: Muon(), "*": AdamW()}, "is taken by 2 (dimensions) and '*'"),
    "a vector": (lambda m: {"rest": Muon()}, "needs matrices, and 'gain' has 1 dimension"),
    "made already": (lambda m: {"rest": AdamW(m.parameters())}, "has parameters already"),
    "misspelt": (lambda m: {"blokcs.*": AdamW(), "rest": SGD()}, "'blokcs.*' takes no parameter of gain"),
    "of all": (lambda m: {"rest": SGD(max_norm=1.0)}, "max_norm is of all rules together"),
    "torch's": (lambda m: {"rest": torch.optim.SGD}, "give one of downslope's optimizers made without parameters"),
    "no rule": (lambda m: {}, "give a dictionary"),
    "out of range": (lambda m: {"rest": SGD(lr=-1.0)}, "lr is -1.0; it must be at least 0"),
}


@pytest.mark.parametrize("rules, words", WRONG.values(), ids=WRONG)
def test_what_does_not_fit_is_said(rules, words) -> None:
    model = net()
    with pytest.raises(SettingError) as caught:
        Route(model, rules(model))
    assert words in str(caught.value)


def test_other_mistakes() -> None:
    model = net()
    with pytest.raises(SettingError, match="did you mean lr"):
        Muon(lt=0.1)
    with pytest.raises(SettingError, match="needs names"):
        Route(model.parameters(), {"rest": SGD()})
    optimizer = Route(model, {"rest": SGD()})
    with pytest.raises(SettingError, match="needs the key 'rule', one of 'rest'"):
        optimizer.add_param_group({"params": [nn.Parameter(torch.ones(2))]})
    with pytest.raises(StateError, match="3 param groups, this optimizer 1"):
        optimizer.load_state_dict(Route.usual(model, Muon(), AdamW()).state_dict())
