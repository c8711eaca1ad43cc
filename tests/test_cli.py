"""The command line: exit codes, what is said where, and the daemon as a process: signalled, crashed, killed."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sqlite3
import time
from collections.abc import Callable
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiohttp
import click
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from click.testing import CliRunner

from exporter.cli import main, parse_listen
from exporter.clock import SystemClock
from exporter.demo import DEMO_TOKEN, Kind, Scenario, StandIn
from exporter.store import Store
from exporter.version import __version__
from tests.daemon import entry, write_config
from tests.processes import CLI, Process, finished, running, started
from tests.until import until

CANARY: Final = "hf_canaryQzXvbWnMkLpRtYsDfGhJk"
WARM: Final = Scenario(kind=Kind.WARM)
TOKEN: Final = {"HF_TOKEN": DEMO_TOKEN}
# Quick in the demo: cold models there take seconds to load.
QUICK: Final = (
    entry("nlptown/bert-base-multilingual-uncased-sentiment"),
    entry("gpt2", "text-generation"),
    entry("ElKulako/cryptobert"),
)
EVER: Final = "7d"
"""An interval within which no slot falls into a test: only what was never probed is probed."""


def stand_in(scenarios: dict[str, Scenario]) -> StandIn:
    return StandIn(clock=SystemClock(), time_factor=0, scenarios=scenarios)


def config_of(folder: Path, url: str, *models: dict[str, Any], **settings: Any) -> Path:
    path = folder / "models.yaml"
    write_config(path, url, list(models), **settings)
    return path


def demo_config(folder: Path, *models: dict[str, Any], **settings: Any) -> Path:
    # With --demo nothing is sent to this address; if it were, nobody would answer.
    return config_of(folder, "http://127.0.0.1:1", *(models or QUICK), **settings)


def rows(path: Path, sql: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute(sql).fetchall()


def probed(path: Path) -> set[str]:
    return {model_id for (model_id,) in rows(path, "SELECT model_id FROM model_metrics")}


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def probes(model_id: str) -> str:
    return f'ai_model_probes_total{{model="{model_id}",provider="huggingface"}}'


def ask(*arguments: str) -> Any:
    return CliRunner().invoke(main, arguments)


# What needs no process of its own


def test_the_version_is_told() -> None:
    answer = ask("version")
    assert (answer.exit_code, answer.output) == (0, f"ai-model-exporter {__version__}\n")


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        (":10021", None, 10021),
        ("127.0.0.1:9100", "127.0.0.1", 9100),
        ("localhost:0", "localhost", 0),
        ("[::1]:9100", "::1", 9100),
        ("[::]:65535", "::", 65535),
        ("exporter.example.org:80", "exporter.example.org", 80),
    ],
)
def test_an_address_to_listen_on_is_read(text: str, host: str | None, port: int) -> None:
    assert parse_listen(text) == (host, port)


@pytest.mark.parametrize(
    "text",
    [
        *("", "10021", "localhost", "localhost:", ":65536", ":-1", ":+1", ":1_0", ":٣", "a b:1", ":" + "9" * 5000),
        *("::1:9100", "[::1]", "[]:1", "[::1:9100", "::1]:9100", "http://localhost:9100", "localhost:http", ":80\n"),
    ],
    ids=lambda text: repr(text[:30]),
)
def test_what_is_no_address_to_listen_on_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not HOST:PORT or :PORT"):
        parse_listen(text)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fly"], "No such command"),
        (["run", "--fast"], "No such option"),
        (["run", "--log.level", "loud"], "'loud' is not one of"),
        (["run", "--log.format", "xml"], "'xml' is not one of"),
        (["run", "--web.listen-address", "nowhere"], "'nowhere' is not HOST:PORT or :PORT"),
        (["probe"], "Missing argument 'MODEL'"),
        (["scan", "gpt2"], "unexpected extra argument"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_use_exits_2_and_says_what_is_wrong(arguments: list[str], said: str) -> None:
    answer = ask(*arguments)
    assert answer.exit_code == 2
    assert said in answer.stderr
    assert answer.stdout == ""


def test_check_says_how_many_models_a_good_file_has(tmp_path: Path) -> None:
    path = demo_config(tmp_path, entry("gpt2", "text-generation"), entry("a/b", enabled=False))
    answer = ask("check", str(path))
    assert (answer.exit_code, answer.stdout) == (0, f"{path}: ok, 1 of 2 models enabled\n")


def test_check_tells_everything_that_is_wrong_with_its_line(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("intervall: 5m\nmodels:\n  - model_id: gpt2\n    task: poetry\n  - task: summarization\n")
    good = demo_config(tmp_path)
    answer = ask("check", str(bad), str(good))
    assert answer.exit_code == 1
    assert answer.stdout == f"{good}: ok, 3 of 3 models enabled\n"
    problems = answer.stderr.splitlines()
    assert [line.removeprefix(f"{bad}:").split(":")[0] for line in problems] == ["1", "4", "5"]
    assert "intervall: unknown key; did you mean 'interval'?" in problems[0]
    assert "models.gpt2.task: unknown task 'poetry'" in problems[1]


def test_check_merges_a_directory(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("models:\n  - {model_id: gpt2, task: text-generation}\n")
    (tmp_path / "b.yaml").write_text("models:\n  - {model_id: a/b, task: summarization}\n")
    answer = ask("check", str(tmp_path))
    assert (answer.exit_code, answer.stdout) == (0, f"{tmp_path}: ok, 2 of 2 models enabled\n")


def test_check_warns_and_is_content(tmp_path: Path) -> None:
    path = demo_config(tmp_path, *QUICK, providers={"huggingface": {"budget": {"requests_per_month": 10}}})
    answer = ask("check", str(path))
    assert answer.exit_code == 0
    assert f"{path}: warning: " in answer.stderr
    assert f"{path}: ok" in answer.stdout


def test_check_looks_at_the_default_file_when_none_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    answer = ask("check")
    assert answer.exit_code == 1
    assert "config/models.yaml: no such file" in answer.stderr


# One probe


async def test_probe_shows_the_whole_exchange_and_keeps_nothing(tmp_path: Path) -> None:
    model_id = "yiyanghkust/finbert-tone"
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    config = demo_config(tmp_path, entry(model_id))
    environ = {"HF_TOKEN": CANARY, "TMPDIR": str(temporary)}
    code, out, err = await finished(
        *CLI, "probe", model_id, "--demo", "--config", str(config), folder=tmp_path, environ=environ
    )
    assert (code, err) == (0, "")
    assert out.startswith(f"probe of {model_id} (huggingface, sentiment-analysis)\n")
    assert "exchange 1: GET http://127.0.0.1:" in out
    assert f"/hf-inference/models/{model_id}\n" in out
    assert "status: 200" in out
    assert "reason: ok" in out
    assert CANARY not in out
    assert DEMO_TOKEN not in out
    assert names_in(tmp_path) == ["models.yaml", "temporary"]
    assert names_in(temporary) == []


async def test_probe_as_json_can_be_read_by_a_program_and_exits_1_for_a_model_that_is_down(tmp_path: Path) -> None:
    model_id = "nlptown/bert-base-multilingual-uncased-sentiment"
    config = demo_config(tmp_path)
    code, out, err = await finished(
        *CLI, "probe", model_id, "--json", "--demo", "--config", str(config), folder=tmp_path
    )
    answer = json.loads(out)
    assert (code, err) == (1, "")
    assert (answer["model_id"], answer["status"], answer["success"]) == (model_id, "failed", False)
    assert [exchange["method"] for exchange in answer["exchanges"]] == ["GET", "POST"]
    assert [exchange["http_status"] for exchange in answer["exchanges"]] == [200, 500]
    assert json.loads(answer["exchanges"][1]["request_body"])["inputs"]
    assert answer["exchanges"][1]["timings"]["total"] > 0


async def test_probe_of_a_model_that_is_not_configured_names_those_that_are(tmp_path: Path) -> None:
    config = demo_config(tmp_path)
    code, out, err = await finished(*CLI, "probe", "gpt3", "--config", str(config), folder=tmp_path)
    assert (code, out) == (2, "")
    assert "'gpt3' is not configured; there are: nlptown/" in err
    assert "gpt2" in err


@pytest.mark.parametrize("command", [["probe", "gpt2"], ["scan"]], ids=lambda command: command[0])
async def test_a_bad_configuration_is_told_line_by_line(tmp_path: Path, command: list[str]) -> None:
    config = tmp_path / "models.yaml"
    config.write_text("models:\n  - model_id: gpt2\n    task: poetry\n    tiemout: 3s\n")
    code, out, err = await finished(*CLI, *command, "--config", str(config), folder=tmp_path)
    assert (code, out) == (1, "")
    assert [line.split(" ")[0] for line in err.splitlines()] == [f"{config}:3:", f"{config}:4:"]


async def test_probe_needs_no_history(tmp_path: Path) -> None:
    (tmp_path / "history.db").mkdir()
    async with stand_in({"a/b": WARM}).serve() as url:
        config = config_of(tmp_path, url, entry("a/b"))
        code, out, _ = await finished(*CLI, "probe", "a/b", "--config", str(config), folder=tmp_path, environ=TOKEN)
    assert code == 0
    assert "verdict at" in out


# One scan


async def test_scan_prints_a_table_shows_its_progress_and_exits_1_when_a_model_is_down(tmp_path: Path) -> None:
    history = tmp_path / "elsewhere" / "scan.db"
    config = demo_config(tmp_path)
    code, out, err = await finished(
        *CLI, "scan", "--demo", "--config", str(config), "--database", str(history), folder=tmp_path
    )
    assert code == 1
    table = {line.split()[1]: line.split("│") for line in out.splitlines() if line.startswith("│")}
    assert {model_id: [cell.strip() for cell in line[2:4]] for model_id, line in table.items()} == {
        "nlptown/bert-base-multilingual-uncased-sentiment": ["failed", "server_error"],
        "gpt2": ["not_served", "not_served"],
        "ElKulako/cryptobert": ["auth_required", "gated"],
    }
    assert out.splitlines()[-1] == "3 models: 1 failed, 1 auth_required, 1 not_served (simulated)"
    assert "probing" in err
    assert "3/3" in err
    assert probed(history) == {model["model_id"] for model in QUICK}
    assert not (tmp_path / "history.db").exists()


async def test_scan_exits_0_when_every_model_that_should_work_does(tmp_path: Path) -> None:
    scenarios = {"a/good": WARM, "a/unserved": Scenario(kind=Kind.NOT_SERVED)}
    async with stand_in(scenarios).serve() as url:
        config = config_of(tmp_path, url, *map(entry, scenarios))
        code, out, _ = await finished(*CLI, "scan", "--config", str(config), folder=tmp_path, environ=TOKEN)
    assert code == 0
    assert out.splitlines()[-1] == "2 models: 1 available, 1 not_served"
    assert probed(tmp_path / "history.db") == set(scenarios)


async def test_scan_of_nothing_is_content(tmp_path: Path) -> None:
    code, out, _ = await finished(
        *CLI, "scan", "--config", str(config_of(tmp_path, "http://127.0.0.1:1")), folder=tmp_path
    )
    assert (code, out.splitlines()[-1]) == (0, "0 models: nothing to probe")


HOSTILE: Final = "\x1b]0;owned\x07\x1b[2J\u202eevil [bold]markup[/bold]"


async def test_what_a_model_says_cannot_drive_the_terminal(tmp_path: Path) -> None:
    async with serving(lambda request: web.json_response({"error": HOSTILE}, status=500)) as url:
        config = config_of(tmp_path, url, entry("a/b"))
        code, out, err = await finished(*CLI, "scan", "--config", str(config), folder=tmp_path, environ=TOKEN)
        _, probe_out, probe_err = await finished(
            *CLI, "probe", "a/b", "--config", str(config), folder=tmp_path, environ=TOKEN
        )
    assert code == 1
    assert "evil [bold]markup[/bold]" in out
    assert "evil" in probe_out
    printed = out + err + probe_out + probe_err
    assert [character for character in printed if not character.isprintable() and character != "\n"] == []


# The daemon, from its start to its end


async def test_the_demo_says_that_it_is_one_and_answers_at_once(tmp_path: Path) -> None:
    config = demo_config(tmp_path)
    async with running(config, "--demo", environ={"HF_TOKEN": CANARY}) as process:
        event = await process.event("started")
        assert (event["simulated"], event["models"], event["version"]) == (True, 3, __version__)
        assert event["urls"] == [await process.url()]
        assert event["urls"][0].startswith("http://127.0.0.1:")
        assert "none is real" in (await process.event("simulated"))["message"]
        assert await process.metric("ai_model_exporter_simulated") == "1.0"
        assert "healthy" in await process.text("/-/healthy")
        assert "ready" in await process.text("/-/ready")
        assert (await process.json("/agent/status"))["running"] is True
        await until(lambda: probed(tmp_path / "history.db") == {model["model_id"] for model in QUICK})
        dashboard = await process.json("/dashboard")
        assert (dashboard["simulated"], dashboard["total_models"]) == (True, 3)
        process.send(signal.SIGTERM)
        assert await process.ended() == 0
    assert process.out == b""
    assert CANARY not in process.output


async def test_the_log_can_be_read_by_people(tmp_path: Path) -> None:
    async with running(demo_config(tmp_path), "--demo", "--log.format", "console", "--log.level", "warning") as process:
        await until(lambda: "none is real" in process.output)
        process.send(signal.SIGTERM)
        assert await process.ended() == 0
    assert "started" not in process.output
    assert "\x1b" not in process.output


async def end_while_probing(folder: Path, number: signal.Signals, ask_for: str | None) -> None:
    """Signal a daemon while one model hangs, another has been probed, and a client waits; look at what it leaves."""
    scenarios = {"a/good": WARM, "a/hangs": Scenario(kind=Kind.HANG)}
    standing_in = stand_in(scenarios)
    async with standing_in.serve() as url:
        config = config_of(folder, url, *map(entry, scenarios), timeout="60s")
        async with running(config, environ=TOKEN) as process, asyncio.TaskGroup() as group:
            await process.event("started")
            if ask_for is not None:
                await process.text("/api/ai-models/agent/stop", method="POST")
                group.create_task(cut_off(process, ask_for))
            await until(lambda: standing_in.requests["inference", "a/hangs"] > 0)
            await until(lambda: probed(folder / "history.db") == {"a/good"})
            process.send(number)
            assert await process.ended(10.0) == 0
    last = process.events[-1]
    assert (last["event"], last["reason"]) == ("stopped", "asked to")
    assert probed(folder / "history.db") == {"a/good"}
    assert rows(folder / "history.db", "PRAGMA integrity_check") == [("ok",)]
    assert not (folder / "history.db-wal").exists()


async def cut_off(process: Process, path: str) -> None:
    with pytest.raises(aiohttp.ClientError):
        await process.text(path)


async def test_a_signal_ends_it_cleanly_within_ten_seconds_whatever_hangs(tmp_path: Path) -> None:
    cases = {
        "term": (signal.SIGTERM, None),
        "int": (signal.SIGINT, None),
        "scan": (signal.SIGTERM, "/api/ai-models/scan"),
    }
    for name in cases:
        (tmp_path / name).mkdir()
    async with asyncio.TaskGroup() as group:  # at the same time, as each takes what a probe is given to end
        for name, case in cases.items():
            group.create_task(end_while_probing(tmp_path / name, *case))


async def test_while_it_ends_it_says_that_it_is_not_ready(tmp_path: Path) -> None:
    scenarios = {"a/hangs": Scenario(kind=Kind.HANG)}
    standing_in = stand_in(scenarios)
    async with standing_in.serve() as url:
        config = config_of(tmp_path, url, *map(entry, scenarios), timeout="60s")
        async with running(config, environ=TOKEN) as process:
            await until(lambda: standing_in.requests["inference", "a/hangs"] > 0)
            process.send(signal.SIGTERM)
            await process.event("stopping")
            assert "not ready" in await process.text("/-/ready", status=503)
            assert "healthy" in await process.text("/-/healthy")


async def test_a_hangup_reloads_and_a_bad_file_changes_nothing(tmp_path: Path) -> None:
    successful = "ai_model_exporter_config_last_reload_successful"

    async def models() -> list[str]:
        return [row["model_id"] for row in await process.json("/models")]

    async def says(series: str, value: str) -> bool:
        return await process.metric(series) == value

    async with stand_in({"a/old": WARM, "a/new": WARM}).serve() as url:
        config = config_of(tmp_path, url, entry("a/old"), interval=EVER)
        async with running(config, environ=TOKEN) as process:
            await process.event("started")
            await until(lambda: says(probes("a/old"), "1.0"))
            assert await models() == ["a/old"]

            config_of(tmp_path, url, entry("a/old"), entry("a/new"), interval=EVER)
            process.send(signal.SIGHUP)
            assert (await process.event("config_reloaded"))["models"] == 2
            assert await models() == ["a/old", "a/new"]
            await until(lambda: says(probes("a/new"), "1.0"))
            assert await says(probes("a/old"), "1.0")
            assert await says(successful, "1.0")

            config.write_text("models:\n  - modle_id: a/new\n    task: summarization\n")
            process.send(signal.SIGHUP)
            failed = await process.event("config_reload_failed")
            assert any(problem.startswith(f"{config}:2: ") for problem in failed["problems"])
            assert await models() == ["a/old", "a/new"]
            assert await says(successful, "0.0")

            config_of(tmp_path, url, entry("a/new"), interval=EVER)
            process.send(signal.SIGHUP)
            await process.event("config_reloaded", count=2)
            assert await models() == ["a/new"]
            assert await says(probes("a/new"), "1.0")
            assert await says(successful, "1.0")
            assert await process.metric(probes("a/old")) is None


SCHEDULE_CRASHES: Final = """
async def crash(self, key, due):
    raise ZeroDivisionError("the schedule broke")
