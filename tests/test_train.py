"""The loop against the same loop by hand in plain torch, bit for bit; its options; what it says of bad input."""

from __future__ import annotations

import math
import warnings

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from downslope import Task, schedules
from downslope.errors import RunError, SettingError
from downslope.training import Callback
from downslope.training import train as train_in_a_race
from downslope.training.run import train


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def model():
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Dropout(0.2), nn.Linear(8, 3))


def parts():
    inputs = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
    targets = inputs[:, :3].argmax(1)
    return (inputs[:40], targets[:40]), (inputs[40:52], targets[40:52]), (inputs[52:], targets[52:])


def metric(output, target):
    return (output.argmax(1) == target).double().mean()


def make(**changes):
    given = {"model": model, "data": parts, "loss": nn.functional.cross_entropy, "metric": metric, **changes}
    return Task("tiny", **given, batch=10, epochs=3)


def by_hand(rows, *, seed=0, epochs=3, optimizer=torch.optim.SGD, lr=0.3, penalty=None, clip=None, clip_value=None):
    """The loop that a book has. `rows(generator)` gives an epoch's groups of batches of rows."""
    torch.manual_seed(seed)
    network = model()
    rule = optimizer(network.parameters(), lr=lr)
    order = torch.Generator().manual_seed(seed)
    (inputs, targets), *_ = parts()
    for _ in range(epochs):
        network.train()
        for group in rows(order):
            rule.zero_grad()
            total = sum(map(len, group))
            for index in group:
                loss = nn.functional.cross_entropy(network(inputs[index]), targets[index])
                loss = loss if penalty is None else loss + penalty(network)
                (loss * (len(index) / total)).backward()
            if clip is not None:
                torch.nn.utils.clip_grad_norm_(network.parameters(), clip)
            if clip_value is not None:
                torch.nn.utils.clip_grad_value_(network.parameters(), clip_value)
            rule.step()
    return network


def groups(batch, count=1, shuffle=True):
    def rows(order):
        index = torch.randperm(40, generator=order) if shuffle else torch.arange(40)
        batches = index.split(batch)
        return [batches[i : i + count] for i in range(0, len(batches), count)]

    return rows


def squares(network):
    return 0.01 * sum(p.square().sum() for p in network.parameters())


def sizes(network):
    return 0.01 * sum(p.abs().sum() for p in network.parameters())


# options -> the same by hand
SAME = {
    "mini-batches": ({}, {"rows": groups(10)}),
    "a ragged last batch": ({"batch": 12}, {"rows": groups(12)}),
    "the full batch": ({"batch": "full"}, {"rows": groups(40)}),
    "single samples": ({"batch": 1, "lr": 0.05}, {"rows": groups(1), "lr": 0.05}),
    "sequential": ({"order": "sequential"}, {"rows": groups(10, shuffle=False)}),
    "accumulated": ({"batch": 6, "accumulate": 3}, {"rows": groups(6, 3)}),
    "another seed": ({"seed": 5}, {"rows": groups(10), "seed": 5}),
    "adam": ({"optimizer": "adam", "lr": 0.01}, {"rows": groups(10), "optimizer": torch.optim.Adam, "lr": 0.01}),
    "l1": ({"l1": 0.01}, {"rows": groups(10), "penalty": sizes}),
    "l2": ({"l2": 0.01}, {"rows": groups(10), "penalty": squares}),
    "clipped by norm": ({"max_norm": 0.1}, {"rows": groups(10), "clip": 0.1}),
    "clipped by value": ({"clip_value": 0.02}, {"rows": groups(10), "clip_value": 0.02}),
}


@pytest.mark.parametrize("case", SAME)
def test_the_loop_is_the_one_by_hand(case):
    options, hand = SAME[case]
    found = train(make(), **{"optimizer": "sgd", "lr": 0.3, **options}).model.state_dict()
    expected = by_hand(**hand).state_dict()
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=2e-5, atol=1e-6)


def test_a_race_trains_through_the_same_loop():
    task = make()
    data = task.make_data()
    outcome = train_in_a_race(task, data, lambda p: torch.optim.SGD(p, lr=0.3), seed=4, epochs=3, batch=10)
    result = train(task, optimizer=lambda p: torch.optim.SGD(p, lr=0.3), seed=4)
    assert outcome.train_loss == [record["train_loss"] for record in result.records[:-1]]
    assert outcome.test_accuracy == result.test_metric and outcome.steps == result.steps == 12


