"""Running a race: what a trial is, that nothing but its seed and settings decides it, and that nothing is lost."""

import dataclasses
import json
import multiprocessing

import pytest
import torch

from downslope.errors import RunError, SettingError
from downslope.optim import by_name
from downslope.race import DEFAULT, Trial, make_plan, race
from downslope.race.grid import CENTRES, learning_rates
from downslope.race.workers import run_one
from downslope.training import by_name as task_by_name
from downslope.training import train

NAMES = ("sgd", "adam")


@pytest.fixture(scope="module")
def digits():
    task = task_by_name("digits")
    return task, task.make_data()


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def small_plan(**settings):
    return make_plan("digits", NAMES, **{"lrs": 3, "seeds": 2, "epochs": 1, **settings})


def without_seconds(records):
    kept = [{k: v for k, v in record.items() if k != "seconds"} for record in records]
    return sorted(kept, key=lambda r: (r["optimizer"], r["lr"], r["seed"]))


def run(digits, name, lr, seed=0, epochs=1, task=None):
    return train(task or digits[0], digits[1], lambda p: by_name(name)(p, lr=lr), seed=seed, epochs=epochs, batch=64)


def test_the_parts_of_the_data_share_nothing_and_are_always_the_same(digits):
    task, data = digits
    parts = [part.tensors for part in (data.train, data.validation, data.test)]
    assert [len(labels) for _, labels in parts] == [1000, 397, 400]
    images = [row.numpy().tobytes() for inputs, _ in parts for row in inputs]
    assert len(set(images)) == len(images) == 1797
    assert torch.equal(task.data()[0][0], data.train.tensors[0])
    assert all(len(labels.unique()) == 10 for _, labels in parts)
    assert data.train.tensors[0].mean().abs() < 1e-5 and abs(data.train.tensors[0].std() - 1) < 1e-5


def test_a_seed_gives_every_optimizer_the_same_weights_and_the_same_data(digits):
    still = {name: run(digits, name, 1e-30).train_loss for name in DEFAULT}  # too small a step to change a weight
    assert len({tuple(curve) for curve in still.values()}) == 1
    assert run(digits, "sgd", 1e-30, seed=1).train_loss != still["sgd"]


def test_the_order_of_the_data_is_the_seeds_and_new_in_each_epoch(digits):
    task, _ = digits
    seen = []

    def spy(output, target):
        seen.append(tuple(target.tolist()))
        return task.loss(output, target)

    spying = dataclasses.replace(task, loss=spy)
    orders = []
    for name, seed in (("sgd", 0), ("adam", 0), ("sgd", 1)):
        seen.clear()
        run(digits, name, 0.01, seed, epochs=2, task=spying)
        orders.append([batch for batch in seen if len(batch) <= 64])
    assert orders[0] == orders[1] != orders[2]
    half = len(orders[0]) // 2
    assert orders[0][:half] != orders[0][half:]


def test_a_run_is_deterministic_and_leaves_the_callers_random_state(digits):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = run(digits, "adam", 0.01, seed=3)
    assert torch.equal(torch.get_rng_state(), before)
    second = run(digits, "adam", 0.01, seed=3)
    assert dataclasses.replace(first, seconds=0) == dataclasses.replace(second, seconds=0)
    assert first.test_accuracy > 0.7 and first.diverged_at is None and first.steps == 16


def test_a_loss_that_is_not_finite_ends_the_run_as_a_result(digits):
    outcome = run(digits, "sgd", 1e25, epochs=3)
    assert outcome.diverged_at is not None and outcome.diverged_at < 16
    assert outcome.test_accuracy is None and outcome.train_loss == []


@pytest.mark.parametrize("factor, diverges", [(900, False), (1100, True), (float("inf"), True), (float("nan"), True)])
def test_a_loss_far_above_the_first_ends_the_run_before_the_step(digits, factor, diverges):
    task, _ = digits
    calls = []

    def loss(output, target):
        calls.append(len(target))
        value = output.square().mean() * 0 + 2
        return value * factor if len(calls) == 6 else value

    outcome = run(digits, "sgd", 0.1, task=dataclasses.replace(task, loss=loss))
    assert (outcome.diverged_at == 5) == diverges
    assert len(calls) == (6 if diverges else 17 + 1)  # 16 batches, validation, test


