"""What an installation says of itself, asked by the Python that runs the tests and by the oldest there is."""

import importlib.util
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netpoint_remote.running.bundle import text_of
from tests.remote.server import REAL_PATH, REMOTE, release, write_files

ASK = REMOTE / "ask.py"
ENVIRONMENT = REMOTE / "environment.py"
KEY = "k" * 60
passwords = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=30) | st.sampled_from(
    ["'", '"', "\\", "$1", "$(id)", "`id`", " ", "a b", "\n", "--", "ä€", "%", "!", "\\'", "'\"'\"'", "#"]
)
PSQL = r"""#!/bin/sh
# psql that says what it was asked by, and what a database would.
printf '%s\n' "$*" >"$0.said"
cat >/dev/null
printf 'db.size_mb=%s\0' "${#PGPASSWORD}"
printf 'db.server_version_num=150008\0'
printf 'db.applied=%s\0' dcim.0001_initial dcim.0130_sitegroup
printf 'db.door=dcim.0130_sitegroup\0'
printf 'db.foreign="a\ndb.locked_by=nobody", of bob\0'
"""


def interpreters() -> list[str]:
    """Return the Python of these tests and the oldest other one that is here."""
    old = (shutil.which(f"python3.{minor}") for minor in (6, 7, 8))
    works = (
        path
        for path in old
        if path and subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0
    )
    return [sys.executable, *list(works)[:1]]


@pytest.fixture(params=interpreters(), ids=lambda path: Path(path).name)
def python(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def ask(
    *words: str, python: str = sys.executable, program: Path = ASK, text: str = "", **environment: str
) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(
        [python, str(program), *words], input=text.encode("utf-8", "surrogateescape"), capture_output=True, timeout=300,
        env={"PATH": REAL_PATH, "LC_ALL": "C", **environment}, check=False,
    )  # fmt: skip
    return subprocess.CompletedProcess(
        words, done.returncode, done.stdout.decode("utf-8", "surrogateescape"), done.stderr.decode(errors="replace")
    )


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


module = load(ASK)
environment = load(ENVIRONMENT)


def exported(pairs: object) -> str:
    """Return what a shell of root's is given of the variables that a service's process prints."""
    text = "".join(f"{name}={value}\0" for name, value in pairs)
    return ask("exports", program=ENVIRONMENT, text=text).stdout


def settings(**changes: object) -> str:
    """Write a configuration.py."""
    usual = {
        "ALLOWED_HOSTS": ["*"], "SECRET_KEY": KEY, "REDIS": {"tasks": {"URL": "redis://db"}},
        "DATABASE": {"NAME": "netpoint", "USER": "np", "PASSWORD": "hunter2", "HOST": "db", "PORT": 5433},
    }  # fmt: skip
    return "".join(f"{name} = {value!r}\n" for name, value in {**usual, **changes}.items())


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "net point"
    write_files(root, {**release("3.4.9"), "netpoint/netpoint/configuration.py": settings()})
    return root


def configure(tree: Path, text: str) -> Path:
    write_files(tree, {"netpoint/netpoint/configuration.py": text})
    return tree


def facts_of(tree: Path, *, url: str = "http://127.0.0.1:1", **more: str) -> dict[str, str]:
    """Ask for all facts, as the service runs and from outside; of several of one name the last."""
    done = ask("facts", str(tree), "netpoint", "SELECT 1", **more)
    assert done.returncode == 0, done.stderr
    outside = ask("outside", str(tree), "netpoint", url, text=done.stdout)
    return dict(line.split("=", 1) for line in (done.stdout + outside.stdout).splitlines())


# ---- configuration


def test_what_the_configuration_says_is_told(tree: Path, python: str) -> None:
    told = facts_of(configure(tree, settings(MEDIA_ROOT="/srv/é  media", PLUGINS=["bgp"])), python=python)

    assert json.loads(told["configuration"]) == {
        "ALLOWED_HOSTS": ["*"], "MEDIA_ROOT": "/srv/é  media", "PLUGINS": ["bgp"],
    }  # fmt: skip
    assert (told["configuration.missing"], told["configuration.secret_key_length"]) == ("", "60")
    assert [told[f"database.{key}"] for key in ("host", "port", "name")] == ["db", "5433", "netpoint"]


def test_keys_that_are_missing_are_named(tree: Path) -> None:
    told = facts_of(configure(tree, "ALLOWED_HOSTS = []\nSECRET_KEY = 'x'\nDATABASE = {}\nREDIS = {'tasks': {}}\n"))

    assert told["configuration.missing"] == "ALLOWED_HOSTS DATABASE"


def test_databases_in_the_plural_will_do(tree: Path) -> None:
    told = facts_of(configure(tree, settings(DATABASE={}, DATABASES={"default": {"NAME": "np", "HOST": "db2"}})))

    assert (told["configuration.missing"], told["database.host"]) == ("", "db2")


def test_a_long_list_of_hosts_cuts_nothing_off(tree: Path) -> None:
    names = [f"netpoint-{number}.example.org" for number in range(500)]

    told = facts_of(configure(tree, settings(ALLOWED_HOSTS=names, MEDIA_ROOT="/srv/media")))

    assert json.loads(told["configuration"])["MEDIA_ROOT"] == "/srv/media"


def test_the_module_may_have_another_name(tree: Path) -> None:
    write_files(tree, {"netpoint/ours/__init__.py": "", "netpoint/ours/settings.py": settings(BASE_PATH="np/")})

    told = facts_of(tree, NETPOINT_CONFIGURATION="ours.settings")

    assert json.loads(told["configuration"])["BASE_PATH"] == "np/"


def test_what_a_configuration_prints_is_kept_out(tree: Path) -> None:
    done = ask("facts", str(configure(tree, settings() + "print('version.disk=9.9')\n")), "netpoint", "")

    assert "version.disk" not in done.stdout


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("PASSWORD = hunter2\n", "NameError (line 1 of configuration.py)"),
        ("\nPORT = int('hunter2')\n", "ValueError (line 2 of configuration.py)"),
        ("import os\nPASSWORD = os.environ['DB_PASSWORD']\n", "KeyError: 'DB_PASSWORD'"),
        ("from vault import hunter\n", "ModuleNotFoundError: No module named 'vault' (line 1 of configuration.py)"),
        ("PASSWORD = 'hunter2'\nOTHER = (\n", "SyntaxError: "),
        ("raise SystemExit('hunter2')\n", "SystemExit (line 1 of configuration.py)"),
        ("open('/nowhere')\n", "FileNotFoundError: [Errno 2] No such file or directory: '/nowhere'"),
    ],
    ids=["name", "value", "key", "import", "syntax", "exit", "file"],
)
def test_a_configuration_that_fails_is_told_by_kind_and_place(tree: Path, text: str, told: str) -> None:
    error = facts_of(configure(tree, text))["configuration.error"]

    assert (error.startswith(told), "hunter2" in error) == (True, False), error


