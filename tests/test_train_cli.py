"""`downslope train` from outside: options, one TOML file, the folder, what is printed, Ctrl-C, exit statuses."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from dataclasses import fields
from io import StringIO
from pathlib import Path

import pytest
import torch
from rich.console import Console

from downslope import cli
from downslope.report.progress import TrainProgress
from downslope.training.config import Config, from_toml, read_value
from downslope.training.run import train

DOWNSLOPE = [sys.executable, "-W", "error", "-c", "from downslope.cli import main; main()"]
TASK = '''"""Blobs."""
import time

import torch
from torch import nn

EPOCHS, BATCH = 2, 8


def data(count=24, slow=0.0):
    inputs = torch.randn(count, 3, generator=torch.Generator().manual_seed(0))
    pair = inputs, inputs.argmax(1)
    return pair, pair


def model(width=4):
    return nn.Sequential(nn.Linear(3, width), nn.ReLU(), nn.Dropout(0.1), nn.Linear(width, 3))


def loss(output, target):
    return nn.functional.cross_entropy(output, target)


def metric(output, target):
    return (output.argmax(1) == target).double().mean()


def hardness(inputs, targets):
    return inputs[:, 0]
'''


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "blobs.py").write_text(TASK)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path
    torch.set_num_threads(before)


@pytest.fixture
def call(here, monkeypatch, capsys):
    def run(*args):
        monkeypatch.setattr(sys, "argv", ["downslope", "train", *args])
        status = 0
        try:
            cli.main()
        except SystemExit as stopped:
            status = stopped.code or 0
        return status, *capsys.readouterr()

    return run


def lines(folder):
    return [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]


def timeless(records):
    return [{k: v for k, v in record.items() if k != "seconds"} for record in records]


def test_a_run_leaves_its_folder_and_says_one_line_an_epoch(call, here):
    status, out, err = call("blobs.py", "--lr", "1e-2", "--schedule", "cosine", "--out", "run")
    assert (status, err) == (0, "")
    assert sorted(p.name for p in (here / "run").iterdir()) == [
        "best.pt", "config.json", "findings.json", "last.pt", "model.pt", "records.jsonl", "report.html",
    ]  # fmt: skip
    saved = json.loads((here / "run" / "config.json").read_text())
    assert saved.keys() == {"format", *(each.name for each in fields(Config))}
    found = {name: saved[name] for name in ("task", "optimizer", "lr", "epochs", "batch", "schedule_settings")}
    assert found == {
        "task": str(here / "blobs.py"), "optimizer": "adam", "lr": 0.01, "epochs": 2, "batch": 8,
        "schedule_settings": {"steps": 6},
    }  # fmt: skip
    assert saved["task_settings"] == {"width": 4, "count": 24, "slow": 0.0}
    epochs = [line for line in out.splitlines() if line.startswith("epoch ")]
    records = lines(here / "run")
    assert len(epochs) == 2 and [r["event"] for r in records] == ["epoch", "epoch", "end"]
    for line, record in zip(epochs, records):
        assert f"loss {record['train_loss']:.4g}" in line and f"metric {record['validation_metric']:.4f}" in line
        assert re.search(r"lr \S+  [\d,]+ samples/s", line)
    assert out.splitlines()[-1] == "run" and "\x1b" not in out


def test_the_command_the_call_and_the_file_are_the_same_run(call, here):
    options = {"optimizer": "momentum", "lr": 0.02, "epochs": 3, "batch": 5, "order": "curriculum", "seed": 3,
               "difficulty": "hardness", "max_norm": 0.5, "optimizer_settings": {"weight_decay": 0.1}}  # fmt: skip
    words = [w for k, v in options.items() if k != "optimizer_settings" for w in ("--" + k.replace("_", "-"), str(v))]
    assert call("blobs.py", *words, "--set", "weight_decay=0.1", "--set", "width=6", "--out", "words")[0] == 0
    toml = "\n".join(f"{k} = {json.dumps(v)}" for k, v in options.items() if k != "optimizer_settings")
    file = f'task = "blobs.py"\n{toml}\n[optimizer_settings]\nweight_decay = 0.1\n[task_settings]\nwidth = 6\n'
    (here / "run.toml").write_text(file)
    assert call("--config", "run.toml", "--out", "file")[0] == 0
    result = train("blobs.py", task_settings={"width": 6}, **options)
    assert timeless(lines(here / "words")) == timeless(lines(here / "file")) == timeless(result.records)
    assert call("--config", "run.toml", "--lr", "0.5", "--out", "other")[0] == 0
    assert json.loads((here / "other" / "config.json").read_text())["lr"] == 0.5


def test_json_is_all_that_is_on_stdout(call):
    status, out, err = call("blobs.py", "--json", "--out", "run")
    assert status == 0 and json.loads(out)["event"] == "end" and "epoch 2/2" in err


def test_a_diverged_run_says_so_and_is_status_1(call, here):
    status, out, _ = call("blobs.py", "--optimizer", "sgd", "--lr", "1e38", "--out", "run")
    assert status == 1 and re.search(r"diverged at step \d: the loss is not finite", out)
    assert lines(here / "run")[-1]["event"] == "diverged"


def test_ctrl_c_finishes_the_step_saves_and_says_how_to_go_on(call, here):
    command = ["train", "blobs.py", "--epochs", "400", "--batch", "1", "--out", "run"]
    process = subprocess.Popen(DOWNSLOPE + command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not ((here / "run" / "records.jsonl").exists() and lines(here / "run")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "")
    assert "saved. Go on with:\n  downslope train --resume run\n" in out
    assert not (here / "run" / "model.pt").exists()
    step = torch.load(here / "run" / "last.pt", weights_only=True)["position"]["step"]
    assert f"Interrupted after step {step}" in out and 0 < step < 9600
    state = torch.load(here / "run" / "last.pt", weights_only=True)["position"]
    assert state["step"] == state["epoch"] * 24 + state["batch"]


COLUMN = """import torch
from torch.nn import functional as F


