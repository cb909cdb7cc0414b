"""Following pages ends, whatever the vendor answers."""

from __future__ import annotations

from typing import Any

import pytest

from scoring_platform.errors import PermanentError
from scoring_platform.http.pages import paginate

Pages = dict[str | None, tuple[list[int], str | None]]


def read(pages: Pages, **options: Any) -> list[int]:
    found = paginate(
        pages[None],
        lambda page: page[1],
        fetch=lambda cursor: pages[cursor],
        rows_of=lambda page: page[0],
        where="acme things",
        **options,
    )
    return [row for page in found for row in page[0]]


def test_all_pages_are_read_in_order() -> None:
    assert read({None: ([1, 2], "a"), "a": ([], "b"), "b": ([], "c"), "c": ([3], None)}) == [1, 2, 3]


def test_a_cursor_that_comes_again_is_an_error() -> None:
    with pytest.raises(PermanentError, match="acme things gave the same page cursor twice"):
        read({None: ([1], "a"), "a": ([2], "b"), "b": ([3], "a")})


def test_a_page_that_comes_again_under_another_cursor_is_an_error() -> None:
    with pytest.raises(PermanentError, match="the same page of 2 rows twice"):
        read({None: ([1, 2], "a"), "a": ([1, 2], "b"), "b": ([3], None)})


def test_a_listing_without_end_is_given_up() -> None:
    endless = paginate(0, lambda n: n + 1, fetch=lambda n: n, rows_of=lambda n: [n], where="acme things", max_pages=5)
    with pytest.raises(PermanentError, match="stopped after 5 pages"):
        list(endless)
