"""What to say to a model and what a good answer looks like: one file a task, all of them in TASKS."""

from __future__ import annotations

from typing import Final

from exporter.tasks import sentiment, summarization, text_generation, zero_shot
from exporter.tasks.base import BadOutputError, Canary, Task, canary_for, decode

__all__ = ["TASKS", "BadOutputError", "Canary", "Task", "canary_for", "decode"]

TASKS: Final = {task.name: task for task in (sentiment.TASK, text_generation.TASK, summarization.TASK, zero_shot.TASK)}
