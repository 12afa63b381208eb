"""Ask an installed NetPoint what only its own Python can say: configuration, database, Redis, pages.

Runs on the server, under the Python of the installation (3.6 or newer), as `ask.py VERB ...`. As the service runs, with
the words of its command at the end:

    facts ROOT PRODUCT SQL WORD ...   print the facts that NetPoint itself would see, `name=value` a line
    settings ROOT PRODUCT WORD ...    of these only what `outside` and `page` ask for on their standard input
    database ROOT PRODUCT             print what lets libpq reach the database, NAME=value with a NUL behind each

As root, as upgrade.sh executes the configuration:

    reach ROOT PRODUCT                print whether the database lets root in

As root, where nothing of the installation is executed:

    outside ROOT PRODUCT URL          print what is seen from outside: sizes of folders, pages
    page ROOT PRODUCT URL             print what the login page, a static file and the API answer

The headers of the hosts file, which may hold a secret, come as HEALTH_HEADERS in the environment, a line each.
Nothing secret is printed but by `database`: keys are allow-listed, secrets appear as their length.
"""

import contextlib
import importlib
import io
import json
import os
import re
import shlex
import stat
import subprocess
import sys
import time

TIMEOUT = 10  # seconds for every single question
LONGEST = 65536  # characters of one fact
MEASURING = 30  # seconds for the sizes of all folders
LARGE = 10 * 2**20  # bytes from which on a local file counts
NEVER_LOCAL = (".git", "venv", "static", "project-static", "__pycache__")
SHOWN = (
    "ALLOWED_HOSTS",
    "BASE_PATH",
    "LOGIN_REQUIRED",
    "SECURE_SSL_REDIRECT",
    "CSRF_TRUSTED_ORIGINS",
    "MEDIA_ROOT",
    "SCRIPTS_ROOT",
    "REPORTS_ROOT",
    "DOCS_ROOT",
    "PLUGINS",
    "STORAGE_BACKEND",
    "REMOTE_AUTH_BACKEND",
    "MAINTENANCE_MODE",
    "CENSUS_REPORTING_ENABLED",
)
UPLOADS = (("scripts", "SCRIPTS_ROOT"), ("reports", "REPORTS_ROOT"), ("media", "MEDIA_ROOT"))
REQUIRED = ("ALLOWED_HOSTS", "DATABASE", "REDIS", "SECRET_KEY")
# DATABASE.OPTIONS -> the environment variable libpq reads it from
LIBPQ = {
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslcrl": "PGSSLCRL",
    "service": "PGSERVICE",
    "passfile": "PGPASSFILE",
    "options": "PGOPTIONS",
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
    "channel_binding": "PGCHANNELBINDING",
    "gssencmode": "PGGSSENCMODE",
    "requirepeer": "PGREQUIREPEER",
    "krbsrvname": "PGKRBSRVNAME",
    "hostaddr": "PGHOSTADDR",
    "sslcrldir": "PGSSLCRLDIR",
    "sslsni": "PGSSLSNI",
    "sslcertmode": "PGSSLCERTMODE",
    "sslcompression": "PGSSLCOMPRESSION",
    "sslnegotiation": "PGSSLNEGOTIATION",
    "ssl_min_protocol_version": "PGSSLMINPROTOCOLVERSION",
    "ssl_max_protocol_version": "PGSSLMAXPROTOCOLVERSION",
    "require_auth": "PGREQUIREAUTH",
    "gsslib": "PGGSSLIB",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "host": "PGHOST",
    "port": "PGPORT",
    "dbname": "PGDATABASE",
}
PATHS = ("PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY", "PGSSLCRL", "PGSSLCRLDIR", "PGPASSFILE")


def read_configuration(root, product):
    """Import the configuration module as NetPoint would, with its output kept away from ours."""
    sys.dont_write_bytecode = True
    sys.path.insert(0, os.path.join(root, product))
    name = os.environ.get(product.upper() + "_CONFIGURATION", product + ".configuration")
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return importlib.import_module(name)


def database_of(configuration):
    """Return the DATABASE mapping (since 4.3 also as DATABASES['default'])."""
    database = getattr(configuration, "DATABASE", None)
    return database or (getattr(configuration, "DATABASES", None) or {}).get("default") or {}


