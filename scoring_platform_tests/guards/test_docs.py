"""The documents agree with the code and with each other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scoring_platform.contracts.catalog import CATALOG
from scoring_platform.orchestration.build import build_definitions
from scoring_platform.reference.pages import PAGES
from scoring_platform.reference.tables import rule_words
from scoring_platform.settings import load_settings
from scoring_platform_tests.guards.tree import REPOSITORY, named

DOCS = REPOSITORY / "docs"
LONGEST_README = 150
PROSE = sorted({REPOSITORY / "README.md", REPOSITORY / "CHANGELOG.md", *DOCS.rglob("*.md")})
SECTIONS_OF_A_DECISION = ("Context", "Decision", "Consequences", "Rejected")


@pytest.mark.parametrize("name", PAGES)
def test_the_generated_page_is_up_to_date(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name](), "run: make docs"


def test_every_rule_of_every_table_has_words() -> None:
    columns = [column for table in CATALOG.values() for column in table.columns.values()]
    rules = [rule_words(check) for column in columns for check in column.checks or ()]

    assert rules
    assert all(rules)


def test_the_runbook_tells_the_on_call_what_to_do_about_each_check(tmp_path: Path) -> None:
    graph = build_definitions(load_settings({}, home=tmp_path)).resolve_asset_graph()
    names = {key.name for key in graph.asset_check_keys}
    parts = re.split(r"^## (\w+)$", (DOCS / "runbook.md").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    sections = dict(zip(parts[::2], parts[1::2], strict=True))

    assert "contract" in names
    assert set(sections) == names
    assert all("scoring-platform " in text for text in sections.values()), "give the command"


@pytest.mark.parametrize("page", PROSE, ids=named)
def test_links_between_documents_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    broken = [link for link in links if "://" not in link and not (page.parent / link).exists()]

    assert not broken


@pytest.mark.parametrize("page", sorted((DOCS / "adr").glob("*.md")), ids=named)
def test_a_decision_says_what_was_decided_and_what_was_not(page: Path) -> None:
    text = page.read_text(encoding="utf-8")

    assert tuple(re.findall(r"^## (\w+)", text, flags=re.MULTILINE)) == SECTIONS_OF_A_DECISION


def test_the_readme_is_a_front_door() -> None:
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")

    assert len(text.splitlines()) <= LONGEST_README
    assert {"make demo", "make ui", "make test"} <= set(re.findall(r"make \w+", text))


def test_every_make_target_a_document_names_exists() -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, flags=re.MULTILINE))
    meant = {target for page in PROSE for target in re.findall(r"`make ([a-z]+)", page.read_text(encoding="utf-8"))}

    assert meant <= targets
    assert {"demo", "test", "ui", "lint", "bench", "drill", "setup", "clean", "docs"} <= targets
