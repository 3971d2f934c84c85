"""`downslope show`: every stage of every optimizer, of files of the user's own, and one clear error for all else.

Kernels and graphs are compared with golden files in tests/golden. After a change that is meant to change them, write
them again with `UPDATE_GOLDEN=1 python -m pytest tests/test_show.py` and read the difference before it is committed.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import llvmlite.binding as binding
import pytest

from downslope import cli
from downslope.backends.javascript import covers
from downslope.cli.show import Stage
from downslope.compiler.trace import trace
from downslope.compiler.transform import TRANSFORMS
from downslope.formulas import FORMULAS
from downslope.optim import CLASSES, OPTIMIZERS, TORCH

GOLDEN = Path(__file__).parent / "golden"
NAMES = list({name.replace("_", ""): name for name in (*CLASSES, *FORMULAS)}.values())
MISUSE = 2


class Shown:
    """What a command printed, and its exit status."""

    def __init__(self, status: int, out: str, err: str):
        self.status, self.out, self.err = status, out, err


@pytest.fixture
def show(monkeypatch, capsys):
    """Runs `downslope show` as the command line does, but in this process."""
    for variable in ("COLUMNS", "FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(variable, raising=False)

    def run(*words: str, **environment: str) -> Shown:
        with monkeypatch.context() as patch, pytest.raises(SystemExit) as left:
            patch.setattr("sys.argv", ["downslope", "show", *words])
            for name, value in environment.items():
                patch.setenv(name, value)
            cli.main()
        out, err = capsys.readouterr()
        return Shown(left.value.code or 0, out, err)

    return run


def is_formula(text: str, name: str) -> None:
    assert f"def {name}(" in text and '"""' in text
    compile(text, name, "exec")


def is_graph(text: str, name: str) -> None:
    assert text.startswith(f"def {name}(") and "    # for each element\n" in text
    compile(text, name, "exec")


def is_latex(text: str, name: str) -> None:
    assert text.startswith("\\begin{aligned}\n") and text.endswith("\\end{aligned}\n")
    assert text.count("{") == text.count("}") and r"\theta_t &= " in text


def is_llvm(text: str, name: str) -> None:
    assert text.startswith(f"; {name}: ")
    module = binding.parse_assembly(text)
    module.verify()
    assert next(f.name for f in module.functions if not f.is_declaration) == "update"


def is_cost(text: str, name: str) -> None:
    moves = {"whole": 0} | dict(re.findall(r"^(load|store|whole|move) .* (\d+)  bytes$", text, re.M))
    assert text.startswith(f"{name}, float32: ")
    assert int(moves["load"]) + int(moves["store"]) + int(moves["whole"]) == int(moves["move"]) > 0


def is_javascript(text, name):
    assert f"function {name}(tensors, numbers) {{" in text and "for (let i = 0" in text
    assert text.count("{") == text.count("}")  # run by node in test_javascript


CHECKS = {"formula": is_formula, "graph": is_graph, "latex": is_latex, "llvm": is_llvm, "javascript": is_javascript}


def is_triton(text, name):
    assert text.startswith("def once(") and "def update(" in text
    compile(text, name, "exec")  # run by Triton's interpreter in test_gpu


CHECKS |= {"cost": is_cost, "triton": is_triton}
MATRICES = {name for name, formula in FORMULAS.items() if not covers(trace(formula))}


@pytest.mark.parametrize("stage", list(Stage))
@pytest.mark.parametrize("name", NAMES)
def test_every_stage_of_every_optimizer(show, name, stage):
    formula = OPTIMIZERS[name.lower()].formula.name if name.lower() in OPTIMIZERS else name
    shown = show(name, "--as", stage)
    if stage == "javascript" and formula in MATRICES:
        assert shown.status == 2 and "works on matrices" in shown.err
        return
    assert (shown.status, shown.err) == (0, "")
    assert "\x1b" not in shown.out and not re.search(r" $", shown.out, re.M)
    CHECKS[stage](shown.out, formula)


# What unscale, clip_norm, clip_value, maximize and average leave in each stage.
AROUND = {
    "graph": ["maximum(g * unscale * clip_coef, ", "-minimum(", "ema_2 = ema + "],
    "latex": [r"-\operatorname{clip}(c S^{-1} g_t, -\kappa, \kappa)", r"\beta_{\mathrm{ema}}"],
    "llvm": ["%at.ema = load ptr"],
}


