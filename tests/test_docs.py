"""The documentation keeps up: what the program has is there by name, and what is there exists."""

from __future__ import annotations

import ast
import importlib
import json
import re
import sqlite3
import subprocess
from collections import defaultdict
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest
import trustme
import yaml
from prometheus_client.parser import text_string_to_metric_families as parse_text

import exporter
from exporter import cli, config
from exporter.budget import Budget
from exporter.classify import FAULTS, RULES
from exporter.config.meaning import LABELLED
from exporter.demo import ALIASES, DEMO_SCENARIOS
from exporter.gate import Skip
from exporter.incidents import OUTAGE, SHARED, WHOSE
from exporter.library import Embedded, Library, LibraryAgent, LibraryDatabase, LibraryMonitor
from exporter.metrics import BudgetReading, Metrics, Readings
from exporter.metrics.series import CHANGES
from exporter.models import CheckName, EventKind, Incident, Reason, Scope, Status, Timings, Verdict
from exporter.providers import Wire
from exporter.service import REVISION_VARIABLE
from exporter.store import Store
from exporter.store.errors import HINTS
from exporter.store.writer import OPERATIONS
from exporter.tasks import TASKS
from exporter.tasks.sentiment import POLARITY
from exporter.web.routes import ROUTES, Route
from exporter.web.schemas import PARAMETERS, SCHEMAS
from exporter.web.webconfig import load_web_config
from tests import make, servers
from tests.markdown import ROOT, Block, blocks, code, codes, files, headings, links, page, rows, section, slug

SOURCES = sorted(path for path in (ROOT / "exporter").rglob("*.py") if "demo" not in path.parts)
SUCCESSES = {Reason.OK, Reason.WRONG_ANSWER, Reason.SLOW}
PHASES = Timings(dns_s=0.1, connect_s=0.1, tls_s=0.1, first_byte_s=0.1, transfer_s=0.1, total_s=0.5)
OBSERVATION = make.observation("m", confidence=0.5, http_status=200, timings=PHASES, cold=False)
INCIDENT = Incident(provider="huggingface", scope=Scope.HOST, reason=Reason.ENDPOINT_GONE, opened_at=make.NOW)
BUDGET = BudgetReading(
    provider="huggingface",
    requests_limit=1,
    requests_used=1,
    requests_projected=1,
    compute_s_limit=1,
    compute_s_used=1,
)

Shown = dict[str, tuple[str, frozenset[str]]]


# --- metrics -------------------------------------------------------------------------------------------------------


def exposed(body: bytes) -> Shown:
    """Return type and labels of each metric; every model's `model` and `provider` are left out, and `le`."""
    found: Shown = {}
    for family in parse_text(body.decode()):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {label for sample in family.samples for label in sample.labels} - {"le", "model", "provider"}
        found[name] = (family.type, frozenset(labels))
    return found


def everything_exposed() -> Shown:
    metrics = Metrics(version="1", revision="2", simulated=False, skip_reasons=Skip)
    metrics.set_models([make.model("m")])
    metrics.watch(
        Readings(
            in_flight=lambda: 0,
            agent_running=lambda: True,
            queue_rows=lambda: 0,
            rows_dropped=lambda: 0,
            store_errors=lambda: dict.fromkeys(OPERATIONS, 0),
            incidents=lambda: [INCIDENT],
            fallbacks=lambda: {"m": "other"},
            budgets=lambda: [BUDGET],
            effective_interval_s=lambda model_id: 300.0,
        )
    )
    metrics.reloaded(at=make.NOW)
    metrics.observe(make.observation("m", status=Status.FAILED))
    metrics.observe(OBSERVATION)
    metrics.hub_allows("huggingface", 900)
    metrics.cycle_ended(make.NOW)
    return exposed(metrics.render("")[0])


def documented(text: str) -> Shown:
    found: Shown = {}
    for row in rows(text, "Metric"):
        labels = codes(row.get("More labels", "") + row.get("Labels", ""))
        found[code(row["Metric"])] = (row["Type"], frozenset(labels))
    return found


def test_every_metric_is_documented_with_its_type_and_labels() -> None:
    text = page("docs/metrics.md")
    told: Shown = {}
    for heading in ("Models", "Providers", "Exporter"):
        told |= documented(section(text, heading))
    real = everything_exposed()
    of_the_process = {name for name in told if name.startswith("process_")}  # only on Linux are they all there
    assert {name: told[name] for name in told if name in real or name not in of_the_process} == real


