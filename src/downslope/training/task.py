"""A task: what is trained, on what, and how the answer is scored."""

from __future__ import annotations

import importlib
import inspect
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from ..errors import DownslopeError, RunError, SettingError, nearest
from .data import Data, Part

PARTS = ("train", "validation", "test")
# What a task file may set beside its functions, in capitals, and what stands where it does not.
CONSTANTS: dict[str, Any] = {"TITLE": "", "EPOCHS": 10, "BATCH": 64, "CHANCE": 0.0, "SCORE": ""}


@dataclass(frozen=True)
class Task:
    """Three or four functions, and the settings they are called with.

    `model(**settings)` makes the network. `data(**settings)` gives its parts: (train, validation) or (train,
    validation, test), each a pair of tensors, a map-style dataset or a DataLoader. `loss(output, target)` is a scalar
    to minimise. `metric(output, target)`, if there is one, is a score where more is better, a mean over the batch;
    without it the loss decides. The keyword settings of `model` and `data`, with defaults, are the task's settings.

    `epochs` and `batch` are what a run takes unless it is told otherwise, `chance` is the metric of guessing, `score`
    says in words what a good run reaches. Raises RunError for functions that are missing or do not fit.
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

    def __post_init__(self) -> None:
        known = {**_defaults(self, "model"), **_defaults(self, "data")}
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
        *,
        loss: Callable[[Any, Any], torch.Tensor],
        metric: Callable[[Any, Any], Any] | None = None,
        name: str = "task",
        **constants: Any,
    ) -> Task:
        """A task of what is at hand: a module (or a function that makes one) and data, such as DataLoaders.

        A module is trained itself by the first run, from the weights it has; every run starts from a copy of those."""
        if isinstance(model, torch.nn.Module):
            from copy import deepcopy

            start = deepcopy(model)

            def make() -> torch.nn.Module:
                return deepcopy(start)
        else:
            make = model  # type: ignore[assignment]
        parts = (train, validation)
        return cls(name, make, lambda: parts, loss, metric, **constants)

    def with_settings(self, **settings: Any) -> Task:
        """The task with some of its settings changed."""
        return replace(self, settings={**self.settings, **settings})

    def make_model(self) -> torch.nn.Module:
        """A new network; draws its weights from torch's random state."""
        made = self._call("model")
        if not isinstance(made, torch.nn.Module):
            raise RunError(f"{self.name}: model() returned {type(made).__name__}; it must return a torch.nn.Module")
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
            raise RunError(f"{self.name}: data() returned no part to train on")
        return Data(
            **{p: Part(source, f"{self.name}: data(), {p}") for p, source in parts.items() if source is not None}
        )

    def _call(self, function: str) -> Any:
        names = _defaults(self, function)
        try:
            return getattr(self, function)(**{name: self.settings[name] for name in names})
        except DownslopeError:
            raise
        except ModuleNotFoundError as error:
            extra = "'downslope[race]'" if error.name == "sklearn" else error.name
            raise RunError(
                f"{self.name}: {function}() needs {error.name}, not installed here; install with: pip install {extra}"
            ) from error
        except Exception as error:
            raise RunError(f"{self.name}: {function}() failed: {where(error)}") from error


def _defaults(task: Task, function: str) -> dict[str, Any]:
    """The keyword settings of a function with their defaults."""
    called = getattr(task, function)
    found = {}
    for p in inspect.signature(called).parameters.values():
        if p.kind is p.VAR_KEYWORD:
            continue
        if p.default is p.empty:
            raise RunError(
                f"{task.name}: {function}() needs a value for {p.name!r}; give it a default, {p.name}=..., which makes "
                "it one of the task's settings"
            )
        found[p.name] = p.default
    return found


def where(error: BaseException) -> str:
    """An error of a user's code with the file and line it came from."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [
        f for f in frames if "site-packages" not in f.filename and not f.filename.startswith(str(Path(__file__).parent))
    ]
    place = f" ({Path(own[-1].filename).name}, line {own[-1].lineno}: `{own[-1].line}`)" if own else ""
    return f"{type(error).__name__}: {error}{place}"


def _shape(value: Any) -> str:
    kind = type(value).__name__
    return f"a {kind} of {len(value)}" if isinstance(value, tuple | list) else kind


# ---- by name and from files


def bundled() -> list[str]:
    """The names of the tasks that come with downslope."""
    folder = Path(__file__).parent.parent / "tasks"
    return sorted(f.stem.replace("_", "-") for f in folder.glob("*.py") if not f.stem.startswith("_"))


def by_name(name: str) -> Task:
    """The bundled task of a name, or the task in a file `my_task.py`.

    Raises RunError with the nearest names for an unknown one, and for a file that is not there or is no task."""
    if name.endswith(".py"):
        return from_file(Path(name))
    if name not in bundled():
        own = "; a task of your own is named by its file, such as my_task.py"
        raise RunError(f"{name}: there is no task of that name; {nearest(name, bundled())}{own}")
    return _of_module(name, importlib.import_module(f"..tasks.{name.replace('-', '_')}", __package__))


def from_file(path: Path) -> Task:
    """The task that a Python file's functions make."""
    if not path.is_file():
        raise RunError(f"{path}: there is no such file; `downslope new {path}` writes one to start from")
    module = ModuleType(f"task_{path.stem}")
    module.__file__ = str(path)
    sys.path.insert(0, str(path.parent.resolve()))
    sys.modules[module.__name__] = module  # so that pickle and dataclasses find it
    try:
        exec(compile(path.read_bytes(), str(path), "exec"), vars(module))
    except DownslopeError:
        raise
    except SyntaxError as error:
        raise RunError(f"{path}: line {error.lineno}: {error.msg}") from error
    except Exception as error:
        raise RunError(f"{path}: {where(error)}") from error
    finally:
        sys.path.pop(0)
    return _of_module(str(path), module)


def _of_module(name: str, module: ModuleType) -> Task:
    functions = {f: getattr(module, f, None) for f in ("model", "data", "loss", "metric")}
    for function, found in functions.items():
        if not callable(found) and not (function == "metric" and found is None):
            raise RunError(f"{name}: has no function {function}(); a task has model(), data() and loss(output, target)")
    constants = {c.lower(): getattr(module, c, default) for c, default in CONSTANTS.items()}
    constants["title"] = constants["title"] or (inspect.getdoc(module) or "").split("\n")[0]
    return Task(name, **functions, **constants)  # type: ignore[arg-type]
