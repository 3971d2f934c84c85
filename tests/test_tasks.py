"""Every bundled task keeps every promise. Those that need a network get made-up pictures of the same form."""

from __future__ import annotations

import hashlib
import importlib
import math
import os
import socket
import subprocess
import sys
import warnings
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy
import pytest
import torch

from downslope.errors import RunError
from downslope.optim import by_name as optimizer_by_name
from downslope.training.data import Data
from downslope.training.task import Task, bundled, by_name

ONLINE = {"cifar10": (3, 32, 32), "fashion-mnist": (1, 28, 28)}
LOCAL = [name for name in bundled() if name not in ONLINE]
SMALL = {
    "cifar10": {"images": 90, "width": 4},
    "fashion-mnist": {"images": 90, "width": 4},
    "digits-segmentation": {"pictures": 60, "width": 4},
    "stdlib": {"kilobytes": 32, "context": 32, "width": 32, "layers": 1},
}
# Of an untrained network: the log of the number of classes, the variance of a standardised target, DeepOBS's start.
FIRST_LOSS = {
    "cifar10": math.log(10),
    "diabetes": 1.0,
    "digits": math.log(10),
    "digits-segmentation": math.log(11),
    "fashion-mnist": math.log(10),
    "modules-sparse": math.log(8),
    "quadratic": 353.7,
    "spirals": math.log(2),
    "stdlib": math.log(256),
}


def module(name: str) -> ModuleType:
    return importlib.import_module(f"downslope.tasks.{name.replace('-', '_')}")


def made_up(name: str) -> SimpleNamespace:
    """What openml would give, for 120 training pictures and 30 to test on."""
    random = numpy.random.RandomState(0)
    return SimpleNamespace(
        data=random.randint(0, 256, (150, math.prod(ONLINE[name]))).astype(numpy.float64),
        target=numpy.array([str(i % 10) for i in range(150)], dtype=object),
    )


@pytest.fixture(autouse=True)
def one_thread():
    """Networks this small are no faster on more, and slower where cores are shared."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def offline(monkeypatch):
    """No network, and openml's two sets made up."""

    def refuse(*_args, **_options):
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    sets = {module(name).DATA_SET: made_up(name) for name in ONLINE}
    monkeypatch.setattr("sklearn.datasets.fetch_openml", lambda data_id, **_: sets[data_id])
    for name in ONLINE:
        monkeypatch.setattr(module(name), "TRAIN", 120)
        monkeypatch.setattr(module(name), "SIZES", (90, 30, 30))


@pytest.fixture
def small(offline):
    """A task at a small size, and its data."""

    def make(name: str) -> tuple[Task, Data]:
        task = by_name(name).with_settings(**SMALL.get(name, {}))
        return task, task.make_data()

    return make


def parts(data: Data):
    return [part for part in (data.train, data.validation, data.test) if part is not None]


def digest(data: Data) -> str:
    found = hashlib.sha256()
    for part in parts(data):
        for tensor in part.tensors:
            found.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode() + tensor.numpy().tobytes())
    return found.hexdigest()


def perfect(name: str, target: torch.Tensor) -> torch.Tensor:
    """The output that nothing beats."""
    if target.dtype != torch.int64:
        return target
    classes = {"digits-segmentation": 11, "stdlib": 256, "modules-sparse": 8, "spirals": 2}.get(name, 10)
    output = torch.nn.functional.one_hot(target, classes).float()
    return output.movedim(-1, 1) if name == "digits-segmentation" else output


every_task = pytest.mark.parametrize("name", bundled())
every_scored = pytest.mark.parametrize("name", [name for name in bundled() if by_name(name).metric])


@every_task
def test_says_what_it_is(name):
    task = by_name(name)
    assert task.title and task.score and len(task.sizes) == 3
    assert module(name).model.__doc__ or name == "digits-segmentation"
    assert task.epochs >= 1 and 0 <= task.chance < 1


@pytest.mark.parametrize("name", LOCAL)
def test_has_the_documented_sizes_without_a_network(name, offline):
    task = by_name(name)
    assert [part.size for part in parts(task.make_data())] == list(task.sizes)


@every_task
def test_parts_are_pairs_of_finite_tensors(name, small):
    _, data = small(name)
    assert len(parts(data)) == 3
    for part in parts(data):
        inputs, targets = part.tensors
        assert len(inputs) == len(targets) == part.size > 0
        assert inputs.dtype in (torch.float32, torch.int64) and targets.dtype in (torch.float32, torch.int64)
        assert inputs.isfinite().all() and targets.isfinite().all()
    first = [(t.shape[1:], t.dtype) for t in data.train.tensors]
    assert all([(t.shape[1:], t.dtype) for t in part.tensors] == first for part in parts(data))


@every_task
def test_parts_share_nothing(name, small):
    _, data = small(name)
    rows = [[row.numpy().tobytes() for row in part.tensors[0]] for part in parts(data)]
    for i, j in (0, 1), (0, 2), (1, 2):
        shared = set(rows[i]) & set(rows[j])
        # two functions may differ in nothing but names too rare for the vocabulary
        assert sum(row in shared for row in rows[j]) <= (0.1 * len(rows[j]) if name == "modules-sparse" else 0)


