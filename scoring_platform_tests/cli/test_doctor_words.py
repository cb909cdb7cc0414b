"""``doctor`` names what a CRM needs in that CRM's own words."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from scoring_platform.cli.doctor import _where
from scoring_platform.errors import CredentialError, TransientError

CRMS = ("hubspot", "salesforce", "pipedrive")
SETTINGS: Any = SimpleNamespace(crms=CRMS, loaded=SimpleNamespace(path="scoring.yaml"))


@pytest.mark.parametrize(
    ("crm", "words"),
    [("hubspot", "crm.objects.contacts.write"), ("salesforce", "API Enabled"), ("pipedrive", "contacts:full")],
)
def test_a_missing_permission_is_named_in_the_words_of_the_crm_that_refused(crm: str, words: str) -> None:
    said = _where(SETTINGS, "crm", CredentialError(f"{crm} answered 403 at GET /x"))
    assert words in said
    assert [other for other in CRMS if other != crm and other in said] == []


def test_other_trouble_points_to_the_settings_of_that_crm() -> None:
    said = _where(SETTINGS, "crm", TransientError("pipedrive did not answer"))
    assert said == ". Its settings: destinations.pipedrive in scoring.yaml"