def model():
    return torch.nn.Linear(3, 1)


def data():
    inputs = torch.ones(16, 3)
    return (inputs, inputs[:, 0]), (inputs, inputs[:, 0])


def loss(output, target):
    return F.mse_loss(output, target)
"""

WRONG = {
    "what": ([], r"train what\? give a task"),
    "a task": (["digit"], r"digit: there is no task of that name; did you mean .*digits"),
    "a file": (["nowhere.py"], r"nowhere\.py: there is no such file"),
    "a setting": (["blobs.py", "--set", "widht=3"], r"--set widht: nothing has such a setting; did you mean width"),
    "an option as a setting": (["blobs.py", "--set", "epochs=3"], r"--set epochs: .*an option of its own: --epochs"),
    "no value": (["blobs.py", "--set", "width"], r"--set width: give a setting and its value"),
    "a batch": (["blobs.py", "--batch", "many"], r"batch='many': must be a number of samples"),
    "a choice": (["blobs.py", "--amp", "fp8"], r"amp='fp8': did you mean (bf16|fp16)"),
    "a config key": (["--config", "bad.toml"], r"bad\.toml: there is no option 'epoch'; did you mean epochs"),
    "a config value": (["--config", "value.toml"], r"value\.toml: epochs='two': must be a whole number"),
    "no config": (["--config", "none.toml"], r"none\.toml: cannot be read: No such file"),
    "no toml": (["--config", "blobs.py"], r"blobs\.py: is no TOML"),
    "no run": (["--resume", "nowhere"], r"nowhere: holds no run"),
    "a folder and a resume": (["--resume", "there", "--out", "x"], r"--out: a resumed run stays in its folder"),
    "a folder in use": (["blobs.py", "--out", "there"], r"there: exists and is not empty \(mine\)"),
    "a race's folder": (["--resume", "race"], r"config\.json: is not of a training run"),
    "a spoiled file": (["spoiled.py"], r"spoiled\.py: data\(\), train: the inputs hold nan"),
    "no members": (["blobs.py", "--members", "0"], r"members=0: must be at least 1"),
    "a norm of nothing": (["blobs.py", "--max-norm", "0"], r"Adam: max_norm is 0\.0; it must be above 0"),
    "another's word": (
        ["--config", "words.toml"],
        r"words\.toml: there is no option 'learning_rate'; did you mean lr\?",
    ),
    "the optimizer's": (["--config", "decay.toml"], r"decay\.toml: .*'weight_decay'; it is a setting of the optimizer"),
    "no such device": (
        ["blobs.py", "--device", "banana"],
        r"device='banana': torch has no such device here; there is cpu",
    ),
    "a device that is none": (["blobs.py", "--device", "meta"], r"device='meta': torch has no such device here"),
    "a nowhere": (["blobs.py", "--out", "/proc/x"], r"/proc/x: cannot be written: .*--out FOLDER$"),
    "a spread target": (
        ["column.py"],
        r"column\.py: loss\(output, target\) got output float32 \[16, 1\] and .*same shape",
    ),
    "members of a spoiled file": (
        ["spoiled.py", "--members", "2"],
        r"spoiled\.py: data\(\), train: the inputs hold nan",
    ),
    "in place": (["inplace.py"], r"inplace\.py: the gradient of loss\(output, target\) cannot be computed: .*in place"),
}


@pytest.mark.parametrize("case", WRONG)
def test_one_line_says_what_is_wrong(case, call, here):
    args, words = WRONG[case]
    (here / "bad.toml").write_text('task = "blobs.py"\nepoch = 3\n')
    (here / "value.toml").write_text('task = "blobs.py"\nepochs = "two"\n')
    (here / "spoiled.py").write_text(TASK.replace("pair = ", "inputs[3, 1] = float('nan')\n    pair = "))
    (here / "words.toml").write_text('task = "blobs.py"\nlearning_rate = 0.1\n')
    (here / "decay.toml").write_text('task = "blobs.py"\nweight_decay = 0.1\n')
    (here / "column.py").write_text(COLUMN)
    (here / "inplace.py").write_text(
        COLUMN.replace("return F", "output = output[:, 0].exp()\n    output += 1\n    return F")
    )
    (here / "there").mkdir()
    (here / "there" / "mine").write_text("")
    (here / "race").mkdir()
    (here / "race" / "config.json").write_text('{"format": 1, "learning_rates": {}}')
    status, _, err = call(*args)
    assert status == 2 and err.count("\n") == 1 and re.match(rf"downslope: .*{words}", err), err
    assert not any((here / "runs").glob("*")), "a run that came to nothing leaves nothing"


def test_a_setting_that_two_have_needs_to_say_whose(call, here):
    (here / "blobs.py").write_text(TASK.replace("width=4", "width=4, eps=1.0"))
    assert "task and optimizer both have it; say task.eps or optimizer.eps" in call("blobs.py", "--set", "eps=2")[2]
    assert call("blobs.py", "--set", "optimizer.eps=0.5", "--set", "betas=[0.5, 0.9]", "--out", "run")[0] == 0
    saved = json.loads((here / "run" / "config.json").read_text())
    assert saved["optimizer_settings"] == {"eps": 0.5, "betas": [0.5, 0.9]} and saved["task_settings"]["eps"] == 1.0


@pytest.mark.parametrize(
    "text, value",
    [
        ("0.1", 0.1),
        ("1e-3", 1e-3),
        ("3", 3),
        ("true", True),
        ("[0.9, 0.99]", [0.9, 0.99]),
        ("none", None),
        ("a b", "a b"),
    ],
)
def test_values_are_read_as_toml_has_them(text, value):
    assert read_value(text) == value and type(read_value(text)) is type(value)


def test_every_option_has_its_default_in_the_file_too(here):
    (here / "all.toml").write_text('task = "digits"\nbatch = "full"\nloggers = ["tensorboard"]\nlr = 1\n')
    assert Config(**from_toml(here / "all.toml")).batch == "full"


EVERY = """
task = "blobs.py"
seed = 3
out = "all"
optimizer = "adamw"
lr = 0.01
schedule = "cosine"
epochs = 2
batch = 6
accumulate = 2
order = "curriculum"
difficulty = "hardness"
pacing = "pace"
pacing_start = 0.3
pacing_end = 0.6
amp = "bf16"
l1 = 1e-5
l2 = 1e-5
max_norm = 1.0
clip_value = 0.5
ema = 0.9
init = "he"
batchnorm = true
members = 2
together = "no"
eval_epochs = 2
eval_steps = 3
monitor = "loss"
patience = 5
min_gain = 1e-4
save_seconds = 0.5
device = "cpu"
shard = false
sync_batchnorm = false
loggers = []
watch = 0.01

