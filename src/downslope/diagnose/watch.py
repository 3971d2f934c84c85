"""`downslope.watch`: looks on as any loop trains, at a cost that is set, and says what is wrong."""

from __future__ import annotations

import math
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from ..errors import SettingError
from ..optim.sharding import is_shared, local
from . import asked, ending
from .again import Again, Maker
from .finding import Finding, Picture, Report
from .follow import Follower
from .forensics import inquire
from .parts import behind
from .pictures import picture
from .probes.schedulers import schedulers
from .remedies import at_once, tried
from .whatif import Verdict

T = TypeVar("T")
AT_ONCE = ("at once",)
"""Among the answers of forks, which are kept for one report."""
_open: weakref.WeakKeyDictionary[Any, weakref.ref[Follower]] = weakref.WeakKeyDictionary()


def watch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    budget: float = 0.02,
    loss: Any = None,
    out: str | Path | None = None,
) -> Watch:
    """Watch a model and its optimizer as any loop trains them; `report()` says what is wrong.

    `budget` is the part of the step time that watching may cost, measured on the processor (0.02 by default; 1 looks
    closely at every step). `loss`, a module such as `nn.CrossEntropyLoss()`, lets it see validation losses too; without
    it, tell them by `validation(value)`. With `out`, a folder, report.html and findings.json are there when the watch
    closes or the program ends; after a crash, too, with what was seen until then. Weights, random numbers, batch-norm
    statistics and optimizer states stay bitwise those of a run that nobody watches. A probe that fails switches itself
    off and says so in the report.

    Raises SettingError for a model without parameters, an optimizer of another model, one that is watched already, or
    a budget that is no positive number."""
    return Watch(model, optimizer, budget, loss, out)


