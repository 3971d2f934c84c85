"""The textbook: claims are well formed, short, deterministic, and judged by their figures alone."""

from __future__ import annotations

import ast
import json
import math
from pathlib import Path

import pytest

import downslope.textbook.registry as registry
from downslope import DownslopeError
from downslope.report.textbook_png import picture
from downslope.textbook import Claim, Evidence, by_name, run, run_all, slugs
from downslope.textbook.checks import Above, Below, Close, interval
from downslope.textbook.panels import Bar, Bars, Histogram, Line, Lines, Scatter, Surface, Walk
from downslope.textbook.run import Finished, load
from downslope.textbook.verdict import HOLDS, LIMITS, NOT_HERE, VERDICTS, judge

LONGEST = 60  # lines of an experiment
QUICK = "weights-at-start"  # 1.4 s of one core
FOLDER = Path(registry.__file__).parent / "claims"


# What the gallery has promised to try, in the words of courses, and the claim that does.
PROMISED = {
    "lr too small crawls, too large oscillates or explodes": "lr-size",
    "momentum crosses a bump that stops plain descent": "momentum-bump",
    "and damps a ravine": "momentum-ravine",
    "a start at 0.5 rising to 0.9 or 0.99": "momentum-start",
    "the look-ahead of NAG": "nag-look-ahead",
    "Adagrad favours rare features": "adagrad-rare-features",
    "and later stalls": "adagrad-stalls",
    "Adadelta needs no lr": "adadelta-no-rate",
    "RMSprop on a moving target": "rmsprop-moving-target",
    "Adam's bias correction": "adam-bias-correction",
    "bounded step": "adam-bounded-step",
    "indifference to gradient scale": "adam-scale",
    "adaptive rules win on sparse inputs untuned": "adaptive-sparse",
    "tuned SGD with momentum against Adam on images": "sgd-against-adam",
    "full batch, mini-batch, one sample: cost, noise, where each ends": "batch-kinds",
    "small against large batches": "batch-size",
    "a flat loss with large gradients is not a critical point": "flat-loss",
    "a critical point that is a saddle, told by the Hessian": "saddle-by-hessian",
    "probing each weight against backpropagation: cost and equality": "probing-weights",
    "the chain rule on a three-layer composition": "chain-rule",
    "layers untangle two crumpled classes": "layers-untangle",
    "sigmoid saturates deep nets, tanh less": "sigmoid-saturates",
    "ReLU dies at large lr": "relu-dies",
    "leaky ReLU, ELU, maxout do not": "relu-alternatives",
    "inputs normalised or not": "inputs-normalised",
    "weights 0.01, 1.0, Xavier, He: what activations look like by depth": "weights-at-start",
    "batch norm allows ten times the lr": "bn-larger-rate",
    "forgives initialisation": "bn-initialisation",
    "regularises": "bn-regularises",
    "makes the bias before it useless": "bn-bias",
    "one pair of parameters per feature map": "bn-pair-per-map",
    "before or after the activation": "bn-before-or-after",
    "what happens with test-time statistics": "bn-test-statistics",
    "dropout as averaging": "dropout-averaging",
    "L1 and L2": "l1-l2",
    "early stopping": "early-stopping",
    "shuffling": "shuffling",
    "and curriculum": "curriculum",
    "ensembles of independent models": "ensembles",
    "step, multistep, exponential, cosine, plateau, lambda schedules against constant": "schedules-against-constant",
    "random against grid search": "random-against-grid",
    "coarse to fine": "coarse-to-fine",
    "log scale": "log-scale",
    "gradient check": "gradient-check",
    "fully connected head against global average pooling: parameters and accuracy": "gap-head",
    "fully connected layers in transfer": "fc-in-transfer",
}


def test_everything_promised_is_tried() -> None:
    assert [*PROMISED.values()] == slugs()


def test_each_claim_is_a_file_and_each_file_a_claim() -> None:
    files = {file.stem.replace("_", "-") for file in FOLDER.glob("*.py")} - {"--init--"}
    assert files == set(slugs())
    assert len(slugs()) == len(set(slugs()))


