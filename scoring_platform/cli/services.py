"""Long-running services from the command line: ``up`` and ``sandbox``."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import click

from scoring_platform.cli.context import company, prepared_settings
from scoring_platform.orchestration.runs import fail_orphans, open_instance
from scoring_platform.sandbox.server import serve

_STOP_SECONDS = 20


@click.command(short_help="Start the Dagster UI, its daemon and the sandbox.")
@click.option("--port", default=3000, show_default=True, help="Port of the Dagster UI on loopback.")
def up(port: int) -> None:
    """Start the Dagster UI, its daemon and, when configured, the sandbox company; Ctrl-C stops all."""
    settings = prepared_settings()
    with open_instance(settings.home) as instance:
        orphans = fail_orphans(instance, settings.home)
    if orphans:
        click.echo(f"{orphans} runs of a killed process were marked as failed")
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-m", "dagster", "dev", "-w", str(root / "workspace.yaml"), "-h", "127.0.0.1"]
    with company(settings):
        click.echo(f"Dagster UI: http://127.0.0.1:{port} (first start takes about 20 s)")
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [*command, "-p", str(port)],
            cwd=root,
            preexec_fn=_interruptible,  # noqa: PLW1509 - no thread of ours runs yet
        )
        signal.signal(signal.SIGTERM, lambda *_: process.send_signal(signal.SIGINT))
        try:
            code = process.wait()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            code = process.wait(_STOP_SECONDS)
    sys.exit(0 if code in (0, -signal.SIGINT, 130) else code)


@click.command(short_help="Serve the sandbox company.")
@click.option("--port", default=0, show_default=True, help="Port on loopback; 0 takes a free one.")
def sandbox(port: int) -> None:
    """Serve the sandbox company on loopback until Ctrl-C."""
    settings = prepared_settings()
    sys.exit(serve(settings.home, port=port))


def _interruptible() -> None:
    """A shell's background job ignores SIGINT, and Dagster passes that on: restore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