def test_the_scores_are_those_of_the_model(one_thread):
    result = train(make(), lr=0.05)
    for part, (inputs, targets) in zip(("validation", "test"), parts()[1:]):
        output = result.model.eval()(inputs)
        assert getattr(result, f"{part}_loss") == nn.functional.cross_entropy(output, targets).item()
        assert getattr(result, f"{part}_metric") == metric(output, targets).item()


def test_a_part_is_scored_by_samples_however_it_comes():
    def data():
        train_part, validation, _ = parts()
        return train_part, DataLoader(TensorDataset(*validation), batch_size=5)

    whole, split = train(make(), lr=0.05), train(make(data=data), lr=0.05)
    assert split.validation_loss == pytest.approx(whole.validation_loss, rel=1e-6)
    assert split.validation_metric == pytest.approx(whole.validation_metric)


def test_a_schedule_by_name_is_as_long_as_the_run():
    result = train(make(), lr=0.1, schedule="cosine", batch=6, accumulate=2)
    curve = schedules.cosine(0.1, steps=result.steps)
    assert result.config.schedule_settings == {"steps": 12} and result.steps == 12
    assert [r["lr"] for r in result.records[:-1]] == pytest.approx([curve(n) for n in (3, 7, 11)])


def test_a_curriculum_starts_with_what_is_easy():
    seen = []

    def loss(output, target):
        if torch.is_grad_enabled():
            seen.append(target)
        return output.square().mean() + 0.0 * target.sum()

    def data():
        targets = torch.arange(40.0).flip(0)
        return [(torch.randn(40, 4), targets)]

    def difficulty(inputs, targets):
        return targets

    task = Task("tiny", model, data, loss, batch=5, epochs=4)
    result = train(task, order="curriculum", difficulty=difficulty, pacing_start=0.25, pacing_end=0.5, lr=1e-3)
    counts, at = [10, 25, 40, 40], 0  # a quarter, grown by half of the rest in each of two epochs, then all
    targets = torch.cat(seen).tolist()
    assert len(targets) == sum(counts) and result.steps == 2 + 5 + 8 + 8
    for count in counts:
        epoch, at = targets[at : at + count], at + count
        assert sorted(epoch) == list(range(count)) and epoch != sorted(epoch)


def test_stopping_early_goes_back_to_the_best_weights():
    scores = iter([0.5, 0.7, 0.65, 0.705, 0.9])
    kept = []

    class Keep(Callback):
        def on_record(self, loop, record):
            kept.append({k: v.tolist() for k, v in loop.model.state_dict().items()})

    def given(output, target):
        return next(scores)

    def two():
        return parts()[:2]

    task = make(metric=given, data=two)
    result = train(task, epochs=9, patience=2, min_gain=0.01, callbacks=[Keep()])
    assert [r["epoch"] for r in result.records[:-1]] == [1, 2, 3, 4]
    assert {k: v.tolist() for k, v in result.model.state_dict().items()} == kept[1]
    end = result.records[-1]
    assert (end["weights"], end["best_step"], result.validation_metric) == ("best", 8, 0.9)


def test_scores_come_as_often_as_asked():
    epochs = train(make(), epochs=5, eval_epochs=2).records
    assert [r["epoch"] for r in epochs if "validation_loss" in r] == [2, 4, 5, 5]
    steps = train(make(), eval_steps=5).records
    assert [(r["event"], r["step"]) for r in steps] == [
        ("epoch", 4), ("evaluation", 5), ("epoch", 8), ("evaluation", 10), ("epoch", 12), ("end", 12),
    ]  # fmt: skip


def test_the_average_is_what_is_scored_and_what_is_left():
    result = train(make(), ema=0.9, lr=0.1, epochs=2)
    assert result.records[-1]["weights"] == "average"
    assert result.records[-1]["validation_loss"] == result.records[-2]["validation_loss"]
    assert result.validation_loss != train(make(), lr=0.1, epochs=2).validation_loss
    inputs, targets = parts()[1]
    assert result.validation_loss == nn.functional.cross_entropy(result.model.eval()(inputs), targets).item()


def test_mixed_precision_is_near_the_plain_run():
    plain = train(make(), lr=0.05)
    for kind in ("bf16", "fp16"):
        mixed = train(make(), lr=0.05, amp=kind)
        assert mixed.validation_loss != plain.validation_loss
        assert mixed.validation_loss == pytest.approx(plain.validation_loss, rel=0.02)


