"""Running a race: what decides a trial, that nothing is lost, and what cannot be raced."""

import json
import subprocess
import sys

import pytest
import torch

import downslope
from downslope.errors import RunError, SettingError
from downslope.race import Result, race
from downslope.race.bench import Bench
from downslope.race.engine import Job, NotElsewhere, again
from downslope.race.entrants import entrants
from downslope.race.prepare import prepare
from downslope.race.trial import Trial, settings
from downslope.race.workers import Workers
from downslope.training import by_name
from race_cases import SMALL, Kit, Notes, by_trial, lines, records, timeless, tiny

NAMES = ("sgd", "adam")


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    return tiny(tmp_path_factory.mktemp("task"))


@pytest.fixture(scope="module")
def whole(task, tmp_path_factory):
    return race(task, NAMES, out=tmp_path_factory.mktemp("race") / "whole", workers=2, **SMALL)


def here(task, out, names=NAMES, **options):
    return race(task, names, out=out, engine="here", **{**SMALL, **options})


# ---- what is in a race


def test_the_folder_holds_every_trial_once(whole):
    found = records(whole.folder)
    trials = [Trial.from_json(r["trial"]) for r in found]
    assert len(set(trials)) == len(trials) == 2 * (4 + 2) and found == whole.records
    assert json.loads((whole.folder / "config.json").read_text()) == whole.plan.as_json()
    assert json.loads((whole.folder / "board.json").read_text()) == whole.board
    assert {t.seed for t in trials if t.stage == "confirm"} == {1000, 1001}
    for record in found:
        assert record["seconds"] > 0 and record["wall"] >= record["seconds"]


def test_a_result_reads_as_its_verdict_and_a_table(whole):
    text = repr(whole)
    assert whole.board["verdict"]["headline"] in text and str(whole.folder) in text
    for row in whole.board["rows"]:
        assert any(line.startswith(f"{row['rank']}  {row['optimizer']}") for line in text.splitlines())
    assert whole.verdict.startswith(whole.board["verdict"]["headline"])
    assert whole.best is whole.board["rows"][0] and isinstance(whole, Result) and whole.decisions == []


@pytest.mark.parametrize("workers", [1, 3, None], ids=["1 worker", "3 workers", "this process"])
def test_where_trials_are_trained_changes_no_result(workers, whole, task, tmp_path):
    options = {"workers": workers} if workers else {"engine": "here"}
    other = race(task, NAMES, out=tmp_path / "other", **options, **SMALL)
    assert by_trial(other.records) == by_trial(whole.records)
    assert timeless(other.board) == timeless(whole.board)


def test_the_same_call_goes_on_and_another_is_refused(whole, task, tmp_path):
    out = tmp_path / "race"
    out.mkdir()
    content = (whole.folder / "records.jsonl").read_bytes().splitlines(keepends=True)
    (out / "config.json").write_bytes((whole.folder / "config.json").read_bytes())
    (out / "records.jsonl").write_bytes(b"".join(content[:5]) + content[5][:50])
    watch = Notes()
    result = here(task, out, watch=watch, resume=True)
    assert watch.notes == [f"{out}/records.jsonl: dropped a broken last line; its trial runs again"]
    assert (watch.before, len(watch.after)) == (5, 7) and [r[0] for r in watch.rounds] == ["search", "confirm"]
    assert (out / "records.jsonl").read_bytes().startswith(b"".join(content[:5]))
    assert by_trial(result.records) == by_trial(whole.records)
    again = Notes()
    here(task, out, watch=again)
    assert (again.before, again.after, again.rounds) == (12, [], [])
    with pytest.raises(RunError, match=r"other settings \(trials was 4, now 5; seeds was 2, now 3\)"):
        here(task, out, trials=5, seeds=3)
    with pytest.raises(RunError, match=r"other settings \(optimizers was sgd, adam, now sgd; dimensions of adam\)"):
        here(task, out, ("sgd",))


