"""Every file of bad_configs is refused with exactly the message beside it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from exporter.config import ConfigError, load
from exporter.config.messages import _PLAIN

BAD = Path(__file__).parent / "bad_configs"
NAMES = sorted(path.stem for path in BAD.glob("*.yaml"))


@pytest.mark.parametrize("name", NAMES)
def test_a_bad_file_is_refused_with_the_message_beside_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(BAD)
    with pytest.raises(ConfigError) as refused:
        load(Path(f"{name}.yaml"))
    assert f"{refused.value}\n" == (BAD / f"{name}.txt").read_text(encoding="utf-8")


def test_every_bad_file_has_its_message_and_the_reverse() -> None:
    assert sorted(path.stem for path in BAD.glob("*.txt")) == NAMES
    assert len(NAMES) > 40


@pytest.mark.parametrize("name", NAMES)
def test_problems_are_told_in_the_order_of_the_lines_each_at_a_line_of_the_file(name: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(BAD / f"{name}.yaml")
    lines = [problem.line for problem in refused.value.problems]
    assert lines == sorted(lines)
    assert lines[0] >= 1
    assert lines[-1] <= (BAD / f"{name}.yaml").read_bytes().count(b"\n") + 1


@pytest.mark.parametrize("secret", ["hunter2", "hf_abcdefghijklmnopqrstuvwxyz012345"])
def test_no_message_repeats_a_secret_of_the_file(secret: str) -> None:
    holders = [name for name in NAMES if secret.encode() in (BAD / f"{name}.yaml").read_bytes()]
    assert holders
    for name in holders:
        assert secret not in (BAD / f"{name}.txt").read_text(encoding="utf-8")


def test_every_row_of_the_table_of_messages_is_reached() -> None:
    told = "".join(path.read_text(encoding="utf-8") for path in BAD.glob("*.txt"))
    for kind, (message, _) in _PLAIN.items():
        if kind in ("duration", "refused"):  # their text comes with the error
            continue
        pattern = re.sub(r"\\\{.*?\\\}", ".+", re.escape(message))
        assert re.search(pattern, told), kind
