"""The tables of the report, one cell to one text, for the page and the mail alike.

Belongs here: rows, columns and their formats. Does not belong here: markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scoring_platform.reporting.data import Movement, Mover
from scoring_platform.reporting.formats import ABSENT
from scoring_platform.reporting.palette import segment_colours
from scoring_platform.reporting.tiles import Tone, sign
from scoring_platform.reporting.words import Edition

MAX_REASONS = 3


@dataclass(frozen=True)
class Column:
    """A column heading; numbers are aligned to the right."""

    label: str
    numeric: bool = False


@dataclass(frozen=True)
class Cell:
    """One text, with the colour of its dot, its tone or its link where it has one."""

    text: str
    dot: str | None = None
    tone: Tone = "neutral"
    href: str | None = None


@dataclass(frozen=True)
class Grid:
    """A table; the first cell of a row names the row."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def only(self, *wanted: int) -> Grid:
        """Return the table with these columns, for narrow readers."""
        rows = tuple(tuple(row[index] for index in wanted) for row in self.rows)
        return Grid(self.caption, tuple(self.columns[index] for index in wanted), rows)

    def transposed(self) -> Grid:
        """Return the table with a column per row, for a few rows of many figures."""
        names = (Column(self.columns[0].label), *(Column(row[0].text, numeric=True) for row in self.rows))
        rows = tuple(
            (Cell(column.label), *(row[index] for row in self.rows))
            for index, column in enumerate(self.columns)
            if index
        )
        return Grid(self.caption, names, rows)


def segment_grid(edition: Edition) -> Grid:
    """Return the segment table."""
    data, formats = edition.data, edition.formats
    colours, total = segment_colours(data.segments), sum(row.customers for row in data.segments)
    rows = tuple(
        (
            Cell(row.label, dot=colours[row.code]),
            Cell(formats.integer(row.customers)),
            _difference(edition, row.customers, row.customers_before),
            Cell(formats.percent(row.customers / total) if total else ABSENT),
            Cell(formats.money(row.net_spend_365d)),
            Cell(ABSENT if row.mean_score is None else formats.decimal(row.mean_score)),
        )
        for row in data.segments
    )
    names = ("segment", "customers", "change", "share", "net_spend", "mean_score")
    return Grid(edition.say("head.segments"), _columns(edition, names, texts=1), rows)


def movement_grid(edition: Edition) -> Grid:
    """Return the movements, the most value at stake first."""
    ordered = sorted(edition.data.movements or (), key=lambda row: (-row.value_at_stake, row.from_code, row.to_code))
    rows = tuple(_movement_row(edition, row) for row in ordered)
    return Grid(edition.say("head.movements"), _columns(edition, ("from", "to", "customers", "value"), texts=2), rows)


def _movement_row(edition: Edition, row: Movement) -> tuple[Cell, ...]:
    return (
        Cell(edition.segment(row.from_code)),
        Cell(edition.segment(row.to_code)),
        Cell(edition.formats.integer(row.customers)),
        Cell(edition.formats.money(row.value_at_stake)),
    )


def rfm_grid(edition: Edition) -> Grid:
    """Return the RFM cells, best first."""
    formats = edition.formats
    ordered = sorted(edition.data.rfm, key=lambda cell: (-cell.r, -cell.f))
    rows = tuple(
        (
            Cell(f"R{cell.r}"),
            Cell(f"F{cell.f}"),
            Cell(formats.integer(cell.customers)),
            Cell(ABSENT if cell.mean_m is None else formats.decimal(cell.mean_m)),
        )
        for cell in ordered
    )
    return Grid(
        edition.say("head.rfm"), _columns(edition, ("recency", "frequency", "customers", "mean_m"), texts=2), rows
    )


def score_grid(edition: Edition) -> Grid:
    """Return the score distribution."""
    formats = edition.formats
    rows = tuple(
        (
            Cell(f"{formats.decimal(each.low, 0)}{ABSENT}{formats.decimal(each.high, 0)}"),
            Cell(formats.integer(each.customers)),
            _difference(edition, each.customers, each.customers_before),
        )
        for each in edition.data.score_bins
    )
    return Grid(edition.say("head.scores"), _columns(edition, ("score", "customers", "change"), texts=1), rows)