@pytest.mark.parametrize("name", [name for name in NAMES if name in TORCH])
def test_every_transform_around_torchs_optimizers(show, name):
    wanted = set(TRANSFORMS) - {"coupled_decay", "decoupled_decay"}
    for stage in ("graph", "latex", "llvm"):
        shown = show(name, "--as", stage, "--with", ",".join(wanted))
        assert (shown.status, shown.err) == (0, "")
        CHECKS[stage](shown.out, OPTIMIZERS[name.lower()].formula.name)
        assert all(mark in shown.out for mark in AROUND[stage])


@pytest.mark.parametrize("file", ["adam.ll", "adam.graph"])
def test_golden(show, file):
    text = show("adam", "--as", {"adam.ll": "llvm", "adam.graph": "graph"}[file]).out
    if os.environ.get("UPDATE_GOLDEN"):
        (GOLDEN / file).write_text(text)
    assert text == (GOLDEN / file).read_text()


def test_names_in_any_case_and_the_formula_by_default(show):
    texts = {show(*words).out for words in (["adam"], ["ADAM"], ["Adam", "--as", "formula"])}
    (text,) = texts
    assert '"""Kingma & Ba 2015' in text and text.endswith("# Adam's settings may also choose amsgrad.\n")
    assert show("SGD-Momentum").out.startswith("def sgd_momentum(")
    assert show("root_mean_square").out == show("RootMeanSquare").out


def test_the_type_of_parameters(show):
    assert "<8 x double>" in show("sgd", "--as", "llvm", "--dtype", "float64").out
    assert "double>" not in show("sgd", "--as", "llvm").out
    assert re.search(r"^move .* 24  bytes$", show("sgd", "--as", "cost", "--dtype", "float64").out, re.M)


def test_cost_counts_what_a_step_moves_and_keeps(show):
    around = show("adam", "--as", "cost", "--with", "clip-norm,average", "--json")
    assert json.loads(around.out) == {
        "name": "adam",
        "as": "cost",
        "dtype": "float32",
        "with": ["average", "clip_norm"],
        "norm": ["g"],
        "loads": ["p", "exp_avg", "g", "exp_avg_sq", "ema"],
        "stores": ["p", "exp_avg", "exp_avg_sq", "ema"],
        "whole": [],
        "bytes": 4 * (1 + 5 + 4),
        "operations": {"mul": 9, "add": 4, "sub": 2, "sqrt": 1, "div": 1},
        "states": ["exp_avg", "exp_avg_sq", "ema"],
        "scalar_states": [],
        "state_bytes": 12,
        "scratch": [],
        "scratch_bytes": 0,
        "states_in": "float32",
        "storages": dict.fromkeys(("exp_avg", "exp_avg_sq", "ema"), "float32"),
        "sizes": dict.fromkeys(("p", "g", "exp_avg", "exp_avg_sq", "ema"), 4),
        "once": 11,
    }
    table = show("nadam", "--as", "cost").out
    assert table.endswith("Kept once for each tensor: mu_product.\n")


def test_cost_and_kernel_of_states_in_fewer_bits(show):
    text = show("adam", "--as", "cost", "--states", "int8").out
    assert "adam, float32, states in int8: for each parameter and step" in text
    assert re.search(r"keep +exp_avg, exp_avg_sq +2\.03 +bytes", text) and re.search(r"in all +16\.06 +bytes", text)
    assert json.loads(show("adam", "--as", "cost", "--states", "bfloat16", "--json").out)["state_bytes"] == 4
    is_llvm(show("adam", "--as", "llvm", "--states", "int8").out, "adam")
    assert "--as llvm and --as cost" in show("adam", "--states", "int8").err


@pytest.mark.parametrize("stage", [stage for stage in Stage if stage is not Stage.cost])
def test_a_machine_reads_the_same_text(show, stage):
    read = json.loads(show("lion", "--as", stage, "--json").out)
    assert read["text"] == show("lion", "--as", stage).out.rstrip("\n")
    assert (read["name"], read["as"], read["dtype"], read["with"]) == ("lion", stage, "float32", [])


# The list


def test_the_list_has_every_optimizer_and_formula(show):
    rows = json.loads(show("--json").out)
    assert [row["optimizer"] for row in rows] == list(CLASSES)
    assert {row["optimizer"] for row in rows if row["torch"]} == set(TORCH)
    formulas = {f["name"]: f for row in rows for f in row["formulas"]}
    assert formulas.keys() == FORMULAS.keys()
    assert all(f["paper"] == FORMULAS[name].__doc__.split("\n")[0] for name, f in formulas.items())
    assert formulas["yogi"]["states"] == {"exp_avg": 0.0, "exp_avg_sq": "initial_accumulator"}
    assert formulas["yogi"]["settings"]["betas"] == [0.9, 0.999]
    chosen = {row["optimizer"]: [f["name"] for f in row["formulas"]] for row in rows}
    assert chosen["SGD"] == ["sgd", "sgd_momentum", "sgd_nesterov"] and chosen["Lion"] == ["lion"]


