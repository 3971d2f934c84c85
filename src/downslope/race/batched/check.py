"""Whether the trials of a race can train together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ... import rng
from ...compiler.plan import program
from ...optim import Optimizer
from ...training.data import Data
from ...training.task import Task
from ...training.together.check import Way, tried
from ..common import Common
from ..trial import Trial

_known: dict[Any, Way] = {}


def way(task: Task, data: Data, common: Common, trials: Sequence[Trial]) -> Way:
    """How these trials can train together, or why not. Tried once for a task's functions, settings, batch and device,
    and for trials of one seed or of several."""
    why = _in_words(data, common, trials)
    if why:
        return Way(why=why)
    apart = len({trial.seed for trial in trials}) > 1
    settings = sorted({repr(trial.of_task) for trial in trials})
    key = (task.model, task.loss, repr(task.settings), *settings, common.batch, common.device, apart, data.train)
    if key not in _known:
        if len(_known) > 64:
            _known.clear()
        with rng.kept():
            _known[key] = tried(task, data, common.batch, torch.device(common.device), trials)
    return _known[key]


def _in_words(data: Data, common: Common, trials: Sequence[Trial]) -> str:
    if not trials:
        return "there are none"
    if len({trial.optimizer for trial in trials}) > 1:
        return "they are of several optimizers"
    made = common.optimizer(trials[0].optimizer)
    if not (isinstance(made, type) and issubclass(made, Optimizer)):
        return f"{trials[0].optimizer} is no optimizer of downslope, so it has no form for several trials"
    if program(made.choose({**made.setting_defaults})).needs_matrices:
        return f"{trials[0].optimizer} is a rule for matrices, which each trial has another one beside"
    if made.scored is not None:
        return f"{trials[0].optimizer} scores the model at another point than it trains, each trial by itself"
    if data.train.loader is not None:
        return f"{data.train.where} is a DataLoader, whose order belongs to one run; give tensors or a dataset"
    return ""
