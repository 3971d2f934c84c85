"""`downslope train`: one run, with its options, folder and checkpoints."""

from __future__ import annotations

import inspect
import json
import shlex
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import SettingError
from ..training.config import Config, distribute, from_toml, read_value

EXAMPLE = "Example: downslope train digits --optimizer adam --lr 1e-3 --schedule cosine --epochs 20"
KINDS: dict[str, Any] = {"int": int, "float": float, "bool": bool, "list[str]": list[str]}
WORDS = ("task", "task_settings", "optimizer_settings", "schedule_settings")  # have another way in


def train(
    task: str | None,
    config: Path | None,
    resume: Path | None,
    sets: list[str],
    as_json: bool,
    **given: Any,
) -> None:
    """Train a task: a bundled one by its name, or your own by its file.

    Leaves a folder with config.json, records.jsonl, checkpoints and model.pt. Ctrl-C finishes the step, saves, and
    prints the command that goes on; so does --resume FOLDER after a kill. Exit status 1: the loss diverged.
    """
    from rich.console import Console

    from ..report.progress import TrainProgress, print_result
    from ..report.table import say
    from ..training import distributed
    from ..training.folder import saved_config
    from ..training.run import default_out, train

    options = from_toml(config) if config is not None else {}
    options |= {name: value for name, value in given.items() if not _left_out(value)}
    if task is not None:
        options["task"] = task
    if "batch" in options and str(options["batch"]).isdigit():
        options["batch"] = int(options["batch"])
    if sets:
        _set(options, sets, resume)
    if resume is not None and "out" in options:
        raise SettingError("--out: a resumed run stays in its folder; leave it out")
    team = distributed.join()
    if resume is None and options.get("task"):
        out = str(default_out(options["task"]))
        options.setdefault("out", out if team is None else team.told(out))
    leads = team is None or team.leads
    console = Console(stderr=as_json, quiet=not leads)
    name = options.get("task") or ("" if resume is None else Path(saved_config(resume)["task"]).name)
    progress = TrainProgress(console, f"{name} -> {resume or options.get('out')}")
    try:
        result = train(options.pop("task", None), resume=resume, callbacks=[progress] if leads else [], **options)
    finally:
        progress.stop()
    print_result(console, result)
    for number, each in enumerate(result.members) if result.members else [(None, result)]:
        if each.report is not None and each.report.findings:
            say(console, f"\n{'' if number is None else f'member {number}: '}{each.report}")
    if as_json and leads:
        print(json.dumps({"folder": str(result.folder), "interrupted": result.interrupted, **result.records[-1]}))
    if result.interrupted:
        start = ["downslope"]
        if team is not None:
            start = ["torchrun", "--nproc-per-node", str(team.size), "-m", "downslope"]
        command = [*start, "train", "--resume", str(result.folder), *(["--json"] if as_json else [])]
        step = max((m.steps for m in result.members if m.interrupted), default=result.steps)
        say(console, f"Interrupted after step {step}; it is saved. Go on with:\n  {shlex.join(command)}")
        raise typer.Exit(130)
    if result.diverged_at is not None:
        raise typer.Exit(1)


def _left_out(value: Any) -> bool:
    """Whether an option was not given; 0 is a value."""
    return value is None or value is False or value == []


def _set(options: dict[str, Any], sets: list[str], resume: Path | None) -> None:
    """Put each `--set key=value` where it belongs."""
    from ..optim.base import OWN
    from ..training import by_name
    from ..training.build import optimizer_class, schedule_names
    from ..training.folder import saved_config

    values = {}
    for word in sets:
        name, equals, text = word.partition("=")
        if not equals or not name:
            raise SettingError(f"--set {word}: give a setting and its value, as in --set weight_decay=0.01")
        values[name] = read_value(text)
    known = {**(saved_config(resume) if resume is not None else {}), **options}
    made = optimizer_class(known.get("optimizer", "adam"))
    names = {
        "task": by_name(known["task"]).settings if known.get("task") else {},
        "optimizer": {} if made is None else {n: v for n, v in made.setting_defaults.items() if n not in (*OWN, "lr")},
        "schedule": schedule_names(known.get("schedule")),
    }
    for place, found in distribute(values, names).items():
        if found:
            options[f"{place}_settings"] = {**options.get(f"{place}_settings", {}), **found}


def _signature() -> inspect.Signature:
    """Every option of Config, and the few of the command line alone."""
    own: dict[str, tuple[Any, Any, Any]] = {
        "task": (str | None, typer.Argument(metavar="TASK", help="What to train: `downslope tasks` lists them."), None),
        "config": (Path | None, typer.Option(metavar="FILE", help="A TOML file with any of these options."), None),
        "resume": (Path | None, typer.Option(metavar="FOLDER", help="Go on with the run in a folder."), None),
        "sets": (
            list[str],
            typer.Option("--set", metavar="KEY=VALUE", help="A setting of the task, optimizer or schedule."),
            [],
        ),
    }
    for each in fields(Config):
        if each.name in WORDS:
            continue
        kind = next((KINDS[word] for word in each.type.split(" | ") if word in KINDS and each.name != "batch"), str)
        default: Any = [] if kind == list[str] else False if kind is bool else None
        shown = (
            each.default if each.default not in (None, False) and isinstance(each.default, str | int | float) else ""
        )
        text = each.metadata["help"] + (f" [{', '.join(each.metadata['choices'])}]" if each.metadata["choices"] else "")
        text += f" Default {shown}." if shown != "" else ""
        flag = f"--{each.name.replace('_', '-')}"
        how = typer.Option(flag, metavar=each.metadata.get("metavar"), help=text, show_default=False)
        own[each.name] = (kind if kind in (bool, list[str]) else kind | None, how, default)
    own["as_json"] = (bool, typer.Option("--json", help="Print the last record, and progress to stderr."), False)
    return inspect.Signature(
        [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, how])
            for name, (kind, how, default) in own.items()
        ]
    )


train.__signature__ = _signature()  # type: ignore[attr-defined]
train.__annotations__ = {p.name: p.annotation for p in train.__signature__.parameters.values()}  # type: ignore[attr-defined]
