"""The shop's bulk operations: a query that is run aside and answered with one file.

Belongs here: which queries are accepted, how many may run, the lines of the file. Does not belong here: resolving the
fields of a query (``shopify``).
"""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any

from graphql import DocumentNode, FieldNode, GraphQLError, SelectionSetNode, parse
from graphql.language import InlineFragmentNode, OperationDefinitionNode
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from scoring_platform.sandbox.company import Company
from scoring_platform.sandbox.days import iso_z
from scoring_platform.sandbox.shopify_nodes import Node

FILE_SECONDS = 7 * 86_400
_MOST_AT_ONCE = 5
_KEPT = 20
_MOST_CONNECTIONS, _DEEPEST = 5, 2
_RUNS_AT_MOST_SECONDS = 60.0
_LOOK_SECONDS = 10.0
_AHEAD_ONE_IN, _BEHIND = 5, 3
_CHUNK = 256 * 1024
_GZIP = 31

Check = Callable[[DocumentNode], None]
"""Raises GraphQLError for a query that the schema does not allow."""

Answering = Callable[[DocumentNode], Iterator[dict[str, Any]]]
"""Answers a query whose connections have no pages part by part; raises GraphQLError."""

Run = Callable[[], Iterator[dict[str, Any]]]


@dataclass
class Operation:
    """One operation.

    Attributes:
        number: Its number.
        created_at: When it was started.
        query: What was asked.
        looks: How often it is said to run, finished or not.
        path: The file.
        objects: How many lines those are.
        roots: How many of them belong to no other.
        failed: Whether it went wrong.
        cancelled: Whether it was cancelled.
        finished: Set when it has come to an end.
        started: When it began, by the server's own clock.
    """

    number: int
    created_at: int
    query: str
    looks: int
    path: Path
    objects: int = 0
    roots: int = 0
    failed: bool = False
    cancelled: bool = False
    finished: Event = field(default_factory=Event)
    started: float = field(default_factory=time.monotonic)

    @property
    def status(self) -> str:
        """Its state in the shop's words; one that nobody looks at ends by itself."""
        if self.cancelled:
            return "CANCELED"
        forgotten = time.monotonic() - self.started > _RUNS_AT_MOST_SECONDS
        if not self.finished.is_set() or (self.looks > 0 and not forgotten):
            return "RUNNING"
        return "FAILED" if self.failed else "COMPLETED"

    def work(self, run: Run) -> None:
        """Make the file."""
        try:
            with self.path.open("wb") as file:
                for line, is_root in _lines(run()):
                    file.write(line + b"\n")
                    self.objects, self.roots = self.objects + 1, self.roots + is_root
        except (GraphQLError, OSError):
            self.failed = True
        finally:
            self.finished.set()


class Operations:
    """The operations of the shop, the newest ones only."""

    def __init__(self, company: Company) -> None:
        """Start without any."""
        self._company = company
        self._folder = company.state_dir / "bulk"
        self._kept: dict[int, Operation] = {}
        self._lock = Lock()
        self._next = 1

    def start(self, query: str, now: int, *, check: Check, run: Answering) -> Node:
        """Answer ``bulkOperationRunQuery``."""
        try:
            document = parse(query)
            _check(document)
            check(document)
        except GraphQLError as error:
            return _refused("INVALID", f"Invalid bulk query: {error.message}")
        with self._lock:
            if sum(operation.status == "RUNNING" for operation in self._kept.values()) >= _MOST_AT_ONCE:
                return _refused("OPERATION_IN_PROGRESS", "A bulk query operation for this app and shop is in progress.")
            operation = self._new(query, now)
        Thread(target=operation.work, args=[partial(run, document)], daemon=True).start()
        return {"bulkOperation": {"id": _gid(operation), "status": "CREATED"}, "userErrors": []}

    def _new(self, query: str, now: int) -> Operation:
        """Keep one operation more, and the oldest one no longer."""
        number, looks = self._next, self._company.limits.shopify_bulk_looks
        self._folder.mkdir(exist_ok=True)
        self._kept[number] = Operation(number, now, query, looks, self._folder / f"{number}.jsonl")
        oldest = self._kept.pop(number - _KEPT, None)
        if oldest is not None:
            oldest.path.unlink(missing_ok=True)
        self._next += 1
        return self._kept[number]

    def state(self, gid: str, base: str) -> Node | None:
        """Answer ``bulkOperation``; ``base`` is the address the shop answers at."""
        operation = self._find(gid)
        if operation is None:
            return None
        # Most operations here are done within a moment, which is shorter than any client's wait between two looks.
        operation.finished.wait(_LOOK_SECONDS)
        with self._lock:
            status = operation.status
            operation.looks -= 1
        return _node(operation, status, url=f"{base}/bulk/{self._file(operation)}")

    def cancel(self, gid: str) -> Node:
        """Answer ``bulkOperationCancel``."""
        operation = self._find(gid)
        if operation is None:
            return {"bulkOperation": None, "userErrors": [{"field": ["id"], "message": "Bulk operation not found"}]}
        operation.cancelled = True
        return {"bulkOperation": {"id": gid, "status": "CANCELING"}, "userErrors": []}

    async def file(self, request: Request) -> Response:
        """Answer the download, which needs the signature in its address and must not bring a token."""
        signed = self._company.tokens.accepts("shopify-file", request.query_params.get("signature", ""))
        number = request.path_params["number"]
        operation = self._kept.get(number)
        if not signed or operation is None or "x-shopify-access-token" in request.headers:
            return JSONResponse({"error": "AccessDenied"}, status_code=403)
        if "gzip" not in request.headers.get("accept-encoding", ""):
            return StreamingResponse(_chunks(operation.path), media_type="application/jsonl")
        packed = _packed(_chunks(operation.path))
        return StreamingResponse(packed, media_type="application/jsonl", headers={"Content-Encoding": "gzip"})

    def _file(self, operation: Operation) -> str:
        signature = self._company.tokens.issue("shopify-file", lifetime_seconds=FILE_SECONDS)
        return f"{operation.number}.jsonl?signature={signature}"

    def _find(self, gid: str) -> Operation | None:
        number = gid.rpartition("/")[2]
        return self._kept.get(int(number)) if number.isdigit() else None


