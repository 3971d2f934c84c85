"""Races on a Ray cluster: the table is the local one, whatever dies on the way."""

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from downslope.errors import RunError, SettingError
from downslope.race import race
from downslope.race.parcel import pack
from downslope.race.prepare import prepare
from race_cases import SMALL, Notes, by_trial, timeless, tiny

NAMES = "sgd,adam"
SLEEPS = """
    import os, sys, time
    if "pytest" not in sys.modules:
        with open(LOG, "a") as log:
            log.write(f"{os.getpid()}\\n")
        time.sleep(0.3)
    return torch.nn.Sequential("""


@pytest.fixture(scope="module")
def cluster():
    """A machine with one core, to which a test may add another."""
    pytest.importorskip("ray", reason="ray is not installed (pip install 'downslope[ray]')")
    from ray.cluster_utils import Cluster

    machine = {"num_cpus": 1, "object_store_memory": 80_000_000, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=machine)
    yield cluster
    cluster.shutdown()


@pytest.fixture
def task(tmp_path):
    """A task of which each trial elsewhere first says in a log which process has it, and then takes a while."""
    (tmp_path / "log").touch()
    text = SLEEPS.replace("LOG", repr(str(tmp_path / "log")))
    return tiny(tmp_path / "task", model=("\n    return torch.nn.Sequential(", text))


def begun(tmp_path):
    """The processes that began a trial, one after the other."""
    return list(map(int, (tmp_path / "log").read_text().split()))


def ended(pid):
    try:
        return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True


class Kills(threading.Thread):
    """Kills a process that has just begun a trial, then a machine of which a process has."""

    def __init__(self, tmp_path, cluster, machine):
        super().__init__(daemon=True)
        self.folder, self.cluster, self.machine, self.killed = tmp_path, cluster, machine, []
        self.raylet = machine.all_processes["raylet"][0].process.pid
        self.over = threading.Event()

    def run(self):
        seen = 3
        while len(self.killed) < 2 and not self.over.wait(0.005):
            new = begun(self.folder)[seen:]
            seen += len(new)
            if new and not self.killed:
                os.kill(new[-1], signal.SIGKILL)
                self.killed.append(new[-1])
            elif new and parent(new[-1]) == self.raylet:
                self.cluster.remove_node(self.machine, allow_graceful=False)
                self.killed.append(new[-1])


def parent(pid):
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_a_race_goes_on_when_a_worker_and_a_machine_die(cluster, task, tmp_path, capfd):
    options = {**SMALL, "trials": 6}
    local = race(task, NAMES, out=tmp_path / "local", engine="here", **options)
    kills = Kills(tmp_path, cluster, cluster.add_node(num_cpus=1, object_store_memory=80_000_000))
    kills.start()
    watch = Notes()
    result = race(task, NAMES, out=tmp_path / "race", engine="ray", ray_address=cluster.address, watch=watch, **options)
    kills.over.set()
    kills.join()
    assert by_trial(result.records) == by_trial(local.records) and timeless(result.board) == timeless(local.board)
    assert not result.interrupted and watch.notes == []
    assert len(watch.after) == len(local.records)
    assert len(kills.killed) == 2 and all(map(ended, kills.killed))
    assert len(begun(tmp_path)) == len(local.records) + 2  # what was cut short ran anew, and nothing else
    assert capfd.readouterr().out == ""


def test_an_interrupt_ends_the_trials_and_leaves_the_cluster(cluster, task, tmp_path):
    import ray

    class Interrupts(Notes):
        def finished(self, record):
            raise KeyboardInterrupt

    options = {"out": tmp_path / "race", "engine": "ray", "ray_address": cluster.address, **SMALL}
    assert race(task, "sgd", watch=Interrupts(), **options).interrupted
    assert not ray.is_initialized()
    until = time.monotonic() + 30
    while not all(map(ended, begun(tmp_path))):
        assert time.monotonic() < until, "a trial outlives the race"
        time.sleep(0.05)
    some = len(begun(tmp_path))
    watch = Notes()
    result = race(task, "sgd", watch=watch, **options)  # the cluster is there, and the race goes on
    assert watch.before == 1 and not result.interrupted and result.board["complete"]
    assert len(begun(tmp_path)) - some == len(result.records) - 1


FAILS = """

def fail():
    import sys
    if "pytest" not in sys.modules:
        raise ValueError("no such luck")
"""


