"""Log lines: facts as keys, no secret in any of them, and nothing that drives a terminal."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from exporter import log
from exporter.models import Secret

SECRET = Secret("hf_canaryCanaryCanary")


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    logging.getLogger("exporter").setLevel(logging.NOTSET)
    structlog.reset_defaults()


def configured(form: str, level: str = "info") -> io.StringIO:
    stream = io.StringIO()
    log.configure(form=form, level=level, secrets=lambda: [SECRET], stream=stream)
    return stream


def test_a_line_is_an_event_with_its_facts_as_json() -> None:
    stream = configured("json")
    structlog.get_logger("exporter.x").info("status_changed", model='a"b', n=1, ok=True, nothing=None, share=0.5)
    line = json.loads(stream.getvalue())
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "status_changed", "level": "info", "model": 'a"b', "n": 1, "ok": True, "nothing": None, "share": 0.5,
    }  # fmt: skip


def test_the_standard_librarys_logging_comes_the_same_way() -> None:
    stream = configured("json")
    logging.getLogger("somebody").warning("about %s", SECRET.reveal())
    assert json.loads(stream.getvalue())["event"] == "about ***"


@pytest.mark.parametrize("form", log.FORMATS)
def test_no_secret_is_in_any_line(form: str) -> None:
    stream = configured(form)
    logger = structlog.get_logger("exporter.x")
    text = f"x{SECRET.reveal()}y"
    logger.info(text, key=text, deep={"a": [text, {text: 1}]}, thing=SECRET, error=ValueError(text))
    try:
        raise ValueError(text)
    except ValueError:
        logger.exception("crashed")
    assert "Traceback" in stream.getvalue()
    assert SECRET.reveal() not in stream.getvalue()
    assert "x***y" in stream.getvalue()


def test_a_terminal_is_not_driven_by_what_a_model_says() -> None:
    stream = configured("console")
    structlog.get_logger("exporter.x").info("said", text="\x1b[2J\x07 \ud800 \r\n", more=["\x9b1m"])
    assert not {"\x1b", "\x07", "\r", "\x9b"} & set(stream.getvalue())
    assert r"\x1b[2J" in stream.getvalue()


def test_json_lines_stay_one_line_each() -> None:
    stream = configured("json")
    structlog.get_logger("exporter.x").info("said", text="a\nb\r\u2028")
    assert stream.getvalue().count("\n") == 1


@pytest.mark.parametrize(("level", "shown"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_the_level_is_the_least_that_is_shown(level: str, shown: int) -> None:
    stream = configured("json", level)
    logger = structlog.get_logger("exporter.x")
    for name in ("debug", "info", "warning", "error"):
        getattr(logger, name)("event")
    assert stream.getvalue().count("\n") == shown


def test_a_librarys_lines_go_to_the_logging_of_its_host(caplog: pytest.LogCaptureFixture) -> None:
    log.lend()
    structlog.get_logger("exporter.x").warning("incident_opened", provider="huggingface")
    structlog.get_logger("exporter.x").info("too_low_for_the_default_level")
    assert [(record.name, record.getMessage()) for record in caplog.records] == [
        ("exporter.x", "event='incident_opened' provider='huggingface'")
    ]


def test_a_host_that_has_configured_structlog_keeps_its_own() -> None:
    stream = configured("json")
    log.lend()
    structlog.get_logger("exporter.x").info("event")
    assert stream.getvalue().startswith("{")
