"""The registry of destinations: one line per CRM and channel.

Belongs here: which configuration section opens which client. Does not belong here: any vendor's protocol.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial

from scoring_platform.config.base import SANDBOX
from scoring_platform.destinations.email import Login, Mailer
from scoring_platform.destinations.hubspot import Hubspot
from scoring_platform.destinations.pipedrive import Pipedrive
from scoring_platform.destinations.protocol import Crm
from scoring_platform.destinations.salesforce import Salesforce
from scoring_platform.destinations.slack import Slack
from scoring_platform.endpoints import resolve, running_sandbox
from scoring_platform.ledger.rates import shared_rates
from scoring_platform.settings import Settings


@contextmanager
def open_crms(settings: Settings) -> Iterator[list[Crm]]:
    """Give a client per configured CRM, closed afterwards."""
    with ExitStack() as stack:
        crms: list[Crm] = []
        hubspot = settings.config.destinations.hubspot
        if hubspot is not None:
            endpoint = resolve(settings, "hubspot", hubspot.endpoint)
            client = Hubspot.connect(
                hubspot,
                endpoint.url,
                token=lambda: endpoint.credential("token"),
                memory=shared_rates(settings.ledger_url, "hubspot", endpoint.url),
            )
            crms.append(stack.enter_context(closing(client)))
        salesforce = settings.config.destinations.salesforce
        if salesforce is not None:
            endpoint_of_org = resolve(settings, "salesforce", salesforce.endpoint)
            org = Salesforce.connect(salesforce, endpoint_of_org.url, credential=endpoint_of_org.credential)
            crms.append(stack.enter_context(closing(org)))
        pipedrive = settings.config.destinations.pipedrive
        if pipedrive is not None:
            endpoint_of_company = resolve(settings, "pipedrive", pipedrive.endpoint)
            credential = endpoint_of_company.credential
            memory = shared_rates(settings.ledger_url, "pipedrive", endpoint_of_company.url)
            company = Pipedrive.connect(pipedrive, endpoint_of_company.url, credential=credential, memory=memory)
            crms.append(stack.enter_context(closing(company)))
        yield crms


def open_mailer(settings: Settings) -> Mailer | None:
    """Return the configured mail server."""
    email = settings.config.destinations.email
    if email is None:
        return None
    if email.host == SANDBOX:
        return Mailer("127.0.0.1", running_sandbox(settings).smtp_port, security="none")
    wants_login = email.security != "none"
    login = partial(_login, settings) if wants_login else None
    return Mailer(email.host, email.port, security=email.security, login=login)


def open_slack(settings: Settings) -> Slack | None:
    """Return the configured Slack workspace."""
    slack = settings.config.destinations.slack
    if slack is None:
        return None
    endpoint = resolve(settings, "slack", slack.endpoint)
    return Slack(endpoint.url, lambda: endpoint.credential("token"))


def _login(settings: Settings) -> Login:
    return Login(settings.credential("email", "user"), settings.credential("email", "password"))
