"""Files -> frozen Config, or everything that is wrong with them at once. Reads files only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from exporter.config.document import MAX_BYTES, Document, Loc, id_of, problem, read_document
from exporter.config.meaning import Draft, Entry, config_of
from exporter.config.messages import explain
from exporter.config.shape import FileShape, ModelShape
from exporter.config.values import Config, ConfigError, Problem


def load(path: Path) -> Config:
    """Return the configuration of a file, or of all *.yaml and *.yml of a directory merged in the order of their names.

    Raises ConfigError with everything that is wrong, and nothing else, whatever is there.
    """
    return assemble(_read(path))


def assemble(files: Sequence[tuple[Path, bytes]]) -> Config:
    """Return the configuration of the files' contents. Raises ConfigError with everything that is wrong."""
    problems: list[Problem] = []
    read = [read_document(str(path), raw, problems) for path, raw in files]
    draft = Draft(documents=[document for document in read if document], problems=problems)
    for document in draft.documents:
        _take(document, draft)
    config = config_of(draft, tuple(path for path, _ in files)) if None not in read else None
    if problems or config is None:
        order = {str(path): index for index, (path, _) in enumerate(files)}
        first: dict[tuple[str, int, str], Problem] = {}  # of each place: what follows from it is no news
        for one in sorted(problems, key=lambda one: (order[one.file], one.line)):
            first.setdefault((one.file, one.line, one.path), one)
        raise ConfigError(tuple(first.values()))
    return config


def _read(path: Path) -> list[tuple[Path, bytes]]:
    problems: list[Problem] = []
    files: list[tuple[Path, bytes]] = []
    for file in _files(path):
        try:
            with file.open("rb") as stream:
                files.append((file, stream.read(MAX_BYTES + 1)))
        except FileNotFoundError:
            problems.append(problem(str(file), 0, "", "no such file", "name one with --config"))
        except (OSError, ValueError) as error:  # ValueError: a path with a NUL
            why = error.strerror if isinstance(error, OSError) else None
            problems.append(problem(str(file), 0, "", f"cannot be read ({why or 'a bad path'})"))
    if problems:
        raise ConfigError(tuple(problems))
    return files


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    try:
        names = sorted(entry.name for entry in path.iterdir())
    except OSError as error:
        raise ConfigError((problem(str(path), 0, "", f"cannot be read ({error.strerror})"),)) from None
    # Editors and Kubernetes keep files of their own beside ours, under names with a dot in front.
    files = [path / name for name in names if name.endswith((".yaml", ".yml")) and not name.startswith(".")]
    if not files:
        raise ConfigError((problem(str(path), 0, "", "a directory without *.yaml or *.yml"),))
    return files


def _take(document: Document, draft: Draft) -> None:
    """Add what one file says to the draft."""
    data: dict[str, Any] = document.root.data
    models = document.root.keys["models"][1].items if document.root.keys and "models" in document.root.keys else None
    shape = _file_shape(data if models is None else {**data, "models": []}, document, draft)
    for key in FileShape.model_fields:
        if key in shape.model_fields_set - {"models", "providers", "tasks"}:
            draft.put(draft.settings, key, getattr(shape, key), document, (key,))
    for name, provider in (shape.providers or {}).items():
        draft.put(draft.providers, name, provider, document, ("providers", name))
    for task, settings in (shape.tasks or {}).items():
        draft.put(draft.tasks, task, settings, document, ("tasks", task))
    for index, node in enumerate(models or ()):
        draft.entries.append(Entry(document, index, id_of(node), model_shape(node.data, document, index, draft)))


def _file_shape(data: dict[str, Any], document: Document, draft: Draft) -> FileShape:
    """Return the shape of what is right at the top of a file; the keys that are not go to `draft.wrong`."""
    try:
        return FileShape.model_validate(data)
    except ValidationError as invalid:
        errors = invalid.errors(include_url=False)
    draft.problems += [explain(document, (), error) for error in errors]
    draft.wrong |= {str(error["loc"][0]) for error in errors}
    return FileShape.model_validate(_without(data, {error["loc"] for error in errors}))


def _without(data: dict[str, Any], wrong: set[Loc]) -> dict[str, Any]:
    """Return `data` without what is wrong: single providers and tasks, else whole keys."""
    rest = {key: value for key, value in data.items() if (key,) not in {loc[:1] for loc in wrong}}
    for table in ("providers", "tasks"):
        if table not in rest and isinstance(data.get(table), dict):
            names = {loc[1] for loc in wrong if loc[0] == table}
            rest[table] = {name: value for name, value in data[table].items() if name not in names}
    return rest


def model_shape(data: object, document: Document, index: int, draft: Draft) -> ModelShape | None:
    """Return the shape of one model, or None; what is wrong goes to the draft's problems."""
    try:
        return ModelShape.model_validate(data)
    except ValidationError as invalid:
        errors = invalid.errors(include_url=False)
    draft.problems += [explain(document, ("models", index), error) for error in errors]
    return None
