"""Text generation in its classic form and in the OpenAI forms (completions, chat), whole or streamed. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from exporter.demo import toy
from exporter.demo.errors import compact, refusal
from exporter.demo.question import Output, PayloadError, Question, bend_text, missing_field, whole
from exporter.demo.scenario import Kind

TOKEN_S: Final = 0.02
DEFAULT_NEW_TOKENS: Final = 20
MAX_TOTAL_TOKENS: Final = 1512
FINGERPRINT: Final = "3.2.1-native"
DONE: Final = "data: [DONE]"


def classic(question: Question) -> Output:
    """Answer `{"inputs", "parameters"}` with `[{"generated_text"}]`, the prompt before it. Raises PayloadError."""
    prompt = question.payload.get("inputs")
    if not isinstance(prompt, str):
        raise missing_field(question.raw, "inputs")
    asked = whole(question.parameters.get("max_new_tokens"), DEFAULT_NEW_TOKENS)
    check_length(prompt, asked)
    words, cut = toy.continuation(prompt, asked, question.salt)
    if asked == 1:  # as recorded: the one token is a space, and the text is empty
        words = [" "]
    new_text = bend_text(question.scenario, "" if asked == 1 else "".join(words), f"{question.salt}:{prompt}")
    whole_text = question.parameters.get("return_full_text", True) is not False
    text = prompt + new_text if whole_text and question.scenario.kind is not Kind.EMPTY_TEXT else new_text
    tokens = [
        {"id": index + 3, "text": word, "logprob": -round(0.1 + index / 64, 7), "special": False}
        for index, word in enumerate(words)
    ]
    details: dict[str, Any] = {
        "finish_reason": "length" if cut else "eos_token",
        "generated_tokens": len(words),
        "seed": None,
    }
    if question.payload.get("stream") is True:
        return replace(_cost(prompt, words), events=_token_events(tokens, new_text, details))
    item: dict[str, Any] = {"generated_text": text}
    if question.parameters.get("details") is True:
        prefill = [{"id": 0, "text": "<pad>", "logprob": None}]
        asked_prefill = question.parameters.get("decoder_input_details") is True
        item["details"] = {**details, "prefill": prefill if asked_prefill else [], "tokens": tokens}
    return replace(_cost(prompt, words), body=[item])


def _token_events(tokens: list[dict[str, Any]], text: str, details: dict[str, Any]) -> tuple[str, ...]:
    last = len(tokens)
    return tuple(
        "data:"
        + compact(
            {
                "index": index,
                "token": token,
                "generated_text": text if index == last else None,
                "details": details if index == last else None,
            }
        )
        for index, token in enumerate(tokens, start=1)
    )


def completion(question: Question) -> Output:
    """Answer `{"prompt", "max_tokens"}` with `choices[].text`. Raises PayloadError."""
    prompt = question.payload.get("prompt")
    if not isinstance(prompt, str):
        raise missing_field(question.raw, "prompt")
    words, text, finish = _write(question, prompt)
    choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish}
    return _answer(question, "text_completion", choice, [{**choice, "text": word} for word in words], prompt, words)


def chat(question: Question) -> Output:
    """Answer `{"messages", "max_tokens"}` with `choices[].message`, or chunks. Raises PayloadError."""
    messages = question.payload.get("messages")
    if messages is None:
        raise missing_field(question.raw, "messages")
    if not isinstance(messages, list) or not messages or not all(isinstance(message, dict) for message in messages):
        raise PayloadError(refusal(422, "Input validation error: `messages` cannot be empty", error_type="validation"))
    prompt = " ".join(str(message.get("content") or "") for message in messages)
    words, text, finish = _write(question, prompt)
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text.strip()},
        "logprobs": None,
        "finish_reason": finish,
    }
    chunks: list[dict[str, Any]] = [
        {
            "index": 0,
            "delta": {"role": "assistant", "content": word},
            "logprobs": None,
            "finish_reason": finish if index == len(words) else None,
        }
        for index, word in enumerate(words, start=1)
    ]
    return _answer(question, "chat.completion", choice, chunks, prompt, words)


def _write(question: Question, prompt: str) -> tuple[list[str], str, str]:
    asked = whole(question.payload.get("max_tokens"), DEFAULT_NEW_TOKENS)
    check_length(prompt, asked)
    words, cut = toy.continuation(prompt, asked, question.salt)
    text = bend_text(question.scenario, "".join(words), f"{question.salt}:{prompt}")
    return words, text, "length" if cut else "stop"


def _answer(
    question: Question,
    name: str,
    choice: dict[str, Any],
    chunks: list[dict[str, Any]],
    prompt: str,
    words: list[str],
) -> Output:
    envelope = {
        "object": name,
        "id": "",
        "created": question.created,
        "model": question.model_id,
        "system_fingerprint": FINGERPRINT,
    }
    given = count_tokens(prompt)
    usage = {"prompt_tokens": given, "completion_tokens": len(words), "total_tokens": given + len(words)}
    cost = _cost(prompt, words)
    if question.payload.get("stream") is not True:
        return replace(cost, body={**envelope, "choices": [choice], "usage": usage})
    chunk_name = "chat.completion.chunk" if name == "chat.completion" else name
    events = [f"data: {compact({**envelope, 'object': chunk_name, 'choices': [c], 'usage': None})}" for c in chunks]
    return replace(cost, events=(*events, DONE))


def _cost(prompt: str, words: list[str]) -> Output:
    return Output(
        compute_s=TOKEN_S * len(words),
        characters=len(prompt),
        prompt_tokens=count_tokens(prompt),
        generated_tokens=len(words),
    )


def count_tokens(text: str) -> int:
    """Return the toy's number of tokens: words, and one for the end of the input."""
    return len(text.split()) + 1


def check_length(prompt: str, new_tokens: int) -> None:
    """Raise PayloadError with a 422 when no tokens are asked for, or more than fit."""
    if new_tokens <= 0:
        message = "Input validation error: `max_new_tokens` must be strictly positive"
        raise PayloadError(refusal(422, message, error_type="validation"))
    given = count_tokens(prompt)
    if given + new_tokens > MAX_TOTAL_TOKENS:
        message = (
            f"Input validation error: `inputs` tokens + `max_new_tokens` must be <= {MAX_TOTAL_TOKENS}."
            f" Given: {given} `inputs` tokens and {new_tokens} `max_new_tokens`"
        )
        raise PayloadError(refusal(422, message, error_type="validation"))
