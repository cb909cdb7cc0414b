"""A wrong configuration is refused with the file, the place, the value and what is allowed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from scoring_platform.config.load import load_config
from scoring_platform.errors import ConfigurationError
from scoring_platform.settings import PACKAGED_CONFIG, load_settings

MINIMAL = """
history_start: 2026-01-01
sources:
  files:
    root: data
    tables:
      raw_orders: {sql: SELECT 1}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "scoring.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(folder: Path, text: str) -> str:
    path = write(folder, text)
    with pytest.raises(ConfigurationError) as caught:
        load_config(path)
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value)


def packaged() -> dict[str, Any]:
    data: dict[str, Any] = yaml.safe_load(PACKAGED_CONFIG.read_text(encoding="utf-8"))
    return data


def changed(place: str, value: Any) -> str:
    """The packaged configuration with one value changed."""
    data = packaged()
    *parents, last = [int(part) if part.isdigit() else part for part in place.split(".")]
    section: Any = data
    for part in parents:
        section = section.setdefault(part, {}) if isinstance(section, dict) else section[part]
    section[last] = value
    return yaml.safe_dump(data, allow_unicode=True)


WRONG: list[tuple[str, Any, str, str]] = [
    ("time_zone", "Tokyo", "time_zone: 'Tokyo' is not a time zone name", "such as Asia/Tokyo"),
    ("history_start", "2026-13-01", "history_start: ", "2026-13-01"),
    ("catch_up_days", 99, "catch_up_days: ", "less than or equal to 31 (value: 99)"),
    ("catch_up_days", "many", "catch_up_days: ", "(value: 'many')"),
    ("currency.reporting", "yen", "currency.reporting: ", "^[A-Z]{3}$"),
    ("currency.rates", {"USD": {"2026-13": 1}}, "currency.rates.USD.2026-13", "value: '2026-13'"),
    ("currency.rates", {"USD": {"2026-10": -1}}, "currency.rates.USD.2026-10", "greater than 0 (value: -1)"),
    ("ingest.quarantine_share_limit", 25, "ingest.quarantine_share_limit: ", "less than or equal to 1"),
    ("ingest.quarantine_limit", 0.2, "ingest.quarantine_limit: unknown key", "quarantine_share_limit"),
    ("sources.shopify.token", "secret", "sources.shopify.token: unknown key; allowed here: api_version", "page_size"),
    ("sources.magento", {}, "sources.magento: unknown key; allowed here: files", "zendesk"),
    ("sources.klaviyo.endpoint", "http://klaviyo.com", "sources.klaviyo.endpoint: ", "use https://"),
    ("sources.files", {"root": "d", "tables": {}}, "sources.files.tables: ", "at least 1"),
    ("sources.files", {"root": "d", "tables": {"raw_orders": {"sql": ""}}}, "sources.files.tables.raw_orders.sql", ""),
    ("sources.files", {"root": "d", "tables": {"raw_orders": {"query": "x"}}}, "raw_orders.query: unknown key", "sql"),
    ("sources.files", {"root": "d", "tables": {"orders": {"sql": "x"}}}, "sources.files.tables.orders", "raw_orders"),
    (
        "sources.files",
        {"root": "d", "tables": {"raw_orders": {"sql": "x"}}, "cadence": "hourly"},
        "cadence",
        "'weekly'",
    ),
    ("segments.rules.3.stay.r", {"mni": 3}, "segments.rules.3.stay.r.mni: unknown key; allowed here: max, min", ""),
    ("segments.rules.3.stay.r", {"min": 5}, "segments.rules.3: ", "stay.r must contain enter.r"),
    ("segments.rules.3.enter", {"q": {"min": 5}}, "segments.rules.3.enter.q", "recency_days"),
    ("segments.rules.0.colour", "red", "rules.0.colour: unknown key; allowed here: enter, segment, stay", ""),
    ("segments.labels.vip.fr", "VIP", "segments.labels.vip.fr: unknown key; allowed here: color, en, ja", ""),
    ("segments.fallback", "nobody", "segments: ", "no label for nobody"),
    ("scoring.email.positive", {"email_looks": 1}, "scoring.email: ", "known: email_sent"),
    ("rfm.fixed_cutoffs.frequency", [1, 2, 4], "rfm.fixed_cutoffs.frequency", ""),
    (
        "leads.intent.web.points",
        {"web_visits": 1},
        "leads.intent.web: points: unknown signal 'web_visits'",
        "event:KIND",
    ),
    ("leads.intent.web.points", {"event: ": 1}, "leads.intent.web: ", "known: email_sent"),
    ("leads.intent.web.points", {}, "leads.intent.web.points: ", "at least 1"),
    ("leads.intent.web.points.tickets", -1, "leads.intent.web.points.tickets: ", "greater than 0 (value: -1)"),
    ("leads.intent.web.points.email_opens", 1, "leads: intent: email_opens stands in email and web", "leave it in one"),
    ("leads.intent.web.cap", 0, "leads.intent.web.cap: ", "greater than 0 (value: 0)"),
    ("leads.intent.web.limit", 5, "leads.intent.web.limit: unknown key; allowed here: cap, half_life_days, points", ""),
    ("leads.intent.Web site", {"cap": 5, "points": {"tickets": 1}}, "leads.intent.Web site", "^[a-z][a-z0-9_]*$"),
    ("leads.intent", {}, "leads.intent: ", "at least 1"),
    ("leads.fit.age", {"default": 1}, "leads.fit.age", "'region', 'locale' or 'product_category'"),
    ("leads.fit.region.values.Tokyo", -0.1, "leads.fit.region.values.Tokyo: ", "or equal to 0 (value: -0.1)"),
    ("leads.fit.region.values", {"Tokyo": 1, "TOKYO": 2}, "leads.fit.region: ", "'tokyo' is given twice"),
    ("leads.fit.region.other", 1, "leads.fit.region.other: unknown key; allowed here: default, unknown, values", ""),
    ("leads.mql_threshold", 101, "leads.mql_threshold: ", "less than or equal to 100 (value: 101)"),
    ("leads.intent", {"a": {"cap": 9, "points": {"tickets": 1}}}, "leads: mql_threshold 50 cannot", "10.8 at most"),
    (
        "leads.half_life_days",
        3,
        "leads.half_life_days: unknown key; allowed here: fit, intent, mql_threshold",
        "window",
    ),
    ("destinations.email.recipients", [], "destinations.email.recipients: ", "at least 1"),
    ("report.language", "fr", "report.language: ", "'ja' or 'en' (value: 'fr')"),
    ("colour", "red", "colour: unknown key; allowed here: ", "time_zone"),
]


