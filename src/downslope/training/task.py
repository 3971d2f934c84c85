"""A task: what is trained, on what, and how the answer is scored."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from .. import user_code
from ..errors import DownslopeError, RunError, SettingError, nearest
from ..user_code import missing, where
from . import unread
from .data import Data, Part

PARTS = ("train", "validation", "test")
FUNCTIONS = {"model": "model()", "data": "data()", "loss": "loss(output, target)", "metric": "metric(output, target)"}
# What a task file may set beside its functions, in capitals, and what stands where it does not.
CONSTANTS: dict[str, Any] = {
    "TITLE": "", "EPOCHS": 10, "BATCH": 64, "CHANCE": 0.0, "SCORE": "", "SIZES": (), "DROP_LAST": False,
}  # fmt: skip


@dataclass(frozen=True)
class Task:
    """Three or four functions, and the settings they are called with.

    `model(**settings)` makes the network. `data(**settings)` gives its parts: (train, validation) or (train,
    validation, test), each a pair of tensors, a map-style dataset or a DataLoader. `loss(output, target)` is a scalar
    to minimise. `metric(output, target)`, if there is one, is a score where more is better, a mean over the batch;
    without it the loss decides. The keyword settings of `model` and `data`, with defaults, are the task's settings.

    `epochs` and `batch` are what a run takes unless it is told otherwise, `chance` is the metric of guessing, `score`
    says in words what a good run reaches, `sizes` how many samples the parts have before any setting is changed. With
    `drop_last` an epoch ends before the samples that do not fill a batch, as with torch's DataLoader. Raises RunError
    for functions that are missing or do not fit, SettingError for a setting that none of them has.
    """

    name: str
    model: Callable[..., torch.nn.Module]
    data: Callable[..., Any]
    loss: Callable[[Any, Any], torch.Tensor]
    metric: Callable[[Any, Any], Any] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    title: str = ""
    epochs: int = 10
    batch: int = 64
    chance: float = 0.0
    score: str = ""
    sizes: tuple[int, ...] = ()
    drop_last: bool = False

    def __post_init__(self) -> None:
        for function in ("model", "data", "loss", "metric"):
            found = getattr(self, function)
            made = function == "model" and isinstance(found, torch.nn.Module)
            if made or not (callable(found) or (function == "metric" and found is None)):
                of = "; Task.of(model, train, validation, loss=...) takes what is at hand" if found is not None else ""
                raise RunError(f"{self.name}: {function} is {_shape(found)}; give a function{of}")
        model, data = _defaults(self, "model"), _defaults(self, "data")
        for name in model.keys() & data.keys():
            if model[name] != data[name]:
                raise RunError(
                    f"{self.name}: the setting {name!r} is {model[name]!r} in model() and {data[name]!r} in data(); "
                    "give it one default, or two names"
                )
        known = {**model, **data}
        for name in self.settings:
            if name not in known:
                raise SettingError(
                    f"{self.name}: has no setting {name!r}; {nearest(name, known) if known else 'it has none'}"
                )
        object.__setattr__(self, "settings", {**known, **self.settings})

    @classmethod
    def of(
        cls,
        model: torch.nn.Module | Callable[..., torch.nn.Module],
        train: Any,
        validation: Any = None,
        test: Any = None,
        *,
        loss: Callable[[Any, Any], torch.Tensor],
        metric: Callable[[Any, Any], Any] | None = None,
        name: str = "task",
        **constants: Any,
    ) -> Task:
        """A task of what is at hand: a module (or a function that makes one) and data, such as DataLoaders.

        Every run starts from a copy of the module, with the weights it has now; the module itself is never trained.
        `constants` are `epochs`, `batch` and others of a Task's fields."""
        if isinstance(model, torch.nn.Module):
            from copy import deepcopy

            start = deepcopy(model)

            def make() -> torch.nn.Module:
                return deepcopy(start)
        else:
            make = model  # type: ignore[assignment]
        fields = [name for name in cls.__dataclass_fields__ if name not in ("name", "model", "data", "loss", "metric")]
        for constant in constants:
            if constant not in fields:
                raise SettingError(f"{name}: a Task has no field {constant!r}; {nearest(constant, fields)}")
        parts = (train, validation, test)
        return cls(name, make, lambda: parts, loss, metric, **constants)

    def with_settings(self, **settings: Any) -> Task:
        """The task with some of its settings changed."""
        return replace(self, settings={**self.settings, **settings})

    def make_model(self) -> torch.nn.Module:
        """A new network; draws its weights from torch's random state."""
        made = self._call("model")
        if not isinstance(made, torch.nn.Module):
            hint = "return " + made.__name__ + "(...), not the class" if isinstance(made, type) else NETWORK
            raise RunError(f"{self.name}: model() returned {_shape(made)}; {hint}")
        return made

    def make_data(self) -> Data:
        """The parts, checked for their kind and for being there."""
        made = self._call("data")
        if isinstance(made, Mapping):
            parts = dict(made)
        elif isinstance(made, tuple | list) and 1 <= len(made) <= 3 and not isinstance(made[0], torch.Tensor):
            parts = dict(zip(PARTS, made))
        else:
            raise RunError(
                f"{self.name}: data() returned {_shape(made)}; return (train, validation) or (train, validation, "
                "test), each a pair of tensors, a dataset or a DataLoader"
            )
        for part in parts:
            if part not in PARTS:
                raise RunError(f"{self.name}: data() returned a part {part!r}; the parts are {', '.join(PARTS)}")
        if parts.get("train") is None:
            raise RunError(f"{self.name}: data() returned no part to train on; it is the first, or {{'train': ...}}")
        return Data(
            **{
                part: Part(source, f"{self.name}: data(), {part}", self.drop_last)
                for part, source in parts.items()
                if source is not None
            }
        )

    def _call(self, function: str) -> Any:
        names = _defaults(self, function)
        try:
            return getattr(self, function)(**{name: self.settings[name] for name in names})
        except DownslopeError:
            raise
        except ModuleNotFoundError as error:
            raise RunError(f"{self.name}: {function}() {missing(error)}") from error
        except ConnectionError as error:  # says itself what to do; where it was raised is of no use
            raise RunError(f"{self.name}: {function}() failed: {error}") from error
        except (Exception, SystemExit) as error:
            raise RunError(f"{self.name}: {function}() failed: {where(error)}") from error