def test_callbacks_hear_every_moment_and_can_end_the_run():
    heard = []

    class Ear:  # no base needed
        def on_start(self, loop):
            heard.append("start")

        def on_step(self, loop):
            heard.append(loop.step)
            if loop.step == 6:
                loop.stop()

        def on_epoch(self, loop):
            heard.append("epoch")

        def on_end(self, loop):
            heard.append("end")

    result = train(make(), callbacks=[Ear(), Callback()])
    assert heard == ["start", 1, 2, 3, 4, "epoch", 5, 6, "end"]
    assert not result.interrupted and result.validation_loss is not None


def test_saving_takes_a_small_share_of_the_time(monkeypatch):
    from downslope.training import cadence

    now = [0.0]
    monkeypatch.setattr(cadence.time, "monotonic", lambda: now[0])

    def due_after(seconds, saved):
        """How long after a save that took so long the next one is due."""
        wait = cadence.Cadence(seconds)
        with wait.saving():
            now[0] += saved
        begin = now[0]
        while not wait.due():
            now[0] += 0.5
        return now[0] - begin

    assert due_after(5.0, 0.01) == 5.0 and due_after(5.0, 1.0) == 20.0 and due_after(0.0, 1.0) == 0.0


def test_a_loss_that_is_not_finite_is_a_result():
    result = train(make(), optimizer="sgd", lr=1e38)
    assert result.diverged_at is not None and result.records[-1]["event"] == "diverged"
    assert result.test_loss is None


# ---- bad input: what is changed in the task or the options -> what is said


def spoiled(which, value, part=0):
    def data():
        made = [tuple(t.clone() for t in pair) for pair in parts()]
        made[part][which][7] = value
        return made

    return data


class Fixed(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, inputs):
        return torch.zeros(len(inputs), 3)


class Held(nn.Linear):
    """Adds its last output."""

    def __init__(self):
        super().__init__(4, 3)
        self.last = 0

    def forward(self, inputs):
        self.last = super().forward(inputs).tanh() + self.last
        return self.last


def regression():
    return [(pair[0], pair[1].float()) for pair in parts()]


BAD_TASKS = {
    "an input of nan": (
        {"data": spoiled(0, math.nan)},
        r"tiny: data\(\), train: the inputs hold nan: 4 of the 40 values",
    ),
    "a validation input of nan": (
        {"data": spoiled(0, math.nan, 1)},
        r"data\(\), validation: the inputs hold nan: 4 of",
    ),
    "a label too high": ({"data": spoiled(1, 3)}, r"data\(\), train: a target is 3, .*has 3 outputs, .* from 0 to 2"),
    "a label below 0": ({"data": spoiled(1, -1)}, r"a target is -1, out of range"),
    "too few outputs": (
        {"data": lambda: [(p[0], p[1].repeat(2).view(-1, 2)) for p in parts()]},
        r"tiny: loss\(output, target\) failed on output float32 \[10, 3\] and target int64 \[10, 2\]",
    ),
    "broadcast": (
        {"loss": nn.functional.mse_loss, "data": regression, "model": lambda: nn.Linear(4, 1), "metric": None},
        r"loss\(output, target\) got output float32 \[10, 1\] and target float32 \[10\] .*with output\.squeeze",
    ),
    "another width": (
        {"model": lambda: nn.Linear(5, 3)},
        r"model\(\) failed on the inputs of tiny: data\(\), train, float32 \[10, 4\]",
    ),
    "no scalar": ({"loss": lambda o, t: o}, r"loss\(output, target\) returned float32 \[10, 3\]; return a scalar"),
    "a number": ({"loss": lambda o, t: 1.0}, r"loss\(output, target\) returned float; return a scalar"),
    "nothing to learn": ({"model": Fixed}, r"does not depend on the parameters"),
    "wide inputs": (
        {"data": lambda: [(x.double(), y) for x, y in parts()]},
        r"model\(\) failed on the inputs of .*float64 .*; make the inputs float32",
    ),
    "a second pass": ({"model": Held}, r"gradient of loss\(output, target\) cannot be computed: .*detach\(\) it"),
    "a metric that fails": (
        {"metric": lambda o, t: o.missing},
        r"tiny: metric\(output, target\) failed on .*AttributeError",
    ),
}


