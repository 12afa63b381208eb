"""Give one process the environment of a unit, so that it never comes into a shell of ours.

Runs on the server as root, under any Python from 3.6 on, without the packages and variables of others (`-I -S`):

    service UNIT TREE PYTHON facts ROOT PRODUCT WORD ...
                                        run the program on standard input as the unit's service runs: as its user, where
                                        it works, with its environment; the words end with those of its own command
    root UNIT TREE PYTHON VERB ROOT PRODUCT
                                        run it as root, with what `wanted` has of that environment
    wanted UNIT TREE PRODUCT            print the variables of a unit that upgrade.sh gets
    unset UNIT                          print the names of a unit's variables that nothing of root's may get
    exposed ROOT PRODUCT                print what others could change of what root executes, at most three lines
    exports                             print the variables of libpq among those on standard input for our shells
    with FILE COMMAND ...               run a command with the variables of a file, behind those that it has already

Variables come and go as NAME=value, each with a NUL behind it. What a service's process prints decides nothing here: of
facts the first word is known, of variables the name. What root gets of a unit's environment has a name that the
configuration file asks for, which root reads and does not execute, and a value from systemd or from a file of root's.
"""

import contextlib
import grp
import os
import pwd
import re
import signal
import stat
import subprocess
import sys

LONGEST = 1 << 22  # bytes of what a service's process may say
PATIENCE = 120  # seconds that it has for it
# The folders that systemd makes for a service, and where.
FOLDERS = {"Runtime": "/run", "State": "/var/lib", "Cache": "/var/cache", "Logs": "/var/log", "Configuration": "/etc"}
PROPERTIES = (
    "Id,User,Group,UID,GID,SupplementaryGroups,WorkingDirectory,Environment,EnvironmentFiles,ExecStart,DynamicUser,"
    "PassEnvironment,UnsetEnvironment," + ",".join(kind + "Directory" for kind in FOLDERS)
)
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
FACTS = ("configuration", "address=", "database.", "redis.", "db.")
# What decides what a program loads or runs, where it connects through and whom it trusts, and what a login gives: never
# taken over from a unit by root, whoever asks for it. The hosts file may give them.
REFUSED = re.compile(
    "(PATH|HOME|USER|LOGNAME|SHELL|PWD|OLDPWD|SHLVL|LANG|LC_.*|LANGUAGE|TERM|TERMINFO.*|TERMCAP|TMPDIR|TEMP|TMP|TZDIR"
    "|IFS|ENV|BASH_.*|CDPATH|PS[0-9]|EDITOR|VISUAL|BROWSER|.*PAGER|LESS.*"
    "|LD_.*|GCONV_PATH|GETCONF_DIR|LOCPATH|NLSPATH|MALLOC_.*|GLIBC_.*"
    "|PYTHON.*|PIP_.*|UV_.*|VIRTUAL_ENV|CONDA_.*|SETUPTOOLS_.*|DISTUTILS_.*|DJANGO_SETTINGS_MODULE"
    "|PERL.*|RUBY.*|GEM_.*|NODE_.*|NPM_.*|JAVA_.*|_JAVA_OPTIONS|JDK_.*|CLASSPATH"
    "|CC|CXX|CPP|LD|AR|AS|NM|RANLIB|.*FLAGS|LIBS|CPATH|.*_INCLUDE_PATH|LIBRARY_PATH|COMPILER_PATH|GCC_.*|PKG_CONFIG.*"
    "|MAKE.*|CMAKE.*|CARGO.*|RUST.*|PG_CONFIG|GIT_.*|SSH_.*|GNUPGHOME|GPG_.*|XDG_.*|DBUS_.*|NETRC"
    "|OPENSSL_.*|SSL_CERT_.*|SSLKEYLOGFILE|REQUESTS_CA_BUNDLE|CURL_.*|AWS_CA_BUNDLE|.*_PROXY"
    "|PGSYSCONFDIR|PGLOCALEDIR|LDAPCONF|LDAPRC|LDAPTLS_.*|KRB5.*|GSS_.*|SASL_.*"
    "|HOSTALIASES|LOCALDOMAIN|RES_OPTIONS|RESOLV_.*"
    "|INVOCATION_ID|JOURNAL_STREAM|NOTIFY_SOCKET|SYSTEMD_.*|LISTEN_.*|WATCHDOG_.*|MAINPID|RUNTIME_DIRECTORY"
    "|NETPOINT_REMOTE_.*|_)$",
    re.IGNORECASE,
)


