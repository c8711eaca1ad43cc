"""Text generation: a prompt in, its continuation out, in the classic form or as OpenAI completions."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from typing import Any, Final

from exporter.models import Answer, Check, CheckName, Model
from exporter.tasks.base import (
    BadOutputError,
    Canary,
    Task,
    not_repeating,
    rows,
    snippet,
    text_of,
    written_like,
)

# One token may rightly be empty; a few are cheap and always hold text.
MAX_NEW_TOKENS: Final = 8


def route(model: Model) -> str:
    """Return the path behind the model's own: vLLM-backed models offer the OpenAI routes only."""
    return "/v1/completions" if model.api == "completions" else ""


def payload(model: Model, canary: Canary) -> dict[str, Any]:
    """Return the request in the form of the model's `api`: greedy, so that the same prompt gives the same text."""
    if model.api == "completions":
        return {"model": model.model_id, "prompt": canary.input, "max_tokens": MAX_NEW_TOKENS, "temperature": 0}
    parameters = {"max_new_tokens": MAX_NEW_TOKENS, "do_sample": False, "return_full_text": False}
    return {"inputs": canary.input, "parameters": parameters}


def read(data: Any, canary: Canary) -> Answer:
    """Read `[{generated_text}]`, `{generated_text}`, `{choices: [{text}]}`, chat choices, and their streamed forms."""
    found = rows(data, what="text")
    first = found[0]
    if "token" in first:
        text, finished = _streamed_tokens(found)
    elif str(first.get("object", "")).endswith(".chunk"):
        text, finished = _streamed_chunks(found)
    elif "choices" in first:
        text, finished = _choice(rows(first["choices"], what="choice")[0])
    else:
        text, finished = text_of(first, "generated_text"), _finish_reason(first)
    new = text.removeprefix(canary.input)
    if not new.strip() and not (finished == "length" and _generated_tokens(found[-1]) == 1):
        raise BadOutputError("the text is empty" if not text.strip() else f"only the prompt came back: {snippet(text)}")
    return Answer(output={"generated_text": text}, text=new)


def check(answer: Answer, canary: Canary, model: Model) -> tuple[tuple[Check, ...], bool | None]:
    """Any continuation is right that is written in the prompt's script and does not repeat itself."""
    text = answer.text or ""
    return (written_like(text, canary.input), not_repeating(text.casefold().split())), None


def _choice(choice: Mapping[str, Any]) -> tuple[str, str]:
    message = choice.get("message")
    text = text_of(message, "content") if isinstance(message, Mapping) else text_of(choice, "text")
    return text, str(choice.get("finish_reason"))


def _streamed_tokens(found: Any) -> tuple[str, str]:
    tokens = [row["token"] for row in found if isinstance(row.get("token"), Mapping)]
    return "".join(text_of(token, "text") for token in tokens), _finish_reason(found[-1])


def _streamed_chunks(found: Any) -> tuple[str, str]:
    text, finished = "", "None"
    for chunk in found:
        if "error" in chunk:
            raise BadOutputError(f"an error within the stream: {reprlib.repr(chunk['error'])}")
        for choice in chunk.get("choices") or []:
            delta = choice.get("delta") if isinstance(choice, Mapping) else None
            if isinstance(delta, Mapping) and isinstance(delta.get("content"), str):
                text += delta["content"]
                finished = str(choice.get("finish_reason"))
    return text, finished


def _details(row: Mapping[str, Any]) -> Mapping[str, Any]:
    details = row.get("details")
    return details if isinstance(details, Mapping) else {}


def _finish_reason(row: Mapping[str, Any]) -> str:
    return str(_details(row).get("finish_reason"))


def _generated_tokens(row: Mapping[str, Any]) -> Any:
    return _details(row).get("generated_tokens")


TASK: Final = Task(
    name="text-generation",
    hub_tag="text-generation",
    canaries=(
        Canary(name="market", input="The stock market is"),
        Canary(name="morning", input="Every morning, the old man walked to the"),
    ),
    checks=(CheckName.READABLE, CheckName.LANGUAGE, CheckName.REPETITION),
    payload=payload,
    read=read,
    check=check,
    route=route,
)
