"""One optimizer of several rules: matrices to one, the rest to another, in one step, one state dict, one schedule."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import nn

from ..compiler.formula import read
from ..compiler.plan import program
from ..errors import SettingError
from ..schedules import Schedule, by
from . import settings
from .around import OWN
from .base import Optimizer
from .select import REST, WORDS, Selector, kinds, label, named, select

Function = Callable[..., Any]


class Rule(NamedTuple):
    """A class of optimizers and settings, waiting for parameters: what `Muon(lr=0.02)` is, without them."""

    made: type[Optimizer]
    settings: dict[str, Any]

    def changed(self, **more: Any) -> Rule:
        """The rule with some settings changed."""
        return Rule(self.made, {**self.settings, **more})

    def as_formula(self) -> tuple[Function, tuple[tuple[str, Any], ...]]:
        """The formula that the settings choose, and those of its own settings that are given, as numbers."""
        function = self.made.choose({**self.made.setting_defaults, **self.settings})
        given = {**self.made.setting_defaults, **self.settings}
        shared = "lr" not in self.settings
        numbers = []
        for name, default in read(function).settings.items():
            value = given.get(name, default)
            values = value if isinstance(value, tuple | list) else (value,)
            if not all(isinstance(v, int | float) for v in values):
                raise SettingError(f"{self!r}: {name} is {value!r}; what is grafted onto has numbers for its settings")
            if not (name == "lr" and shared):
                numbers.append((name, tuple(value) if isinstance(value, tuple | list) else value))
        return function, tuple(numbers)

    def __reduce__(self) -> Any:
        return _rule, (self.made._maker(), self.settings)

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.settings.items())
        return f"{self.made.__name__}({given})"


def _rule(maker: Any, given: dict[str, Any]) -> Rule:
    from .make import optimizer

    return Rule(maker if isinstance(maker, type) else optimizer(maker), given)


class Route(Optimizer):
    """An optimizer that follows several rules, each for some of a model's parameters.

    ```python
    optimizer = Route(model, {"matrices": Muon(lr=0.02), "vectors": AdamW(weight_decay=0), "rest": AdamW(lr=3e-4)})
    ```

    `model` is a module, or its named parameters; those without `requires_grad` are left out. Each key of `rules` says
    which parameters its rule is for: a word ("matrices", the hidden ones, "embeddings", "head", "norms", "biases",
    "vectors", "rest"), a pattern of names ("blocks.*.weight"), a number of dimensions, or a predicate (name, parameter)
    -> bool. Each value is an optimizer made without parameters. All rules run in one native call, and each is one param
    group with its own settings, as torch's schedulers and GradScaler know them; `max_norm`, `clip_value`, `ema`,
    `skip_nonfinite`, `cautious` and the other wrappers are the Route's own, so the norm is that of all gradients. The
    state dict has names for keys. Printing it lists which parameter got what.

    Raises SettingError for a parameter that no rule takes, or two, and for a rule that takes none.
    """

    saves_all = False

    def __init__(self, model: nn.Module | Iterable[Any], rules: Mapping[Selector, Rule], **own: Any):
        for name in own:
            if name not in OWN:
                raise settings.unknown("Route", name, OWN)
        if not isinstance(rules, Mapping) or not rules:
            raise SettingError(f"Route: rules is {rules!r:.80}; give a dictionary, such as {{'rest': AdamW(lr=1e-3)}}")
        for selector, rule in rules.items():
            _check(selector, rule)
        self._start()
        self._take_own("Route", {**OWN, **own})
        self.rules = {label(selector): rule for selector, rule in rules.items()}
        groups = [
            {"params": members, "rule": label(s), **rules[s].made.setting_defaults, **rules[s].settings}
            for s, members in select(model, rules).items()
        ]
        torch.optim.Optimizer.__init__(self, groups, {})
        self._check_states()

    @classmethod
    def usual(cls, model: nn.Module, matrices: Rule, rest: Rule, **own: Any) -> Route:
        """The customary split: hidden matrices to one rule, such as Muon; embeddings, the head, norms and biases to
        another, such as AdamW, the last two without weight decay."""
        rules: dict[Selector, Rule] = {"matrices": matrices}
        if set(WORDS["vectors"]) & set(kinds(model, named(model)).values()):
            rules["vectors"] = rest.changed(weight_decay=0.0)
        return cls(model, {**rules, REST: rest}, **own)

    @classmethod
    def layerwise(
        cls, model: nn.Module, rule: Rule, decay: float, depth: Callable[[str], int] | None = None, **own: Any
    ) -> Route:
        """Learning rates that fall towards the input, for fine-tuning: lr times decay to the number of layers above
        (Howard & Ruder 2018, arXiv:1801.06146, section 3.2; theirs is 1 / 2.6).

        `depth` says how deep a parameter of a name lies, the input at 0. Without it the members of the model's largest
        ModuleList or Sequential are the layers; what stands before them is one, what comes after them another."""
        depth = depth or _depth(model)
        depths = {name: depth(name) for name, _ in named(model)}
        last = max(depths.values())
        lr = rule.settings.get("lr", rule.made.setting_defaults.get("lr"))
        if lr is None:
            raise SettingError(f"Route.layerwise: {rule.made.__name__} has no learning rate")
        rules: dict[Selector, Rule] = {}
        for layer in sorted(set(depths.values())):

            def takes(name: str, p: torch.Tensor, layer: int = layer) -> bool:
                return depths[name] == layer

            takes.__name__ = f"layer {layer}"
            factor = decay ** (last - layer)
            rules[takes] = rule.changed(lr=by(partial(_times, lr, factor)) if callable(lr) else lr * factor)
        return cls(model, rules, **own)

    def rule(self, group: dict[str, Any]) -> type[Optimizer]:
        found = self.rules.get(group.get("rule", ""))
        if found is None:
            known = ", ".join(map(repr, self.rules))
            raise SettingError(f"Route: a param group needs the key 'rule', one of {known}; got {group.get('rule')!r}")
        return found.made

    def state_dict(self) -> dict[str, Any]:
        """torch's state dict, with the parameters' names where torch has numbers."""
        state_dict = super().state_dict()
        names = {i: name for g in state_dict["param_groups"] for i, name in zip(g["params"], g["param_names"])}
        state_dict["state"] = {names[i]: state for i, state in state_dict["state"].items()}
        for group in state_dict["param_groups"]:
            group["params"] = list(group["param_names"])
        return state_dict

    @classmethod
    def _maker(cls) -> Any:
        return cls

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "rules": self.rules}

    def __repr__(self) -> str:
        lines = ["Route ("]
        for name, default in OWN.items():
            if getattr(self, name) != default:
                lines.append(f"  {name}: {getattr(self, name)}")
        for group, scheduled in zip(self.param_groups, self.schedules):
            made, count = self.rule(group), sum(p.numel() for p in group["params"])
            shown = {name: scheduled.get(name, group[name]) for name in made.setting_defaults if name not in _SILENT}
            words = ", ".join(f"{name}={value!r}" for name, value in shown.items())
            lines.append(f"  {group['rule']}: {made.__name__}({words}), {count:,} values")
            names = ", ".join(group["param_names"])
            lines += textwrap.wrap(names, 110, initial_indent="    ", subsequent_indent="    ")
        return "\n".join([*lines, ")"])


def _times(schedule: Schedule, factor: float, step: int) -> float:
    return factor * schedule(step)


_SILENT = {"foreach", "fused", "capturable", "differentiable", "maximize"}


def _check(selector: Selector, rule: Any) -> None:
    if isinstance(rule, torch.optim.Optimizer):
        raise SettingError(
            f"Route: the rule for {label(selector)!r} has parameters already; make it without, as in "
            f"{type(rule).__name__}(lr=...)"
        )
    if not isinstance(rule, Rule):
        raise SettingError(
            f"Route: the rule for {label(selector)!r} is {rule!r:.80}; give one of downslope's optimizers made without "
            "parameters, such as AdamW(lr=1e-3)"
        )
    kind = rule.made.__name__
    for name in rule.settings:
        if name in OWN:
            raise SettingError(f"Route: {name} is of all rules together; give it to Route, not to {kind}")
        if name not in rule.made.setting_defaults:
            raise settings.unknown(kind, name, rule.made.setting_defaults)


def _depth(model: nn.Module) -> Callable[[str], int]:
    """The place of a parameter among the members of the model's largest list of modules."""
    lists = [(name, m) for name, m in model.named_modules() if isinstance(m, nn.ModuleList | nn.Sequential)]
    if not lists:
        raise SettingError("Route.layerwise: the model has no list of layers; give depth, (name) -> how deep it lies")
    prefix, layers = max(lists, key=lambda pair: sum(p.numel() for p in pair[1].parameters()))
    start = f"{prefix}." if prefix else ""
    before = True
    places: dict[str, int] = {}
    for name, _ in model.named_parameters():
        if name.startswith(start) and (index := name[len(start) :].partition(".")[0]).isdigit():
            places[name], before = 1 + int(index), False
        else:
            places[name] = 0 if before else 1 + len(layers)
    used = sorted(set(places.values()))
    return lambda name: used.index(places[name])


def for_model(made: type[Optimizer], model: nn.Module, **given: Any) -> Optimizer:
    """One optimizer for all of a model: of the class, or, where its rule is for matrices alone, with AdamW at the same
    learning rate and weight decay for the rest (Liu et al. 2025, arXiv:2502.16982, section 2.2)."""
    function = made.choose({**made.setting_defaults, **given})
    if not program(function).needs_matrices:
        return made(model.named_parameters(), **given)  # type: ignore[no-any-return]
    from .classes import CLASSES

    own = {name: given.pop(name) for name in OWN if name in given}
    if "adjust_lr_fn" in made.setting_defaults:
        given.setdefault("adjust_lr_fn", "match_rms_adamw")  # so that one learning rate is right for both
    shared: dict[str, Any] = {name: given[name] for name in ("lr", "weight_decay") if name in given}
    return Route.usual(model, deferred(made, given), deferred(CLASSES["AdamW"], shared), **own)


def deferred(made: type[Optimizer], given: dict[str, Any]) -> Rule:
    """A rule of a class, its settings checked by name."""
    for name in given:
        if name not in {**made.setting_defaults, **OWN}:
            raise settings.unknown(made.__name__, name, {**made.setting_defaults, **OWN})
    return Rule(made, given)
