"""HubSpot batch calls on contacts, companies and deals: what came back for each row, whatever form the answer has.

Belongs here: one batch call, its 207, its whole-batch 400, matching errors to rows. Does not belong here: which rows to
send how (``hubspot``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from scoring_platform.destinations.protocol import CrmReceipt, WriteStatus
from scoring_platform.errors import PermanentError, SourceError, TransientError
from scoring_platform.http.client import Answer, ApiClient
from scoring_platform.http.parallel import together
from scoring_platform.http.verdict import fit_words

CONTACTS = "contacts"
MAX_INPUTS = 100
AT_ONCE = 4
"""Calls on their way at once: so many use up the largest plan's calls of ten seconds, a call taking 0.15 s."""

CONFLICT_CODES = frozenset({"CONFLICT", "OBJECT_ALREADY_EXISTS"})
MISSING_PROPERTY = "PROPERTY_DOESNT_EXIST"

_T = TypeVar("_T")

# Wider than a valid address: HubSpot quotes the malformed ones, which are personal data all the same.
_ADDRESS = re.compile(r"[^\s\"'<>()\[\],;:]*[@\uff20][^\s\"'<>()\[\],;:]*")

_JUDGED = frozenset({200, 201, 207, 400, 409, 422})
_WHOLE_BATCH = frozenset({400, 409, 422})
_NOT_FOUND, _NO_SUCH_RECORD = 404, "OBJECT_NOT_FOUND"
_TRANSIENT_CODES = frozenset({"RATE_LIMITS", "INTERNAL_ERROR", "SERVICE_UNAVAILABLE", "TIMEOUT", "LOCKED"})


@dataclass(frozen=True)
class Input:
    """One row of a batch: ``id`` names the record, by ``id_property`` or by its own id."""

    customer_id: str
    id: str
    properties: Mapping[str, str]
    id_property: str | None = None

    def body(self) -> dict[str, Any]:
        """The row as sent; the trace id is what makes HubSpot answer row by row."""
        body = {"id": self.id, "objectWriteTraceId": self.customer_id, "properties": dict(self.properties)}
        return {**body, "idProperty": self.id_property} if self.id_property else body


@dataclass(frozen=True)
class Found:
    """A record that HubSpot has."""

    id: str
    properties: Mapping[str, str | None]


def read(
    client: ApiClient,
    ids: Sequence[str],
    *,
    id_property: str | None,
    properties: Sequence[str],
    objects: str = CONTACTS,
) -> Iterator[Found]:
    """Yield the records named by ``ids``; unknown ones and ones HubSpot cannot read are left out."""
    path = f"/crm/v3/objects/{objects}/batch/read"
    found: list[Found] = []

    def ask(some: Sequence[str]) -> None:
        found.extend(list(_read(client, path, some, id_property=id_property, properties=properties)))

    together(ask, list(_pieces(list(dict.fromkeys(ids)))), most=AT_ONCE)
    yield from found


def write(
    client: ApiClient, operation: Literal["upsert", "update"], inputs: Sequence[Input], *, objects: str = CONTACTS
) -> Iterator[CrmReceipt]:
    """Send ``inputs``, at most 100 a call, and yield one receipt for each.

    Both operations name the record and say what it shall be, so that repeating them does no harm.
    """
    path = f"/crm/v3/objects/{objects}/batch/{operation}"
    receipts: list[CrmReceipt] = []

    def send(some: Sequence[Input]) -> None:
        # One by one: what was acknowledged before an error counts.
        for receipt in _write(client, path, some):
            receipts.append(receipt)  # noqa: PERF402

    failed: SourceError | None = None
    try:
        together(send, list(_pieces(inputs)), most=AT_ONCE)
    except SourceError as error:
        failed = error
    yield from receipts
    if failed is not None:
        raise failed


def _read(
    client: ApiClient, path: str, ids: Sequence[str], *, id_property: str | None, properties: Sequence[str]
) -> Iterator[Found]:
    body: dict[str, Any] = {"inputs": [{"id": one} for one in ids], "properties": list(properties)}
    if id_property:
        body["idProperty"] = id_property
    answer = client.request("POST", path, json=body, ok=_JUDGED)
    if answer.status in _WHOLE_BATCH:
        # One unreadable id, such as a malformed address, can fail all; alone it simply is not there.
        if len(ids) > 1:
            for half in _halves(ids):
                yield from _read(client, path, half, id_property=id_property, properties=properties)
        return
    for one in _listed(answer, "results"):
        if one.get("id"):
            yield Found(str(one["id"]), one.get("properties") or {})


