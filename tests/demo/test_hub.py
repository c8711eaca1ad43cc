"""What the hub tells: one model, lists of models, the token's owner; and what it counts."""

from __future__ import annotations

import re
from typing import Any

import pytest

from exporter.demo import DEPLETED_TOKEN, NO_SCOPE_TOKEN, Kind, Scenario
from tests.demo.conftest import MODEL, Bench

LIVE = {"status": "live", "providerId": MODEL, "task": "text-classification"}


async def test_only_what_was_asked_for_comes_back(bench: Bench) -> None:
    got = await bench.hub(f"models/{MODEL}?expand[]=inference&expand[]=inferenceProviderMapping&expand=sha")
    assert got.status == 200
    assert got.json.keys() == {"_id", "id", "inference", "inferenceProviderMapping", "sha"}
    assert got.json["id"] == MODEL
    assert got.json["inference"] == "warm"
    assert got.json["inferenceProviderMapping"] == {"hf-inference": LIVE}
    assert re.fullmatch(r"[0-9a-f]{40}", got.json["sha"])


async def test_without_expand_the_default_document_comes_back(bench: Bench) -> None:
    document = (await bench.hub(f"models/{MODEL}")).json
    assert document.keys() >= {
        "sha",
        "lastModified",
        "gated",
        "disabled",
        "private",
        "pipeline_tag",
        "tags",
        "siblings",
    }
    assert "inferenceProviderMapping" not in document
    assert (document["gated"], document["disabled"], document["private"]) == (False, False, False)
    assert document["config"]["id2label"] == {"0": "POSITIVE", "1": "NEGATIVE"}


async def test_a_field_that_has_no_value_is_absent_and_one_that_does_not_exist_is_refused(bench: Bench) -> None:
    absent = await bench.hub(f"models/{MODEL}?expand[]=safetensors")
    refused = await bench.hub(f"models/{MODEL}?expand[]=nonsense")
    assert absent.json.keys() == {"_id", "id"}
    assert refused.status == 400
    assert "nonsense" in refused.json["error"]


MAPPINGS: dict[str, tuple[dict[str, Any], dict[str, Any], str | None]] = {
    "nobody": ({"kind": Kind.NOT_SERVED}, {}, None),
    "live although the router refuses": ({"kind": Kind.UNSUPPORTED}, {"hf-inference": LIVE}, "warm"),
    "removed": ({"providers": ()}, {}, None),
    "in error": ({"providers": (("hf-inference", "error"),)}, {"hf-inference": {**LIVE, "status": "error"}}, None),
    "staging": ({"providers": (("hf-inference", "staging"),)}, {"hf-inference": {**LIVE, "status": "staging"}}, None),
    "only another provider": ({"providers": (("together", "live"),)}, {"together": LIVE}, "warm"),
    "another task": (
        {"mapping_task": "fill-mask"},
        {"hf-inference": {**LIVE, "task": "fill-mask"}},
        "warm",
    ),
}


@pytest.mark.parametrize(("parameters", "mapping", "inference"), MAPPINGS.values(), ids=MAPPINGS.keys())
async def test_the_mapping_is_as_scripted(
    bench: Bench, parameters: dict[str, Any], mapping: dict[str, Any], inference: str | None
) -> None:
    bench.play(**parameters)
    got = (await bench.hub(f"models/{MODEL}?expand[]=inference&expand[]=inferenceProviderMapping")).json
    assert got["inferenceProviderMapping"] == mapping
    assert got.get("inference") == inference


FIELDS: dict[str, tuple[dict[str, Any], str, Any]] = {
    "gated by kind": ({"kind": Kind.GATED}, "gated", "manual"),
    "gated by hand": ({"gated": "auto"}, "gated", "auto"),
    "disabled": ({"disabled": True}, "disabled", True),
    "private": ({"private": True}, "private", True),
    "superseded": ({"new_version": "org/newer"}, "cardData", {"license": "apache-2.0", "new_version": "org/newer"}),
    "changed": ({"revision": 3}, "lastModified", "2022-03-05T23:29:04.000Z"),
    "a task without labels": ({"task": "summarization"}, "config", {"model_type": "toy"}),
}


@pytest.mark.parametrize(("parameters", "field", "value"), FIELDS.values(), ids=FIELDS.keys())
async def test_a_scripted_property_shows(bench: Bench, parameters: dict[str, Any], field: str, value: Any) -> None:
    bench.play(**parameters)
    assert (await bench.hub(f"models/{MODEL}")).json[field] == value