@pytest.mark.parametrize("columns", [40, 80, 120, 200])
def test_the_list_fits_its_terminal(show, columns):
    shown = show(COLUMNS=str(columns))
    assert all(len(line) <= columns for line in shown.out.splitlines())
    assert "…" not in shown.out
    words = set(re.findall(r"\w+", shown.out))
    assert words >= CLASSES.keys() | FORMULAS.keys() | {"previous_grad"}


def test_piped_the_list_has_a_formula_on_each_line(show):
    lines = show().out.splitlines()
    slow = r"AdEMAMix +ademamix +exp_avg, exp_avg_slow, exp_avg_sq +Pagliardini.*slow average\.$"
    assert any(re.match(slow, line) for line in lines)
    assert (
        lines[-1]
        == "downslope show NAME prints a formula; --as graph, latex, llvm, triton, javascript or cost its other stages."
    )
    assert any(re.match(r" +sgd_nesterov +momentum_buffer +Sutskever et al", line) for line in lines)


# Colours


@pytest.mark.parametrize("stage", list(Stage))
def test_colours_only_on_a_terminal_that_wants_them(show, stage):
    assert "\x1b[9" in show("adam", "--as", stage, FORCE_COLOR="1").out or stage is Stage.cost
    plain = show("adam", "--as", stage, FORCE_COLOR="1", NO_COLOR="1").out
    assert not re.search(r"\x1b\[[0-9;]*[349][0-7]" if stage is Stage.cost else r"\x1b", plain)


def test_colours_change_no_letter_and_break_no_line(show):
    for stage in ("formula", "graph", "latex", "llvm"):
        plain = show("adam", "--as", stage).out
        coloured = show("adam", "--as", stage, FORCE_COLOR="1", COLUMNS="40").out
        assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain


# Files of the user's own