scheduler.Scheduler._start = crash
"""
WRITER_DIES: Final = """
def die(self):
    raise ZeroDivisionError("the writer broke")
writer.Writer._commit = die
"""
SERVER_STOPS: Final = """
serve = service.Service.serve
async def serve_and_stop(self, *arguments):
    urls = await serve(self, *arguments)
    self._servers[0].close()
    return urls
service.Service.serve = serve_and_stop
"""


@pytest.mark.parametrize(
    ("broken", "event", "reason"),
    [
        (SCHEDULE_CRASHES, "crashed", "ZeroDivisionError: the schedule broke"),
        (WRITER_DIES, "stopped", "the writer thread has died: writer: the writer broke"),
        (SERVER_STOPS, "crashed", "the HTTP server has stopped listening"),
    ],
    ids=["schedule", "store", "server"],
)
async def test_a_part_that_dies_ends_the_process_and_the_log_says_why(
    tmp_path: Path, broken: str, event: str, reason: str
) -> None:
    imports = "from exporter import cli, scheduler, service\nfrom exporter.store import writer\n"
    command = ["run", "--demo", "--config", str(demo_config(tmp_path)), "--web.listen-address", "127.0.0.1:0"]
    script = f"{imports}{broken}\ncli.main({command})"
    async with started("-c", script, folder=tmp_path) as process:
        assert await process.ended() == 1
    assert [one["event"] for one in process.events].count("started") == 1
    last = process.events[-1]
    assert last["event"] == event
    assert reason in last["reason"]
    assert last["level"] == "error"


def newer_database(path: Path) -> None:
    Store.open(path, now=lambda: datetime.now(UTC)).close()
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 999")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (Path.mkdir, "is a folder"),
        (newer_database, "was written by a newer version of this program"),
        (lambda path: path.write_bytes(b"no database at all" * 100), "not a database"),
    ],
    ids=["a folder", "of a newer version", "garbage"],
)
async def test_a_database_that_cannot_be_used_is_named(
    tmp_path: Path, make: Callable[[Path], object], said: str
) -> None:
    history = tmp_path / "history.db"
    make(history)
    async with running(demo_config(tmp_path)) as process:
        assert await process.ended() == 1
    last = process.events[-1]
    assert (last["event"], last["kind"]) == ("stopped", "StorageError")
    assert last["reason"].startswith(f"{history}: ")
    assert said in last["reason"]


async def test_a_real_history_is_not_mixed_with_a_demo(tmp_path: Path) -> None:
    Store.open(tmp_path / "history.db", now=lambda: datetime.now(UTC)).close()
    async with running(demo_config(tmp_path), "--demo") as process:
        assert await process.ended() == 1
    assert "holds real checks" in process.events[-1]["reason"]


async def test_a_store_that_fails_once_a_scan_has_begun_is_told_in_one_line(tmp_path: Path) -> None:
    script = f"""
