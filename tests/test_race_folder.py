"""The run folder: nothing is overwritten, nothing half written is believed, one race writes at a time, and each error
says what to do."""

import errno
import json
import os
import subprocess
import sys

import pytest

from downslope.errors import RunError
from downslope.optim import OPTIMIZERS
from downslope.race.folder import Folder, default_path
from downslope.race.plan import Plan
from downslope.race.spaces import space_of
from downslope.race.trial import Trial
from downslope.training.files import write_atomic

PLAN = Plan(
    task="digits", task_settings={}, optimizers=("sgd",), dimensions={"sgd": space_of("sgd", OPTIMIZERS["sgd"])},
    monitor="metric", epochs=1, batch=64, untrained={"validation": 0.1, "test": 0.1}, rungs=(1, 3),
)  # fmt: skip


def record(seed):
    trial = Trial("sgd", (("lr", 0.1),), seed, 1, "search")
    return {"trial": trial.as_json(), "diverged": False, "steps": 3, "curve": {}, "seconds": 1.0}


def content(path):
    return {p.name: p.read_bytes() for p in path.iterdir() if p.name != ".lock"} if path.is_dir() else path.read_bytes()


def write(path, **files):
    path.mkdir()
    for name, text in files.items():
        (path / f"{name}").write_text(text if isinstance(text, str) else json.dumps(text))
    return path


def saved(**changes):
    return json.dumps(PLAN.as_json() | changes)


@pytest.fixture
def started(tmp_path):
    folder = Folder(tmp_path / "race", PLAN)
    folder.append(record(0))
    folder.close()
    return tmp_path / "race"


def test_a_plan_comes_back_from_json_as_it_was():
    assert Plan.from_json(json.loads(saved())) == PLAN


# what is there -> what the error says
IN_THE_WAY = {
    "a folder with files": ({"notes": "mine"}, r"holds no race \(no config.json\) and is not empty \(notes\); .*--out"),
    "other epochs": ({"config.json": saved(epochs=5)}, r"other settings \(epochs was 5, now 1\)"),
    "other optimizers": ({"config.json": saved(optimizers=["adam"])}, r"\(optimizers was adam, now sgd\)"),
    "other spaces": ({"config.json": saved(dimensions={"sgd": []})}, r"\(dimensions of sgd\)"),
    "another budget": (
        {"config.json": saved(budget="5m", trials=None)},
        r"\(trials was None, now 11; budget was 5m, now None\)",
    ),
    "another format": (
        {"config.json": saved(format=1, downslope="0.0.9")},
        r"has format 1, this downslope \(.*\) writes format 2; go on with the version that started it \(0.0.9\)",
    ),
    "a broken config": ({"config.json": "{"}, r"config.json: cannot be read"),
    "a config of nothing": ({"config.json": "[]"}, r"config.json: cannot be read"),
    "a broken line": (
        {"config.json": saved(), "records.jsonl": "nonsense\n" + json.dumps(record(0)) + "\n"},
        r"records.jsonl: line 1 is not a record; delete that line",
    ),
}


@pytest.mark.parametrize("case", IN_THE_WAY)
def test_what_is_in_the_way_is_an_error_and_stays(case, tmp_path):
    files, words = IN_THE_WAY[case]
    path = write(tmp_path / "race", **files)
    before = content(path)
    with pytest.raises(RunError, match=words) as caught:
        Folder(path, PLAN)
    assert str(path) in str(caught.value)
    assert content(path) == before


def test_a_file_where_the_folder_should_be(tmp_path):
    (tmp_path / "race").write_text("mine")
    with pytest.raises(RunError, match=r"race: is a file, and a race needs a folder; .*--out FOLDER"):
        Folder(tmp_path / "race", PLAN)
    with pytest.raises(RunError, match=r"race/below: cannot be written: Not a directory; .*--out FOLDER"):
        Folder(tmp_path / "race" / "below", PLAN)
    assert (tmp_path / "race").read_text() == "mine"


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("there", ["nothing", "an empty folder", "an interrupted start"])
def test_a_new_folder(there, resume, tmp_path):
    path = tmp_path / "new" / "race"
    if there != "nothing":
        path.mkdir(parents=True)
    if there == "an interrupted start":
        (path / "config.json.tmp").write_text("{")
        (path / ".lock").write_text("process 1 on nowhere\n")
    folder = Folder(path, PLAN, resume=resume)
    folder.close()
    assert json.loads((path / "config.json").read_text()) == PLAN.as_json() and folder.journal.records == {}
    assert folder.notes == ([f"{path}: nothing there to resume; starting"] if resume else [])


