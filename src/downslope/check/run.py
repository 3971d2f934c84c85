"""The table of checks, and what runs them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace

import torch

from .. import rng
from ..errors import SettingError, nearest
from ..optim import by_name as optimizer_by_name
from ..training.task import Task, as_task
from ..user_code import where
from . import first_loss, gradcheck, inputs, rates, repeat, rows, short, signals, step, weights
from .context import Context
from .state import preserved
from .tree import leaves
from .verdict import CannotTell, Verdict, Verdicts

Check = Callable[[Context], Verdict]

CHECKS: dict[str, Check] = {
    "step": step.step,
    "inputs": inputs.inputs,
    "targets": inputs.targets,
    "labels": rows.labels,
    "order": rows.order,
    "leakage": rows.leakage,
    "first-loss": first_loss.first_loss,
    "activations": signals.activations,
    "gradients": signals.gradients,
    "weights": weights.weights,
    "biases": weights.biases,
    "gradcheck": gradcheck.gradcheck,
    "determinism": repeat.determinism,
    "mixing": repeat.mixing,
    "overfit": short.overfit,
    "inputs-used": short.inputs_used,
    "learning-rate": rates.learning_rate,
}
"""From the cheapest and most telling on. The first asks whether training runs at all."""

DATA_ALONE = {"step", "inputs", "targets", "labels", "order", "leakage"}  # say something even where no step runs
SMALL = 300_000  # parameters and numbers in a batch
SECONDS = 6.0
"""After this long, on the processor, a check's training stops where it is, and it judges by what it has."""


def check(
    task: Task | str,
    *,
    only: str | Iterable[str] | None = None,
    seed: int = 0,
    optimizer: str | type[torch.optim.Optimizer] = "adam",
    seconds: float = SECONDS,
    watch: Callable[[Verdict], None] = lambda verdict: None,
) -> Verdicts:
    """Examine a task before it is trained: a verdict (ok, warn, fail, cannot tell) from each check.

    `task` is a Task, a bundled task's name or a file; `only` names one or some of CHECKS; `seed` fixes models and
    samples; `optimizer` is the one whose rate is sought, by name or class; `seconds` is how long each check may train;
    `watch` is called with each verdict as it comes. The task's own model is copied, never changed, and all random
    states are put back. Raises SettingError for an unknown check or optimizer, and what the task's data() raises.
    """
    task = as_task(task)
    names = list(CHECKS) if only is None else [only] if isinstance(only, str) else list(only)
    for name in names:
        if name not in CHECKS:
            raise SettingError(f"there is no check {name!r}; {nearest(name, CHECKS)}")
    rule = optimizer_by_name(optimizer) if isinstance(optimizer, str) else optimizer
    found = []
    with preserved():
        rng.start(seed)
        data = task.make_data()
        with preserved(data):
            context = Context(task, data, seed, rule, seconds)
            with suppress(Exception):  # what is wrong here, the first check tells
                torch.set_num_threads(_threads(context))
            first = _run("step", context)
            for name in (n for n in CHECKS if n in names):
                if name == "step":
                    verdict = first
                elif first.verdict == "fail" and name not in DATA_ALONE:
                    verdict = Verdict(name, "cannot tell", "no step of training runs")
                else:
                    verdict = _run(name, context)
                found.append(verdict)
                watch(verdict)
    return Verdicts(found)


def _threads(context: Context) -> int:
    """One thread for small work, which more threads only slow down, the more so on a busy machine."""
    size = sum(p.numel() for p in context.model().parameters()) + sum(t.numel() for t in leaves(context.batch))
    return 1 if size < SMALL else torch.get_num_threads()


def _run(name: str, context: Context) -> Verdict:
    """One check. What fails in the user's code outside a step is not proof of a fault, and is told."""
    started = time.monotonic()
    context.until, context.cut = time.process_time() + context.seconds * torch.get_num_threads(), False
    rng.start(context.seed)
    try:
        verdict = CHECKS[name](context)
    except CannotTell as reason:
        verdict = Verdict(name, "cannot tell", reason.evidence, reason.remedy)
    except Exception as error:
        verdict = Verdict(name, "cannot tell", where(error))
    if context.cut and not (name == "overfit" and verdict.verdict == "ok"):  # what a run did not reach proves nothing
        evidence = f"stopped after {context.seconds:g} s: {verdict.evidence}"
        verdict = replace(verdict, verdict="cannot tell", evidence=evidence, remedy="give it more time: seconds=...")
    return replace(verdict, name=name, seconds=time.monotonic() - started)