def _gid(operation: Operation) -> str:
    return f"gid://shopify/BulkOperation/{operation.number}"


def _refused(code: str, message: str) -> Node:
    return {"bulkOperation": None, "userErrors": [{"field": ["query"], "code": code, "message": message}]}


def _node(operation: Operation, status: str, *, url: str) -> Node:
    done = status == "COMPLETED"
    return {
        "__typename": "BulkOperation",
        "id": _gid(operation),
        "status": status,
        "errorCode": "INTERNAL_SERVER_ERROR" if status == "FAILED" else None,
        "createdAt": iso_z(operation.created_at),
        "completedAt": iso_z(operation.created_at) if done else None,
        "objectCount": str(operation.objects) if done else "0",
        "rootObjectCount": str(operation.roots) if done else "0",
        "fileSize": str(operation.path.stat().st_size) if done else None,
        "url": url if done and operation.objects else None,
        "partialDataUrl": None,
        "query": operation.query,
    }


def _check(document: DocumentNode) -> None:
    """Refuse what the shop refuses: no connection, too many, too deep, a parent without an id."""
    operations = [d for d in document.definitions if isinstance(d, OperationDefinitionNode)]
    depths = [depth for operation in operations for depth in _depths(operation.selection_set, 0, parent=None)]
    if not depths:
        msg = "The bulk query must contain at least one connection."
    elif len(depths) > _MOST_CONNECTIONS:
        msg = f"The bulk query cannot contain more than {_MOST_CONNECTIONS} connections."
    elif max(depths) > _DEEPEST:
        msg = f"The bulk query cannot contain connections nested deeper than {_DEEPEST} levels."
    else:
        return
    raise GraphQLError(msg)


def _depths(selections: SelectionSetNode | None, depth: int, *, parent: SelectionSetNode | None) -> Iterator[int]:
    """Yield the nesting of every connection; ``parent`` selects the fields of the node around it."""
    for chosen in selections.selections if selections else ():
        if isinstance(chosen, InlineFragmentNode):
            yield from _depths(chosen.selection_set, depth, parent=parent)
        elif isinstance(chosen, FieldNode) and "edges" in _names(chosen.selection_set):
            if parent is not None and "id" not in _names(parent):
                msg = "The parent 'node' field for a nested connection must select the 'id' field."
                raise GraphQLError(msg)
            yield depth + 1
            yield from _depths(chosen.selection_set, depth + 1, parent=None)
        elif isinstance(chosen, FieldNode):
            inner = chosen.selection_set if chosen.name.value == "node" else parent
            yield from _depths(chosen.selection_set, depth, parent=inner)


def _names(selections: SelectionSetNode | None) -> set[str]:
    chosen = selections.selections if selections else ()
    return {one.name.value for one in chosen if isinstance(one, FieldNode)}


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from iter(partial(file.read, _CHUNK), b"")


def _packed(chunks: Iterator[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(level=1, wbits=_GZIP)
    for chunk in chunks:
        yield packer.compress(chunk)
    yield packer.flush()


def _lines(parts: Iterator[dict[str, Any]]) -> Iterator[tuple[bytes, bool]]:
    """Yield every line and whether it is a root's; lines of children stand apart from their parent, even before it."""
    behind: list[list[tuple[bytes, bool]]] = []
    nodes = (node for data in parts for value in data.values() if _lists(value) for node in _nodes(value))
    for place, node in enumerate(nodes):
        own, children = _split(node)
        if place % _AHEAD_ONE_IN == 0:
            yield from children
            children = []
        yield _line(own), True
        behind.append(children)
        if len(behind) > _BEHIND:
            yield from behind.pop(0)
    for children in behind:
        yield from children


def _split(node: Node) -> tuple[Node, list[tuple[bytes, bool]]]:
    own = {name: value for name, value in node.items() if not _lists(value)}
    children = [
        (_line({**child, "__parentId": node["id"]}), False)
        for value in node.values()
        if _lists(value)
        for child in _nodes(value)
    ]
    return own, children


def _lists(value: object) -> bool:
    return isinstance(value, dict) and "edges" in value


def _nodes(connection: Node) -> list[Node]:
    return [edge["node"] for edge in connection["edges"]]


def _line(node: Node) -> bytes:
    return json.dumps(node, ensure_ascii=False, separators=(",", ":")).replace("/", "\\/").encode()