ELSEWHERE = """
import torch
torch.set_num_threads(1)
from test_tasks import LOCAL, SMALL, by_name, digest
for name in LOCAL:
    print(name, digest(by_name(name).with_settings(**SMALL.get(name, {})).make_data()))
"""


def test_data_are_the_same_in_another_process(small):
    torch.set_num_threads(2)  # there it is another number, and other random states
    here = {name: digest(small(name)[1]) for name in LOCAL}
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": os.path.dirname(__file__)}
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE], env=environment, check=True, capture_output=True, text=True
    )
    assert dict(line.split() for line in done.stdout.splitlines()) == here


@every_task
def test_first_loss_is_the_expected_one(name, small):
    task, data = small(name)
    losses = []
    for seed in range(3):
        torch.manual_seed(seed)
        model = task.make_model()
        inputs, targets = data.train.rows(torch.arange(min(256, data.train.size)))
        losses.append(task.loss(model(inputs), targets).item())
    assert sum(losses) / 3 == pytest.approx(FIRST_LOSS[name], rel=0.2)


@every_scored
def test_metric_is_1_for_the_truth_and_less_for_a_guess(name, small):
    task, data = small(name)
    inputs, targets = data.validation.tensors
    assert task.metric(perfect(name, targets), targets).item() == 1
    torch.manual_seed(0)
    guess = task.metric(task.make_model()(inputs), targets).item()
    assert (-1 if name == "diabetes" else 0) <= guess < 0.75
    assert task.chance <= 0.5


@every_scored
def test_metric_is_a_mean_over_the_batch(name, small):
    task, data = small(name)
    targets = data.validation.tensors[1]
    output = perfect(name, targets.roll(1, 0)) + 0.5 * perfect(name, targets)
    cut = len(targets) // 3
    apart = [task.metric(output[rows], targets[rows]) for rows in (slice(cut), slice(cut, None))]
    mean = (cut * apart[0] + (len(targets) - cut) * apart[1]) / len(targets)
    assert task.metric(output, targets).item() == pytest.approx(mean.item(), abs=1e-9)


@every_task
def test_a_step_lowers_the_loss_of_its_batch(name, small):
    task, data = small(name)
    torch.manual_seed(0)
    model = task.make_model()
    inputs, targets = data.train.rows(torch.arange(min(task.batch, data.train.size)))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(2):
        optimizer.zero_grad()
        loss = task.loss(model(inputs), targets)
        loss.backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[1] < losses[0]


OTHER = {  # a value for each setting, unlike its default
    "clutter": 2, "context": 16, "digits": 1, "heads": 2, "images": 60, "kilobytes": 64, "layers": 2, "noise": 0.01,
    "pictures": 36, "points": 400, "seed": 1, "sparse": True, "turns": 1.0, "vocabulary": 200, "width": 8,
}  # fmt: skip


@pytest.mark.parametrize("name, setting", [(name, setting) for name in bundled() for setting in by_name(name).settings])
def test_every_setting_changes_the_data_or_the_network(name, setting, small):
    def seen(task: Task) -> tuple:
        torch.manual_seed(0)
        model, data = task.make_model(), task.make_data()
        inputs, targets = data.train.rows(torch.arange(4))
        output = model(inputs)
        task.loss(output, targets).backward()
        layouts = [p.grad.layout for p in model.parameters()]
        return digest(data), output.shape, [p.shape for p in model.parameters()], layouts, output.sum().item()

    task, _ = small(name)
    assert task.settings[setting] != OTHER[setting]
    changed = task.with_settings(**{setting: OTHER[setting]})
    assert changed.settings[setting] == OTHER[setting] and seen(changed) != seen(task)
    assert seen(task) == seen(small(name)[0])


# How a short run ends that anyone can repeat: task, optimizer, lr, epochs, settings -> test loss below, metric from.
RUNS = {
    "diabetes": ("adam", 1e-3, 50, {}, 0.55, 0.45),
    "digits": ("adam", 1e-2, 3, {}, 0.3, 0.9),
    "modules-sparse": ("adagrad", 0.1, 5, {}, 1.7, 0.55),
    "quadratic": ("sgd", 1e-2, 100, {}, 88.5, None),
    "spirals": ("adam", 1e-2, 60, {}, 0.1, 0.98),
    "stdlib": ("adam", 3e-3, 3, SMALL["stdlib"], 3.2, 0.2),
    "digits-segmentation": ("adam", 1e-2, 4, {"pictures": 240, "width": 8}, 0.9, 0.0),
}