def test_every_metric_of_a_synchronous_probe_is_documented() -> None:
    assert documented(section(page("docs/metrics.md"), "Probe")) == exposed(Metrics.render_probe(OBSERVATION))


def test_every_operation_that_errors_are_counted_by_is_documented() -> None:
    (row,) = (row for row in rows(page("docs/metrics.md"), "Metric") if "store_errors_total" in row["Metric"])
    assert codes(row["Meaning"]) == list(OPERATIONS)


def test_every_reason_to_skip_a_slot_is_documented() -> None:
    (row,) = (row for row in rows(page("docs/metrics.md"), "Metric") if "probes_skipped_total" in row["Metric"])
    assert codes(row["Meaning"]) == list(Skip)


VALUES: dict[str, set[str]] = {"reason": set(Reason), "check": set(CheckName), "kind": set(CHANGES)}


def test_the_queries_name_metrics_and_values_that_exist() -> None:
    queries = blocks("promql")
    real = everything_exposed()
    for query in queries:
        for name in re.findall(r"\bai_model_\w+", query.text):
            assert name in real or re.sub(r"_(bucket|sum|count)$", "", name) in real, query.place
        for label, pattern in re.findall(r'(\w+)=~?"([^"]*)"', query.text):
            assert set(pattern.split("|")) <= VALUES[label], query.place
    assert queries


