"""The console logger of the command line: a line for what a step says, none for Dagster's own bookkeeping."""

from __future__ import annotations

import logging
import sys
from typing import Any

import dagster as dg

from cm4ai_assets.plain import for_terminal


class _Line(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        meta: dict[str, Any] = getattr(record, "dagster_meta", None) or {}
        step = meta.get("step_key") or ""
        text = meta.get("orig_message") or record.getMessage()
        text = for_terminal(text)
        return f"{self.formatTime(record, '%H:%M:%S')}  {step:<14} {text}" if step else text


class _Said(logging.Filter):
    """Lets through what steps say, and warnings and errors without the stack trace that the event log keeps anyway."""

    def filter(self, record: logging.LogRecord) -> bool:
        meta: dict[str, Any] = getattr(record, "dagster_meta", None) or {}
        return meta.get("dagster_event") is None


@dg.logger(
    config_schema={"log_level": dg.Field(str, is_required=False, default_value="INFO")},
    description="One line per message of a step.",
)
def console_logger(context: dg.InitLoggerContext) -> logging.Logger:
    """Messages of steps on standard error, one line each."""
    level: str = context.logger_config["log_level"]
    logger = logging.Logger("cm4ai", level)  # noqa: LOG001 - not a child of the root logger, which would print it twice
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Line())
    handler.addFilter(_Said())
    logger.addHandler(handler)
    return logger