@pytest.mark.parametrize("name", RUNS)
def test_can_be_learned(name, small):
    optimizer, lr, epochs, settings, below, reached = RUNS[name]
    task = small(name)[0].with_settings(**settings) if settings else by_name(name)
    data = task.make_data()
    torch.manual_seed(0)
    model = task.make_model()
    rule = optimizer_by_name(optimizer)(model.parameters(), lr=lr)
    for _ in range(epochs):
        for inputs, targets in data.train.batches(task.batch, torch.randperm(data.train.size)):
            rule.zero_grad()
            task.loss(model(inputs), targets).backward()
            rule.step()
    inputs, targets = data.test.tensors
    with torch.no_grad():
        output = model.eval()(inputs)
        assert task.loss(output, targets).item() < below
        assert reached is None or task.metric(output, targets).item() >= reached


# ---- single tasks


def test_quadratic_is_that_of_deepobs():
    task = by_name("quadratic")
    data, start = task.make_data(), task.make_model()
    inputs, targets = data.test.tensors
    assert task.loss(start(inputs), targets).item() == pytest.approx(353.4468, abs=5e-5)
    hessian = module("quadratic").hessian()
    eigenvalues = torch.linalg.eigvalsh(hessian)
    assert torch.allclose(hessian, hessian.T) and hessian.dtype == torch.float64
    assert eigenvalues[0] > 0 and eigenvalues[89] < 1 and eigenvalues[90] > 30 and eigenvalues[99] < 60
    assert task.metric is None and task.batch == 128 and task.drop_last and task.settings == {}
    assert [len(x) for x, _ in data.train.batches(128, torch.arange(1000))] == [128] * 7
    assert data.train.count_batches(128) == 7


def test_segmentation_shows_its_digits_where_it_says():
    task = by_name("digits-segmentation").with_settings(pictures=60, clutter=0, noise=0.0, digits=2)
    inputs, targets = task.make_data().train.tensors
    dark = inputs == inputs.min()
    assert (targets.unsqueeze(1)[dark] == 10).all()  # no ink, no digit
    assert (inputs[targets.unsqueeze(1) != 10] > inputs.min()).all()
    assert {len(picture.unique()) for picture in targets} <= {2, 3}  # nothing, and one or two digits


def test_stdlib_is_source_and_its_targets_are_the_next_bytes(small):
    inputs, targets = small("stdlib")[1].train.tensors
    assert torch.equal(inputs.flatten()[1:], targets.flatten()[:-1])
    text = bytes(inputs.flatten().tolist()).decode(errors="replace")
    assert text.count("def ") > 10 and text.count("self") > 10


def test_stdlib_looks_at_no_later_byte(small):
    task, data = small("stdlib")
    model, inputs = task.make_model(), data.train.tensors[0][:2].clone()
    before = model(inputs)
    inputs[:, 20] = (inputs[:, 20] + 1) % 256
    after = model(inputs)
    assert torch.equal(before[:, :20], after[:, :20]) and not torch.equal(before[:, 20:], after[:, 20:])


def test_sparse_names_are_rare_and_not_the_answer():
    task = by_name("modules-sparse")
    inputs, _ = task.make_data().train.tensors
    used = (inputs > 0).sum(1).double()
    assert used.mean() < 0.01 * task.settings["vocabulary"]
    counts = torch.bincount(inputs[inputs > 0])
    assert (counts[1:] >= 2).double().mean() > 0.99  # but for the ends of long rows
    assert (counts[1:] < 20).double().mean() > 0.8  # most are in under 1 % of the functions
    assert (counts[1:].max() == counts[1]).item()  # the commonest name has number 1


@pytest.mark.parametrize("name", ONLINE)
def test_pictures_from_openml_keep_their_order_and_form(name, small):
    task, data = small(name)
    assert data.train.tensors[0].shape == (90, *ONLINE[name])
    assert data.train.tensors[1].tolist() == [i % 10 for i in range(90)]
    assert data.validation.tensors[1].tolist() == [i % 10 for i in range(90, 120)]
    assert data.test.tensors[1].tolist() == [i % 10 for i in range(120, 150)]
    assert data.train.tensors[0].mean().abs() < 1e-4 and abs(data.train.tensors[0].std() - 1) < 1e-2
    raw = torch.tensor(made_up(name).data[120:]).reshape(30, *ONLINE[name])
    seen = torch.stack([raw.flatten(), data.test.tensors[0].flatten()])
    assert torch.corrcoef(seen)[0, 1] > 0.999
    with pytest.raises(RunError, match=rf"{name}: data\(\) failed: ValueError: images=91: give 1 to 90"):
        task.with_settings(images=91).make_data()


@pytest.mark.parametrize("name", ONLINE)
def test_without_a_network_says_so(name, monkeypatch):
    from urllib.error import URLError

    def unreachable(**_options):
        warnings.warn("A network error occurred while downloading. Retrying...", stacklevel=1)
        raise URLError("Name or service not known")

    monkeypatch.setattr("sklearn.datasets.fetch_openml", unreachable)
    with pytest.raises(
        RunError, match=rf"^{name}: data\(\) failed: openml.org cannot be reached .*not known.*once with a network"
    ):
        by_name(name).make_data()


def test_the_readme_has_each_task_with_its_score() -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    for name in bundled():
        task = by_name(name)
        assert f"| `{name}` | {task.title} | {task.score} |" in readme
