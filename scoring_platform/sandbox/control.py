"""The sandbox's control endpoints: health, the clock, faults, the count of requests, webhooks.

Belongs here: what tests and the platform's launcher ask of the sandbox itself. Does not belong here: vendors.
"""

from __future__ import annotations

import os
from datetime import datetime

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from scoring_platform.sandbox.company import Company
from scoring_platform.sandbox.days import iso_z
from scoring_platform.sandbox.event_webhook import EventWebhook
from scoring_platform.sandbox.faults import Fault
from scoring_platform.sandbox.inbound import fields
from scoring_platform.sandbox.pushing import Push, UndeliveredError, is_loopback
from scoring_platform.sandbox.survey_webhook import SurveyWebhook


def routes(company: Company) -> list[Route]:
    """Return the control endpoints of ``company``."""
    control = _Control(company)
    return [
        Route("/healthz", control.health),
        Route("/_sandbox/clock", control.clock, methods=["POST"]),
        Route("/_sandbox/faults", control.faults, methods=["POST", "DELETE"]),
        Route("/_sandbox/requests", control.requests, methods=["GET", "DELETE"]),
        Route("/_sandbox/webhooks", control.webhooks, methods=["POST"]),
    ]


class _Control:
    def __init__(self, company: Company) -> None:
        self._company = company
        pushes: tuple[Push, ...] = (EventWebhook(company), SurveyWebhook(company))
        self._pushes = {push.vendor: push for push in pushes}

    def health(self, _request: Request) -> Response:
        return JSONResponse({"ok": True, "now": iso_z(self._company.clock.instant()), "pid": os.getpid()})

    async def clock(self, request: Request) -> Response:
        clock, text = self._company.clock, (await fields(request)).get("now")
        try:
            clock.set(None if text is None else datetime.fromisoformat(text))
        except (TypeError, ValueError):
            return JSONResponse({"error": "now must be an ISO 8601 instant or null"}, status_code=400)
        return JSONResponse({"now": iso_z(clock.instant()), "set": clock.is_set})

    async def faults(self, request: Request) -> Response:
        if request.method == "DELETE":
            self._company.faults.clear()
            return Response(status_code=204)
        try:
            self._company.faults.add(Fault(**await fields(request)))
        except (TypeError, ValueError) as error:
            return JSONResponse({"error": str(error)}, status_code=400)
        return Response(status_code=204)

    def requests(self, request: Request) -> Response:
        if request.method == "DELETE":
            self._company.faults.forget_requests()
            return Response(status_code=204)
        return JSONResponse({"requests": self._company.faults.requests()})

    async def webhooks(self, request: Request) -> Response:
        asked = await fields(request)
        url = str(asked.get("url"))
        push = self._pushes.get(str(asked.get("vendor")))
        if push is None or not is_loopback(url):
            known = " or ".join(self._pushes)
            return JSONResponse({"error": f"vendor must be {known}, and url http:// on loopback"}, status_code=400)
        try:
            # In a thread: the receiver may well ask this server something before it answers.
            return JSONResponse({"delivered": await run_in_threadpool(push.deliver, url)})
        except UndeliveredError as error:
            return JSONResponse({"error": str(error)}, status_code=502)
