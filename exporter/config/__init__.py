"""YAML -> frozen Config, strictly: all that is wrong is told at once, with file, line, path and a hint."""

from exporter.config.dump import as_yaml
from exporter.config.load import load
from exporter.config.messages import TASKS
from exporter.config.shape import json_schema
from exporter.config.single import parse_model
from exporter.config.values import Config, ConfigError, Problem, ProviderConfig

__all__ = [
    "TASKS",
    "Config",
    "ConfigError",
    "Problem",
    "ProviderConfig",
    "as_yaml",
    "json_schema",
    "load",
    "parse_model",
]