NETWORK = "return a network, a torch.nn.Module"


def _defaults(task: Task, function: str) -> dict[str, Any]:
    """The keyword settings of a function with their defaults."""
    try:
        parameters = inspect.signature(getattr(task, function)).parameters.values()
    except ValueError:  # of some functions written in C nobody can say
        return {}
    found = {}
    for p in parameters:
        if p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL):
            continue
        if p.default is p.empty or p.kind is p.POSITIONAL_ONLY:
            raise RunError(
                f"{task.name}: {function}() needs a value for {p.name!r}; give it a default, {p.name}=..., which makes "
                "it one of the task's settings"
            )
        found[p.name] = p.default
    return found


def _shape(value: Any) -> str:
    if isinstance(value, type):
        return f"the class {value.__name__}"
    kind = "nothing (None)" if value is None else f"a {type(value).__name__}"
    if not isinstance(value, tuple | list):
        return kind
    return (
        f"{kind} of {', '.join(type(v).__name__ for v in value)}" if 0 < len(value) < 5 else f"{kind} of {len(value)}"
    )


# ---- by name and from files


def bundled() -> list[str]:
    """The names of the tasks that come with downslope."""
    folder = Path(__file__).parent.parent / "tasks"
    return sorted(f.stem.replace("_", "-") for f in folder.glob("*.py") if not f.stem.startswith("_"))


def as_task(what: Any) -> Task:
    """A task, or the one of a name or a file. Raises RunError for anything else."""
    if isinstance(what, Task):
        return what
    if isinstance(what, str | PathLike):
        return by_name(str(what))
    raise RunError(
        f"a task is a name, a file or a Task, and this is {_shape(what)}; make one of a network and data with "
        "Task.of(model, train, validation, loss=...)"
    )


def by_name(name: str) -> Task:
    """The bundled task of a name, or the task in a file `my_task.py`.

    Raises RunError with the nearest names for an unknown one, and for a file that is not there or is no task."""
    if name.endswith(".py"):
        return from_file(Path(name))
    if name not in bundled():
        near = nearest(name, bundled())
        own = "a task of your own is named by its file, such as my_task.py"
        raise RunError(f"{name}: there is no task of that name; {near}{' And ' if near[-1] == '?' else '; '}{own}")
    return _of_module(name, importlib.import_module(f"..tasks.{name.replace('-', '_')}", __package__))


def from_file(path: Path) -> Task:
    """The task that a Python file's functions make."""
    if not path.is_file():
        raise RunError(f"{path}: there is no such file; `downslope new {path}` writes one to start from")
    module = user_code.run(path, f"task_{path.stem}")
    task = _of_module(str(path), module)
    unread.check(path, str(path), module, CONSTANTS, metric=task.metric is not None)
    return task


def _of_module(name: str, module: ModuleType) -> Task:
    functions = {function: getattr(module, function, None) for function in FUNCTIONS}
    own = user_code.own(module)
    for function, found in functions.items():
        if callable(found) or (function == "metric" and found is None):
            continue
        if found is not None:
            raise RunError(f"{name}: {function} is {_shape(found)}; make it a function, `def {FUNCTIONS[function]}:`")
        known = f"found {', '.join(own)}" if own else "found no function at all"
        raise RunError(
            f"{name}: has no function {function}() ({known}); a task has model(), data() and loss(output, target)"
        )
    constants = {c.lower(): getattr(module, c, default) for c, default in CONSTANTS.items()}
    for constant, kind in {"epochs": int, "batch": int}.items():
        if not isinstance(constants[constant], kind) or constants[constant] < 1:
            raise RunError(f"{name}: {constant.upper()} is {constants[constant]!r}; give a whole number from 1 up")
    constants["title"] = constants["title"] or (inspect.getdoc(module) or "").split("\n")[0]
    return Task(name, **functions, **constants)  # type: ignore[arg-type]