def test_a_finished_race_takes_more_seeds(task, whole, tmp_path):
    """As if it had been given them at first, whether or not it is stopped on the way; and then some more."""
    out = tmp_path / "race"
    with pytest.raises(RunError, match="has not finished its race in that folder"):
        here(task, out, more_seeds=1)
    with pytest.raises(SettingError, match="more_seeds=1: at least 1, for the finished race in --out"):
        race(task, NAMES, engine="here", more_seeds=1, **SMALL)
    here(task, out)

    class Stop(Notes):
        def finished(self, record):
            raise KeyboardInterrupt

    assert here(task, out, more_seeds=2, watch=Stop()).interrupted
    watch = Notes()
    result = here(task, out, more_seeds=2, watch=watch)
    assert (watch.before, len(watch.after)) == (13, 3) and result.board["complete"]
    direct = here(task, tmp_path / "direct", seeds=4)
    assert by_trial(result.records) == by_trial(direct.records)
    scores = [[row["score"] for row in made.board["rows"]] for made in (result, direct)]
    assert scores[0] == scores[1]
    assert "p-values are multiplied by 2" in " ".join(result.board["notes"])
    again = here(task, out, more_seeds=1)
    assert len(again.records) == 18 and "multiplied by 3" in " ".join(again.board["notes"])


def test_ctrl_c_keeps_what_is_finished(task, whole, tmp_path):
    class Stop(Notes):
        def finished(self, record):
            super().finished(record)
            if len(self.after) == 3:
                raise KeyboardInterrupt

    result = here(task, tmp_path / "race", watch=Stop())
    assert result.interrupted and len(result.records) == 3 and not result.board["complete"]
    assert result.board["trials_expected"] == 12 and repr(result).startswith("Interrupted after 3 trials.")
    assert by_trial(here(task, tmp_path / "race").records) == by_trial(whole.records)


# ---- budgets, schedules, searches


def test_budgets_buy_what_they_say(task, tmp_path):
    for text, search, confirm in (("12 trials", 4, 2), ("30 epochs", 4, 1)):
        result = here(task, tmp_path / text, trials=None, seeds=None, budget=text)
        stages = [r["trial"]["stage"] for r in result.records if r["trial"]["optimizer"] == "adam"]
        assert (stages.count("search"), stages.count("confirm")) == (search, confirm)


