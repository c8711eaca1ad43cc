"""The bodies that tasks answer, and the exact texts for payloads that cannot be answered."""

from __future__ import annotations

import json
from typing import Any

import pytest

from exporter.demo import Kind
from exporter.demo.toy import FIVE_STARS, LOWER_THREE
from tests.demo.conftest import BAD_NEWS, GOOD_NEWS, PAYLOADS, Bench

SEVEN = tuple((f"mood {n}", 1 - n / 3) for n in range(7))


def shape(body: Any) -> list[list[str]]:
    return [[row["label"] for row in ranking] for ranking in body]


@pytest.mark.parametrize(
    ("payload", "wanted"),
    [
        pytest.param({"inputs": GOOD_NEWS}, [["positive", "neutral", "negative"]], id="a string has its whole ranking"),
        pytest.param({"inputs": GOOD_NEWS, "parameters": {"top_k": 2}}, [["positive", "neutral"]], id="top_k cuts"),
        pytest.param({"inputs": [GOOD_NEWS, BAD_NEWS]}, [["positive"], ["negative"]], id="a list has the best of each"),
        pytest.param({"inputs": [GOOD_NEWS]}, [["positive"]], id="a list of one"),
        pytest.param(
            {"inputs": [GOOD_NEWS, BAD_NEWS], "parameters": {"top_k": 2}},
            [["positive", "neutral"], ["negative", "neutral"]],
            id="a list with top_k has a ranking each",
        ),
    ],
)
async def test_classification_is_grouped_as_the_toolkit_does(
    bench: Bench, payload: dict[str, Any], wanted: list[list[str]]
) -> None:
    bench.play(labels=LOWER_THREE)
    assert shape((await bench.ask(payload)).json) == wanted


async def test_the_old_grouping_joins_the_best_of_each_input(bench: Bench) -> None:
    bench.play(labels=LOWER_THREE, batches="joined")
    assert shape((await bench.ask({"inputs": [GOOD_NEWS, BAD_NEWS]})).json) == [["positive", "negative"]]


async def test_a_string_is_cut_to_five_labels_unless_top_k_says_otherwise(bench: Bench) -> None:
    bench.play(labels=SEVEN)
    cut = (await bench.ask()).json[0]
    whole = (await bench.ask({"inputs": GOOD_NEWS, "parameters": {"top_k": 10}})).json[0]
    assert (len(cut), len(whole)) == (5, 7)
    assert sum(row["score"] for row in whole) == pytest.approx(1)
    assert [row["score"] for row in whole] == sorted((row["score"] for row in whole), reverse=True)


@pytest.mark.parametrize(
    ("apply", "low", "high"),
    [("softmax", 0, 1), ("sigmoid", 0, 1), ("none", -20, 1)],
    ids=["softmax", "sigmoid", "none"],
)
async def test_the_function_is_applied_to_the_scores(bench: Bench, apply: str, low: float, high: float) -> None:
    bench.play(labels=FIVE_STARS)
    ranking = (await bench.ask({"inputs": GOOD_NEWS, "parameters": {"function_to_apply": apply}})).json[0]
    assert ranking[0]["label"] == "5 stars"
    assert all(low <= row["score"] <= high for row in ranking)
    assert (sum(row["score"] for row in ranking) == pytest.approx(1)) is (apply == "softmax")


@pytest.mark.parametrize("style", ["pairs", "object", "object_list"])
async def test_zero_shot_has_three_shapes(bench: Bench, style: Any) -> None:
    payload = PAYLOADS["zero-shot-classification"]
    bench.play(task="zero-shot-classification", zero_shot=style)
    body = (await bench.ask(payload)).json
    if style == "pairs":
        assert [row.keys() for row in body] == [{"label", "score"}] * 2
        assert body[0]["label"] == "economy"
        return
    one = body if style == "object" else body[0]
    assert one["sequence"] == payload["inputs"]
    assert one["labels"] == ["economy", "sports"]
    assert one["scores"][0] > 0.9
    assert sum(one["scores"]) == pytest.approx(1)


async def test_zero_shot_of_a_list_is_a_list_of_objects(bench: Bench) -> None:
    bench.play(task="zero-shot-classification")
    payload = {"inputs": ["They won the final.", "He paid."], "parameters": {"candidate_labels": "sports, law"}}
    body = (await bench.ask(payload)).json
    assert [one["sequence"] for one in body] == payload["inputs"]
    assert body[0]["labels"][0] == "sports"


async def test_zero_shot_takes_the_older_forms_and_many_labels_at_once(bench: Bench) -> None:
    bench.play(task="zero-shot-classification")
    payload = {
        "inputs": {"text": "The team won the match; the market fell."},
        "parameters": {"candidateLabels": ["sports", "economy", "health"], "multi_label": True},
    }
    body = (await bench.ask(payload)).json
    scores = {row["label"]: row["score"] for row in body}
    assert scores["sports"] > 0.9 > scores["economy"] > scores["health"]