@pytest.mark.parametrize("case", BAD_TASKS)
def test_bad_input_is_named(case):
    changes, words = BAD_TASKS[case]
    with warnings.catch_warnings(), pytest.raises(RunError, match=words):
        warnings.simplefilter("ignore")  # as for a user, whom torch only warns of a broadcast
        train(make(**changes))


def hard(inputs, targets):
    return inputs


BAD_OPTIONS = {
    "an optimizer that is made": (
        {"optimizer": torch.optim.SGD([torch.zeros(1)])},
        r"optimizer is made already, SGD; give a name, a class",
    ),
    "a scheduler of torch": ({"schedule": torch.optim.lr_scheduler.StepLR}, r"schedule: StepLR is none of downslope"),
    "a callback that is never called": ({"callbacks": [len]}, r"callbacks: len has none of on_start"),
    "one callback": ({"callbacks": object()}, r"callbacks=<object .*>: give a list"),
    "a config that is none": ({"config": 3}, r"config=3: give a TOML file, a Config or"),
    "no such device": ({"device": "cuda:99"}, r"device='cuda:99': torch has no such device here; there is cpu"),
    "a word of others": ({"batch_size": 3}, r"no option 'batch_size'; did you mean batch\?"),
    "nothing to train": (
        {"task": Task("t", nn.Flatten, parts, nn.functional.cross_entropy)},
        r"t: the network .* no par",
    ),
    "a batch beyond the data": (
        {"batch": 41},
        r"batch=41: is larger than the 40 samples of tiny: data\(\), train; at most 40",
    ),
    "no batch": ({"batch": 0}, r'batch=0: must be a number of samples, at least 1, or "full"'),
    "an unknown option": ({"epoch": 3}, r"no option 'epoch'; did you mean epochs"),
    "a kind": ({"epochs": "three"}, r"epochs='three': must be a whole number"),
    "a truth for a number": ({"epochs": True}, r"epochs=True: must be a whole number"),
    "a range": ({"epochs": 0}, r"epochs=0: must be at least 1"),
    "a share": ({"ema": 2.0}, r"ema=2\.0: must be 0 to 1"),
    "a choice": ({"order": "shufle"}, r"order='shufle': did you mean shuffle"),
    "an optimizer": ({"optimizer": "addam"}, r"'addam'; did you mean .*adam"),
    "a setting": ({"optimizer_settings": {"beta": 1}}, r"Adam: .*'?beta'?.*betas"),
    "a schedule": ({"schedule": "cosin"}, r"schedule='cosin': did you mean cosine"),
    "a schedule's argument": (
        {"schedule": "cosine", "schedule_settings": {"warm": 1}},
        r"no argument 'warm'; did you mean warmup",
    ),
    "a schedule's need": (
        {"schedule": "exponential"},
        r"schedule exponential: needs gamma; give it with --set schedule.gamma",
    ),
    "two rates": (
        {"schedule": schedules.constant(0.1), "lr": 0.1},
        r"lr=0\.1: the schedule constant\(0\.1\) has its own",
    ),
    "a rate of a function": (
        {"optimizer": lambda p: torch.optim.SGD(p, lr=1), "lr": 0.1},
        r"lr: the optimizer is a function of yours",
    ),
    "no difficulty": ({"order": "curriculum"}, r"needs difficulty"),
    "a difficulty": ({"order": "curriculum", "difficulty": "hart"}, r"tiny has no function of that name; .*hard"),
    "a pacing": (
        {"order": "curriculum", "difficulty": lambda x, y: y, "pacing": "roots"},
        r"pacing='roots': .*did you mean root",
    ),
    "a pace beyond all": (
        {"order": "curriculum", "difficulty": lambda x, y: y, "pacing": lambda far, first: 3.0},
        r"<lambda>\(0, 0\.2\) returned 3; return a share",
    ),
    "a difficulty's shape": (
        {"order": "curriculum", "difficulty": "hard"},
        r"hard\(inputs, targets\) returned shape \(40, 4\) for 40 samples",
    ),
    "a task's setting": ({"task_settings": {"width": 3}}, r"tiny: has no setting 'width'"),
}


@pytest.mark.parametrize("case", BAD_OPTIONS)
def test_bad_options_are_named(case):
    options, words = BAD_OPTIONS[case]
    with pytest.raises((SettingError, RunError), match=words):
        train(**{"task": make(), **options})


