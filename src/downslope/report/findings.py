"""report.html of what is wrong with a run: each finding with its picture, cause and remedy; findings.json beside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

from ..diagnose.finding import Finding, Report
from ..diagnose.findings import SYMPTOMS
from ..training.files import guard, write_atomic
from ..version import __version__
from .parts import kept, listed, page, section
from .small import svg

FIGURES = 16
"""Figures shown of one finding; the rest is in findings.json."""


def write(report: Report, folder: Path, title: str | None = None) -> Path:
    """Both files, each at once or not at all; the page's path."""
    guard(folder, lambda path: path.mkdir(parents=True, exist_ok=True))
    write_atomic(folder / "findings.json", report.to_json())
    write_atomic(folder / "report.html", html(report, title or folder.resolve().name))
    return folder / "report.html"


def html(report: Report, title: str) -> str:
    """The page: some 15 kB, and it asks for nothing."""
    found = report.findings
    body = [
        f"<h1>{escape(title)}: {report.steps} step{'s' * (report.steps != 1)} watched</h1>",
        f'<p class="verdict">{escape(headline(report))}</p>',
        _contents(found) if len(found) > 1 else "",
        *(_finding(each) for each in found),
        section("Notes", "", listed(report.notes, "sentences")) if report.notes else "",
        _cost(report),
    ]
    return page(f"{title}: {headline(report)}", "\n".join(body), {}, [], charts=False)


def headline(report: Report) -> str:
    """In a sentence: the worst, and how many others there are."""
    if not report.findings:
        return "Nothing is wrong as far as can be seen."
    others = len(report.findings) - 1
    more = f", and {others} more finding{'s' * (others > 1)}" if others else ""
    return f"{_title(report.findings[0])}{more}."


def _title(finding: Finding) -> str:
    known = SYMPTOMS.get(finding.symptom)
    return finding.symptom if known is None else known.title


def _contents(found: list[Finding]) -> str:
    links = "".join(f'<li><a href="#{escape(f.symptom)}">{escape(_title(f))}</a></li>' for f in found)
    return f'<ol class="sentences contents">{links}</ol>'


def _finding(finding: Finding) -> str:
    since = "" if finding.since_step is None else f"<span>since step {finding.since_step}</span>"
    grade = '<span class="open">severe</span>' if finding.severe else "<span>costs something</span>"
    helped = {True: '<span class="decided">the remedy helped in forked runs</span>', False: "<span>the remedy did not "
              "help in forked runs</span>", None: ""}[finding.helped]  # fmt: skip
    rows = {
        "most likely": finding.cause,
        "or": "; ".join(finding.alternatives),
        "try": finding.remedy,
        "tried": finding.tried or "",
    }
    said = "".join(f"<dt>{k}</dt><dd>{escape(kept(v))}</dd>" for k, v in rows.items() if v)
    figures = list(_figures(finding.evidence))
    shown = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in figures[:FIGURES])
    return (
        f'<section class="finding" id="{escape(finding.symptom)}"><h2>{escape(_title(finding))}</h2>'
        f'<p class="facts">{grade}<span>{finding.confidence:.0%} sure</span>{since}{helped}<code>'
        f"{escape(finding.symptom)}</code></p>"
        f"<p>{escape(_capital(kept(finding.verdict)))}.</p>"
        f"{'' if finding.picture is None else svg(finding.picture)}"
        f"<dl>{said}</dl>"
        + (f"<details><summary>evidence</summary><dl>{shown}</dl></details>" if shown else "")
        + "</section>"
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _figures(evidence: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Names and values, long series by their ends."""
    for name, value in evidence.items():
        words = f"{before}{name}".replace("_", " ")
        if isinstance(value, Mapping):
            yield from _figures(value, f"{words}: ")
        elif isinstance(value, list | tuple):
            if value:
                yield words, _series(value)
        elif value is not None:
            yield words, _number(value)


def _series(values: Any) -> str:
    found = [_number(v) for v in values if not isinstance(v, Mapping)]
    return ", ".join(found if len(found) <= 8 else [*found[:4], "…", *found[-3:]]) or f"{len(values)} entries"


def _number(value: Any) -> str:
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, list | tuple):
        return f"({', '.join(map(_number, value))})"
    return f"{value:.4g}" if isinstance(value, int | float) else str(value)


def _cost(report: Report) -> str:
    words = f"Watching took {report.overhead:.1%} of the steps' time, of {report.budget:.1%} allowed. "
    return f'<p class="note">{words}downslope {__version__}.</p>'
