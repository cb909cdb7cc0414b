"""Every source has a page that says what to grant it, which variables to set and what it gives."""

from __future__ import annotations

import re

import pytest

from scoring_platform.sandbox.credentials import CREDENTIALS
from scoring_platform.sources.registry import SOURCES
from scoring_platform_tests.conformance.world import gives
from scoring_platform_tests.guards.tree import REPOSITORY

FOLDER = REPOSITORY / "docs" / "sources"
INDEX = (FOLDER / "README.md").read_text(encoding="utf-8")
LONGEST_PAGE = 90
MADE_PER_HOME = {"ga4": ("service_account",)}
"""Credentials that the sandbox has no fixed value for."""

SMALL_WORDS = frozenset({"a", "an", "and", "for", "is", "of", "on", "the", "who", "with", "scope", "scopes"})


def page_of(name: str) -> str:
    """The page of a source, on one line so that a name may be broken by no line end."""
    return " ".join((FOLDER / f"{name}.md").read_text(encoding="utf-8").split())


@pytest.mark.parametrize("name", SOURCES)
def test_the_page_names_what_to_grant_as_the_registry_does(name: str) -> None:
    wanted = set(re.findall(r"[\w:]+(?:\.\w+)*", SOURCES[name].access)) - SMALL_WORDS
    page = re.sub(r"[*`]", "", page_of(name))

    assert "Access" in page
    assert wanted or SOURCES[name].inbox
    assert [word for word in sorted(wanted) if not re.search(rf"\b{re.escape(word)}\b", page, re.IGNORECASE)] == []


@pytest.mark.parametrize("name", SOURCES)
def test_the_page_names_every_variable_to_set(name: str) -> None:
    secrets = (*CREDENTIALS.get(name, ()), *MADE_PER_HOME.get(name, ()))
    variables = [f"SCORING_{name}_{secret}".upper() for secret in secrets]

    assert variables or SOURCES[name].inbox
    assert [variable for variable in variables if variable not in page_of(name)] == []


@pytest.mark.parametrize("name", SOURCES)
def test_the_page_names_every_table_and_shows_the_section(name: str) -> None:
    assert [table for table in gives(name) if f"`{table}`" not in page_of(name)] == []
    assert f"sources: {name}:" in page_of(name), "show the section"


@pytest.mark.parametrize("name", [*SOURCES, "files"])
def test_the_index_leads_to_the_page_and_the_page_is_short(name: str) -> None:
    assert f"]({name}.md)" in INDEX
    assert len((FOLDER / f"{name}.md").read_text(encoding="utf-8").splitlines()) <= LONGEST_PAGE


def test_the_index_leads_to_every_page() -> None:
    linked = set(re.findall(r"\]\(([a-z0-9]+\.md)\)", INDEX))

    assert linked == {path.name for path in FOLDER.glob("*.md")} - {"README.md"}
