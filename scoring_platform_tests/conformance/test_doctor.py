"""``doctor`` says in one line per system what is wrong and how to mend it, whatever is wrong."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from scoring_platform.cli.doctor import doctor
from scoring_platform.cli.premises import LEAST_FREE
from scoring_platform.lake.tree import Lake
from scoring_platform.sandbox.credentials import service_account
from scoring_platform.sources.registry import SOURCES
from scoring_platform_tests.conformance.world import ONE_EACH, World, section_of
from scoring_platform_tests.http.loopback import Loopback, reply, serving

ALWAYS = 100_000

Examine = Callable[..., Result]


@pytest.fixture
def examine(monkeypatch: pytest.MonkeyPatch) -> Examine:
    """Run the command in an environment of its own."""
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "DAGSTER_HOME", "SCORING_DAGSTER_STORAGE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DAGSTER_HOME", str(Path(__file__).resolve().parents[2]))

    def run(environment: dict[str, str], *arguments: str) -> Result:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return CliRunner().invoke(doctor, arguments)

    return run


def line_of(done: Result, name: str) -> str:
    """The line about a system."""
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    lines = [line for line in done.stdout.splitlines() if line.split()[1] == name]
    assert len(lines) == 1, done.stdout
    return lines[0]


def assert_failed(done: Result, name: str, *, words: str) -> None:
    line = line_of(done, name)
    assert done.exit_code == 1
    assert line.startswith("FAILED"), line
    assert words in line
    assert "@" not in line


def secrets_of(name: str, world: World) -> list[str]:
    variables = [variable for variable in world.variables if variable.startswith(f"SCORING_{name}_".upper())]
    return [variable for variable in variables if "WEBHOOK" not in variable]


@pytest.mark.parametrize("name", ONE_EACH)
def test_a_system_that_is_well_is_said_to_be_well(world: World, examine: Examine, name: str) -> None:
    environment = {**world.environment(name), "SCORING_WEBSITE_WEBHOOK_SECRET": "x" * 40}

    line = line_of(examine(environment), name)

    assert line.startswith("ok"), line


@pytest.mark.parametrize("name", ONE_EACH)
def test_a_wrong_credential_names_its_variable(world: World, examine: Examine, name: str, tmp_path: Path) -> None:
    # Another home has another service account; elsewhere any other text will do.
    wrong = service_account(tmp_path) if name == "ga4" else "wrong-us0"
    environment = {**world.environment(name), **dict.fromkeys(secrets_of(name, world), wrong)}

    assert_failed(examine(environment), name, words=f"SCORING_{name.upper()}_")


@pytest.mark.parametrize("name", ONE_EACH)
def test_a_missing_credential_names_its_variable(world: World, examine: Examine, name: str) -> None:
    environment = {**world.environment(name), **dict.fromkeys(secrets_of(name, world), "")}

    assert_failed(examine(environment), name, words=f"set SCORING_{name.upper()}_")


@pytest.mark.parametrize("name", ONE_EACH)
def test_a_missing_scope_says_what_to_grant(world: World, examine: Examine, name: str) -> None:
    world.fault(name, "status", status=403, times=ALWAYS, skip=1 if _asks_for_a_token(world, name) else 0)

    assert_failed(examine(world.environment(name)), name, words=SOURCES[name].access)


@pytest.mark.parametrize("name", ONE_EACH)
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"kind": "html", "status": 200}, "instead of JSON"),
        ({"kind": "status", "status": 404}, "answered 404"),
        ({"kind": "throttle"}, "run again later"),
    ],
    ids=["a web page", "a wrong name", "throttled"],
)
def test_an_answer_that_is_no_good_names_the_settings(
    world: World, examine: Examine, name: str, fault: dict[str, Any], words: str
) -> None:
    world.fault(name, **fault, times=ALWAYS)

    done = examine(world.environment(name))

    assert_failed(done, name, words=words)
    assert f"sources.{name} in " in line_of(done, name)


@pytest.mark.parametrize("name", ONE_EACH)
def test_a_host_nobody_knows_is_named(
    world: World, examine: Examine, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_up = socket.getaddrinfo

    def unknown(host: Any, *arguments: Any, **more: Any) -> Any:
        if str(host).endswith(".example"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return look_up(host, *arguments, **more)

    monkeypatch.setattr(socket, "getaddrinfo", unknown)

    done = examine(world.environment(name, **_at(name, "https://coffe.example")))

    assert_failed(done, name, words="nobody knows the host coffe.example")
    assert f"sources.{name} in " in line_of(done, name)


@pytest.mark.parametrize("name", ONE_EACH)
def test_a_closed_port_is_told_from_a_broken_line(world: World, examine: Examine, name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    done = examine(world.environment(name, **_at(name, f"http://127.0.0.1:{port}")))

    assert_failed(done, name, words="127.0.0.1 refuses it")


@pytest.mark.parametrize("name", ONE_EACH)
def test_a_certificate_nobody_vouches_for_is_named(world: World, examine: Examine, name: str, imposter: str) -> None:
    done = examine(world.environment(name, **_at(name, imposter)))

    assert_failed(done, name, words="has a certificate that is not trusted")
    assert f"sources.{name} in " in line_of(done, name)


def test_a_clock_that_is_far_from_ours_is_a_warning_and_no_failure(examine: Examine, world: World) -> None:
    with serving() as loopback:
        done = examine(world.environment("formbricks", endpoint=_skewed(loopback, timedelta(minutes=-7))))

    line = line_of(done, "formbricks")
    assert done.exit_code == 0, done.output
    assert line.startswith("WARN")
    assert "its clock is 7 minutes behind ours: set this machine's clock" in line


def test_a_clock_a_minute_away_is_nothing_to_talk_about(examine: Examine, world: World) -> None:
    with serving() as loopback:
        done = examine(world.environment("formbricks", endpoint=_skewed(loopback, timedelta(seconds=90))))

    assert line_of(done, "formbricks").startswith("ok")


def test_json_has_nothing_but_the_results(world: World, examine: Examine) -> None:
    world.fault("formbricks", "status", status=401, times=ALWAYS)

    done = examine(world.environment("formbricks"), "--json")

    results = {result["system"]: result for result in json.loads(done.stdout)}
    assert done.exit_code == 1
    assert results.keys() == {"configuration", "home", "formbricks"}
    assert results["home"]["ok"]
    assert results["home"]["level"] == "ok"
    assert not results["formbricks"]["ok"]
    assert results["formbricks"]["level"] == "failed"


def test_a_sender_without_its_secret_is_named(world: World, examine: Examine) -> None:
    environment = world.environment("webhooks")

    assert_failed(examine(environment), "receiver", words="set SCORING_WEBSITE_WEBHOOK_SECRET")
    well = examine({**environment, "SCORING_WEBSITE_WEBHOOK_SECRET": "x" * 40})

    assert "/webhooks/events/website" in line_of(well, "receiver")
    assert well.exit_code == 0, well.output


def test_a_full_disk_is_a_warning(world: World, examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=LEAST_FREE - 1))

    done = examine(world.environment("formbricks"))

    assert done.exit_code == 0
    assert line_of(done, "home").startswith("WARN")
    assert "only 1023 MB are free" in line_of(done, "home")


@pytest.mark.parametrize("ledger", ["sqlite:///{folder}", "postgresql+psycopg://scoring:hush@127.0.0.1:1/ledger"])
def test_a_ledger_that_cannot_be_written_is_a_failure_that_hides_the_password(
    world: World, examine: Examine, ledger: str, tmp_path: Path
) -> None:
    done = examine({**world.environment("formbricks"), "SCORING_LEDGER_URL": ledger.format(folder=tmp_path)})

    assert_failed(done, "home", words="SCORING_LEDGER_URL")
    assert "hush" not in done.output


@pytest.mark.parametrize(("age", "word"), [(1, "ok"), (2, "ok"), (3, "WARN")])
def test_a_lake_nobody_has_filled_for_days_is_a_warning(
    world: World, examine: Examine, tmp_path: Path, age: int, word: str
) -> None:
    lake = Lake(tmp_path / "lake")
    with lake.staging() as folder:
        (folder / "part.parquet").write_bytes(b"")
        lake.publish("customer_segments", _today() - timedelta(days=age), folder, version="v1", rows=0, info={})

    line = line_of(examine({**world.environment("formbricks"), "SCORING_HOME": str(tmp_path)}), "home")

    assert line.startswith(word)
    assert ("scoring-platform run" in line) == (word == "WARN")


def _today() -> date:
    return datetime.now(ZoneInfo("Asia/Tokyo")).date()


def _asks_for_a_token(world: World, name: str) -> bool:
    return world.baseline(ONE_EACH[name]).exchanges[0].is_token


def _at(name: str, endpoint: str) -> dict[str, Any]:
    return {key: value for key, value in section_of(name, endpoint).items() if key.endswith("endpoint")}


def _skewed(loopback: Loopback, by: timedelta) -> str:
    """A survey tool whose clock is wrong."""
    date_header = {"Date": format_datetime(datetime.now(UTC) + by, usegmt=True)}
    loopback.script([reply({"data": {"workspaces": []}}, headers=date_header)])
    return loopback.url


@pytest.fixture(scope="module")
def imposter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with a certificate it made for itself."""
    pem = tmp_path_factory.mktemp("imposter") / "own.pem"
    pem.write_bytes(_self_signed())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with socket.create_server(("127.0.0.1", 0)) as listener, _accepting(listener, context):
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def _accepting(listener: socket.socket, context: ssl.SSLContext) -> Iterator[None]:
    def accept() -> None:
        while True:
            try:
                caller, _ = listener.accept()
            except OSError:  # the listener was closed
                return
            try:
                context.wrap_socket(caller, server_side=True).close()
            except OSError:  # the caller does not trust us
                caller.close()

    thread = Thread(target=accept, daemon=True)
    thread.start()
    yield
    listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def _self_signed() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return pem + made.public_bytes(serialization.Encoding.PEM)