async def test_the_etag_saves_the_body_until_something_changes(bench: Bench) -> None:
    first = await bench.hub(f"models/{MODEL}")
    etag = first.headers["ETag"]
    same = await bench.hub(f"models/{MODEL}", headers={"If-None-Match": etag})
    bench.play(revision=2)
    changed = await bench.hub(f"models/{MODEL}", headers={"If-None-Match": etag})
    assert (same.status, same.body, same.headers["ETag"]) == (304, b"", etag)
    assert changed.status == 200
    assert changed.headers["ETag"] != etag


LEGACY = {
    "gpt2": "openai-community/gpt2",
    "distilgpt2": "distilbert/distilgpt2",
    "bert-base-uncased": "google-bert/bert-base-uncased",
    "distilbert-base-uncased-finetuned-sst-2-english": "distilbert/distilbert-base-uncased-finetuned-sst-2-english",
}


@pytest.mark.parametrize(("old", "new"), LEGACY.items(), ids=LEGACY.keys())
async def test_a_legacy_id_is_redirected_with_its_query(bench: Bench, old: str, new: str) -> None:
    bench.stand_in.set(old, Scenario())
    moved = await bench.hub(f"models/{old}?expand[]=sha", allow_redirects=False)
    assert moved.status == 307
    assert moved.headers["Location"] == f"/api/models/{new}?expand[]=sha"
    followed = await bench.hub(f"models/{old}?expand[]=sha")
    assert followed.json.keys() == {"_id", "id", "sha"}
    assert followed.json["id"] == new


async def test_a_renamed_model_lives_on_under_its_new_id(bench: Bench) -> None:
    bench.play(Kind.RENAMED, renamed_to="new/model")
    bench.stand_in.set("new/model", Scenario(kind=Kind.WARM))
    assert (await bench.hub(f"models/{MODEL}", allow_redirects=False)).headers["Location"] == "/api/models/new/model"
    assert (await bench.hub(f"models/{MODEL}")).json["id"] == "new/model"
    assert (await bench.ask()).status == 404
    assert (await bench.ask(model="new/model")).status == 200


HIDDEN = {
    "missing, with a token": (Kind.MISSING, {}, "hf_demo", 404, "Repository not found"),
    "missing, without": (Kind.MISSING, {}, None, 401, "Invalid username or password."),
    "private, without": (Kind.WARM, {"private": True}, None, 401, "Invalid username or password."),
}


@pytest.mark.parametrize(("kind", "parameters", "token", "status", "text"), HIDDEN.values(), ids=HIDDEN.keys())
async def test_a_model_that_is_not_shown_says_why(
    bench: Bench, kind: Kind, parameters: dict[str, Any], token: str | None, status: int, text: str
) -> None:
    bench.play(kind, **parameters)
    got = await bench.hub(f"models/{MODEL}", token=token)
    assert (got.status, got.json) == (status, {"error": text})
    assert got.headers["X-Error-Code"] == "RepoNotFound"
    assert got.headers["X-Error-Message"] == text


async def test_an_id_that_nobody_set_is_missing_and_not_remembered(bench: Bench) -> None:
    assert (await bench.hub("models/nobody/set-this")).status == 404
    assert (await bench.ask(model="nobody/set-this")).status == 404
    assert bench.stand_in.scenarios.keys() == {MODEL}


async def test_a_disabled_repository_is_refused(bench: Bench) -> None:
    bench.play(Kind.DISABLED)
    got = await bench.hub(f"models/{MODEL}")
    assert (got.status, got.headers["X-Error-Message"]) == (403, "Access to this resource is disabled.")


async def test_a_read_token_will_do_and_a_bad_one_will_not(bench: Bench) -> None:
    good = [(await bench.hub(f"models/{MODEL}", token=t)).status for t in (None, NO_SCOPE_TOKEN, DEPLETED_TOKEN)]
    bad = await bench.hub(f"models/{MODEL}", token="hf_other")
    assert good == [200, 200, 200]
    assert (bad.status, bad.headers["X-Error-Message"]) == (401, "Invalid credentials in Authorization header")


async def test_whoami_tells_the_tokens_owner(bench: Bench) -> None:
    got = await bench.hub("whoami-v2")
    anonymous = await bench.hub("whoami-v2", token=None)
    assert (got.json["name"], got.json["auth"]["accessToken"]["role"]) == ("demo", "fineGrained")
    assert (await bench.hub("whoami-v2", token=NO_SCOPE_TOKEN)).json["auth"]["accessToken"]["role"] == "read"
    assert (anonymous.status, anonymous.json) == (401, {"error": "Invalid username or password."})