def test_the_same_race_goes_on_with_the_scores_it_was_started_with(started):
    from dataclasses import replace

    folder = Folder(started, replace(PLAN, untrained={"validation": 0.10000001, "test": 0.1}))
    folder.close()
    assert folder.plan == PLAN and list(folder.journal.records) == [Trial("sgd", (("lr", 0.1),), 0, 1)]


@pytest.mark.parametrize("rest", ["", '{"trial": {"optim', '{"trial": {"optimizer": "sgd"}}\n', "\x00\x00\n", "{}"])
def test_a_broken_last_line_is_dropped_and_said(rest, started):
    journal = started / "records.jsonl"
    whole = journal.read_bytes()
    journal.write_bytes(whole + rest.encode())
    folder = Folder(started, PLAN)
    folder.append(record(1))
    folder.close()
    assert folder.notes == ([f"{journal}: dropped a broken last line; its trial runs again"] if rest else [])
    assert [t.seed for t in folder.journal.records] == [0, 1]
    assert journal.read_bytes().startswith(whole) and len(journal.read_text().splitlines()) == 2


def test_a_line_is_on_disk_as_soon_as_it_is_appended_and_a_trial_only_once(tmp_path):
    folder = Folder(tmp_path / "race", PLAN)
    for number, line in enumerate([{"decision": "widen", "optimizer": "sgd"}, record(0), record(1)], 1):
        assert folder.append(line)
        lines = (tmp_path / "race" / "records.jsonl").read_text().splitlines()
        assert json.loads(lines[-1]) == line and len(lines) == number
    other_stage = record(1) | {"trial": record(1)["trial"] | {"stage": "confirm"}}
    assert not folder.append(record(0)) and not folder.append(other_stage)
    folder.close()
    assert len((tmp_path / "race" / "records.jsonl").read_text().splitlines()) == 3
    again = Folder(tmp_path / "race", PLAN)
    again.close()
    assert again.journal.decision("widen", optimizer="sgd") and len(again.journal.records) == 2


def test_two_races_cannot_write_one_folder(started):
    folder = Folder(started, PLAN)
    with pytest.raises(RunError, match=rf"another race writes there \(process {os.getpid()} on .*\); .*--out FOLDER"):
        Folder(started, PLAN)
    folder.close()
    Folder(started, PLAN).close()


HOLD = "import sys; from pathlib import Path; from downslope.race.lock import Lock; lock = Lock(Path(sys.argv[1]))"


def test_the_lock_goes_with_the_process_that_held_it(started):
    words = [sys.executable, "-c", f"{HOLD}; print('held', flush=True); sys.stdin.read()", str(started / ".lock")]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"held\n"
    with pytest.raises(RunError, match=f"another race writes there \\(process {process.pid} on "):
        Folder(started, PLAN)
    process.kill()
    process.communicate()
    Folder(started, PLAN).close()


def test_a_record_that_is_written_in_pieces_is_written_whole(tmp_path, monkeypatch):
    folder = Folder(tmp_path / "race", PLAN)
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, line: write(file, line[:7]))
    folder.append(record(0))
    folder.close()
    assert json.loads((tmp_path / "race" / "records.jsonl").read_text()) == record(0)


def full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_while_appending(started, monkeypatch):
    folder = Folder(started, PLAN)
    with monkeypatch.context() as patch, pytest.raises(RunError, match=r"No space left on device"):
        patch.setattr(os, "write", full)
        folder.append(record(1))
    folder.close()
    assert len(folder.journal.records) == 1
    again = Folder(started, PLAN)
    again.close()
    assert list(again.journal.records.values()) == [record(0)]


@pytest.mark.parametrize("where", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_no_other(where, tmp_path, monkeypatch):
    path = tmp_path / "board.json"
    write_atomic(path, "old")
    with monkeypatch.context() as patch, pytest.raises(RunError, match=r"board.json: cannot be written: No"):
        patch.setattr(os, where, full)
        write_atomic(path, "new")
    assert content(tmp_path) == {"board.json": b"old"}
    write_atomic(path, b"new")
    assert content(tmp_path) == {"board.json": b"new"}


def test_the_default_folder_is_new_each_time(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("downslope.race.folder.time.strftime", lambda _: "20260102-030405")
    found = []
    for _ in range(3):
        path = default_path("my/task.py")
        path.mkdir(parents=True)
        found.append(str(path))
    assert found == ["runs/task-20260102-030405", "runs/task-20260102-030405.2", "runs/task-20260102-030405.3"]