# ---- what others could change


def weak_spot(path, level=0):
    """Return what lets others put another thing in the place of a path; None where root alone (or we) can.

    As `weak_spot` in lib.sh, links included, and with what an ACL gives.
    """
    if level > 20:
        return path + " is a link that leads round in circles"
    walked, parts = "/", [part for part in path.split("/") if part]
    for at, part in enumerate([""] + parts):
        walked = os.path.join(walked, part)
        try:
            known = os.lstat(walked)
        except OSError:  # it is ours to make
            return None
        if stat.S_ISLNK(known.st_mode) and not belongs_to_other(walked, known):
            found = weak_spot(os.path.join(os.path.dirname(walked), os.readlink(walked)), level + 1)
        else:
            found = belongs_to_other(walked, known) or open_to_others(walked, known, on_the_way=at < len(parts))
        if found:
            return found
    return None


def belongs_to_other(path, known):
    if known.st_uid in (0, os.geteuid()):
        return None
    try:
        owner = pwd.getpwuid(known.st_uid).pw_name
    except KeyError:
        owner = "UNKNOWN"
    return "{} belongs to {}".format(path, owner)


def open_to_others(path, known, *, on_the_way=False):
    if on_the_way and known.st_mode & stat.S_ISVTX:  # what is in it is its owner's
        return None
    if known.st_mode & stat.S_IWOTH:
        return "everybody may write to " + path
    if known.st_mode & stat.S_IWGRP:  # with an ACL: the most that it gives to anybody
        if known.st_gid not in (0, os.getegid()):
            with contextlib.suppress(KeyError):
                return "the group {} may write to {}".format(grp.getgrgid(known.st_gid).gr_name, path)
            return "the group {} may write to {}".format(known.st_gid, path)
        with contextlib.suppress(OSError, AttributeError):
            os.getxattr(path, "system.posix_acl_access")
            return "an ACL lets others write to " + path
    return None


def exposed(root, product):
    found = []
    for weak in weak_spots(root, product):
        if weak and weak not in found:
            found.append(weak)
            say(weak)
        if len(found) == 3:
            break


def weak_spots(root, product):
    """Yield what is weak of all that root executes of an installation: its release, its settings, its environment."""
    inner = os.path.join(product, product)
    named = ["", product, inner, os.path.join(product, "manage.py"), "upgrade.sh", "gunicorn.py", "requirements.txt"]
    named += ["local_requirements.txt", "contrib", "venv/bin/python3", ".git", ".git/config", ".git/hooks"]
    for path in [os.path.join(root, each).rstrip("/") for each in named]:
        if os.path.lexists(path):
            yield weak_spot(path)
    for folder in ("venv", inner):
        for weak in weak_entries(os.path.join(root, folder)):
            yield weak


def weak_entries(top):
    for folder, folders, files in os.walk(top):
        for name in folders + files:
            path = os.path.join(folder, name)
            with contextlib.suppress(OSError):  # it went away meanwhile
                known = os.lstat(path)
                if stat.S_ISLNK(known.st_mode):
                    yield weak_spot(path)
                else:
                    yield belongs_to_other(path, known) or open_to_others(path, known)
        for name in files:
            for place in places_for_modules(folder, name):
                yield weak_spot(place)


