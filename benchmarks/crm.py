"""Measures how much of a CRM's limit a sync uses: ``python -m benchmarks.crm``.

For each CRM a sandbox with the limits of a vendor's plan runs as a process of its own, so far away that a call takes a
tenth of a second. A sync of the scores writes to it, as the asset does it; then the syncs of scores and of NPS answers
do, at once and from two processes. No call may be refused for its rate, and nothing may be logged as an error.

Belongs here: the measurements, what must come out, printing. Does not belong here: the server and the rows
(``crm_shop``).
"""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import click

from benchmarks.apart import MIB
from benchmarks.crm_shop import Account, Synced, away, plan, sync
from scoring_platform.sandbox.limits import Limits

AWAY = 0.1
LEAST_SHARE = 0.9
_TOO_MANY = 429


@dataclass(frozen=True)
class Case:
    """What is measured.

    Attributes:
        account: Where to.
        plan: The vendor's plan.
        calls: Calls it allows per window; 0 where it has no rate.
        window: Seconds of the window.
        rows: Rows of one sync.
    """

    account: Account
    plan: str
    calls: int
    window: float
    rows: int


def _hubspot(calls: int, rows: int) -> Case:
    limits = Limits(seconds_away=AWAY, hubspot_per_ten_seconds=calls)
    fields = {"scores": "customer_score", "nps": "nps_score"}
    account = Account("hubspot", "{endpoint: sandbox, provision: auto}", fields, "'\"7\"'", limits)
    return Case(account, f"hubspot, {calls} calls in 10 s", calls, 10.0, rows)


def _pipedrive(calls: int, rows: int) -> Case:
    limits = Limits(seconds_away=AWAY, pipedrive_per_two_seconds=calls, pipedrive_searches_per_two_seconds=10)
    section = "{endpoint: sandbox, provision: auto, fields: {nps_score: {field: NPS, target: contact}}}"
    account = Account("pipedrive", section, {"scores": "スコア", "nps": "NPS"}, "'7'", limits)
    return Case(account, f"pipedrive, {calls} calls in 2 s", calls, 2.0, rows)


def _salesforce(rows: int) -> Case:
    fields = {"scores": "Total_Score__c", "nps": "NPS_Score__c"}
    limits = Limits(seconds_away=AWAY, salesforce_per_day=100_000)
    return Case(Account("salesforce", "{endpoint: sandbox}", fields, "'7'", limits), "salesforce", 0, 0.0, rows)


CASES = {
    "hubspot": (_hubspot(100, 14_000), _hubspot(190, 26_000)),
    "pipedrive": (_pipedrive(40, 400), _pipedrive(120, 1_200)),
    "salesforce": (_salesforce(1_900), _salesforce(20_000)),
}


@click.command(help=__doc__)
@click.option("--crm", "names", multiple=True, type=click.Choice(list(CASES)), help="Only these")
def main(names: Sequence[str]) -> None:
    """Measure each case with one process, then with two."""
    print(
        f"{'case':<30}{'processes':>10}{'rows':>8}{'rows/s':>8}{'calls/s':>9}{'of limit':>10}{'429':>5}{'peak MiB':>10}"
    )
    problems: list[str] = []
    for name in names or CASES:
        for case in CASES[name]:
            for rows in ({"scores": case.rows}, {"scores": case.rows // 2, "nps": case.rows // 2}):
                problems += _measured(case, rows)
    if problems:
        raise click.ClickException("; ".join(problems))


def _measured(case: Case, rows: Mapping[str, int]) -> list[str]:
    with tempfile.TemporaryDirectory(prefix="scoring-bench-") as folder:
        home = Path(folder)
        with away(home, case.account.limits) as seen:
            plan(home, case.account, rows)
            fresh = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(len(rows), mp_context=fresh) as pool:
                done = list(pool.map(sync, [home] * len(rows), rows))
            calls = seen()
    return _told(case, sum(rows.values()), done, calls)


def _told(case: Case, rows: int, done: Sequence[Synced], calls: Sequence[tuple[float, int]]) -> list[str]:
    began, ended = min(one.started for one in done), max(one.ended for one in done)
    came = sorted(at for at, _ in calls if began <= at <= ended)
    refused = sum(status == _TOO_MANY for _, status in calls)
    share = _share(case, came)
    seconds = ended - began
    print(
        f"{case.plan:<30}{len(done):>10}{rows:>8,}{rows / seconds:>8,.0f}{len(came) / seconds:>9.1f}"
        f"{f'{share:.1%}' if share else '-':>10}{refused:>5}{max(one.peak for one in done) / MIB:>10,.0f}"
    )
    written = sum(one.counts.get("acknowledged", 0) for one in done)
    problems = [f"{case.plan}: {one.stopped}" for one in done if one.stopped]
    if written != rows:
        problems.append(f"{case.plan}: {written:,} of {rows:,} rows were acknowledged")
    if refused or any(one.records.get("ERROR") for one in done):
        problems.append(f"{case.plan}: {refused} calls were refused; logged: {[one.records for one in done]}")
    if share is not None and share < LEAST_SHARE:
        problems.append(f"{case.plan}: only {share:.0%} of the limit was used")
    return problems


def _share(case: Case, came: Sequence[float]) -> float | None:
    """Return the share of the limit that was used, from the last call of the first window's worth to that of the last.

    The first ones may go out at once; from then on the limit sets the pace, and every so many calls take a window.
    """
    windows = len(came) // case.calls - 1 if case.calls else 0
    if windows < 1:
        return None
    last = (windows + 1) * case.calls - 1
    return windows * case.window / (came[last] - came[case.calls - 1])


if __name__ == "__main__":
    main()
