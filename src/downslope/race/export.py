"""A race as an Optuna study: for its dashboard and plots, and for whoever searches on from there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..errors import RunError, SettingError
from ..training.extras import need
from ..version import __version__
from .adaptive import covering, distribution, param, quiet, to_param
from .folder import saved_folder
from .plan import FREE, Plan
from .referee import wall
from .result import Result, Several
from .statistics import scores
from .trial import Record, Trial

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

KEPT = ("diverged", "diverged_at_step", "test_loss", "test_metric", "steps", "seconds", "state_bytes", "how")
"""What of a record goes to a trial's user attributes."""

Kinds = dict[str, dict[str, tuple[str, Any, "BaseDistribution"]]]
"""By optimizer and setting: what it is called in the study, its dimension and its distribution."""


def to_optuna(race: Result | str | Path, storage: Any = None) -> Study:
    """Every finished trial of a race, a `Result` or its folder, in an Optuna study.

    `storage` is a URL such as sqlite:///races.db, or a storage of Optuna; by default memory. The study is called as the
    folder; exported again, it gets the trials that it has not.

    A trial's value is its score on the validation data, a diverged one's that of the untrained model, as in the race.
    Its intermediate values are the validation curve. A short trial of a rung or a probe is pruned: its score is no
    match for a full one. Of a momentum, which is searched as such, 1 - value is given. A race does not note the time of
    day: its trials stand as if one had been run after the other.

    Raises RunError for a folder without a race, or where one is running, and for a storage that cannot be had.
    """
    storage = storage_at(storage)
    if isinstance(race, Several):
        raise SettingError("to_optuna: these are several races; export one of its `results`")
    if isinstance(race, Result):
        plan, folder, records = race.plan, race.folder, race.records
    else:
        opened = saved_folder(Path(race))
        opened.close()
        plan, folder, records = opened.plan, opened.path, list(opened.journal.records.values())
    with quiet():
        study = _study(plan, folder, storage)
        there = {trial.user_attrs.get("trial") for trial in study.get_trials(deepcopy=False)}
        for trial in _trials(plan, folder, records):
            if trial.user_attrs["trial"] not in there:
                study.add_trial(trial)
    return study


def storage_at(url: Any) -> Any:
    """The storage of Optuna at a URL. Raises RunError where it cannot be had; what is a storage already, stays."""
    need("optuna", extra="optuna", job="an export to Optuna")
    import optuna

    try:
        with quiet():
            return optuna.storages.get_storage(url)
    except Exception as error:  # whatever a database has against it
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise RunError(f"the storage {url} cannot be had: {reason}; give a URL such as sqlite:///races.db") from error


def _study(plan: Plan, folder: Path, storage: Any) -> Study:
    """The study of a race: a new one, or its own from before; with a mark on its name where another race has that."""
    import optuna

    config = {name: value for name, value in plan.as_json().items() if name not in FREE}
    mark = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:8]
    name = folder.resolve().name
    direction: Literal["maximize", "minimize"] = "maximize" if plan.monitor == "metric" else "minimize"
    for called in (name, f"{name} ({mark})"):
        study = optuna.create_study(storage=storage, study_name=called, direction=direction, load_if_exists=True)
        if not study.user_attrs and not study.get_trials(deepcopy=False):
            about = {"race": mark, "task": plan.task, "score": f"validation {plan.monitor}", "downslope": __version__}
            for key, value in about.items():
                study.set_user_attr(key, value)
        if study.user_attrs.get("race") == mark:
            return study
    raise RunError(f"the storage has other studies named {name} and {name} ({mark}); give another one")


def _trials(plan: Plan, folder: Path, records: Iterable[Record]) -> Iterable[FrozenTrial]:
    import optuna

    records = list(records)
    kinds = _kinds(plan, records)
    who = optuna.distributions.CategoricalDistribution(plan.optimizers)
    since = datetime.fromtimestamp((folder / "config.json").stat().st_mtime)
    for record in records:
        trial = Trial.from_json(record["trial"])
        own = kinds[trial.optimizer]
        params: dict[str, Any] = {"optimizer": trial.optimizer}
        distributions: dict[str, Any] = {"optimizer": who}
        for setting, value in trial.settings:
            name, dimension, kind = own[setting]
            params[name], distributions[name] = to_param(dimension, value), kind
        states = optuna.trial.TrialState
        made = optuna.trial.create_trial(
            state=states.COMPLETE if trial.epochs == plan.epochs else states.PRUNED,
            value=scores.sign(plan) * scores.goodness(plan, record, "validation"),
            params=params,
            distributions=distributions,
            intermediate_values=_curve(plan, record),
            user_attrs=_attributes(trial, record),
        )
        made.datetime_start = since
        since += timedelta(seconds=wall(record))
        made.datetime_complete = since
        yield made


def _curve(plan: Plan, record: Record) -> dict[int, float]:
    curve = record["curve"]
    steps = zip(curve["step"], curve[f"validation_{plan.monitor}"])
    return {step: value for step, value in steps if value is not None}


def _attributes(trial: Trial, record: Mapping[str, Any]) -> dict[str, Any]:
    about = {"optimizer": trial.optimizer, "seed": trial.seed, "epochs": trial.epochs, "stage": trial.stage}
    return {"trial": trial.key(), **about, **{name: record.get(name) for name in KEPT}}


def _kinds(plan: Plan, records: list[Record]) -> Kinds:
    """What each setting of each optimizer is in the study. A range is as wide as it was made in the race. Optuna has
    one kind of distribution for a name; where optimizers differ in it, theirs are named apart, as in adam.eps."""
    tried: dict[tuple[str, str], list[Any]] = {}
    for record in records:
        for setting, value in record["trial"]["settings"].items():
            tried.setdefault((record["trial"]["optimizer"], setting), []).append(value)
    found: Kinds = {}
    of_name: dict[str, set[str]] = {}
    for optimizer, space in plan.dimensions.items():
        found[optimizer] = {}
        for dimension in space:
            wide = covering(dimension, tried.get((optimizer, dimension.name), ()))
            kind = distribution(wide)
            found[optimizer][dimension.name] = param(wide), wide, kind
            choices = getattr(kind, "choices", None)
            of_name.setdefault(param(wide), set()).add(repr((type(kind), getattr(kind, "log", None), choices)))
    return {
        optimizer: {
            setting: (name if len(of_name[name]) == 1 else f"{optimizer}.{name}", dimension, kind)
            for setting, (name, dimension, kind) in own.items()
        }
        for optimizer, own in found.items()
    }
