"""The sandbox workspace: the part of Slack's Web API the platform uses.

Belongs here: posting, updating, uploading one file, and the refusals the vendor gives. Does not belong here: reading
what was posted (``outbox``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from scoring_platform.sandbox.limits import LeakyBucket
from scoring_platform.sandbox.outbox import MESSAGES, append_line, messages

if TYPE_CHECKING:
    from scoring_platform.sandbox.company import Company

BURST = 30.0
PER_SECOND = 1.0
MAX_BLOCKS = 50
MAX_TEXT = 40_000

_CHANNEL = re.compile(r"^[CDG][A-Z0-9]{2,}$")
_ARCHIVED = "C0ARCHIVED"

Fields = Mapping[str, Any]


class SlackError(Exception):
    """Slack's way to say no: HTTP 200 with ``ok: false``."""

    def __init__(self, code: str, *notes: str) -> None:
        super().__init__(code)
        self.code = code
        self.notes = notes


def routes(company: Company) -> list[BaseRoute]:
    """Return the addresses of the workspace."""
    workspace = Workspace(company)
    methods: dict[str, Callable[[Fields, Request], dict[str, Any]]] = {
        "api.test": workspace.api_test,
        "auth.test": workspace.auth_test,
        "chat.postMessage": workspace.post,
        "chat.update": workspace.update,
        "files.getUploadURLExternal": workspace.upload_address,
        "files.completeUploadExternal": workspace.complete_upload,
    }
    calls: list[BaseRoute] = [
        Route(f"/api/{name}", workspace.answering(method), methods=["GET", "POST"]) for name, method in methods.items()
    ]
    return [*calls, Route("/upload/v1/{file_id:str}", workspace.receive_file, methods=["POST"])]