async def test_the_rate_limit_runs_down_and_comes_back(bench: Bench) -> None:
    left = [(await bench.hub(path)).headers["RateLimit"] for path in (f"models/{MODEL}", "models/no/ne", "whoami-v2")]
    anonymous = await bench.hub(f"models/{MODEL}", token=None)
    assert left == ['"api";r=999;t=200', '"api";r=998;t=200', '"api";r=997;t=200']
    assert anonymous.headers["RateLimit"] == '"api";r=499;t=200'
    assert anonymous.headers["RateLimit-Policy"] == '"fixed window";"api";q=500;w=300'
    bench.clock.advance(200.0)
    assert (await bench.hub("whoami-v2")).headers["RateLimit"] == '"api";r=999;t=300'


async def test_beyond_the_quota_the_hub_throttles(bench: Bench) -> None:
    bench.stand_in.hub_quota = 1
    first, second = await bench.hub(f"models/{MODEL}"), await bench.hub(f"models/{MODEL}")
    assert (first.status, first.headers["RateLimit"]) == (200, '"api";r=0;t=200')
    assert (second.status, second.headers["RateLimit"]) == (429, '"api";r=0;t=200')
    assert "quota of 1 api requests" in second.json["error"]


@pytest.fixture
def library(bench: Bench) -> Bench:
    bench.stand_in.scenarios.clear()
    for model_id, scenario in {
        "a/one": Scenario(),
        "a/two": Scenario(kind=Kind.NOT_SERVED),
        "b/summary": Scenario(task="summarization"),
        "b/elsewhere": Scenario(providers=(("together", "live"),)),
        "c/trial": Scenario(providers=(("hf-inference", "staging"),)),
        "c/private": Scenario(private=True),
        "c/gone": Scenario(kind=Kind.MISSING),
    }.items():
        bench.stand_in.set(model_id, scenario)
    return bench


LISTS = {
    "all": ("", {"a/one", "a/two", "b/summary", "b/elsewhere", "c/trial"}),
    "of a provider": ("inference_provider=hf-inference", {"a/one", "b/summary", "c/trial"}),
    "of either provider": ("inference_provider=x,together", {"b/elsewhere"}),
    "of any provider": ("inference_provider=all", {"a/one", "b/summary", "b/elsewhere", "c/trial"}),
    "warm": ("inference=warm", {"a/one", "b/summary", "b/elsewhere"}),
    "of a task": ("pipeline_tag=summarization", {"b/summary"}),
    "with a tag": ("filter=summarization&filter=transformers", {"b/summary"}),
    "by name": ("search=A/", {"a/one", "a/two"}),
}


@pytest.mark.parametrize(("query", "wanted"), LISTS.values(), ids=LISTS.keys())
async def test_a_list_is_filtered(library: Bench, query: str, wanted: set[str]) -> None:
    got = await library.hub(f"models?{query}")
    assert {row["id"] for row in got.json} == wanted
    assert "Link" not in got.headers


async def test_a_list_has_the_mapping_as_a_list(library: Bench) -> None:
    [row] = (await library.hub("models?search=a/one&expand[]=inferenceProviderMapping")).json
    assert row.keys() == {"_id", "id", "inferenceProviderMapping"}
    assert row["inferenceProviderMapping"] == [{"provider": "hf-inference", **LIVE, "providerId": "a/one"}]


async def test_a_list_is_paged_by_links(library: Bench) -> None:
    path, seen = "models?limit=2&expand[]=sha&expand[]=tags", []
    for _ in range(3):
        got = await library.hub(path)
        seen += [row["id"] for row in got.json]
        assert all(row.keys() == {"_id", "id", "sha", "tags"} for row in got.json)
        link = re.fullmatch(r'<http://[^/]+/api/(.+)>; rel="next"', got.headers.get("Link", ""))
        path = link[1] if link else ""
    assert path == ""
    assert len(seen) == len(set(seen)) == 5


async def test_a_limit_that_is_no_number_is_refused(library: Bench) -> None:
    assert (await library.hub("models?limit=many")).status == 400


async def test_the_collection_of_deployed_models_lists_the_live_ones(library: Bench) -> None:
    got = await library.hub("collections/hf-inference/deployed-models-680a42b770e6b6cd546c3fbc")
    assert {item["id"] for item in got.json["items"]} == {"a/one", "b/summary"}
    assert got.json["items"][0]["availableInferenceProviders"][0]["modelStatus"] == "live"
    assert (await library.hub("collections/a/other")).status == 404


async def test_a_partners_models_are_grouped_by_task(library: Bench) -> None:
    got = (await library.hub("partners/together/models")).json
    assert got["text-classification"]["b/elsewhere"]["status"] == "live"
    assert (await library.hub("partners/together/models?status=staging")).json == {}
    assert (await library.hub("partners/hf-inference/models")).json == {}