@pytest.mark.parametrize("slug", slugs())
def test_a_claim_says_what_it_is_and_how_it_is_decided(slug: str) -> None:
    claim = by_name(slug).claim
    for text in (claim.title, claim.says, claim.source, claim.task, claim.how):
        assert text and text == text.strip()
    assert claim.says.endswith(".") and not claim.title.endswith(".") and not claim.source.endswith(".")
    assert 1 <= claim.seeds <= 100
    assert len(claim.title) <= 70


@pytest.mark.parametrize("slug", slugs())
def test_an_experiment_fits_in_sixty_lines(slug: str) -> None:
    tree, lines = ast.parse(by_name(slug).code), by_name(slug).code.splitlines()
    ends = [node.end_lineno for node in tree.body if isinstance(node, ast.Assign) and _names(node) == ["CLAIM"]]
    assert len(ends) == 1 and ends[0] is not None
    experiment = [line for line in lines[ends[0] :] if line.strip()]
    assert len(experiment) <= LONGEST


def _names(node: ast.Assign) -> list[str]:
    return [target.id for target in node.targets if isinstance(target, ast.Name)]


def test_an_unknown_claim_is_answered_with_the_nearest() -> None:
    with pytest.raises(DownslopeError, match=r"did you mean .*momentum-bump"):
        by_name("momentum bumb")


# ---- verdicts


def claim(*core: Above, reach: tuple[Above, ...] = ()) -> Claim:
    return Claim("made up", "a is above b.", "nowhere", "nothing", core, reach)


SEEN = {"a": [2.0, 2.1, 1.9, 2.0], "b": [1.0, 1.1, 0.9, 1.05], "c": [0.5, 3.4, 1.9, 2.1]}


@pytest.mark.parametrize(
    ("checks", "reach", "verdict"),
    [
        ((Above("a", "b"),), (), HOLDS),
        ((Above("a", "b"), Below("b", 1.5)), (Close("a", 2.0, within=0.2),), HOLDS),
        ((Above("a", "b"),), (Above("a", "b", times=3),), LIMITS),
        ((Above("a", "b"),), (Above("c", "b"),), LIMITS),
        ((Above("b", "a"),), (), NOT_HERE),
        ((Above("c", "b"),), (), NOT_HERE),  # too close to tell is not seen
        ((Below("a", "b"), Above("a", 1)), (), NOT_HERE),
        ((Close("a", "b", within=0.1),), (), NOT_HERE),
        ((Above("a", "b", plus=2.0),), (), NOT_HERE),
    ],
)
def test_a_verdict_follows_from_the_figures(checks: tuple[Above], reach: tuple[Above], verdict: str) -> None:
    found = judge(claim(*checks, reach=reach), Evidence(SEEN))
    assert found.verdict == verdict
    assert any(name in found.reason for name in ("a", "b", "c"))


def test_a_real_claim_whose_figures_contradict_it_does_not_show() -> None:
    real = by_name("momentum-bump").claim
    names = {check.name for check in (*real.core, *real.reach)}
    against = {name: [("sgd" in name)] * 20 for name in names}
    assert judge(real, Evidence(against)).verdict == NOT_HERE
    assert (
        judge(real, Evidence({name: [not v for v in values] for name, values in against.items()})).verdict != NOT_HERE
    )


def test_checks_and_figures_that_do_not_fit_are_named() -> None:
    with pytest.raises(DownslopeError, match="'loss of a', which was not measured; did you mean loss of b"):
        judge(claim(Above("loss of a", 1)), Evidence({"loss of b": [1.0]}))
    with pytest.raises(DownslopeError, match="'a' has 2 values and 'b' 3"):
        judge(claim(Above("a", "b")), Evidence({"a": [1.0, 2.0], "b": [1.0, 2.0, 3.0]}))
    with pytest.raises(DownslopeError, match="must be finite"):
        Evidence({"a": [math.nan]})
    with pytest.raises(DownslopeError, match="no values"):
        Evidence({"a": []})


def test_shares_have_an_interval_though_all_agree() -> None:
    assert interval([True] * 10).low == pytest.approx(0.7225, abs=1e-4)  # Wilson's, by hand: n / (n + z²)
    assert interval([True, False]).high == pytest.approx(0.9055, abs=1e-4)
    assert interval([1.0] * 10).low == 1.0
    assert interval([3.0]).low is None


