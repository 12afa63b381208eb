"""No known secret is in a log, whatever printed it."""

import html
import json
import subprocess
import urllib.parse
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netpoint_remote.running.bundle import assignments
from tests.remote.server import REAL_PATH, REMOTE, write_files

pytestmark = pytest.mark.promise(7)
KEY = "k3y-" * 12
CONFIGURATION = """
import os
DATABASE = {{"NAME": "netpoint", "PASSWORD": {password!r}, "HOST": "localhost"}}
REDIS = {{"tasks": {{"PASSWORD": "redis-secret"}}, "caching": {{"URL": "redis://:cache-secret@localhost/1"}}}}
SECRET_KEY = {key!r}
EMAIL = {{"PASSWORD": "mail-secret", "USERNAME": "netpoint"}}
PLUGINS_CONFIG = {{"one": {{"api_token": "plugin-secret", "accounts": [{{"password": "deep-secret"}}]}}}}
AUTH_PASSWORD_VALIDATORS = [{{"NAME": "django.MinimumLengthValidator"}}]
"""
ENVIRONMENT = (
    ("HEALTH_HEADERS", "Host: np1.example.org\nAuthorization: Token header-secret"),
    ("PIP_INDEX_URL", "https://pip:index%40secret@pypi.example.org/simple"),
    ("ARCHIVE_URL", "https://token-as-user-0123456789@x.example.org/v3.5.0.tar.gz?sig=signed-secret"),
    ("HTTPS_PROXY", "http://proxy.example.org:3128"),
)
# As prepare.sh does, where the service's process has an environment of its own.
LEARN = """. "$BUNDLE/secrets.sh"; umask 077
    as_unit() ( shift 3; NETPOINT_TOKEN=unit-secret LANG=C.UTF-8 exec python3 "$@" )
    list_secrets | write_file "$RUN/secrets"
"""
passwords = st.text(
    st.characters(min_codepoint=33, exclude_categories=["Cs", "Zl", "Zp", "Cc"]), min_size=5, max_size=20
)


class Run:
    """The folder of a run, and a tree with a configuration."""

    def __init__(self, base: Path) -> None:
        self.base = base
        (base / "bundle").mkdir(parents=True)
        for name in ("lib.sh", "secrets.sh", "ask.py", "known_secrets.py"):
            (base / "bundle" / name).symlink_to(REMOTE / name)
        self.know("hunter2")

    def know(self, password: str, environment: Iterable[tuple[str, str]] = ENVIRONMENT) -> None:
        configuration = CONFIGURATION.format(password=password, key=KEY)
        write_files(self.base, {
            "tree/netpoint/netpoint/__init__.py": "",
            "tree/netpoint/netpoint/configuration.py": configuration,
            "bundle/environment.sh": assignments(environment, export=True),
            "database.env": assignments((("PGPASSWORD", password), ("PGUSER", "netpoint")), export=True),
        })  # fmt: skip

    def sh(self, script: str, text: str = "") -> str:
        environment = {
            "PATH": REAL_PATH, "RUN": str(self.base), "BUNDLE": f"{self.base}/bundle", "OLD": f"{self.base}/tree",
            "PRODUCT": "netpoint",
        }  # fmt: skip
        script = f'. "$BUNDLE/lib.sh"; {script}'
        done = subprocess.run(
            ["sh", "-c", script], env=environment, input=text.encode(), capture_output=True, timeout=300, check=False
        )
        assert (done.returncode, done.stderr) == (0, b"")
        return done.stdout.decode()


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path / "run")


SECRET = (
    "hunter2", KEY, "redis-secret", "cache-secret", "mail-secret", "plugin-secret", "deep-secret", "header-secret",
    "index@secret", "index%40secret", "token-as-user-0123456789", "signed-secret", "unit-secret",
)  # fmt: skip
PLAIN = ("netpoint 3.5.0 on localhost", "Host: np1.example.org", "http://proxy.example.org:3128", "", " \\ & $1")


def test_what_is_secret_to_a_run_is_masked_and_nothing_else(run: Run) -> None:
    printed = "".join(f"error: {each} is wrong, {each}\n" for each in (*SECRET, *PLAIN))

    told = run.sh(f"{LEARN}mask", printed).splitlines()

    assert told[: len(SECRET)] == ["error: *** is wrong, ***"] * len(SECRET)
    assert told[len(SECRET) :] == [f"error: {each} is wrong, {each}" for each in PLAIN]


def test_the_account_of_an_address_is_masked_before_anything_is_known(run: Run) -> None:
    told = "Looking in indexes: https://me:p@ss@x.org/simple, 'http://token@y.org/'\n"

    assert run.sh("mask", told) == "Looking in indexes: https://***@x.org/simple, 'http://***@y.org/'\n"


def test_secrets_of_the_environment_are_known_where_the_configuration_cannot_be_read(run: Run) -> None:
    write_files(run.base, {"tree/netpoint/netpoint/configuration.py": 'SECRET_KEY = "unterminated\n'})

    assert run.sh(f"{LEARN}mask", "hunter2\n") == "***\n"


def test_the_list_of_secrets_is_for_root_alone(run: Run) -> None:
    run.sh(LEARN)

    assert (run.base / "secrets").stat().st_mode & 0o777 == 0o600


def test_a_secret_that_is_no_text_keeps_the_others_masked(run: Run) -> None:
    run.know("hunter2", (("API_TOKEN", "other-secret"),))
    configuration = run.base / "tree/netpoint/netpoint/configuration.py"
    configuration.write_text(configuration.read_text() + 'API_KEY = "\\ud800 half of a pair"\n')

    assert run.sh(f"{LEARN}mask", "hunter2 other-secret\n") == "*** ***\n"


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(password=passwords, before=st.text("ab:/@ '\"", max_size=5))
def test_any_password_is_masked_wherever_it_stands(run: Run, password: str, before: str) -> None:
    run.know(password)

    ways = (f"{before}{password}{before}", repr(password), json.dumps(password), urllib.parse.quote(password, safe=""))
    told = run.sh(f"{LEARN}mask", "".join(f"{way}\n" for way in ways)).replace("***", "")

    assert [way for way in (password, *ways[1:]) if way in told] == []


@pytest.mark.parametrize(
    "password", ["/Passw0rd", "/", '"quoted"\\', "line\u2028two", "it's <b>", "two words", "a\r\nb23456"]
)
def test_a_password_is_masked_in_every_spelling(run: Run, password: str) -> None:
    run.know(password)
    ways = (
        password, repr(password), json.dumps(password), json.dumps(password, ensure_ascii=False), html.escape(password),
        assignments((("PGPASSWORD", password),), export=True), urllib.parse.quote_plus(password),
        password.replace("'", "'\\''"),
    )  # fmt: skip

    told = run.sh(f"{LEARN}mask", "".join(f"{way}\n" for way in ways))

    whole = max(password.split("\n"), key=len).strip("\r")
    assert len(whole) < 5 or whole not in told
    assert len(whole) < 5 or told.count("***") >= len(ways)


def test_the_path_of_a_key_is_no_secret(run: Run) -> None:
    """What is to be looked at is where a key lies; that a password begins with a slash does not make it a path."""
    key = run.base / "tree"
    run.know("hunter2", (("API_KEY", str(key)), ("API_TOKEN", "/no/such/file")))

    assert run.sh(f"{LEARN}mask", f"{key} /no/such/file\n") == f"{key} ***\n"
