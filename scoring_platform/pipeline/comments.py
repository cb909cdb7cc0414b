"""What comments say, read once per text and taxonomy and kept in the home.

Belongs here: which texts are new, keeping their readings, giving them as a table. Does not belong here: how a comment
is read (``comments``), which answers there are (``domain.nps``).
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq

from scoring_platform.comments.outside import Outside, open_outside
from scoring_platform.comments.reader import Reader, reading_version
from scoring_platform.domain.nps import has_comment, text_hash
from scoring_platform.pipeline.step import Step

KEPT = pa.schema(
    [
        pa.field("text_hash", pa.string(), nullable=False),
        pa.field("themes", pa.list_(pa.string()), nullable=False),
        pa.field("sentiment", pa.string(), nullable=False),
        pa.field("theme_evidence", pa.string(), nullable=False),
    ]
)
"""A reading as it is kept: it names its text by a hash and quotes nothing of it."""

_AT_ONCE = 2_000
_MOST_FILES = 60
_SETTLED_SECONDS = 3600
"""A file that was replaced by a larger one stays this long, as others may be reading it."""

_log = logging.getLogger(__name__)


def readings(step: Step, raw: ir.Table) -> ir.Table:
    """Return what every comment of ``raw`` says, one row per text; texts not read before are read now.

    Args:
        step: The surroundings.
        raw: raw_nps_responses of the days that are wanted.
    """
    folder = step.settings.home / "comments" / reading_version(step.config.themes)
    said = raw.filter(has_comment(raw))
    texts = said.select("raw_text", text_hash=text_hash(said)).distinct()
    known = _kept(step, folder)
    new = texts if known is None else texts.anti_join(known, "text_hash")
    if _read(step, step.engine.materialise(new.order_by("text_hash")), folder) or known is None:
        known = _kept(step, folder)
    if known is None:
        return _no_rows(step)
    wanted = step.engine.materialise(known.semi_join(texts, "text_hash"))
    _fewer_files(step, known, folder)
    return wanted


def _kept(step: Step, folder: Path) -> ir.Table | None:
    """Return the readings kept in ``folder``, each text once; None when there are none."""
    files = sorted(str(file) for file in folder.glob("*.parquet"))
    if not files:
        return None
    found = step.engine.ibis.read_parquet(files)
    # Two runs at the same time may have read the same text.
    ranked = found.mutate(_rank=ibis.row_number().over(group_by="text_hash", order_by=["theme_evidence"]))
    return ranked.filter(ranked._rank == 0).drop("_rank")


def _no_rows(step: Step) -> ir.Table:
    kinds = {"text_hash": "string", "themes": "array<string>", "sentiment": "string", "theme_evidence": "string"}
    return step.engine.materialise(ibis.memtable([], schema=ibis.schema(kinds)))


def _read(step: Step, new: ir.Table, folder: Path) -> int:
    """Read texts, keep what they say, and return how many there were."""
    count = int(new.count().execute())
    if not count:
        return 0
    began, reader = time.monotonic(), Reader(step.config.themes)
    key = step.settings.optional_credential("themes", "api_key")
    with open_outside(step.config.themes, key) as outside, _writing(folder) as writer:
        for batch in new.to_pyarrow_batches(chunk_size=_AT_ONCE):
            writer.write_table(_said(reader, outside, batch))
    _log.info("%d new comments read in %.1f s", count, time.monotonic() - began)
    return count


def _said(reader: Reader, outside: Outside | None, batch: pa.RecordBatch) -> pa.Table:
    rows = []
    for row in batch.to_pylist():
        by_words = reader.read(row["raw_text"])
        found = outside.read(row["raw_text"], by_words) if outside else by_words
        rows.append((row["text_hash"], found.themes, found.sentiment, found.evidence()))
    columns = [list(values) for values in zip(*rows, strict=True)] or [[], [], [], []]
    return pa.table(columns, schema=KEPT)


@contextmanager
def _writing(folder: Path) -> Iterator[pq.ParquetWriter]:
    """Give a writer of a file that appears in ``folder`` whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{uuid.uuid4().hex}.parquet"
    partial = target.with_suffix(".partial")
    try:
        with pq.ParquetWriter(partial, KEPT) as writer:
            yield writer
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _fewer_files(step: Step, known: ir.Table, folder: Path) -> None:
    """Put many small files together; those replaced go when nobody can be reading them any more."""
    whole = folder / "replaced"
    if whole.is_dir():
        for listed in whole.iterdir():
            if step.now.timestamp() - float(listed.name) > _SETTLED_SECONDS:
                for name in listed.read_text(encoding="utf-8").split():
                    (folder / name).unlink(missing_ok=True)
                listed.unlink(missing_ok=True)
        if any(whole.iterdir()):
            return
    files = sorted(folder.glob("*.parquet"))
    if len(files) <= _MOST_FILES:
        return
    with _writing(folder) as writer:
        for batch in known.order_by("text_hash").to_pyarrow_batches(chunk_size=50_000):
            writer.write_batch(batch.cast(KEPT))
    whole.mkdir(exist_ok=True)
    (whole / f"{step.now.timestamp():.0f}").write_text("\n".join(file.name for file in files), encoding="utf-8")
