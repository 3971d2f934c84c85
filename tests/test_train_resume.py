"""A run that was stopped and resumed is the run that was never stopped, whatever its options; and what a folder that
cannot be used says."""

from __future__ import annotations

import errno
import json
import os
import random

import numpy
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from downslope import Task
from downslope.errors import RunError
from downslope.training.run import train

STEPS = 12  # three epochs of four batches


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def model():
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3))


def tensors(count=60):
    inputs = torch.randn(count, 4, generator=torch.Generator().manual_seed(0))
    return inputs, inputs[:, :3].argmax(1)


def halves():
    inputs, targets = tensors()
    return (inputs[:40], targets[:40]), (inputs[40:], targets[40:])


def metric(output, target):
    return (output.argmax(1) == target).double().mean()


def steep(output, target):
    return 500 * nn.functional.cross_entropy(output, target)


def hardness(inputs, targets):
    return inputs.square().sum(1)


class Shaken(Dataset):
    """Draws from every random state there is."""

    def __len__(self):
        return 40

    def __getitem__(self, i):
        inputs, targets = halves()[0]
        noise = random.random() + numpy.random.rand() + torch.rand(()).item()
        return inputs[i] + 0.1 * noise, targets[i]


def loaders(**options):
    return lambda: (
        DataLoader(Shaken(), batch_size=10, **options),
        DataLoader(TensorDataset(*halves()[1]), batch_size=7),
    )


def own_generator():
    return loaders(shuffle=True, generator=torch.Generator().manual_seed(3))()


CASES = {
    "plain": {},
    "sequential": {"order": "sequential"},
    "curriculum": {"order": "curriculum", "difficulty": "hardness", "pacing": "root", "batch": 5},
    "full batch": {"batch": "full", "epochs": 12},
    "accumulated": {"accumulate": 3},
    "bf16": {"amp": "bf16"},
    "fp16": {"amp": "fp16"},
    "fp16 that first finds its scale": {"amp": "fp16", "loss": steep},
    "penalties": {"l1": 1e-3, "l2": 1e-3, "max_norm": 1.0, "clip_value": 0.1},
    "average": {"ema": 0.8},
    "plateau": {"schedule": "plateau", "schedule_settings": {"patience": 0}, "eval_steps": 2},
    "cosine": {"schedule": "cosine", "schedule_settings": {"warmup": 3}, "optimizer": "momentum"},
    "stopping": {"patience": 2, "min_gain": 0.05, "eval_steps": 2},
    "rarely scored": {"eval_epochs": 2, "monitor": "loss"},
    "a dataset": {"data": lambda: (Shaken(), halves()[1])},
    "a loader": {"data": loaders(shuffle=True)},
    "a loader with a generator": {"data": own_generator},
}


def make(case):
    options = {"epochs": 3, "lr": 0.02, "save_seconds": 1000, "seed": 2, **CASES[case]}
    data, loss = options.pop("data", halves), options.pop("loss", nn.functional.cross_entropy)
    return Task("tiny", model, data, loss, metric, batch=10), options


class StopAt:
    """Ctrl-C after a step."""

    def __init__(self, step):
        self.step = step

    def on_step(self, loop):
        if loop.step == self.step:
            loop.interrupted = True
            loop.stop()


def ending(result):
    records = [{k: v for k, v in record.items() if k != "seconds"} for record in result.records]
    return records, {name: value.tolist() for name, value in result.model.state_dict().items()}


