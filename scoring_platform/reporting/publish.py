"""Puts a rendered report where people find it.

Belongs here: the folder of a day, replaced in one step. Does not belong here: how the page looks (``html``).
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path

from scoring_platform.reporting.canvas import Chart
from scoring_platform.reporting.data import ReportData, Section
from scoring_platform.reporting.html import render_page

PAGE = "index.html"


def write_report(root: Path, data: ReportData, charts: Mapping[Section, Chart]) -> Path:
    """Write the page of a day to ``root/<day>/index.html`` and return its path."""
    target = root / data.as_of.isoformat() / PAGE
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{PAGE}.{uuid.uuid4().hex}")
    partial.write_text(render_page(data, charts), encoding="utf-8")
    partial.replace(target)
    return target
