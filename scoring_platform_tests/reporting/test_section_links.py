"""The report's links lead to assets that the graph has."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from scoring_platform.orchestration.build import build_definitions
from scoring_platform.reporting.data import Links, Section
from scoring_platform.settings import load_settings


def test_every_section_links_to_an_asset_of_the_graph(tmp_path: Path) -> None:
    graph = build_definitions(load_settings({}, home=tmp_path)).resolve_asset_graph()
    known = {key.to_user_string() for key in graph.get_all_asset_keys()}
    links = Links(assets_base="https://dagster.example.jp/assets/")
    addresses = {section: links.section(section) for section in get_args(Section)}
    linked = {section: address.rsplit("/", 1)[1] for section, address in addresses.items() if address}
    assert len(linked) > 5
    assert {section: asset for section, asset in linked.items() if asset not in known} == {}
