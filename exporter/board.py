"""What is known of each model now: its newest observation. Kept in memory, primed from the store, judged by nobody."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from exporter.models import Flip, Observation


class Board:
    """The newest observation of each configured model, by model id."""

    def __init__(self) -> None:
        self._current: dict[str, Observation] = {}
        self.current: Mapping[str, Observation] = MappingProxyType(self._current)

    def get(self, model_id: str) -> Observation | None:
        """Return the newest observation, or None before the first."""
        return self._current.get(model_id)

    def publish(self, observation: Observation) -> Flip | None:
        """Take a finished probe; return the change of status that it brought, if any."""
        before = self._current.get(observation.model_id)
        self._current[observation.model_id] = observation
        if before is not None and before.status is observation.status:
            return None
        return Flip(
            model_id=observation.model_id,
            before=None if before is None else before.status,
            after=observation.status,
            reason=observation.reason,
            at=observation.checked_at,
        )

    def prime(self, observations: Iterable[Observation]) -> None:
        """Take what a store remembers, without making flips of it."""
        self._current.update((observation.model_id, observation) for observation in observations)

    def retain(self, model_ids: Iterable[str]) -> None:
        """Forget every model that is not among these: a model taken out of the configuration leaves no ghost."""
        kept = set(model_ids)
        for model_id in [known for known in self._current if known not in kept]:
            del self._current[model_id]
