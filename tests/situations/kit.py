"""One named situation: what happens to a running daemon, and what it must say of it. And the steps of its script."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from yarl import URL

from exporter.demo import DEMO_TOKEN, Kind, Scenario
from exporter.demo.world import HostFault
from exporter.models import EventKind, Reason, Scope, Status
from tests import daemon
from tests.daemon import Daemon, entry
from tests.situations.stage import EVERY, Answer, Stage

TASK_OF_TAG: Final = {"text-classification": "sentiment-analysis"}

Now: TypeAlias = tuple[Status, Reason, Scope]
Row: TypeAlias = Mapping[str, Any]
Step: TypeAlias = "Callable[[Run], Awaitable[None]]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What is scripted, and all that must be true at its end. `EVERY` as a model stands for those that are not named.

    `plays` is what the stand-in plays, by model id; each is configured, `entries` has further keys of a model, None for
    one that is not configured. `says` and `hub_says` are answers word for word, one a request. The daemon starts with
    `token` and the file's `settings`. Of the steps, `restart` ends the daemon and starts it anew on the same database.

    `now` is each model's status, reason and scope. `incidents` are those that last, of the one provider. `fallbacks`
    are the choices that are not the model itself (None: nothing works). `told` counts the events by
    kind, all of them but the changes of status, which are compared only where they are given. Where given as well:
    `seen`, the statuses and reasons that a model went through; `requests` for inference and `hub_requests` that came
    in, by model; `counted`, the checks that count and those of them that failed; `latency`, whether there is one.
    `astray` says that requests did not reach the stand-in, or twice.
    """

    name: str
    plays: Mapping[str, Scenario]
    entries: Mapping[str, Row | None] = field(default_factory=dict)
    says: Mapping[str, Sequence[Answer]] = field(default_factory=dict)
    hub_says: Mapping[str, Sequence[Answer]] = field(default_factory=dict)
    token: str | None = DEMO_TOKEN
    settings: Row = field(default_factory=dict)
    steps: Sequence[Step]
    now: Mapping[str, Now]
    incidents: tuple[tuple[Scope, Reason], ...] = ()
    fallbacks: Mapping[str, str | None] = field(default_factory=dict)
    told: Mapping[EventKind, int] = field(default_factory=dict)
    seen: Mapping[str, Sequence[tuple[Status, Reason]]] = field(default_factory=dict)
    requests: Mapping[str, int] = field(default_factory=dict)
    hub_requests: Mapping[str, int] = field(default_factory=dict)
    counted: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    latency: Mapping[str, bool] = field(default_factory=dict)
    astray: bool = False

    @property
    def models(self) -> tuple[str, ...]:
        """The ids that are configured."""
        return tuple(model_id for model_id in self.plays if self.entries.get(model_id, {}) is not None)

    def listed(self) -> list[dict[str, Any]]:
        """Return the models as the configuration has them."""
        every = self.entries.get(EVERY) or {}
        return [
            entry(model_id, TASK_OF_TAG.get(task, task), **{**every, **(self.entries.get(model_id) or {})})
            for model_id in self.models
            if (task := self.plays[model_id].task)
        ]


@dataclass(slots=True, kw_only=True)
class Run:
    """A situation under way."""

    situation: Situation
    daemon: Daemon
    stage: Stage
    standing: str  # the stand-in's own URL

    async def resolve(self, model_id: str) -> Row:
        """Ask the API which model to use now; `model_id` is None when none works."""
        url = f"{self.daemon.url}/api/ai-models/resolve"
        async with self.daemon.client.get(url, params={"model": model_id}) as response:
            answer: Row = await response.json()
            assert response.status == (503 if answer["model_id"] is None else 200), answer
            return answer


async def restart(_run: Run) -> None:
    """End the daemon and start it anew, on the same database."""


async def scan(run: Run) -> None:
    """A person has every model probed at once, over the API."""
    await run.daemon.json("/scan")


def rounds(count: int = 1) -> Step:
    """Let so many intervals pass, with each model probed at its own place in each."""

    async def step(run: Run) -> None:
        for _ in range(count):
            config = run.daemon.service.config
            for model in config.active:
                await run.daemon.service.monitor.run_scheduled(model.model_id)
                await run.stage.stage_clock.pass_time(config.interval_s / len(config.active))

    return step


def passes(seconds: float) -> Step:
    """Nobody is probed for so long."""
    return lambda run: run.stage.stage_clock.pass_time(seconds)


def _does(act: Callable[[Run], object]) -> Step:
    async def step(run: Run) -> None:
        act(run)

    return step


def play(played: Kind | Scenario, *model_ids: str) -> Step:
    """From now on the stand-in plays this for these models, else for all."""

    def act(run: Run) -> None:
        for model_id in model_ids or run.situation.plays:
            task = run.situation.plays[model_id].task
            run.stage.set(model_id, played if isinstance(played, Scenario) else Scenario(kind=played, task=task))

    return _does(act)


def say(*answers: Answer, to: Sequence[str] = (EVERY,)) -> Step:
    """From now on these are the answers to requests for inference; without any what is played."""
    return _does(lambda run: run.stage.say("inference", to, answers))


def hub_say(*answers: Answer, to: Sequence[str] = (EVERY,)) -> Step:
    """From now on these are the hub's answers; without any what is played."""
    return _does(lambda run: run.stage.say("hub", to, answers))


def host(fault: HostFault | None) -> Step:
    """The whole router is gone, down, throttled, resets or hangs; None heals it."""
    return _does(lambda run: setattr(run.stage, "host", fault))


def hub(fault: HostFault | None) -> Step:
    """The whole hub, likewise."""
    return _does(lambda run: setattr(run.stage, "hub_host", fault))


def credits_left(requests: int | None) -> Step:
    """After so many requests the account answers 402."""
    return _does(lambda run: setattr(run.stage, "credit_requests", requests))


def token(value: str) -> Step:
    """The token of the environment is another one from now on."""
    return _does(lambda run: run.daemon.service._keyring._environ.__setitem__("HF_TOKEN", value))  # type: ignore[attr-defined]


def route(*, inference: str | None = None, hub: str | None = None, check: str | None = None) -> Step:
    """The configuration names other hosts from now on (`{port}` is the stand-in's own), and is read again.

    `check` is asked whether our own network works.
    """

    async def step(run: Run) -> None:
        port = URL(run.standing).port
        urls = {
            "base_url": f"{(inference or run.standing).format(port=port)}/hf-inference",
            "hub_url": (hub or run.standing).format(port=port),
        }
        settings = {**run.situation.settings, "providers": {"huggingface": urls}}
        if check is not None:
            settings["connectivity_check"] = check.format(port=port)
        daemon.write_config(run.daemon.config_path, run.standing, run.situation.listed(), **settings)
        await run.daemon.service.reload()

    return step


def bug_in(model_id: str) -> Step:
    """The probe of this model has a bug: the provider's code raises what nobody expects."""

    def act(run: Run) -> None:
        provider = run.daemon.service.monitor._providers["huggingface"]
        look_up = provider.look_up

        async def broken(model: Any) -> Any:
            return 1 / 0 if model.model_id == model_id else await look_up(model)

        provider.look_up = broken  # type: ignore[method-assign]

    return _does(act)