@pytest.mark.parametrize(("place", "value", "where", "allowed"), WRONG, ids=lambda value: str(value)[:40])
def test_a_wrong_value_is_named_with_its_place_and_what_is_allowed(
    tmp_path: Path, place: str, value: Any, where: str, allowed: str
) -> None:
    message = refusal(tmp_path, changed(place, value))
    assert where in message
    assert allowed in message
    assert "secret" not in message, "an unknown key may hold anything"


@pytest.mark.parametrize("target", ["account", "deal"])
@pytest.mark.parametrize("crm", ["hubspot", "salesforce", "pipedrive"])
def test_a_value_on_an_account_or_a_deal_needs_the_crm_as_a_source(tmp_path: Path, crm: str, target: str) -> None:
    written = yaml.safe_load(MINIMAL)
    fields = {"rfm_code": {"field": "x", "target": target}}
    written["destinations"] = {crm: {"endpoint": "sandbox", "fields": fields}}
    table = {"account": "raw_crm_contacts", "deal": "raw_crm_deals"}[target]

    message = refusal(tmp_path, yaml.safe_dump(written))
    assert f"destinations.{crm}.fields.rfm_code has target: {target}" in message
    assert f"({table}): add sources.{crm}, or choose target: contact" in message

    written["sources"][crm] = {"endpoint": "sandbox"}
    assert load_config(write(tmp_path, yaml.safe_dump(written))).config.destinations


NOTED = {"field": "NPS", "target": "note"}


@pytest.mark.parametrize(
    ("crm", "fields", "first", "second"),
    [
        ("hubspot", {"segment": "x", "rfm_code": "X"}, "rfm_code", "segment"),
        ("hubspot", {"lead_score": "customer_key"}, "customer_key", "lead_score"),
        ("hubspot", {"assigned_owner": "rfm_code"}, "rfm_code", "assigned_owner"),
        ("pipedrive", {"segment": "ｽｺｱ"}, "total_score", "segment"),
        ("pipedrive", {"nps_score": NOTED, "nps_themes": {**NOTED, "field": "nps"}}, "nps_score", "nps_themes"),
        ("salesforce", {"score_date": "total_score__C"}, "total_score", "score_date"),
    ],
)  # fmt: skip
def test_two_values_on_one_field_are_refused_with_both_places(
    tmp_path: Path, crm: str, fields: dict[str, Any], first: str, second: str
) -> None:
    section = {"endpoint": "sandbox", "fields": fields}
    said = refusal(tmp_path, changed("destinations", {crm: section}))
    assert f"destinations.{crm}.fields.{first} and destinations.{crm}.fields.{second} both name the" in said


