"""``crm sync`` when one of two CRMs does not take anything: the other is written, and a person is told what to do."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from scoring_platform.pipeline.crm_sync import SYNC
from scoring_platform_tests.end_to_end.crm_shop import DAY, SECTIONS, crm_home, judge
from scoring_platform_tests.end_to_end.platform import Platform

PEOPLE = 6


@pytest.fixture
def home(tmp_path: Path) -> Platform:
    """A home that writes to two CRMs."""
    one = crm_home(tmp_path, "hubspot")
    both = {crm: dict(SECTIONS[crm]) for crm in ("hubspot", "pipedrive")}
    platform = one.with_config(tmp_path / "both.yaml", destinations=both)
    judge(platform, list(range(10, 10 + PEOPLE)))
    return platform


def outcomes(platform: Platform) -> Counter[tuple[str, str, str | None]]:
    return Counter((row["crm"], row["status"], row["error_code"]) for row in platform.rows(SYNC, DAY))


@pytest.mark.parametrize(("status", "code"), [(401, "CredentialError"), (503, "TransientError")])
def test_a_crm_that_is_down_or_refuses_us_stops_no_other(home: Platform, status: int, code: str) -> None:
    with home.company() as endpoint:
        endpoint.add_fault("/hubspot", "status", times=10_000, status=status)
        done = home.command("crm", "sync")
        endpoint.clear_faults()

        assert outcomes(home) == {
            ("hubspot", "held", code): PEOPLE,
            ("pipedrive", "acknowledged", None): PEOPLE,
        }, done.said
        assert done.code == 1
        assert f"warning: crm_sync.all_acknowledged: {PEOPLE} held; hubspot: " in done.out
        assert f"hubspot: {PEOPLE} rows were not written ({code}: " in done.err
        assert "scoring-platform crm sync" in done.err
        again = home.command("crm", "sync")

        assert (again.code, again.err) == (0, "")
        assert set(outcomes(home)) == {("hubspot", "acknowledged", None), ("pipedrive", "acknowledged", None)}


def test_a_key_revoked_midway_leaves_the_rest_and_says_so(home: Platform) -> None:
    with home.company() as endpoint:
        assert home.command("crm", "sync").code == 0
        judge(home, list(range(30, 30 + PEOPLE)))
        endpoint.add_fault("/hubspot/crm/v3/objects/contacts/batch", "status", times=10_000, status=401)
        done = home.command("crm", "sync")
        endpoint.clear_faults()

        assert done.code == 1, done.said
        assert f"hubspot: {PEOPLE} rows were not written (CredentialError: " in done.err
        assert "Renew the credential" in done.err
        assert home.command("crm", "sync").code == 0
