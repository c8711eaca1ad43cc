"""Who is asked: a signature (Provider), and one line a kind of provider in PROVIDERS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from exporter.config import ProviderConfig
from exporter.credentials import Token
from exporter.providers.base import Provider
from exporter.providers.connectivity import Connectivity
from exporter.providers.huggingface import HuggingFace
from exporter.providers.wire import Wire

__all__ = ["PROVIDERS", "Connectivity", "HuggingFace", "Provider", "Wire"]

PROVIDERS: Final[dict[str, Callable[[ProviderConfig, Wire, Token], Provider]]] = {"huggingface": HuggingFace}
