"""Wrong use of the command line: one line that says what was found and what to do, status 2, nothing touched."""

import importlib.util
import json
import re
import subprocess
import sys

import pytest

from downslope import __version__, cli
from downslope.race.entrants import DEFAULT
from downslope.race.folder import Folder
from downslope.race.prepare import prepare as prepared

RACE = ["race", "digits", "--optimizers", "sgd,adam", "--trials", "4", "--seeds", "4", "--epochs", "1"]


def call(args, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["downslope", *args])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    return stopped.value.code, *capsys.readouterr()


@pytest.fixture
def no_trial(monkeypatch):
    """A race that gets as far as training has missed the error."""

    def fail(*_):
        raise AssertionError("a trial was started")

    monkeypatch.setattr("downslope.race.runner._round", fail)


def another_race(path):
    Folder(path, prepared("digits", ["sgd"], trials=4, seeds=4, epochs=7).plan).close()


def notes(path):
    path.mkdir()
    (path / "notes.txt").write_text("mine")


# arguments, what lies at ./there -> what the error says
WRONG = {
    "an unknown task": (["race", "digit"], None, r"digit: there is no task of that name; did you mean digits\?"),
    "a far-off task": (["race", "xyzzy"], None, r"xyzzy: .*; known are: .*digits"),
    "an unknown optimizer": (["race", "digits", "--optimizers", "sgd,addam"], None, r"'addam'; did you mean .*adam"),
    "an empty name": (["race", "digits", "--optimizers", "sgd,"], None, r"optimizers 'sgd,': one name is empty"),
    "a name twice": (["race", "digits", "--optimizers", "sgd,SGD"], None, r"optimizers sgd,SGD: sgd is named twice"),
    "resume of what": ([*RACE, "--resume"], None, r"resume: which race\? name its folder with --out FOLDER"),
    "a folder in use": ([*RACE, "--out", "there"], notes, r"there: holds no race .* is not empty \(notes.txt\)"),
    "too small a budget": (
        ["race", "digits", "--optimizers", "sgd,adam", "--budget", "3 trials"],
        None,
        r"the least that works is '4 trials'",
    ),
    "no budget": (
        ["race", "digits", "--budget", "10"],
        None,
        r"budget '10': give a time, trials or epochs, such as 10m",
    ),
    "a search of nothing": (["race", "digits", "--search", "lr"], None, r"search 'lr': give NAME=LOW:HIGH"),
    "a schedule": (["race", "digits", "--schedule", "cosin"], None, r"schedule='cosin': did you mean cosine"),
    "a setting": (["race", "digits", "--set", "width=3"], None, r"digits: has no setting 'width'"),
    "no race to resume": ([*RACE, "--out", "there", "--resume"], notes, r"there: holds no race"),
    "another race": (
        [*RACE, "--out", "there"],
        another_race,
        r"there: was started with other settings \(.*epochs was 7, now 1\)",
    ),
    "a file": ([*RACE, "--out", "there"], lambda path: path.write_text("mine"), r"there: is a file"),
    "below a file": (
        [*RACE, "--out", "there/race"],
        lambda path: path.write_text("mine"),
        r"there/race: cannot be written: Not a directory",
    ),
    "nowhere": ([*RACE, "--out", "/proc/race"], None, r"/proc/race: cannot be written: No such file"),
}


@pytest.mark.parametrize("case", WRONG)
def test_one_line_says_what_is_wrong(case, tmp_path, monkeypatch, capsys, no_trial):
    args, prepare, words = WRONG[case]
    monkeypatch.chdir(tmp_path)
    if prepare:
        prepare(tmp_path / "there")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    status, out, err = call(args, monkeypatch, capsys)
    assert (status, out) == (2, "") and err.count("\n") == 1
    assert re.match(rf"downslope: .*{words}", err), err
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


USAGE = {
    "no verb of that name": (["rase"], "No such command 'rase'"),
    "no task": (["race"], "Missing argument"),
    "no option of that name": (["race", "digits", "--optimisers", "sgd"], "No such option: --optimisers"),
    "no seeds": (["race", "digits", "--seeds", "0"], "--seeds"),
    "no trials": (["race", "digits", "--trials", "0"], "--trials"),
    "half an epoch": (["race", "digits", "--epochs", "0.5"], "--epochs"),
}


@pytest.mark.parametrize("case", USAGE)
def test_wrong_usage_is_status_2_too(case, monkeypatch, capsys, no_trial):
    args, words = USAGE[case]
    status, out, err = call(args, monkeypatch, capsys)
    assert (status, out) == (2, "") and words in err and "Traceback" not in err


MISSING = [("sklearn", "scikit-learn"), ("matplotlib", "matplotlib"), ("scipy", "scipy")]


@pytest.mark.parametrize("missing, name", MISSING)
def test_a_missing_extra_gives_the_command_that_installs_it(missing, name, monkeypatch, capsys, tmp_path, no_trial):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "downslope.training.extras.find_spec", lambda module: None if module == missing else find(module)
    )
    monkeypatch.chdir(tmp_path)
    status, _, err = call(["race", "digits"], monkeypatch, capsys)
    assert status == 2 and list(tmp_path.iterdir()) == []
    assert (
        err
        == f"downslope: downslope race needs {name}, not installed here; install with: pip install 'downslope[race]'\n"
    )


@pytest.mark.parametrize("args", [["--help"], ["race", "--help"], []])
def test_help_has_an_example(args, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "100")
    status, out, err = call(args, monkeypatch, capsys)
    assert status == (0 if args else 2) and "Example: downslope race digits" in out + err


def test_the_help_of_a_narrow_terminal_names_every_option_whole(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "40")
    _, out, _ = call(["race", "--help"], monkeypatch, capsys)
    for option in ("optimizers", "trials", "budget", "seeds", "epochs", "batch", "out", "resume", "workers", "json"):
        assert f"  --{option} " in out
    assert max(len(line) for line in out.splitlines() if "Example" not in line) <= 50


def test_the_help_names_the_optimizers_that_race_by_default(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "200")
    assert ", ".join(DEFAULT) in " ".join(call(["race", "--help"], monkeypatch, capsys)[1].split())


def test_the_version(monkeypatch, capsys):
    assert call(["--version"], monkeypatch, capsys) == (0, f"downslope {__version__}\n", "")


def test_the_command_line_adds_nothing_heavy_to_the_import_of_the_package():
    code = """
import sys, downslope
before = set(sys.modules)
import downslope.cli
print(sorted({"torch", "sklearn", "scipy", "plotly", "matplotlib", "llvmlite"} & (set(sys.modules) - before)))
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def limited():
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
def test_a_disk_that_fills_up_ends_the_race_with_one_line_and_it_goes_on_later(tmp_path):
    command = [sys.executable, "-c", "from downslope.cli import main; main()", *RACE, "--out", "race"]
    options = {"cwd": tmp_path, "capture_output": True, "text": True}
    full = subprocess.run(command, preexec_fn=limited, **options)  # a file that may not grow, as on a full disk
    assert full.returncode == 2 and full.stderr.count("\n") == 1
    assert re.match(
        r"downslope: race/records.jsonl: cannot be written: File too large; .* go on with --resume", full.stderr
    )
    journal = tmp_path / "race" / "records.jsonl"
    finished = len(re.findall(rb'"trial":.*\n', journal.read_bytes()))
    assert 0 < finished < 16
    later = subprocess.run([*command, "--resume", "--json"], **options)
    assert later.returncode == 0 and f"{finished} trials finished before" in later.stderr
    assert json.loads(later.stdout)["complete"] and journal.read_text().count('"trial":') == 16