HEAVY_BALL = '''
def heavy_ball(p, g, v=0, *, lr=0.01, beta=0.9):
    """Polyak 1964."""
    v = beta * v + g
    return p - lr * v, v
'''
SIGNED = """
import downslope
from downslope import sign
from downslope.optim import Adam

def half(x, y):
    return (x + y) / 2

@downslope.optimizer
def signed(p, g, *, lr=0.01):
    return p - lr * sign(half(g, g))
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(text: str) -> None:
        Path("mine.py").write_text(text)

    return write


def test_a_file_of_one_formula(show, file):
    file(HEAVY_BALL)
    for words in (["mine.py"], ["mine.py:heavy_ball"], ["./mine.py"], [str(Path.cwd() / "mine.py")]):
        assert show(*words).out.strip() == HEAVY_BALL.strip()
    assert r"\theta_t &= \theta_{t-1} - \eta v_t" in show("mine.py", "--as", "latex", "--with", "maximize").out


def test_an_optimizer_among_helpers_and_imports(show, file):
    file(SIGNED)
    assert show("mine.py").out.startswith("@downslope.optimizer\ndef signed(")
    for stage in ("graph", "latex", "llvm", "cost"):
        CHECKS[stage](show("mine.py", "--as", stage).out, "signed")


def test_a_formula_and_the_optimizer_made_of_it_are_one(show, file):
    file(HEAVY_BALL + "\nimport downslope\nHeavyBall = downslope.optimizer(heavy_ball)\n")
    assert show("mine.py").out == show("mine.py:HeavyBall").out == show("mine.py:heavy_ball").out


def test_what_a_file_prints_stays_out_of_the_output(show, file):
    file(HEAVY_BALL + "print('hello')\n")
    shown = show("mine.py", "--as", "graph", "--json")
    assert json.loads(shown.out)["name"] == "heavy_ball" and shown.err == "hello\n"


def test_a_file_beside_the_formula_and_other_names_for_p_and_g(show, file):
    Path("near.py").write_text("FACTOR = 3\n")
    file("from near import FACTOR\ndef mine(x, slope, *, lr=0.1): return x - FACTOR * lr * slope\n")
    assert "p_2 = p - c1 * g" in show("mine.py", "--as", "graph").out


def test_a_decay_by_a_learning_rate_that_a_formula_has_not(show, file):
    file("def mine(p, g, *, rate=0.1): return p - rate * g")
    assert_refused(show("mine.py", "--as", "cost", "--with", "decoupled_decay"), "mine: .*no setting `lr`")


BROKEN = {
    "if": ("    if g > 0:\n        v = g", r"heavy_ball: line 3, `if g > 0:`: the value of `g > 0` is not known"),
    "name": ("    v = root(g)", r"heavy_ball: line 3, `v = root\(g\)`: name 'root' is not defined"),
    "values": ("    return p", r"heavy_ball: returns 1 value but has p and the state \(v\); return \(p, v\)"),
}


@pytest.mark.parametrize("stage", list(Stage))
@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_formula_is_one_clear_error(show, file, case, stage):
    line, message = BROKEN[case]
    file(f"\ndef heavy_ball(p, g, v=0, *, lr=0.01):\n{line}\n    return p - lr * v, v\n")
    assert_refused(show("mine.py", "--as", stage), message)


FILES = {
    "two formulas": (HEAVY_BALL + SIGNED, "mine.py", r"mine.py: holds heavy_ball, signed; say which, as in mine.py:h"),
    "no formula": ("x = 1", "mine.py", r"mine.py: holds no formula, a function such as `def"),
    "empty": ("", "mine.py:f", r"mine.py: has no formula 'f'$"),
    "another name": (HEAVY_BALL, "mine.py:heavy", r"mine.py: has no formula 'heavy'; did you mean heavy_ball\?"),
    "no function": ("x = 1", "mine.py:x", r"a formula is a function, such as `def .*`; got 1"),
    "no file": ("", "yours.py", r"yours.py: cannot be read: No such file or directory"),
    "syntax": ("def f(p, g:", "mine.py", r"mine.py: line 1: '\(' was never closed: `def f\(p, g:`"),
    "raises": ("x = 1\nx / 0", "mine.py", r"mine.py: ZeroDivisionError: division by zero \(mine.py, line 2: `x / 0`\)"),
    "exits": ("raise SystemExit(3)", "mine.py", r"mine.py: SystemExit: 3 \(mine.py, line 1: "),
    "signature": ("def f(p): return p", "mine.py:f", r"f: takes p; the first two must be the parameter and its"),
    "decorated": (SIGNED.replace("half(g, g)", "p if g else g"), "mine.py", r"signed: line \d+, `.*`: the value"),
}  # fmt: skip


@pytest.mark.parametrize("case", FILES)
def test_a_file_that_cannot_be_shown_is_one_clear_error(show, file, case):
    text, what, message = FILES[case]
    file(text)
    assert_refused(show(what), message)


MISUSES = {
    "adm": r"no optimizer or formula is called 'adm'; did you mean adam",
    "zzz": r"known are: accsgd, .*, yogi$",
    "mine:f": r"known are: .*; one of yours is named by its file, as in my_formulas.py:heavy_ball$",
    "--as graph": r"--as and --with need a name, as in `downslope show adam --as graph`",
    "--with average": r"--as and --with need a name",
    "adam --as graph --with clip": r"no transform is called 'clip'; did you mean clip_norm or clip_value\?",
    "adam --with average": r"--with average: changes the graph, not the formula's source; add --as graph",
    "sgd --as cost --with coupled_decay,decoupled_decay": r"exclude each other; leave one out",
    "adamw --as cost --with coupled_decay": r"adamw has a weight decay of its own; leave coupled_decay out",
}  # fmt: skip


@pytest.mark.parametrize("words", MISUSES)
def test_wrong_use_is_one_clear_error(show, words):
    assert_refused(show(*words.split()), MISUSES[words])


def assert_refused(shown: Shown, message: str) -> None:
    assert (shown.status, shown.out) == (MISUSE, "")
    assert shown.err.startswith("downslope: ") and shown.err.count("\n") == 1, shown.err
    assert re.search(message, shown.err.rstrip("\n")), shown.err


@pytest.mark.parametrize("words", ["adam --as ir", "adam --dtype float16", "adam --like"])
def test_an_option_that_is_not_there(show, words):
    shown = show(*words.split())
    assert shown.status == MISUSE and "Traceback" not in shown.err and shown.out == ""


def test_help_names_every_transform_and_stage(show):
    text = " ".join(re.findall(r"[\w.:]+", show("--help", COLUMNS="120").out))
    assert all(name in text for name in (*TRANSFORMS, *Stage, "downslope show adam"))
