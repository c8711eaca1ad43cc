"""The router's routes for inference: by task and in the OpenAI forms. Who may ask, and how long it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from exporter.demo import answers, errors, generation
from exporter.demo.errors import Refusal, compact
from exporter.demo.question import Output, PayloadError, Question, parse
from exporter.demo.scenario import HF_INFERENCE, Kind, Scenario
from exporter.demo.sending import EVENT_STREAM, Sendable, hang, reset, send, send_refusal
from exporter.demo.world import IDLE_S, Runtime, World, canonical, hexdigest, sha

BASE_PATH: Final = "/hf-inference"
MODEL_ID: Final = "{id:[^/]+(?:/[^/]+)?}"
UNIFIED_CHAT: Final = "/v1/chat/completions"

_ANY_PROVIDER: Final = frozenset({"", HF_INFERENCE, "fastest", "cheapest", "preferred"})

Operation = Callable[[Question], Output]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request for inference, on its way through the router."""

    request: web.Request
    raw: bytes
    model_id: str
    scenario: Scenario
    runtime: Runtime
    serial: int
    operation: Operation
    unified: bool

    def asks(self, header: str, option: str) -> bool | None:
        """Return what the client says by a header or by the older `options` object; None when it says nothing."""
        value = self.request.headers.get(header)
        if value is not None:
            return value.lower() == "true"
        options = parse(self.raw).get("options")
        said = options.get(option) if isinstance(options, Mapping) else None
        return said if isinstance(said, bool) else None