class Watch:
    """One model and optimizer under watch; made by `watch`. A context manager: it closes at the end of the block."""

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        budget: float = 0.02,
        loss: Any = None,
        out: str | Path | None = None,
    ):
        _check(model, optimizer, budget, loss)
        self._follower = Follower(_bare(model), optimizer, float(budget), loss)
        self.signals = self._follower.signals
        _open[optimizer] = weakref.ref(self._follower)
        self._maker: Maker | None = None
        self.out = None if out is None else Path(out)
        self.scheduled = True  # perhaps, by one of torch's schedulers: some 40 ms to find out
        ending.expect(self)

    @property
    def leads(self) -> bool:
        """Is this the first of several processes, whose report knows of all and is the one that is written, or the
        only one?"""
        return self.rank == 0

    @property
    def rank(self) -> int:
        """Which one of several processes this is."""
        return 0 if self._follower.team is None else self._follower.team.rank

    @property
    def seconds(self) -> float:
        """That the loop has taken so far, without the watch and without reports."""
        return self._follower.guard.budget.own

    def report(self, forks: bool | float = True) -> Report:
        """What is wrong so far, worst first; may be asked at any time, and after a crash in the loop.

        Where a suspicion can be tested by short forked runs they are made now, on copies: some seconds, or so many as
        `forks` says; none if it is false."""
        from .findings import FLAT, SYMPTOMS, judge

        seen, s = self._follower, self.signals
        asks = (self._rates, self._inquest, self._edge, self._at_once, self._again, self._neighbours)
        s.trial, s.inquest, s.edge, s.at_once, s.again, s.neighbours = asks if forks else (None,) * len(asks)
        began, seen.guard.paused = time.perf_counter(), True
        seen.trial.answers.clear()
        seen.trial.left = math.inf if forks is True else float(forks)
        self._maker = None
        seen.trial.clip, seen.trial.seconds = s.clipped_to(), seen.guard.budget.seconds
        try:
            self._state()
            with self._pooled():
                found, failed = judge(s, FLAT if seen.flat else SYMPTOMS)
            if forks:
                found = [self._tried(each) for each in found]
            found = [replace(each, picture=self._picture(each)) for each in found]
            notes = [*seen.guard.notes, *self._notes(), *failed, *sorted(seen.trial.refused)]
        finally:
            seen.guard.paused = False
            seen.guard.budget.away(time.perf_counter() - began)
        return Report(found, s.steps, seen.guard.budget.overhead, seen.guard.budget.allowed, notes)

    def whatif(
        self,
        *,
        lr: Iterable[float | str] | None = None,
        clip: Iterable[float | str] = (),
        optimizer: Mapping[str, Callable[[nn.Module], torch.optim.Optimizer]] | None = None,
        settings: Iterable[Mapping[str, Any]] = (),
        steps: int = 20,
        repeats: int = 5,
    ) -> Verdict:
        """What would come of it from here: forks with one thing changed each, on the last batches; which learning rates
        are safe, and which is best.

        `lr` are factors, 0.1, 0.3, 3 and 10 by default; `clip` norms or "off"; `optimizer` functions of the fork's
        model by name; `settings` of the optimizer, such as [{"betas": (0.9, 0.95)}]. The run is left as it is, bit for
        bit. Scored on the last batches, which the forks train on as the run did: of what generalises it says nothing.
        Raises SettingError where a step cannot be made anew without the loop, or for what does not fit."""
        seen = self._follower
        seen.trial.clip = self.signals.clipped_to()
        began, before, seen.guard.paused = time.perf_counter(), seen.guard.paused, True
        try:
            return asked.whatif(seen.trial, lr, clip, optimizer or {}, settings, steps, repeats, seen.tied)
        finally:
            seen.guard.paused = before
            seen.guard.budget.away(time.perf_counter() - began)

    def validation(self, loss: float | torch.Tensor) -> None:
        """Tell the loss on the validation data, after it was scored: what overfitting is judged by."""
        self._follower.tell_validation(float(loss))

    def loss(self, value: float | torch.Tensor) -> None:
        """Tell the loss of this step, where it cannot be seen (no backward of torch's) or is scaled."""
        self._follower.tell_loss(float(value))

    def refused(self, loss: float | torch.Tensor) -> None:
        """Tell the loss of a last batch from which no step was taken, as it was infinite or out of bounds."""
        self._follower.refused(float(loss))

    def close(self) -> None:
        """Take all hooks away. What was seen stays; `report()` may be called after."""
        if not self._follower.guard.closed:
            self._follower.close()
        _open.pop(self._follower.optimizer, None)
        if ending.done(self) and self.out is not None and self.leads:
            self.report().save(self.out)

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if error is not None:
            ending.crashed(self, error)
        self.close()

    @contextmanager
    def _pooled(self) -> Iterator[None]:
        """Inside, the first of several processes knows what the others have seen."""
        seen, s = self._follower, self.signals
        own = s.losses, s.not_finite, s.parameters, s.samples
        if seen.team is not None:
            try:
                seen.team.tell(s, seen.parts)
                if seen.team.rank == 0:
                    mates = seen.team.told()
                    s.losses, s.not_finite, facts = seen.team.pooled(s, mates)
                    s.facts |= facts
                    if seen.parts is not None:
                        s.parameters, s.samples = seen.parts.pooled(s, mates)
            except Exception as error:
                seen.guard.note(f"the other processes could not be asked ({type(error).__name__}: {error})")
        try:
            yield
        finally:
            s.losses, s.not_finite, s.parameters, s.samples = own

    def _state(self) -> None:
        """How weights and schedulers stand now."""
        seen, s = self._follower, self.signals
        held = [local(p).detach() for p in seen.tensors]
        s.facts["schedulers"] = schedulers(seen.optimizer) if self.scheduled else []
        s.facts["own_loss"] = seen.trial.agrees
        s.facts["versions_now"] = [p._version for p in seen.tensors]
        s.facts["alike_now"] = [q.alike and bool((p == p[:1]).all()) for p, q in zip(held, s.parameters)]
        s.facts["std_now"] = [float(p.float().std()) if p.numel() > 1 else 0.0 for p in held]
        s.facts["mean_now"] = [float(p.float().mean()) if p.numel() else 0.0 for p in held]

    def _or_note(self, what: str, ask: Callable[[], T], otherwise: T) -> T:
        """What is asked for; where it fails, a note of what, and something else in its place."""
        try:
            return ask()
        except Exception as error:
            self._follower.guard.note(f"{what} ({type(error).__name__}: {error})")
            return otherwise

    def _rates(self, factors: tuple[float, ...]) -> Any:
        return self._or_note("forked runs failed", lambda: self._follower.trial.rates(factors), None)

    def _at_once(self) -> Verdict | None:
        """Asked by two judges, and made once."""
        answers = self._follower.trial.answers
        if AT_ONCE not in answers:
            answers[AT_ONCE] = self._or_note("forked runs failed", lambda: at_once(self._follower.trial), None)
        return answers[AT_ONCE]

    def _made(self) -> Maker:
        seen, s = self._follower, self.signals
        if self._maker is None:
            self._maker = Maker(seen.trial, s.lr, s.counts["backwards"] / max(1, s.counts["seen_backward"]))
        return self._maker

    def _again(self, factors: tuple[float, ...], held: bool = False) -> Again | None:
        return self._or_note("the run was not made again", lambda: self._made()(factors, held), None)

    def _neighbours(self) -> tuple[int, int]:
        return self._or_note("nearest neighbours were not looked at", lambda: self._made().neighbours, (0, 0))

    def _tried(self, finding: Finding) -> Finding:
        ask = lambda: tried(finding, self._follower.trial, self.signals)  # noqa: E731
        return self._or_note(f"the remedy of {finding.symptom} was not tried", ask, finding)

    def _picture(self, finding: Finding) -> Picture | None:
        return self._or_note(f"{finding.symptom} has no picture", lambda: picture(self.signals, finding), None)

    def _edge(self) -> float:
        ask = lambda: asked.edge(self._follower.trial, self._follower.optimizer)  # noqa: E731
        return self._or_note("the curvature is not known", ask, math.nan)

    def _inquest(self, step: int) -> Any:
        seen = self._follower
        if seen.ring.spike is None or seen.ring.spike.step != step:
            return (
                "the steps before it were not kept"
                if seen.ring.usable
                else seen.tied or "a copy of the model is too large"
            )
        try:
            return inquire(seen.ring.spike, seen.model, seen.optimizer, self.signals.clipped_to())
        except Exception as error:
            return f"{type(error).__name__}: {error}"

    def _notes(self) -> list[str]:
        from .findings.noise import note

        s = self.signals
        found = []
        if s.steps and not s.counts["seen_backward"]:
            found.append("no backward pass was seen, so that losses are not known; tell them by watch.loss(value)")
        elif s.steps and not s.counts["forward_seen"]:
            found.append(
                "no forward pass was seen: nothing is said of data, predictions and modes, and nothing is tried; of a "
                "compiled model watch what torch.compile gives, and call that"
            )
        elif s.steps and not s.losses:
            found.append("the loss is none that is known by its graph: nothing is said of targets and predictions")
        if self._follower.flat:
            found.append(
                "parameters are in torch's first FullyShardedDataParallel, which shows none of them as it uses them: "
                "nothing is said of layers, starts and the learning rate; of a model cut by fully_shard there is"
            )
        team = self._follower.team
        if team is not None:
            told = s.facts.get("mates", {})
            others = ", ".join(f"process {rank} {loss:.3g} at step {step}" for rank, (step, loss) in told.items())
            found.append(
                f"process {team.rank} of {team.size}: its own batches and losses"
                + (f", and what the others have told of theirs; losses there: {others}" if others else "")
                + ("" if team.rank == 0 else "; the report of process 0 knows of all")
            )
        idle = [p.name for p in s.parameters if p.kind == "bias" and p.follows == "batchnorm" and p.trained]
        if idle:
            names = f"{idle[0]}{f' and {len(idle) - 1} more' if len(idle) > 1 else ''}"
            found.append(
                f"a bias before a batch norm does nothing, which takes it out again ({names}): bias=False saves it"
            )
        words = note(s) if s.counts["not_zeroed"] == 0 else None
        return [*found, words] if words else found