def test_a_configuration_that_is_not_there_is_told(tree: Path) -> None:
    (tree / "netpoint/netpoint/configuration.py").unlink()

    assert facts_of(tree)["configuration.error"] == "ModuleNotFoundError: No module named 'netpoint.configuration'"


def test_no_secret_is_told(tree: Path) -> None:
    redis = {"tasks": {"HOST": "127.0.0.1", "PORT": 1, "PASSWORD": "hunter2"}}
    text = settings(SECRET_KEY="hunter2" * 8, REDIS=redis, EMAIL={"PASSWORD": "hunter2"}, NAPALM_PASSWORD="hunter2")

    done = ask("facts", str(configure(tree, text)), "netpoint", "SELECT 1")

    assert ("hunter2" in done.stdout + done.stderr, "secret_key_print=" in done.stdout) == (False, True)


@pytest.mark.parametrize("verb", ["database", "reach"])
@pytest.mark.parametrize(
    "line", ["PASSWORD = hunter2", "PASSWORD = 'hunter2", "raise ValueError('hunter2')", "raise SystemExit('hunter2')"]
)
def test_what_is_wrong_with_a_configuration_is_told_without_a_quotation(tree: Path, verb: str, line: str) -> None:
    """A password without its quotes is a NameError; a traceback shows the line."""
    (tree / "netpoint/netpoint/configuration.py").write_text(f"{line}\n")

    done = ask(verb, str(tree), "netpoint")

    assert done.returncode == 1
    assert "line 1 of configuration.py" in done.stderr
    assert "hunter2" not in done.stdout + done.stderr


@given(passwords)
def test_no_secret_is_told_whatever_it_is(secret: str) -> None:
    hidden = f"<{secret}>"
    database = {"NAME": "np", "HOST": "db", "PASSWORD": hidden}
    configuration = SimpleNamespace(SECRET_KEY=hidden, DATABASE=database, REDIS={"a": {}}, EMAIL={"PASSWORD": hidden})

    assert [fact for fact in module.configuration_facts(configuration) if hidden in str(fact)] == []


def test_one_key_has_one_print_and_another_key_another() -> None:
    prints = [module.fingerprint(key) for key in (KEY, KEY, f"{KEY}x", "")]

    assert (prints[0] == prints[1], prints[0] == prints[2], len(prints[0]), prints[3]) == (True, False, 16, "")


# ---- sizes


def sizes_of(tree: Path, **changes: object) -> "list[tuple[str, str]]":
    return list(module.size_facts(str(tree), "netpoint", changes))


def test_folders_are_measured_where_they_are_configured_to_be(tree: Path, tmp_path: Path) -> None:
    """Holes count too: what is saved of a file is all of it."""
    write_files(tmp_path, {"srv/media/deep/er/a": "x" * 10, "srv/reports/r": "x", "netpoint/media/old": "x"})
    with (tmp_path / "srv/media/deep/b").open("wb") as sparse:
        sparse.truncate(5 * 2**20)
    (tmp_path / "srv/media/deep/again").hardlink_to(tmp_path / "srv/media/deep/b")
    shutil.rmtree(tree / "netpoint/scripts")
    (tree / "netpoint/scripts").symlink_to(tmp_path / "srv/reports")
    shutil.rmtree(tree / "netpoint/reports")

    told = sizes_of(tree, MEDIA_ROOT=str(tmp_path / "srv/media"), REPORTS_ROOT="not/there")

    assert told == [("size", "1 scripts"), ("linked", "scripts"), ("size", "6 media")]


def test_uploads_that_lie_in_the_release_by_another_name_are_known(tree: Path) -> None:
    write_files(tree, {"netpoint/media/a": "x"})
    (tree.parent / "alias").symlink_to(tree)

    told = sizes_of(tree, MEDIA_ROOT=str(tree.parent / "alias/netpoint/media"), SCRIPTS_ROOT=str(tree.parent))

    assert [value for name, value in told if name == "inside"] == ["reports netpoint/reports", "media netpoint/media"]


def test_what_may_be_local_and_is_large_is_measured(tree: Path) -> None:
    """A dump that somebody left in the release is copied to the next one, and saved."""
    large = "x" * module.LARGE
    write_files(tree, {"old.sql": large, "netpoint/plugins/a": large, "netpoint/netpoint/log/b": large})
    write_files(tree, {"small": "x", "venv/c": large, "netpoint/static/d": large, "netpoint/media/e": large})
    (tree / "link.sql").symlink_to(tree / "old.sql")

    told = sizes_of(tree, REPORTS_ROOT="netpoint/plugins")

    assert [value for name, value in told if name == "local"] == ["10 old.sql", "10 netpoint/netpoint/log"]


def test_what_takes_too_long_to_measure_is_told_with_what_is_known(tree: Path) -> None:
    write_files(tree, {"netpoint/media/a": "x"})

    told = list(module.size_facts(str(tree), "netpoint", {}, 0))

    assert ("unmeasured", "media") in told
    assert "media" in {value.partition(" ")[2] for name, value in told if name == "size"}


def test_a_key_that_is_no_text_has_a_print_too() -> None:
    """Half of a surrogate pair, which Python takes and UTF-8 does not."""
    assert module.fingerprint("\ud800") != module.fingerprint("\udfff")


# ---- the database


@given(passwords)
@pytest.mark.parametrize("shell", [["dash"], ["bash", "--posix"]], ids=["dash", "bash"])
def test_any_password_reaches_libpq_through_a_shell(shell: list[str], password: str) -> None:
    exports = exported(module.libpq_environment({"NAME": "np", "PASSWORD": password}).items())
    script = f'{exports}printf "%s|" "$PGDATABASE" "$PGPASSWORD"'

    done = subprocess.run([*shell, "-c", script], capture_output=True, env={"PATH": REAL_PATH}, check=True)

    assert done.stdout == f"np|{password}|".encode()


def test_a_password_that_is_no_text_is_an_error_like_any_other(tree: Path, psql: Path, python: str) -> None:
    """A file can spell half of a surrogate pair, and no database takes it: NetPoint itself cannot send it either."""
    configure(tree, settings(DATABASE={"NAME": "np", "PASSWORD": "\ud800"}, SECRET_KEY="\udfff" * 50))

    facts = facts_of(tree, python=python, PATH=f"{psql.parent}:{REAL_PATH}")

    assert facts["db.error"] == "DATABASE has a value that no program can be given: a NUL, or what is no text"
    assert facts["configuration.secret_key_length"] == "50"


def test_the_options_of_a_database_become_those_of_libpq(tree: Path) -> None:
    options = {"sslmode": "verify-full", "sslrootcert": "/ca.pem", "service": "np", "isolation_level": 2}
    done = ask("database", str(configure(tree, settings(DATABASE={"HOST": "/run/pg", "OPTIONS": options}))), "netpoint")

    exported = dict(pair.split("=", 1) for pair in done.stdout.split("\0") if pair)
    assert exported == {
        "PGAPPNAME": "netpoint-remote", "PGCONNECT_TIMEOUT": "10", "PGHOST": "/run/pg", "PGSERVICE": "np",
        "PGSSLMODE": "verify-full", "PGSSLROOTCERT": "/ca.pem",
    }  # fmt: skip


