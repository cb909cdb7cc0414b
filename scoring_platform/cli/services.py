"""Long-running services from the command line: ``up``, ``webhooks`` and ``sandbox``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from datetime import UTC
from pathlib import Path

import click

from scoring_platform.cli.context import company, prepared_settings
from scoring_platform.cli.deliveries import listening_port, pushed_mail
from scoring_platform.cli.plain import plain
from scoring_platform.contracts.masking import mask_text
from scoring_platform.ledger.inbox import Inbox, KeptLetter
from scoring_platform.ledger.store import Ledger
from scoring_platform.orchestration.runs import fail_orphans, open_instance
from scoring_platform.sandbox.server import serve as serve_sandbox
from scoring_platform.settings import Settings
from scoring_platform.webhooks.providers import open_providers
from scoring_platform.webhooks.server import serve as serve_webhooks

_STOP_SECONDS = 20
_LOOK_EVERY = 0.2
_LETTERS_SHOWN = 100
_LETTER_CHARACTERS = 200
_INTERRUPTED = (0, -signal.SIGINT, 130)
_ROOT = Path(__file__).resolve().parents[2]

Child = subprocess.Popen[bytes]


@click.command(short_help="Start the Dagster UI, its daemon, the webhook receiver and the sandbox.")
@click.option("--port", default=3000, show_default=True, help="Port of the Dagster UI on loopback.")
@click.option("--webhooks-port", type=int, help="Port of the webhook receiver; default as configured.")
def up(port: int, webhooks_port: int | None) -> None:
    """Start the Dagster UI, its daemon, the webhook receiver and, when configured, the sandbox company.

    Ctrl-C stops all; so does the end of any of them.
    """
    settings = prepared_settings()
    with open_instance(settings.home) as instance:
        orphans = fail_orphans(instance, settings.home)
    if orphans:
        click.echo(f"{orphans} runs of a killed process were marked as failed")
    with company(settings):
        open_providers(settings)  # a missing secret is said before anything starts
        receiver_port = listening_port(settings, webhooks_port)
        click.echo(f"Dagster UI: http://127.0.0.1:{port} (first start takes about 20 s)")
        services = {"Dagster": _dagster(port), "the webhook receiver": _receiver(receiver_port)}
        code = _run(services, meanwhile=pushed_mail(settings, port=receiver_port))
    sys.exit(code)


@click.command(short_help="Receive webhooks.")
@click.option("--host", help="Address to listen on; default as configured (loopback).")
@click.option("--port", type=int, help="Port to listen on; default as configured; 0 takes a free one.")
@click.option("--dead-letters", is_flag=True, help="Show what was set aside, and receive nothing.")
@click.option("--json", "as_json", is_flag=True, help="Dead letters as JSON, whole and unmasked.")
def webhooks(host: str | None, port: int | None, *, dead_letters: bool, as_json: bool) -> None:
    """Receive webhooks until Ctrl-C, and say which addresses to configure at the senders."""
    settings = prepared_settings()
    if dead_letters:
        _show_letters(settings, as_json=as_json)
        return
    with company(settings), suppress(KeyboardInterrupt):
        chosen = listening_port(settings, port)
        with pushed_mail(settings, host=host, port=chosen):
            serve_webhooks(settings, host=host, port=chosen, say=click.echo)
    click.echo("Stopped; everything that was acknowledged is kept.")


@click.command(short_help="Serve the sandbox company.")
@click.option("--port", default=0, show_default=True, help="Port on loopback; 0 takes a free one.")
def sandbox(port: int) -> None:
    """Serve the sandbox company on loopback until Ctrl-C."""
    settings = prepared_settings()
    sys.exit(serve_sandbox(settings.home, port=port))


def _dagster(port: int) -> list[str]:
    command = [sys.executable, "-m", "dagster", "dev", "-w", str(_ROOT / "workspace.yaml"), "-h", "127.0.0.1"]
    return [*command, "-p", str(port)]


def _receiver(port: int | None) -> list[str]:
    command = [sys.executable, "-m", "scoring_platform.webhooks.server", "--parent-pid", str(os.getpid())]
    return command if port is None else [*command, "--port", str(port)]


def _start(command: Sequence[str]) -> Child:
    return subprocess.Popen(  # noqa: S603 - our own interpreter and modules
        command,
        cwd=_ROOT,
        start_new_session=True,  # Ctrl-C is for this command, which stops them in its own way
        preexec_fn=_interruptible,  # noqa: PLW1509 - no thread of ours runs yet
    )


def _run(commands: Mapping[str, Sequence[str]], *, meanwhile: AbstractContextManager[None]) -> int:
    """Run services until Ctrl-C, until told to stop, or until the first ends; stop all and return the exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as nohup leaves it
        signal.signal(signal.SIGHUP, signal.default_int_handler)
    children: dict[str, Child] = {}
    try:
        for name, command in commands.items():
            children[name] = _start(command)
        with meanwhile:
            while all(child.poll() is None for child in children.values()):
                time.sleep(_LOOK_EVERY)
    except KeyboardInterrupt:
        _stop(children)
        return 0
    ended = {name: child.returncode for name, child in children.items() if child.poll() is not None}
    _stop(children)
    failed = {name: code for name, code in ended.items() if code not in _INTERRUPTED}
    for name, code in failed.items():
        click.echo(f"Error: {name} ended by itself (exit code {code}); everything was stopped", err=True)
    return 1 if failed else 0


def _stop(children: Mapping[str, Child]) -> None:
    """Tell all to stop and see to it; a second Ctrl-C must not leave one behind."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for child in children.values():
        # Not SIGINT: until a service has read its modules, that is answered with a traceback. Later both mean the same.
        child.terminate()
    deadline = time.monotonic() + _STOP_SECONDS
    for name, child in children.items():
        try:
            child.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            click.echo(f"{name} did not stop within {_STOP_SECONDS} s and is ended", err=True)
            child.kill()
            child.wait()


def _show_letters(settings: Settings, *, as_json: bool) -> None:
    with Ledger(settings.ledger_url) as ledger:
        letters = Inbox(ledger).dead_letters(most=_LETTERS_SHOWN)
    if as_json:
        whole = json.dumps([vars(letter) for letter in letters], ensure_ascii=False, indent=2, default=str)
        click.echo(plain(whole, lines=True))
        return
    for letter in letters:
        click.echo(_words(letter))
    click.echo("no dead letters" if not letters else f"the latest {len(letters)} dead letters, newest first")


def _words(letter: KeptLetter) -> str:
    at = letter.received_at.astimezone(UTC).isoformat(timespec="seconds")
    begins = mask_text(" ".join(letter.body.split())[:_LETTER_CHARACTERS])
    return f"{at} {letter.kind}/{letter.provider}: {plain(letter.reason)}\n    {plain(begins)}"


def _interruptible() -> None:
    """A shell's background job ignores SIGINT, and Dagster does with SIGTERM what it does with SIGINT: restore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
