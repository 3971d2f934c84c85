"""What a user hands over -> an objective."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import DownslopeError, RunError, SettingError
from .kept import kept
from .objective import Objective, Term

BATCHES = 64
"""How many batches of the data are held at most: they are read once, so that shuffling and augmentation are the same in
every evaluation."""
PIECES = 32
"""Batches are cut into about this many pieces, so that their scatter says how noisy the mean is."""
DOUBLE = 100_000
"""Up to this many parameters, on the CPU, a model is run in double precision where it can be."""
LEAST = 8
"""Fewer pieces than this cannot show anything at a confidence of 99 %: 2^-7 is the smallest p-value of their signs."""


def read(
    what: Any, model: Any = None, data: Any = None, *, train: bool = False, batches: int = BATCHES, who: str
) -> Objective:
    """The objective of a task, of a loss function with data, of a closure, or of several closures.

    `what` is a downslope Task (anything with `make_data()` and `loss`), `loss(output, target)` with `data=` (a
    DataLoader, batches of (input, target), or one such pair), a function of nothing that returns the loss, or a
    sequence of such functions, one for each batch. `model` is a module, a parameter, or a sequence of parameters; only
    those that require gradients count. Raises SettingError for what is none of these; `who` begins the message."""
    if type(batches) is not int or batches < 1:
        raise SettingError(f"{who}: batches={batches!r}; give a whole number from 1 up")
    sources = [s for s in (data, getattr(data, "loader", None)) if s is not None]
    with kept((), None, sources):  # tasks and loaders draw random numbers
        return _read(what, model, data, train, batches, who)


def _read(what: Any, model: Any, data: Any, train: bool, batches: int, who: str) -> Objective:
    notes: list[str] = []
    if model is None and callable(getattr(what, "make_model", None)):
        model = what.make_model()
        notes.append("of a new model of the task, as it is before training")
    module, parameters = _parameters(model, who, notes)
    if callable(getattr(what, "make_data", None)):
        data = what.make_data().train if data is None else data
        size = getattr(what, "batch", None)
        given = data.batches(size) if hasattr(data, "batches") else data
        loss: Callable[..., Any] | None = what.loss
    else:
        given, loss = data, what if data is not None else None
    if loss is None:
        return _of_closures(what, module, parameters, train, notes, who)
    if module is None:
        raise SettingError(f"{who}: data is given, but no model to run on it; give (loss, model, data)")
    pairs, more = held(given, batches, who)
    if more:
        notes.append(f"the first {len(pairs)} batches of the data")
    _mode(module, train, notes)
    whole = _objective([(_term(module, loss, p), _rows(p) or 1) for p in pairs], parameters, module, train)
    whole = replace(whole, notes=tuple(notes))
    return _double(_cut(whole, pairs, lambda pair: _term(module, loss, pair)))


def _parameters(model: Any, who: str, notes: list[str]) -> tuple[nn.Module | None, tuple[Tensor, ...]]:
    module = None
    found: list[Tensor]
    if isinstance(model, nn.Module):
        twin = getattr(model, "_orig_mod", None)
        if isinstance(twin, nn.Module):
            notes.append("the uncompiled twin of the compiled model, which has the same parameters")
        module = twin if isinstance(twin, nn.Module) else model
        found = list(module.parameters())
    elif isinstance(model, Tensor):
        found = [model]
    elif isinstance(model, Iterable) and not isinstance(model, str | bytes | Mapping):
        found = list(model)
        if not all(isinstance(p, Tensor) for p in found):
            raise SettingError(f"{who}: among the parameters is a {_kind(found)}; give tensors")
        found = list({id(p): p for p in found}.values())
    else:
        raise SettingError(f"{who}: model is {model!r:.60}; give the module, or its parameters")
    moving = tuple(p for p in found if p.requires_grad and p.numel())
    if not moving:
        has = f"none of the {len(found)} requires gradients" if found else "there are none"
        raise SettingError(f"{who}: needs parameters, and {has}; there is nothing to move")
    for p in moving:
        if p.is_complex():
            raise SettingError(f"{who}: a parameter is {p.dtype}; give real parameters")
        if not p.is_leaf:
            raise SettingError(f"{who}: a parameter is computed of others; give the leaves themselves")
    if len(moving) < len(found):
        notes.append(f"{len(found) - len(moving)} frozen parameter tensors left out")
    return module, moving


def _kind(found: Sequence[Any]) -> str:
    return next(type(p).__name__ for p in found if not isinstance(p, Tensor))


def _of_closures(
    what: Any, module: nn.Module | None, parameters: tuple[Tensor, ...], train: bool, notes: list[str], who: str
) -> Objective:
    closures = tuple(what) if isinstance(what, list | tuple) else (what,)
    if not closures or not all(map(callable, closures)):
        raise SettingError(
            f"{who}: got {what!r:.60}; give a Task, a function of nothing that returns the loss (or several, one for "
            "each batch), or loss(output, target) together with data="
        )
    _mode(module, train, notes)
    whole = _objective([(closure, 1) for closure in closures], parameters, module, train)
    return _by_terms(replace(whole, notes=tuple(notes)))


def held(given: Any, most: int, who: str) -> tuple[list[tuple[Any, Any]], bool]:
    """The first batches as pairs, and whether there were more."""
    if given is None:
        raise SettingError(f"{who}: needs data: batches of (input, target)")
    if isinstance(given, list | tuple) and len(given) == 2 and all(isinstance(t, Tensor) for t in given):
        given = [given]
    if not isinstance(given, Iterable) or isinstance(given, Tensor | str | Mapping):
        raise SettingError(f"{who}: data is a {type(given).__name__}; give a DataLoader, batches, or a pair of tensors")
    pairs: list[tuple[Any, Any]] = []
    for made in given:
        if len(pairs) == most:
            return pairs, True
        if not isinstance(made, list | tuple) or len(made) != 2:
            found = f"{len(made)} values" if isinstance(made, list | tuple) else f"a {type(made).__name__}"
            raise SettingError(f"{who}: a batch is {found}; give (input, target), or write a function of nothing")
        pairs.append((made[0], made[1]))
    if not pairs:
        raise SettingError(f"{who}: the data gave no batch")
    return pairs, False


def _term(model: nn.Module, loss: Callable[..., Any], pair: tuple[Any, Any]) -> Term:
    first = next(model.parameters())
    own = first.dtype

    def run() -> Any:
        return loss(model(_to(pair[0], first, own)), _to(pair[1], first, own))

    return run


def _objective(
    terms: list[tuple[Term, int]], parameters: tuple[Tensor, ...], module: nn.Module | None, train: bool
) -> Objective:
    """Terms with the number of their samples."""
    total = sum(rows for _, rows in terms)
    return Objective(parameters, tuple(t for t, _ in terms), tuple(r / total for _, r in terms), module, train)


def _by_terms(whole: Objective) -> Objective:
    """Terms that are samples of one thing as they are; below LEAST of them their scatter says too little."""
    n = len(whole.terms)
    if n < LEAST:
        return whole
    return replace(whole, pieces=whole, halves=(whole.part(range(0, n, 2)), whole.part(range(1, n, 2))))


def _cut(whole: Objective, pairs: list[tuple[Any, Any]], term: Callable[[tuple[Any, Any]], Term]) -> Objective:
    """Batches cut into pieces and into halves, where that cannot change what is asked: rows must be samples, and the
    loss their mean. In training mode batch norm makes rows depend on each other, so batches stay whole there."""
    sizes = [_rows(pair) for pair in pairs]
    cuts = 2 * -(-PIECES // (2 * len(pairs)))
    if whole.train or len(pairs) >= PIECES // 2 or not all(sizes):
        return _by_terms(whole)
    few = [min(cuts, size) for size in sizes if size]
    strided = [[(x[i::n], y[i::n]) for i in range(n)] for (x, y), n in zip(pairs, few)]
    if not _is_mean(whole, [term(piece) for piece in strided[0]], [len(y) for _, y in strided[0]]):
        return _by_terms(whole)

    def made(of: list[tuple[Any, Any]]) -> Objective:
        return _objective([(term(p), len(p[1])) for p in of], whole.parameters, whole.model, whole.train)

    pieces = made([piece for of in strided for piece in of])
    if len(pieces.terms) < LEAST:
        return whole
    if min(few) < 2:
        return _by_terms(pieces)
    search = made([(x[0::2], y[0::2]) for x, y in pairs])
    check = made([piece for (x, y), n in zip(pairs, few) for piece in _strides((x[1::2], y[1::2]), n // 2)])
    return replace(whole, pieces=pieces, halves=(search, check))


def _strides(pair: tuple[Any, Any], count: int) -> list[tuple[Any, Any]]:
    x, y = pair
    return [(x[i::count], y[i::count]) for i in range(min(count, len(y)))]


def _is_mean(whole: Objective, parts: list[Term], rows: list[int]) -> bool:
    """Whether a batch's loss is the mean of its pieces' losses."""
    with whole.opened(), torch.no_grad():
        try:
            at_once = float(whole.terms[0]())
            values = [float(part()) for part in parts]
        except Exception:  # of any kind: what fails on the whole batch is told when it is used
            return False
    mean = sum(v * r for v, r in zip(values, rows)) / sum(rows)
    return abs(mean - at_once) <= 1e-4 * max(abs(at_once), max(map(abs, values)))


def _rows(pair: tuple[Any, Any]) -> int | None:
    """How many samples a batch has, if its tensors agree."""
    x, y = pair
    if isinstance(x, Tensor) and isinstance(y, Tensor) and x.ndim and y.ndim and len(x) == len(y) > 0:
        return len(x)
    return None


def _to(value: Any, first: Tensor, own: torch.dtype) -> Any:
    """A tensor where the model is, and in double precision when the model is."""
    if not isinstance(value, Tensor):
        return value
    return value.to(first.device, first.dtype if value.dtype == own else value.dtype)


def _double(objective: Objective) -> Objective:
    """Run small models in double precision, if they can be: near convergence the rounding of a float32 model hides its
    curvature, which is that of differences of nearly equal numbers."""
    kinds = {p.dtype for p in objective.parameters}
    small = objective.size <= DOUBLE and all(p.device.type == "cpu" for p in objective.parameters)
    if kinds == {torch.float64} or not small:
        return objective
    made = replace(objective, double=True)
    with made.opened(), torch.no_grad():
        try:
            if not all(term().dtype == torch.float64 for term in made.terms):
                return objective
        except Exception:  # of any kind: a part of it insists on its own dtype
            return objective
    kind = ", ".join(sorted(str(k).removeprefix("torch.") for k in kinds))
    return replace(made, notes=(*made.notes, f"run in double precision; the parameters are {kind}"))


def _mode(module: nn.Module | None, train: bool, notes: list[str]) -> None:
    """State the mode where it matters: with batch norm λmax was found to differ 29-fold between the two."""
    if module is None:
        return
    norms = [m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if norms and train:
        notes.append("training mode: batch norm takes each batch's own statistics, as training does")
    elif norms:
        notes.append("evaluation mode: batch norm takes its running statistics; train=True takes the batches' own")
    elif train:
        notes.append("training mode")


def check_share(name: str, value: float, who: str) -> None:
    """A setting that must lie strictly between 0 and 1."""
    if not isinstance(value, int | float) or not 0 < value < 1:
        raise SettingError(f"{who}: {name}={value!r}; give a number between 0 and 1")


def check_positive(name: str, value: Any, who: str, optional: bool = True) -> None:
    if value is None and optional:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise SettingError(f"{who}: {name}={value!r}; give a number above 0")


def check_products(value: Any, who: str) -> None:
    if type(value) is not int or value < 2:
        raise SettingError(f"{who}: products={value!r}; give a whole number from 2 up")


def run_guarded(objective: Objective, who: str) -> Tensor:
    """The values of all terms; what the user's code raises becomes a RunError that says which code."""
    try:
        return objective.values()
    except DownslopeError:
        raise
    except Exception as error:
        raise RunError(f"{who}: the loss cannot be evaluated: {type(error).__name__}: {error}") from error
