"""The reason of a failed step names the error, and no row that PostgreSQL quotes to it: rows hold hashes and tokens."""

import pytest

from tests.remote.conftest import Make
from tests.remote.server import Server

FAILED = 'django.db.utils.IntegrityError: null value in column "key" violates not-null constraint'
ROW = "DETAIL:  Failing row contains (1, pbkdf2_sha256$hunter2, a\nCommand of two lines, hunter2)."
SAID = {
    "a row": (f"{FAILED}\n{ROW}\n", FAILED),
    "a row and what Django was at": (f"x\n{ROW}\n\nTraceback (most recent call last):\n{FAILED}\n{ROW}\n", FAILED),
    "a key": ("E: duplicate\nDETAIL:  Key (token)=(hunter2) already exists.\nHINT:  hunter2\n", "E: duplicate"),
    "an error after a quoted row": (f"{FAILED}\n{ROW}\nCommandError: No way on\n", "CommandError: No way on"),
    "a row on one line": (
        "IntegrityError('null\\nDETAIL:  Failing row contains (1, hunter2).')",
        "IntegrityError('null\\nDETAIL:  Failing row contains (...)",
    ),
    "a key on one line": ("E: Key (name, token)=(x, hunter2) exists", "E: Key (name, token)=(...)"),
    "nothing of the kind": ("no luck today\n\n", "no luck today"),
}  # fmt: skip


@pytest.fixture
def ready(make_server: Make) -> Server:
    server = make_server()
    server.record()
    server.apply("fetch_release", "unpack_release", "stop_services", "dump_database", "seal_backup")
    return server


@pytest.mark.parametrize(("said", "told"), SAID.values(), ids=SAID)
def test_a_row_that_an_error_quotes_is_not_in_the_reason(ready: Server, said: str, told: str) -> None:
    script = ready.new / "upgrade.sh"
    (ready.world / "said by migrate").write_text(said)
    script.write_text('#!/bin/sh\necho "Applying database migrations..."\ncat "$WORLD/said by migrate"\nexit 1\n')

    assert ready.step("run_upgrade", "apply").returncode == 1
    assert ready.reason == f"upgrade.sh ended with status 1 at: Applying database migrations ({told})"


@pytest.mark.parametrize(("said", "told"), SAID.values(), ids=SAID)
def test_a_row_that_a_program_of_postgresql_quotes_is_not_in_the_reason(ready: Server, said: str, told: str) -> None:
    (ready.run / "output").write_text(said)

    assert ready.in_run("last_line").stdout == f"{told}\n"


def test_of_what_psql_says_the_error_is_told_and_not_where_it_was(ready: Server) -> None:
    said = (
        'psql:<stdin>:9: ERROR:  bad\nCONTEXT:  COPY users_token, line 1: "1 hunter2"\npsql:<stdin>:9: hunter2 is lost'
    )
    (ready.run / "output").write_text(f"{said}\nDETAIL:  x\n")

    assert ready.in_run("last_line").stdout == "psql:<stdin>:9: hunter2 is lost\n"
