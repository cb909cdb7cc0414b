"""Running again changes nothing and sends nothing twice; a past day is inert until it is released by name."""

from __future__ import annotations

from datetime import timedelta

from scoring_platform_tests.end_to_end.fixtures import DAY, DAY_BEFORE
from scoring_platform_tests.end_to_end.platform import Platform, writing_requests

PAST = DAY_BEFORE - timedelta(days=1)


def sent(platform: Platform) -> tuple[int, int, list[dict[str, str]]]:
    """What people and the CRM have received."""
    return len(platform.mails()), len(platform.messages("C0MARKETING")), platform.contacts()


def test_running_the_newest_day_again_changes_no_row_and_makes_no_writing_call(module_mornings: Platform) -> None:
    before, received = module_mornings.versions(), sent(module_mornings)
    with module_mornings.company() as endpoint:
        endpoint.forget_requests()
        done = module_mornings.command("run", "--date", str(DAY))
        counted = endpoint.requests()

    assert done.code == 0, done.said
    assert module_mornings.versions() == before
    assert [one for one in writing_requests(counted) if "/hubspot" in one or "/slack" in one] == []
    assert sent(module_mornings) == received
    assert any("shopify" in one["path"] for one in counted), "the sources were asked again"


def test_a_past_day_sends_nothing_until_it_is_released(module_mornings: Platform) -> None:
    newest = {key: version for key, version in module_mornings.versions().items() if key[1] >= DAY_BEFORE}
    received = sent(module_mornings)

    with module_mornings.company():
        inert = module_mornings.command("run", "--date", str(PAST))
        assert inert.code == 0, inert.said
        assert sent(module_mornings) == received
        assert module_mornings.lake.version("customer_scores", PAST) is not None
        assert module_mornings.lake.version("crm_sync", PAST) is None

        released = module_mornings.command("run", "--date", str(PAST), "--release", "report")

    after = module_mornings.versions()
    assert released.code == 0, released.said
    assert {key: after[key] for key in newest} == newest
    mails, summaries, contacts = sent(module_mornings)
    assert (mails - received[0], summaries - received[1]) == (1, 1)
    assert contacts == received[2], "the report was released, the CRM was not"
    assert "2025年11月6日" in str(module_mornings.mails()[-1]["Subject"])
