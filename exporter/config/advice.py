"""What is legal but will not work as it was probably meant, with the numbers."""

from __future__ import annotations

import math
from typing import Final

from exporter.config.values import Config, ProviderConfig

MONTH_S: Final = 30 * 86_400.0
# What hosted inference is widely said to allow for free; nothing is held back for it, but nobody should be surprised.
FREE_REQUESTS: Final = 30_000


def warnings_of(config: Config) -> tuple[str, ...]:
    """Return a sentence for each thing that an operator should know before the start."""
    if not config.models:
        return ("no models are configured: nothing is probed",)
    if not config.active:
        return (f"all {len(config.models)} models are disabled: nothing is probed",)
    found = [_crowded(config), *(_over_budget(config, provider) for provider in config.providers.values())]
    return tuple(filter(None, found))


def _crowded(config: Config) -> str:
    demand = round(sum(model.timeout_s / model.interval_s for model in config.active), 6)
    if demand <= config.concurrency:
        return ""
    return (
        f"if every probe timed out, {demand:.1f} would be in flight at once, and concurrency is {config.concurrency}: "
        f"raise concurrency to {math.ceil(demand)}, lengthen the interval or shorten the timeout"
    )


def _over_budget(config: Config, provider: ProviderConfig) -> str:
    budget = provider.requests_per_month
    asked = [model for model in config.active if model.provider == provider.name]
    needed = math.ceil(round(sum(MONTH_S / model.interval_s for model in asked), 6))
    if needed <= (budget or FREE_REQUESTS):
        return ""
    need = f"provider {provider.name}: {len(asked)} models at their intervals need up to {needed:,} requests in 30 days"
    if budget is None:
        return (
            f"{need}, {needed / FREE_REQUESTS:.1f} times the {FREE_REQUESTS:,} that are free; nothing is held back "
            "without a budget: set one (budget: {requests_per_month: …}) to have the pace stretched to it"
        )
    return (
        f"{need}, {needed / budget:.1f} times the budget of {budget:,}: the intervals are stretched about "
        f"{math.ceil(10 * needed / budget) / 10:.1f} times so that it lasts"
    )