async def test_a_summary_is_the_first_sentences_and_shorter_than_the_text(bench: Bench) -> None:
    bench.play(task="summarization")
    text = PAYLOADS["summarization"]["inputs"]
    [whole] = (await bench.ask({"inputs": text})).json
    [short] = (await bench.ask({"inputs": text, "parameters": {"max_length": 5}})).json
    assert text.startswith(whole["summary_text"])
    assert 10 < len(whole["summary_text"].split()) < len(text.split())
    assert short == {"summary_text": "The council opened a new"}


async def test_generation_starts_with_the_prompt_unless_refused(bench: Bench) -> None:
    bench.play(task="text-generation")
    [whole] = (await bench.ask({"inputs": "The stock market is"})).json
    [new] = (await bench.ask({"inputs": "The stock market is", "parameters": {"return_full_text": False}})).json
    assert whole["generated_text"] == "The stock market is" + new["generated_text"]
    assert len(new["generated_text"].split()) == 20


async def test_generation_tells_details_and_may_be_empty_after_one_token(bench: Bench) -> None:
    bench.play(task="text-generation")
    parameters = {"max_new_tokens": 1, "return_full_text": False, "details": True, "decoder_input_details": True}
    [item] = (await bench.ask({"inputs": "test", "parameters": parameters})).json
    assert item["generated_text"] == ""
    assert item["details"]["finish_reason"] == "length"
    assert item["details"]["generated_tokens"] == 1
    assert item["details"]["tokens"][0]["text"] == " "
    assert item["details"]["prefill"] == [{"id": 0, "text": "<pad>", "logprob": None}]


async def test_generation_streams_a_token_an_event(bench: Bench) -> None:
    bench.play(task="text-generation")
    got = await bench.ask({"inputs": "The", "parameters": {"max_new_tokens": 3}, "stream": True})
    events = [json.loads(line.removeprefix("data:")) for line in got.text.split("\n\n") if line]
    assert got.content_type == "text/event-stream"
    assert [event["index"] for event in events] == [1, 2, 3]
    assert [event["generated_text"] for event in events[:2]] == [None, None]
    assert events[-1]["generated_text"] == "".join(event["token"]["text"] for event in events)
    assert events[-1]["details"]["finish_reason"] == "length"


async def test_a_long_generation_ends_by_itself(bench: Bench) -> None:
    bench.play(task="text-generation")
    parameters = {"max_new_tokens": 1000, "details": True}
    [item] = (await bench.ask({"inputs": "The", "parameters": parameters})).json
    assert item["details"]["finish_reason"] == "eos_token"


