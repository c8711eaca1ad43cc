"""What is legal but will not work as it was probably meant, with the numbers."""

from __future__ import annotations

import math
from typing import Final

from exporter.config.values import Config, ProviderConfig

MONTH_S: Final = 30 * 86_400.0


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
    if budget is None or needed <= budget:
        return ""
    return (
        f"provider {provider.name}: {len(asked)} models at their intervals need {needed:,} requests in 30 days, "
        f"{needed / budget:.1f} times the budget of {budget:,}: what is beyond it is not sent; intervals "
        f"{math.ceil(10 * needed / budget) / 10:.1f} times as long would fit"
    )