OPTIONS = {
    "hostaddr": "10.0.0.7", "sslcrldir": "/crl", "sslsni": 0, "ssl_min_protocol_version": "TLSv1.3",
    "ssl_max_protocol_version": "TLSv1.3", "sslcompression": 0, "sslnegotiation": "direct", "sslcertmode": "require",
    "require_auth": "scram-sha-256", "gsslib": "gssapi", "client_encoding": "UTF8", "sslmode": "",
}  # fmt: skip


def test_every_option_that_libpq_takes_from_its_environment_reaches_it() -> None:
    told = module.libpq_environment({"NAME": "np", "OPTIONS": OPTIONS})

    assert told == {
        "PGAPPNAME": "netpoint-remote", "PGCONNECT_TIMEOUT": "10", "PGDATABASE": "np", "PGHOSTADDR": "10.0.0.7",
        "PGSSLCRLDIR": "/crl", "PGSSLSNI": "0", "PGSSLMINPROTOCOLVERSION": "TLSv1.3",
        "PGSSLMAXPROTOCOLVERSION": "TLSv1.3", "PGSSLCOMPRESSION": "0", "PGSSLNEGOTIATION": "direct",
        "PGSSLCERTMODE": "require", "PGREQUIREAUTH": "scram-sha-256", "PGGSSLIB": "gssapi",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "reached"),
    [
        ({"USER": "np", "PASSWORD": "a", "HOST": "db", "PORT": 1}, ("np", "a", "db", "1", "of options")),
        ({"NAME": "np", "USER": "", "HOST": ""}, ("o", "p", "h", "5", "of options")),
    ],
)
def test_options_name_the_account_where_nothing_else_does(settings: dict[str, object], reached: tuple[str]) -> None:
    """As Django's backend for PostgreSQL: OPTIONS come behind USER, PASSWORD, HOST and PORT, and before NAME."""
    options = {"user": "o", "password": "p", "host": "h", "port": 5, "dbname": "of options"}

    told = module.libpq_environment({**settings, "OPTIONS": options})

    assert tuple(told[name] for name in ("PGUSER", "PGPASSWORD", "PGHOST", "PGPORT", "PGDATABASE")) == reached


def test_what_the_unit_gives_libpq_is_kept_behind_what_the_configuration_says(tree: Path) -> None:
    """A service file, a password file or certificates named in the unit's environment reach NetPoint, and us."""
    given = {"PGSERVICEFILE": "/etc/np/services", "PGUSER": "unit", "PGAPPNAME": "np", "OTHER": "x"}

    done = ask("database", str(configure(tree, settings(DATABASE={"NAME": "n", "USER": "np"}))), "netpoint", **given)

    exported = dict(pair.split("=", 1) for pair in done.stdout.split("\0") if pair)
    assert exported == {
        "PGAPPNAME": "netpoint-remote", "PGCONNECT_TIMEOUT": "10", "PGDATABASE": "n", "PGUSER": "np",
        "PGSERVICEFILE": "/etc/np/services",
    }  # fmt: skip


@pytest.fixture
def psql(tmp_path: Path) -> Path:
    write_files(tmp_path, {"bin/psql": PSQL})
    return tmp_path / "bin/psql"


def test_the_database_is_asked_with_its_password_in_the_environment(tree: Path, psql: Path, python: str) -> None:
    told = facts_of(tree, python=python, PATH=f"{psql.parent}:{REAL_PATH}")

    assert (told["db.size_mb"], told["db.server_version_num"]) == (str(len("hunter2")), "150008")
    assert "hunter2" not in psql.with_suffix(".said").read_text()


LOGIN_REFUSED = {
    'FATAL:  no pg_hba.conf entry for host "10.0.0.9", user "np"': True,
    "FATAL:  kein pg_hba.conf-Eintrag für Host »10.0.0.9«, Benutzer »np«": True,
    "fe_sendauth: no password supplied": True,
    'FATAL:  database "netpoint_remote_login" does not exist': False,
}


@pytest.mark.parametrize("answer", LOGIN_REFUSED)
def test_a_role_that_may_log_in_to_its_own_database_only_is_seen(tree: Path, psql: Path, answer: str) -> None:
    """There is no database of that name; whether the role may come in is decided before that is found out."""
    other = f"""case $* in *dbname=*) printf '%s\\n' '{answer}' >&2; exit 2 ;; esac\nprintf 'db.creates=false\\0'"""
    psql.write_text(PSQL.replace("#!/bin/sh\n", f"#!/bin/sh\n{other}\n"))

    told = facts_of(tree, PATH=f"{psql.parent}:{REAL_PATH}")

    assert told["db.scratch_refused"] == (answer if LOGIN_REFUSED[answer] else "")


def test_a_table_cannot_be_named_like_another_answer(tree: Path, psql: Path) -> None:
    told = facts_of(tree, PATH=f"{psql.parent}:{REAL_PATH}")

    assert told["db.foreign"] == '"a db.locked_by=nobody", of bob'
    assert "db.locked_by" not in told


def test_the_record_of_migrations_is_compared_with_the_tree(tree: Path, psql: Path) -> None:
    names = ("0001_initial", "0002_a", "0003_b", "0004_c", "0005_d", "0006_e", "0007_f")
    write_files(tree, {f"netpoint/dcim/migrations/{name}.py": "" for name in (*names, "__init__")})

    told = facts_of(tree, PATH=f"{psql.parent}:{REAL_PATH}")

    assert {name: told[name] for name in ("db.applied_count", "db.unapplied", "db.ahead", "db.door")} == {
        "db.applied_count": "2",
        "db.unapplied": "dcim.0002_a dcim.0003_b dcim.0004_c dcim.0005_d dcim.0006_e ...",
        "db.ahead": "dcim.0130_sitegroup",
        "db.door": "dcim.0130_sitegroup",
    }


def test_a_database_that_does_not_answer_is_told(tree: Path, tmp_path: Path) -> None:
    write_files(tmp_path, {"bin/psql": "#!/bin/sh\necho 'psql: error: connection refused' >&2\nexit 2\n"})

    assert facts_of(tree, PATH=f"{tmp_path}/bin:{REAL_PATH}")["db.error"] == "psql: error: connection refused"


def test_a_server_without_psql_is_told(tree: Path, tmp_path: Path) -> None:
    assert "psql" in facts_of(tree, PATH=str(tmp_path))["db.error"]


def test_every_question_to_the_database_is_one_fact() -> None:
    statements = [line for line in text_of("facts.sql").splitlines() if not line.startswith("--")]

    assert [line for line in statements if not (line.startswith("SELECT 'db.") and line.endswith(";"))] == []


# ---- the unit's environment