class Router:
    """The handlers, over the state of one world."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> list[web.RouteDef]:
        """Return the routes, the longer ones first: an id may hold a slash."""
        model = f"{BASE_PATH}/models/{MODEL_ID}"
        return [
            web.post(f"{model}/pipeline/{{task}}", self._pipeline),
            web.post(f"{model}/v1/completions", self._completion),
            web.post(f"{model}/v1/chat/completions", self._chat),
            web.post(model, self._task),
            web.post(f"{BASE_PATH}/pipeline/{{task}}/{MODEL_ID}", self._retired_pipeline),
            web.post(UNIFIED_CHAT, self._unified_chat),
        ]

    async def _task(self, request: web.Request) -> web.StreamResponse:
        return await self._infer(request, request.match_info["id"], answers.answer_task)

    async def _pipeline(self, request: web.Request) -> web.StreamResponse:
        operation = _PIPELINES.get(request.match_info["task"], _NO_PIPELINE)
        return await self._infer(request, request.match_info["id"], operation)

    async def _completion(self, request: web.Request) -> web.StreamResponse:
        return await self._infer(request, request.match_info["id"], _COMPLETION)

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        return await self._infer(request, request.match_info["id"], _CHAT)

    async def _unified_chat(self, request: web.Request) -> web.StreamResponse:
        model_id, provider = unified_model(await request.read())
        response = await self._infer(request, model_id, _CHAT, unified=True, provider_known=provider in _ANY_PROVIDER)
        if self._world.headers and not response.prepared:
            response.headers["x-inference-provider"] = HF_INFERENCE
        return response

    async def _retired_pipeline(self, request: web.Request) -> web.StreamResponse:
        return self._refuse(request, request.match_info["id"], errors.NOT_SUPPORTED, 0)

    async def _infer(
        self,
        request: web.Request,
        model_id: str,
        operation: Operation,
        *,
        unified: bool = False,
        provider_known: bool = True,
    ) -> web.StreamResponse:
        world = self._world
        serial = world.requests["inference", model_id]
        refused = world.authorise(request.headers.get("Authorization"))
        if refused is not None:
            return self._refuse(request, model_id, refused, serial)
        call = Call(
            request=request,
            raw=await request.read(),
            model_id=model_id,
            scenario=world.take(model_id),
            runtime=world.runtime(model_id),
            serial=serial,
            operation=operation,
            unified=unified,
        )
        if call.scenario.kind is Kind.RESET:
            return reset(request)
        if call.scenario.kind is Kind.HANG:
            return await hang(world, request)
        await world.wait(0.05 + 0.1 * world.draw(model_id, serial, "network"))
        if call.scenario.kind is not Kind.SLOW_BODY:
            await world.wait(call.scenario.wait_s)
        try:
            refusal = self._refusal(call) if provider_known else errors.unified(Kind.NOT_SERVED, model_id)
            refusal = refusal or await self._still_cold(call)
            if refusal is None:
                return await self._answer(call)
        except PayloadError as error:
            refusal = error.refusal
        return self._refuse(request, model_id, refusal, serial, call.scenario)

    def _refusal(self, call: Call) -> Refusal | None:
        scenario = call.scenario
        refusal = errors.unified(scenario.kind, call.model_id) if call.unified else None
        if refusal is None:
            refusal = errors.BY_KIND.get(scenario.kind)
        return refusal.about(call.model_id) if refusal is not None else None

    async def _still_cold(self, call: Call) -> Refusal | None:
        """Return the 503 of a model that is loading; with X-Wait-For-Model the load is waited for."""
        scenario, runtime, clock = call.scenario, call.runtime, self._world.clock
        if scenario.kind not in (Kind.LOADING, Kind.LEGACY_COLD):
            return None
        load_s = scenario.load_seconds(self._world.seed, canonical(call.model_id))
        now = clock.monotonic()
        if scenario.kind is Kind.LOADING:
            remaining = load_s
        else:
            used = max(runtime.ready_at or 0.0, runtime.last_used or 0.0)
            if runtime.ready_at is None or now - used >= IDLE_S:
                runtime.ready_at = now + load_s
            remaining = runtime.ready_at - now
        if remaining <= 0:
            return None
        if call.asks("X-Wait-For-Model", "wait_for_model"):
            await clock.sleep(remaining)
            if scenario.kind is Kind.LEGACY_COLD:
                return None
        return errors.loading(call.model_id, remaining)

    async def _answer(self, call: Call) -> web.StreamResponse:
        world, runtime = self._world, call.runtime
        question = f"{call.request.path}\n{call.scenario.kind}\n".encode() + call.raw
        cached = None if call.asks("X-Use-Cache", "use_cache") is False else runtime.cache.get(question)
        output = call.operation(self._question(call))
        compute_s = output.compute_s * (0.9 + 0.2 * world.draw(call.model_id, call.serial, "compute"))
        body = cached if cached is not None else _encode(output)
        queued_s = 0.0
        if cached is None:
            arrived = world.clock.monotonic()
            async with runtime.queue:  # one at a time: the served models run a single inference thread
                queued_s = world.clock.monotonic() - arrived
                await self._load(call)
                await world.wait(compute_s)
                runtime.last_used = world.clock.monotonic()
            runtime.remember(question, body)
        return await send(
            Sendable(
                world=world,
                request=call.request,
                scenario=call.scenario,
                body=body,
                headers=self._headers(call, output, "cache" if cached is not None else "cpu", compute_s, queued_s),
                content_type=errors.JSON if output.events is None else EVENT_STREAM,
            )
        )

    def _question(self, call: Call) -> Question:
        return Question(
            model_id=call.model_id,
            scenario=call.scenario,
            raw=call.raw,
            payload=parse(call.raw),
            salt=f"{self._world.seed}:{canonical(call.model_id)}",
            created=int(self._world.clock.now().timestamp()),
        )

    async def _load(self, call: Call) -> None:
        """Wait inside the request while a worker that left after 60 s without work loads the model again."""
        if call.scenario.kind is not Kind.IDLE_UNLOAD:
            return
        last_used = call.runtime.last_used
        if last_used is None or self._world.clock.monotonic() - last_used >= IDLE_S:
            await self._world.wait(call.scenario.load_seconds(self._world.seed, canonical(call.model_id)))

    def _headers(
        self, call: Call, output: Output, compute_type: str, compute_s: float, queued_s: float
    ) -> dict[str, str]:
        world, scenario = self._world, call.scenario
        if not world.headers:
            return {}
        seconds = compute_s * world.time_factor
        revision = scenario.revision if scenario.served_revision is None else scenario.served_revision
        headers = {
            **self._common(call.request, call.model_id, call.serial),
            "x-compute-type": compute_type,
            "x-compute-time": f"{seconds:.3f}",
            "x-compute-characters": str(output.characters),
            "x-inference-id": hexdigest(world.seed, call.model_id, call.serial)[:21],
            "x-sha": sha(call.model_id, revision),
        }
        if output.generated_tokens is None:
            return headers
        milliseconds = round(seconds * 1000)
        return headers | {
            "x-total-time": str(milliseconds + round(queued_s * 1000)),
            "x-validation-time": "0",
            "x-queue-time": str(round(queued_s * 1000)),
            "x-inference-time": str(milliseconds),
            "x-time-per-token": str(round(milliseconds / max(output.generated_tokens, 1))),
            "x-prompt-tokens": str(output.prompt_tokens),
            "x-generated-tokens": str(output.generated_tokens),
        }

    def _refuse(
        self, request: web.Request, model_id: str, refusal: Refusal, serial: int, scenario: Scenario | None = None
    ) -> web.Response:
        """Send a refusal, with a Retry-After where the scenario asks for one."""
        headers = self._common(request, model_id, serial) if self._world.headers else {}
        if scenario is not None:
            headers |= errors.retry_after(scenario, self._world.clock.now())
        return send_refusal(refusal, headers)

    def _common(self, request: web.Request, model_id: str, serial: int) -> dict[str, str]:
        made = hexdigest(self._world.seed, model_id, serial, "request", size=16)
        return {"x-request-id": request.headers.get("X-Request-Id", made), "x-powered-by": "stand-in"}


def unified_model(raw: bytes) -> tuple[str, str]:
    """Return the model's id and the part behind its colon, of a request to the unified chat route; "" where absent."""
    try:
        model = parse(raw).get("model")
    except PayloadError:
        return "", ""
    model_id, _, provider = (model if isinstance(model, str) else "").partition(":")
    return model_id, provider


def _encode(output: Output) -> bytes:
    if output.events is None:
        return compact(output.body).encode()
    return "".join(f"{event}\n\n" for event in output.events).encode()


def _only(tasks: frozenset[str], operation: Operation) -> Operation:
    """Return the operation, refused for a model of any other task."""

    def checked(question: Question) -> Output:
        if question.scenario.task not in tasks:
            raise PayloadError(errors.NOT_SUPPORTED)
        return operation(question)

    return checked


_GENERATORS: Final = frozenset({"text-generation"})
_EMBEDDERS: Final = frozenset({"feature-extraction", "sentence-similarity"})
_CHAT: Final = _only(_GENERATORS, generation.chat)
_COMPLETION: Final = _only(_GENERATORS, generation.completion)
_PIPELINES: Final[Mapping[str, Operation]] = {
    "feature-extraction": _only(_EMBEDDERS, answers.feature_extraction),
    "sentence-similarity": _only(_EMBEDDERS, answers.sentence_similarity),
}
_NO_PIPELINE: Final = _only(frozenset(), answers.answer_task)