class Workspace:
    """One workspace with one bot."""

    def __init__(self, company: Company) -> None:
        self._company = company
        self._folder = company.state_dir / "slack"
        self._files = self._folder / "files"
        self._files.mkdir(parents=True, exist_ok=True)
        self._token = company.credentials["slack"]["token"]
        self._buckets: dict[str, LeakyBucket] = {}
        self._lock = Lock()

    def answering(
        self, method: Callable[[Fields, Request], dict[str, Any]]
    ) -> Callable[[Request], Awaitable[Response]]:
        """Return an endpoint that checks the token and the rate, and words refusals."""

        async def endpoint(request: Request) -> Response:
            fields = await _fields(request)
            try:
                if request.url.path.rpartition("/")[2] != "api.test":
                    self._authenticate(request)
                if not self._allowed(str(fields.get("channel", ""))):
                    return JSONResponse({"ok": False, "error": "ratelimited"}, 429, headers={"Retry-After": "1"})
                return JSONResponse({"ok": True, **method(fields, request)})
            except SlackError as error:
                body: dict[str, Any] = {"ok": False, "error": error.code}
                if error.notes:
                    body["response_metadata"] = {"messages": list(error.notes)}
                return JSONResponse(body)

        return endpoint

    def api_test(self, fields: Fields, request: Request) -> dict[str, Any]:
        """Answer without looking at anything."""
        return {"args": {}}

    def auth_test(self, fields: Fields, request: Request) -> dict[str, Any]:
        """Say who the token belongs to."""
        return {"team": "Sandbox Coffee", "user": "scoring", "team_id": "T0SANDBOX", "user_id": "U0SCORING"}

    def post(self, fields: Fields, request: Request) -> dict[str, Any]:
        """Post a message."""
        channel = _channel(fields.get("channel"))
        message = _message(fields)
        if fields.get("thread_ts"):
            message["thread_ts"] = str(fields["thread_ts"])
        with self._lock:
            ts = self._next_ts()
            self._keep({"channel": channel, "ts": ts, **message})
        posted = {"type": "message", "bot_id": "B0SCORING", "ts": ts, **message}
        return {"channel": channel, "ts": ts, "message": posted}

    def update(self, fields: Fields, request: Request) -> dict[str, Any]:
        """Replace the content of a message."""
        channel, ts = _channel(fields.get("channel")), str(fields.get("ts", ""))
        with self._lock:
            before = [one for one in messages(self._company.state_dir) if (one["channel"], one["ts"]) == (channel, ts)]
            if not before:
                raise SlackError("message_not_found")
            message = {**before[0], **_message(fields), "edited": True}
            self._keep(message)
        return {"channel": channel, "ts": ts, "text": message["text"], "message": message}

    def upload_address(self, fields: Fields, request: Request) -> dict[str, Any]:
        """Give an address to send a file's bytes to."""
        name, length = str(fields.get("filename", "")), str(fields.get("length", ""))
        if not name or not length.isdigit() or int(length) == 0:
            raise SlackError("invalid_arguments", "[ERROR] filename and length are required")
        with self._lock:
            file_id = f"F0{len(list(self._files.glob('*.json'))) + 1:06d}"
            self._note(file_id, {"id": file_id, "name": name, "length": int(length), "alt_txt": fields.get("alt_txt")})
        root = str(request.url).partition("/api/")[0]
        return {"upload_url": f"{root}/upload/v1/{file_id}", "file_id": file_id}

    async def receive_file(self, request: Request) -> Response:
        """Take a file's bytes."""
        file_id = request.path_params["file_id"]
        if not self._card(file_id).exists():
            return PlainTextResponse("no such upload", 404)
        content = await request.body()
        (self._files / f"{file_id}.bin").write_bytes(content)
        return PlainTextResponse(f"OK - {len(content)}")

    def complete_upload(self, fields: Fields, request: Request) -> dict[str, Any]:
        """Share uploaded files in a channel."""
        listed = fields.get("files")
        files = json.loads(listed) if isinstance(listed, str) else listed
        if not files:
            raise SlackError("invalid_arguments", "[ERROR] missing required field: files")
        shared = [self._shared(one) for one in files]
        if fields.get("channel_id"):
            channel = _channel(fields["channel_id"], names=False)
            message = {"text": str(fields.get("initial_comment") or ""), "blocks": [], "files": shared}
            if fields.get("thread_ts"):
                message["thread_ts"] = str(fields["thread_ts"])
            with self._lock:
                self._keep({"channel": channel, "ts": self._next_ts(), **message})
        return {"files": [{"id": one["id"], "title": one["title"]} for one in shared]}

    def _shared(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        card, content = self._card(str(wanted.get("id"))), self._files / f"{wanted.get('id')}.bin"
        if not card.exists() or not content.exists():
            raise SlackError("file_not_found")
        known = json.loads(card.read_text(encoding="utf-8"))
        if content.stat().st_size != known["length"]:
            raise SlackError("file_upload_size_mismatch")
        return {**known, "title": wanted.get("title") or known["name"], "path": str(content)}

    def _authenticate(self, request: Request) -> None:
        header = request.headers.get("Authorization")
        if header is None:
            raise SlackError("not_authed")
        if header != f"Bearer {self._token}":
            raise SlackError("invalid_auth")

    def _allowed(self, channel: str) -> bool:
        if not channel:
            return True
        return self._buckets.setdefault(channel, LeakyBucket(BURST, PER_SECOND)).take(1)

    def _next_ts(self) -> str:
        stamps = [one["ts"] for one in messages(self._company.state_dir)]
        return f"{int(self._company.now().timestamp())}.{len(stamps) + 1:06d}"

    def _keep(self, message: Mapping[str, Any]) -> None:
        append_line(self._company.state_dir / MESSAGES, message)

    def _note(self, file_id: str, card: Mapping[str, Any]) -> None:
        self._card(file_id).write_text(json.dumps(card), encoding="utf-8")

    def _card(self, file_id: str) -> Path:
        return self._files / f"{file_id}.json"


async def _fields(request: Request) -> Fields:
    raw = (await request.body()).decode()
    fields: dict[str, Any] = dict(request.query_params)
    if "json" in request.headers.get("Content-Type", ""):
        return {**fields, **(json.loads(raw) if raw else {})}
    return {**fields, **{name: values[-1] for name, values in parse_qs(raw).items()}}


def _channel(value: object, *, names: bool = True) -> str:
    channel = str(value or "")
    if channel == _ARCHIVED:
        raise SlackError("is_archived")
    if _CHANNEL.match(channel) or (names and channel.startswith("#")):
        return channel
    raise SlackError("channel_not_found")


def _message(fields: Fields) -> dict[str, Any]:
    blocks = fields.get("blocks") or []
    blocks = json.loads(blocks) if isinstance(blocks, str) else blocks
    text = str(fields.get("text") or "")
    if not text and not blocks:
        raise SlackError("no_text")
    faults = _block_faults(blocks)
    if faults:
        raise SlackError("invalid_blocks", *faults)
    return {"text": text[:MAX_TEXT], "blocks": blocks}


def _block_faults(blocks: list[dict[str, Any]]) -> list[str]:
    faults = []
    if len(blocks) > MAX_BLOCKS:
        faults.append(f"[ERROR] no more than {MAX_BLOCKS} items allowed [json-pointer:/blocks]")
    for number, block in enumerate(blocks):
        where = f"[json-pointer:/blocks/{number}"
        kind = block.get("type")
        limit = {"header": 150, "section": 3000}.get(str(kind))
        if kind not in ("header", "section", "context", "divider", "actions", "image"):
            faults.append(f"[ERROR] unsupported type: {kind} {where}/type]")
        if limit and not 0 < len(str(block.get("text", {}).get("text", "?"))) <= limit:
            faults.append(f"[ERROR] must be 1 to {limit} characters {where}/text/text]")
        if len(block.get("fields", [])) > 10 or any(len(one.get("text", "")) > 2000 for one in block.get("fields", [])):
            faults.append(f"[ERROR] no more than 10 fields of 2000 characters {where}/fields]")
        if kind == "context" and not 0 < len(block.get("elements", [])) <= 10:
            faults.append(f"[ERROR] 1 to 10 elements {where}/elements]")
    return faults
