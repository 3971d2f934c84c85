"""A user's own task: files, modules and DataLoaders; what is wrong with one is said with its file and function."""

from __future__ import annotations

import json
import os
import re
import stat
import sys
from pathlib import Path

import numpy
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from downslope import Task, cli
from downslope.errors import RunError, SettingError
from downslope.training.data import Part
from downslope.training.task import as_task, bundled, by_name, from_file

LOSS = nn.functional.mse_loss
X, Y = torch.arange(20.0).view(10, 2), torch.arange(10.0).view(10, 1)


class Rows(Dataset):
    """Map-style; a sample is whatever it is given."""

    def __init__(self, samples):
        self.samples = samples

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        return self.samples[index]


class Stream(IterableDataset):
    def __init__(self, samples):
        self.samples = samples

    def __iter__(self):
        return iter(self.samples)


PAIRS = list(zip(X, Y))


# ---- data of every kind

SOURCES = {
    "a pair": lambda: (X, Y),
    "a pair in a list": lambda: [X, Y],
    "a TensorDataset": lambda: TensorDataset(X, Y),
    "a map-style dataset": lambda: Rows(PAIRS),
    "a list of samples": lambda: PAIRS,
    "a DataLoader": lambda: DataLoader(TensorDataset(X, Y), batch_size=4),
    "a DataLoader of a map-style dataset": lambda: DataLoader(Rows(PAIRS), batch_size=4),
    "a DataLoader of a stream": lambda: DataLoader(Stream(PAIRS), batch_size=4),
}
every_source = pytest.mark.parametrize("source", SOURCES)


@every_source
def test_gives_all_samples_in_batches(source):
    part = Part(SOURCES[source](), "here")
    batches = list(part.batches(4))
    assert [len(x) for x, _ in batches] == [4, 4, 2]
    assert torch.equal(torch.cat([x for x, _ in batches]), X) and torch.equal(torch.cat([y for _, y in batches]), Y)
    assert part.size == (None if "stream" in source else 10)
    assert part.count_batches(4) == (None if "stream" in source else 3)
    assert [len(x) for x, _ in part.batches(4, skip=2)] == [2]


@every_source
def test_gives_rows_in_any_order(source):
    part = Part(SOURCES[source](), "here")
    if part.size is None:
        return
    order = torch.tensor([7, 1, 1, 9, 0])
    x, y = part.rows(order)
    assert torch.equal(x, X[order]) and torch.equal(y, Y[order])
    if part.loader is None:
        assert [y.flatten().tolist() for _, y in part.batches(2, order)] == [[7, 1], [1, 9], [0]]