from pathlib import Path
from exporter import cli
from exporter.store import StorageError, Store
def refuse(self, models):
    raise StorageError(self.path, "models", "the disk is full")
Store.sync_models = refuse
cli.main(["scan", "--config", {str(demo_config(tmp_path))!r}])
"""
    code, out, err = await finished("-c", script, folder=tmp_path)
    assert (code, out, err) == (1, "", f"{tmp_path / 'history.db'}: models: the disk is full\n")


async def test_a_bad_configuration_keeps_it_from_starting(tmp_path: Path) -> None:
    config = tmp_path / "models.yaml"
    config.write_text("models:\n  - model_id: gpt2\n    task: poetry\n    tiemout: 3s\n")
    async with running(config) as process:
        assert await process.ended() == 1
    reasons = process.events[-1]["reason"].splitlines()
    assert [line.split(" ")[0] for line in reasons] == [f"{config}:3:", f"{config}:4:"]


async def test_a_bad_web_configuration_keeps_it_from_starting(tmp_path: Path) -> None:
    web_config = tmp_path / "web.yaml"
    web_config.write_text("basic_auth_users: {admin: plain}\nunknown: 1\n")
    async with running(demo_config(tmp_path), "--web.config.file", str(web_config)) as process:
        assert await process.ended() == 1
    reason = process.events[-1]["reason"]
    assert f"{web_config}: basic_auth_users.admin: is not a bcrypt hash" in reason
    assert f"{web_config}: unknown: unknown key" in reason


async def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        command = ["run", "--demo", "--config", str(demo_config(tmp_path)), "--web.listen-address", address]
        async with started(*CLI, *command, folder=tmp_path) as process:
            assert await process.ended() == 1
    last = process.events[-1]
    assert last["event"] == "stopped"
    assert last["reason"].startswith(f"cannot listen on {address}: ")
    assert "address already in use" in last["reason"].lower()


# What must not get out, and what must not get lost


@asynccontextmanager
async def serving(answer: Callable[[web.Request], web.Response]) -> Any:
    """Serve a hub that says of every model that it is served, and a router that gives `answer`."""

    async def hub(request: web.Request) -> web.Response:
        seen = request.headers.get("Authorization", "")
        mapping = {"hf-inference": {"status": "live", "providerId": seen}}
        return web.json_response({"sha": seen, "inferenceProviderMapping": mapping}, headers={"X-Seen": seen})

    async def router(request: web.Request) -> web.Response:
        return answer(request)

    app = web.Application()
    app.router.add_get("/api/models/{tail:.*}", hub)
    app.router.add_post("/hf-inference/models/{tail:.*}", router)
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")


async def test_a_token_that_a_server_sends_back_reaches_nobody(tmp_path: Path) -> None:
    received: list[str] = []

    def echo(request: web.Request) -> web.Response:
        seen = request.headers.get("Authorization", "")
        received.append(seen)
        return web.json_response({"error": f"bad credentials: {seen}"}, status=500, headers={"X-Compute-Type": seen})

    (tmp_path / ".env").write_text(f"HF_TOKEN={CANARY}\n")
    async with serving(echo) as url:
        config = config_of(tmp_path, url, entry("a/b"))
        async with running(config, "--log.level", "debug") as process:
            await until(lambda: bool(received))
            await until(lambda: probed(tmp_path / "history.db") == {"a/b"})
            paths = ["/metrics", "/config", "/probe?model=a/b&debug=true", "/probe?model=a/b", "/"]
            paths += [f"/api/ai-models/{path}" for path in ("models", "models/a/b/history", "scan", "dashboard")]
            served = [await process.text(path) for path in paths]
            process.send(signal.SIGTERM)
            assert await process.ended() == 0
        commands = [["probe", "a/b"], ["probe", "a/b", "--json"], ["scan"]]
        printed = [await finished(*CLI, *command, "--config", str(config), folder=tmp_path) for command in commands]
    assert set(received) == {f"Bearer {CANARY}"}
    assert len(received) >= 1 + 3 + 3
    assert "bad credentials: Bearer ***" in served[5]
    texts = [process.output, *served, *(out + err for _, out, err in printed)]
    assert [text for text in texts if CANARY in text] == []
    written = [name for name in names_in(tmp_path) if name != ".env"]
    assert "history.db" in written
    assert [name for name in written if CANARY.encode() in (tmp_path / name).read_bytes()] == []


async def test_a_killed_process_loses_nothing_that_was_committed_and_takes_up_where_it_was(tmp_path: Path) -> None:
    history = tmp_path / "history.db"
    good = [f"a/good-{number}" for number in range(6)]
    scenarios = {**dict.fromkeys(good, WARM), "a/hangs": Scenario(kind=Kind.HANG)}
    standing_in = stand_in(scenarios)

    def asked(model_id: str) -> int:
        return standing_in.requests["hub", model_id]

    async with standing_in.serve() as url:
        config = config_of(tmp_path, url, *map(entry, scenarios), interval=EVER, timeout="60s")
        async with running(config, environ=TOKEN) as process:
            await process.event("started")
            await until(lambda: probed(history) == set(good) and asked("a/hangs") == 1)
            process.send(signal.SIGKILL)
            assert await process.ended() == -signal.SIGKILL
        kept = rows(history, "SELECT id, model_id, checked_at FROM model_metrics ORDER BY id")
        async with running(config, environ=TOKEN) as process:
            await until(lambda: asked("a/hangs") == 2)
            assert {model_id: asked(model_id) for model_id in good} == dict.fromkeys(good, 1)
            assert await process.metric(probes(good[0])) == "0.0"
            assert (await process.json("/models/available"))["total"] == len(good)
            assert (await process.json(f"/models/{good[0]}/stats"))["model_info"]["total_checks"] == 1
    assert rows(history, "SELECT id, model_id, checked_at FROM model_metrics ORDER BY id") == kept
    assert len(kept) == len(good)


async def test_a_token_is_told_to_no_log_even_when_the_process_crashes(tmp_path: Path) -> None:
    script = f"""
