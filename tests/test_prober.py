"""One turn and a scan, through the whole daemon over sockets: what is asked, what is said, what it costs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from exporter.demo import Kind, Scenario
from exporter.models import Reason, Reply, Scope, Status
from tests import daemon
from tests.daemon import entry

S, R, C = Status, Reason, Scope
GENERATION, SUMMARY, ZERO_SHOT = "text-generation", "summarization", "zero-shot-classification"

# What the daemon must say of each behaviour that the stand-in can play: task, status, reason, scope.
VERDICTS: dict[Kind, tuple[str, Status, Reason, Scope]] = {
    Kind.IDLE_UNLOAD: (daemon.TASK, S.AVAILABLE, R.OK, C.MODEL),
    Kind.WARM: (daemon.TASK, S.AVAILABLE, R.OK, C.MODEL),
    Kind.GZIP: (daemon.TASK, S.AVAILABLE, R.OK, C.MODEL),
    Kind.LEGACY_COLD: (daemon.TASK, S.LOADING, R.LOADING, C.MODEL),
    Kind.LOADING: (daemon.TASK, S.LOADING, R.LOADING, C.MODEL),
    Kind.NOT_SERVED: (daemon.TASK, S.NOT_SERVED, R.NOT_SERVED, C.MODEL),
    Kind.UNSUPPORTED: (daemon.TASK, S.NOT_SERVED, R.NOT_SERVED, C.MODEL),
    Kind.DEPRECATED: (daemon.TASK, S.NOT_SERVED, R.DEPRECATED, C.MODEL),
    Kind.GATED: (daemon.TASK, S.AUTH_REQUIRED, R.GATED, C.MODEL),
    Kind.DISABLED: (daemon.TASK, S.FAILED, R.DISABLED, C.MODEL),
    Kind.MISSING: (daemon.TASK, S.NOT_FOUND, R.NOT_FOUND, C.MODEL),
    Kind.RENAMED: (daemon.TASK, S.AVAILABLE, R.OK, C.MODEL),
    Kind.OVERLOADED: (daemon.TASK, S.FAILED, R.OVERLOADED, C.MODEL),
    Kind.TGI_OVERLOADED: (daemon.TASK, S.FAILED, R.OVERLOADED, C.MODEL),
    Kind.RATE_LIMITED: (daemon.TASK, S.UNKNOWN, R.RATE_LIMITED, C.ACCOUNT),
    Kind.SERVER_ERROR: (daemon.TASK, S.FAILED, R.SERVER_ERROR, C.MODEL),
    Kind.BAD_GATEWAY: (daemon.TASK, S.FAILED, R.GATEWAY, C.MODEL),
    Kind.GATEWAY_TIMEOUT: (daemon.TASK, S.FAILED, R.TIMEOUT, C.MODEL),
    Kind.UNAVAILABLE: (daemon.TASK, S.FAILED, R.SERVER_ERROR, C.MODEL),
    Kind.MODEL_ERROR: (daemon.TASK, S.FAILED, R.MODEL_ERROR, C.MODEL),
    Kind.GENERATION_ERROR: (GENERATION, S.FAILED, R.MODEL_ERROR, C.MODEL),
    Kind.VALIDATION_ERROR: (GENERATION, S.UNKNOWN, R.BAD_REQUEST, C.CLIENT),
    Kind.TEMPLATE_ERROR: (GENERATION, S.UNKNOWN, R.BAD_REQUEST, C.CLIENT),
    Kind.NO_CONTENT: (daemon.TASK, S.FAILED, R.BAD_OUTPUT, C.MODEL),
    Kind.HANG: (daemon.TASK, S.FAILED, R.TIMEOUT, C.MODEL),
    Kind.RESET: (daemon.TASK, S.UNKNOWN, R.NETWORK, C.HOST),
    Kind.SLOW_BODY: (daemon.TASK, S.AVAILABLE, R.OK, C.MODEL),
    Kind.ENDLESS_BODY: (daemon.TASK, S.FAILED, R.BAD_OUTPUT, C.MODEL),
    Kind.HUGE_BODY: (daemon.TASK, S.FAILED, R.BAD_OUTPUT, C.MODEL),
    Kind.TRUNCATED_BODY: (daemon.TASK, S.FAILED, R.BAD_OUTPUT, C.MODEL),
    Kind.INVALID_JSON: (daemon.TASK, S.FAILED, R.BAD_OUTPUT, C.MODEL),
    Kind.WRONG_CONTENT_TYPE: (daemon.TASK, S.FAILED, R.BAD_OUTPUT, C.MODEL),
    Kind.INVALID_UTF8: (daemon.TASK, S.FAILED, R.BAD_OUTPUT, C.MODEL),
    Kind.DEEP_NESTING: (daemon.TASK, S.FAILED, R.BAD_OUTPUT, C.MODEL),
    # A stream is not asked for, so that this one answers well.
    Kind.STREAM_ERROR: (GENERATION, S.AVAILABLE, R.OK, C.MODEL),
    Kind.EMPTY_LIST: (daemon.TASK, S.FAILED, R.BAD_OUTPUT, C.MODEL),
    Kind.NESTED_EMPTY_LIST: (daemon.TASK, S.FAILED, R.BAD_OUTPUT, C.MODEL),
    Kind.EMPTY_TEXT: (GENERATION, S.FAILED, R.BAD_OUTPUT, C.MODEL),
    Kind.GARBAGE: (SUMMARY, S.FAILED, R.BAD_OUTPUT, C.MODEL),
    Kind.NAN_SCORES: (daemon.TASK, S.FAILED, R.BAD_OUTPUT, C.MODEL),
    Kind.SCORE_OUT_OF_RANGE: (daemon.TASK, S.FAILED, R.BAD_OUTPUT, C.MODEL),
    Kind.FLIPPED: (ZERO_SHOT, S.DEGRADED, R.WRONG_ANSWER, C.MODEL),
    Kind.UNNORMALISED_SCORES: (daemon.TASK, S.DEGRADED, R.WRONG_ANSWER, C.MODEL),
    # Seen only against what it said before.
    Kind.LABELS_RENAMED: (daemon.TASK, S.AVAILABLE, R.OK, C.MODEL),
    Kind.SCORE_DRIFT: (daemon.TASK, S.AVAILABLE, R.OK, C.MODEL),
}
HUB_TAGS = {daemon.TASK: "text-classification"}


def scenario(kind: Kind, task: str) -> Scenario:
    changes: dict[str, Any] = {"renamed_to": "new/name"} if kind is Kind.RENAMED else {}
    return Scenario(kind=kind, task=HUB_TAGS.get(task, task), **changes)


async def test_every_behaviour_gets_its_verdict_over_sockets(tmp_path: Path) -> None:
    scenarios = {f"a/{kind.value}": scenario(kind, task) for kind, (task, *_) in VERDICTS.items()}
    scenarios["new/name"] = Scenario(kind=Kind.WARM)
    models = [
        entry(f"a/{kind.value}", task, timeout="400ms" if kind is Kind.HANG else "5s")
        for kind, (task, *_) in VERDICTS.items()
    ]
    async with daemon.running(tmp_path, scenarios, models) as running:
        result = await running.service.monitor.scan_all_models()
        board = running.service.board.current
        said = {kind: board[f"a/{kind.value}"] for kind in VERDICTS}
        got = {kind: (seen.task, seen.status, seen.reason, seen.scope) for kind, seen in said.items()}
        history = await running.json("/models/a/garbage/history")

    assert got == VERDICTS
    assert set(VERDICTS) == set(Kind)
    assert result["total"] == len(VERDICTS)
    assert sum(result[status] for status in Status) == len(VERDICTS)
    assert said[Kind.RENAMED].canonical_id == "new/name"
    assert history["total_records"] == 1
    assert history["history"][0]["status"] == "failed"
    assert "garbage" in history["history"][0]["error_message"]


async def test_a_model_that_nobody_serves_costs_nothing_and_is_asked_about_again(tmp_path: Path) -> None:
    async with daemon.running(tmp_path, {"a/b": Scenario(kind=Kind.NOT_SERVED)}) as running:
        for _ in range(3):
            await running.service.monitor.scan_all_models()
        assert running.stand_in.requests["hub", "a/b"] == 3
        assert running.stand_in.requests["inference", "a/b"] == 0
        running.stand_in.set("a/b", Scenario(kind=Kind.WARM))
        assert (await running.service.monitor.check("a/b")).status is Status.AVAILABLE
        stats = await running.json("/models/a/b/stats")
    assert stats["model_info"]["total_checks"] == 1, "not_served is in the history and not in the statistics"


async def test_a_cold_model_is_asked_once_more_and_both_attempts_are_kept(tmp_path: Path) -> None:
    cold = Scenario.sequence(Scenario(kind=Kind.LOADING, load_s=7), Scenario(kind=Kind.WARM))
    async with daemon.running(tmp_path, {"a/b": cold}) as running:
        seen = await running.service.monitor.check("a/b")
        row = (await running.json("/models/a/b/history"))["history"][0]
        assert running.stand_in.requests["inference", "a/b"] == 2
    assert [attempt.status for attempt in seen.attempts] == [Status.LOADING, Status.AVAILABLE]
    assert seen.status is Status.AVAILABLE
    assert [(attempt["status"], attempt["http_status"]) for attempt in row["attempts"]] == [
        ("loading", 503),
        ("available", 200),
    ]


async def test_a_model_that_stays_cold_is_loading_after_two_attempts(tmp_path: Path) -> None:
    async with daemon.running(tmp_path, {"a/b": Scenario(kind=Kind.LOADING)}) as running:
        seen = await running.service.monitor.check("a/b")
        assert running.stand_in.requests["inference", "a/b"] == 2
    assert (seen.status, len(seen.attempts)) == (Status.LOADING, 2)


@pytest.mark.parametrize(
    ("estimate_s", "bound", "waited_s"), [(7.0, "20s", 7.0), (600.0, "20s", 20.0), (0.5, "20s", 0.5)]
)
async def test_the_wait_is_what_the_host_says_within_the_bound(
    tmp_path: Path, estimate_s: float, bound: str, waited_s: float
) -> None:
    from exporter.clock import SystemClock

    class Recording(SystemClock):
        async def sleep(self, seconds: float) -> None:
            if seconds != 1.0:  # the watch of the service
                slept.append(seconds)
                return
            await super().sleep(seconds)

    slept: list[float] = []
    cold = {"a/b": Scenario(kind=Kind.LOADING, load_s=estimate_s)}
    async with daemon.running(tmp_path, cold, clock=Recording(), cold_start_wait=bound) as running:
        await running.service.monitor.check("a/b")
    assert slept == [waited_s]


async def test_the_wait_for_a_cold_model_leaves_its_slot_to_the_others(tmp_path: Path) -> None:
    scenarios = {f"cold/{n}": Scenario(kind=Kind.LOADING, load_s=60) for n in range(5)}
    scenarios |= {f"warm/{n}": Scenario(kind=Kind.WARM) for n in range(5)}
    finished: list[str] = []
    async with daemon.running(tmp_path, scenarios, concurrency=1, cold_start_wait="300ms") as running:
        await running.service.monitor.scan_all_models(lambda seen: finished.append(seen.model_id))
    assert {model_id.split("/")[0] for model_id in finished[:5]} == {"warm"}
    assert len(finished) == 10


async def test_the_token_is_sent_and_every_request_asks_for_no_cache(tmp_path: Path) -> None:
    async with daemon.running(tmp_path, {"a/b": Scenario(kind=Kind.WARM)}) as running:
        first = await running.service.monitor.check("a/b")
        second = await running.service.monitor.check("a/b")
        sent = [request for request in running.stand_in.log if request.method == "POST"]
    assert (first.compute_type, second.compute_type) == ("cpu", "cpu")
    assert all({name.lower(): value for name, value in one.headers.items()}["x-use-cache"] == "false" for one in sent)


@pytest.mark.parametrize(
    ("token", "status", "reason", "scope"),
    [
        (None, S.AUTH_REQUIRED, R.AUTH, C.ACCOUNT),
        ("hf_wrong", S.UNKNOWN, R.AUTH, C.ACCOUNT),
        ("hf_noscope", S.UNKNOWN, R.AUTH_SCOPE, C.ACCOUNT),
        ("hf_depleted", S.UNKNOWN, R.QUOTA, C.ACCOUNT),
    ],
)
async def test_what_the_account_lacks_is_never_the_models_failure(
    tmp_path: Path, token: str | None, status: Status, reason: Reason, scope: Scope
) -> None:
    async with daemon.running(tmp_path, {"a/b": Scenario(kind=Kind.WARM)}, token=token) as running:
        seen = await running.service.monitor.check("a/b")
        stats = await running.json("/models/a/b/stats")
    assert (seen.status, seen.reason, seen.scope) == (status, reason, scope)
    assert stats["model_info"]["total_checks"] == 0
    assert stats["model_info"]["success_rate"] is None
    assert len(stats["recent_checks"]) == 1


async def test_a_model_that_needs_a_token_is_not_asked_without_one(tmp_path: Path) -> None:
    models = [entry("a/b", requires_auth=True)]
    async with daemon.running(tmp_path, {"a/b": Scenario(kind=Kind.WARM)}, models, token=None) as running:
        seen = await running.service.monitor.check("a/b")
        assert running.stand_in.requests["inference", "a/b"] == 0
    assert (seen.status, seen.reason) == (Status.AUTH_REQUIRED, Reason.AUTH)
    assert "HF_TOKEN" in seen.message


async def test_a_token_file_that_cannot_be_read_is_told_and_nothing_is_asked(tmp_path: Path) -> None:
    from exporter.credentials import Keyring

    async with daemon.running(tmp_path, {"a/b": Scenario(kind=Kind.WARM)}) as running:
        broken = Keyring({"HF_TOKEN_FILE": str(tmp_path / "gone")}, None)
        running.service._keyring = broken
        await running.service.reload()
        seen = await running.service.monitor.check("a/b")
        assert not running.stand_in.requests
        assert list(broken.secrets()) == []
    assert (seen.status, seen.scope) == (Status.AUTH_REQUIRED, Scope.ACCOUNT)
    assert "gone" in seen.message


async def test_the_day_of_the_retired_host_counts_against_no_model(tmp_path: Path) -> None:
    scenarios = {f"a/{n}": Scenario(kind=Kind.WARM) for n in range(21)}
    async with daemon.running(tmp_path, scenarios) as running:
        running.stand_in.host = "gone"
        result = await running.service.monitor.scan_all_models()
        summary = await running.json("/stats/summary")
    assert result["unknown"] == 21
    assert {row["reason"] for row in result["models"]} == {"endpoint_gone"}
    assert summary["models_with_checks"] == 0


@pytest.mark.parametrize("fault", ["down", "throttled", "reset"])
async def test_a_hub_in_trouble_does_not_stop_the_probes(tmp_path: Path, fault: Any) -> None:
    async with daemon.running(tmp_path, {"a/b": Scenario(kind=Kind.WARM)}) as running:
        running.stand_in.hub_host = fault
        seen = await running.service.monitor.check("a/b")
    assert (seen.status, seen.canonical_id) == (Status.AVAILABLE, "a/b")


async def test_a_renamed_model_is_asked_under_its_present_id_and_known_under_its_old_one(tmp_path: Path) -> None:
    scenarios = {
        "gpt2": Scenario(kind=Kind.RENAMED, renamed_to="org/gpt2", task=GENERATION),
        "org/gpt2": Scenario(kind=Kind.WARM, task=GENERATION),
    }
    async with daemon.running(tmp_path, scenarios, [entry("gpt2", GENERATION)]) as running:
        seen = await running.service.monitor.check("gpt2")
        assert running.stand_in.requests["inference", "org/gpt2"] == 1
    assert (seen.model_id, seen.canonical_id, seen.status) == ("gpt2", "org/gpt2", Status.AVAILABLE)


async def test_generation_in_its_openai_form(tmp_path: Path) -> None:
    models = [entry("a/b", GENERATION, api="completions")]
    async with daemon.running(tmp_path, {"a/b": Scenario(kind=Kind.WARM, task=GENERATION)}, models) as running:
        trace: list[Reply] = []
        seen = await running.service.monitor.check("a/b", trace)
    assert seen.status is Status.AVAILABLE
    assert trace[-1].url.endswith("/hf-inference/models/a/b/v1/completions")


async def test_a_probe_in_flight_is_joined_by_whoever_asks_for_the_same(tmp_path: Path) -> None:
    async with daemon.running(tmp_path, {"a/b": Scenario(kind=Kind.LOADING)}, cold_start_wait="100ms") as running:
        check = running.service.monitor.check
        first, second = await asyncio.gather(check("a/b"), check("a/b"))
        await running.service.monitor.run_scheduled("gone")
        assert first is second
        assert running.stand_in.requests["hub", "a/b"] == 1


async def test_a_joined_probe_that_is_cancelled_is_done_by_who_joined_it(tmp_path: Path) -> None:
    async with daemon.running(tmp_path, {"a/b": Scenario(kind=Kind.LOADING)}, cold_start_wait="100ms") as running:
        check = running.service.monitor.check
        first = asyncio.create_task(check("a/b"))
        await running.asked("a/b")
        second = asyncio.create_task(check("a/b"))
        await asyncio.sleep(0)
        first.cancel()
        seen = await second
        assert first.cancelled()
        assert running.stand_in.requests["hub", "a/b"] == 2
    assert seen.status is Status.LOADING


async def test_scans_at_the_same_time_are_one_scan(tmp_path: Path) -> None:
    async with daemon.running(tmp_path, {"a/b": Scenario(kind=Kind.WARM)}) as running:
        monitor = running.service.monitor
        results = await asyncio.gather(*(monitor.scan_all_models() for _ in range(5)), running.json("/scan"))
        assert running.stand_in.requests["inference", "a/b"] == 1
        assert not monitor.scan_in_progress
        await monitor.scan_all_models()
        assert running.stand_in.requests["inference", "a/b"] == 2
    assert all(result == results[0] for result in results)


async def test_a_model_that_leaves_during_a_scan_is_no_part_of_it(tmp_path: Path) -> None:
    scenarios = {"a/b": Scenario(kind=Kind.LOADING), "c/d": Scenario(kind=Kind.WARM)}
    async with daemon.running(tmp_path, scenarios, concurrency=1, cold_start_wait="200ms") as running:
        scan = running.service.monitor.start_scan()
        await running.asked("a/b")
        base_url = running.service.config.providers["huggingface"].hub_url
        daemon.write_config(running.config_path, base_url, [entry("c/d")])
        await running.service.reload()
        result = await scan
        assert "a/b" not in running.service.board.current
        assert 'model="a/b"' not in await running.text("/metrics")
    assert result["total"] >= 1


async def test_a_bug_of_ours_is_no_failure_of_the_model_and_stops_nothing(tmp_path: Path) -> None:
    scenarios = {"a/b": Scenario(kind=Kind.WARM), "c/d": Scenario(kind=Kind.WARM)}
    async with daemon.running(tmp_path, scenarios) as running:
        provider = running.service.monitor._providers["huggingface"]
        look_up = provider.look_up

        async def broken(model: Any) -> Any:
            if model.model_id == "a/b":
                raise ZeroDivisionError("of ours")
            return await look_up(model)

        provider.look_up = broken  # type: ignore[method-assign]
        result = await running.service.monitor.scan_all_models()
    by_id = {row["model_id"]: row for row in result["models"]}
    assert (by_id["a/b"]["status"], by_id["a/b"]["reason"]) == ("unknown", "probe_bug")
    assert by_id["c/d"]["status"] == "available"


async def test_a_single_model_given_as_a_mapping_is_probed_and_not_kept(tmp_path: Path) -> None:
    async with daemon.running(tmp_path, {"a/b": Scenario(kind=Kind.WARM)}, []) as running:
        result = await running.service.monitor.test_model({"model_id": "a/b", "task": daemon.TASK, "category": "x"})
        assert running.service.store.count_history("a/b") == 0
        assert not running.service.board.current
    assert result["success"] is True
    assert result["response_time_ms"] > 0
    assert result["error_message"] is None


async def test_only_configured_models_are_checked(tmp_path: Path) -> None:
    async with daemon.running(tmp_path, {"a/b": Scenario(kind=Kind.WARM)}) as running:
        with pytest.raises(KeyError):
            await running.service.monitor.check("somebody/else")


async def test_the_connection_is_kept_from_probe_to_probe(tmp_path: Path) -> None:
    async with daemon.running(tmp_path, {"a/b": Scenario(kind=Kind.WARM)}) as running:
        await running.service.monitor.check("a/b")
        seen = await running.service.monitor.check("a/b")
    assert seen.timings is not None
    assert set(seen.timings.phases()) == {"first_byte", "transfer"}


async def test_while_the_hub_is_in_trouble_what_it_said_within_the_hour_saves_the_money(tmp_path: Path) -> None:
    async with daemon.running(tmp_path, {"a/b": Scenario(kind=Kind.NOT_SERVED)}) as running:
        await running.service.monitor.check("a/b")
        running.stand_in.hub_host = "throttled"
        seen = await running.service.monitor.check("a/b")
        assert running.stand_in.requests["inference", "a/b"] == 0
    assert seen.status is Status.NOT_SERVED


async def test_a_model_that_becomes_another_one_during_its_probe_is_not_mixed_up(tmp_path: Path) -> None:
    scenarios = {"a/b": Scenario(kind=Kind.LOADING), "c/d": Scenario(kind=Kind.WARM)}
    async with daemon.running(tmp_path, scenarios, cold_start_wait="200ms") as running:
        probe = asyncio.create_task(running.service.monitor.check("a/b"))
        await running.asked("a/b")
        base_url = running.service.config.providers["huggingface"].hub_url
        daemon.write_config(running.config_path, base_url, [entry("a/b", SUMMARY), entry("c/d")])
        await running.service.reload()
        assert (await probe).task == daemon.TASK
        assert running.service.board.get("a/b") is None, "what was asked as a classifier says nothing of a summarizer"
        assert 'ai_model_status{model="a/b",provider="huggingface",status="unknown"} 1.0' in await running.text(
            "/metrics"
        )
        await running.service.monitor.check("a/b")
        assert running.service.board.current["a/b"].task == SUMMARY


async def test_a_failure_of_a_model_that_is_served_for_another_task_is_our_own(tmp_path: Path) -> None:
    scenarios = {"a/b": Scenario(kind=Kind.MODEL_ERROR, task="summarization"), "c/d": Scenario(kind=Kind.WARM)}
    async with daemon.running(tmp_path, scenarios) as running:
        seen = await running.service.monitor.check("a/b")
    assert (seen.status, seen.reason, seen.scope) == (Status.UNKNOWN, Reason.BAD_REQUEST, Scope.CLIENT)
    assert seen.message.startswith("configured for sentiment-analysis, but served for summarization: ")


async def test_without_a_token_all_are_refused_for_one_cause(tmp_path: Path) -> None:
    scenarios = {f"a/{number}": Scenario(kind=Kind.WARM) for number in range(4)}
    async with daemon.running(tmp_path, scenarios, token=None) as running:
        for model_id in scenarios:
            await running.service.monitor.run_scheduled(model_id)
        (incident,) = running.service.incidents.open()
        said = {key: seen.reason for key, seen in running.service.board.current.items()}
    assert (incident.scope, incident.reason) == (Scope.ACCOUNT, Reason.AUTH)
    assert said == {"a/0": Reason.AUTH, **dict.fromkeys(["a/1", "a/2", "a/3"], Reason.BACKOFF)}


async def test_a_host_that_asks_to_be_left_alone_is(tmp_path: Path) -> None:
    limited = Scenario(kind=Kind.RATE_LIMITED, retry_after_s=1200)
    async with daemon.running(tmp_path, {"a/b": limited}) as running:
        seen = await running.service.monitor.check("a/b")
        due = running.service.incidents.next_try("huggingface")
    assert due is not None
    assert (due - seen.checked_at).total_seconds() == pytest.approx(1200, abs=2)


async def test_a_silence_of_everything_is_our_own_network_and_no_models_failure(tmp_path: Path) -> None:
    models = [entry(f"a/{number}", timeout="200ms") for number in range(3)]
    scenarios = {f"a/{number}": Scenario(kind=Kind.WARM) for number in range(3)}
    async with daemon.running(tmp_path, scenarios, models, connectivity_check="http://nobody.invalid/") as running:
        await running.service.monitor.scan_all_models()
        running.stand_in.host = "hang"
        result = await running.service.monitor.scan_all_models()
        (incident,) = running.service.incidents.open()
        stats = [await running.json(f"/models/{model}/stats") for model in scenarios]
    assert {row["status"] for row in result["models"]} == {"unknown"}
    assert incident.scope is Scope.CLIENT
    assert [row["model_info"]["failed_checks"] for row in stats] == [0, 0, 0]


async def test_what_the_hub_says_is_shown_beside_what_the_probe_found(tmp_path: Path) -> None:
    scenarios = {
        "a/lie": Scenario(kind=Kind.SERVER_ERROR),
        "a/none": Scenario(kind=Kind.NOT_SERVED),
        "a/gone": Scenario(kind=Kind.MISSING),
    }
    async with daemon.running(tmp_path, scenarios) as running:
        await running.service.monitor.scan_all_models()
        lines = (await running.text("/metrics")).splitlines()
        hashed = [line for line in lines if line.startswith("ai_model_exporter_config_hash ")]
        await running.service.reload()
        assert hashed[0] in await running.text("/metrics")
        base_url = running.service.config.providers["huggingface"].hub_url
        daemon.write_config(running.config_path, base_url, [entry("a/lie")])
        await running.service.reload()
        assert hashed[0] not in await running.text("/metrics")
    assert 'ai_model_hub_served{model="a/lie",provider="huggingface"} 1.0' in lines
    assert 'ai_model_hub_served{model="a/none",provider="huggingface"} 0.0' in lines
    assert not [line for line in lines if line.startswith('ai_model_hub_served{model="a/gone"')]
    (left,) = [line for line in lines if line.startswith("ai_model_hub_requests_remaining{")]
    assert 0 < float(left.rpartition(" ")[2]) < 10_000