def test_a_loss_that_is_infinite_from_the_start_ends_the_run_at_once(digits):
    task, _ = digits
    outcome = run(digits, "sgd", 0.1, task=dataclasses.replace(task, loss=lambda o, t: o.sum() * 0 + float("inf")))
    assert outcome.diverged_at == outcome.steps == 0


@pytest.mark.parametrize("name", DEFAULT)
def test_a_grid_is_even_in_the_logarithm_and_five_decades_wide(name):
    rates = torch.tensor(learning_rates(name, by_name(name), 11), dtype=torch.float64).log10()
    assert torch.allclose(rates.diff(), torch.full((10,), 0.5, dtype=torch.float64), atol=1e-3)
    assert abs(rates[5] - CENTRES[name]) < 1e-3


def test_an_optimizer_outside_the_table_is_centred_at_its_own_default():
    class Own(torch.optim.SGD):
        def __init__(self, params, lr=0.02):
            super().__init__(params, lr)

    class Bare(torch.optim.SGD):
        def __init__(self, params, lr):
            super().__init__(params, lr)

    assert learning_rates("own", Own, 1) == [0.02]
    with pytest.raises(SettingError, match="bare: has no default learning rate"):
        learning_rates("bare", Bare, 3)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return race(small_plan(), out=tmp_path_factory.mktemp("race") / "whole", workers=2)


def test_the_number_of_workers_changes_no_result(whole, tmp_path):
    alone = race(small_plan(), out=tmp_path / "alone", workers=1)
    assert without_seconds(alone.records) == without_seconds(whole.records)
    assert without_seconds([run_one(whole.plan, trial) for trial in whole.plan.trials()]) == without_seconds(
        whole.records
    )


def test_the_journal_has_every_trial_once_and_diverged_runs_are_in_it(whole):
    records = [json.loads(line) for line in (whole.folder / "records.jsonl").read_text().splitlines()]
    assert records == whole.records
    keys = [Trial(r["optimizer"], r["lr"], r["seed"]) for r in records]
    assert sorted(keys) == sorted(whole.plan.trials()) and len(set(keys)) == len(keys) == 12
    lost = [r for r in records if r["diverged"]]
    assert {(r["optimizer"], r["lr"]) for r in lost} >= {("sgd", 100.0), ("adam", 1.0)}
    assert all(r["test_accuracy"] is None and r["diverged_at_step"] == r["steps"] for r in lost)
    for record in records:
        assert record["seconds"] > 0 and {len(curve) for curve in record["curve"].values()} == {
            int(not record["diverged"])
        }


def test_resume_runs_only_what_is_missing_and_drops_a_broken_last_line(whole, tmp_path):
    folder = tmp_path / "resumed"
    folder.mkdir()
    lines = (whole.folder / "records.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "config.json").write_bytes((whole.folder / "config.json").read_bytes())
    (folder / "records.jsonl").write_bytes(b"".join(lines[:9]) + lines[9][:70])
    watch = Notes()
    result = race(small_plan(), out=folder, resume=True, workers=1, watch=watch)
    assert watch.notes == [f"{folder}/records.jsonl: dropped a broken last line; its trial runs again"]
    assert watch.before == 9 and watch.after == 3
    assert (folder / "records.jsonl").read_bytes().startswith(b"".join(lines[:9]))
    assert without_seconds(result.records) == without_seconds(whole.records)
    again = Notes()
    race(small_plan(), out=folder, resume=True, watch=again)
    assert (again.before, again.after, again.notes) == (12, 0, [])


class Notes:
    def start(self, plan, folder, records, notes):
        self.notes, self.before, self.after = list(notes), len(records), 0

    def finished(self, record):
        self.after += 1

    def stop(self):
        pass


class Killer(Notes):
    def finished(self, record):
        for worker in multiprocessing.active_children():
            worker.kill()


def test_a_worker_that_dies_is_an_error_that_says_how_to_go_on(tmp_path):
    with pytest.raises(RunError, match=r"its worker process died \(exit code -9\); .*--resume"):
        race(small_plan(), out=tmp_path / "race", workers=1, watch=Killer())
    assert (tmp_path / "race" / "records.jsonl").read_bytes().count(b"\n") == 1


def test_a_trial_that_fails_is_an_error_that_names_it(tmp_path):
    plan = dataclasses.replace(small_plan(), batch=-3)  # torch's complaint about it arises in the worker
    with pytest.raises(RunError, match=r"sgd at learning rate 0\.3162, seed 0: RuntimeError: .*split"):
        race(plan, out=tmp_path / "race", workers=1)
