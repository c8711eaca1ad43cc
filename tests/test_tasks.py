"""What is said to a model and how its answer is read, for every task over the whole table, and the recorded answers."""

from __future__ import annotations

import contextlib
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.classify import judge
from exporter.models import CheckName, Expectation, Model, Reason, Reply, Status
from exporter.providers.huggingface import read_listing
from exporter.tasks import TASKS, BadOutputError, Canary, canary_for, decode
from tests import recorded

PAYLOADS = {
    "sentiment-analysis": {
        "inputs": "The company reported record profits and raised its outlook for the year.",
        "parameters": {"top_k": 20},
    },
    "zero-shot-classification": {
        "inputs": "The central bank raised interest rates by half a percentage point.",
        "parameters": {"candidate_labels": ["economy", "sports"]},
    },
    "text-generation": {
        "inputs": "The stock market is",
        "parameters": {"max_new_tokens": 8, "do_sample": False, "return_full_text": False},
    },
}
RANKING: list[dict[str, Any]] = [{"label": "positive", "score": 0.7}, {"label": "negative", "score": 0.3}]
GOOD = {
    "sentiment-analysis": [[RANKING], RANKING, RANKING[0]],
    "zero-shot-classification": [
        {"sequence": "x", "labels": ["economy", "sports"], "scores": [0.8, 0.2]},
        [{"sequence": "x", "labels": ["sports", "economy"], "scores": [0.2, 0.8]}],
        [{"label": "economy", "score": 0.8}, {"label": "sports", "score": 0.2}],
    ],
    "summarization": [[{"summary_text": "Shares rose on Tuesday"}], {"summary_text": "Shares rose on Tuesday"}],
    "text-generation": [
        [{"generated_text": "The stock market is up"}],
        {"generated_text": " up", "details": {"finish_reason": "length", "generated_tokens": 8}},
        {"choices": [{"text": " up", "finish_reason": "length"}]},
        {"object": "chat.completion", "choices": [{"message": {"role": "assistant", "content": "up"}}]},
        [
            {"token": {"text": " up"}, "details": None},
            {"token": {"text": " again"}, "details": {"finish_reason": "eos"}},
        ],
        [
            {"object": "chat.completion.chunk", "choices": [{"delta": {"role": "assistant"}}]},
            {"object": "chat.completion.chunk", "choices": [{"delta": {"content": "up"}, "finish_reason": "stop"}]},
        ],
    ],
}
BAD: dict[str, list[Any]] = {
    "sentiment-analysis": [
        None, 3, "positive", [], [[]], [None], [["x"]], [{"label": 1, "score": 0.5}], [{"label": "a"}], {"labels": []},
        [{"label": "a\N{REPLACEMENT CHARACTER}", "score": 0.5}], [{"label": "a", "score": 10**400}],
    ],
    "zero-shot-classification": [
        None, [], {"labels": ["economy"], "scores": []}, {"labels": [1], "scores": [0.5]}, {"labels": "x"},
        [{"label": "economy", "score": 0.5}], {"labels": ["economy", "sports"], "scores": [0.5, math.inf]},
    ],
    "summarization": [None, [], {"summary_text": None}, [{"summary_text": ""}], [{"text": "x"}], [[{}]]],
    "text-generation": [
        None, [], {}, {"generated_text": None}, {"choices": []}, {"choices": [{"text": None}]}, {"choices": "x"},
        {"choices": [{"message": {"content": None}}]}, [{"token": {"text": None}}],
        [{"object": "chat.completion.chunk", "choices": [{"delta": {"content": "a"}}]}, {"error": "out of memory"}],
        [{"object": "chat.completion.chunk", "choices": [None]}],
    ],
}  # fmt: skip


def model_for(task: str, **changes: Any) -> Model:
    return Model(model_id="owner/name", task=task, category="general", **changes)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_a_task_has_goldens_a_tag_and_a_payload_that_is_json(task: Any) -> None:
    model = model_for(task.name)
    assert task.canaries
    assert task.hub_tag
    payload = task.payload(model, canary_for(task, model))
    assert json.loads(json.dumps(payload)) == payload
    assert PAYLOADS.get(task.name, payload) == payload


def test_the_summary_is_asked_of_a_text_that_bart_need_not_pad_and_for_little_money() -> None:
    task = TASKS["summarization"]
    payload = task.payload(model_for(task.name), task.canaries[0])
    assert 80 <= len(payload["inputs"].split()) <= 130
    assert payload["parameters"] == {"min_length": 5, "max_length": 40}


def test_generation_as_openai_completions_has_its_own_route_and_body() -> None:
    task, model = TASKS["text-generation"], model_for("text-generation", api="completions")
    assert task.route(model) == "/v1/completions"
    assert task.payload(model, task.canaries[0]) == {
        "model": "owner/name",
        "prompt": "The stock market is",
        "max_tokens": 8,
        "temperature": 0,
    }