def mover_grid(edition: Edition, movers: Sequence[Mover], *, caption: str) -> Grid:
    """Return risers or fallers; without any cause there is no column for it."""
    formats = edition.formats
    explained = any(mover.cause for mover in movers)
    rows = tuple(
        (
            Cell(mover.label),
            Cell(edition.segment(mover.segment)),
            Cell(formats.decimal(mover.before)),
            Cell(formats.decimal(mover.after), tone="good" if mover.after > mover.before else "bad"),
            *_cause(edition, mover, explained=explained),
        )
        for mover in movers
    )
    columns = _columns(edition, ("customer", "segment", "before", "after"), texts=2)
    cause = (Column(edition.say("col.cause")),) if explained else ()
    return Grid(caption, (*columns, *cause), rows)


def _cause(edition: Edition, mover: Mover, *, explained: bool) -> tuple[Cell, ...]:
    if not explained:
        return ()
    return (Cell(edition.words.name("cause", mover.cause) if mover.cause else ABSENT),)


def sales_grid(edition: Edition) -> Grid:
    """Return the days, newest first."""
    formats = edition.formats
    rows = tuple(
        (Cell(formats.day(each.day)), Cell(formats.money(each.revenue)), Cell(formats.integer(each.orders)))
        for each in reversed(edition.data.daily or ())
    )
    return Grid(edition.say("head.sales"), _columns(edition, ("day", "revenue", "orders"), texts=1), rows)


def engagement_grid(edition: Edition) -> Grid | None:
    """Return e-mail figures with their rates; None without a source."""
    mail, formats = edition.data.engagement, edition.formats
    if mail is None:
        return None
    counts = (("sent", mail.sent), ("opens", mail.opens), ("clicks", mail.clicks))
    rows = tuple(
        (
            Cell(edition.say(f"email.{name}")),
            Cell(formats.integer(count)),
            Cell(formats.percent(count / mail.sent) if mail.sent and name != "sent" else ABSENT),
        )
        for name, count in counts
    )
    return Grid(edition.say("head.engagement"), _columns(edition, ("figure", "count", "rate"), texts=1), rows)


def crm_grid(edition: Edition) -> Grid | None:
    """Return the outcome per CRM; None when none is configured."""
    if not edition.data.crm:
        return None
    states = ("acknowledged", "retry", "dead", "unknown", "held")
    labels = (edition.say("col.planned"), *(edition.say(f"crm.{state}") for state in states))
    columns = (Column(edition.say("col.crm")), *(Column(label, numeric=True) for label in labels))
    rows = tuple(
        (
            Cell(each.crm),
            Cell(edition.formats.integer(each.planned)),
            *(_crm_cell(edition, state, getattr(each, state)) for state in states),
        )
        for each in edition.data.crm
    )
    return Grid(edition.say("head.crm"), columns, rows)


def _crm_cell(edition: Edition, state: str, count: int) -> Cell:
    return Cell(edition.formats.integer(count), tone="bad" if state == "dead" and count else "neutral")


def quality_grid(edition: Edition) -> Grid:
    """Return rows taken and set aside per raw table."""
    formats, links = edition.formats, edition.data.links
    rows = tuple(
        (
            Cell(edition.words.name("table", row.table), href=links.asset(row.table)),
            Cell(edition.say(f"state.{row.state}"), tone="bad" if row.state in {"warn", "empty"} else "neutral"),
            Cell(row.source or ABSENT),
            Cell(ABSENT if row.rows is None else formats.integer(row.rows)),
            Cell(ABSENT if row.rows is None else formats.integer(row.quarantined)),
            Cell(
                edition.say("pair_divider").join(
                    f"{r.reason} ({formats.integer(r.rows)})" for r in row.reasons[:MAX_REASONS]
                )
            ),
        )
        for row in edition.data.quality
    )
    names = ("table", "state", "source", "rows", "quarantined", "reasons")
    columns = _columns(edition, names, texts=3)
    return Grid(edition.say("head.quality"), (*columns[:-1], Column(columns[-1].label)), rows)


def _columns(edition: Edition, names: Sequence[str], *, texts: int) -> tuple[Column, ...]:
    return tuple(Column(edition.say(f"col.{name}"), numeric=index >= texts) for index, name in enumerate(names))


def _difference(edition: Edition, now: int, before: int | None) -> Cell:
    if before is None:
        return Cell(ABSENT)
    return Cell(edition.formats.signed(edition.formats.integer(abs(now - before)), sign(now - before)))