def test_loggers_hear_every_record(tmp_path, monkeypatch):
    from downslope.training import logged, loggers

    heard = []

    class Heard:
        def __init__(self, folder, first_step=0):
            heard.append((folder, first_step))

        def log(self, step, values):
            heard.append((step, dict(values)))

        def close(self):
            heard.append("closed")

    monkeypatch.setitem(loggers.LOGGERS, "heard", Heard)
    monkeypatch.setattr(logged, "_need", lambda name: None)
    out = tmp_path / "run"
    result = train(make(), loggers=["heard"], out=out, epochs=2)
    assert heard[0] == (str(out), 0) and heard[-1] == "closed" and [h[0] for h in heard[1:-1]] == [4, 8, 8]
    assert heard[1][1]["train/loss"] == result.records[0]["train_loss"] and "validation/metric" in heard[1][1]
    with pytest.raises(SettingError, match=r"loggers=\['hurd'\]: did you mean heard"):
        train(make(), loggers=["hurd"])
    with pytest.raises(SettingError, match="need a folder"):
        train(make(), loggers=["heard"])


BAD_WITHOUT = {
    "patience": ({"patience": 2}, lambda: parts()[:1], r"patience=2: tiny has no validation data"),
    "a batch": ({"batch": 5}, lambda: [DataLoader(TensorDataset(*parts()[0]))], r"batch=5: .*is a DataLoader"),
    "an order": ({"order": "sequential"}, lambda: [DataLoader(TensorDataset(*parts()[0]))], r"gives a DataLoader"),
}


@pytest.mark.parametrize("case", BAD_WITHOUT)
def test_options_that_the_data_cannot_have(case):
    options, data, words = BAD_WITHOUT[case]
    with pytest.raises(SettingError, match=words):
        train(make(data=data), **options)


def test_an_ensemble_is_its_members_and_their_average(tmp_path):
    task = make()
    result = train(task, members=3, seed=5, out=tmp_path / "run", lr=0.05)
    alone = [train(task, seed=5 + n, lr=0.05) for n in range(3)]
    record = result.records[0]
    for part in ("validation", "test"):
        for single, member in zip(record[f"{part}_single"], alone):
            assert single["loss"] == pytest.approx(getattr(member, f"{part}_loss"), rel=1e-6)
    inputs, targets = parts()[2]
    shares = torch.stack([member.model.eval()(inputs).softmax(1) for member in alone]).mean(0)
    assert result.test_loss == pytest.approx(nn.functional.nll_loss(shares.log(), targets).item(), rel=1e-5)
    again = train(task, resume=tmp_path / "run")
    assert again.records == result.records
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == [
        "config.json", "member-0", "member-1", "member-2", "records.jsonl",
    ]  # fmt: skip


def test_batch_norm_is_recomputed_over_the_training_data_and_scored_so():
    def normed():
        return nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 3))

    result = train(make(model=normed), batchnorm=True, lr=0.05)
    inputs = parts()[0][0]
    torch.testing.assert_close(result.model[0].running_mean, inputs.mean(0))
    torch.testing.assert_close(result.model[0].running_var, inputs.var(0))
    inputs, targets = parts()[1]
    assert result.validation_loss == nn.functional.cross_entropy(result.model.eval()(inputs), targets).item()


def test_weights_start_from_a_scheme_by_name():
    first = []

    class Look(Callback):
        def on_start(self, loop):
            first.append(loop.model[0].weight.detach().clone())

    train(make(), init="orthogonal", callbacks=[Look()], epochs=1)
    gram = first[0].T @ first[0]
    torch.testing.assert_close(gram / gram[0, 0], torch.eye(4), rtol=0, atol=1e-5)
    with pytest.raises(SettingError, match="orthogonal"):
        train(make(), init="ortogonal")


@pytest.mark.parametrize("optimizer", ["schedulefree", "schedulefreesgd"])
def test_a_schedule_free_rule_is_scored_at_its_average(optimizer) -> None:
    import downslope

    result = downslope.train("diabetes", optimizer=optimizer, epochs=4)
    assert result.records[-1]["weights"] == "average"
    assert result.validation_loss == pytest.approx(result.records[-2]["validation_loss"], rel=1e-6)


def test_a_rule_for_matrices_trains_a_whole_network() -> None:
    import downslope

    result = downslope.train("digits", optimizer="muon", lr=0.01, epochs=3)
    assert result.validation_metric > 0.85
