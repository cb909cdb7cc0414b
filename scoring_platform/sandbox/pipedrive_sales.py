"""The sandbox's Pipedrive over HTTP: stages of deals, notes, users.

Belongs here: addresses, prices, and the shapes of those answers. Does not belong here: persons, organizations
and deals (``pipedrive``).
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from scoring_platform.sandbox.days import iso_z
from scoring_platform.sandbox.inbound import whole_number
from scoring_platform.sandbox.pipedrive_account import Handler, PipedriveAccount
from scoring_platform.sandbox.pipedrive_pages import MOST_PER_PAGE, good
from scoring_platform.sandbox.pipedrive_past import STAGES, USERS
from scoring_platform.sandbox.pipedrive_rules import RefusedError
from scoring_platform.sandbox.pipedrive_store import Item

_NOTES = "/v1/notes"
_LONGEST_NOTE = 100_000


async def _stages(account: PipedriveAccount, request: Request) -> Response:
    stages = [
        {"id": key, "order_nr": key, "name": name, "is_deleted": False, "pipeline_id": 1, "deal_probability": 100}
        for key, name in STAGES
    ]
    return good(stages, next_cursor=None)


async def _users(account: PipedriveAccount, request: Request) -> Response:
    return good([_user(key, name) for key, name in USERS])


async def _me(account: PipedriveAccount, request: Request) -> Response:
    company = {"company_id": 1, "company_name": "Sandbox Coffee", "company_domain": "sandbox"}
    return good({**_user(*USERS[0]), **company})


async def _list_notes(account: PipedriveAccount, request: Request) -> Response:
    query = request.query_params
    start = whole_number(query.get("start"), 0, least=0, most=10**9)
    limit = whole_number(query.get("limit"), 100, least=1, most=MOST_PER_PAGE)
    person = query.get("person_id")
    if start is None or limit is None or (person is not None and not person.isdigit()):
        raise RefusedError(400, "Validation failed: start, limit or person_id", code="ERR_BAD_REQUEST")
    notes = [_note(key, item) for key, item in account.store.notes(int(person) if person else None).items()]
    kept = [note for note in notes if note["active_flag"]]
    more = len(kept) > start + limit
    pagination: Item = {"start": start, "limit": limit, "more_items_in_collection": more}
    if more:
        pagination["next_start"] = start + limit
    return good(kept[start : start + limit] or None, pagination=pagination)


async def _get_note(account: PipedriveAccount, request: Request) -> Response:
    return good(_known(account, request))


async def _create_note(account: PipedriveAccount, request: Request) -> Response:
    body = await request.json()
    content, person = _content(body), body.get("person_id")
    if not isinstance(person, int):
        message = "One of the fields deal_id, person_id, org_id, lead_id is required"
        raise RefusedError(400, message, code="ERR_BAD_REQUEST")
    account.records.one("persons", person)
    now = iso_z(account.company.clock.instant())
    item = {"content": content, "person_id": person, "add_time": now, "update_time": now, "active_flag": True}
    key = account.store.keep_note(item, person_id=person)
    account.store.log({"operation": "create_note", "id": key, "person_id": person, "content": content})
    return good(_note(key, item))


async def _update_note(account: PipedriveAccount, request: Request) -> Response:
    note, content = _known(account, request), _content(await request.json())
    item = {**note, "content": content, "update_time": iso_z(account.company.clock.instant())}
    account.store.keep_note(item, person_id=note["person_id"], note_id=note["id"])
    account.store.log({
        "operation": "update_note", "id": note["id"], "person_id": note["person_id"], "content": content,
    })  # fmt: skip
    return good(item)


async def _delete_note(account: PipedriveAccount, request: Request) -> Response:
    note = _known(account, request)
    account.store.keep_note({**note, "active_flag": False}, person_id=note["person_id"], note_id=note["id"])
    return good({"id": note["id"]})


TABLE: tuple[tuple[str, str, Handler, int], ...] = (
    ("GET", "/api/v2/stages", _stages, 5),
    ("GET", "/v1/users", _users, 20),
    ("GET", "/v1/users/me", _me, 2),
    ("GET", _NOTES, _list_notes, 20),
    ("POST", _NOTES, _create_note, 10),
    ("GET", f"{_NOTES}/{{note_id:int}}", _get_note, 2),
    ("PUT", f"{_NOTES}/{{note_id:int}}", _update_note, 10),
    ("DELETE", f"{_NOTES}/{{note_id:int}}", _delete_note, 6),
)
"""Method, address, handler and price in tokens."""


def _known(account: PipedriveAccount, request: Request) -> Item:
    key = request.path_params["note_id"]
    item = account.store.notes().get(key)
    if item is None or not item["active_flag"]:
        raise RefusedError(404, "Note not found", code="ERR_NOT_FOUND")
    return _note(key, item)


def _content(body: Any) -> str:
    content = body.get("content") if isinstance(body, dict) else None
    if not isinstance(content, str) or not content.strip():
        raise RefusedError(400, "Field content is required", code="ERR_BAD_REQUEST")
    if len(content) > _LONGEST_NOTE:
        raise RefusedError(400, f"Content is longer than {_LONGEST_NOTE} characters", code="ERR_BAD_REQUEST")
    return content


def _note(key: int, item: Item) -> Item:
    return {"deal_id": None, "org_id": None, "lead_id": None, "user_id": USERS[0][0], **item, "id": key}


def _user(key: int, name: str) -> Item:
    return {"id": key, "name": name, "email": f"user{key}@example.com", "active_flag": True, "is_deleted": False}
