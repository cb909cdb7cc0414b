"""The example configuration for GA4's BigQuery export, on an export with the vendor's nested columns."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scoring_platform.config.load import load_config
from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform.sources.files import Files
from scoring_platform_tests.sources.scenario import TOKYO

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "ga4_export.yaml"
PROPERTY_ZONE = ZoneInfo("America/Los_Angeles")
KEY_EVENTS = {"purchase", "form_submit", "sign_up"}
KINDS = {"form_submit": "form", "file_download": "download", "sign_up": "sign_up"}

VALUE = pa.struct(
    [
        ("string_value", pa.string()),
        ("int_value", pa.int64()),
        ("float_value", pa.float64()),
        ("double_value", pa.float64()),
    ]
)
CAMPAIGN = pa.struct(
    [("campaign_id", pa.string()), ("campaign_name", pa.string()), ("source", pa.string()), ("medium", pa.string())]
)
SCHEMA = pa.schema(
    [
        ("event_date", pa.string()),
        ("event_timestamp", pa.int64()),
        ("event_name", pa.string()),
        ("event_params", pa.list_(pa.struct([("key", pa.string()), ("value", VALUE)]))),
        ("user_id", pa.string()),
        ("user_pseudo_id", pa.string()),
        ("session_traffic_source_last_click", pa.struct([("manual_campaign", CAMPAIGN)])),
        ("batch_page_id", pa.int64()),
        ("batch_ordering_id", pa.int64()),
        ("batch_event_index", pa.int64()),
    ]
)

Event = dict[str, Any]


def event(at: datetime, name: str, visitor: str | None, session: int | None, **more: Any) -> Event:
    """One row of the export; ``more`` are user, campaign, medium, engaged and further parameters as text."""
    user, campaign, medium = (more.pop(key, None) for key in ("user", "campaign", "medium"))
    engaged, index = more.pop("engaged", None), more.pop("index", 1)
    numbers = {"ga_session_id": session, "engagement_time_msec": engaged}
    params = [parameter(key, number=value) for key, value in numbers.items() if value is not None]
    params += [parameter(key, text=value) for key, value in more.items()]
    source = {"campaign_id": None, "campaign_name": campaign, "source": None, "medium": medium}
    return {
        "event_date": at.astimezone(PROPERTY_ZONE).strftime("%Y%m%d"),
        "event_timestamp": int(at.timestamp() * 1_000_000),
        "event_name": name,
        "event_params": params,
        "user_id": user,
        "user_pseudo_id": visitor,
        "session_traffic_source_last_click": {"manual_campaign": source},
        "batch_page_id": 1,
        "batch_ordering_id": 1,
        "batch_event_index": index,
    }


def parameter(key: str, *, number: int | None = None, text: str | None = None) -> dict[str, Any]:
    return {
        "key": key,
        "value": {"string_value": text, "int_value": number, "float_value": None, "double_value": None},
    }


def export(root: Path, events: Iterable[Event], *, intraday: Sequence[str] = ()) -> None:
    """Write a folder per table: a day's own, or the intraday one for the days named."""
    by_day: dict[str, list[Event]] = {}
    for one in events:
        by_day.setdefault(one["event_date"], []).append(one)
    for day, rows in by_day.items():
        folder = root / (f"events_intraday_{day}" if day in intraday else f"events_{day}")
        folder.mkdir(parents=True, exist_ok=True)
        for number, part in enumerate((rows[::2], rows[1::2])):
            pq.write_table(pa.Table.from_pylist(part, schema=SCHEMA), folder / f"{number:012d}.parquet")


def extract(root: Path, name: str, folder: Path) -> list[dict[str, Any]]:
    config = load_config(EXAMPLE).config
    assert config.sources.files is not None
    folder.mkdir()
    source = Files(config.sources.files, root.resolve(), ZoneInfo(config.time_zone))
    source.extract(contract_of(name), folder)
    found: list[dict[str, Any]] = pq.read_table(folder).to_pylist()
    return found


def business_day(one: Event) -> date:
    return datetime.fromtimestamp(one["event_timestamp"] / 1_000_000, UTC).astimezone(TOKYO).date()


def given(one: Event, key: str, kind: str = "int_value") -> Any:
    return next((p["value"][kind] for p in one["event_params"] if p["key"] == key), None)


def expected_activity(events: list[Event]) -> dict[tuple[Any, ...], tuple[int, int, int, int]]:
    """The rows by hand: customer and campaign belong to the visit, everything else to the event."""
    visits: dict[tuple[Any, ...], list[Event]] = {}
    for one in sorted(events, key=lambda one: one["event_timestamp"]):
        session = given(one, "ga_session_id")
        visits.setdefault((one["user_pseudo_id"], session or -one["event_timestamp"]), []).append(one)
    groups: dict[tuple[Any, ...], list[Event]] = {}
    for of_visit in visits.values():
        user = next((one["user_id"] for one in reversed(of_visit) if one["user_id"]), None)
        sources = [one["session_traffic_source_last_click"]["manual_campaign"] for one in of_visit]
        campaign = next((s["campaign_name"] for s in sources if s["campaign_name"] not in (None, "(not set)")), None)
        for one in of_visit:
            groups.setdefault((business_day(one), user, one["user_pseudo_id"], campaign), []).append(one)
    return {
        key: (
            len({given(one, "ga_session_id") for one in group} - {None}),
            sum(one["event_name"] in ("page_view", "screen_view") for one in group),
            sum(given(one, "engagement_time_msec") or 0 for one in group) // 1000,
            sum(one["event_name"] in KEY_EVENTS for one in group),
        )
        for key, group in groups.items()
    }


