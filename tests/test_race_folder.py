"""The run folder: nothing is overwritten, nothing half written is believed, and each error says what to do."""

import errno
import json
import os

import pytest

from downslope.errors import RunError
from downslope.race.folder import Folder, default_path
from downslope.race.plan import Plan
from downslope.training.files import write_atomic

PLAN = Plan("digits", {"sgd": [0.1, 1.0]}, [0, 1], 1, 64, 0.1)
RECORD = {"optimizer": "sgd", "lr": 0.1, "seed": 0, "curve": {}, "diverged": False}


def content(path):
    return {p.name: p.read_bytes() for p in path.iterdir()} if path.is_dir() else path.read_bytes()


def write(path, **files):
    path.mkdir()
    for name, text in files.items():
        (path / f"{name}").write_text(text if isinstance(text, str) else json.dumps(text))
    return path


def saved(**changes):
    return json.dumps(PLAN.as_json() | changes)


@pytest.fixture
def started(tmp_path):
    folder = Folder.create(tmp_path / "race", PLAN)
    folder.append(RECORD)
    folder.close()
    return tmp_path / "race"


# what is there, opened how -> what the error says
IN_THE_WAY = {
    "a folder with files": (
        {"notes": "mine"},
        "create",
        r"is not empty \(notes\); .*--resume.*--out FOLDER",
    ),
    "another's folder": ({"notes": "mine"}, "resume", r"holds no race \(no config.json\)"),
    "other epochs": ({"config.json": saved(epochs=5)}, "resume", r"other settings \(epochs was 5, now 1\)"),
    "other rates": (
        {"config.json": saved(learning_rates={"adam": [1]})},
        "resume",
        r"learning_rates was adam at 1 rates, now sgd at 2",
    ),
    "another format": ({"config.json": saved(format=99)}, "resume", r"has format 99, this downslope writes format 1"),
    "a broken config": ({"config.json": "{"}, "resume", r"config.json: cannot be read"),
    "a config of nothing": ({"config.json": "[]"}, "resume", r"config.json: cannot be read"),
    "a broken line": (
        {"config.json": saved(), "records.jsonl": "nonsense\n" + json.dumps(RECORD) + "\n"},
        "resume",
        r"records.jsonl: line 1 is not a record; delete that line",
    ),
}


@pytest.mark.parametrize("case", IN_THE_WAY)
def test_what_is_in_the_way_is_an_error_and_stays(case, tmp_path):
    files, how, words = IN_THE_WAY[case]
    path = write(tmp_path / "race", **files)
    before = content(path)
    with pytest.raises(RunError, match=words) as caught:
        getattr(Folder, how)(path, PLAN)
    assert str(path) in str(caught.value)
    assert content(path) == before


@pytest.mark.parametrize("how", ["create", "resume"])
def test_a_file_where_the_folder_should_be(how, tmp_path):
    (tmp_path / "race").write_text("mine")
    with pytest.raises(RunError, match=r"is a file|holds no race"):
        getattr(Folder, how)(tmp_path / "race", PLAN)
    with pytest.raises(RunError, match=r"race/below: cannot be written: Not a directory; .*--out FOLDER"):
        getattr(Folder, how)(tmp_path / "race" / "below", PLAN)
    assert (tmp_path / "race").read_text() == "mine"


@pytest.mark.parametrize("how", ["create", "resume"])
@pytest.mark.parametrize("there", ["nothing", "an empty folder", "an interrupted start"])
def test_a_new_folder(there, how, tmp_path):
    path = tmp_path / "new" / "race"
    if there != "nothing":
        path.mkdir(parents=True)
    if there == "an interrupted start":
        (path / "config.json.tmp").write_text("{")
    folder = getattr(Folder, how)(path, PLAN)
    folder.close()
    assert json.loads((path / "config.json").read_text()) == PLAN.as_json() and folder.records == []
    assert folder.notes == ([] if how == "create" else [f"{path}: nothing there to resume; starting"])


@pytest.mark.parametrize("rest", ["", '{"optimizer": "sgd", "lr"', '{"optimizer": "sgd"}\n', "\x00\x00\x00\n", "{}"])
def test_a_broken_last_line_is_dropped_and_said(rest, started):
    journal = started / "records.jsonl"
    whole = journal.read_bytes()
    journal.write_bytes(whole + rest.encode())
    folder = Folder.resume(started, PLAN)
    folder.append(RECORD | {"seed": 1})
    folder.close()
    assert folder.notes == ([f"{journal}: dropped a broken last line; its trial runs again"] if rest else [])
    assert [r["seed"] for r in folder.records] == [0, 1]
    assert journal.read_bytes().startswith(whole) and len(journal.read_text().splitlines()) == 2


def test_a_record_is_on_disk_as_soon_as_it_is_appended(tmp_path):
    folder = Folder.create(tmp_path / "race", PLAN)
    for seed in (0, 1):
        folder.append(RECORD | {"seed": seed})
        lines = (tmp_path / "race" / "records.jsonl").read_text().splitlines()
        assert json.loads(lines[-1]) == RECORD | {"seed": seed} and len(lines) == seed + 1
    folder.close()


def test_a_record_that_is_written_in_pieces_is_written_whole(tmp_path, monkeypatch):
    folder = Folder.create(tmp_path / "race", PLAN)
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, line: write(file, line[:7]))
    folder.append(RECORD)
    folder.close()
    assert json.loads((tmp_path / "race" / "records.jsonl").read_text()) == RECORD


def full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_while_appending(started, monkeypatch):
    folder = Folder.resume(started, PLAN)
    with monkeypatch.context() as patch, pytest.raises(RunError, match=r"No space left on device; .*--resume"):
        patch.setattr(os, "write", full)
        folder.append(RECORD | {"seed": 1})
    folder.close()
    assert len(folder.records) == 1
    assert Folder.resume(started, PLAN).records == [RECORD]


@pytest.mark.parametrize("where", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_no_other(where, tmp_path, monkeypatch):
    path = tmp_path / "leaderboard.json"
    write_atomic(path, "old")
    with (
        monkeypatch.context() as patch,
        pytest.raises(RunError, match=r"leaderboard.json: cannot be written: No"),
    ):
        patch.setattr(os, where, full)
        write_atomic(path, "new")
    assert content(tmp_path) == {"leaderboard.json": b"old"}
    write_atomic(path, b"new")
    assert content(tmp_path) == {"leaderboard.json": b"new"}


def test_a_device_that_is_full(tmp_path):
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    folder = Folder.create(tmp_path / "race", PLAN)
    folder.close()
    folder._journal = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(RunError, match="No space left on device"):
        folder.append(RECORD)
    folder.close()
    assert folder.records == []


def test_the_default_folder_is_new_each_time(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("downslope.race.folder.time.strftime", lambda _: "20260102-030405")
    found = []
    for _ in range(3):
        path = default_path("digits")
        path.mkdir(parents=True)
        found.append(str(path))
    assert found == ["runs/digits-20260102-030405", "runs/digits-20260102-030405.2", "runs/digits-20260102-030405.3"]