def test_what_fails_is_told_as_on_this_machine(cluster, tmp_path):
    task = tiny(tmp_path / "task", model=("def model(width: int = 8):", "def model(width: int = 8):\n    fail()"))
    Path(task).write_text(Path(task).read_text() + FAILS)
    said = []
    for engine in ({"engine": "local", "workers": 1}, {"engine": "ray", "ray_address": cluster.address}):
        with pytest.raises(RunError) as error:
            race(task, "sgd", out=tmp_path / engine["engine"], **engine, **SMALL)
        said.append(str(error.value))
    assert said[0] == said[1] and "no such luck" in said[0] and said[0].startswith("sgd(lr=")


def test_a_cluster_without_a_machine_that_is_large_enough_is_an_error(cluster, task, tmp_path):
    with pytest.raises(RunError, match="no machine of the Ray cluster has 64 CPUs, which a trial takes"):
        race(task, "sgd", out=tmp_path / "race", engine="ray", ray_address=cluster.address, threads=64, **SMALL)
    import ray

    assert not ray.is_initialized()


def test_a_cluster_that_is_used_already_stays_connected(cluster, task, tmp_path):
    import ray

    ray.init(address=cluster.address, log_to_driver=False)
    try:
        result = race(task, "sgd", out=tmp_path / "race", engine="ray", trials=1, seeds=1, batched=False)
        assert len(result.records) == 2 and ray.is_initialized() and len(begun(tmp_path)) == 2
    finally:
        ray.shutdown()


def test_what_is_missing_or_misplaced_is_said(cluster, task, tmp_path, monkeypatch):
    with pytest.raises(SettingError, match="ray_address='auto': is for the engine ray; add engine='ray'"):
        race(task, "sgd", out=tmp_path / "race", ray_address="auto")
    with pytest.raises(RunError, match=r"no Ray cluster answers at 127.0.0.1:9 .*; start one with `ray start --head`"):
        race(task, "sgd", out=tmp_path / "nowhere", engine="ray", ray_address="127.0.0.1:9")
    monkeypatch.setattr("downslope.training.extras.find_spec", lambda name: None if name == "ray" else 1)
    with pytest.raises(RunError, match=r"the engine ray needs ray, .* pip install 'downslope\[ray\]'"):
        race(task, "sgd", out=tmp_path / "race", engine="ray")
    assert not (tmp_path / "race").exists()


# ---- machines that share no files

ELSEWHERE = """
import os, pickle, sys
parcel = pickle.load(sys.stdin.buffer)
opened = parcel.open()
task, data = opened.bench.at({})
print(task.model(width=4)[0].out_features, opened.root != "", opened.words(f"{task.name}: no"), os.getcwd())
print(opened.bench.common.optimizer("rule").__name__, opened.root)
"""
RULE = "def rule(p, g, *, lr=0.1):\n    return p - lr * g\n"


@pytest.mark.parametrize("shared", [True, False], ids=["the files are there", "the files are not"])
def test_a_task_file_takes_its_sources_along(shared, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    helper = f"sizes_{shared}"
    tiny(tmp_path / "mine", helper=("EPOCHS, BATCH = 3, 16", f"from {helper} import EPOCHS, BATCH"))
    (tmp_path / "mine" / f"{helper}.py").write_text("EPOCHS, BATCH = 3, 16\n")
    (tmp_path / "rules.py").write_text(RULE)
    parcel = pickle.dumps(pack(prepare("mine/tiny.py", "rules.py:rule").kit))
    if not shared:
        (tmp_path / "mine").rename(tmp_path / "gone")
        (tmp_path / "rules.py").unlink()
    run = subprocess.run([sys.executable, "-c", ELSEWHERE], input=parcel, capture_output=True, cwd="/", timeout=60)
    assert run.returncode == 0, run.stderr.decode()
    first, second = run.stdout.decode().splitlines()
    assert first == f"4 {not shared} mine/tiny.py: no {tmp_path}"
    name, _, root = second.partition(" ")
    assert name == "rule" and not (root and Path(root).exists())  # it took them away again


def test_another_version_elsewhere_is_an_error(task):
    from dataclasses import replace

    with pytest.raises(RunError, match=r"has downslope .*, the race runs on 0\.0; install the same on both"):
        replace(pack(prepare(task, "sgd").kit), version="0.0").open()