def _write(client: ApiClient, path: str, inputs: Sequence[Input]) -> Iterator[CrmReceipt]:
    body = {"inputs": [one.body() for one in inputs]}
    try:
        answer = client.request("POST", path, json=body, ok=_JUDGED | {_NOT_FOUND})
    except TransientError as failure:
        # A timeout too: the rows may be written, and writing them again changes nothing.
        yield from (CrmReceipt(one.customer_id, "retry", None, "TRANSIENT", str(failure)) for one in inputs)
        return
    error = _object(answer.json)
    if answer.status == _NOT_FOUND and error.get("category") != _NO_SUCH_RECORD:
        # About the address of the call, and not about one of the records.
        msg = f"hubspot answered 404 at POST {path}: check the endpoint of hubspot in scoring.yaml"
        raise PermanentError(msg)
    if answer.status in _WHOLE_BATCH | {_NOT_FOUND}:
        yield from _refused(client, path, inputs, error=error)
        return
    yield from _answered(client, path, inputs, answer=answer)


def _refused(
    client: ApiClient, path: str, inputs: Sequence[Input], *, error: Mapping[str, Any]
) -> Iterator[CrmReceipt]:
    # A missing property is the account's fault, the same for every row: looking for a bad row would find all.
    if len(inputs) == 1 or MISSING_PROPERTY in json.dumps(error):
        yield from (_failed(one, error) for one in inputs)
        return
    for half in _halves(inputs):
        yield from _write(client, path, half)


def _answered(client: ApiClient, path: str, inputs: Sequence[Input], *, answer: Answer) -> Iterator[CrmReceipt]:
    open_rows = {one.customer_id: one for one in inputs}
    for result in _listed(answer, "results"):
        row = _row_of(result, open_rows.values())
        if row is not None and result.get("id"):
            del open_rows[row.customer_id]
            yield CrmReceipt(row.customer_id, "acknowledged", str(result["id"]))
    nameless = []
    for error in _listed(answer, "errors"):
        rows = _rows_of(error, open_rows.values())
        if not rows:
            nameless.append(error)
        for row in rows:
            del open_rows[row.customer_id]
            yield _failed(row, error)
    yield from _unmentioned(client, path, list(open_rows.values()), errors=nameless)


def _unmentioned(
    client: ApiClient, path: str, rows: Sequence[Input], *, errors: Sequence[Mapping[str, Any]]
) -> Iterator[CrmReceipt]:
    if errors and len(rows) == 1:
        yield _failed(rows[0], errors[0])
    elif errors and len(rows) > 1:
        # Errors that name no row: smaller calls tell which it was.
        for half in _halves(rows):
            yield from _write(client, path, half)
    else:
        text = "HubSpot's answer says nothing about this row"
        yield from (CrmReceipt(one.customer_id, "unknown", None, "UNCONFIRMED", text) for one in rows)


def _row_of(result: Mapping[str, Any], rows: Iterable[Input]) -> Input | None:
    trace, properties = result.get("objectWriteTraceId"), _object(result.get("properties"))
    for row in rows:
        if trace is not None:
            if trace == row.customer_id:
                return row
        elif row.id_property is None:
            if str(result.get("id")) == row.id:
                return row
        elif properties.get(row.id_property) == row.id:
            return row
    return None


def _rows_of(error: Mapping[str, Any], rows: Iterable[Input]) -> list[Input]:
    named: set[str] = set()
    for values in _object(error.get("context")).values():
        named.update(str(value) for value in (values if isinstance(values, list) else [values]))
    return [row for row in rows if row.customer_id in named or row.id in named]


def _failed(row: Input, error: Mapping[str, Any]) -> CrmReceipt:
    details = [one for one in error.get("errors") or [] if isinstance(one, dict)]
    code = next((str(one["code"]) for one in details if one.get("code")), None)
    category = str(error.get("category") or "REFUSED")
    if MISSING_PROPERTY in json.dumps(error):
        code = MISSING_PROPERTY
    code = category if category in CONFLICT_CODES or code is None else code
    words = [str(error.get("message") or ""), *(str(one.get("message") or "") for one in details)]
    text = fit_words(_ADDRESS.sub("…", "; ".join(dict.fromkeys(word for word in words if word))))
    if code == MISSING_PROPERTY:
        text = f"{text}. Run `scoring-platform crm provision`"
    return CrmReceipt(row.customer_id, _status(code, category), None, code, text or "HubSpot gave no reason")


def _status(code: str, category: str) -> WriteStatus:
    # A missing property is mended by a person once; the rows themselves are good.
    again = code == MISSING_PROPERTY or code in _TRANSIENT_CODES or category in _TRANSIENT_CODES
    return "retry" if again else "dead"


def _listed(answer: Answer, key: str) -> list[dict[str, Any]]:
    values = _object(answer.json).get(key)
    return [one for one in values if isinstance(one, dict)] if isinstance(values, list) else []


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _halves(values: Sequence[_T]) -> tuple[Sequence[_T], Sequence[_T]]:
    middle = len(values) // 2
    return values[:middle], values[middle:]


def _pieces(values: Sequence[_T]) -> Iterator[Sequence[_T]]:
    for start in range(0, len(values), MAX_INPUTS):
        yield values[start : start + MAX_INPUTS]
