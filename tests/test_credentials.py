"""Where a token is found, what is refused, and that it is never shown."""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from pathlib import Path

import pytest

from exporter.credentials import CredentialError, Token

VALUE = "hf_thisIsNotARealTokenButLooksLike1"
OTHER = "hf_anotherTokenThatIsNotReal000000"


def token(environ: Mapping[str, str] | None = None, dotenv: Path | None = None) -> Token:
    return Token("HF_TOKEN", environ or {}, dotenv)


def revealed(found: Token) -> str | None:
    secret = found.get()
    return secret.reveal() if secret else None


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(f"{VALUE}\n")
    return path


@pytest.fixture
def dotenv(tmp_path: Path) -> Path:
    return tmp_path / ".env"


def test_without_any_configuration_there_is_no_token_and_no_source(dotenv: Path) -> None:
    found = token({}, dotenv)
    assert found.get() is None
    assert found.source == ""


@pytest.mark.parametrize("value", ["", " ", "\n"], ids=repr)
def test_an_empty_variable_counts_as_not_there(value: str, file: Path) -> None:
    assert token({"HF_TOKEN": value, "HF_TOKEN_FILE": value}).get() is None
    assert revealed(token({"HF_TOKEN": value, "HF_TOKEN_FILE": str(file)})) == VALUE


def test_the_variable_is_asked_first_and_stripped(file: Path, dotenv: Path) -> None:
    dotenv.write_text(f"HF_TOKEN={OTHER}\n")
    found = token({"HF_TOKEN": f" {VALUE}\n", "HF_TOKEN_FILE": str(file)}, dotenv)
    assert revealed(found) == VALUE
    assert found.source == "environment HF_TOKEN"


def test_the_file_that_a_variable_names_is_asked_second(file: Path, dotenv: Path) -> None:
    dotenv.write_text(f"HF_TOKEN={OTHER}\n")
    found = token({"HF_TOKEN_FILE": str(file)}, dotenv)
    assert revealed(found) == VALUE
    assert found.source == f"file {file}"


def test_dotenv_is_asked_last(dotenv: Path) -> None:
    dotenv.write_text(f"# comment\nexport HF_TOKEN='{VALUE}'\nOTHER\n")
    found = token({}, dotenv)
    assert revealed(found) == VALUE
    assert found.source == ".env"
    assert "HF_TOKEN" not in os.environ or os.environ["HF_TOKEN"] != VALUE


def test_dotenv_may_name_a_file_too(file: Path, dotenv: Path) -> None:
    dotenv.write_text(f"HF_TOKEN=\nHF_TOKEN_FILE={file}\n")
    found = token({}, dotenv)
    assert revealed(found) == VALUE
    assert found.source == f"file {file}"


def test_dotenv_does_not_put_other_variables_into_a_token(dotenv: Path) -> None:
    dotenv.write_text("X=1\nHF_TOKEN=hf_${X}\n")
    assert revealed(token({}, dotenv)) == "hf_${X}"


@pytest.mark.parametrize("content", ["", "OTHER=1\n", "HF_TOKEN\n", "HF_TOKEN=\n"], ids=repr)
def test_a_dotenv_without_a_token_gives_none(content: str, dotenv: Path) -> None:
    dotenv.write_text(content)
    assert token({}, dotenv).get() is None


def test_a_dotenv_that_is_a_directory_is_somebody_elses(dotenv: Path) -> None:
    dotenv.mkdir()
    assert token({}, dotenv).get() is None


def test_another_provider_has_a_variable_of_its_own(file: Path) -> None:
    environ = {"HF_TOKEN": OTHER, "MY_TOKEN_FILE": str(file)}
    assert revealed(Token("MY_TOKEN", environ)) == VALUE


def test_a_rotated_file_is_taken_up(file: Path) -> None:
    found = token({"HF_TOKEN_FILE": str(file)})
    assert revealed(found) == VALUE
    fresh = file.with_name("fresh")
    fresh.write_text(OTHER)
    fresh.replace(file)
    assert revealed(found) == OTHER


