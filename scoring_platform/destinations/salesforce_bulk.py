"""Salesforce Bulk API 2.0: many records in one file, and what became of each line.

Belongs here: the job from its creation to its three result files, and the file itself. Does not belong here: which
rows to send how (``salesforce``).

A job that is complete is no success: the result files say which lines were taken. Lines are told apart by our key, or
by the record id where records are named by it. A process that ends in the middle leaves a job behind that either was
never closed, then nothing of it runs, or says of records what the next run says again.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from scoring_platform.destinations.protocol import CrmReceipt, Value
from scoring_platform.destinations.salesforce_records import FIELD_CODES, TRANSIENT, Input, failed
from scoring_platform.errors import OutcomeUnknownError, PermanentError, TransientError
from scoring_platform.http.client import Answer
from scoring_platform.http.salesforce import Session
from scoring_platform.http.verdict import fit_words

MAX_BYTES = 100 << 20
"""Bytes of one file: Salesforce takes 150 MB of base64."""

FIRST_WAIT, LONGEST_WAIT = 1.0, 30.0
MOST_WAIT = 3 * 3600.0
"""Seconds a job may take before it is left to itself."""

UNPROCESSED = "UNPROCESSED"
UNFINISHED = "UNFINISHED"

_JOBS = "/jobs/ingest"
_UPLOADS = 3
_NULL = "#N/A"
_ENDED = frozenset({"JobComplete", "Failed", "Aborted"})
_JUDGED = frozenset({200, 400})

Rows = list[dict[str, str]]


@dataclass(frozen=True)
class Operation:
    """What a job does: ``upsert`` by the key field, or ``update`` by ``Id``."""

    sobject: str
    key: str | None = None

    @property
    def column(self) -> str:
        """The column that tells lines apart."""
        return self.key or "Id"

    def definition(self) -> dict[str, str]:
        """The job as it is asked for."""
        job = {"object": self.sobject, "contentType": "CSV", "lineEnding": "LF", "columnDelimiter": "COMMA"}
        if self.key is None:
            return {**job, "operation": "update"}
        return {**job, "operation": "upsert", "externalIdFieldName": self.key}

    def name_of(self, row: Input) -> str:
        """What the column holds for ``row``."""
        return row.customer_id if self.key else str(row.id)


def send(
    session: Session, inputs: Sequence[Input], operation: Operation, *, sleep: Callable[[float], None]
) -> Iterator[CrmReceipt]:
    """Send ``inputs``, as many as fit into a file per job, and yield one receipt for each."""
    for rows, file in files(inputs, operation):
        yield from _run(session, rows, file, operation=operation, sleep=sleep)


def files(
    inputs: Sequence[Input], operation: Operation, *, limit: int = MAX_BYTES
) -> Iterator[tuple[list[Input], bytes]]:
    """Yield files of at most ``limit`` bytes with the rows that stand in them."""
    columns = list(dict.fromkeys([operation.column, *(name for one in inputs for name in one.values)]))
    head = _line(columns)
    rows: list[Input] = []
    lines: list[bytes] = []
    size = len(head)
    for row in inputs:
        given: Mapping[str, Value] = {**row.values, operation.column: operation.name_of(row)}
        line = _line([_cell(given[name]) if name in given else "" for name in columns])
        if lines and size + len(line) > limit:
            yield rows, head + b"".join(lines)
            rows, lines, size = [], [], len(head)
        rows.append(row)
        lines.append(line)
        size += len(line)
    if rows:
        yield rows, head + b"".join(lines)


def read_csv(text: str) -> Rows:
    """Read a result file; the names of its columns in lower case.

    Raises:
        ValueError: It was cut, or is no such file.
    """
    try:
        lines = [line for line in csv.reader(io.StringIO(text), strict=True) if line]
    except csv.Error as error:
        msg = f"it ends in the middle of a value ({error})"
        raise ValueError(msg) from error
    names = [name.lower() for name in lines[0]] if lines else []
    if any(len(line) != len(names) for line in lines):
        msg = "it has lines of different lengths"
        raise ValueError(msg)
    return [dict(zip(names, line, strict=True)) for line in lines[1:]]


def _run(
    session: Session, rows: Sequence[Input], file: bytes, *, operation: Operation, sleep: Callable[[float], None]
) -> Iterator[CrmReceipt]:
    told: set[str] = set()
    try:
        job = _upload(session, file, operation)
        ended = _ended(session, job, sleep)
        if ended is None:
            text = f"Job {job} still runs after {MOST_WAIT / 3600:g} hours; see Setup → Bulk Data Load Jobs"
            yield from (CrmReceipt(one.customer_id, "retry", None, UNFINISHED, text) for one in rows)
            return
        for receipt in _results(session, job, rows, operation=operation, ended=ended):
            told.add(receipt.customer_id)
            yield receipt
    except TransientError as error:
        # The job may have run, or may yet: saying the same of the same records again does no harm.
        rest = [one for one in rows if one.customer_id not in told]
        yield from (CrmReceipt(one.customer_id, "retry", None, TRANSIENT, str(error)) for one in rest)


def _upload(session: Session, file: bytes, operation: Operation) -> str:
    """Make a job, give it its file and let it run; return its id."""
    for attempt in range(1, _UPLOADS + 1):
        job = str(_job(session.request("POST", _JOBS, json=operation.definition()))["id"])
        try:
            # A job takes one file: where the answer is lost another job is begun instead of a second upload.
            _put(session, job, file)
            break
        except OutcomeUnknownError:
            _close(session, job, "Aborted")
            if attempt == _UPLOADS:
                raise
    # 400: it was closed by an earlier try of this very call; what the job says next decides.
    _close(session, job, "UploadComplete")
    return job


def _put(session: Session, job: str, file: bytes) -> None:
    path, kind = f"{_JOBS}/{job}/batches", {"Content-Type": "text/csv"}
    session.request("PUT", path, content=file, headers=kind, idempotent=False, finishing=True)


def _close(session: Session, job: str, state: str) -> None:
    session.request("PATCH", f"{_JOBS}/{job}", json={"state": state}, ok=_JUDGED, finishing=True)


def _ended(session: Session, job: str, sleep: Callable[[float], None]) -> Mapping[str, object] | None:
    """Wait for the end of a job; None when it takes too long."""
    waited, wait = 0.0, FIRST_WAIT
    while True:
        body = _job(session.request("GET", f"{_JOBS}/{job}", finishing=True))
        if body["state"] in _ENDED:
            return body
        if body["state"] == "Open":
            msg = f"salesforce has job {job} still open after it was told to start"
            raise TransientError(msg)
        if waited >= MOST_WAIT:
            return None
        sleep(wait)
        waited, wait = waited + wait, min(2 * wait, LONGEST_WAIT)


def _job(answer: Answer) -> Mapping[str, object]:
    body = answer.json
    if not isinstance(body, dict) or not body.get("id") or "state" not in body:
        msg = "salesforce answered about a bulk job in a shape it does not document; check api_version"
        raise PermanentError(msg)
    return body


def _results(
    session: Session, job: str, rows: Sequence[Input], *, operation: Operation, ended: Mapping[str, object]
) -> Iterator[CrmReceipt]:
    waiting = {operation.name_of(row).lower(): row for row in rows}
    column = operation.column.lower()
    wrong = int(str(ended.get("numberRecordsFailed") or 0))
    right = int(str(ended.get("numberRecordsProcessed") or 0)) - wrong
    for line in _file(session, f"{_JOBS}/{job}/successfulResults", right):
        row = waiting.pop(_named(line, column), None)
        if row is not None and line.get("sf__id"):
            yield CrmReceipt(row.customer_id, "acknowledged", line["sf__id"])
    for line in _file(session, f"{_JOBS}/{job}/failedResults", wrong):
        row = waiting.pop(_named(line, column), None)
        if row is not None:
            yield _refused(row, line.get("sf__error", ""))
    yield from _left_over(session, job, waiting, column=column, ended=ended)


def _left_over(
    session: Session, job: str, waiting: dict[str, Input], *, column: str, ended: Mapping[str, object]
) -> Iterator[CrmReceipt]:
    if not waiting:
        return
    why = fit_words(str(ended.get("errorMessage") or "no reason given"))
    code = "INVALID_FIELD" if "field name not found" in why.lower() else UNPROCESSED
    for line in _file(session, f"{_JOBS}/{job}/unprocessedrecords", None):
        row = waiting.pop(_named(line, column), None)
        if row is not None and code in FIELD_CODES:
            yield failed(row, code, why)
        elif row is not None:
            text = f"The job ended as {ended['state']} before it came to this row: {why}"
            yield CrmReceipt(row.customer_id, "retry", None, code, text)
    text = f"The result files of job {job} say nothing about this row"
    yield from (CrmReceipt(one.customer_id, "unknown", None, "UNCONFIRMED", text) for one in waiting.values())


def _file(session: Session, path: str, lines: int | None) -> Rows:
    """Read a result file of so many lines; None where nobody counted them."""

    def check(answer: Answer) -> None:
        if lines is not None and len(answer.json) != lines:
            msg = f"salesforce gave {len(answer.json)} of {lines} lines of a result file"
            raise TransientError(msg)

    if lines == 0:
        return []
    accept = {"Accept": "text/csv"}
    read: Rows = session.request("GET", path, headers=accept, reads=read_csv, check=check, finishing=True).json
    return read


def _named(line: Mapping[str, str], column: str) -> str:
    return line.get(column, "").lower()


def _refused(row: Input, error: str) -> CrmReceipt:
    """Word ``CODE:message:fields --``, the way a result file does."""
    code, colon, rest = error.partition(":")
    return failed(row, code if colon else "REFUSED", (rest if colon else error).removesuffix("--").strip(" :"))


def _cell(value: Value) -> str:
    return _NULL if value is None or value == "" else str(value)


def _line(cells: Sequence[str]) -> bytes:
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerow(cells)
    return written.getvalue().encode()