@pytest.mark.parametrize(("name", "data"), [(name, data) for name, every in GOOD.items() for data in every])
def test_every_good_shape_is_read(name: str, data: Any) -> None:
    task = TASKS[name]
    answer = task.read(data, task.canaries[0])
    checks, _ = task.check(answer, task.canaries[0], model_for(name, multi_label=True))
    assert all(check.passed and not check.message for check in checks)
    json.dumps(answer.output, allow_nan=False)


@pytest.mark.parametrize(("name", "data"), [(name, data) for name, every in BAD.items() for data in every])
def test_every_bad_shape_is_refused_with_words(name: str, data: Any) -> None:
    task = TASKS[name]
    with pytest.raises(BadOutputError, match=r"\w"):
        task.read(data, task.canaries[0])


def test_the_tables_cover_every_task() -> None:
    assert set(GOOD) == set(BAD) == set(TASKS)


def test_a_ranking_is_sorted_and_its_top_is_the_confidence() -> None:
    task = TASKS["sentiment-analysis"]
    answer = task.read([{"label": "b", "score": 0.2}, {"label": "a", "score": 0.8}], task.canaries[0])
    assert (answer.label, answer.confidence) == ("a", 0.8)
    assert [row["label"] for row in answer.output] == ["a", "b"]


def checked(
    name: str, data: Any, canary: Canary | None = None, **changes: Any
) -> tuple[dict[CheckName, bool], bool | None]:
    task = TASKS[name]
    golden = canary or task.canaries[0]
    checks, correct = task.check(task.read(data, golden), golden, model_for(name, **changes))
    assert {check.name for check in checks} <= set(task.checks)
    assert all(bool(check.message) != check.passed for check in checks)
    return {check.name: check.passed for check in checks}, correct


def test_an_own_input_has_no_known_answer() -> None:
    canary = canary_for(TASKS["sentiment-analysis"], model_for("sentiment-analysis", input="A sad day."))
    assert (canary.input, canary.expect) == ("A sad day.", ())
    assert canary.name.startswith("own-")
    assert checked("sentiment-analysis", RANKING, canary) == ({CheckName.SCORES: True}, None)


def test_the_goldens_are_sent_in_turn_and_have_names_of_their_own() -> None:
    for task in TASKS.values():
        sent = [canary_for(task, model_for(task.name), turn) for turn in range(len(task.canaries) * 2)]
        assert sent == [*task.canaries, *task.canaries]
        assert len(task.canaries) >= 2
        assert len({canary.name for canary in task.canaries}) == len(task.canaries)


@pytest.mark.parametrize("name", [task.name for task in TASKS.values() if CheckName.EXPECTATION in task.checks])
def test_the_expectation_of_the_configuration_is_held_against_every_label(name: str) -> None:
    expect = Expectation(labels=("elephant",))
    assert checked(name, GOOD[name][0], expect=expect)[0][CheckName.EXPECTATION] is False


LABELS = [
    ("POSITIVE", True, True),
    (" positive ", True, True),
    ("Bullish", True, True),
    ("POS", True, True),
    ("5 stars", True, True),
    ("4 stars", True, True),
    ("neutral", True, False),
    ("3 stars", True, False),
    ("NEU", True, False),
    ("negative", False, False),
    ("BEARISH", False, False),
    ("1 star", False, False),
    ("NEG", False, False),
    ("LABEL_0", None, None),
    ("joy", None, None),
]


@pytest.mark.parametrize(("label", "passed", "correct"), LABELS)
def test_a_label_is_judged_by_its_polarity(label: str, passed: bool | None, correct: bool | None) -> None:
    checks, was_correct = checked("sentiment-analysis", [{"label": label, "score": 1.0}])
    assert (checks.get(CheckName.LABEL), was_correct) == (passed, correct)


def test_the_configuration_says_what_a_label_of_its_own_means() -> None:
    for polarity, expected in (("negative", (False, False)), ("positive", (True, True))):
        checks, correct = checked(
            "sentiment-analysis", [{"label": "LABEL_0", "score": 1.0}], polarity={"label_0": polarity}
        )
        assert (checks[CheckName.LABEL], correct) == expected


@pytest.mark.parametrize(
    ("scores", "passed"), [((0.7, 0.3), True), ((0.7, 0.31), True), ((0.9, 0.8), False), ((0.1, 0.2), False)]
)
def test_scores_that_exclude_each_other_sum_to_one(scores: tuple[float, float], passed: bool) -> None:
    ranking = [{"label": label, "score": score} for label, score in zip(("economy", "sports"), scores, strict=True)]
    assert checked("zero-shot-classification", ranking)[0][CheckName.SCORES] is passed
    assert checked("sentiment-analysis", ranking)[0][CheckName.SCORES] is passed
    assert CheckName.SCORES not in checked("sentiment-analysis", ranking, multi_label=True)[0]