def test_a_file_that_did_not_change_is_not_read_again(file: Path) -> None:
    found = token({"HF_TOKEN_FILE": str(file)})
    assert revealed(found) == VALUE
    before = file.stat()
    file.write_text(VALUE[::-1] + "\n")  # the same inode and size
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert revealed(found) == VALUE
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert revealed(found) == VALUE[::-1]


def test_a_file_that_went_away_is_an_error_and_is_found_again_when_it_is_back(file: Path) -> None:
    found = token({"HF_TOKEN_FILE": str(file)})
    found.get()
    file.unlink()
    with pytest.raises(CredentialError, match="cannot be read"):
        found.get()
    assert found.source == ""
    file.write_text(OTHER)
    assert revealed(found) == OTHER


def test_a_file_with_a_byte_order_mark_is_read(file: Path) -> None:
    file.write_text(VALUE, encoding="utf-8-sig")
    assert revealed(token({"HF_TOKEN_FILE": str(file)})) == VALUE


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b" \n\t", "is empty"),
        (b"\xff\xfe" + VALUE.encode(), "holds no token"),
        (VALUE.encode() + b"\nand more\n", "holds a space, a control or a non-ASCII character"),
        (VALUE.encode() + b"x" * 70_000, "is larger than 64 KiB"),
    ],
    ids=["empty", "blank", "not UTF-8", "two lines", "huge"],
)
def test_a_file_without_a_usable_token_is_an_error_that_names_the_file_alone(
    content: bytes, message: str, file: Path
) -> None:
    file.write_bytes(content)
    with pytest.raises(CredentialError, match=message) as refused:
        token({"HF_TOKEN_FILE": str(file)}).get()
    assert str(file) in str(refused.value)
    assert VALUE not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


def test_what_is_no_file_is_an_error(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for name, message in {
        str(pipe): "is not a file",
        str(tmp_path): r"cannot be read \(Is a directory\)",
        str(tmp_path / "missing"): r"cannot be read \(No such file or directory\)",
        "nul\0": "holds no token",
    }.items():
        with pytest.raises(CredentialError, match=message):
            token({"HF_TOKEN_FILE": name}).get()


@pytest.mark.parametrize(
    "value",
    [f"{VALUE} {VALUE}", f"{VALUE}\r\nX-Evil: 1", f"{VALUE}\0", f"{VALUE}é", f"{VALUE}\udcff", f"Bearer {VALUE}"],
    ids=["space", "header injection", "NUL", "not ASCII", "surrogate", "with its scheme"],
)
def test_a_token_that_could_not_be_sent_is_an_error_that_names_its_source_alone(value: str) -> None:
    found = token({"HF_TOKEN": value})
    with pytest.raises(CredentialError) as refused:
        found.get()
    text = "the token from environment HF_TOKEN holds a space, a control or a non-ASCII character"
    assert str(refused.value) == text
    assert found.source == ""


def test_a_bad_token_in_dotenv_names_dotenv(dotenv: Path) -> None:
    dotenv.write_text(f'HF_TOKEN="{VALUE} x"\n')
    with pytest.raises(CredentialError, match=r"^the token from \.env holds a space"):
        token({}, dotenv).get()


def test_a_dotenv_that_is_not_text_is_an_error(dotenv: Path) -> None:
    dotenv.write_bytes(b"\xff")
    with pytest.raises(CredentialError, match=r"\.env"):
        token({}, dotenv).get()


def test_nothing_that_is_printed_shows_the_token(file: Path, dotenv: Path) -> None:
    dotenv.write_text(f"HF_TOKEN={VALUE}\n")
    for found in (token({"HF_TOKEN": VALUE}), token({"HF_TOKEN_FILE": str(file)}), token({}, dotenv)):
        secret = found.get()
        assert secret is not None
        for text in (repr(found), str(found), f"{found}", repr(secret), str(secret), f"{secret}", repr(found._files)):
            assert VALUE not in text
        assert "HF_TOKEN" in repr(found)
        with pytest.raises(TypeError):
            pickle.dumps(secret)