def unit(shown: str) -> list[str]:
    """Return the variables of a unit, of what `systemctl show` says of it."""
    return list(environment.own_pairs(environment.properties_shown(shown)))


@given(st.lists(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]))))
def test_any_environment_that_systemd_shows_is_understood(values: list[str]) -> None:
    """It is shown in double quotes, with what means something to a shell after a backslash."""
    quoted = ("".join(f"\\{letter}" if letter in '\\"$`' else letter for letter in value) for value in values)
    shown = "Environment=" + " ".join(f'"NAME={value}"' for value in quoted)

    assert unit(shown) == [f"NAME={value}" for value in values]


@given(st.text())
def test_any_environment_file_is_read(text: str) -> None:
    assert all("=" in pair for pair in environment.file_pairs(text))


def test_a_unit_has_what_its_files_have(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("D=it's ä\nE='two\nlines'\n")
    shown = f'Environment=A=1 "B=it\'s ä" C=$x\nEnvironmentFiles={tmp_path}/env (ignore_errors=no)\n'

    assert unit(shown) == ["A=1", "B=it's ä", "C=$x", "D=it's ä", "E=two\nlines"]


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("P=plain", "plain"),
        ("P=it's", "it's"),
        ("P=a b  c  ", "a b  c"),
        ("P='single $x \\n'", "single $x \\n"),
        ('P="double \\"\\$x\\" \\n"', 'double "$x" \\n'),
        ("P='one ' \"two\"", "one two"),
        ("P=a\\ b\\\\c", "a b\\c"),
        ("P=first \\\nsecond", "first second"),
        ("P='two\nlines'", "two\nlines"),
        ("  P =x=y", "x=y"),
        ("P=", ""),
        ("P=ünï€", "ünï€"),
        ("P=x\r", "x"),
        ('P="unfinished', '"unfinished'),
    ],
)
def test_an_environment_file_is_read_as_systemd_reads_it(tmp_path: Path, line: str, value: str) -> None:
    file = tmp_path / "net point (1).env"
    file.write_bytes(f"# comment=1\n; another=1\n\nno equals sign\n{line}\nLAST=1\n".encode())

    shown = f"EnvironmentFiles={file} (ignore_errors=no)\n"

    assert unit(shown) == [f"P={value}", "LAST=1"]


def test_what_systemd_252_showed_is_what_its_service_had() -> None:
    """Recorded on Debian 12, with the environment of the running service beside it."""
    shown = r'''Environment="A=it's \$1" "B=x \"y\" z" "C=back\\\\slash" D=a%b "E=tick\`s"'''

    assert unit(shown) == ["A=it's $1", 'B=x "y" z', r"C=back\\slash", "D=a%b", "E=tick`s"]


@pytest.mark.parametrize(
    "shown",
    [r'"A=-- a\nMIIB==\n\\n\t\033x\177" B=1', '"A=-- a\nMIIB==\n\\\\n\t\x1bx\x7f" B=1'],
    ids=["escaped", "as it is"],
)
def test_a_variable_of_several_lines_is_what_its_service_had(shown: str) -> None:
    """Older versions of systemd show it as it is; what comes behind it is another property."""
    assert unit(f'User=np\nEnvironment={shown}\nExecStart={{ argv[]=it"s ; }}\nEnvironment=C=\n') == [
        "A=-- a\nMIIB==\n\\n\t\x1bx\x7f", "B=1", "C=",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("$PORT", "8123"),
        ("${PORT}", "8123"),
        ("$${PORT:-1}", "8123"),
        ("${NONE:-8001}", "8001"),
        ("$${NONE-8001}", "8001"),
        ("$NONE", ""),
    ],
)
def test_a_command_has_values_for_its_variables(text: str, word: str) -> None:
    """A line for a shell, too: systemd shows it without its quotes."""
    found = environment.properties_shown(
        f"ExecStart={{ path=/bin/sh ; argv[]=/bin/sh -c gunicorn --bind=:{text} x ; flags= ; }}"
    )

    assert environment.command_words(found, {"PORT": "8123"})[2:] == ["gunicorn", f"--bind=:{word}", "x"]


SHOWN_BY_THE_MANAGER = r"""LANG=de_DE.UTF-8
REGION=$'it\'s ä \\\n'
TEAM="a \"b\" \$c"
GONE=1
KEPT=1
HOME=/root
"""


def test_a_service_has_what_systemd_gives_to_all_and_not_what_its_unit_leaves_out() -> None:
    found = environment.properties_shown(
        'User=nobody\nEnvironment=KEPT=2 "GONE=a b"\nPassEnvironment=container\n'
        'UnsetEnvironment=KEPT=1 "GONE=a b" TEAM SHELL\n'
    )
    found["Manager"] = list(environment.manager_pairs(SHOWN_BY_THE_MANAGER))
    found["PID1"] = ["container=systemd-nspawn", "other=1", ""]

    seen = environment.service_environment(found, environment.Account(found))

    assert seen == {
        "PATH": environment.PATH, "LANG": "de_DE.UTF-8", "REGION": "it's ä \\\n", "container": "systemd-nspawn",
        "KEPT": "2", "USER": "nobody", "LOGNAME": "nobody", "HOME": "/nonexistent",
    }  # fmt: skip


def test_a_service_has_the_names_of_the_folders_that_systemd_makes_for_it() -> None:
    shown = (
        "User=root\nLogsDirectory=np np/more\nStateDirectory=np:link\nCacheDirectory=\nEnvironment=LOGS_DIRECTORY=/x"
    )
    found = environment.properties_shown(shown)

    seen = environment.service_environment(found, environment.Account(found))

    assert {name: value for name, value in seen.items() if name.endswith("_DIRECTORY")} == {
        "LOGS_DIRECTORY": "/x",
        "STATE_DIRECTORY": "/var/lib/np",
    }
    assert environment.folders_made(found)["LOGS_DIRECTORY"] == "/var/log/np:/var/log/np/more"


@pytest.mark.parametrize(("unit", "known"), [("np.service", "/np.service"), ("other.service", None), ("", None)])
def test_a_service_knows_where_its_credentials_are_while_it_runs(
    tmp_path: Path, unit: str, known: "str | None"
) -> None:
    (tmp_path / "np.service").mkdir()

    seen = environment.folders_made({"Id": [unit]}, str(tmp_path))

    assert seen.get("CREDENTIALS_DIRECTORY") == (known and f"{tmp_path}{known}")


def test_a_file_that_is_not_there_gives_nothing(tmp_path: Path) -> None:
    assert unit(f"EnvironmentFiles={tmp_path}/none (ignore_errors=yes)\nEnvironment=A=1\n") == ["A=1"]