@servers.prometheus_needed
def test_prometheus_understands_the_queries(tmp_path: Path) -> None:
    rules = [{"record": f"query:{number}", "expr": query.text} for number, query in enumerate(blocks("promql"))]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "docs", "rules": rules}]}))
    done = subprocess.run(["promtool", "check", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


# --- configuration -------------------------------------------------------------------------------------------------


def config_keys(schema: dict[str, Any], shape: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return every key with its default; what the user names is NAME or TASK."""
    found: dict[str, Any] = {}
    for key, value in shape["properties"].items():
        path = f"{prefix}{key}"
        found[path] = value.get("default")
        inner = value
        if value.get("type") == "object":
            named = value.get("additionalProperties") or next(iter(value.get("patternProperties", {}).values()))
            path, inner = f"{path}.{'TASK' if key == 'tasks' else 'NAME'}", named
        elif value.get("type") == "array":
            path, inner = f"{path}[]", value["items"]
        if "$ref" in inner:
            target = schema["$defs"][inner["$ref"].rpartition("/")[2]]
            found |= config_keys(schema, target, f"{path}.")
    return found


def test_every_key_of_the_configuration_is_documented_with_its_default() -> None:
    schema = config.json_schema()
    real = {key: _as_written(default) for key, default in config_keys(schema, schema).items()}
    told = {code(row["Key"]): "".join(codes(row["Default"])) for row in rows(page("docs/configuration.md"), "Key")}
    assert told == real


def _as_written(default: Any) -> str:
    return "" if default is None else str(default).lower() if isinstance(default, bool) else str(default)


def test_every_environment_variable_is_documented() -> None:
    token = config.ProviderConfig(name="huggingface").token_env
    real = {token, f"{token}_FILE", *re.findall(r"\b[A-Z]+_PROXY\b", Wire.__doc__ or ""), *_looked_up()}
    assert REVISION_VARIABLE in real
    assert {code(row["Variable"]) for row in rows(page("docs/configuration.md"), "Variable")} == real


def _looked_up() -> set[str]:
    """Return the names that the sources look up in `os.environ`."""
    found: set[str] = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("os.environ.get", "os.getenv"):
                name = node.args[0]
            elif isinstance(node, ast.Subscript) and ast.unparse(node.value) == "os.environ":
                name = node.slice
            else:
                continue
            dotted = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            if isinstance(name, ast.Constant):
                found.add(str(name.value))
            else:
                found.add(vars(importlib.import_module(dotted))[ast.unparse(name)])
    return found


# --- HTTP ----------------------------------------------------------------------------------------------------------


def test_every_route_is_documented_with_its_parameters_and_whether_it_acts() -> None:
    told = {code(row["Route"]): (codes(row["Parameters"]), row["Acts"]) for row in rows(page("docs/api.md"), "Route")}
    assert told == {
        f"{method} {route.path}": (_parameters(route), "yes" if route.acts else "")
        for route in ROUTES
        for method in route.methods
    }


def _parameters(route: Route) -> list[str]:
    names = ("id", *route.parameters) if route.takes_id else route.parameters
    return [PARAMETERS[name]["name"] for name in names]


def test_every_answer_has_an_example_that_fits_its_schema() -> None:
    answers = section(page("docs/api.md"), "Answers")
    for route in ROUTES:
        shapes = [shape for shape in route.answers.values() if "/" not in shape and shape != "OpenApi"]
        if not shapes:
            continue
        examples = _json_blocks(section(answers, f"`{route.methods[0]} {route.path}`"))
        assert len(examples) == len(set(shapes)), route.path
        for example in examples:
            assert any(_fits(example, shape) for shape in shapes), (route.path, example)


def test_the_example_of_an_error_fits_its_schema() -> None:
    (example,) = _json_blocks(section(page("docs/api.md"), "Errors"))
    assert _fits(example, "Error")


def _json_blocks(text: str) -> list[Any]:
    return [json.loads(found) for found in re.findall(r"^```json\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)]


def _fits(example: Any, shape: str) -> bool:
    schema = {"$ref": f"#/components/schemas/{shape}", "components": {"schemas": SCHEMAS}}
    return jsonschema.Draft202012Validator(schema).is_valid(example)


def test_every_error_of_the_api_is_documented() -> None:
    real = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "ApiError":
                status, kind = (argument.value for argument in node.args[:2] if isinstance(argument, ast.Constant))
                real.add((str(status), kind))
    assert {(row["HTTP"], code(row["`code`"])) for row in rows(page("docs/api.md"), "HTTP")} == real


# --- command line, log, library ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(cli.main.commands))
def test_every_command_is_documented_with_its_options_and_defaults(name: str) -> None:
    real = {}
    for parameter in cli.main.commands[name].params:
        if isinstance(parameter, click.Option):
            real[parameter.opts[0]] = str(parameter.default) if parameter.show_default else None
        else:
            real[str(parameter.name).upper()] = None
    text = section(page("docs/cli.md"), name)
    told = {}
    for header in ("Option", "Argument", "Option or argument"):
        for row in rows(text, header):
            given = code(row[header]).split()[0]
            told[given] = "".join(codes(row["Default"])) or None if given.startswith("-") else None
    assert told == real


def test_no_command_is_documented_that_does_not_exist() -> None:
    assert {title for level, title in headings(page("docs/cli.md")) if level == 2} == set(cli.main.commands)


def test_every_event_of_the_log_is_documented_with_its_level() -> None:
    real = defaultdict(set)
    levels = {name: name for name in ("debug", "info", "warning", "error")} | {"exception": "error"}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in levels:
                event = node.args[0] if node.args else None
                if isinstance(event, ast.Constant) and isinstance(event.value, str):
                    real[event.value].add(levels[node.func.attr])
    told = {code(row["Event"]): set(row["Level"].split(", ")) for row in rows(page("docs/operation.md"), "Event")}
    assert told == real


def test_every_kind_of_event_is_documented() -> None:
    assert [code(row["Kind"]) for row in rows(page("docs/truth.md"), "Kind")] == list(EventKind)


def test_every_name_of_the_library_is_documented_and_exists() -> None:
    library = Library()
    objects = {
        "library": (Library, library),
        "embedded": (Embedded, Embedded(library)),
        "monitor": (LibraryMonitor, library.monitor),
        "db": (LibraryDatabase, library.db),
        "agent": (LibraryAgent, library.agent),
    }
    real = {f"{name}.{key}" for name, (kind, one) in objects.items() for key in {*vars(kind), *vars(one)}}
    told = {found for row in rows(page("docs/library.md"), "Name") for found in codes(row["Name"])}
    names = {match[0] for text in told if (match := re.match(r"\w+\.\w+", text))}
    assert names == {name for name in real if "._" not in name}
    assert set(exporter.__all__) - {"__version__"} <= set(re.findall(r"\w+", page("docs/library.md")))


# --- statuses ------------------------------------------------------------------------------------------------------


def test_every_status_is_documented_with_what_it_counts_for() -> None:
    for row, status in zip(rows(page("docs/statuses.md"), "Status"), Status, strict=True):
        verdict = Verdict(status=status, reason=Reason.OK)
        assert code(row["Status"]) == status
        assert row["Success"] == ("yes" if verdict.success else "no")
        assert (row["Counts"] != "no") == verdict.counts
    assert [code(row["Status"]) for row in rows(page("README.md"), "Status")] == list(Status)


def test_every_scope_is_documented() -> None:
    assert [code(row["Scope"]) for row in rows(page("docs/statuses.md"), "Scope")] == list(Scope)


def test_every_reason_is_documented_with_the_scopes_that_it_can_have() -> None:
    scopes: dict[str, set[str]] = {reason: {Scope.MODEL} for reason in (*SUCCESSES, Reason.BAD_OUTPUT)}
    for reason, scope in [(rule.reason, rule.scope) for rule in RULES] + [fault[1:] for fault in FAULTS.values()]:
        scopes.setdefault(reason, set()).add(scope)
    scopes[Reason.BACKOFF] |= set(WHOSE)  # that of the incident
    table = rows(page("docs/statuses.md"), "Reason")
    assert [code(row["Reason"]) for row in table] == list(Reason)
    assert {code(row["Reason"]): set(row["Scope"].split(" or ")) for row in table} == scopes


def test_the_table_of_http_answers_is_the_one_that_judges() -> None:
    told = [
        (row["HTTP"], code(row["Status"]), code(row["Reason"]), code(row["Scope"]))
        for row in rows(page("docs/statuses.md"), "HTTP")
    ]
    assert told == [(_range(rule.http), rule.status, rule.reason, rule.scope) for rule in RULES]


def _range(http: range) -> str:
    return str(http[0]) if len(http) == 1 else f"{http[0]}-{http[-1]}"


def test_the_table_of_faults_is_the_one_that_judges() -> None:
    told = {
        code(row["Fault"]): (code(row["Status"]), code(row["Reason"]), code(row["Scope"]))
        for row in rows(page("docs/statuses.md"), "Fault")
    }
    assert told == FAULTS


# --- truth, incidents, budget --------------------------------------------------------------------------------------


def test_every_golden_input_is_documented_with_its_known_answer() -> None:
    told = {
        code(row["Golden"]): (code(row["Task"]), row["Input"], row["Known answer"])
        for row in rows(page("docs/truth.md"), "Golden")
    }
    real = {
        canary.name: (task.name, canary.input, " or ".join(canary.expect))
        for task in TASKS.values()
        for canary in task.canaries
    }
    for name in [canary.name for canary in TASKS["summarization"].canaries]:  # a paragraph is too long for a table
        real[name] = (real[name][0], told[name][1], real[name][2])
    assert told == real


def test_every_check_is_documented_with_its_tasks() -> None:
    told = {}
    for row in rows(page("docs/truth.md"), "Check"):
        told[code(row["Check"])] = set(TASKS) if row["Tasks"] == "all" else set(codes(row["Tasks"]))
    real = {name: {task.name for task in TASKS.values() if name in task.checks} for name in CheckName}
    real[CheckName.EXPECTATION] &= set(LABELLED)  # the configuration takes it for no other
    assert told == real


def test_every_label_of_known_meaning_is_documented() -> None:
    told = {
        label: code(row["Polarity"])
        for row in rows(page("docs/truth.md"), "Polarity")
        for label in codes(row["Labels"])
    }
    assert told == POLARITY


def test_what_many_models_fall_into_together_is_documented() -> None:
    text = section(page("docs/incidents.md"), "What opens one")
    (row,) = (row for row in rows(text, "Scope") if "family" in row["What is seen"])
    assert set(codes(row["What is seen"])) - {"model"} == set(SHARED)
    family = re.search(r"so (.*?)\s+are of one\s+family", text, re.DOTALL)
    assert family is not None
    assert set(codes(family[1])) == set(OUTAGE)


def test_the_arithmetic_of_the_budget_is_right() -> None:
    month = datetime(2026, 11, 1, tzinfo=UTC)
    table = rows(page("docs/budget.md"), "Models asked")
    for row in table:
        budget = Budget(requests_per_month=30_000)
        budget.plan({str(number): 300.0 for number in range(int(row["Models asked"]))})
        every_s = budget.effective_interval_s("0", month)
        factor = f"{every_s / 300:.1f} times as long" if every_s > 300 else "as wished"
        assert row == {
            "Models asked": row["Models asked"],
            "At 5 minutes, in 30 days": f"{budget.projected_free(month):,.0f}",
            "With 30,000 a month": factor,
            "Each is asked every": f"{every_s / 60:.0f} min",
        }
    assert table


# --- database, demo ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("docs") / "history.db"
    Store.open(path, now=lambda: make.NOW).close()
    return path


def test_every_table_and_column_is_documented(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        real = {
            name: [column[1] for column in connection.execute(f"PRAGMA table_info({name})")]
            for name in names
            if not name.startswith("sqlite_")
        }
    text = section(page("docs/database.md"), "Tables")
    tables = [title.strip("`") for _, title in headings(text)]
    assert {
        name: [code(row["Column"]) for row in rows(section(text, f"`{name}`"), "Column")] for name in tables
    } == real


def test_the_queries_of_the_database_work(database: Path) -> None:
    queries = blocks("sql")
    with closing(sqlite3.connect(database)) as connection:
        for query in queries:
            assert connection.execute(query.text).fetchall() == [], query.place
    assert queries


def test_every_hint_of_the_database_is_documented() -> None:
    told = [row["What"] for row in rows(page("docs/database.md"), "What")]
    assert [hint for hint in HINTS.values() if not any(what in hint for what in told)] == []


def test_every_model_of_the_demo_is_documented() -> None:
    table = rows(page("docs/demo.md"), "Model")
    configured = config.load(ROOT / "config/models.yaml").models
    assert [code(row["Model"]) for row in table] == [model.model_id for model in configured]
    assert {ALIASES.get(model.model_id, model.model_id) for model in configured} == {
        ALIASES.get(model_id, model_id) for model_id in DEMO_SCENARIOS
    }
    assert {code(row["Status"]) for row in table} <= set(Status)


# --- the pages themselves ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    for link in links(path.read_text(encoding="utf-8")):
        name, _, anchor = link.partition("#")
        target = path.parent / name if name else path
        assert target.exists(), link
        if anchor:
            titles = headings(target.read_text(encoding="utf-8"))
            assert anchor in {slug(title) for _, title in titles}, link


@pytest.mark.parametrize("block", blocks("python"), ids=lambda block: block.place)
def test_every_python_example_parses_and_imports_what_exists(block: Block) -> None:
    tree = compile(block.text, block.place, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | ast.PyCF_ONLY_AST)
    assert isinstance(tree, ast.Module)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("exporter"):
            module = importlib.import_module(str(node.module))
            assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


@pytest.mark.parametrize("block", blocks("yaml"), ids=lambda block: block.place)
def test_every_yaml_example_is_taken(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "example.yaml"
    file.write_text(block.text, encoding="utf-8")
    content = yaml.safe_load(block.text)
    if "models" in content:
        config.load(file)
    elif "scrape_configs" in content:
        (job,) = content["scrape_configs"]
        assert 15 <= int(job["scrape_interval"].removesuffix("s")) <= 60
    else:
        certificate = trustme.CA().issue_cert("localhost")
        certificate.cert_chain_pems[0].write_to_path(tmp_path / content["tls_server_config"]["cert_file"])
        certificate.private_key_pem.write_to_path(tmp_path / content["tls_server_config"]["key_file"])
        assert load_web_config(file).users is not None


@servers.prometheus_needed
@pytest.mark.parametrize(
    "block", [block for block in blocks("yaml") if "scrape_configs" in block.text], ids=lambda block: block.place
)
def test_prometheus_takes_every_scrape_configuration(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "prometheus.yml"
    file.write_text(block.text, encoding="utf-8")
    command = ["promtool", "check", "config", "--syntax-only", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_decision_is_listed_and_has_its_three_parts() -> None:
    folder = ROOT / "docs/decisions"
    records = sorted(path for path in folder.glob("*.md") if path.name != "README.md")
    assert list(links((folder / "README.md").read_text(encoding="utf-8"))) == [path.name for path in records]
    for path in records:
        text = path.read_text(encoding="utf-8")
        assert all(f"**{part}.**" in text for part in ("Context", "Decision", "Consequences")), path.name


def test_the_version_has_an_entry_in_the_changelog() -> None:
    assert f"## [{exporter.__version__}]" in page("CHANGELOG.md")