def places_for_modules(folder, name):
    """Return where else a file of an environment lets Python look for modules."""
    if name == "pyvenv.cfg":
        return re.findall(r"^home *= *(/.*?) *$", plain_text(os.path.join(folder, name)), re.MULTILINE)
    if name.endswith((".pth", ".egg-link")):
        lines = plain_text(os.path.join(folder, name)).split("\n")
        return [os.path.join(folder, line.strip()) for line in lines if re.match(r"\s*[^#\s]", line)]
    return []


def plain_text(path):
    """Return the text of a plain file; nothing else is opened: a pipe is waited for, and a device may do something."""
    with contextlib.suppress(OSError):
        found = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            if stat.S_ISREG(os.fstat(found).st_mode):
                with open("/proc/self/fd/%d" % found, "rb") as file:
                    return file.read(LONGEST).decode("utf-8", "surrogateescape")
        finally:
            os.close(found)
    return ""


# ---- what root gets of a unit's environment


def wanted_variables(found, tree, product):
    """Return the variables of a unit that the configuration file asks for by name, and those that libpq asks for."""
    given = unit_environment(found, weak=False)
    # settings.py asks for it: the module that is the configuration.
    module = product.upper() + "_CONFIGURATION"
    names = names_asked_by(os.path.join(tree, product), given.get(module, product + ".configuration"), module)
    names |= {name for name in given if re.match(r"PG[A-Z]+\Z", name)} - set(withheld_files(given))
    return {name: value for name, value in given.items() if name in names and not REFUSED.match(name)}


def withheld_files(given):
    """Return the files that libpq would read and others can write, by variable: root gets none of them by itself."""
    files = {name: value for name, value in given.items() if re.match(r"PG[A-Z]+\Z", name) and value.startswith("/")}
    return {name: path for name, path in files.items() if not REFUSED.match(name) and weak_spot(path)}


def names_asked_by(folder, module, name):
    """Return what a module asks for, with all that it imports from a folder; `name` is what asked for the module.

    Where others can write one of the files, that file asks for nothing.
    """
    names, pending, seen = set(), [module], set()
    while pending:
        module = pending.pop()
        place = os.path.join(folder, *module.split("."))
        package = os.path.isfile(os.path.join(place, "__init__.py"))
        path = os.path.join(place, "__init__.py") if package else place + ".py"
        if path in seen or not os.path.isfile(path) or weak_spot(path):
            continue
        seen.add(path)
        nodes = nodes_of(plain_text(path))
        names |= names_asked(nodes) | {name}
        pending += modules_imported(nodes, module if package else module.rpartition(".")[0])
    return names


def modules_imported(nodes, package):
    """Return the modules that Python code in a package may import by its statements."""
    import ast

    found = []
    for node in nodes:
        if isinstance(node, ast.Import):
            found += [each.name for each in node.names]
        elif isinstance(node, ast.ImportFrom):
            outer = package.split(".")
            base = outer[: len(outer) - node.level + 1] if node.level else []
            base += [node.module] if node.module else []
            found += [".".join(base + more) for more in [[]] + [[each.name] for each in node.names]]
    return found


def nodes_of(text):
    """Return the syntax tree of Python code as a list; of what is none, nothing."""
    import ast

    try:
        return list(ast.walk(ast.parse(text.encode("utf-8", "surrogateescape"))))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def names_asked(nodes):
    """Return the texts that Python code hands to a call, looks up, or goes through in a loop."""
    import ast

    asked = []
    for node in nodes:
        if isinstance(node, ast.Call):
            asked += node.args + [each.value for each in node.keywords]
        elif isinstance(node, ast.Subscript):
            asked.append(node.slice)
        elif isinstance(node, ast.Compare):
            asked.append(node.left)
        elif isinstance(node, (ast.For, ast.comprehension)):
            asked += getattr(node.iter, "elts", [])
    return {name for name in map(literal, asked) if isinstance(name, str)}


def literal(node):
    """Return the value of a node that is one; Python has had three ways to spell it."""
    while hasattr(node, "_fields"):
        node = next((getattr(node, field) for field in ("value", "s") if field in node._fields), None)
    return node


# ---- what systemd says of a unit