@pytest.mark.promise(8)
def test_of_what_a_services_user_prints_a_shell_of_roots_takes_only_what_is_libpqs(python: str) -> None:
    """It is loaded by root: whatever else it had, and whatever is written in it, stays out."""
    others = (
        "PATH=/tmp",
        "LD_PRELOAD=x",
        "PG=1;id",
        "RUN=/x",
        "PGHOST;id=1",
        "pghost=x",
        "PG_X=1",
        "nothing",
        "\nid\n",
    )
    printed = "\0".join(("PGPASSWORD=it's $(id)", *others))

    assert ask("exports", program=ENVIRONMENT, python=python, text=printed).stdout == (
        "export PGPASSWORD='it'\"'\"'s $(id)'\n"
    )


REFUSED = ("PATH", "HOME", "LD_PRELOAD", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "BASH_ENV", "ENV", "IFS",
           "PIP_INDEX_URL", "GIT_SSH_COMMAND", "LC_ALL", "TMPDIR", "NOTIFY_SOCKET", "VIRTUAL_ENV", "GCONV_PATH",
           "OPENSSL_CONF", "XDG_CONFIG_HOME", "PERL5OPT", "PERL5LIB", "CC", "CFLAGS", "http_proxy", "HTTPS_PROXY",
           "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "CURL_HOME", "NETRC",
           "PG_CONFIG", "PGSYSCONFDIR", "PGLOCALEDIR", "KRB5_CONFIG", "LDAPCONF", "PAGER", "DJANGO_SETTINGS_MODULE",
           "RUSTFLAGS", "CARGO_HOME", "MAKEFLAGS", "PKG_CONFIG_PATH", "NODE_OPTIONS", "RUBYOPT", "HOSTALIASES",
           "NETPOINT_REMOTE_COMMAND")  # fmt: skip


def wanted(tree: Path, folder: Path, show: str, *, python: str = sys.executable) -> dict[str, str]:
    """Return what upgrade.sh gets of a unit, of which `systemctl show` says this."""
    write_files(folder, {"bin/systemctl": f"#!/bin/sh\ncat <<'END'\n{show}END\n"})
    words = ("wanted", "netpoint", str(tree), "netpoint")
    done = ask(*words, program=ENVIRONMENT, python=python, PATH=f"{folder}/bin:{REAL_PATH}")
    assert done.returncode == 0, done.stderr
    return dict(pair.split("=", 1) for pair in done.stdout.split("\0") if pair)


@pytest.mark.promise(8)
@pytest.mark.parametrize("name", REFUSED)
def test_what_decides_what_root_loads_is_not_taken_over_from_a_unit_whoever_asks_for_it(
    tree: Path, tmp_path: Path, name: str
) -> None:
    configure(tree, f"import os\nA = os.environ.get({name!r})\nB = os.environ.get('DB_PASSWORD')\n")

    assert wanted(tree, tmp_path, f"Environment={name}=/tmp/evil DB_PASSWORD=x\n") == {"DB_PASSWORD": "x"}


@pytest.mark.promise(8)
def test_what_root_takes_over_has_a_name_that_the_configuration_asks_for(
    tree: Path, tmp_path: Path, python: str
) -> None:
    """It is read and not executed: this one would say nothing of what it asks for, and never comes to an end."""
    text = settings() + (
        "import os\nfrom os import environ, getenv\nwhile True:\n    pass\nA = os.environ['ASKED_A']\n"
        "B = getenv('ASKED_B', '')\nC = environ.get(key='ASKED_C')\nD = 'ASKED_D' in environ\nE = env.str('ASKED_E')\n"
        "F = {name: environ[name] for name in ('ASKED_F', 'x')}\nfor name in ['ASKED_G']:\n    environ[name]\n"
        "NOTE = 'ASKED_X'\n# getenv('ASKED_Y')\n"
    )
    given = " ".join(f'"ASKED_{letter}=it\'s {letter}"' for letter in "ABCDEFGXYZ")

    seen = wanted(configure(tree, text), tmp_path, f"Environment={given}\n", python=python)

    assert seen == {f"ASKED_{letter}": f"it's {letter}" for letter in "ABCDEFG"}


@pytest.mark.parametrize("text", ["(", "\0", "# coding: nonsense\n", "(" * 5000, "x = \udcff"])
def test_a_configuration_that_is_no_python_asks_for_nothing(text: str) -> None:
    assert environment.names_asked(environment.nodes_of(text)) == set()


def test_the_module_that_is_the_configuration_is_handed_on_and_is_the_one_that_is_read(
    tree: Path, tmp_path: Path
) -> None:
    write_files(tree, {"netpoint/netpoint/other.py": "import os\nA = os.environ['OTHERS']\n"})
    configure(tree, "import os\nA = os.environ['ITS_OWN']\n")
    given = {"NETPOINT_CONFIGURATION": "netpoint.other", "OTHERS": "1"}

    assert wanted(tree, tmp_path, "Environment=ITS_OWN=2 " + " ".join(map("=".join, given.items())) + "\n") == given


def test_what_the_configuration_imports_asks_as_well(tree: Path, tmp_path: Path) -> None:
    """It may be a package, and of its modules each asks for itself."""
    (tree / "netpoint/netpoint/configuration.py").unlink()
    asks = "import os\nA = os.environ[{!r}]\n"
    configuration = {
        "configuration/__init__.py": "from .extra import *\nfrom . import more\nimport os, netpoint.configuration.last",
        "configuration/extra.py": asks.format("EXTRA") + "from ..beside import A\nfrom .extra import A\n",
        "configuration/more.py": asks.format("MORE"),
        "configuration/last.py": asks.format("LAST"),
        "configuration/others.py": asks.format("OTHERS"),
        "configuration/unused.py": asks.format("UNUSED"),
        "beside.py": asks.format("BESIDE") + "from netpoint.configuration.others import A\nfrom ....... import x\n",
    }
    write_files(tree, {f"netpoint/netpoint/{name}": text for name, text in configuration.items()})
    give_to_others(tree / "netpoint/netpoint/configuration/others.py")

    seen = wanted(tree, tmp_path, "Environment=EXTRA=1 MORE=2 LAST=3 BESIDE=4 OTHERS=5 UNUSED=6\n")

    assert seen == {"EXTRA": "1", "MORE": "2", "LAST": "3", "BESIDE": "4"}


def give_to_others(path: Path) -> None:
    path.chmod(path.stat().st_mode | 0o002)


WHOSE = {
    "the configuration": "net point/netpoint/netpoint/configuration.py",
    "its folder": "net point/netpoint/netpoint",
    "the tree": "net point",
}


@pytest.mark.promise(8)
@pytest.mark.parametrize("place", list(WHOSE.values()), ids=list(WHOSE))
def test_a_configuration_that_others_can_write_names_nothing_for_root(tree: Path, tmp_path: Path, place: str) -> None:
    configure(tree, "import os\nA = os.environ['DB_PASSWORD']\n")
    give_to_others(tmp_path / place)

    assert wanted(tree, tmp_path, "Environment=DB_PASSWORD=x\n") == {}