async def test_completions_answer_in_the_openai_form(bench: Bench) -> None:
    bench.play(task="text-generation")
    got = await bench.ask({"prompt": "The stock market is", "max_tokens": 5}, route="/v1/completions")
    assert got.json["object"] == "text_completion"
    assert got.json["choices"][0]["finish_reason"] == "length"
    assert len(got.json["choices"][0]["text"].split()) == 5
    assert got.json["usage"] == {"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10}


MESSAGES = [{"role": "user", "content": "What is a stock market?"}]


async def test_chat_answers_in_the_openai_form(bench: Bench) -> None:
    bench.play(task="text-generation")
    got = await bench.ask({"messages": MESSAGES, "max_tokens": 8}, route="/v1/chat/completions")
    assert got.json["object"] == "chat.completion"
    assert got.json["model"] == "org/model"
    assert got.json["created"] == 1_767_225_600
    assert got.json["choices"][0]["message"]["role"] == "assistant"
    assert len(got.json["choices"][0]["message"]["content"].split()) == 8


@pytest.mark.parametrize(
    ("route", "payload", "name"),
    [
        ("/v1/completions", {"prompt": "The"}, "text_completion"),
        ("/v1/chat/completions", {"messages": MESSAGES}, "chat.completion.chunk"),
    ],
    ids=["completions", "chat"],
)
async def test_openai_streams_end_with_done(bench: Bench, route: str, payload: dict[str, Any], name: str) -> None:
    bench.play(task="text-generation")
    got = await bench.ask({**payload, "max_tokens": 3, "stream": True}, route=route)
    events = [line.removeprefix("data: ") for line in got.text.split("\n\n") if line]
    assert got.content_type == "text/event-stream"
    assert events[-1] == "[DONE]"
    assert [json.loads(event)["object"] for event in events[:-1]] == [name] * 3


async def test_features_are_vectors_and_similarity_is_a_cosine(bench: Bench) -> None:
    bench.play(task="sentence-similarity")
    one = (await bench.ask({"inputs": "a b"}, route="/pipeline/feature-extraction")).json
    many = (await bench.ask({"inputs": ["a b", "c", ""]}, route="/pipeline/feature-extraction")).json
    assert many[0] == one
    assert [len(vector) for vector in many] == [16, 16, 16]
    assert sum(value * value for value in one) == pytest.approx(1)
    inputs = {"source_sentence": "good morning", "sentences": ["good morning", "good evening", "rockets"]}
    near = (await bench.ask({"inputs": inputs}, route="/pipeline/sentence-similarity")).json
    assert near[0] == pytest.approx(1)
    assert near[0] > near[1] > near[2]


ZERO_SHOT_REFUSAL = (
    "zero-shot-classification expects `inputs` to be either a string or a dict containing the key `text` or"
    " `sequences`, and `parameters` to be a dict containing either `candidate_labels` or `candidateLabels`."
)
NO_INPUTS = 'Body needs to provide a inputs key, received: b\'{"text":"x"}\''

REFUSED = {
    "no inputs": ("text-classification", {"text": "x"}, 400, NO_INPUTS),
    "no inputs for zero-shot": ("zero-shot-classification", {"text": "x"}, 400, NO_INPUTS),
    "no candidate_labels": ("zero-shot-classification", {"inputs": "x"}, 400, ZERO_SHOT_REFUSAL),
    "a dict without text": (
        "zero-shot-classification",
        {"inputs": {"x": "y"}, "parameters": {"candidate_labels": ["a"]}},
        400,
        ZERO_SHOT_REFUSAL,
    ),
    "no label at all": (
        "zero-shot-classification",
        {"inputs": "x", "parameters": {"candidate_labels": []}},
        400,
        "You must include at least one label and at least one sequence.",
    ),
    "inputs of another type": (
        "text-classification",
        {"inputs": 7},
        400,
        "text input must be of type `str` (single example) or `list[str]` (batch).",
    ),
    "an unknown parameter": (
        "summarization",
        {"inputs": "x", "parameters": {"lenght": 5}},
        400,
        "The following `model_kwargs` are not used by the model: ['lenght']"
        " (note: typos in the generate arguments will also show up in this list)",
    ),
    "too many tokens": (
        "text-generation",
        {"inputs": "test", "parameters": {"max_new_tokens": 10_000}},
        422,
        "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 1512."
        " Given: 2 `inputs` tokens and 10000 `max_new_tokens`",
    ),
    "no tokens": (
        "text-generation",
        {"inputs": "test", "parameters": {"max_new_tokens": 0}},
        422,
        "Input validation error: `max_new_tokens` must be strictly positive",
    ),
    "a task that is not played": ("fill-mask", {"inputs": "x"}, 400, "Task fill-mask is not played by the stand-in"),
    "not an object": ("text-classification", [1], 400, "argument of type 'list' is not a mapping"),
}


@pytest.mark.parametrize(("task", "payload", "status", "text"), REFUSED.values(), ids=REFUSED.keys())
async def test_a_bad_payload_gets_the_exact_text(bench: Bench, task: str, payload: Any, status: int, text: str) -> None:
    bench.play(task=task)
    got = await bench.ask(payload)
    assert (got.status, got.json["error"]) == (status, text)


MISSING_FIELDS = {
    "inputs": ("", b'{"messages": []}', 16),
    "prompt": ("/v1/completions", b"{}", 2),
    "messages": ("/v1/chat/completions", b'{"model": "m"}', 14),
}


@pytest.mark.parametrize(("name", "case"), MISSING_FIELDS.items(), ids=MISSING_FIELDS.keys())
async def test_a_missing_field_of_a_generator_is_a_422_in_plain_text(
    bench: Bench, name: str, case: tuple[str, bytes, int]
) -> None:
    route, raw, column = case
    bench.play(task="text-generation")
    got = await bench.request("POST", f"/hf-inference/models/org/model{route}", data=raw)
    assert (got.status, got.content_type) == (422, "text/plain")
    assert got.text == (
        f"Failed to deserialize the JSON body into the target type: missing field `{name}` at line 1 column {column}"
    )


async def test_a_body_that_is_not_json_is_a_400(bench: Bench) -> None:
    got = await bench.request("POST", "/hf-inference/models/org/model", data=b"inputs=x")
    assert got.status == 400
    assert "Expecting value" in got.json["error"]


@pytest.mark.parametrize(
    ("inputs", "errors"),
    [
        ({"sentences": ["a"]}, ["Error in `inputs.source_sentence`: field required"]),
        ({"source_sentence": "a", "sentences": "b"}, ["Error in `inputs`: value is not a valid dict"]),
    ],
    ids=["a missing field", "a field of the wrong type"],
)
async def test_an_error_may_be_a_list(bench: Bench, inputs: dict[str, Any], errors: list[str]) -> None:
    bench.play(task="sentence-similarity")
    got = await bench.ask({"inputs": inputs}, route="/pipeline/sentence-similarity")
    assert (got.status, got.json) == (400, {"error": errors})


async def test_a_chat_without_messages_in_it_is_refused(bench: Bench) -> None:
    bench.play(task="text-generation")
    got = await bench.ask({"messages": []}, route="/v1/chat/completions")
    assert (got.status, got.json["error_type"]) == (422, "validation")


@pytest.mark.parametrize(
    "route",
    ["/v1/completions", "/v1/chat/completions", "/pipeline/feature-extraction", "/pipeline/fill-mask"],
)
async def test_a_route_of_another_task_is_not_supported(bench: Bench, route: str) -> None:
    bench.play(Kind.WARM)
    got = await bench.ask(route=route)
    assert (got.status, got.json) == (400, {"error": "Model not supported by provider hf-inference"})