# Older versions of systemd show what has several lines as it is, within its quotes.
SHOWN = re.compile(r'^(?:(Environment)=((?:"(?:\\.|[^"\\])*"|[^"\n])*)|(\w+)=(.*))$', re.MULTILINE)
ESCAPED = re.compile(r"\\(?:([0-7]{3})|(.))", re.DOTALL)
CONTROL = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def properties(unit):
    """Return what systemd says, by property; of those that come more than once a text each.

    `Manager` and `PID1` are variables: those that systemd gives to all services, and those that it was started with.
    """
    found = properties_shown(systemctl("show", "-p", PROPERTIES, unit))
    found["Manager"] = list(manager_pairs(systemctl("show-environment")))
    with contextlib.suppress(OSError), open("/proc/1/environ", "rb") as file:
        found["PID1"] = file.read(LONGEST).decode("utf-8", "surrogateescape").split("\0")
    return found


def systemctl(*words):
    done = subprocess.run(["systemctl", *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return done.stdout.decode("utf-8", "surrogateescape")


def manager_pairs(text):
    """Yield the NAME=value pairs of `systemctl show-environment`, which quotes for a shell what needs it."""
    for line in text.split("\n"):
        name, equals, value = line.partition("=")
        quoted = re.match(r"""\$'(.*)'\Z|"(.*)"\Z""", value)
        if quoted:
            value = ESCAPED.sub(unescaped, quoted.group(1) or quoted.group(2) or "")
        if equals:
            yield name + "=" + value


def properties_shown(text):
    found = {}
    for shown in SHOWN.finditer(text):
        found.setdefault(shown.group(1) or shown.group(3), []).append(shown.group(2) or shown.group(4) or "")
    return found


def words_shown(found, name):
    """Yield the words of a property that is a list of them: what needs it in quotes, with escapes as C has them."""
    for value in found.get(name, []):
        for quoted, plain in re.findall(r'"((?:[^"\\]|\\.)*)"|(\S+)', value, re.DOTALL):
            yield ESCAPED.sub(unescaped, quoted) or plain


def unescaped(found):
    octal, letter = found.groups()
    return bytes([int(octal, 8)]).decode("latin-1") if octal else CONTROL.get(letter, letter)


def unit_environment(found, *, made=None, weak=True):
    """Return the variables of a unit's processes; of files that others could change only if `weak`.

    In the order of systemd.exec(5), "Environment Variables in Spawned Processes", with those that are made for the
    unit, and without those that the unit leaves out.
    """
    passed = set(words_shown(found, "PassEnvironment"))
    given = variables(found.get("Manager", []))
    given.update(made or {})
    given.update((name, value) for name, value in variables(found.get("PID1", [])).items() if name in passed)
    given.update(variables(own_pairs(found, weak=weak)))
    left_out = set(words_shown(found, "UnsetEnvironment"))
    return {name: value for name, value in given.items() if not {name, name + "=" + value} & left_out}


def variables(pairs):
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)


def own_pairs(found, *, weak=True):
    """Yield the NAME=value pairs that a unit and its files give."""
    for pair in words_shown(found, "Environment"):
        yield pair
    for value in found.get("EnvironmentFiles", []):
        path = value.split(" (ignore_errors=", 1)[0]
        if weak or not weak_spot(path):
            for pair in file_pairs(plain_text(path)):
                yield pair


# Quotes count only where a value or a part of it begins: PASSWORD=it's is it's (systemd.exec(5), EnvironmentFile=).
ENTRY = re.compile(
    r"""^[ \t]*(?P<name>[^\s#;=][^=\r\n]*)=
        (?P<quoted>(?:[ \t]*(?:'[^']*'|"(?:[^"\\]|\\.)*"))*)
        [ \t]*(?P<plain>(?:[^\\\r\n]|\\.)*)""",
    re.DOTALL | re.MULTILINE | re.VERBOSE,
)


def file_pairs(text):
    for entry in ENTRY.finditer(text):
        parts = re.findall(r"""'([^']*)'|"((?:[^"\\]|\\.)*)\"""", entry.group("quoted"), re.DOTALL)
        quoted = "".join(single or re.sub(r'\\(?:\n|(["\\`$]))', r"\1", double) for single, double in parts)
        plain = re.sub(r"\\(?:\n|(.))", r"\1", entry.group("plain").rstrip(), flags=re.DOTALL)
        yield entry.group("name").strip() + "=" + quoted + plain


def command_words(found, environment):
    """Return the words of ExecStart, as far as they can be told apart: systemd shows them without quotes."""
    import shlex

    shown = re.search(r"argv\[\]=(.*?) ; (?:ignore_errors|flags)=", found.get("ExecStart", [""])[-1])
    # With a value for what is not set, as a shell has it: the command may be a line for one.
    text = re.sub(
        r"\$?\$(?:\{(\w+)(?::?-([^}$]*))?\}|(\w+))",
        lambda name: environment.get(name.group(1) or name.group(3)) or name.group(2) or "",
        shown.group(1) if shown else "",
    )
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


# ---- one process as the service runs


class Account:
    """The user and the groups of a service."""

    def __init__(self, found):
        name = found.get("User", [""])[0]
        self.name, self.home, self.shell = name or "root", "/root", "/bin/sh"
        self.uid = self.gid = 0
        self.groups = []
        if name:
            try:
                known = pwd.getpwuid(int(name)) if name.isdigit() else pwd.getpwnam(name)
                self.name, self.uid, self.gid = known.pw_name, known.pw_uid, known.pw_gid
                self.home, self.shell = known.pw_dir, known.pw_shell
                self.groups = os.getgrouplist(known.pw_name, known.pw_gid)
            except KeyError:  # one that systemd makes while the service runs
                self.uid, self.gid = int(found["UID"][0]), int(found["GID"][0])
        group = found.get("Group", [""])[0]
        for each in [group] + found.get("SupplementaryGroups", [""])[0].split():
            with contextlib.suppress(KeyError):
                number = int(each) if each.isdigit() else grp.getgrnam(each).gr_gid if each else None
                if number is not None:
                    self.groups.append(number)
        if self.groups and group:
            with contextlib.suppress(KeyError):
                self.gid = int(group) if group.isdigit() else grp.getgrnam(group).gr_gid

    def become(self):
        os.setgroups(sorted(set(self.groups + [self.gid])))
        os.setgid(self.gid)
        os.setuid(self.uid)


def service_environment(found, account):
    """Return the environment of a service's process; of one that is root's, nothing that decides what root runs."""
    made = folders_made(found)
    if found.get("User", [""])[0]:
        made.update(USER=account.name, LOGNAME=account.name, HOME=account.home, SHELL=account.shell)
    given = unit_environment(found, made=made)
    if account.uid == 0:
        given = {name: made.get(name) if REFUSED.match(name) else value for name, value in given.items()}
        given = {name: value for name, value in given.items() if value is not None}
    return dict({"PATH": PATH, "LANG": "C.UTF-8"}, **given)


def folders_made(found, credentials="/run/credentials"):
    """Return the variables that name the folders which systemd makes for a service."""
    folders = {}
    for kind, parent in FOLDERS.items():
        names = words_shown(found, kind + "Directory")
        folders[kind.upper() + "_DIRECTORY"] = ":".join(os.path.join(parent, name.split(":")[0]) for name in names)
    unit = found.get("Id", [""])[0]
    if unit and os.path.isdir(os.path.join(credentials, unit)):  # while it runs
        folders["CREDENTIALS_DIRECTORY"] = os.path.join(credentials, unit)
    return {name: places for name, places in folders.items() if places}


def working_directory(found, account):
    folder = found.get("WorkingDirectory", [""])[0].lstrip("!-") or "/"
    return account.home if folder == "~" else folder


def service(unit, tree, python, *words):
    """Run the program and print what it says, but for what only we may say."""
    found = properties(unit)
    output = run_as_service(found, tree, [python, "-", *words], sys.stdin.buffer.read())
    relay(output)
    say("configuration.environment=" + " ".join(sorted(wanted_variables(found, tree, words[2]))))
    for name, path in sorted(withheld_files(unit_environment(found, weak=False)).items()):
        say("withheld={} {}".format(name, path))


def root(unit, tree, python, *words):
    environment = dict(wanted_variables(properties(unit), tree, words[2]), **os.environ)
    done = subprocess.run(
        limited([python, "-", *words]),
        input=sys.stdin.buffer.read(),
        cwd=tree,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    relay(done.stdout)


def limited(command):
    """Return a command with its time limit, by the path of our own: a unit's may not have it."""
    import shutil

    timeout = shutil.which("timeout")
    return [timeout, "-k", "5", str(PATIENCE), *command] if timeout else list(command)


def relay(output):
    for line in output.decode("utf-8", "surrogateescape").split("\n"):
        if line.startswith(FACTS) and "=" in line and not line.startswith("configuration.environment="):
            say(line)


def run_as_service(found, tree, command, program):
    """Return what a command prints that runs as the service does; the words of the service's own come behind it."""
    try:
        account = Account(found)
    except (KeyError, ValueError, IndexError):
        return "configuration.error=the user {} of its unit is not known".format(found["User"][0]).encode()
    environment = service_environment(found, account)
    command = command + command_words(found, environment)
    environment["NETPOINT_REMOTE_PATH"] = os.environ.get("PATH", PATH)

    def begin():
        if os.geteuid() == 0 and account.uid != 0:
            account.become()
        for folder in (working_directory(found, account), tree, "/"):
            with contextlib.suppress(OSError):
                os.chdir(folder)
                break

    signal.alarm(PATIENCE + 30)  # something that it has left running may hold its output open
    process = subprocess.Popen(
        limited(command),
        env=environment,
        preexec_fn=begin,  # noqa: PLW1509  there are no threads
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(program)
        process.stdin.close()
    output = process.stdout.read(LONGEST)
    process.stdout.close()
    if process.wait() == 124:
        return "configuration.error=it was not read within {} seconds".format(PATIENCE).encode()
    return output


# ---- variables


def pairs(data):
    for pair in data.split(b"\0"):
        name, equals, value = pair.decode("utf-8", "surrogateescape").partition("=")
        if equals and re.match(r"[A-Za-z_][A-Za-z0-9_]*\Z", name):
            yield name, value


def exports():
    import shlex

    for name, value in pairs(sys.stdin.buffer.read(LONGEST)):
        if re.match(r"PG[A-Z]+\Z", name):
            say("export {}={}".format(name, shlex.quote(value)))


def wanted(unit, tree, product):
    for name, value in wanted_variables(properties(unit), tree, product).items():
        sys.stdout.buffer.write(as_bytes("{}={}\0".format(name, value)))


def unset(unit):
    names = {pair.partition("=")[0] for pair in own_pairs(properties(unit))}
    say(" ".join(sorted(name for name in names if REFUSED.match(name) and re.match(r"\w+\Z", name))))


def run_with(path, *command):
    with open(path, "rb") as file:
        given = dict(pairs(file.read(LONGEST)))
    try:
        os.execvpe(command[0], command, dict(given, **os.environ))  # noqa: S606
    except OSError as error:  # as a shell has it
        say("{}: {}".format(command[0], error.strerror))
        sys.exit(127 if isinstance(error, FileNotFoundError) else 126)


def as_bytes(text):
    """Return the bytes of a text, and some of what is none, as ask.py has it."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def say(line):
    """Print a line as it is, also where the locale knows no more than ASCII."""
    sys.stdout.buffer.write(as_bytes(line) + b"\n")
    sys.stdout.buffer.flush()


VERBS = {
    "service": service, "root": root, "wanted": wanted, "unset": unset, "exposed": exposed, "exports": exports,
    "with": run_with,
}  # fmt: skip

if __name__ == "__main__":
    VERBS[sys.argv[1]](*sys.argv[2:])