import os
from exporter import cli, scheduler
async def crash(self, key, due):
    raise ValueError("lost: " + os.environ["HF_TOKEN"])
scheduler.Scheduler._start = crash
cli.main(["run", "--config", {str(demo_config(tmp_path))!r}, "--web.listen-address", "127.0.0.1:0"])
"""
    async with started("-c", script, folder=tmp_path, environ={"HF_TOKEN": CANARY}) as process:
        assert await process.ended() == 1
    assert process.events[-1]["reason"] == "ValueError: lost: ***"
    assert "Traceback" in process.events[-1]["exception"]
    assert CANARY not in process.output


async def test_a_look_up_of_a_name_that_hangs_does_not_hold_the_end_up(tmp_path: Path) -> None:
    script = f"""
import socket, time
from exporter import cli
socket.getaddrinfo = lambda *args, **more: time.sleep(60)
cli.main(["run", "--config", {str(tmp_path / "models.yaml")!r}, "--web.listen-address", "127.0.0.1:0"])
"""
    text = "models:\n  - {model_id: gpt2, task: text-generation}\n"
    (tmp_path / "models.yaml").write_text(text, encoding="utf-8")
    async with started("-c", script, folder=tmp_path) as process:
        await process.event("started")
        begun = time.monotonic()
        process.send(signal.SIGTERM)
        assert await process.ended() == 0
    assert time.monotonic() - begun < 10
    assert process.events[-1]["event"] == "stopped"