def by_key(found: list[dict[str, Any]]) -> dict[tuple[Any, ...], tuple[int, int, int, int]]:
    keys = ("activity_on", "customer_ref", "client_id", "campaign")
    return {
        tuple(row[key] for key in keys): (
            row["sessions"],
            row["pageviews"],
            row["engaged_seconds"],
            row["conversions"],
        )
        for row in found
    }


def crowd(seed: int) -> list[Event]:
    """Visits around the midnights of both zones; some sign in half way, some come without any id."""
    draw, found = random.Random(seed), []
    start = datetime(2026, 11, 18, 12, tzinfo=UTC)
    for visit in range(300):
        visitor = f"{draw.randrange(60)}.1" if draw.random() < 0.95 else None
        session = None if visitor is None else 1_700_000_000 + draw.randrange(6)
        user = f"70{draw.randrange(40)}" if draw.random() < 0.4 else None
        source = draw.choice([{}, {"campaign": "(not set)"}, {"campaign": "autumn", "medium": "email"}])
        at = start + timedelta(seconds=draw.randrange(3 * 86_400))
        for step in range(draw.randrange(1, 9)):
            name = draw.choice(["page_view", "page_view", "user_engagement", "scroll", *sorted(KEY_EVENTS)])
            spent = draw.randrange(30_000) if draw.random() < 0.7 else None
            known = user if step > 1 else None
            # Microseconds of their own: two events at one instant have no order.
            at += timedelta(seconds=draw.randrange(1, 4_000), microseconds=visit * 10 + step + 1)
            found.append(event(at, name, visitor, session, user=known, engaged=spent, index=step, **source))
    return found


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_web_activity_equals_the_sums_by_hand(tmp_path: Path, seed: int) -> None:
    events = crowd(seed)
    export(tmp_path / "ga4", events)
    found = extract(tmp_path / "ga4", "raw_web_activity", tmp_path / "out")
    assert by_key(found) == expected_activity(events)
    assert len(found) == len(by_key(found)) > 100


def test_an_intraday_table_counts_only_until_the_day_has_its_own(tmp_path: Path) -> None:
    events = crowd(4)
    newest = max(one["event_date"] for one in events)
    export(tmp_path / "ga4", events, intraday=[newest])
    # Half of the events of another day are still there from when that day was going on.
    earlier = [one for one in events if one["event_date"] != newest]
    export(tmp_path / "ga4", earlier[::2], intraday=sorted({one["event_date"] for one in earlier}))
    assert (tmp_path / "ga4" / f"events_intraday_{newest}").is_dir()
    found = extract(tmp_path / "ga4", "raw_web_activity", tmp_path / "out")
    assert by_key(found) == expected_activity(events)
    behaviour = extract(tmp_path / "ga4", "raw_events", tmp_path / "events")
    assert len(behaviour) == sum(one["event_name"] in KINDS for one in events)


def test_a_visit_belongs_to_who_signed_in_and_is_named_as_our_contract_names_it(tmp_path: Path) -> None:
    at = datetime(2026, 11, 20, 14, 59, 50, tzinfo=UTC)  # ten seconds before midnight in Tokyo
    late = at + timedelta(seconds=20)
    export(
        tmp_path / "ga4",
        [
            event(at, "page_view", "9.9", 5, engaged=1_600, campaign="autumn", medium="email"),
            event(late, "form_submit", "9.9", 5, user="77", engaged=2_500),
            event(late, "page_view", "8.8", None),
        ],
    )
    found = extract(tmp_path / "ga4", "raw_web_activity", tmp_path / "out")
    by_day = {(row["activity_on"].day, row["client_id"]): row for row in found}
    assert by_day.keys() == {(20, "9.9"), (21, "9.9"), (21, "8.8")}
    assert by_day[20, "9.9"] == {
        "activity_on": date(2026, 11, 20),
        "customer_ref": "77",
        "client_id": "9.9",
        "campaign": "autumn",
        "medium": "email",
        "sessions": 1,
        "pageviews": 1,
        "engaged_seconds": 1,
        "conversions": 0,
    }
    assert (by_day[21, "9.9"]["conversions"], by_day[21, "9.9"]["engaged_seconds"]) == (1, 2)
    assert (by_day[21, "8.8"]["customer_ref"], by_day[21, "8.8"]["sessions"]) == (None, 0)


def test_forms_downloads_and_sign_ups_become_behaviour_events_with_a_stable_id(tmp_path: Path) -> None:
    at = datetime(2026, 11, 20, 3, tzinfo=UTC)
    events = [
        event(at, "form_submit", "9.9", 5, user="77", page_location="https://example.com/a", form_id="contact"),
        event(at, "form_submit", "9.9", 5, user="77", index=2),
        event(at, "file_download", None, None, file_name="guide.pdf"),
        event(at, "sign_up", "9.9", 5),
        event(at, "page_view", "9.9", 5),
    ]
    export(tmp_path / "ga4", [*events, events[0]])  # one event was delivered twice
    found = extract(tmp_path / "ga4", "raw_events", tmp_path / "out")
    assert sorted((row["kind"], row["customer_ref"] or "", row["client_id"] or "") for row in found) == [
        ("download", "", ""),
        ("form", "77", "9.9"),
        ("form", "77", "9.9"),
        ("sign_up", "", "9.9"),
    ]
    assert {row["occurred_at"] for row in found} == {at}
    assert len({row["event_id"] for row in found}) == 4
    kept = [json.loads(row["properties"]) for row in found]
    assert {"page": "https://example.com/a", "form": "contact", "file": None} in kept
    assert [row["event_id"] for row in extract(tmp_path / "ga4", "raw_events", tmp_path / "again")] == [
        row["event_id"] for row in found
    ]