@pytest.mark.promise(8)
def test_a_file_of_variables_that_others_can_write_gives_nothing_to_root(tree: Path, tmp_path: Path) -> None:
    configure(tree, "import os\nA = os.environ['GOOD'] + os.environ['BAD']\n")
    write_files(tmp_path, {"good.env": "GOOD=1\n", "bad.env": "BAD=1\nGOOD=2\n"})
    give_to_others(tmp_path / "bad.env")
    shown = "".join(f"EnvironmentFiles={tmp_path}/{name}.env (ignore_errors=no)\n" for name in ("good", "bad"))

    assert wanted(tree, tmp_path, shown) == {"GOOD": "1"}


@pytest.mark.promise(8)
def test_what_libpq_asks_for_is_taken_over_unless_it_names_a_file_that_others_can_write(
    tree: Path, tmp_path: Path
) -> None:
    """configuration.py asks for none of it."""
    write_files(tmp_path, {"services": "", "passwords": ""})
    give_to_others(tmp_path / "passwords")
    given = f"PGSERVICEFILE={tmp_path}/services PGPASSFILE={tmp_path}/passwords PGSSLMODE=require OTHER=1"

    seen = wanted(tree, tmp_path, f"Environment={given}\n")

    assert seen == {"PGSERVICEFILE": f"{tmp_path}/services", "PGSSLMODE": "require"}


def test_a_pipe_in_the_place_of_a_file_of_variables_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    assert unit(f"EnvironmentFiles={tmp_path}/pipe (ignore_errors=no)\nEnvironment=A=1\n") == ["A=1"]


@pytest.mark.promise(8)
@pytest.mark.parametrize("shown", ["root", ""])
def test_a_service_of_roots_has_nothing_that_decides_what_it_loads(shown: str) -> None:
    found = {"User": [shown], "Environment": ["OPENSSL_CONF=/x LD_PRELOAD=/y PATH=/z MEDIA=/m"]}

    seen = environment.service_environment(found, environment.Account(found))

    assert (seen["MEDIA"], seen["PATH"], {"OPENSSL_CONF", "LD_PRELOAD"} & set(seen)) == ("/m", environment.PATH, set())


def test_what_the_hosts_file_gives_wins_over_the_unit(tmp_path: Path) -> None:
    given = tmp_path / "given"
    given.write_text("DB_HOST=db\0DB_PASSWORD=it's $1\0")

    done = ask("with", str(given), "env", "-0", program=ENVIRONMENT, DB_HOST="localhost")

    seen = [pair for pair in done.stdout.split("\0") if pair and not pair.startswith("_=")]
    assert sorted(seen) == sorted(["DB_HOST=localhost", "DB_PASSWORD=it's $1", "LC_ALL=C", f"PATH={REAL_PATH}"])


# ---- what others could change


@pytest.fixture
def installed(tree: Path) -> Path:
    packages = "venv/lib/python3.11/site-packages"
    write_files(tree, {f"{packages}/x/__init__.py": "", f"{packages}/x.pth": "# one\n", "venv/pyvenv.cfg": ""})
    write_files(tree, {"venv/bin/python3": "#!/bin/sh\n"})
    return tree


def exposed(tree: Path, python: str = sys.executable) -> list[str]:
    return ask("exposed", str(tree), "netpoint", program=ENVIRONMENT, python=python).stdout.splitlines()


def test_an_installation_of_roots_is_not_exposed(installed: Path, python: str) -> None:
    assert exposed(installed, python) == []


EXPOSED = ("venv", "venv/pyvenv.cfg", "venv/bin/python3", "venv/lib/python3.11/site-packages",
           "venv/lib/python3.11/site-packages/x.pth", "venv/lib/python3.11/site-packages/x/__init__.py",
           "netpoint/netpoint/settings.py", "netpoint/manage.py", "netpoint/netpoint/__init__.py", "upgrade.sh",
           "netpoint")  # fmt: skip


@pytest.mark.promise(8)
@pytest.mark.parametrize("place", EXPOSED)
def test_all_that_root_would_execute_is_looked_at(installed: Path, python: str, place: str) -> None:
    give_to_others(installed / place)

    assert exposed(installed, python)[:1] == [f"everybody may write to {installed / place}"]