# ---- the gallery

GALLERY = Path(__file__).parent.parent / "docs" / "textbook"


def test_the_gallery_shows_each_claim_as_it_is() -> None:
    """`make textbook` writes it anew."""
    index = (GALLERY / "index.md").read_text()
    assert {page.stem for page in GALLERY.glob("*.md")} == {"index", *slugs()}
    assert {shot.stem for shot in (GALLERY / "images").glob("*")} == {*slugs()}
    for slug in slugs():
        page, entry = (GALLERY / f"{slug}.md").read_text(), by_name(slug)
        assert f"({slug}.md)" in index and f"images/{slug}.png" in page
        assert f"> {entry.claim.says}\n" in page
        assert f"```python\n{entry.code.rstrip()}\n```" in page, f"{slug}: the page shows other code; make textbook"
        verdicts = [verdict for verdict in VERDICTS if f"{verdict.capitalize()}.**" in page]
        assert len(verdicts) == 1 and index.count(f"({slug}.md)") == 1
        row = next(line for line in index.splitlines() if f"({slug}.md)" in line)
        assert f" {verdicts[0]} |" in row
        assert (GALLERY / "images" / f"{slug}.png").stat().st_size < 60_000


# ---- running


def test_a_claim_runs_end_to_end_and_is_kept(tmp_path: Path) -> None:
    heard = []
    (found,) = run_all([QUICK], tmp_path, tell=lambda finished, new: heard.append((finished.slug, new)))
    assert found.verdict == HOLDS
    assert found.measures["spread in layer 10, tanh, small-normal"]["mean"] < 1e-8  # 0.01 sqrt(200) = 0.14 a layer
    assert found.measures["spread in layer 10 over layer 1, relu, he"]["mean"] == pytest.approx(1, abs=0.5)
    (again,) = run_all([QUICK], tmp_path, tell=lambda finished, new: heard.append((finished.slug, new)))
    assert heard == [(QUICK, True), (QUICK, False)]
    assert again == load(tmp_path / f"{QUICK}.json") and again.measures == found.measures
    held = json.loads((tmp_path / f"{QUICK}.json").read_text())
    (tmp_path / f"{QUICK}.json").write_text(json.dumps({**held, "code": "older"}))
    run_all([QUICK], tmp_path, tell=lambda finished, new: heard.append((finished.slug, new)))
    assert heard[-1] == (QUICK, True)


def test_the_same_seeds_give_the_same_figures() -> None:
    one, two = run("adam-scale", seeds=1), run("adam-scale", seeds=1)
    assert one.measures == two.measures
    assert one.measures["SGD's loss, times 1000"]["mean"] == 10.0


def test_every_kind_of_panel_is_drawn_small() -> None:
    values = [0.1 * k for k in range(30)]
    panels = [
        Lines("lines", "x", [Line("a", range(30), [values, values[::-1]]), Line("adam", range(30), [values], "adam")]),
        Lines("logs", "x", [Line("a", values[1:], [values[1:]])], log_x=True, log_y=True, level=("level", 1.0)),
        Bars("bars", "share", [Bar("a", [True, False]), Bar("b", [0.5])]),
        Histogram("spread", "value", [("a", values), ("b", values[:9])]),
        Scatter("points", [[0, 1], [1, 0], [1, 1]], [0, 1, 1]),
        Surface("surface", "bump", [Walk("sgd", [[-3, 0], [-2, 0]], "sgd")]),
    ]
    made = picture(panels)
    assert made.startswith(b"\x89PNG") and len(made) < 100_000
    blank = picture([Lines("", "", [Line("", [0], [[0.0]])])])
    assert len(blank) < len(made) / 4


def test_panels_come_back_from_json() -> None:
    found = run("momentum-bump", seeds=1)
    assert found.measures["share past the bump, momentum 0.9"]["mean"] == 1.0
    assert found.measures["share past the bump, sgd"]["mean"] == 0.0
    back = Finished(**json.loads(json.dumps(found.__dict__)))
    assert [type(p).__name__ for p in back.pictured()] == ["Surface", "Lines", "Bars"]
    assert back.pictured()[0].walks[0].optimizer == "sgd"
