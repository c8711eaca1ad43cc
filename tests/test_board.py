"""What is known now, and the changes of it."""

from __future__ import annotations

from exporter.board import Board
from exporter.models import Reason, Status
from tests import make


def test_the_first_verdict_and_every_change_is_a_flip_and_nothing_else() -> None:
    board = Board()
    told = []
    for status in (Status.AVAILABLE, Status.AVAILABLE, Status.FAILED, Status.FAILED, Status.AVAILABLE):
        flip = board.publish(make.observation(status=status))
        told.append(flip and (flip.before, flip.after))
    assert told == [
        (None, Status.AVAILABLE),
        None,
        (Status.AVAILABLE, Status.FAILED),
        None,
        (Status.FAILED, Status.AVAILABLE),
    ]


def test_what_the_store_remembers_is_no_news() -> None:
    board = Board()
    board.prime([make.observation(status=Status.FAILED)])
    assert board.publish(make.observation(status=Status.FAILED, reason=Reason.TIMEOUT)) is None
    present = board.get("owner/name")
    assert present is not None
    assert present.reason is Reason.TIMEOUT


def test_a_model_that_left_the_configuration_leaves_no_ghost() -> None:
    board = Board()
    board.prime([make.observation("a"), make.observation("b")])
    board.retain(["b", "c"])
    assert list(board.current) == ["b"]
    assert board.get("a") is None