@pytest.mark.parametrize("case", CASES)
def test_a_stopped_run_ends_like_one_never_stopped(case, tmp_path):
    task, options = make(case)
    whole = train(task, **options)
    steps = whole.steps
    assert steps >= 4
    random.seed(99)  # what the caller draws is not the run's
    for stop in sorted({1, steps // 2, steps // 2 + 1, steps - 1, steps}):
        out = tmp_path / str(stop)
        first = train(task, out=out, callbacks=[StopAt(stop)], **options)
        assert first.interrupted and first.steps == stop
        second = train(make(case)[0], resume=out)
        assert not second.interrupted and ending(second) == ending(whole)
        lines = [json.loads(line) for line in (out / "records.jsonl").read_text().splitlines()]
        assert lines == second.records
        saved = torch.load(out / "model.pt", weights_only=True)
        assert {name: value.tolist() for name, value in saved.items()} == ending(whole)[1]


def test_a_run_leaves_the_callers_random_states():
    task, options = make("a dataset")
    states = random.getstate(), numpy.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    train(task, **options)
    assert states == (random.getstate(), numpy.random.get_state()[1].tolist(), torch.get_rng_state().tolist())


@pytest.fixture
def stopped(tmp_path):
    task, options = make("plain")
    train(task, out=tmp_path / "run", callbacks=[StopAt(6)], **options)
    return tmp_path / "run"


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_checkpoint_that_is_cut_off_is_named_and_nothing_is_touched(stopped):
    last = stopped / "last.pt"
    last.write_bytes(last.read_bytes()[:-700])
    before = content(stopped)
    with pytest.raises(RunError, match=r"run/last\.pt: is not a whole checkpoint"):
        train(make("plain")[0], resume=stopped)
    assert content(stopped) == before


def test_a_checkpoint_cannot_run_code(stopped, tmp_path):
    class Bad:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    torch.save({"format": 1, "bad": Bad()}, stopped / "last.pt")
    with pytest.raises(RunError, match=r"last\.pt: is not a whole checkpoint"):
        train(make("plain")[0], resume=stopped)
    assert not (tmp_path / "ran").exists()


def test_missing_records_are_named(stopped):
    (stopped / "records.jsonl").write_text("")
    with pytest.raises(RunError, match=r"records\.jsonl: has 0 whole records where last\.pt was saved after 1"):
        train(make("plain")[0], resume=stopped)


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"lr": 0.5}, r"other settings \(lr was 0\.02, now 0\.5\)"),
        ({"epochs": 9, "seed": 1}, r"epochs was 3, now 9; seed was 2, now 1"),
        ({"optimizer_settings": {"eps": 1.0}}, r"optimizer_settings was \{\}, now \{'eps': 1\.0\}"),
    ],
)
def test_changed_settings_are_named(changes, words, stopped):
    before = content(stopped)
    with pytest.raises(RunError, match=words):
        train(make("plain")[0], resume=stopped, **changes)
    assert content(stopped) == before


def test_the_same_settings_may_be_said_again(stopped):
    task, options = make("plain")
    again = train(task, resume=stopped, optimizer="Adam", **options)
    assert ending(again) == ending(train(task, **options))


def test_another_network_is_named(stopped):
    task, _ = make("plain")
    other = Task("tiny", lambda: nn.Linear(4, 3), task.data, task.loss, task.metric, batch=10)
    with pytest.raises(RunError, match=r"the checkpoint does not fit what the task makes now.*was the task changed"):
        train(other, resume=stopped)


def full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def read_only(path, mode="r", *_):
    if "w" in mode:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))
    return open(path, mode)


class Full:
    """A file on a disk that has no room for a tensor."""

    def __init__(self, *args):
        self.file, self.room = open(*args), 200  # noqa: SIM115

    def write(self, data):
        self.room -= len(data)
        return full() if self.room < 0 else self.file.write(data)

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()


DISKS = {
    "full while writing": ("downslope.training.files.open", Full, "No space left on device"),
    "full while syncing": ("os.fsync", full, "No space left on device"),
    "full while renaming": ("os.replace", full, "No space left on device"),
    "full for records": ("os.write", full, "No space left on device"),
    "read-only": ("downslope.training.files.open", read_only, "Read-only file system"),
}


@pytest.mark.parametrize("disk", DISKS)
def test_a_disk_that_takes_no_more_is_an_error_and_the_last_state_is_kept(disk, stopped, monkeypatch):
    name, broken, words = DISKS[disk]
    before = content(stopped)
    with monkeypatch.context() as patch, pytest.raises(RunError, match=rf"run/.*cannot be written: {words}.*--resume"):
        patch.setattr(name, broken, raising=False)
        train(make("plain")[0], resume=stopped)
    after = content(stopped)
    told = {"findings.json", "report.html"}  # of a run that an error has ended, if the disk takes them
    assert after.keys() - told == before.keys() - told and after["last.pt"] == before["last.pt"]
    task, options = make("plain")
    assert ending(train(task, resume=stopped)) == ending(train(task, **options))


def test_a_folder_in_use_stays_as_it_is(stopped):
    task, options = make("plain")
    before = content(stopped)
    with pytest.raises(RunError, match=r"exists and is not empty .*--resume"):
        train(task, out=stopped, **options)
    assert content(stopped) == before


def test_a_folder_without_a_run(tmp_path):
    with pytest.raises(RunError, match=r"holds no run \(no config\.json\)"):
        train(make("plain")[0], resume=tmp_path)


def test_a_diverged_run_keeps_the_last_good_state(tmp_path):
    task, options = make("plain")
    calls = []

    def loss(output, target):
        calls.append(1)
        value = nn.functional.cross_entropy(output, target)
        return value * float("nan") if len(calls) == 8 else value

    broken = Task("tiny", model, halves, loss, metric, batch=10)
    result = train(broken, out=tmp_path / "run", **{**options, "save_seconds": 0})
    assert result.diverged_at == 6  # seven steps and a score before
    assert result.records[-1]["event"] == "diverged" and result.records[-1]["step"] == 6
    assert torch.load(tmp_path / "run" / "last.pt", weights_only=True)["position"]["step"] == 6
    assert not (tmp_path / "run" / "model.pt").exists()
    calls[:] = [1] * 100
    again = train(broken, resume=tmp_path / "run")
    assert ending(again) == ending(train(task, **options))
