"""From a payload to the JSON that a task answers, in the toolkit's shapes, bent as the scenario says. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from exporter.demo import generation, toy
from exporter.demo.errors import refusal
from exporter.demo.question import Output, PayloadError, Question, bend_text, whole
from exporter.demo.scenario import Kind, Scenario

CLASSIFICATION_S: Final = 0.016
ZERO_SHOT_LABEL_S: Final = 0.17
SUMMARIZATION_S: Final = 4.0
EMBEDDING_S: Final = 0.023

DEFAULT_TOP_K: Final = 5

_SUMMARY_NAMES: Final = """
    clean_up_tokenization_spaces do_sample early_stopping generate_parameters length_penalty max_length max_new_tokens
    min_length min_new_tokens no_repeat_ngram_size num_beams repetition_penalty temperature top_k top_p truncation
"""
_SUMMARY_PARAMETERS: Final = frozenset(_SUMMARY_NAMES.split())

Ranking = list[dict[str, Any]]


def answer_task(question: Question) -> Output:
    """Answer a request to `/models/{id}` by the task of the model. Raises PayloadError."""
    answer = _TASKS.get(question.scenario.task)
    if answer is None:
        raise PayloadError(refusal(400, f"Task {question.scenario.task} is not played by the stand-in"))
    return answer(question)


def _classification(question: Question) -> Output:
    inputs = _inputs(question)
    texts = _texts(inputs)
    top_k = question.parameters.get("top_k")
    rankings = [_sentiment(question, text) for text in texts]
    if isinstance(inputs, str) or top_k is not None:
        kept = whole(top_k, DEFAULT_TOP_K)
        body = [ranking[:kept] for ranking in rankings]
    elif question.scenario.batches == "joined":
        body = [[ranking[0] for ranking in rankings]]
    else:
        body = [ranking[:1] for ranking in rankings]
    return Output(body=body, compute_s=CLASSIFICATION_S * len(texts), characters=_characters(texts))


def _sentiment(question: Question, text: str) -> Ranking:
    labels = question.scenario.labels
    logits = toy.sentiment_logits(text, labels, question.salt)
    apply = question.parameters.get("function_to_apply", "softmax")
    if apply == "none":
        scores = logits
    elif apply == "sigmoid":
        scores = [toy.sigmoid(logit) for logit in logits]
    else:
        scores = toy.softmax(logits)
    names = [label for label, _ in labels]
    if question.scenario.kind is Kind.LABELS_RENAMED:
        names = [f"LABEL_{index}" for index in range(len(names))]
    elif question.scenario.kind in (Kind.GARBAGE, Kind.EMPTY_TEXT):
        names = [bend_text(question.scenario, name, f"{question.salt}:{name}") for name in names]
    return _ranking(question.scenario, names, scores)


def _zero_shot(question: Question) -> Output:
    inputs = question.payload.get("inputs", _MISSING)
    if isinstance(inputs, Mapping):
        inputs = inputs.get("text", inputs.get("sequences", _MISSING))
    labels = question.parameters.get("candidate_labels", question.parameters.get("candidateLabels"))
    if inputs is _MISSING and "inputs" not in question.payload:
        raise _no_inputs(question)
    if isinstance(labels, str):
        labels = [label.strip() for label in labels.split(",") if label.strip()]
    if inputs is _MISSING or labels is None:
        raise PayloadError(
            refusal(
                400,
                "zero-shot-classification expects `inputs` to be either a string or a dict containing the key `text`"
                " or `sequences`, and `parameters` to be a dict containing either `candidate_labels` or"
                " `candidateLabels`.",
            )
        )
    if not isinstance(labels, list) or not labels:
        raise PayloadError(refusal(400, "You must include at least one label and at least one sequence."))
    texts, names = _texts(inputs), [str(label) for label in labels]
    rankings = [_topics(question, text, names) for text in texts]
    objects = [
        {"sequence": text, "labels": [row["label"] for row in ranking], "scores": [row["score"] for row in ranking]}
        for text, ranking in zip(texts, rankings, strict=True)
    ]
    body: Any = objects
    if isinstance(inputs, str) and question.scenario.zero_shot != "object_list":
        body = rankings[0] if question.scenario.zero_shot == "pairs" else objects[0]
    compute_s = ZERO_SHOT_LABEL_S * len(names) * len(texts)
    return Output(body=body, compute_s=compute_s, characters=_characters(texts))


def _topics(question: Question, text: str, labels: Sequence[str]) -> Ranking:
    logits = toy.topic_logits(text, labels)
    multi = question.parameters.get("multi_label") is True
    scores = [toy.sigmoid(logit - 3) for logit in logits] if multi else toy.softmax(logits)
    return _ranking(question.scenario, labels, scores)


def _ranking(scenario: Scenario, labels: Sequence[str], scores: Sequence[float]) -> Ranking:
    """Return `{label, score}` best first, the scores bent as the scenario says."""
    pairs = sorted(zip(labels, scores, strict=True), key=lambda pair: -pair[1])
    names, ranked = [name for name, _ in pairs], [score for _, score in pairs]
    if scenario.kind is Kind.FLIPPED:
        names.reverse()
    elif scenario.kind is Kind.SCORE_DRIFT:
        ranked = [(1 - scenario.drift) * score + scenario.drift / len(ranked) for score in ranked]
    elif scenario.kind is Kind.NAN_SCORES:
        ranked = [math.nan] * len(ranked)
    elif scenario.kind is Kind.UNNORMALISED_SCORES:
        ranked = [0.6 * score for score in ranked]
    elif scenario.kind is Kind.SCORE_OUT_OF_RANGE:
        ranked = [1.7] + [-0.7 / max(len(ranked) - 1, 1)] * (len(ranked) - 1)
    return [{"label": name, "score": score} for name, score in zip(names, ranked, strict=True)]


def _summarization(question: Question) -> Output:
    texts = _texts(_inputs(question))
    unknown = [name for name in question.parameters if name not in _SUMMARY_PARAMETERS]
    if unknown:
        message = (
            f"The following `model_kwargs` are not used by the model: {unknown}"
            " (note: typos in the generate arguments will also show up in this list)"
        )
        raise PayloadError(refusal(400, message))
    longest = whole(question.parameters.get("max_length", question.parameters.get("max_new_tokens")), 60)
    body = [
        {"summary_text": bend_text(question.scenario, toy.summary(text, longest), f"{question.salt}:{text}")}
        for text in texts
    ]
    return Output(body=body, compute_s=SUMMARIZATION_S * len(texts), characters=_characters(texts))


def feature_extraction(question: Question) -> Output:
    """Answer with one vector for a string, a list of vectors for a list. Raises PayloadError."""
    inputs = _inputs(question)
    texts = _texts(inputs)
    vectors = [toy.embedding(text) for text in texts]
    body = vectors[0] if isinstance(inputs, str) else vectors
    return Output(body=body, compute_s=EMBEDDING_S * len(texts), characters=_characters(texts))


def sentence_similarity(question: Question) -> Output:
    """Answer with one cosine a sentence. Raises PayloadError."""
    inputs = _inputs(question)
    fields: Mapping[str, Any] = inputs if isinstance(inputs, Mapping) else {}
    source, sentences = fields.get("source_sentence"), fields.get("sentences")
    errors = [
        f"Error in `inputs.{name}`: field required"
        for name, value in (("source_sentence", source), ("sentences", sentences))
        if value is None
    ]
    if errors or not isinstance(source, str) or not isinstance(sentences, list):
        raise PayloadError(refusal(400, errors or ["Error in `inputs`: value is not a valid dict"]))
    texts = _texts(sentences)
    body = [toy.similarity(source, text) for text in texts]
    return Output(body=body, compute_s=EMBEDDING_S, characters=_characters([source, *texts]))


_MISSING: Final = object()

_TASKS: Final[Mapping[str, Callable[[Question], Output]]] = {
    "text-classification": _classification,
    "zero-shot-classification": _zero_shot,
    "summarization": _summarization,
    "text-generation": generation.classic,
    "feature-extraction": feature_extraction,
    "sentence-similarity": sentence_similarity,
}


def _inputs(question: Question) -> Any:
    if "inputs" not in question.payload:
        raise _no_inputs(question)
    return question.payload["inputs"]


def _no_inputs(question: Question) -> PayloadError:
    received = json.dumps(question.payload, separators=(",", ":"), ensure_ascii=False).encode()
    return PayloadError(refusal(400, f"Body needs to provide a inputs key, received: {received!r}"))


def _texts(inputs: object) -> list[str]:
    given = inputs if isinstance(inputs, list) else [inputs]
    texts = [text for text in given if isinstance(text, str)]
    if not texts or len(texts) != len(given):
        raise PayloadError(refusal(400, "text input must be of type `str` (single example) or `list[str]` (batch)."))
    return texts


def _characters(texts: Sequence[str]) -> int:
    return sum(len(text) for text in texts)
