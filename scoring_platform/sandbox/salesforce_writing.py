"""The sandbox's Salesforce: what a write does, one record at a time or as the lines of a file.

Belongs here: upserts and updates, and the jobs of the Bulk API. Does not belong here: addresses (``salesforce``),
validation (``salesforce_rules``), storage (``salesforce_store``).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from scoring_platform.sandbox.salesforce_people import record_id
from scoring_platform.sandbox.salesforce_rules import (
    RefusedError,
    checked,
    from_cell,
    require_complete,
    rule_of,
    rules_of,
)
from scoring_platform.sandbox.salesforce_store import Record, RecordStore

MAX_BYTES = 150 << 20

_OPERATIONS = ("insert", "update", "upsert")
_MULTIPLE = "Found multiple contents for job: <{}>, please create a new Job and do 'PUT' once on a given Job."


def upsert(store: RecordStore, sobject: str, key: str, given: Mapping[str, Any]) -> tuple[Record, bool]:
    """Write one record by an external id; return it and whether it is new.

    Raises:
        RefusedError: The record is refused; nothing was changed.
    """
    rule = rule_of(sobject, key)
    values = checked(sobject, given)
    named = values.get(rule.name)
    if named is None:
        raise RefusedError("MISSING_ARGUMENT", f"{rule.name} not specified")
    found = store.find(sobject, rule.name, str(named))
    now = store.reach()
    if found:
        return store.update(found[0], values, now=now), False
    require_complete(sobject, values)
    return store.insert(sobject, values, now=now), True


def update(store: RecordStore, sobject: str, given: Mapping[str, Any]) -> Record:
    """Write one record by its id.

    Raises:
        RefusedError: The record is refused; nothing was changed.
    """
    named = {name.lower(): value for name, value in given.items()}.get("id")
    if not named:
        raise RefusedError("MISSING_ARGUMENT", "Id not specified in an update call")
    record = store.get(sobject, str(named))
    if record is None and store.is_deleted(str(named)):
        raise RefusedError("ENTITY_IS_DELETED", "entity is deleted")
    if record is None:
        raise RefusedError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
    values = checked(sobject, {name: value for name, value in given.items() if name.lower() != "id"})
    return store.update(record, values, now=store.reach())


@dataclass
class Job:
    """A job of the Bulk API.

    Attributes:
        number: Number of the job.
        sobject: Kind of record.
        operation: insert, update or upsert.
        key: The external id of an upsert.
        looks: How often it is still seen at work.
    """

    number: int
    sobject: str
    operation: str
    key: str | None
    looks: int
    state: str = "Open"
    content: str | None = None
    error: str | None = None
    columns: list[str] = field(default_factory=list)
    lines: list[list[str]] = field(default_factory=list)
    successful: list[list[str]] = field(default_factory=list)
    failed: list[list[str]] = field(default_factory=list)

    @property
    def id(self) -> str:
        """The job's id."""
        return record_id("750", self.number)

    def body(self, version: str, *, full: bool = False) -> dict[str, Any]:
        """The job as it is shown."""
        shown: dict[str, Any] = {
            "id": self.id,
            "operation": self.operation,
            "object": self.sobject,
            "state": self.state,
            "contentType": "CSV",
            "apiVersion": float(version.removeprefix("v")),
            "contentUrl": f"services/data/{version}/jobs/ingest/{self.id}/batches",
            "lineEnding": "LF",
            "columnDelimiter": "COMMA",
            "concurrencyMode": "Parallel",
        }
        if self.key:
            shown["externalIdFieldName"] = self.key
        if full:
            done = {"numberRecordsProcessed": len(self.successful) + len(self.failed), "retries": 0}
            shown |= {**done, "jobType": "V2Ingest", "numberRecordsFailed": len(self.failed)}
        return {**shown, "errorMessage": self.error} if self.error else shown

    def file(self, kind: str) -> str:
        """A result file."""
        heads = {
            "successfulResults": ["sf__Id", "sf__Created", *self.columns],
            "failedResults": ["sf__Id", "sf__Error", *self.columns],
            "unprocessedrecords": self.columns,
        }
        done = len(self.successful) + len(self.failed)
        rest = self.lines[done:] if self.state in ("Failed", "Aborted") else []
        rows = {"successfulResults": self.successful, "failedResults": self.failed, "unprocessedrecords": rest}
        written = io.StringIO()
        csv.writer(written, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows([heads[kind], *rows[kind]])
        return written.getvalue()


class Jobs:
    """The jobs of an organisation, kept as long as the server runs."""

    def __init__(self, store: RecordStore, *, looks: int) -> None:
        """Run jobs on ``store``; each is seen at work ``looks`` times."""
        self._store = store
        self._looks = looks
        self._jobs: dict[str, Job] = {}

    def create(self, asked: Mapping[str, Any]) -> Job:
        """Make a job.

        Raises:
            RefusedError: It makes no sense.
        """
        sobject, operation = str(asked.get("object")), str(asked.get("operation"))
        rules_of(sobject)
        if operation not in _OPERATIONS:
            raise RefusedError("INVALIDJOB", f"Operation {operation} is not supported here")
        key = asked.get("externalIdFieldName")
        if operation == "upsert" and not (key and rule_of(sobject, str(key)).external_id):
            raise RefusedError("INVALIDJOB", "ExternalIdFieldName must name an external id for upsert")
        job = Job(len(self._jobs) + 1, sobject, operation, str(key) if key else None, self._looks)
        self._jobs[job.id] = job
        return job

    def get(self, number: str) -> Job:
        """Return a job, which goes on with its work when it is looked at.

        Raises:
            RefusedError: There is none.
        """
        job = self._jobs.get(number)
        if job is None:
            raise RefusedError("NOT_FOUND", "The requested resource does not exist", status=404)
        return job

    def look(self, number: str) -> Job:
        """Return a job after it has gone on a little."""
        job = self.get(number)
        if job.state in ("UploadComplete", "InProgress"):
            job.state = "InProgress"
            job.looks -= 1
            if job.looks < 0:
                self._run(job)
        return job

    def upload(self, number: str, content: str) -> None:
        """Take the file of a job.

        Raises:
            RefusedError: It has one already, or is closed.
        """
        job = self.get(number)
        if job.state != "Open":
            raise RefusedError("INVALIDJOBSTATE", f"Upload not allowed for job in state {job.state}")
        if job.content is not None:
            raise RefusedError("INVALIDJOB", _MULTIPLE.format(job.id))
        if len(content) > MAX_BYTES:
            raise RefusedError("FILE_TOO_LARGE", "The file is larger than 150 MB")
        job.content = content

    def close(self, number: str, state: str) -> Job:
        """Let a job run, or give it up.

        Raises:
            RefusedError: It was closed before.
        """
        job = self.get(number)
        if job.state != "Open" or state not in ("UploadComplete", "Aborted"):
            raise RefusedError("INVALIDJOBSTATE", f"Closing already {job.state} Job not allowed")
        job.state = state
        lines = [line for line in csv.reader(io.StringIO(job.content or "")) if line]
        job.columns, job.lines = (lines[0], lines[1:]) if lines else ([], [])
        return job

    def _run(self, job: Job) -> None:
        unknown = [name for name in job.columns if name.lower() not in rules_of(job.sobject)]
        if unknown:
            job.state, job.error = "Failed", f"InvalidBatch : Field name not found : {unknown[0]}"
            return
        with self._store.transaction():
            for line in job.lines:
                self._take(job, line)
        job.state = "JobComplete"

    def _take(self, job: Job, line: list[str]) -> None:
        try:
            record, new = self._write(job, line)
        except RefusedError as refused:
            job.failed.append(["", refused.line(), *line])
        else:
            job.successful.append([record.id, str(new).lower(), *line])

    def _write(self, job: Job, line: list[str]) -> tuple[Record, bool]:
        if len(line) != len(job.columns):
            raise RefusedError("INVALID_CSV", "The number of columns in this line does not match the header")
        # An empty cell leaves a field as it is.
        cells = {name: cell for name, cell in zip(job.columns, line, strict=True) if cell != ""}
        given = {name: from_cell(job.sobject, name, cell) for name, cell in cells.items()}
        if job.key is not None:
            return upsert(self._store, job.sobject, job.key, given)
        return update(self._store, job.sobject, given), False
