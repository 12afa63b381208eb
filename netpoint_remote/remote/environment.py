"""Give one process the environment of a unit, so that it never comes into a shell of ours.

Runs on the server as root, under any Python from 3.6 on, without the packages and variables of others (`-I -S`):

    service UNIT TREE PYTHON WORD ...   run the program on standard input as the unit's service runs: as its user, where
                                        it works, with its environment; the words end with those of its own command
    root UNIT TREE PYTHON WORD ...      run it as root, with no more of that environment than configuration.py asks for
    exports                             print the variables of libpq among those on standard input for our shells
    others                              print, of those on standard input, what another program may have
    with FILE COMMAND ...               run a command with the variables of a file

Variables come and go as NAME=value, each with a NUL behind it. What a service's user prints decides nothing here: names
are allowed one by one, facts by their first word, and everything is bounded.
"""

import contextlib
import grp
import os
import pwd
import re
import shlex
import shutil
import signal
import subprocess
import sys

LONGEST = 1 << 22  # bytes of what a service's process may say
PATIENCE = 120  # seconds that it has for it
PROPERTIES = (
    "User,Group,UID,GID,SupplementaryGroups,WorkingDirectory,Environment,EnvironmentFiles,ExecStart,DynamicUser"
)
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
FACTS = ("configuration", "address=", "database.", "redis.", "db.")
# What decides which programs and libraries run, and what a login gives: never taken over from a unit by root.
OWN = re.compile(
    "(PATH|HOME|USER|LOGNAME|SHELL|PWD|OLDPWD|SHLVL|LANG|LC_.*|LANGUAGE|TERM|TMPDIR|IFS|ENV|BASH_.*|CDPATH|PS[0-9]"
    "|LD_.*|GCONV_PATH|LOCPATH|NLSPATH|MALLOC_.*|GLIBC_.*|PYTHON.*|PIP_.*|VIRTUAL_ENV|GIT_.*|SSH_.*"
    "|INVOCATION_ID|JOURNAL_STREAM|NOTIFY_SOCKET|SYSTEMD_.*|LISTEN_.*|WATCHDOG_.*|MAINPID|RUNTIME_DIRECTORY"
    "|NETPOINT_REMOTE_.*|_)$"
)


# ---- what systemd says of a unit


def properties(unit):
    """Return what systemd says, by property; of those that come more than once a line each."""
    done = subprocess.run(
        ["systemctl", "show", "-p", PROPERTIES, unit], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    found = {}
    for line in done.stdout.decode("utf-8", "surrogateescape").split("\n"):
        key, equals, value = line.partition("=")
        if equals:
            found.setdefault(key, []).append(value)
    return found


def unit_environment(found):
    """Yield the NAME=value pairs of a unit's processes."""
    for value in found.get("Environment", []):
        for quoted, plain in re.findall(r'"((?:[^"\\]|\\.)*)"|(\S+)', value):
            yield re.sub(r'\\(["\\`$])', r"\1", quoted) or plain
    for value in found.get("EnvironmentFiles", []):
        path = value.split(" (ignore_errors=", 1)[0]
        with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="surrogateescape") as lines:
            for pair in file_pairs(lines.read(LONGEST)):
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
    shown = re.search(r"argv\[\]=(.*?) ; (?:ignore_errors|flags)=", found.get("ExecStart", [""])[-1])
    text = re.sub(
        r"\$\{(\w+)\}|\$(\w+)",
        lambda name: environment.get(name.group(1) or name.group(2), ""),
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
    given = dict(pair.split("=", 1) for pair in unit_environment(found) if "=" in pair)
    if account.uid == 0:
        given = {name: value for name, value in given.items() if not OWN.match(name)}
    usual = {"PATH": PATH, "LANG": "C.UTF-8"}
    if found.get("User", [""])[0]:
        usual.update(USER=account.name, LOGNAME=account.name, HOME=account.home, SHELL=account.shell)
    return dict(usual, **given)


def working_directory(found, account):
    folder = found.get("WorkingDirectory", [""])[0].lstrip("!-") or "/"
    return account.home if folder == "~" else folder


def service(unit, tree, python, *words):
    """Run the program and print what it says, but for what only we may say."""
    found = properties(unit)
    output = run_as_service(found, tree, [python, "-", *words], sys.stdin.buffer.read())
    relay(output)


def root(unit, tree, python, *words):
    found = properties(unit)
    program = sys.stdin.buffer.read()
    wanted = run_as_service(found, tree, [python, "-", "wanted", *words[1:]], program)
    environment = dict(os.environ, **dict(allowed(wanted)))
    done = subprocess.run(
        limited([python, "-", *words]),
        input=program,
        cwd=tree,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    relay(done.stdout)


def limited(command):
    """Return a command with its time limit, by the path of our own: a unit's may not have it."""
    timeout = shutil.which("timeout")
    return [timeout, "-k", "5", str(PATIENCE), *command] if timeout else list(command)


def relay(output):
    for line in output.decode("utf-8", "surrogateescape").split("\n"):
        name, _, value = line.partition("=")
        if name == "configuration.environment":
            value = " ".join(each for each in value.split(" ") if not OWN.match(each))
        if line.startswith(FACTS):
            say(name + "=" + value)


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


def allowed(data):
    return ((name, value) for name, value in pairs(data) if not OWN.match(name))


def exports():
    for name, value in pairs(sys.stdin.buffer.read(LONGEST)):
        if re.match(r"PG[A-Z]+\Z", name):
            say("export {}={}".format(name, shlex.quote(value)))


def others():
    for name, value in allowed(sys.stdin.buffer.read(LONGEST)):
        sys.stdout.buffer.write("{}={}\0".format(name, value).encode("utf-8", "surrogateescape"))


def run_with(path, *command):
    with open(path, "rb") as file:
        given = dict(allowed(file.read(LONGEST)))
    try:
        os.execvpe(command[0], command, dict(os.environ, **given))  # noqa: S606
    except OSError as error:  # as a shell has it
        say("{}: {}".format(command[0], error.strerror))
        sys.exit(127 if isinstance(error, FileNotFoundError) else 126)


def say(line):
    """Print a line as it is, also where the locale knows no more than ASCII."""
    sys.stdout.buffer.write(line.encode("utf-8", "surrogateescape") + b"\n")
    sys.stdout.buffer.flush()


VERBS = {"service": service, "root": root, "exports": exports, "others": others, "with": run_with}

if __name__ == "__main__":
    VERBS[sys.argv[1]](*sys.argv[2:])