def libpq_environment(database):
    """Return the variables that make libpq connect as Django would; values may be secret."""
    names = {"USER": "PGUSER", "PASSWORD": "PGPASSWORD", "HOST": "PGHOST", "PORT": "PGPORT"}
    options = database.get("OPTIONS") or {}
    found = {"PGDATABASE": database["NAME"]} if database.get("NAME") else {}
    found.update({LIBPQ[key]: options[key] for key in LIBPQ if options.get(key) not in (None, "")})
    found.update({names[key]: database[key] for key in names if database.get(key)})
    # A path counts from where NetPoint works.
    found.update({key: os.path.abspath(found[key]) for key in PATHS if os.path.exists(str(found.get(key, "")))})
    return {
        "PGCONNECT_TIMEOUT": str(TIMEOUT),
        "PGAPPNAME": "netpoint-remote",
        **{key: str(value) for key, value in found.items()},
    }


def configuration_facts(configuration):
    yield (
        "configuration",
        json.dumps({key: getattr(configuration, key) for key in SHOWN if hasattr(configuration, key)}, default=str),
    )
    missing = [key for key in REQUIRED if not getattr(configuration, key, None)]
    if "DATABASE" in missing and database_of(configuration):
        missing.remove("DATABASE")
    yield "configuration.missing", " ".join(missing)
    yield "configuration.secret_key_length", len(str(getattr(configuration, "SECRET_KEY", "")))
    yield "configuration.secret_key_print", fingerprint(str(getattr(configuration, "SECRET_KEY", "")))
    database = database_of(configuration)
    if str(database.get("HOST") or "/").startswith("/") or not database.get("PASSWORD"):
        yield "database.by_user", "yes"  # who asks may decide
    yield "database.host", database.get("HOST") or ""
    yield "database.port", database.get("PORT") or ""
    yield "database.name", database.get("NAME") or ""


