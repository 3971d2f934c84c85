"""The gallery in Markdown: an index by chapter, and a page for each claim with its picture, figures and code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ..textbook.checks import Span, shown
from ..textbook.registry import CHAPTERS, by_name
from ..textbook.run import Finished
from ..textbook.verdict import HOLDS, LIMITS, NOT_HERE, VERDICTS
from ..training.files import guard, write_atomic
from .textbook_png import picture
from .textbook_table import key_figure, runs_of

MARKS = {HOLDS: "🟢", LIMITS: "🟡", NOT_HERE: "⚪"}
OUTCOME = {"met": "seen", "missed": "not seen", "open": "too close to tell"}


def write_gallery(every: Sequence[Finished], folder: Path) -> list[Path]:
    """Write index.md, NAME.md and images/NAME.png of each claim into a folder; their paths."""
    guard(folder / "images", lambda path: path.mkdir(parents=True, exist_ok=True))
    contents: dict[str, str | bytes] = {"index.md": index(every)}
    for one in every:
        contents[f"{one.slug}.md"] = page(one)
        contents[f"images/{one.slug}.png"] = picture(one.pictured())
    for name, content in contents.items():
        write_atomic(folder / name, content)
    return [folder / name for name in contents]


def index(every: Sequence[Finished]) -> str:
    """The front page: what the verdicts mean, and all claims with theirs."""
    by_slug = {one.slug: one for one in every}
    counts = ", ".join(f"{sum(one.verdict == v for one in every)} {v}" for v in VERDICTS)
    lines = [
        "# The textbook, tested",
        "",
        "What courses say about training networks, each tried in an experiment of at most 60 lines on a bundled task. "
        f"Of {len(every)} claims: {counts}.",
        "",
        f"- {MARKS[HOLDS]} **holds**: everything was seen that the claim's rule asks for",
        f"- {MARKS[LIMITS]} **holds with limits**: what decides it was seen, and where it ends",
        f"- {MARKS[NOT_HERE]} **does not show here**: what decides it was not seen, or the seeds cannot tell",
        "",
        "A rule is a few comparisons of figures over seeds, written down above the experiment; one counts as seen when "
        "the whole 95 % interval lies where the claim puts it. These are small networks on small data: a claim that "
        "does not show here may well do so elsewhere.",
        "",
        "```console",
        "$ downslope textbook                # all of them, in a table, pictures and figures in textbook/",
        "$ downslope textbook lr-size        # one",
        "$ downslope textbook --list         # what there is",
        "```",
    ]
    for chapter, slugs in CHAPTERS.items():
        held = [by_slug[slug] for slug in slugs if slug in by_slug]
        if held:
            lines += ["", f"## {chapter}", "", "| claim | verdict | figures |", "|---|---|---|"]
            lines += [_row(one) for one in held]
    return "\n".join(lines) + "\n"


def _row(one: Finished) -> str:
    verdict = f"{MARKS[one.verdict]} {one.verdict}"
    return f"| [{_cell(one.title)}]({one.slug}.md): {_cell(one.says)} | {verdict} | {_cell(key_figure(one))} |"


def page(one: Finished) -> str:
    """The page of a claim."""
    return "\n".join(
        [
            f"# {one.title}",
            "",
            f"> {one.says}",
            "",
            f"{one.source}.",
            "",
            f"**{MARKS[one.verdict]} {one.verdict.capitalize()}.** {one.reason}",
            "",
            f"![{one.title}](images/{one.slug}.png)",
            "",
            *([one.how, ""] if one.how else []),
            f"Tried on {one.task}, {runs_of(one)}; bands and brackets are 95 % intervals over seeds.",
            "",
            "| the rule | | measured |",
            "|---|---|---|",
            *(_check("decides", *check) for check in one.core),
            *(_check("limits", *check) for check in one.reach),
            "",
            "## Figures",
            "",
            "| | mean (95 % interval) | values |",
            "|---|---|---|",
            *(_measure(name, held) for name, held in one.measures.items()),
            "",
            f"## The experiment, {one.seconds:.0f} s" if one.seconds >= 1 else "## The experiment",
            "",
            "```console",
            f"$ downslope textbook {one.slug}",
            "```",
            "",
            "```python",
            by_name(one.slug).code.rstrip(),
            "```",
            "",
            "[All claims](index.md)",
            "",
        ]
    )


def _check(kind: str, expected: str, outcome: str, found: str) -> str:
    return f"| {kind}: {_cell(expected)} | {OUTCOME[outcome]} | {_cell(found)} |"


def _measure(name: str, held: Mapping[str, object]) -> str:
    values = list(held["values"])  # type: ignore[call-overload]
    mean = shown(Span(held["mean"], held["low"], held["high"]))  # type: ignore[arg-type]
    spread = f"{sum(values)} of {len(values)}" if isinstance(values[0], bool) else str(len(values))
    return f"| {_cell(name)} | {mean} | {spread} |"


def _cell(text: str) -> str:
    """Text that does not end a cell of a table, or begin a tag."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")