def _bare(model: nn.Module) -> nn.Module:
    """The model inside DistributedDataParallel: its forks and replays must not wait for other processes."""
    wrappers = (nn.parallel.DistributedDataParallel, nn.DataParallel)
    return model.module if isinstance(model, wrappers) else model


def _check(model: Any, optimizer: Any, budget: Any, loss: Any) -> None:
    if not isinstance(model, nn.Module):
        raise SettingError(f"watch: the model is a {type(model).__name__}; give a torch.nn.Module")
    if not isinstance(optimizer, torch.optim.Optimizer):
        kind = type(optimizer).__name__
        raise SettingError(f"watch: the optimizer is a {kind}; give a torch.optim.Optimizer, the one inside a wrapper")
    if not next(model.parameters(), None) is not None:
        raise SettingError(f"watch: {type(model).__name__} has no parameters; there is nothing to train")
    if isinstance(budget, bool) or not isinstance(budget, int | float) or not 0 < budget < math.inf:
        raise SettingError(f"watch: budget is {budget!r}; give a part of the step time above 0, such as 0.02")
    own = {id(p) for p in (*model.parameters(), *behind(model).values())}
    if not any(id(p) in own for g in optimizer.param_groups for p in g["params"]):
        raise SettingError(
            "watch: the optimizer has no parameter of this model; make it from model.parameters(), after the model is "
            "moved or wrapped"
        )
    if any(is_shared(p) and id(p) not in own for g in optimizer.param_groups for p in g["params"]):
        raise SettingError(
            "watch: parameters of the optimizer are not in the model now, which has gathered its parts for a forward "
            "pass; watch it before its first one, or after model.reshard() in every process"
        )
    if loss is not None and not isinstance(loss, nn.Module):
        raise SettingError(f"watch: loss is {loss!r}; give the loss module, such as nn.CrossEntropyLoss()")
    before = _open.get(optimizer)
    if before is not None and before() is not None:
        raise SettingError("watch: this optimizer is watched already; close() that watch first")