[task_settings]
width = 5

[optimizer_settings]
weight_decay = 0.1
betas = [0.8, 0.99]

[schedule_settings]
warmup = 1
"""


def test_every_option_stands_in_one_file(call, here):
    (here / "blobs.py").write_text(TASK + "\n\ndef pace(far, first):\n    return first + far * (1 - first) / 2\n")
    (here / "all.toml").write_text(EVERY)
    given = tomllib.loads(EVERY)
    assert set(given) == {each.name for each in fields(Config)}
    assert call("--config", "all.toml")[0] == 0
    saved = json.loads((here / "all" / "config.json").read_text())
    saved = {**saved, "task": "blobs.py", "task_settings": {"width": saved["task_settings"]["width"]}}
    assert saved == {**saved, **given}
    assert call("--config", "all.toml", "--out", "again", "--members", "1", "--seed", "4")[0] == 0
    assert timeless(lines(here / "again")) == timeless(lines(here / "all" / "member-1"))


def test_a_terminal_gets_a_bar_and_keeps_one_line_an_epoch(here):
    class Terminal(StringIO):
        def isatty(self):
            return True

    screen = Terminal()
    console = Console(file=screen, force_terminal=True, width=120, legacy_windows=False, _environ={"TERM": "xterm"})

    class Slow:
        def on_step(self, loop):
            time.sleep(0.06)

    progress = TrainProgress(console, "blobs")
    train("blobs.py", callbacks=[Slow(), progress])
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())
    assert re.search(r"epoch 1/2 .*\d/6 loss \S+ .*lr 0\.001 .*/s", text), text
    assert "epoch 2/2  step 6" in text and progress.bar is None


def test_help_names_every_option_of_config(call):
    _, out, _ = call("--help")
    own = {"task", "task_settings", "optimizer_settings", "schedule_settings"}
    missing = [e.name for e in fields(Config) if e.name not in own and f"--{e.name.replace('_', '-')} " not in out]
    assert missing == []


def test_the_options_are_read_without_torch():
    code = (
        "import sys; from downslope.training.config import Config; import downslope.cli; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=dict(os.environ))
    assert done.stdout.strip() == "False", done.stderr


def test_zero_is_a_value(call, here):
    assert call("blobs.py", "--out", "run", "--seed", "0", "--watch", "0", "--save-seconds", "0", "--l1", "0")[0] == 0
    config = json.loads((here / "run" / "config.json").read_text())
    assert (config["watch"], config["save_seconds"]) == (0, 0)
    assert not (here / "run" / "findings.json").exists()


def test_an_error_that_nobody_foresaw_is_one_line_and_keeps_its_traceback(call, here, monkeypatch):
    def broken(*_, **__):
        raise LookupError("a word\nand another")

    monkeypatch.setattr("downslope.training.run.train", broken)
    status, _, err = call("blobs.py")
    found = re.match(
        r"downslope: LookupError: a word; nobody foresaw this: the traceback is in (\S+\.txt), please", err
    )
    assert status == 1 and err.count("\n") == 1 and found, err
    kept = Path(found[1])
    assert "in broken" in kept.read_text()
    kept.unlink()