def size_facts(root, product, configuration, seconds=MEASURING):
    """Tell how large the environment, what may be local and the folders of uploads are, in MB.

    The one that is mostly largest comes last; what could not be measured completely is named too. A folder behind a
    link stays where it is in an upgrade.
    """
    deadline = time.monotonic() + seconds
    places = [(name, configuration.get(key) or os.path.join(product, name)) for name, key in UPLOADS]
    folders = [(name, os.path.join(root, str(configured))) for name, configured in [("venv", "venv")] + places]
    measured = [(name, folder) for name, folder in folders if os.path.isdir(folder)]
    known = {os.path.realpath(folder) for _, folder in measured}
    for name, path in local_places(root, product):
        if os.path.realpath(path) not in known and not os.path.islink(path):
            size, whole = measure(path, deadline)
            if size >= LARGE or not whole:
                yield "local", "{} {}".format(-(-size // 2**20), name)
            if not whole:
                yield "unmeasured", name
    for name, folder in measured:
        size, whole = measure(folder, deadline)
        yield "size", "{} {}".format(-(-size // 2**20), name)
        if not whole:
            yield "unmeasured", name
        if os.path.islink(os.path.normpath(folder)):
            yield "linked", name
        inside = os.path.relpath(os.path.realpath(folder), os.path.realpath(root))
        if name != "venv" and not inside.startswith(os.pardir):
            yield "inside", "{} {}".format(name, inside)


def local_places(root, product):
    """Yield name and path of what may be an admin's own in a release: where local_files.sh looks."""
    for folder in ("", product, os.path.join(product, product)):
        with contextlib.suppress(OSError):
            for name in sorted(os.listdir(os.path.join(root, folder))):
                if name not in NEVER_LOCAL and name != product:
                    yield os.path.join(folder, name), os.path.join(root, folder, name)


def measure(folder, deadline):
    """Return how many bytes a file or a folder takes, on the disk or in an archive, and whether that is all of it."""
    if os.path.isfile(folder):
        known = os.stat(folder)
        return max(known.st_blocks * 512, known.st_size), True
    size, pending, seen = 0, [folder], set()
    while pending:
        with contextlib.suppress(OSError), os.scandir(pending.pop()) as entries:
            for entry in entries:
                if time.monotonic() > deadline:
                    return size, False
                with contextlib.suppress(OSError):  # it went away meanwhile
                    known = entry.stat(follow_symlinks=False)
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    if known.st_nlink == 1 or (known.st_dev, known.st_ino) not in seen:
                        size += max(known.st_blocks * 512, known.st_size)
                    if known.st_nlink > 1:
                        seen.add((known.st_dev, known.st_ino))
    return size, True


def fingerprint(secret):
    """Tell two secrets apart without telling them: a slow hash, shortened."""
    import hashlib

    return hashlib.pbkdf2_hmac("sha256", as_bytes(secret), b"netpoint-remote", 20000).hex()[:16] if secret else ""


def run_psql(configuration, sql, *words):
    environment = dict(os.environ, **libpq_environment(database_of(configuration)))
    # A unit may have a PATH without psql.
    environment["PATH"] = os.environ.get("NETPOINT_REMOTE_PATH") or os.environ.get("PATH", os.defpath)
    return subprocess.run(
        # The name of a table may have lines.
        ["psql", "-X", "-q", "-A", "-t", "-0", "-w"] + list(words) + ["-f", "-"],
        input=sql.encode(),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=3 * TIMEOUT,
    )


def database_facts(root, product, configuration, sql):
    try:
        done = run_psql(configuration, sql)
    except (OSError, subprocess.TimeoutExpired) as error:
        yield "db.error", error
        return
    except ValueError:
        yield "db.error", "DATABASE has a value that no program can be given: a NUL, or what is no text"
        return
    rows = done.stdout.decode("utf-8", "replace").split("\0")
    answered = [row.split("=", 1) for row in rows if row.startswith("db.") and "=" in row]
    if not answered:
        yield "db.error", done.stderr.decode("utf-8", "replace").strip() or "psql printed nothing"
        return
    applied = [value for name, value in answered if name == "db.applied"]
    for name, value in answered:
        if name != "db.applied":
            yield name, value
    if any(name == "db.creates" for name, _ in answered):
        yield "db.scratch_refused", scratch_refused(configuration)
    for fact in migration_facts(os.path.join(root, product), applied):
        yield fact


def scratch_refused(configuration):
    """Return why NetPoint's role may not log in to a database of another name, or nothing.

    PostgreSQL decides that before it looks whether there is one of that name; no language translates these words.
    """
    try:
        done = run_psql(configuration, "SELECT 1;", "-d", "dbname=netpoint_remote_login")
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = done.stderr.decode("utf-8", "replace").strip().split("\n")
    refused = [line for line in lines if "pg_hba.conf" in line or "no password supplied" in line]
    return refused[-1].strip() if refused else ""


def who_makes_scratch(answered):
    """Return who may make a scratch database: NetPoint's role, the superuser where the cluster is on this server."""
    if answered.get("db.creates") == "true":
        return "role"
    cluster = answered.get("db.identity", "").split("/")[0]
    if not cluster:
        return "nobody"
    asked = ["runuser", "-u", "postgres", "--", "psql", "-X", "-q", "-A", "-t", "-w", "-d", "postgres"]
    asked += ["-p", answered.get("db.server_port", ""), "-c", "SELECT system_identifier FROM pg_control_system()"]
    try:
        done = subprocess.run(asked, cwd="/", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=TIMEOUT)
    except (OSError, subprocess.TimeoutExpired):
        return "nobody"
    return "superuser" if done.stdout.decode("utf-8", "replace").strip() == cluster else "nobody"


def migration_facts(tree, applied):
    """Compare the database's record with the tree's files: what is not applied, what is too new for this code.

    A squashed migration that was never applied as such is recorded by Django once all it replaces are.
    """
    on_disk = {}
    for app in sorted(os.listdir(tree)):
        folder = os.path.join(tree, app, "migrations")
        if os.path.isdir(folder):
            on_disk[app] = sorted(name[:-3] for name in os.listdir(folder) if re.match(r"\d{4}_.*\.py$", name))
    done = {tuple(name.split(".", 1)) for name in applied if "." in name}
    missing = [app + "." + name for app, names in on_disk.items() for name in names if (app, name) not in done]
    ahead = [
        app + "." + name
        for app, name in sorted(done - replaced_migrations(tree, on_disk))
        if on_disk.get(app) and name[:4].isdigit() and name[:4] > on_disk[app][-1][:4]
    ]
    yield "db.applied_count", len(done)
    yield "db.unapplied", " ".join(missing[:5] + ["..."] * (len(missing) > 5))
    yield "db.ahead", " ".join(ahead[:5])


def replaced_migrations(tree, on_disk):
    """Return what squashed migrations stand for: a database keeps the record, and their numbers may exceed the files'.

    NetBox 3.4 ends at tenancy.0009 and has tenancy.0001_squashed_0012.
    """
    replaced = set()
    for app, names in on_disk.items():
        for name in names:
            if "squashed" in name:
                with io.open(os.path.join(tree, app, "migrations", name + ".py"), encoding="utf-8") as text:
                    block = re.search(r"replaces = \[(.*?)\]", text.read(), re.DOTALL)
                replaced.update(re.findall(r"""['"](\w+)['"], *['"](\w+)['"]""", block.group(1) if block else ""))
    return replaced


def redis_facts(configuration):
    for name, settings in sorted(dict(getattr(configuration, "REDIS", None) or {}).items()):
        if not isinstance(settings, dict) or settings.get("SENTINELS") or settings.get("URL"):
            yield "redis." + name, "unknown (sentinels or a URL)"
            continue
        try:
            yield "redis." + name, redis_version(settings)
        except (OSError, ValueError, TypeError) as error:
            yield "redis." + name, "error: {}".format(error)


def redis_version(settings):
    """Return the version a Redis reports, over its own protocol: the old venv may have no usable client."""
    import socket
    import ssl

    if settings.get("UNIX_SOCKET_PATH"):
        plain = socket.socket(socket.AF_UNIX)
        plain.settimeout(TIMEOUT)
        plain.connect(settings["UNIX_SOCKET_PATH"])
    else:
        plain = socket.create_connection(
            (settings.get("HOST") or "localhost", int(settings.get("PORT") or 6379)), TIMEOUT
        )
    if settings.get("SSL"):
        context = ssl.create_default_context(cafile=settings.get("CA_CERT_PATH") or None)
        if settings.get("INSECURE_SKIP_TLS_VERIFY"):
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        plain = context.wrap_socket(plain, server_hostname=settings.get("HOST") or "localhost")
    with contextlib.closing(plain), plain.makefile("rb") as answers:
        if settings.get("PASSWORD"):
            user = [settings["USERNAME"]] if settings.get("USERNAME") else []
            redis_command(plain, answers, "AUTH", *(user + [settings["PASSWORD"]]))
        try:
            text = redis_command(plain, answers, "INFO", "server")
        except ValueError as refusal:
            # An account may have no right to ask for it; one that is not let in at all is another matter.
            if str(refusal).startswith(("NOAUTH", "WRONGPASS", "LOADING", "MASTERDOWN", "DENIED", "ERR max")):
                raise
            return "unknown ({})".format(refusal)
    found = re.search(r"redis_version:(\S+)", text)
    return found.group(1) if found else "unknown (its answer has no version)"


def redis_command(connection, answers, *words):
    parts = [str(word).encode() for word in words]
    connection.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))
    line = answers.readline(4096).decode("utf-8", "replace").strip()
    if line.startswith("-"):
        raise ValueError(line[1:])
    if line.startswith("$"):
        return answers.read(int(line[1:]) + 2).decode("utf-8", "replace")
    return line[1:]


def address_facts(root, words):
    """Tell where NetPoint answers: what its server was told to bind, in the order in which gunicorn believes it."""
    server = next((at for at, word in enumerate(words) if os.path.basename(word) == "gunicorn"), None)
    by_environment = shlex.split(os.environ.get("GUNICORN_CMD_ARGS", ""))
    by_command = list(words[server + 1 :]) if server is not None else []
    if server is None and words:
        yield "address.server", os.path.basename(words[0])
    file = option(by_command, "-c", "--config") or option(by_environment, "-c", "--config")
    # Where the command is not known: the installation guide's.
    known = gunicorn_settings(
        file or ("gunicorn.conf.py" if server is not None else os.path.join(root, "gunicorn.py")), file
    )
    bind = option(by_command, "-b", "--bind") or option(by_environment, "-b", "--bind") or known.get("bind")
    if not bind and os.environ.get("PORT"):
        bind = "0.0.0.0:" + os.environ["PORT"]
    secure = option(by_command, "", "--certfile") or option(by_environment, "", "--certfile") or known.get("certfile")
    yield "address", spelled(bind or ("127.0.0.1:8000" if known or server is not None else "127.0.0.1:8001"), secure)


def option(words, short, long):
    """Return the value of an option of gunicorn, which may be shortened; the last of several."""
    found = None
    for at, word in enumerate(words):
        name, equals, value = word.partition("=")
        if len(name) > 4 and long.startswith(name) and name.startswith("--"):
            found = value if equals else "".join(words[at + 1 : at + 2])
        elif short and word == short:
            found = "".join(words[at + 1 : at + 2])
        elif short and word.startswith(short) and not word.startswith("--"):
            found = word[len(short) :].lstrip("=")
    return found


def gunicorn_settings(file, given):
    """Return the names in a configuration file of gunicorn; one that it was not given need not be there."""
    if file.startswith("python:"):
        return vars(importlib.import_module(file[7:]))
    path = file.replace("file:", "", 1)
    if not given and not os.path.exists(path):
        return {}
    names = {"__file__": path}
    with open(path) as text, contextlib.redirect_stdout(io.StringIO()):
        exec(compile(text.read(), path, "exec"), names)
    return names


def spelled(bind, secure):
    bind = str(bind[0] if isinstance(bind, (list, tuple)) else bind).split(",")[0].strip()
    bind = bind.replace("tcp://", "", 1).replace("0.0.0.0", "127.0.0.1", 1).replace("[::]", "[::1]", 1)
    if bind.startswith(("unix:", "http", "fd:")):
        return bind
    if bind.startswith(":"):
        bind = "127.0.0.1" + bind
    return ("https://" if secure else "http://") + (bind if ":" in bind[-6:] else bind + ":8000")


def connect_unix(connection, path):
    import socket

    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(TIMEOUT)
    folder = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
    try:  # its whole path may be longer than the address of a socket
        connection.sock.connect("/proc/self/fd/{}/{}".format(folder, os.path.basename(path)))
    finally:
        os.close(folder)


def get(address, path, headers):
    """GET one page; returns (status, headers, the first 512 KiB of text)."""
    import http.client
    import ssl
    import urllib.parse

    if address.startswith("unix:"):
        connection = http.client.HTTPConnection("localhost", timeout=TIMEOUT)
    else:
        parts = urllib.parse.urlsplit(address)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        extra = {"context": ssl._create_unverified_context()} if parts.scheme == "https" else {}
        connection = kind(parts.hostname, parts.port, timeout=TIMEOUT, **extra)
    with contextlib.closing(connection):
        if address.startswith("unix:"):
            connect_unix(connection, "/" + address[5:].lstrip("/"))
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read(512 * 1024).decode("utf-8", "replace")


def request_headers(configuration):
    """Return headers that pass ALLOWED_HOSTS and an enforced https, then the operator's own."""
    allowed = [str(name) for name in configuration.get("ALLOWED_HOSTS") or ["*"]]
    host = next((name for name in allowed if name != "*"), "localhost").lstrip(".")
    headers = {"Host": host, "User-Agent": "netpoint-remote"}
    if configuration.get("SECURE_SSL_REDIRECT"):
        headers["X-Forwarded-Proto"] = "https"
    given = dict(pair.split(": ", 1) for pair in os.environ.get("HEALTH_HEADERS", "").split("\n") if ": " in pair)
    names = {name.lower() for name in given}
    return dict({name: value for name, value in headers.items() if name.lower() not in names}, **given)


def page_facts(root, product, configuration, told, url):
    """Tell what users get: the login page, one static file of it, and the version that answers."""
    import http.client
    import urllib.parse

    headers = request_headers(configuration)
    address = url or told.get("address", "")
    if not address or address.startswith("fd:"):
        where = told.get("address.error") or told.get("configuration.error") or address or "nothing tells where"
        yield "page.error", "where NetPoint answers is not known ({}); set health.url".format(where)
        return
    base = configuration.get("BASE_PATH") or ""
    if not address.startswith("unix:"):
        parts = urllib.parse.urlsplit(address)
        address = "{}://{}".format(parts.scheme, parts.netloc)
        # a proxy may serve it below another path than NetPoint's own
        base = re.sub(r"login/?$", "", parts.path).strip("/") or base
    base = "/{}/".format(str(base).strip("/")).replace("//", "/")
    yield "page.address", address
    try:
        status, _, text = patient_get(address, base + "login/", headers)
        yield "page.login", status
        yield "page.trouble", known_trouble(status, text)
        links = re.findall(r"""(?:href|src)=["']([^"']*/static/[^"']+)["']""", text)
        found = re.search(r"/static/[^\"']+[?]v=([^\"'&]+)", text)
        versions = [("page", found.group(1))] if found else []
        if links:
            yield "page.static", static_answer(root, product, address, links[0], headers)
        versions += api_versions(address, base, product, headers)
        for source, version in versions:
            yield "page.version." + source, version
    except (OSError, http.client.HTTPException, ValueError) as error:
        yield "page.error", error


def patient_get(address, path, headers):
    """GET a page; one that is late once is asked for again, for a busy server is not an ill one."""
    import socket

    try:
        return get(address, path, headers)
    except socket.timeout:
        return get(address, path, headers)


def known_trouble(status, text):
    if status < 500:
        return ""
    known = ("A database programming error", "A module import error", "A file permission error")
    return next((name for name in known if name in text), "an error page")


def static_answer(root, product, address, link, headers):
    """Ask for a static file: the proxy in front serves it; gunicorn alone answers 404, and its place on disk counts."""
    import urllib.parse

    path = urllib.parse.urlsplit(link).path
    status, _, text = get(address, path, headers)
    parts = urllib.parse.unquote(path.split("/static/", 1)[1]).split("/")
    if ".." in parts:  # what answers may be anybody's, and would choose what root opens
        return "missing ({} leads out of the folder of static files)".format(path)
    name = os.path.join(product, "static", *[part for part in parts if part])
    on_disk = os.path.join(root, name)
    if status == 200:
        other = release_of(root, name, text)
        return "of {} ({})".format(other, path) if other else "200"
    return (
        "on-disk"
        if os.path.isfile(on_disk) and os.stat(on_disk).st_mode & 0o044  # the proxy may be in its group
        else "missing ({} {})".format(status, path)
    )


def release_of(root, name, text):
    """Return the other release that an answered file is of, and not of ours: a proxy may name its folder."""
    real = os.path.realpath(root)
    if text_of_file(os.path.join(real, name)) in (text, None):
        return None
    beside = [os.path.join(os.path.dirname(real), each) for each in sorted(os.listdir(os.path.dirname(real)))]
    return next((tree for tree in beside if tree != root and text_of_file(os.path.join(tree, name)) == text), None)


def text_of_file(path):
    """Return the text that `get` returns where this file is answered, None where there is no plain file."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW
    with contextlib.suppress(OSError, ValueError), open(os.open(path, flags), "rb") as file:
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return file.read(512 * 1024).decode("utf-8", "replace")
    return None


def api_versions(address, base, product, headers):
    """Return the versions of /api/status/ (since 2.10) and of the API-Version header, sent only for JSON requests."""
    status, answered, text = get(
        address,
        base + "api/status/",
        dict(headers, **{"Content-Type": "application/json", "Accept": "application/json"}),
    )
    found = []
    if status == 200:
        with contextlib.suppress(ValueError):
            body = json.loads(text)
            if isinstance(body, dict) and body.get(product + "-version"):
                found.append(("status", body[product + "-version"]))
            if isinstance(body, dict) and "rq-workers-running" in body:
                found.append(("workers", body["rq-workers-running"]))
    if answered.get("API-Version"):
        found.append(("header", answered["API-Version"]))
    return found


def as_bytes(text):
    """Return the bytes of a text, and some of what is none: a configuration may spell half of a surrogate pair."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def say(line):
    """Print a line as it is, also where the locale knows no more than ASCII."""
    sys.stdout.buffer.write(as_bytes(line) + b"\n")
    sys.stdout.buffer.flush()


def print_facts(name, facts):
    """Print facts, a line each; what keeps them from being found becomes the fact `name`."""
    try:
        for each, value in facts:
            say("{}={}".format(each, re.sub("[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", str(value))[:LONGEST]))
    except (Exception, SystemExit) as error:  # noqa: BLE001  whatever the files of an installation raise
        say("{}={}".format(name, trouble(error)))


def trouble(error):
    """Tell an error and its place, but nothing that it may quote: a password without its quotes is a NameError."""
    import traceback

    said = str(error) if isinstance(error, (ImportError, KeyError, OSError)) else getattr(error, "msg", "")
    places = [
        frame for frame in traceback.extract_tb(error.__traceback__) if not re.search("^<|importlib|ask.py$", frame[0])
    ]
    file, line = (
        (error.filename, error.lineno) if isinstance(error, SyntaxError) else places[-1][:2] if places else ("", 0)
    )
    place = " (line {} of {})".format(line, os.path.basename(str(file))) if file else ""
    return " ".join((type(error).__name__ + (said and ": ") + said + place).split())


def read(root, product):
    """Return the configuration, or None after what keeps it from being read was printed."""
    try:
        return read_configuration(root, product)
    except BaseException as error:  # noqa: BLE001  whatever the operator's file raises, SystemExit included
        say("configuration.error=" + trouble(error))
        return None


def facts(root, product, sql, *words):
    configuration = read(root, product)
    if configuration is not None:
        print_facts("configuration.error", configuration_facts(configuration))
        print_facts("address.error", address_facts(root, words))
        print_facts("redis.configuration", redis_facts(configuration))
        print_facts("db.error", database_facts(root, product, configuration, sql))


def settings(root, product, *words):
    configuration = read(root, product)
    if configuration is not None:
        print_facts("configuration.error", configuration_facts(configuration))
        print_facts("address.error", address_facts(root, words))


def told_settings():
    """Return what `settings` or `facts` printed, from standard input, and its configuration."""
    lines = sys.stdin.buffer.read(1 << 22).decode("utf-8", "surrogateescape").split("\n")
    told = dict(line.split("=", 1) for line in reversed(lines) if "=" in line)
    try:
        configuration = json.loads(told.get("configuration", "{}"))
    except ValueError:
        configuration = {}
    return told, configuration if isinstance(configuration, dict) else {}


def outside(root, product, url):
    told, configuration = told_settings()
    if "configuration" not in told:
        return
    print_facts("size.error", size_facts(root, product, configuration))
    if "db.creates" in told:
        print_facts("db.error", [("db.scratch", who_makes_scratch(told))])
    print_facts("page.error", page_facts(root, product, configuration, told, url))


def page(root, product, url):
    told, configuration = told_settings()
    print_facts("page.error", page_facts(root, product, configuration, told, url))


def print_pairs(pairs):
    for name, value in pairs:
        sys.stdout.buffer.write(as_bytes("{}={}\0".format(name, value)))


def database(root, product):
    configured = libpq_environment(database_of(read_configuration(root, product)))
    # What the unit's environment tells libpq reaches NetPoint too, behind what the configuration says.
    given = {name: value for name, value in os.environ.items() if name.startswith("PG")}
    print_pairs(dict(given, **configured).items())


def reach(root, product, *_words):
    """Tell whether the database lets this user in, as upgrade.sh will ask it."""
    environment = dict(os.environ, **libpq_environment(database_of(read_configuration(root, product))))
    command = ["psql", "-X", "-q", "-A", "-t", "-w", "-c", "SELECT 1"]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=3 * TIMEOUT)
    if done.returncode != 0:
        say("db.root_error=" + " ".join(done.stderr.decode("utf-8", "replace").split()))


VERBS = {each.__name__: each for each in (facts, settings, database, reach, outside, page)}

if __name__ == "__main__":
    try:
        VERBS[sys.argv[1]](*sys.argv[2:])
    except (Exception, SystemExit) as error:  # noqa: BLE001  a traceback would quote the operator's file
        sys.exit(trouble(error))