@every_source
def test_a_module_and_data_make_a_task_that_trains(source):
    module = nn.Linear(2, 1)
    weights = {name: value.clone() for name, value in module.state_dict().items()}
    task = Task.of(module, SOURCES[source](), SOURCES[source](), loss=LOSS)
    data = task.make_data()
    first, second = task.make_model(), task.make_model()
    for model in (first, second):
        assert model is not module and all(torch.equal(v, weights[n]) for n, v in model.state_dict().items())
    optimizer = torch.optim.SGD(first.parameters(), lr=1e-3)
    losses = []
    for _ in range(3):
        for x, y in data.train.batches(10):
            optimizer.zero_grad()
            loss = task.loss(first(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert torch.equal(second.weight, weights["weight"]) and torch.equal(module.weight, weights["weight"])
    assert data.validation is not None and data.test is None


def test_a_task_of_what_is_at_hand_keeps_what_it_is_given():
    task = Task.of(lambda: nn.Linear(2, 1), (X, Y), loss=LOSS)
    assert task.name == "task" and task.make_data().validation is None and task.metric is None
    torch.manual_seed(0)
    assert not torch.equal(task.make_model().weight, task.make_model().weight)  # a function draws anew
    task = Task.of(nn.Linear(2, 1), (X, Y), (X, Y), (X, Y), loss=LOSS, metric=LOSS, name="mine", epochs=3, batch=5)
    assert (task.name, task.epochs, task.batch, task.metric) == ("mine", 3, 5, LOSS)
    assert task.make_data().test.size == 10
    with pytest.raises(SettingError, match=r"^task: a Task has no field 'epoch'; did you mean epochs\?"):
        Task.of(nn.Linear(2, 1), (X, Y), loss=LOSS, epoch=3)


def test_a_module_changed_later_leaves_the_task_as_it_was():
    module = nn.Linear(2, 1)
    task = Task.of(module, (X, Y), loss=LOSS)
    with torch.no_grad():
        module.weight.zero_()
    assert task.make_model().weight.abs().sum() > 0


def test_a_loader_keeps_how_it_makes_batches():
    def together(samples):
        return torch.stack([x for x, _ in samples]) * 10, torch.stack([y for _, y in samples])

    part = Part(DataLoader(Rows(PAIRS), batch_size=5, collate_fn=together), "here")
    assert torch.equal(part.rows(torch.arange(3))[0], 10 * X[:3])
    assert torch.equal(next(part.batches(2))[0], 10 * X[:5])


def test_inputs_may_be_nested():
    samples = [({"a": x, "b": (x, x)}, y) for x, y in PAIRS]
    inputs, targets = Part(Rows(samples), "here").rows(torch.arange(3))
    assert torch.equal(inputs["b"][1], X[:3]) and torch.equal(targets, Y[:3])


def test_drop_last_is_for_an_order_only():
    part = Part((X, Y), "here", drop_last=True)
    assert [len(x) for x, _ in part.batches(4, torch.arange(10))] == [4, 4] and part.count_batches(4) == 2
    assert [len(x) for x, _ in part.batches(5, torch.arange(10))] == [5, 5] and part.count_batches(5) == 2
    assert sum(len(x) for x, _ in part.batches(4)) == 10  # to score on
    assert [len(x) for x, _ in part.batches(None, torch.arange(10))] == [10]


@pytest.mark.parametrize(
    "made", [((X, Y), (X, Y)), [(X, Y), (X, Y)], {"train": (X, Y), "validation": (X, Y)}], ids=["tuple", "list", "dict"]
)
def test_data_may_be_a_tuple_a_list_or_a_dict(made):
    data = Task("mine", nn.Identity, lambda: made, LOSS).make_data()
    assert data.train.size == data.validation.size == 10 and data.test is None


# ---- what is wrong with data

WRONG_DATA = {
    "nothing": (None, r"data\(\) returned nothing \(None\); return \(train, validation\)"),
    "one pair": ((X, Y), r"data\(\) returned a tuple of Tensor, Tensor; return \(train, validation\) or .*pair"),
    "a string": ("train.csv", r"data\(\) returned a str; return"),
    "four parts": ([(X, Y)] * 4, r"data\(\) returned a list of tuple, tuple, tuple, tuple; return"),
    "no parts": ([], r"data\(\) returned a list of 0"),
    "a part of another name": (
        {"train": (X, Y), "val": (X, Y)},
        r"a part 'val'; the parts are train, validation, test",
    ),
    "no train": ({"test": (X, Y)}, r"data\(\) returned no part to train on"),
    "no samples": (((X[:0], Y[:0]), None), r"data\(\), train: holds no samples"),
    "no samples in a dataset": (((X, Y), Rows([])), r"data\(\), validation: holds no samples"),
    "no samples in a loader": ((DataLoader(Rows([])), None), r"data\(\), train: holds no samples"),
    "a loader without a batch": (
        (DataLoader(Rows(PAIRS), batch_size=32, drop_last=True), None),
        r"train: its DataLoader gives no batch: 10 samples, batch_size=32 and drop_last=True",
    ),
    "sizes that differ": (((X, Y[:7]), None), r"data\(\), train: has 10 inputs and 7 targets"),
    "a scalar": (((X, torch.tensor(1.0)), None), r"one is a scalar"),
    "numpy": (
        ((X.numpy(), Y.numpy()), None),
        r"train: is a tuple of ndarray, ndarray; make tensors of them with torch",
    ),
    "one array": ((numpy.zeros(3), None), r"train: is a ndarray; give a pair of tensors"),
    "inputs alone": ((X, None), r"returned a tuple of Tensor, NoneType"),
    "validation alone": (((X, Y), X), r"validation: is one tensor of shape \[10, 2\]; give a pair"),
    "three tensors": (((X, Y, Y), None), r"train: is a tuple of Tensor, Tensor, Tensor; give a pair"),
    "half a pair": (((X, [1, 2]), None), r"train: is a tuple of Tensor, list; give a pair"),
    "a stream": ((Stream(PAIRS), None), r"train: is a Stream, a stream; wrap it in a DataLoader"),
    "a number": ((3, None), r"train: is a int; give a pair"),
}


@pytest.mark.parametrize("case", WRONG_DATA)
def test_wrong_data_are_named(case):
    made, message = WRONG_DATA[case]
    with pytest.raises(RunError, match=message) as raised:
        Task("my_task.py", nn.Identity, lambda: made, LOSS).make_data()
    assert str(raised.value).startswith("my_task.py: data()")


WRONG_SAMPLES = {
    "inputs alone": ([x for x in X], "a Tensor"),
    "three values": ([(x, y, y) for x, y in PAIRS], "3 values"),
    "a dict": ([{"x": x, "y": y} for x, y in PAIRS], "a dict of x, y"),
}


@pytest.mark.parametrize("kind", [Rows, Stream])
@pytest.mark.parametrize("case", WRONG_SAMPLES)
def test_wrong_samples_are_named(case, kind):
    samples, found = WRONG_SAMPLES[case]
    part = Part(Rows(samples) if kind is Rows else DataLoader(Stream(samples), batch_size=2), "mine: data(), train")
    with pytest.raises(RunError, match=rf"^mine: data\(\), train: a sample is {found}; give \(input, target\)$"):
        next(part.batches(2))


def test_an_empty_stream_is_named():
    part = Part(DataLoader(Stream([])), "mine: data(), train")
    with pytest.raises(RunError, match=r"^mine: data\(\), train: its DataLoader gave no batch$"):
        next(part.batches(2))


# ---- files

GOOD = """
'''My task.'''
import torch
from torch import nn

EPOCHS, BATCH = 2, 5

def model(width=3):
    return nn.Linear(2, 1)

def data(size=10, width=3):
    x = torch.zeros(size, 2)
    return (x, x[:, :1]), (x, x[:, :1])

def loss(output, target):
    return nn.functional.mse_loss(output, target)
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "my_task.py"
    path.write_text(text)
    return path


def test_a_file_is_a_task(tmp_path):
    task = from_file(write(tmp_path, GOOD))
    assert (task.title, task.epochs, task.batch, task.chance) == ("My task.", 2, 5, 0.0)
    assert task.settings == {"width": 3, "size": 10} and task.metric is None
    changed = task.with_settings(size=4)
    assert changed.make_data().train.size == 4 and task.make_data().train.size == 10
    assert isinstance(task.make_model(), nn.Linear)


def test_a_file_imports_its_neighbours_then_and_later(tmp_path):
    (tmp_path / "beside_now.py").write_text("SIZE = 10")
    (tmp_path / "beside_later.py").write_text("SIZE = 6")
    text = GOOD.replace("import torch\n", "import torch\nfrom beside_now import SIZE\n", 1)
    text = text.replace("    x = torch", "    from beside_later import SIZE as size\n    x = torch").replace(
        "=10", "=SIZE"
    )
    before = list(sys.path)
    try:
        assert from_file(write(tmp_path, text)).make_data().train.size == 6
    finally:
        sys.path[:] = before


WRONG_FILES = {
    "no loss": (
        lambda t: t.replace("def loss", "def los"),
        r"has no function loss\(\) \(found model, data, los\); a task",
    ),
    "nothing": (lambda t: "", r"has no function model\(\) \(found no function at all\)"),
    "a loss that is none": (
        lambda t: t + "loss = 3",
        r"loss is a int; make it a function, `def loss\(output, target\):`",
    ),
    "a metric that is none": (lambda t: t + "metric = 'acc'", r"metric is a str; make it a function"),
    "no default": (lambda t: t.replace("size=10", "size"), r"data\(\) needs a value for 'size'; give it a default"),
    "two defaults": (
        lambda t: t.replace("model(width=3", "model(width=4"),
        r"the setting 'width' is 4 in model\(\) and 3 in data\(\)",
    ),
    "a syntax error": (lambda t: t + "def broken(:\n", r"line 17: invalid syntax: `def broken\(:`"),
    "a missing package": (
        lambda t: t.replace("import torch\n", "import torch\nimport no_such_package.deep\n", 1),
        r"needs no_such_package, not installed here; install with: pip install no_such_package \(my_task.py, line 4",
    ),
    "an error at the top": (
        lambda t: t + "raise KeyError('here')\n",
        r"KeyError: 'here' \(my_task.py, line 17: `raise KeyError\('here'\)`\)",
    ),
    "an exit": (lambda t: t + "raise SystemExit(3)\n", r"SystemExit: 3 \(my_task.py, line 17"),
    "epochs in words": (lambda t: t + "EPOCHS = 'many'\n", r"EPOCHS is 'many'; give a whole number from 1 up"),
    "an empty batch": (lambda t: t + "BATCH = 0\n", r"BATCH is 0; give a whole number"),
    "epochs in small letters": (
        lambda t: t.replace("EPOCHS, BATCH = 2, 5", "epochs = 5"),
        r"line 6: `epochs = 5` is read by nobody; write EPOCHS = 5$",
    ),
    "a capital": (
        lambda t: t + "Drop_Last = True\n",
        r"line 17: `Drop_Last = True` is read by nobody; write DROP_LAST",
    ),
    "another letter": (
        lambda t: t.replace(", BATCH =", ", BATCHES ="),
        r"`BATCHES = 5` is read by nobody; write BATCH =",
    ),
    "another word": (lambda t: t.replace(", BATCH =", ", batch_size ="), r"`batch_size = 5` .*; write BATCH = 5"),
    "under a condition": (
        lambda t: t.replace("EPOCHS, BATCH =", "if True: epochs, BATCH ="),
        r"`epochs = 2` .* EPOCHS",
    ),
    "an option": (
        lambda t: t + "lr = 0.1\n",
        r"`lr = 0.1` is read by nobody; lr is an option of a run, not of the task: --lr, train\(..., lr=...\) or",
    ),
    "an option that is no number": (lambda t: t + "DEVICE = torch.device('cpu')\n", r"`DEVICE = device\(.* --device"),
    "an option in words": (lambda t: t + "LEARNING_RATE: float = 0.1\n", r"`LEARNING_RATE = 0.1` .*; lr is an option"),
    "another name of a metric": (
        lambda t: t + "def metrics(output, target):\n    return 1.0\n",
        r"line 17: `metrics` is called by nobody; the score is metric\(output, target\)",
    ),
}


@pytest.mark.parametrize("case", WRONG_FILES)
def test_a_wrong_file_is_named(case, tmp_path):
    change, message = WRONG_FILES[case]
    path = write(tmp_path, change(GOOD))
    with pytest.raises(RunError, match=message) as raised:
        from_file(path)
    assert str(raised.value).startswith(f"{path}: ")


NAMES_OF_ITS_OWN = {
    "used in a function": lambda t: (
        t.replace("size=10", "size=10, batch=5").replace("zeros(size", "zeros(lr * size") + "lr = 1\n"
    ),
    "beside the one that is read": lambda t: t.replace("EPOCHS, BATCH =", "epochs, batch = EPOCHS, BATCH ="),
    "of no known word": lambda t: t + "NAME, SOURCE, rows, Tidy = 'x', 'y', 3, 4\n",
    "private": lambda t: t + "_lr = 0.1\n",
    "a function": lambda t: t + "def seed(): ...\n",
    "in a function": lambda t: t.replace("    x = torch", "    epochs = 3\n    x = torch"),
    "in a class": lambda t: t + "class Of:\n    lr = 3\n",
    "a metric beside metrics": lambda t: (
        t + "def metrics(a, b): ...\ndef metric(output, target):\n    return output.sum()\n"
    ),
}


@pytest.mark.parametrize("case", NAMES_OF_ITS_OWN)
def test_a_file_may_have_names_of_its_own(case, tmp_path):
    assert from_file(write(tmp_path, NAMES_OF_ITS_OWN[case](GOOD))).epochs == 2


WRONG_CALLS = {
    "a model that fails": (
        "    return nn.Linear(2, 1)\n",
        "    return nn.Linear(2, 1 // 0)\n",
        r"model\(\) failed: ZeroDivisionError: .* \(my_task.py, line 9: `return nn.Linear\(2, 1 // 0\)`\)$",
    ),
    "a model that fails inside torch": (
        "    return nn.Linear(2, 1)\n",
        "    return nn.Linear(2, 'one')\n",
        r"model\(\) failed: TypeError: (.|\n)* \(my_task.py, line 9: `return nn.Linear\(2, 'one'\)`\)$",
    ),
    "a class": (
        "    return nn.Linear(2, 1)\n",
        "    return nn.Linear\n",
        r"the class Linear; return Linear\(...\), not",
    ),
    "no return": (
        "    return nn.Linear(2, 1)\n",
        "    nn.Linear(2, 1)\n",
        r"model\(\) returned nothing \(None\); return",
    ),
    "a package": (
        "    x = torch",
        "    import no_such\n    x = torch",
        r"data\(\) needs no_such, not .*pip install no_such",
    ),
    "a file": ("    x = torch", "    open('no.csv')\n    x = torch", r"data\(\) failed: FileNotFoundError: .*'no.csv'"),
    "json": (
        "    x = torch",
        "    import json; json.loads('')\n    x = torch",
        r"data\(\) failed: JSONDecodeError: .*\(my_task.py, line 12",
    ),
}


@pytest.mark.parametrize("case", WRONG_CALLS)
def test_a_function_that_fails_is_named_with_its_line(case, tmp_path):
    old, new, message = WRONG_CALLS[case]
    path = write(tmp_path, GOOD.replace(old, new))
    task = from_file(path)
    with pytest.raises(RunError, match=message) as raised:
        (task.make_model(), task.make_data())
    assert str(raised.value).startswith(f"{path}: ")


def test_unknown_names_get_the_nearest(tmp_path):
    task = from_file(write(tmp_path, GOOD))
    with pytest.raises(SettingError, match=r"my_task.py: has no setting 'widht'; did you mean width\?"):
        task.with_settings(widht=3)
    with pytest.raises(SettingError, match=r"^quadratic: has no setting 'lr'; it has none"):
        by_name("quadratic").with_settings(lr=1)
    with pytest.raises(
        RunError, match=r"^spiral: there is no task of that name; did you mean spirals\? And a task of your"
    ):
        by_name("spiral")
    with pytest.raises(RunError, match=r"gone.py: there is no such file; `downslope new .*gone.py` writes one"):
        by_name(str(tmp_path / "gone.py"))


def test_what_is_no_function_is_named():
    with pytest.raises(RunError, match=r"^mine: loss is a int; give a function; Task.of\(model, .* takes what is at"):
        Task("mine", nn.Identity, lambda: None, 3)
    with pytest.raises(RunError, match=r"^task: model is nothing \(None\); give a function"):
        Task.of(None, (X, Y), loss=LOSS)
    with pytest.raises(RunError, match=r"^mine: model is a Linear; give a function; Task.of"):
        Task("mine", nn.Linear(1, 1), lambda: None, LOSS)
    with pytest.raises(RunError, match=r"^mine: data is a tuple of Tensor, Tensor; give a function; Task.of"):
        Task("mine", nn.Identity, (X, Y), LOSS)
    with pytest.raises(
        RunError, match=r"^a task is a name, a file or a Task, and this is a Linear; make one .*Task.of"
    ):
        as_task(nn.Linear(1, 1))


# ---- the command line


def call(monkeypatch, capsys, *args):
    monkeypatch.setattr(sys, "argv", ["downslope", *map(str, args)])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    return (stopped.value.code or 0, *capsys.readouterr())


def test_new_writes_a_task_that_trains(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    status, out, err = call(monkeypatch, capsys, "new", "mine.py")
    assert (status, err) == (0, "") and out.startswith("mine.py: written; train it with: downslope train mine.py")
    assert [p.name for p in tmp_path.iterdir()] == ["mine.py"]
    text = (tmp_path / "mine.py").read_text()
    assert "downslope" not in re.sub(r"(?s)^.*?import torch", "", text) and text.count('"""') >= 10
    task = by_name("mine.py")
    data = task.make_data()
    torch.manual_seed(0)
    model = task.make_model()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(task.epochs):
        for inputs, targets in data.train.batches(task.batch, torch.randperm(data.train.size)):
            optimizer.zero_grad()
            task.loss(model(inputs), targets).backward()
            optimizer.step()
    inputs, targets = data.validation.tensors
    assert task.metric(model(inputs), targets) > 0.9
    assert task.title == "Is a point inside the ring?"


def test_new_touches_nothing_that_is_there(tmp_path, monkeypatch, capsys):
    mine = tmp_path / "mine.py"
    mine.write_text("mine")
    dangling = tmp_path / "dangling.py"
    dangling.symlink_to(tmp_path / "nowhere.py")
    (tmp_path / "folder.py").mkdir()
    for path in (mine, dangling, tmp_path / "folder.py"):
        status, _, err = call(monkeypatch, capsys, "new", path)
        assert status == 2 and err == f"downslope: {path}: exists already and is left as it is; " + (
            "name another file, or remove it first\n"
        )
    assert mine.read_text() == "mine" and dangling.is_symlink()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["dangling.py", "folder.py", "mine.py"]


def test_new_never_overwrites_what_came_meanwhile(tmp_path, monkeypatch):
    from downslope.cli.new import write_new

    for link in (os.link, None):  # with and without hard links
        path = tmp_path / f"{link is None}.py"

        def late(source, target, link=link):
            Path(target).write_text("another's")
            if link is None:
                raise PermissionError("no links here")
            link(source, target)

        with monkeypatch.context() as patch:
            patch.setattr(os, "link", late)
            with pytest.raises(RunError, match="exists already"):
                write_new(path, b"mine")
        assert path.read_text() == "another's"
    assert len(list(tmp_path.iterdir())) == 2


def test_new_leaves_nothing_behind_when_it_cannot_write(tmp_path, monkeypatch, capsys):
    from downslope.cli.new import write_new

    status, _, err = call(monkeypatch, capsys, "new", tmp_path / "no" / "mine.py")
    assert status == 2 and "cannot be written: No such file or directory; name a file in a folder" in err
    status, _, err = call(monkeypatch, capsys, "new", tmp_path / "mine")
    assert status == 2 and "a task is a Python file; give a name that ends in .py" in err

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"mine.py: cannot be written: No space left on device"):
        write_new(tmp_path / "mine.py", b"text")
    assert list(tmp_path.iterdir()) == []


def test_new_files_have_the_usual_permissions(tmp_path, monkeypatch, capsys):
    call(monkeypatch, capsys, "new", tmp_path / "mine.py")
    (tmp_path / "plain").write_text("")
    assert stat.S_IMODE((tmp_path / "mine.py").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


@pytest.mark.parametrize("width", [40, 120])
def test_tasks_lists_all_at_any_width(width, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    status, out, err = call(monkeypatch, capsys, "tasks")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert max(map(len, lines)) <= width and not any(line != line.rstrip() for line in lines)
    words = " ".join(out.split())
    for name in bundled():
        task = by_name(name)
        assert name in lines
        for text in (task.title, task.score, f"{task.sizes[0]:,} train", *(f"{s}=" for s in task.settings)):
            assert re.sub(r"\s", "", text) in re.sub(r"\s", "", words), text


def test_tasks_as_json(monkeypatch, capsys):
    status, out, err = call(monkeypatch, capsys, "tasks", "--json")
    rows = json.loads(out)
    assert (status, err) == (0, "") and [row["name"] for row in rows] == bundled()
    spirals = next(row for row in rows if row["name"] == "spirals")
    assert spirals["sizes"] == {"train": 1000, "validation": 500, "test": 500}
    assert spirals["settings"] == by_name("spirals").settings and spirals["score"] == by_name("spirals").score
