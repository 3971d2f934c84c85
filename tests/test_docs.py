"""Every Python block of the README and the docs runs, in order, page by page; every local link leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
READMES = [ROOT / "README.md", ROOT / "README.zh-CN.md"]
PAGES = [*READMES, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
NAMES = [str(p.relative_to(ROOT)) for p in PAGES]


def blocks(page: Path) -> list[tuple[int, str]]:
    """Line number and text of each Python block."""
    text = page.read_text()
    found = re.finditer(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [(text[: match.start(1)].count("\n"), match.group(1)) for match in found]


# The gallery's blocks are the sources of experiments, which tests/test_textbook.py runs.
RUN = [page for page in PAGES if page.parent.name != "textbook" and blocks(page)]


@pytest.mark.parametrize("page", RUN, ids=lambda p: p.name)
def test_the_code_of_a_page_runs(page: Path) -> None:
    space: dict[str, object] = {"__name__": "__docs__"}
    for line, code in blocks(page):
        exec(compile("\n" * line + code, str(page), "exec"), space)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_local_links_lead_somewhere(page: Path) -> None:
    prose = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)#]+)\)", prose):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_readme_starts_with_what_a_newcomer_needs() -> None:
    head = "\n".join((ROOT / "README.md").read_text().splitlines()[:40])
    for needed in ("make race", "make test", "@downslope.optimizer", "optimizer.step()", "docs/images/race.png"):
        assert needed in head, needed
    rule = re.search(r"@downslope\.optimizer\n(.*?)\n\n", head, re.DOTALL)
    assert rule is not None and rule.group(1).count("\n") < 6


def test_both_readmes_have_the_same_code_commands_and_links() -> None:
    """A line that one has in another way than the other is out of date in one of them."""
    english, chinese = (readme.read_text() for readme in READMES)
    for what, pattern in {
        "blocks": r"^```(?:\w+)\n.*?^```$",
        "commands": r"`((?:downslope|torchrun|make|pip) [^`]+|--\w+|\w+\(\)|\w+=\w+)`",
        "links": r"\]\(([^)]+)\)",
        "rows": r"^\| (`[\w-]+`) \|",
    }.items():
        flags = re.DOTALL | re.MULTILINE if what == "blocks" else re.MULTILINE
        ours, theirs = (re.findall(pattern, text, flags) for text in (english, chinese))
        own = {"README.md", "README.zh-CN.md"}  # each leads to the other
        assert set(ours) - own == set(theirs) - own, f"{what} in one alone: {set(ours) ^ set(theirs)}"
        if what == "blocks":
            assert ours == theirs
    assert "(README.zh-CN.md)" in english and "(README.md)" in chinese
