"""An error that is not ours is one readable line with its cause, and a remedy where one is known."""

from __future__ import annotations

import csv
import sqlite3

import dagster as dg
import psycopg2
import pytest
import sqlalchemy.exc

from cm4ai_assets import causes
from cm4ai_assets.defs.launching import Outcome, materialize
from cm4ai_assets.errors import ArchiveError, NotMaterializedError

# How SQLAlchemy, and so Dagster, passes on that the server has restarted.
CUT = sqlalchemy.exc.OperationalError("SELECT 1", {}, psycopg2.OperationalError("server closed the connection"))


@pytest.mark.parametrize(
    ("error", "message", "remedy"),
    [
        (OSError(28, "No space left on device", "/data/x"), "OSError: No space left on device: '/data/x'", "Free some"),
        (OSError(30, "Read-only file system", "/mnt/x"), "OSError: Read-only file system: '/mnt/x'", "Mount it"),
        (PermissionError(13, "Permission denied", "/x"), "PermissionError: Permission denied: '/x'", "Let this user"),
        (PermissionError("Access Denied."), "PermissionError: Access Denied.", "Let AWS_ACCESS_KEY_ID"),
        (CUT, "OperationalError: (psycopg2.OperationalError) server closed the connection", "The database of CM4AI_"),
        (sqlite3.OperationalError("database is locked"), "OperationalError: database is locked", "Another process"),
        (csv.Error("line contains NUL\nmore"), "csv.Error: line contains NUL", "--debug"),
        (ValueError(), "ValueError", "--debug"),
    ],
)
def test_a_foreign_error_is_a_line_with_its_cause(error: Exception, message: str, remedy: str) -> None:
    found = causes.of_exception(error)
    assert found.message == f"{message.rstrip('.')}."  # a sentence: others follow it
    assert found.remedy.startswith(remedy) or remedy in found.remedy
    assert "\n" not in str(found)


@pytest.mark.parametrize("message", ["It answered: no message", "It is full.", "Not so!", 'It says "no."', "More…"])
def test_what_an_error_says_is_a_sentence_with_its_remedy_behind_it(message: str) -> None:
    said = str(ArchiveError(message, remedy="Ask again."))
    assert said == f"{message}{'.' if message.endswith('message') else ''} Ask again."
    assert str(ArchiveError(message)) == said.removesuffix(" Ask again.")


def test_an_error_of_ours_stays_as_it_is() -> None:
    error = NotMaterializedError("It is not.", remedy="Do it.")
    assert causes.of_exception(error) is error
    assert causes.sentence("cm4ai_assets.errors.NotMaterializedError: It is not. Do it.\n") == "It is not. Do it."


def _outcome(error: Exception) -> Outcome:
    @dg.asset
    def broken() -> None:
        try:
            raise error
        except OSError as cause:
            raise cause from None

    with dg.DagsterInstance.ephemeral() as instance:
        (outcome,) = materialize(
            dg.Definitions(assets=[broken]), instance, release="2026-06-v2.0", conditions=["untreated"]
        )
    return outcome


def test_a_failed_run_names_the_cause_and_not_the_step_alone() -> None:
    outcome = _outcome(OSError(28, "No space left on device", "/data/x"))
    assert not outcome.succeeded
    assert outcome.failure.startswith("OSError: No space left on device: '/data/x' Free some space")
    assert "Error occurred while executing" not in outcome.failure
    assert "Error occurred while executing" in outcome.details
    assert "in broken" in outcome.details


def test_a_refusal_of_ours_is_said_in_its_own_words() -> None:
    assert _outcome(dg.Failure("Nothing is published.", allow_retries=False)).failure == "Nothing is published."