def test_one_name_on_two_kinds_of_records_is_two_fields(tmp_path: Path) -> None:
    fields = {"nps_score": {"field": "total_score__c", "target": "note"}}
    written = changed("destinations", {"salesforce": {"endpoint": "sandbox", "fields": fields}})
    assert load_config(write(tmp_path, written)).config.destinations.salesforce is not None


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("routing", {"rules": [{"owners": ["Aoki\tMei"]}]}),
        ("segments", {"labels": {"vip": {"ja": "V\nIP", "en": "VIP"}}}),
        ("destinations", {"hubspot": {"endpoint": "sandbox", "fields": {"segment": "seg\u0001ment"}}}),
        ("destinations", {"hubspot": {"endpoint": "sandbox", "fields": {"customer_key": "our\tkey"}}}),
    ],
)
def test_names_that_go_to_a_crm_have_no_control_characters(tmp_path: Path, place: str, value: Any) -> None:
    assert "has a control character" in refusal(tmp_path, changed(place, value))


def test_every_problem_is_named_at_once(tmp_path: Path) -> None:
    message = refusal(tmp_path, MINIMAL + "catch_up_days: -1\nreport: {movers: 0}\n")
    assert "2 problem(s)" in message
    assert "catch_up_days" in message
    assert "report.movers" in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [1", "not valid YAML"),
        ("", "it holds nothing"),
        ("- a", "it holds a list"),
        (MINIMAL + "history_start: 2026-02-01\n", "the key 'history_start' is given twice"),
        (MINIMAL + "report: {movers: 1, movers: 2}\n", "the key 'movers' is given twice"),
        (MINIMAL + "catch_up_days: !!int x\n", "not valid YAML"),
        (MINIMAL + "? [a]\n: 1\n", "unhashable"),
        ("history_start: 2026-01-01\n", "sources: no source is configured"),
        ("sources: {}\n", "history_start: Field required"),
    ],
)
def test_a_file_that_is_no_configuration_says_why(tmp_path: Path, text: str, words: str) -> None:
    assert words in refusal(tmp_path, text)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(ConfigurationError, match=f"{path}: the configuration cannot be read .*SCORING_CONFIG"):
            load_config(path)
    path = tmp_path / "latin.yaml"
    path.write_bytes("company: {name: Café}".encode("latin-1"))
    with pytest.raises(ConfigurationError, match="not UTF-8"):
        load_config(path)


def test_the_version_does_not_depend_on_comments_order_or_spelt_out_defaults(tmp_path: Path) -> None:
    data = packaged()
    backwards = yaml.safe_dump(dict(reversed(data.items())), sort_keys=False, allow_unicode=True)
    version = load_config(PACKAGED_CONFIG).version
    assert load_config(write(tmp_path, f"# a comment\n{backwards}")).version == version
    del data["report"]["movers"]
    assert load_config(write(tmp_path, yaml.safe_dump(data, allow_unicode=True))).version == version
    assert load_config(write(tmp_path, changed("report.movers", 11))).version != version


def test_anchors_and_merged_keys_are_plain_yaml(tmp_path: Path) -> None:
    text = MINIMAL + "report: &r {movers: 3}\nscoring:\n  web: &w {scale: 2, positive: {web_sessions: 1}}\n"
    text += "  email: {<<: *w, scale: 4, positive: {email_opens: 1}}\n"
    config = load_config(write(tmp_path, text)).config
    assert (config.scoring.email.scale, config.scoring.web.scale) == (4, 2)


def test_every_version_used_is_archived_once_under_its_name(tmp_path: Path) -> None:
    loaded = load_config(write(tmp_path, MINIMAL))
    kept = loaded.archive(tmp_path / "kept")
    assert kept.name == f"{loaded.version}.yaml"
    assert kept.read_text(encoding="utf-8") == MINIMAL
    load_config(write(tmp_path, "# again\n" + MINIMAL)).archive(tmp_path / "kept")
    assert [path.name for path in (tmp_path / "kept").iterdir()] == [kept.name]
    assert load_config(kept).version == loaded.version


def test_settings_come_from_the_environment_that_is_given(tmp_path: Path) -> None:
    path = write(tmp_path, MINIMAL)
    settings = load_settings(
        {"SCORING_HOME": str(tmp_path / "home"), "SCORING_CONFIG": str(path), "SCORING_SHOPIFY_TOKEN": "t"}
    )
    assert settings.lake_root == tmp_path / "home" / "lake"
    assert settings.files_root == tmp_path / "data"
    assert settings.raw_tables == {"raw_orders"}
    assert settings.shops == ("files",)
    assert settings.credential("shopify", "token") == "t"
    with pytest.raises(ConfigurationError, match="set SCORING_HUBSPOT_TOKEN"):
        settings.credential("hubspot", "token")
    assert "SCORING_SHOPIFY_TOKEN" not in repr(settings)
