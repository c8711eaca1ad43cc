"""The corpus: every named situation through the whole daemon, and the share that is judged right."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.models import EventKind, Reason, Scope, Status
from tests.situations import answers, causes, changes, fallbacks, sparing
from tests.situations.judge import judge
from tests.situations.kit import Situation

SITUATIONS = tuple(
    situation for table in (answers, changes, causes, sparing, fallbacks) for situation in table.SITUATIONS
)
LEAST = 80

judged: dict[str, list[str]] = {}


@pytest.mark.parametrize("situation", SITUATIONS, ids=[situation.name for situation in SITUATIONS])
async def test_the_daemon_judges(situation: Situation, tmp_path: Path) -> None:
    judged[situation.name] = await judge(situation, tmp_path)
    assert judged[situation.name] == []


async def test_all_situations_are_judged_right(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, situation in enumerate(SITUATIONS):
        if situation.name not in judged:  # when this test runs by itself, or a part of the others
            (tmp_path / str(number)).mkdir()
            judged[situation.name] = await judge(situation, tmp_path / str(number))
    wrong = {name: problems for name, problems in judged.items() if problems}
    with capsys.disabled():
        print(f"\nsituations judged right: {len(judged) - len(wrong)} of {len(judged)}")  # noqa: T201 -- the proof
    assert not wrong
    assert len(judged) == len(SITUATIONS) >= LEAST, "every name is there once"


def _expected() -> Iterator[tuple[Status, Reason, Scope]]:
    for situation in SITUATIONS:
        yield from situation.now.values()


def test_every_status_reason_and_scope_is_expected_somewhere() -> None:
    expected = list(_expected())
    assert {status for status, _, _ in expected} == set(Status)
    assert {reason for _, reason, _ in expected} == set(Reason)
    assert {scope for _, _, scope in expected} == set(Scope)


def test_every_kind_of_event_is_expected_somewhere() -> None:
    assert {kind for situation in SITUATIONS for kind in situation.told} == set(EventKind)


def test_every_scope_of_an_incident_is_expected_somewhere() -> None:
    scopes = {scope for situation in SITUATIONS for scope, _ in situation.incidents}
    assert scopes == set(Scope) - {Scope.MODEL}
