"""Paste-ready code of a row of the board: downslope's, and torch's where torch has the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .trial import TASK, nested

Settings = Mapping[str, Any]
NOT_THE_OPTIMIZERS = ("lr", "schedule")

# Rules under another name in torch.optim: the class there, and what it takes beside the settings. The second row of a
# pair holds only while the learning rate is constant: torch keeps it outside the velocity.
ELSEWHERE: dict[str, tuple[str, dict[str, Any], bool]] = {
    "amsgrad": ("Adam", {"amsgrad": True}, False),
    "momentum": ("SGD", {}, True),
    "nag": ("SGD", {"nesterov": True}, True),
}


def code(
    optimizer: str, settings: Settings, schedule: str, warmup: float, steps: int, origin: str | None = None
) -> dict[str, str | None]:
    """The code that makes the optimizer of a trial, for a `model`, over so many steps.

    `settings` are flat, as a trial's; a setting `schedule` goes before the race's. `origin` says where a user's own
    optimizer is from, as FILE.py:NAME or module:NAME. The torch code gives the same parameters; it is None where
    torch.optim has no such rule, or no such schedule for it. Settings of the task stand in a comment.
    """
    made = None if origin else _class(optimizer)
    defaults = dict(getattr(made, "setting_defaults", {}))
    own = {k: v for k, v in settings.items() if not k.startswith(TASK) and k not in NOT_THE_OPTIMIZERS}
    # the class of a user's own rule is not at hand, and with it the rest of a tuple
    parts = {name for name in own if name.partition("[")[0] not in defaults and "[" in name}
    arguments = nested({name: value for name, value in own.items() if name not in parts}, defaults)
    lr = settings.get("lr", defaults.get("lr"))
    rate = _schedule(str(settings.get("schedule", schedule)), lr, steps, warmup)
    task = {k.removeprefix(TASK): v for k, v in settings.items() if k.startswith(TASK)}
    note = f"# with the task's {_words(task)}\n" if task else ""
    note += f"# and with {_words({name: own[name] for name in sorted(parts)})}\n" if parts else ""
    torch = None if _for_matrices(made) else _torch(optimizer, defaults, arguments, lr, rate)
    return {
        "downslope": note + _downslope(origin or optimizer, made, arguments, lr, rate),
        "torch": None if torch is None else note + torch,
    }


def _words(settings: Settings) -> str:
    return ", ".join(f"{k}={v!r}" for k, v in settings.items())


def _class(optimizer: str) -> Any:
    from ..optim import OPTIMIZERS

    return OPTIMIZERS.get(optimizer)


def _for_matrices(made: Any) -> bool:
    """Whether a class has a rule for matrices alone, so that a race gives it another one for the rest."""
    from ..compiler.plan import program

    return made is not None and program(made.choose(made.setting_defaults)).needs_matrices


def _schedule(name: str, lr: Any, steps: int, warmup: float) -> Any:
    """The schedule as a trial has it; a number where the rate is constant, None where the optimizer has no rate."""
    from .common import SCHEDULES

    if lr is None or (name == "constant" and not warmup):
        return lr
    return SCHEDULES[name](lr, steps, min(int(warmup * steps), steps - 1))


def _downslope(optimizer: str, made: Any, arguments: Settings, lr: Any, rate: Any) -> str:
    from ..schedules import Schedule

    given = [f"{k}={v!r}" for k, v in arguments.items()]
    scheduled = isinstance(rate, Schedule)
    if rate is not None:
        given.insert(0, f"lr=schedules.{rate!r}" if scheduled else f"lr={rate!r}")
    place, _, own = optimizer.rpartition(":")  # of a rule of the user's own
    formula = made is None and place and own[:1].islower()  # a class, too, where it was made by the decorator
    word = "optim" if made is not None else "optimizer" if formula else ""
    imports = [*([word] if word else []), *(["schedules"] if scheduled else [])]
    first = f"from downslope import {', '.join(imports)}\n" if imports else ""
    if place and place != "__main__":  # what the script or notebook has defined is there already
        first += f"from {place.removesuffix('.py').rpartition('/')[2]} import {own}\n"
    first += "\n" if first else ""
    name = f"optim.{made.__name__}" if made is not None else f"optimizer({own})" if formula else own
    hint = f"  # {own}(...) where it is a class already" if formula else ""
    if _for_matrices(made):
        return (
            f"{first}optimizer = optim.for_model({', '.join([name, 'model', *given])})  # AdamW has what is no matrix\n"
        )
    if made is not None and made.scored is not None:
        hint = "\n# score and save the model inside `with optimizer.scoring():`"
    return f"{first}optimizer = {name}({', '.join(['model.parameters()', *given])}){hint}\n"


# ---- torch


def _torch(optimizer: str, defaults: Settings, arguments: Settings, lr: Any, rate: Any) -> str | None:
    import torch

    from ..optim import TORCH
    from ..schedules import Schedule

    name, extra, constant_only = ELSEWHERE.get(optimizer, ("", {}, False))
    if not name:
        name = next((own for own in TORCH if own.lower() == optimizer), "")
    else:  # torch's defaults are not those of the formula
        arguments = {**{k: v for k, v in defaults.items() if k in ("momentum", "betas", "eps")}, **arguments}
    known = {*TORCH[name].settings, *TORCH[name].flags} if name in TORCH else set()
    if not hasattr(torch.optim, name or "-") or not known.issuperset(arguments):
        return None
    scheduled = isinstance(rate, Schedule)
    if scheduled and constant_only:
        return None
    given = [f"lr={lr!r}", *(f"{k}={v!r}" for k, v in {**arguments, **extra}.items())]
    text = f"optimizer = torch.optim.{name}({', '.join(['model.parameters()', *given])})\n"
    if not scheduled:
        return f"import torch\n\n{text}"
    found = _scheduler(rate, lr)
    if found is None:
        return None
    imports, scheduler = found
    return (
        f"{imports}import torch\n\n{text}"
        f"scheduler = torch.optim.lr_scheduler.{scheduler}\n"
        "# after each optimizer.step(): scheduler.step()\n"
    )


def _scheduler(rate: Any, lr: float) -> tuple[str, str] | None:
    """What to import and the call of torch's scheduler; a LambdaLR where a class of its own would need a chain, whose
    resuming torch gets wrong (pytorch issue 162591)."""
    a = dict(rate.arguments)
    steps, warmup = a.get("steps"), a.get("warmup", 0)
    if rate.kind == "one_cycle":
        beside = {"anneal_strategy": a["anneal_strategy"], "pct_start": a["pct_start"]}
        if a["three_phase"]:
            return None
        factors = {"div_factor": a["div_factor"], "final_div_factor": a["final_div_factor"]}
        words = ", ".join(f"{k}={v!r}" for k, v in {**beside, **factors}.items())
        return "", f"OneCycleLR(optimizer, max_lr={lr!r}, total_steps={steps}, {words}, cycle_momentum=False)"
    if rate.kind == "cosine" and not warmup:
        return "", f"CosineAnnealingLR(optimizer, T_max={steps}, eta_min={a['final']!r})"
    if rate.kind == "linear" and not warmup:
        return "", f"LinearLR(optimizer, start_factor=1.0, end_factor={a['final'] / lr!r}, total_iters={steps})"
    rise = f"(step + 1) / {warmup + 1}"
    if rate.kind == "constant":
        return "", f"LambdaLR(optimizer, lambda step: min(1.0, {rise}))"
    if a.get("final"):
        return None
    if rate.kind == "cosine":
        fall = f"(1 + math.cos(math.pi * min(1.0, (step - {warmup}) / {steps - warmup}))) / 2"
        return "import math\n\n", f"LambdaLR(\n    optimizer, lambda step: {rise} if step < {warmup} else {fall}\n)"
    if rate.kind == "linear":
        fall = f"max(0.0, ({steps} - step) / {steps - warmup})"
    elif rate.kind == "wsd" and a["shape"] == "linear":
        fall = f"max(0.0, ({steps} - step) / {a['decay']})"
    else:
        return None
    least = f"1.0, {fall}" if not warmup else f"1.0, {rise}, {fall}"
    return "", f"LambdaLR(optimizer, lambda step: min({least}))"