@pytest.mark.promise(8)
def test_what_belongs_to_the_service_or_a_group_of_others_is_told(installed: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    os.chown(installed / "venv/bin", 65534, -1)
    os.chown(installed / "venv/pyvenv.cfg", -1, 65534)
    (installed / "venv/pyvenv.cfg").chmod(0o664)

    assert sorted(exposed(installed)) == sorted([
        f"{installed}/venv/bin belongs to nobody", f"the group nogroup may write to {installed}/venv/pyvenv.cfg",
    ])  # fmt: skip


@pytest.mark.promise(8)
@pytest.mark.parametrize(
    "file", [("venv/pyvenv.cfg", "home = {}\n"), ("venv/lib/python3.11/site-packages/x.pth", "{}\n")],
    ids=["pyvenv.cfg", "x.pth"],
)  # fmt: skip
def test_where_an_environment_takes_its_modules_from_is_looked_at_too(
    installed: Path, tmp_path: Path, file: tuple[str, str]
) -> None:
    """The home of pyvenv.cfg says where even the modules of `python3 -I -S` are."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o777)
    give_to_others(elsewhere)
    write_files(installed, {file[0]: file[1].format(elsewhere)})

    assert exposed(installed) == [f"everybody may write to {elsewhere}"]


@pytest.mark.promise(8)
def test_a_link_of_the_environment_is_as_weak_as_where_it_leads(installed: Path, tmp_path: Path) -> None:
    write_files(tmp_path, {"open.py": ""})
    give_to_others(tmp_path / "open.py")
    (installed / "venv/lib/python3.11/site-packages/y.py").symlink_to(tmp_path / "open.py")

    assert exposed(installed) == [f"everybody may write to {tmp_path}/open.py"]


@pytest.mark.promise(8)
def test_an_acl_counts_as_a_right(installed: Path) -> None:
    acl = struct.pack("<I" + "HHI" * 5, 2, 1, 6, 2**32 - 1, 2, 6, 65534, 4, 4, 2**32 - 1, 16, 6, 2**32 - 1,
                      32, 4, 2**32 - 1)  # fmt: skip
    file = installed / "venv/pyvenv.cfg"
    try:
        os.setxattr(file, "system.posix_acl_access", acl)
    except OSError:
        pytest.skip("this file system has no ACLs")

    assert exposed(installed) == [f"an ACL lets others write to {file}"]


# ---- pages


class NetPoint(BaseHTTPRequestHandler):
    """Answers as NetPoint does; the server's `behaviour` says how."""

    def do_GET(self) -> None:
        answers: Callable[[NetPoint], tuple[int, dict[str, str], str]] = self.server.behaviour
        status, headers, text = answers(self)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        pass

    def address_string(self) -> str:
        return "somebody"  # a Unix socket has no address


class UnixServer(HTTPServer):
    address_family = socket.AF_UNIX

    def server_bind(self) -> None:
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = "localhost", 0


STYLE = "/static/netpoint-light.css"
LOGIN = f'<link href="{STYLE}?v=3.4.9">'


def well(base: str = "/", **more: object) -> Callable[[NetPoint], tuple[int, dict[str, str], str]]:
    """Return the behaviour of a NetPoint that is well."""

    def answer(request: NetPoint) -> tuple[int, dict[str, str], str]:
        host = request.headers["Host"]
        if host not in more.get("hosts", (host,)):
            return 400, {}, "Bad Request"
        if more.get("https") and request.headers["X-Forwarded-Proto"] != "https":
            return 301, {"Location": "https://np/"}, ""
        if request.path == f"{base}login/":
            return 200, {}, LOGIN.replace(STYLE, str(more.get("static", STYLE)))
        if request.path == f"{base}api/status/" and request.headers["Accept"] == "application/json":
            status = 403 if more.get("login_required") else 200
            body = json.dumps({"netpoint-version": "3.4.9", "rq-workers-running": 1}) if status == 200 else "{}"
            return status, {"API-Version": "3.4"}, body
        return (200 if more.get("proxy") else 404), {}, ""

    return answer


@contextmanager
def serving(behaviour: object, *, socket_path: str = "") -> Iterator[str]:
    server = UnixServer(socket_path, NetPoint) if socket_path else HTTPServer(("127.0.0.1", 0), NetPoint)
    server.behaviour = behaviour
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield socket_path or f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def page(tree: Path, url: str = "", *words: str, **more: str) -> "subprocess.CompletedProcess[str]":
    """Ask for the settings as the service runs, whose command has these words, and for the page as root does."""
    known = ask("settings", str(tree), "netpoint", *words, **more)
    return ask("page", str(tree), "netpoint", url, text=known.stdout, **more)


def page_of(tree: Path, behaviour: object, *, url: str = "", **environment: str) -> dict[str, str]:
    with serving(behaviour) as address:
        write_files(tree, {"gunicorn.py": f"bind = '{address}'\n"})
        done = page(tree, url.format(address), **environment)
    return {
        name.removeprefix("page."): value for name, value in (line.split("=", 1) for line in done.stdout.splitlines())
    }


def test_a_netpoint_that_is_well_is_told(tree: Path, python: str) -> None:
    told = page_of(tree, well(proxy=True), python=python)

    assert (told.pop("address").startswith("http://127.0.0.1:"), told) == (
        True,
        {"login": "200", "trouble": "", "static": "200", "version.page": "3.4.9", "version.status": "3.4.9",
         "version.workers": "1", "version.header": "3.4"},
    )  # fmt: skip


def test_a_path_before_all_paths_is_kept(tree: Path) -> None:
    told = page_of(configure(tree, settings(BASE_PATH="/ipam/np")), well(base="/ipam/np/"))

    assert (told["login"], told["version.status"]) == ("200", "3.4.9")


@pytest.mark.parametrize("allowed", [["np.example.org"], [".example.org"], ["*", "np.example.org"]])
def test_the_asked_host_is_one_that_is_allowed(tree: Path, allowed: list[str]) -> None:
    told = page_of(configure(tree, settings(ALLOWED_HOSTS=allowed)), well(hosts=("np.example.org", "example.org")))

    assert told["login"] == "200"


def test_https_behind_a_proxy_is_claimed_where_it_is_enforced(tree: Path) -> None:
    assert page_of(configure(tree, settings(SECURE_SSL_REDIRECT=True)), well(https=True))["login"] == "200"


def test_the_operators_headers_win_however_they_are_written(tree: Path) -> None:
    seen: list[list[str]] = []

    def answer(request: NetPoint) -> tuple[int, dict[str, str], str]:
        seen.append([request.headers.get_all("Host")[0], *(request.headers.get_all("X-Key") or ())])
        assert len(request.headers.get_all("Host")) == 1
        return 200, {}, ""

    page_of(tree, answer, HEALTH_HEADERS="host: inner.example.org\nX-Key: hunter2\n")

    assert seen[0] == ["inner.example.org", "hunter2"]


def test_where_a_login_is_required_the_header_tells_the_version(tree: Path) -> None:
    told = page_of(tree, well(login_required=True))

    assert (told["login"], told.get("version.status"), told["version.header"]) == ("200", None, "3.4")


@pytest.mark.parametrize(
    ("text", "trouble"),
    [("<h1>A module import error occurred</h1>", "A module import error"), ("oops", "an error page")],
)
def test_an_error_page_is_recognized(tree: Path, text: str, trouble: str) -> None:
    told = page_of(tree, lambda _: (500, {}, text))

    assert (told["login"], told["trouble"]) == ("500", trouble)


def test_a_static_file_counts_where_the_proxy_would_find_it(tree: Path) -> None:
    """Of itself gunicorn serves none."""
    without = page_of(tree, well())["static"]
    write_files(tree, {"netpoint/static/netpoint-light.css": ""})

    assert (without, page_of(tree, well())["static"]) == ("missing (404 /static/netpoint-light.css)", "on-disk")


@pytest.mark.parametrize(
    ("ours", "theirs", "told"),
    [("served", "old", "200"), ("new", "other", "200"), ("new", "served", "of {}"), ("served", "served", "200")],
)
def test_a_static_file_of_another_release_is_told(tree: Path, ours: str, theirs: str, told: str) -> None:
    """A proxy that names the folder of the old release goes on serving its files."""
    other = tree.parent / f"{tree.name}-other"
    for folder, text in ((tree, ours), (other, theirs)):
        write_files(folder, {"netpoint/static/netpoint-light.css": text.replace("served", "")})  # it serves nothing

    answered = page_of(tree, well(proxy=True))["static"]

    assert answered == (told.format(other) + " (/static/netpoint-light.css)" if "{}" in told else told)


@pytest.mark.promise(8)
def test_what_answers_does_not_choose_what_root_opens(tree: Path, tmp_path: Path) -> None:
    """A link that leads out of the static files, to a pipe that would be waited for."""
    os.mkfifo(tmp_path / "pipe")
    place = "/static/../../../../pipe"

    told = page_of(tree, well(proxy=True, static=place))

    assert told["static"] == f"missing ({place} leads out of the folder of static files)"


@pytest.mark.promise(8)
@pytest.mark.parametrize("kind", ["pipe", "link", "folder"])
def test_what_is_no_plain_file_has_no_text(tmp_path: Path, kind: str) -> None:
    write_files(tmp_path, {"secret": "x"})
    place = tmp_path / "place"
    {"pipe": os.mkfifo, "link": lambda path: path.symlink_to("secret"), "folder": Path.mkdir}[kind](place)

    assert module.text_of_file(str(place)) is None


def test_a_static_file_that_the_proxy_may_not_read_is_missing(tree: Path) -> None:
    write_files(tree, {"netpoint/static/netpoint-light.css": ""})
    (tree / "netpoint/static/netpoint-light.css").chmod(0o600)

    assert page_of(tree, well())["static"].startswith("missing")


def test_an_address_of_the_hosts_file_wins(tree: Path) -> None:
    told = page_of(configure(tree, settings(BASE_PATH="np/")), well(base="/some/path/"), url="http://{0}/some/path/")

    assert told["login"] == "200"


def test_a_unix_socket_will_do(tree: Path, tmp_path: Path) -> None:
    path = f"{tmp_path}/np.sock"
    with serving(well(), socket_path=path):
        write_files(tree, {"gunicorn.py": f"import os\nbind = ['unix:{path}', os.devnull]\n"})
        done = page(tree)

    assert "page.login=200" in done.stdout.splitlines()


@pytest.mark.parametrize(
    ("bind", "address"),
    [
        ("'0.0.0.0:1'", "http://127.0.0.1:1"),
        ("'[::]:1'", "http://[::1]:1"),
        ("['127.0.0.1:1', '10.0.0.1:1']", "http://127.0.0.1:1"),
        ("None", "http://127.0.0.1:8000"),
    ],
)
def test_where_gunicorn_listens_is_where_it_is_asked(tree: Path, bind: str, address: str) -> None:
    write_files(tree, {"gunicorn.py": f"bind = {bind}\n"})

    assert f"page.address={address}\n" in page(tree).stdout


def test_a_gunicorn_py_that_fails_is_told(tree: Path) -> None:
    write_files(tree, {"gunicorn.py": "import multiprocessing\nworkers = hunter2\n"})

    done = page(tree)

    assert (done.stdout, done.stderr) == (
        "page.error=where NetPoint answers is not known (NameError (line 2 of gunicorn.py)); set health.url\n", "",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "more", "address"),
    [
        (("gunicorn", "--bind", "127.0.0.1:2", "--config", "{tree}/gunicorn.py"), {}, "http://127.0.0.1:2"),
        (("gunicorn", "-b127.0.0.1:2"), {}, "http://127.0.0.1:2"),
        (("gunicorn", "--bin=unix:/run/np.sock"), {}, "unix:/run/np.sock"),
        (("gunicorn", "-b", "127.0.0.1:2", "-b", "127.0.0.1:3"), {}, "http://127.0.0.1:3"),
        (("gunicorn", "-c", "{tree}/other.py"), {}, "http://127.0.0.1:7"),
        (("gunicorn", "--config=file:{tree}/other.py"), {}, "http://127.0.0.1:7"),
        (("python3", "-m", "gunicorn", "-c", "{tree}/other.py"), {}, "http://127.0.0.1:7"),
        (("gunicorn", "--certfile", "/c.pem", "-b", "0.0.0.0:443"), {}, "https://127.0.0.1:443"),
        (("gunicorn",), {"GUNICORN_CMD_ARGS": "--bind=127.0.0.1:5 --workers 3"}, "http://127.0.0.1:5"),
        (("gunicorn",), {"PORT": "6"}, "http://127.0.0.1:6"),
        (("gunicorn", "-b", ":2"), {}, "http://127.0.0.1:2"),
        (("gunicorn", "netpoint.wsgi"), {}, "http://127.0.0.1:8000"),
        (("uwsgi", "--ini", "x"), {}, "http://127.0.0.1:1"),
    ],
    ids=str,
)
def test_where_netpoint_answers_is_what_its_server_was_told(
    tree: Path, words: tuple[str, ...], more: dict[str, str], address: str
) -> None:
    """The command line first, then the environment, then the file that they name: as gunicorn has it."""
    write_files(tree, {"gunicorn.py": "bind = '127.0.0.1:1'\n", "other.py": "bind = '127.0.0.1:7'\n"})

    told = ask("settings", str(tree), "netpoint", *(word.format(tree=tree) for word in words), **more).stdout

    assert f"address={address}\n" in told