def test_a_budget_of_time_is_decided_once(task, tmp_path):
    result = here(task, tmp_path / "race", trials=None, seeds=None, budget="2s")
    (decided,) = [line for line in lines(result.folder) if line.get("decision") == "budget"]
    assert set(decided["trials"]) == set(NAMES) and all(n >= 1 for n in decided["trials"].values())
    (result.folder / "records.jsonl").write_text(
        "".join(json.dumps(line) + "\n" for line in lines(result.folder)[: -len(result.records) // 2])
    )
    again = here(task, tmp_path / "race", trials=None, seeds=None, budget="2s")
    assert by_trial(again.records) == by_trial(result.records)


def test_too_little_time_says_the_least_that_works(task, tmp_path):
    with pytest.raises(SettingError, match=r"budget '0.001s': too small .* the least that works is about '\d+s'"):
        here(task, tmp_path / "race", trials=None, seeds=None, budget="0.001s")


def test_a_schedule_ends_with_the_trial_whatever_its_length(task):
    ready = prepare(task, "adam", schedule="cosine,constant,linear,wsd,one_cycle", warmup=0.1)
    for name in ("cosine", "constant", "linear", "wsd", "one_cycle"):
        trial = Trial("adam", settings({"lr": 0.1, "schedule": name}), 0, 1)
        for steps in (1, 4, 40):
            rate = ready.bench.common.rate(trial, steps)
            values = [rate(n) for n in range(steps)] if callable(rate) else [rate] * steps
            assert max(values) <= 0.1 * (1 + 1e-9)
            if steps == 40:
                assert values[-1] == 0.1 if name == "constant" else values[-1] < 0.02
                assert values[0] < 0.1
    space = {d.name: d for d in ready.plan.dimensions["adam"]}
    assert space["schedule"].choices == ("cosine", "constant", "linear", "wsd", "one_cycle")


def test_settings_of_the_task_join_the_search(task, tmp_path):
    result = here(task, tmp_path / "race", ("adam",), search=["task.width=4:32:log", "task.size=32,64"])
    found = [dict(Trial.from_json(r["trial"]).of_task) for r in result.records]
    assert {f["size"] for f in found} == {32, 64} and len({f["width"] for f in found}) >= 3
    assert all(isinstance(f["width"], int) and 4 <= f["width"] <= 32 for f in found)
    steps = {f["size"]: r["steps"] for f, r in zip(found, result.records)}
    assert steps == {32: 6, 64: 12}
    fixed = here(task, tmp_path / "fixed", ("adam",), task_settings={"size": 32})
    assert {r["steps"] for r in fixed.records} == {6} and fixed.plan.task_settings["size"] == 32


# ---- whose optimizers, whose task


def rule(p, g, v=0, *, lr=0.1, beta=0.9):
    """Heavy ball."""
    v = beta * v + g
    return p - lr * v, v


def test_a_formula_races_under_its_name(task, tmp_path):
    result = race(task, [rule, "sgd"], out=tmp_path / "race", workers=1, **SMALL)
    assert result.plan.optimizers == ("rule", "sgd") and result.plan.origins == {"rule": "test_race:rule"}
    file = tmp_path / "rules.py"
    file.write_text("def rule(p, g, v=0, *, lr=0.1, beta=0.9):\n    v = beta * v + g\n    return p - lr * v, v\n")
    same = here(task, tmp_path / "file", f"{file}:rule,sgd")
    assert by_trial(same.records) == by_trial(result.records)


SCRIPT = """
import sys, torch, downslope

def inner():
    def rule(p, g, v=0, *, lr=0.1, beta=0.9):
        v = beta * v + g
        return p - lr * v, v
    return rule

def part(seed):
    x = torch.randn(64, 4, generator=torch.Generator().manual_seed(seed))
    return torch.utils.data.TensorDataset(x, (x[:, 0] > 0).long())

loaders = [torch.utils.data.DataLoader(part(s), 16, shuffle=s == 0, generator=torch.Generator()) for s in (0, 1)]
task = downslope.Task.of(torch.nn.Linear(4, 2), *loaders, loss=torch.nn.functional.cross_entropy, name="mine", epochs=2)
open("times", "a").write("x")
for engine in ("local", "here"):
    downslope.race(task, [inner(), "sgd"], out=f"race-{engine}", engine=engine, workers=2, trials=4, seeds=2)
"""


def test_what_a_script_defines_reaches_the_workers_and_the_script_runs_once(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "times").read_text() == "x"
    boards = [json.loads((tmp_path / f"race-{name}" / "board.json").read_text()) for name in ("local", "here")]
    assert timeless(boards[0]) == timeless(boards[1]) and boards[0]["notes"] == boards[1]["notes"]
    assert not any("in this process" in note for note in boards[0]["notes"])


def test_what_no_other_process_can_have_is_trained_here_and_said(tmp_path):
    class Unsendable:
        def __deepcopy__(self, memo):
            return self

        def __reduce__(self):
            raise TypeError("not this one")

    x = torch.randn(32, 4)
    model = torch.nn.Linear(4, 2)
    model.extra = Unsendable()
    own = downslope.Task.of(
        model, (x, x[:, 0].gt(0).long()), (x, x[:, 0].gt(0).long()), loss=torch.nn.functional.cross_entropy
    )
    watch = Notes()
    result = race(own, NAMES, out=tmp_path / "race", watch=watch, workers=2, epochs=1, **SMALL)
    assert len(result.records) == 12
    assert "training in this process alone: the task or a formula cannot be sent" in watch.notes[0]
    assert watch.notes[0] in result.board["notes"]


def test_several_tasks_are_several_races_and_one_answer(task, tmp_path):
    result = race([task, "diabetes"], NAMES, out=tmp_path / "races", engine="here", epochs=2, **SMALL)
    assert [r.folder.name for r in result.results] == ["tiny", "diabetes"]
    assert json.loads((tmp_path / "races" / "aggregate.json").read_text()) == result.together
    assert "diabetes: " in result.verdict and not result.interrupted
    with pytest.raises(SettingError, match="one is named twice"):
        race([task, task], NAMES, out=tmp_path / "again", **SMALL)


# ---- what cannot be raced

WRONG = {
    "an unknown task": (("digit", NAMES, {}), RunError, r"digit: there is no task of that name; did you mean digits"),
    "an unknown optimizer": (("digits", "sgd,addam", {}), SettingError, r"'addam'; did you mean .*adam"),
    "an empty name": (("digits", "sgd,", {}), SettingError, "one name is empty"),
    "none": (("digits", [], {}), SettingError, "one name is empty"),
    "one twice": (("digits", "sgd,SGD", {}), SettingError, "sgd is named twice"),
    "torch's own": (("digits", [torch.optim.SGD], {}), SettingError, "SGD is no optimizer that can race"),
    "no such file": (("digits", "no.py:rule", {}), RunError, "there is no file no.py"),
    "both": (("digits", NAMES, {"budget": "5m", "trials": 3}), SettingError, "give one of them"),
    "no trials": (("digits", NAMES, {"trials": 0}), SettingError, "trials=0: must be a whole number, at least 1"),
    "a schedule": (("digits", NAMES, {"schedule": "cosin"}), SettingError, "schedule='cosin': did you mean cosine"),
    "a step schedule": (("digits", NAMES, {"schedule": "multistep"}), SettingError, "schedule='multistep'"),
    "a sampler": (("digits", NAMES, {"sampler": "tpe9"}), SettingError, "sampler='tpe9': known are halton"),
    "a metric": (("quadratic", NAMES, {"monitor": "metric"}), SettingError, r"has no metric\(output, target\)"),
    "too large a batch": (("digits", NAMES, {"batch": 5000}), SettingError, "larger than the 1000 samples"),
    "rungs of nothing": (("digits", NAMES, {"rungs": True, "epochs": 2}), SettingError, "a trial has 2 epochs"),
    "warm-up": (("digits", NAMES, {"warmup": 1.0}), SettingError, "warmup=1.0: must be a share"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_raced_is_said_before_anything_is_written(case, tmp_path):
    (task, names, options), kind, words = WRONG[case]
    with pytest.raises(kind, match=words):
        race(task, names, out=tmp_path / "race", **options)
    assert not (tmp_path / "race").exists()


@pytest.mark.parametrize("workers, engine, words", [(0, "local", "workers=0"), (1, "moon", "engine='moon'")])
def test_where_it_cannot_be_trained(task, workers, engine, words, tmp_path):
    with pytest.raises(SettingError, match=words):
        race(task, NAMES, out=tmp_path / "race", workers=workers, engine=engine, **SMALL)
    with pytest.raises(SettingError, match=r"resume: which race\? name its folder"):
        race(task, NAMES, resume=True)


SICK = {
    "no validation": (("return part(size), part(64), part(64)", "return (part(size),)"), "return .train, validation"),
    "nan from the start": (
        ("return torch.nn.functional.cross_entropy(output, target)", "return (output * float('nan')).mean()"),
        r"the loss of the untrained network is nan on .*, so every run would fail; `downslope check .*` says where",
    ),
    "a failing loss": (("cross_entropy(output, target)", "cross_entropy(output, 1)"), r"loss\(output, target\) failed"),
    "an infinite metric": (
        ("return (output.argmax(1) == target).double().mean()", "return float('inf')"),
        "the metric of the untrained network is inf",
    ),
}


@pytest.mark.parametrize("case", SICK)
def test_a_sick_task_is_said_at_once(case, tmp_path):
    change, words = SICK[case]
    with pytest.raises(RunError, match=words):
        here(tiny(tmp_path / "task", change=change), tmp_path / "race")
    assert not (tmp_path / "race").exists()


def test_an_optimizer_that_cannot_train_the_task_is_named(task, tmp_path, monkeypatch):
    def refuse(*_):
        raise RuntimeError("needs a closure")

    made = entrants([rule])[0].made
    monkeypatch.setattr(made, "step", refuse)
    with pytest.raises(RunError, match=r"rule: cannot train .*tiny.py: RuntimeError: needs a closure.*; leave it out"):
        here(task, tmp_path / "race", [rule, "sgd"])


def test_a_rule_for_matrices_needs_one(tmp_path):
    words = (
        r"muon: cannot train quadratic: it is a rule for matrices, and .* of one dimension \(\(100,\)\); leave it out"
    )
    with pytest.raises(RunError, match=words):
        race("quadratic", "adam,muon", engine="here", out=tmp_path / "race", **SMALL)


def test_a_trial_that_fails_is_an_error_that_names_it_and_keeps_the_rest(tmp_path):
    late = ("return torch.nn.functional.cross_entropy(output, target)",
            "if torch.initial_seed() == 1000:\n        raise KeyError('oops')\n"
            "    return torch.nn.functional.cross_entropy(output, target)")  # fmt: skip
    with pytest.raises(RunError, match=r"sgd\(lr=[\d.]+\), seed 1000, 3 epochs: .*KeyError: 'oops'.*tiny.py, line"):
        here(tiny(tmp_path / "task", late=late), tmp_path / "race")
    assert len(records(tmp_path / "race")) == 8


def test_what_fails_together_is_trained_alone_and_said(task, tmp_path, monkeypatch):
    import downslope.race.batched as batched

    def fails(*_):
        raise RuntimeError("a branch that depends on the data")

    monkeypatch.setattr(batched, "can_batch", lambda *_: {"size": 2, "why": ""})
    monkeypatch.setattr(batched, "run_batch", fails)
    monkeypatch.setattr("downslope.race.batches.default_count", lambda _: 2)
    result = here(task, tmp_path / "race", batched=True)
    assert {r["how"] for r in result.records} == {"alone"} and len(result.records) == 12
    assert (
        "2 trials of sgd failed together (RuntimeError: a branch that depends on the data" in result.board["notes"][0]
    )
    monkeypatch.setattr(batched, "can_batch", fails)
    other = here(task, tmp_path / "other", batched=True)
    assert {d["size"] for d in other.decisions} == {1} and "trying it failed" in other.decisions[0]["why"]


def test_why_trials_cannot_train_together_is_said_once(task, tmp_path, monkeypatch):
    import downslope.race.batched as batched
    from downslope.race.common import SLOWER

    for why, said in (("its network draws", ["trials train one by one: its network draws"]), (SLOWER, []), ("", [])):
        monkeypatch.setattr(batched, "can_batch", lambda *_, why=why: {"size": 1, "why": why})
        watch = Notes()
        result = here(task, tmp_path / (why or "none"), batched=True, watch=watch)
        assert watch.notes == said  # of two optimizers the same
        assert [d["why"] for d in result.decisions if d["decision"] == "batching"] == [why, why]


def test_trials_that_train_together_give_what_they_give_alone(task, whole, tmp_path, monkeypatch):
    import downslope.race.batched as batched

    monkeypatch.setattr(batched, "can_batch", lambda *_: {"size": 3, "why": ""})
    monkeypatch.setattr("downslope.race.batches.default_count", lambda _: 2)
    result = here(task, tmp_path / "race", batched=True)
    assert sum(r["how"] == "batched" for r in result.records) == 12  # groups of 2 and 2, and of 2
    for one, other in zip(by_trial(result.records), by_trial(whole.records), strict=True):
        assert one["trial"] == other["trial"]
        if one["trial"]["settings"]["lr"] < 1:  # beyond it rounding grows to anything
            assert one["validation_loss"] == pytest.approx(other["validation_loss"], rel=1e-4)


def test_groups_are_small_enough_for_every_core_to_have_one(task, tmp_path, monkeypatch):
    import downslope.race.batched as batched

    monkeypatch.setattr(batched, "can_batch", lambda *_: {"size": 8, "why": ""})
    monkeypatch.setattr("downslope.race.batches.default_count", lambda _: 4)
    sizes, plain = [], Bench.run
    monkeypatch.setattr(Bench, "run", lambda bench, job: sizes.append(len(job.trials)) or plain(bench, job))
    result = here(task, tmp_path / "race", batched=True, trials=5)
    assert [d["count"] for d in result.decisions if d["decision"] == "cores"] == [4]
    assert sizes == [3, 3, 2, 2, 1, 1, 1, 1]  # of 10 trials on 4 cores; then of 4
    again = here(task, tmp_path / "race", batched=True, trials=5)
    assert again.records == result.records


def test_every_run_may_diverge(tmp_path):
    wild = ("return torch.nn.functional.cross_entropy(output, target)",
            "return (output * 1e30).square().mean() if output.requires_grad else output.square().mean()")  # fmt: skip
    result = here(tiny(tmp_path / "task", wild=wild), tmp_path / "race", ("sgd",), monitor="loss")
    assert all(r["diverged"] for r in result.records) and len(result.records) == 4
    assert result.board["rows"][0]["score"]["mean"] is None and result.board["complete"]


# ---- workers that die


def some(count):
    return tuple(Trial("sgd", (("lr", 0.1 * (i + 1)),), 0, 1) for i in range(count))


DEATHS = {
    "killed when many": (
        [Job(some(7), True)],
        7,
        "was killed, as for want of memory; going on with at most 4 at a time",
    ),
    "short when many": ([Job(some(7), True)], 7, "ran out of memory; going on with at most 4 at a time"),
    "killed once": ([Job(some(1))], 1, r"sgd\(lr=0.1\), seed 0, 1 epoch: .* was killed.*; trying it once more"),
}


@pytest.mark.parametrize("act", DEATHS)
def test_a_job_that_is_lost_is_tried_again_with_fewer_trials(act, tmp_path):
    import re

    jobs, count, words = DEATHS[act]
    engine = Workers(Kit(act, str(tmp_path / "log")), 1)
    try:
        done = list(engine.run(jobs))
    finally:
        engine.close()
    found = [r["trial"]["settings"]["lr"] for one in done for r in one.records]
    assert sorted(found) == [dict(t.settings)["lr"] for t in some(count)]
    assert re.search(words, next(note for one in done for note in one.notes))


def test_a_trial_whose_worker_dies_twice_is_an_error(tmp_path):
    engine = Workers(Kit("always killed", str(tmp_path / "log")), 1)
    with pytest.raises(RunError, match=r"sgd\(lr=0.1\), seed 0, 1 epoch: its worker process was killed.*, twice; "):
        list(engine.run([Job(some(1))]))
    assert (tmp_path / "log").read_text() == "1\n1\n"


def test_workers_live_from_round_to_round(tmp_path):
    engine = Workers(Kit("", str(tmp_path / "log")), 2)
    assert sum(len(done.records) for done in engine.run([Job((trial,)) for trial in some(3)])) == 3
    first = [worker.process.pid for worker in engine._workers]
    assert sum(len(done.records) for done in engine.run([Job((trial,)) for trial in some(3)])) == 3
    assert [worker.process.pid for worker in engine._workers] == first and 1 <= len(first) <= 2
    engine.close()


def test_what_is_tried_after_a_loss():
    assert again(Job(some(1), attempt=1), "why") is None
    (jobs, note) = again(Job(some(5), True), "why")
    assert [(len(job.trials), job.batched) for job in jobs] == [(2, True), (3, True)]
    assert sum((job.trials for job in jobs), ()) == some(5) and "at most 3 at a time" in note
    assert [job.batched for job in again(Job(some(2), True), "why")[0]] == [False, False]


def test_a_kit_that_cannot_be_unpacked_elsewhere_says_so(task):
    ready = prepare(task, "sgd")
    from dataclasses import replace

    with pytest.raises(NotElsewhere, match="there is no task of that name"):
        replace(ready.kit, task="nothing").bench()
    threads = torch.get_num_threads()
    try:
        assert ready.kit.bench().task.name == task
    finally:
        torch.set_num_threads(threads)


def test_downslope_race_is_the_function_before_and_after_an_import(task, tmp_path):
    assert downslope.race(task, "sgd", out=tmp_path / "a", engine="here", **SMALL).plan.task == task
    assert sys.modules["downslope.race"](task, "sgd", out=tmp_path / "b", engine="here", **SMALL).plan.task == task


def test_a_task_that_was_changed_keeps_its_changes_in_the_workers(task, tmp_path):
    changed = by_name(task).with_settings(size=32)
    result = race(changed, "sgd", out=tmp_path / "race", workers=1, **SMALL)
    assert {r["steps"] for r in result.records} == {6} and result.board["notes"] == []