PENGUINS = "Penguins swim under thick polar ice while tourists photograph distant glaciers."
CYRILLIC = "Акции крупнейшего автопроизводителя выросли " * 2 + "Shares company the of rose on Tuesday"
SUMMARIES = {
    "about its source": ("Shares of the country's largest carmaker rose on Tuesday.", None),
    "about something else": (PENGUINS, CheckName.OVERLAP),
    "one word again and again": ("company " * 40, CheckName.REPETITION),
    "in another script": (CYRILLIC, CheckName.LANGUAGE),
    "longer than its source": (TASKS["summarization"].canaries[0].input + " And more.", CheckName.LENGTH),
}


@pytest.mark.parametrize(("text", "fails"), SUMMARIES.values(), ids=SUMMARIES.keys())
def test_a_summary_is_held_against_its_source(text: str, fails: CheckName | None) -> None:
    checks, correct = checked("summarization", [{"summary_text": text}])
    assert {name for name, passed in checks.items() if not passed} == ({fails} if fails else set())
    assert correct is None


@pytest.mark.parametrize(
    ("text", "fails"),
    [
        (" going up again", None),
        (" рынок растёт", CheckName.LANGUAGE),
        (" the" * 20, CheckName.REPETITION),
        (" 2, 3, 5", None),
    ],
)
def test_generated_text_is_in_the_prompts_script_and_goes_on(text: str, fails: CheckName | None) -> None:
    checks, _ = checked("text-generation", [{"generated_text": text}])
    assert {name for name, passed in checks.items() if not passed} == ({fails} if fails else set())


def test_a_prompt_in_another_script_says_nothing_of_the_answers_language() -> None:
    canary = Canary(input="Рынок сегодня")
    assert checked("text-generation", [{"generated_text": " растёт"}], canary)[0][CheckName.LANGUAGE] is True


@pytest.mark.parametrize(
    ("body", "content_type", "says"),
    [
        (b"\xff\xfe", "", "not UTF-8"),
        (b"  ", "", "empty"),
        (b"<html>", "text/html", "HTML"),
        (b"[NaN]", "", "NaN"),
        (b"[-Infinity]", "", "-Infinity"),
        (b"[1", "", "not JSON"),
        (b"1" * 5000, "", "not JSON"),
        (b"[" * 200_000, "", "nested too deeply"),
        (b"data:{\n\n", "text/event-stream", "not JSON"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_is_not_strict_json_is_refused(body: bytes, content_type: str, says: str) -> None:
    with pytest.raises(BadOutputError, match=says):
        decode(body, content_type)


def test_server_sent_events_become_a_list() -> None:
    assert decode(b'data:{"a":1}\n\n: comment\n\ndata: {"b":2}\n\ndata: [DONE]\n\n', "") == [{"a": 1}, {"b": 2}]


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["label", "score", "labels", "choices", "token", "error", "text"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(data=JSON, name=st.sampled_from(sorted(TASKS)))
def test_no_data_whatever_breaks_a_reader(data: Any, name: str) -> None:
    task = TASKS[name]
    with contextlib.suppress(BadOutputError):
        assert task.read(data, task.canaries[0]).output is not None


@given(body=st.binary(max_size=60))
def test_no_bytes_whatever_break_the_judge(body: bytes) -> None:
    for name, task in TASKS.items():
        model = model_for(name)
        judge(Reply(http_status=200, body=body), task, canary_for(task, model), model)


@recorded.needed
@pytest.mark.parametrize("number", range(60))
def test_the_readers_survive_the_recorded_exchange(number: int) -> None:
    exchange = recorded.exchanges()[number]
    reply = Reply(http_status=exchange["status"], headers=exchange["headers"], body=exchange["body"].encode())
    if exchange["method"] == "GET":
        listing = read_listing(reply, "x", "hf-inference")
        assert listing.canonical_id
        return
    task = TASKS[task_of(exchange)]
    asked = json.loads(exchange["request_body"] or "{}")
    parameters = asked.get("parameters") or {}
    text = asked.get("inputs") if isinstance(asked.get("inputs"), str) else ""
    canary = Canary(input=text or "", candidates=tuple(parameters.get("candidate_labels", ())))
    verdict = judge(reply, task, canary, model_for(task.name, multi_label=bool(parameters.get("multi_label"))))

    if "sentence-similarity" in exchange["url"]:
        assert verdict.reason is Reason.BAD_OUTPUT
    elif "eloqu" in exchange["body"] or exchange["body"].endswith("…trimmed"):
        assert (verdict.status, verdict.reason) == (Status.FAILED, Reason.BAD_OUTPUT)
    elif exchange["status"] == 200:
        assert (verdict.status, verdict.reason) == (Status.AVAILABLE, Reason.OK), verdict.message
    else:
        expected = {404: Reason.NOT_FOUND, 422: Reason.BAD_REQUEST}
        assert verdict.reason is expected[exchange["status"]]


def task_of(exchange: dict[str, Any]) -> str:
    if "cnn" in exchange["url"]:
        return "summarization"
    if "mnli" in exchange["url"]:
        return "zero-shot-classification"
    return "sentiment-analysis" if "sst-2" in exchange["url"] else "text-generation"