def test_nobody_at_that_address_is_told(tree: Path) -> None:
    told = facts_of(tree, url="http://127.0.0.1:1")

    assert "refused" in told["page.error"]


# ---- Redis


@contextmanager
def redis(*, password: str = "", version: str = "7.0.15", user: str = "", refuses: bool = False) -> Iterator[int]:
    """Serve the little of Redis that is asked of it."""
    listening = socket.create_server(("127.0.0.1", 0))

    def words(stream: object) -> list[str]:
        count = int(stream.readline()[1:] or 0)
        return [stream.read(int(stream.readline()[1:]) + 2)[:-2].decode() for _ in range(count)]

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            known = not password
            with connection, connection.makefile("rb") as stream:
                while asked := words(stream):
                    if asked[0] == "AUTH":
                        known = asked[1:] == [*([user] if user else []), password]
                        connection.sendall(b"+OK\r\n" if known else b"-WRONGPASS invalid username-password pair\r\n")
                    elif not known:
                        connection.sendall(b"-NOAUTH Authentication required.\r\n")
                    elif refuses:
                        connection.sendall(b"-NOPERM this user has no permissions to run the 'info' command\r\n")
                    else:
                        text = f"# Server\r\nredis_version:{version}\r\nos:Linux\r\n".encode()
                        connection.sendall(b"$%d\r\n%s\r\n" % (len(text), text))

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listening.getsockname()[1]
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()


@pytest.mark.parametrize(
    ("asks_for", "has", "told"),
    [
        ({}, {}, "7.0.15"),
        ({"password": "it's $1"}, {"PASSWORD": "it's $1"}, "7.0.15"),
        ({"password": "p", "user": "np"}, {"PASSWORD": "p", "USERNAME": "np"}, "7.0.15"),
        ({"password": "p"}, {}, "error: NOAUTH Authentication required."),
        ({"password": "p"}, {"PASSWORD": "q"}, "error: WRONGPASS invalid username-password pair"),
        ({"version": ""}, {}, "unknown (its answer has no version)"),
        ({"refuses": True}, {}, "unknown (NOPERM this user has no permissions to run the 'info' command)"),
    ],
    ids=["open", "password", "user", "no password", "wrong password", "no version", "no right to ask"],
)
def test_redis_is_asked_for_its_version(tree: Path, asks_for: dict[str, str], has: dict[str, str], told: str) -> None:
    with redis(**asks_for) as port:
        connection = {"HOST": "127.0.0.1", "PORT": port, **has}
        seen = facts_of(configure(tree, settings(REDIS={"caching": connection, "tasks": {"SENTINELS": [("a", 1)]}})))

    assert (seen["redis.caching"], seen["redis.tasks"]) == (told, "unknown (sentinels or a URL)")


@pytest.mark.parametrize(
    "broken", [7, ["tasks"], {"tasks": {"HOST": "127.0.0.1", "PORT": "x"}}, {"tasks": {"HOST": 7}}]
)
def test_a_redis_that_makes_no_sense_hides_nothing_else(tree: Path, broken: object) -> None:
    told = facts_of(configure(tree, settings(REDIS=broken)))

    assert ([name for name in told if name.startswith("redis.")] != [], "db.error" in told) == (True, True)
