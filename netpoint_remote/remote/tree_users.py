"""List what uses the releases of one installation: processes, units, cron jobs, mounts, and files that name one.

Runs on the server, isolated from every environment, under any Python from 3.6 on (`python3 -I -S`), as
`tree_users.py VERB ROOT PRODUCT SERVICES CRON_DIR`:

    facts           print everything as facts of the probe, `name=value` a line
    processes       print the processes that run out of a release, a line each: unit, number, start, release, command
    left WHOSE SECONDS  wait for the end of those, of `any` or of `other` units than ours, and name who is left
    compare BEFORE  print whether the same units run as in a file of `processes`, out of the current release and anew
    housekeeping    print what schedules housekeeping (`cron`, `timer`, `broken`, `dangling`) and its file or unit
    sessions        print who holds the sessions that sessions.sql has listed, which come on standard input
    strangers ADDRESSES  name those that no service holds; the addresses are this server's own
    pooled ADDRESSES     print the numbers of those that a pooler holds

Anybody can start a process that names a release, or have a job of cron that does. What is such a `stranger`'s counts as
nothing that uses the release. A user counts who is root, owns the release or is one of the services'; so does all that
a unit of the system runs.

It changes nothing. No command line is printed as it is, for it may hold a secret: only programs and files of a release.
"""

import contextlib
import functools
import ipaddress
import json
import os
import pwd
import re
import socket
import stat
import struct
import subprocess
import sys
import time
import typing

SECONDS = 60  # far from what is usual: a second for all of it
LARGEST = 2**20  # bytes of a file that is read
MOST = 100  # lines of one kind
# What gunicorn and rq are run by; with its working directory in a release, it has its code from there.
PYTHONS = re.compile(r"(python|pypy|uwsgi|gunicorn)[0-9.]*\Z")
SHELLS = re.compile(r"(ba|da|z|k|a)?sh\Z|(perl|ruby|node|php)[0-9.]*\Z")
# What a line may name instead of a Python that runs it.
BY_PYTHON = re.compile(r"(uvicorn|hypercorn|daphne|granian|waitress-serve|celery|rq|rqworker|django-admin|uv|poetry)\Z")
PROGRAM = re.compile(r"(\A|/)venv/bin/[^/*]+\Z|/[^/*]+\.(sh|py|wsgi|ini)\Z")
# What starts the program that comes after it, with options and their values in between.
STARTERS = re.compile(
    r"""(sudo|doas|su|runuser|setpriv|env|nice|ionice|chrt|taskset|numactl|timeout|flock|nohup|setsid|stdbuf|time|exec
    |command|eval|chronic|cronic|run-one|systemd-(run|cat|inhibit)|unshare|nsenter|chroot|chpst|(s6-)?setuidgid|cgexec
    |xargs|find|if|then|else|elif|while|until|do|!|{)\Z""",
    re.VERBOSE,
)
READERS = re.compile(
    r"(tar|rsync|cp|mv|scp|zip|restic|borg|rclone|duplicity|cat|ls|du|grep|ch(own|mod)|ln|rm|test|\[)\Z"
)
# Where a path begins: not within /mnt/opt/netpoint, but in ExecStart=-/opt/netpoint, -C/opt/netpoint and file:///opt.
BEGINNING = rb"(?:(?<=\s-\w)|(?<![\w.~})])(?<![\w.~})][/-]))"
END = rb"(?![\w-]|\.\w)"
OURS = (b'"""List what uses the releases', b'"""Ask an installed NetPoint')
UNIT_FOLDERS = ("etc/systemd/system", "run/systemd/system", "usr/local/lib/systemd/system", "usr/lib/systemd/system",
                "lib/systemd/system")  # fmt: skip
USER_FOLDERS = ("etc/systemd/user", "run/systemd/user", "usr/local/lib/systemd/user", "usr/lib/systemd/user")
OWN_FOLDERS = (".config/systemd/user", ".local/share/systemd/user")
UNIT_FILE = re.compile(r"(?P<unit>[^/]+\.(?:service|timer|socket|path|mount))(?:\.d/[^/]+\.conf)?\Z")
CRON_FOLDERS = {"hourly": True, "daily": False, "weekly": False, "monthly": False}  # whether it is often
# Units of the system in which anybody's processes are.
ANYBODYS = re.compile(r"(.*\.scope|user@.*|(cron|crond|cronie|atd|ssh|sshd)(@.*)?\.service|)\Z")
DATABASES = ("postgres", "postmaster")
CRON_DAEMONS = ("cron.service", "crond.service", "cronie.service")
WEB_SERVERS = re.compile(r"etc/(nginx|openresty|angie|apache2|httpd|caddy|lighttpd|haproxy)/")
NAMING_PLACES = ("etc", "var/spool/cron", "usr/local/bin", "usr/local/sbin", "usr/local/etc", *UNIT_FOLDERS[1:])
PUT_ASIDE = re.compile(r"(~|\.(bak|old|orig|save|swp|dpkg-\w+|rpm\w+))\Z")
SHOWN = ("Id", "LoadState", "ActiveState", "SubState", "Type", "User", "MainPID", "Triggers", "TriggeredBy",
         "TimersCalendar", "TimersMonotonic", "FragmentPath")  # fmt: skip


class Installation:
    """The releases of one installation, and every path that leads to one; `system` is where /etc and /var are."""

    def __init__(self, root, product, services, cron_dir, system="/"):
        self.root, self.product, self.cron_dir, self.system = root, product, cron_dir, system
        self.services = [with_ending(name) for name in services.split()]
        self.real = os.path.realpath(root)
        self.ways = {root: self.real, self.real: self.real}
        if self.real != root:
            self._find_ways()

    def _find_ways(self):
        folders = dict.fromkeys((os.path.dirname(self.root), os.path.dirname(self.real)))
        entries = [os.path.join(folder, name) for folder in folders for name in names_in(folder)]
        links = {path: os.path.realpath(path) for path in entries if os.path.islink(path) and path != self.root}
        foreign = {target for target in links.values() if target != self.real}
        for path in entries:
            target = os.path.realpath(path)
            if target == self.real or (path not in links and target not in foreign and self._is_release(target)):
                self.ways[path] = target
        self.ways.update(dict.fromkeys(middle_links(self), self.real))

    def _is_release(self, path):
        return os.path.isfile(os.path.join(path, self.product, "manage.py")) and not os.path.exists(
            os.path.join(path, ".git")
        )

    def is_strangers(self, user, units):
        """Whether a user is neither root's, nor the services', nor who owns the release."""
        return user not in self.service_users(units.told) and uid_of(user) not in self.own_uids(units.told)

    def service_users(self, told):
        return {told.get(unit, {}).get("User") or "root" for unit in self.services}

    def own_uids(self, told):
        return ({uid_of(name) for name in self.service_users(told)} | {0, owner_of(self.real)}) - {None}

    def at(self, place):
        return os.path.join(self.system, place)

    def tree_of(self, path):
        """Return the release that a path is in."""
        path = os.path.normpath(path)
        inside = [way for way in self.ways if path == way or path.startswith(way + "/")]
        return self.ways[max(inside, key=len)] if inside else None

    def named_in(self, text):
        """Yield (path, release, position) for each of our paths in a text of bytes."""
        for way, tree in self.ways.items():
            if os.fsencode(way) in text:
                for found in pattern_of(way).finditer(text):
                    yield way, tree, found.end()


def pattern_of(way):
    """Find a path: /opt/netpoint is not in /opt/netpoint-3.5.0, nor /opt/netpoint-3.4.9 in /opt/netpoint-3.4.9.old."""
    return re.compile(BEGINNING + re.escape(os.fsencode(way)) + END)


def uid_of(name):
    try:
        return int(name) if name.isdigit() else pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


def owner_of(path):
    try:
        return os.stat(path).st_uid
    except OSError:
        return 0


def with_ending(name):
    return name if re.search(r"\.(service|timer|socket|path|target|mount)\Z", name) else name + ".service"


def names_in(folder):
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def read(path, most=LARGEST):
    """Return the bytes of a regular file, none of what is too large or no file: to open a device may do something."""
    try:
        found = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        known = os.fstat(found)
        if not stat.S_ISREG(known.st_mode) or known.st_size > most:
            return b""
        with open("/proc/self/fd/%d" % found, "rb") as file:
            return file.read(most)
    except OSError:
        return b""
    finally:
        os.close(found)


# ---- processes


Process = typing.NamedTuple(
    "Process",
    [("number", int), ("start", int), ("unit", str), ("user", str), ("tree", str), ("command", str),
     ("stranger", bool)],
)  # fmt: skip


def processes_of(installation, units):
    """Return the processes that run out of the releases, but for our own."""
    main_processes = units.main_processes
    mine = own_processes()
    session = stat_of(os.getpid())[2]
    found = []
    for number in sorted(int(name) for name in names_in("/proc") if name.isdigit()):
        with contextlib.suppress(OSError, ValueError, IndexError):
            _, _, its_session, start = stat_of(number)
            if number in mine or its_session == session:
                continue
            exe, cwd, words = executable(number), os.readlink("/proc/%d/cwd" % number), words_of(number)
            tree = tree_run(installation, number, exe, cwd, words)
            if tree and sees(number, tree) and not is_probe(number, words):
                unit, user = unit_of(number, main_processes), owner(number)
                command = command_of(installation, exe, cwd, words)
                stranger = bool(ANYBODYS.match(unit)) and installation.is_strangers(user, units)
                found.append(Process(number, start, unit, user, tree, command, stranger))
    return found


def stat_of(number):
    """Return parent, process group, session and start of a process."""
    with open("/proc/%d/stat" % number, "rb") as file:  # a process may call itself what is no text
        words = file.read().rpartition(b")")[2].split()
    return int(words[1]), int(words[2]), int(words[3]), int(words[19])


def own_processes():
    """Return us and what has started us."""
    found, number = set(), os.getpid()
    while number > 1 and number not in found:
        found.add(number)
        number = stat_of(number)[0]
    return found


def executable(number):
    return re.sub(r" \(deleted\)\Z", "", os.readlink("/proc/%d/exe" % number))


def words_of(number):
    with open("/proc/%d/cmdline" % number, "rb") as file:
        return [os.fsdecode(word) for word in file.read(8192).rstrip(b"\0").split(b"\0")]


def is_probe(number, words):
    """Whether it is a look at this server like ours, from another workstation."""
    own = os.stat("/proc/%d" % number).st_uid == os.geteuid()
    return own and any(os.fsencode(word).startswith(OURS) for word in words[1:6])


def tree_run(installation, number, exe, cwd, words):
    """Return the release that a process runs out of: what the kernel says counts more than what it calls itself."""
    tree = installation.tree_of(exe)
    name = os.path.basename(exe)
    if tree or not (PYTHONS.match(name) or SHELLS.match(name)):
        return tree
    if PYTHONS.match(name):
        paths = [*mapped_files(number), cwd, *(os.path.join(cwd, path) for path in paths_in(words))]
    else:
        paths = [path for path in (os.path.join(cwd, word) for word in words[1:]) if os.path.isfile(path)][:1]
    return next(filter(None, map(installation.tree_of, paths)), None)


def paths_in(words):
    """Yield what may be a path: each word, and the value of an option."""
    for word in words:
        yield word.partition("=")[2] if word.startswith("-") or ASSIGNMENT.match(word) else word


def mapped_files(number):
    with open("/proc/%d/maps" % number, errors="surrogateescape") as file:
        lines = file.read(4 * LARGEST).split("\n")
    return dict.fromkeys(line.split(None, 5)[5] for line in lines if line.count("/"))


def sees(number, tree):
    """Whether a release's path means the same to a process as to us: containers have folders of the same names."""
    its, ours = os.stat("/proc/%d/root%s" % (number, tree)), os.stat(tree)
    return (its.st_dev, its.st_ino) == (ours.st_dev, ours.st_ino)


def unit_of(number, main_processes):
    """Return the unit that a process belongs to: that of a parent's, else what its control group says."""
    parent = number
    for _ in range(100):
        if parent <= 1:
            break
        if parent in main_processes:
            return main_processes[parent]
        try:
            parent = stat_of(parent)[0]
        except OSError:  # it has just ended, and its child runs on
            break
    groups = read_proc("/proc/%d/cgroup" % number).split("\n")
    systemd = [line.split(":", 2)[2] for line in groups if line.startswith(("0::", "1:name=systemd:"))]
    parts = [part for path in systemd for part in path.split("/") if part.endswith((".service", ".scope"))]
    return parts[0] if parts else ""


def read_proc(path):
    with open(path, errors="surrogateescape") as file:
        return file.read(16 * LARGEST)


def owner(number):
    uid = os.stat("/proc/%d" % number).st_uid
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def command_of(installation, exe, cwd, words):
    """Name a process by its program and the file of a release that it runs, with what manage.py is to do."""
    told = [os.path.basename(exe)]
    for number, word in enumerate(words[1:], 2):
        if installation.tree_of(os.path.join(cwd, word)) and "/" + word != word and not word.startswith("-"):
            told.append(os.path.basename(word))
            if told[-1] == "manage.py" and number < len(words):
                told.append(words[number])
            break
    return " ".join(told)[:80]


# ---- units


class Units:
    """What systemd says of the units that have to do with the releases."""

    def __init__(self, installation):
        self.installation = installation
        self.texts, self.naming = {}, []
        self.told = shown(installation.services)

    def find(self):
        """Look for every unit whose files name a release."""
        self.texts = dict(unit_texts(self.installation, self.told))
        self.naming = [
            unit for unit in self.texts if "@." not in unit and runs_ours(self.installation, self.texts[unit])
        ]
        managers = {}
        for manager, folders in user_managers(self.installation, self.told):
            texts, enabled = user_units(folders)
            started = sorted(unit for unit in enabled if runs_ours(self.installation, started_by(unit, texts)))
            if started:
                managers[manager] = started
                self.texts[manager] = b"\n".join(started_by(unit, texts) for unit in started)
        self.naming += managers
        more = [*self.naming, *CRON_DAEMONS, self.installation.product + "-housekeeping.timer"]
        self.told.update(shown([name for name in more if name not in self.told]))
        for manager, started in managers.items():
            self.told.setdefault(manager, {})["Triggers"] = " ".join(started)
        return self

    def more(self, names):
        """Ask of the units that processes belong to, and of what starts any."""
        self.told.update(shown([name for name in names if name and name not in self.told]))
        triggers = [name for told in list(self.told.values()) for name in told.get("TriggeredBy", "").split()]
        self.told.update(shown([name for name in triggers if name not in self.told]))

    @property
    def main_processes(self):
        numbers = {unit: told.get("MainPID", "") for unit, told in self.told.items()}
        return {int(number): unit for unit, number in numbers.items() if number.isdigit() and number != "0"}

    def is_active(self, unit):
        return self.told.get(unit, {}).get("ActiveState") in {"active", "activating", "reloading"}


def runs_ours(installation, text):
    """Whether a unit's commands run something out of a release, by their path or by the folder they start in."""
    whole = text.replace(b"\\\n", b" ")
    folders = re.findall(rb"(?m)^[ \t]*WorkingDirectory[ \t]*=[ \t]*[-!]*(.*?)[ \t]*$", whole)
    inside = any(installation.tree_of(os.fsdecode(folder)) for folder in folders)
    commands = b"\n".join(re.findall(rb"(?m)^[ \t]*Exec\w+[ \t]*=[ \t]*[-@:+!|]*(.*)$", whole))
    values = b"\n".join(re.findall(rb"(?m)^[ \t]*Environment[ \t]*=(.*)$", whole))
    return runs(installation, with_scripts(commands), values, inside=inside)


def unit_texts(installation, told):
    """Yield each unit of an admin's or a package's with the text of its files."""
    texts = {}
    paths = [each.get("FragmentPath", "") for each in told.values()]
    folders = [installation.at(folder) for folder in UNIT_FOLDERS] + [os.path.dirname(path) for path in paths if path]
    for unit, path in unit_files(folders):
        texts[unit] = texts.get(unit, b"") + without_comments(read(path)) + b"\n"
    return texts.items()


def unit_files(folders):
    """Yield (unit, path) for each file and each link of a unit."""
    for folder in dict.fromkeys(map(os.path.realpath, folders)):
        for path in files_below(folder, time.monotonic() + SECONDS):
            found = UNIT_FILE.search(os.path.relpath(path, folder))
            if found:
                yield found.group("unit"), path


def user_managers(installation, told):
    """Yield (unit, folders) for each user's own systemd that is up: root's, that of the release's owner, of a service.

    What another user starts has no right to NetPoint's files, or is an admin's at work.
    """
    for uid in sorted(installation.own_uids(told)):
        if os.path.isdir(installation.at("run/user/%d" % uid)):
            folders = [installation.at(folder) for folder in USER_FOLDERS]
            with contextlib.suppress(KeyError):
                folders += [os.path.join(pwd.getpwuid(uid).pw_dir, folder) for folder in OWN_FOLDERS]
            yield "user@%d.service" % uid, folders


def user_units(folders):
    """Return the text of each unit, and the names of those that a user's systemd starts by itself."""
    texts, enabled = {}, set()
    for unit, path in unit_files(folders):
        if os.path.islink(path) and re.search(r"\.(wants|requires|upholds)/", path):
            enabled.add(unit)
        else:
            texts[unit] = texts.get(unit, b"") + without_comments(read(path)) + b"\n"
    return texts, enabled


def started_by(unit, texts):
    """Return the text of the service that a timer, a socket or a path starts, or of the service itself."""
    text = texts.get(unit, b"")
    named = re.findall(rb"(?m)^[ \t]*Unit[ \t]*=[ \t]*(\S+)", text)
    return text + texts.get(os.fsdecode(named[-1]) if named else os.path.splitext(unit)[0] + ".service", b"")


def without_comments(text):
    return re.sub(rb"(?m)^[ \t]*[#;].*$", b"", text)


def shown(names):
    """Return what `systemctl show` says of each unit."""
    if not names:
        return {}
    command = ["systemctl", "show", "-p", ",".join(SHOWN), *dict.fromkeys(names)]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=SECONDS
        )
    except FileNotFoundError:
        return {}
    told = {}
    for block in done.stdout.decode("utf-8", "replace").split("\n\n"):
        pairs = {}
        for name, _, value in (line.partition("=") for line in block.split("\n") if "=" in line):
            pairs[name] = (
                pairs[name] + " " + value if name in pairs else value
            )  # a timer has a line for each of its times
        if pairs.get("Id"):
            told[pairs["Id"]] = pairs
    return told


def files_below(folder, deadline):
    """Yield every file and link below a folder; links are not followed."""
    pending = [folder]
    while pending:
        with contextlib.suppress(OSError), os.scandir(pending.pop()) as entries:
            for entry in entries:
                if time.monotonic() > deadline:
                    raise TimeoutError("the files that may name a release were not read in %d seconds" % SECONDS)
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                else:
                    yield entry.path


# ---- cron


Job = typing.NamedTuple(
    "Job",
    [
        ("file", str),
        ("line", int),
        ("often", bool),
        ("text", bytes),
        ("script", str),
        ("user", str),
        ("stranger", bool),
    ],
)


def cron_jobs(installation, units):
    """Yield the jobs of cron that run something out of a release; one that only reads there, as a backup, is none."""
    for job in all_jobs(installation, units):
        is_link = job.script and not job.line
        if is_link or runs(installation, job.text):
            yield job


def all_jobs(installation, units):
    at = installation.at
    tables = [(at("etc/crontab"), parse_system_cron)]
    tables += [(path, parse_system_cron) for path in paths_of(at("etc/cron.d"))]
    tables += [(path, parse_cron) for path in files_below(at("var/spool/cron"), time.monotonic() + SECONDS)]
    tables += [(at("etc/anacrontab"), parse_anacron)]
    for path, parse in tables:
        for number, line in enumerate(read(path).split(b"\n"), 1):
            parsed = parse(line)
            if parsed:
                often, command, user = parsed
                user = user or os.path.basename(path)
                stranger = installation.is_strangers(user, units)
                # What a stranger's job names is nothing for root to open.
                text, script = (command, "") if stranger else (with_scripts(command), script_in(installation, command))
                yield Job(path, number, often, text, script, user, stranger)
    folders = {at("etc/cron." + name): often for name, often in CRON_FOLDERS.items()}
    folders.setdefault(installation.cron_dir, False)
    for folder, often in folders.items():
        for path in paths_of(folder):
            # What run-parts passes over: no program, and on Debian a name with a dot.
            if os.access(path, os.X_OK) and not (
                "." in os.path.basename(path) and os.path.exists(at("etc/debian_version"))
            ):
                text = without_comments(read(path))
                yield Job(path, 0, often, with_scripts(text), own_script(installation, path), "root", False)


def paths_of(folder):
    return [os.path.join(folder, name) for name in names_in(folder)]


CRON_LINE = re.compile(rb"\s*(?:@(?P<name>\w+)|[^\s#]\S*\s+(?P<hour>\S+)\s+\S+\s+\S+\s+\S+)\s+(?P<rest>\S.*)")


def parse_cron(line):
    """Return whether a line of a crontab is due often (not only at a few hours of a day), its command and no user."""
    found = CRON_LINE.match(line)
    if not found or re.match(rb"\s*[A-Za-z_]\w*\s*=", line):
        return None
    if found.group("name"):
        return found.group("name") in {b"hourly", b"every_minute"}, found.group("rest"), ""
    return not FEW_HOURS.match(os.fsdecode(found.group("hour"))), found.group("rest"), ""


def parse_system_cron(line):
    """Return the same of a line that names the user before the command."""
    parsed = parse_cron(line)
    words = parsed[1].split(None, 1) if parsed else []
    return parsed and (parsed[0], words[-1], os.fsdecode(words[0]))


def parse_anacron(line):
    """Return the same of a line of anacrontab (period in days, delay, name, command), which is never due often."""
    found = re.match(rb"\s*(?:\d+|@\w+)\s+\d+\s+\S+\s+(\S.*)", line)
    return found and (False, found.group(1), "root")


FEW_HOURS = re.compile(r"\d+(,\d+){0,3}\Z")
HOURS_APART = 4  # at least, of what starts a few times a day


def is_seldom(told):
    """Whether a timer starts something at a few hours of a day only, as systemd shows its times."""
    hours = re.findall(
        r"OnCalendar=[^;]*?([^\s:;]+):[^\s:;]+(?::[^\s;]+)?(?: [^;]+)? ;", told.get("TimersCalendar", "")
    )
    again = re.findall(r"OnUnit(?:Ina|A)ctiveUSec=([^;]*) ;", told.get("TimersMonotonic", ""))
    long = [re.match(r"(?:\d+(?:y|month|w|d)|(\d+)h)", span) for span in again]
    apart = [bool(found) and int(found.group(1) or 24) >= HOURS_APART for found in long]
    return bool(hours or again) and all(FEW_HOURS.match(hour) for hour in hours) and all(apart)


def with_scripts(text):
    """Return a command with what is in the scripts that it names: a job is often one line that calls a file."""
    scripts = [
        read(os.fsdecode(path), 65536) for path in re.findall(rb"(?<![^\s'\"=;(])/[^\s'\";|&<>()$`]+", text[:4096])[:5]
    ]
    return b"\n".join([text, *map(as_commands, scripts)])


def as_commands(script):
    """Return a script as a shell would read it; of another language, all of it as words of one command."""
    found = re.match(rb"#![ \t]*(\S+)(?:[ \t]+(\S+))?", script)
    if not found:
        return b""
    program = os.path.basename(found.group(2) or b"" if found.group(1).endswith(b"/env") else found.group(1))
    text = without_comments(script)
    if re.match(rb"(ba|da|z|k|a)?sh\Z", program):
        return text.replace(b"\\\n", b" ")
    return program + b" " + SEPARATOR.sub(b" ", text)


def script_in(installation, command):
    """Return the script of a release that a command names."""
    for way, _, end in installation.named_in(command):
        path = way + os.fsdecode(re.match(rb"[^\s'\";|&<>()]*", command[end:]).group())
        if path.endswith(".sh"):
            return os.path.realpath(path)
    return ""


def own_script(installation, path):
    target = os.path.realpath(path)
    return target if installation.tree_of(target) else ""


def housekeeping(installation, units, jobs):
    """Return what schedules housekeeping and where; one predicate for the probe and for the step that schedules it."""
    for unit in [name for name in units.naming if b"housekeeping" in units.texts[name]]:
        for starter in (unit, *units.told.get(unit, {}).get("TriggeredBy", "").split()):
            if (starter.startswith("user@") or starter.endswith(".timer")) and units.is_active(starter):
                return "timer", starter
    usual = installation.product + "-housekeeping.timer"
    if units.is_active(usual):
        return "timer", usual
    broken = ("", "")
    for job in jobs:
        if job.stranger:
            continue
        if b"housekeeping" in job.text or "housekeeping" in os.path.basename(job.script):
            if starts(installation, job):
                return "cron", job.file
            broken = "broken", job.file
    link = os.path.join(installation.cron_dir, installation.product + "-housekeeping")
    if os.path.islink(link) and not os.path.exists(link):
        return "dangling", link
    return broken


def starts(installation, job):
    """Whether the programs and files that a job names are there: a script of another root names some that are not."""
    text = without_comments(job.text)
    paths = [
        way + os.fsdecode(re.match(rb"[^\s'\";|&<>()]*", text[end:]).group())
        for way, _, end in installation.named_in(text)
    ]
    usual = os.fsencode("/opt/" + installation.product)
    paths += [os.fsdecode(path) for path in re.findall(rb"(?<![^\s'\"=])" + usual + rb"/[^\s'\";|&<>()]*", text)]
    return all(os.path.exists(path) for path in paths if re.search(r"/venv/|\.py\Z|\.sh\Z", path))


# ---- what commands run


SEPARATOR = re.compile(rb"[\n;|&()`]+")
WORD = re.compile(rb"[^\s'\"]+")
SET_TO_OURS = re.compile(rb"(?<![\w$])([A-Za-z_]\w*)=[\"']?(/\x01[^\s\"';]*)")
ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")


def marked(installation, text):
    """Return a text with a mark in place of each of our paths: they may hold blanks and quotes, which part words."""
    for number, way in enumerate(installation.ways):
        if os.fsencode(way) in text:
            text = pattern_of(way).sub(b"/\1%d\1" % number, text)
    return text


def unmarked(installation, path):
    """Return a path of ours as it is, and nothing for another one."""
    found = re.match("/\1(\\d+)\1", path)
    return list(installation.ways)[int(found.group(1))] + path[found.end() :] if found else ""


def with_values(text):
    """Return a marked text with our paths in place of the variables that are set to them."""
    for name, value in SET_TO_OURS.findall(text):
        used = rb"\$(?:%s\b|\{%s(?:[:=-][^}]*)?\})" % (name, name)
        text = re.sub(used, value.replace(b"\\", rb"\\"), text)
    return text


def runs(installation, text, values=b"", *, inside=False):
    """Whether commands, as a shell reads them, run something out of a release.

    `values` is what sets variables besides, and `inside` says that the commands begin in a release.
    """
    for command in SEPARATOR.split(with_values(marked(installation, values + b"\n" + text))):
        words = given_to_shell([os.fsdecode(word) for word in WORD.findall(command)])
        if words[:1] in (["cd"], ["pushd"]):
            folder = next((word for word in words[1:] if not word.startswith("-")), "/")
            inside = bool(unmarked(installation, folder)) if folder.startswith("/") else inside
        elif runs_command(installation, words, inside=inside):
            return True
    return False


def given_to_shell(words):
    """Return what a shell among the words is given to run (`sh -c '...'`), or the words themselves."""
    before = words[: words.index("-c")] if "-c" in words else []
    is_shell = any(SHELLS.match(os.path.basename(word)) or word == "su" for word in before)
    return words[len(before) + 1 :] if is_shell else words


def runs_command(installation, words, *, inside):
    started = False
    for number, word in enumerate(words):
        name = os.path.basename(word)
        if ASSIGNMENT.match(word):
            continue
        if is_program(installation, word, inside=inside):
            return True
        if PYTHONS.match(name) or BY_PYTHON.match(name):
            return inside or any(leads_python(installation, path) for path in paths_in(words))
        if SHELLS.match(name) or name in {".", "source"}:
            return any(is_program(installation, path, inside=inside) for path in words[number + 1 :])
        if READERS.match(name) or not (started or STARTERS.match(name)):
            return False
        started = True
    return False


def is_program(installation, path, *, inside):
    """Whether a word is the path of a program of a release."""
    if path.startswith("/"):
        ours = unmarked(installation, path)
        return bool(ours) and (bool(PROGRAM.search(path)) or (os.path.isfile(ours) and os.access(ours, os.X_OK)))
    return inside and "/" in path and bool(PROGRAM.search(path))


def leads_python(installation, path):
    """Whether an argument lets a Python run code of a release: a file of it, or its folders."""
    folders = [way + rest for way in installation.ways for rest in ("", "/" + installation.product)]
    ours = unmarked(installation, path)
    return os.path.normpath(ours or path) in folders or is_program(installation, path, inside=False)


# ---- sessions of NetPoint's role in the database


Session = typing.NamedTuple(
    "Session",
    [("application", str), ("address", str), ("elsewhere", bool), ("process", int), ("unit", str), ("user", str),
     ("command", str), ("seconds", int)],
)  # fmt: skip


Row = typing.NamedTuple(
    "Row",
    [("number", str), ("port", str), ("address", str), ("ours", str), ("database", str), ("seconds", str),
     ("host", str), ("reached_by", str), ("database_port", str), ("application", str)],
)  # fmt: skip


def held_rows(installation, text):
    """Yield what sessions.sql has listed, with what tells who holds it."""
    lines = [line.partition("=")[2].split(" ", 9) for line in text.split("\n") if line.startswith("db.session=")]
    holders = Holders(installation) if lines else None
    for line in lines:
        yield Row(*line), holders


class Holders:
    """Which processes of this server hold sessions, and which are programs that pass sessions on.

    Such a program (a pooler, the proxy of a container) listens where the database is reached. Its own clients are not
    known.
    """

    def __init__(self, installation):
        self.installation, self.sockets, self.units = installation, Sockets(), Units(installation)
        self.services = {*installation.services, *self.units.told}

    def of(self, row):
        return self.sockets.holders.get(self.sockets.of_session(row), [])

    def places(self, processes):
        """Return the units of processes, and those that are in none by their numbers."""
        return {unit_of(process, self.units.main_processes) or process for process in processes}

    def relays(self, row):
        return self.sockets.listeners(int(row.reached_by))

    def named(self, row):
        """Name the process that holds a session, unless it is a service's, passes it on, or has just ended."""
        holders = self.of(row)
        with contextlib.suppress(OSError, ValueError, IndexError):
            if holders and not self.places(holders) & (self.services | self.places(self.relays(row))):
                return named_process(self.installation, holders[0], self.units.main_processes)
        return 0, "", "", ""

    def is_pooled(self, row, addresses):
        """Whether a program that passes sessions on holds a session: one of this server, or where ours comes from."""
        with contextlib.suppress(OSError, ValueError, IndexError):
            holders = self.of(row)
            if not holders:  # the pooler may be on the database's own server
                by_pooler = (
                    row.ours not in addresses if is_elsewhere(row.ours) else not is_own_host(row.host, addresses)
                )
                return by_pooler and row.address == row.ours
            relays = [relay for relay in self.relays(row) if os.path.basename(executable(relay)) not in DATABASES]
            places = self.places(holders)
            return bool(places & self.places(relays)) and not places & self.services
        return False


def is_elsewhere(address):
    return address != "-" and not ipaddress.ip_address(address).is_loopback


@functools.lru_cache(maxsize=None)  # all sessions were reached by one
def is_own_host(host, addresses):
    """Whether the host of a connection, a folder of sockets too, is this server."""
    if not host or host.startswith(("/", "@")):
        return True
    found = {found[4][0] for found in socket.getaddrinfo(host, None)}
    return all(address in addresses or not is_elsewhere(address) for address in found)


def sessions_of(installation, text):
    """Return the sessions of a list that psql printed, with the process of this server that holds each."""
    found = []
    for row, holders in held_rows(installation, text):
        elsewhere = is_elsewhere(row.address) and row.address not in {row.ours, row.database} and not holders.of(row)
        named = holders.named(row)
        seconds = max(0, int(float(row.seconds)))
        found.append(Session(row.application, row.address.replace("-", ""), elsewhere, *named, seconds))
    return found


def named_process(installation, number, main_processes):
    command = command_of(installation, executable(number), os.readlink("/proc/%d/cwd" % number), words_of(number))
    return number, unit_of(number, main_processes), owner(number), command


class Sockets:
    """The sockets of this server by their inodes, and the processes that hold each."""

    def __init__(self):
        self.holders = {}
        for number in (int(name) for name in names_in("/proc") if name.isdigit()):
            for inode in sockets_held(number):
                self.holders.setdefault(inode, []).append(number)
        self.internet = list(internet_sockets())
        self.connections = {(at, far): inode for at, far, listens, inode in self.internet if inode and not listens}
        # Number, references, protocol, flags, type, state, inode, path.
        lines = [line.split(None, 7) for line in read_proc("/proc/net/unix").split("\n") if "/.s.PGSQL." in line]
        self.named = {int(words[6]): (int(words[3], 16), words[7]) for words in lines}
        self.peers = {}
        with contextlib.suppress(OSError):  # a kernel that cannot tell
            self.peers = dict(unix_peers())

    def of_session(self, row):
        """Return the other end of a session: of a connection, or of the socket that a process of PostgreSQL serves."""
        if int(row.port) <= 0:
            held = sockets_held(int(row.number))
            return next((self.peers.get(inode) for inode in held if inode in self.named), None)
        ways = [((row.address, int(row.port)), int(far)) for far in (row.database_port, row.reached_by)]
        return next((self.connections[way] for way in ways if way in self.connections), None)

    def listeners(self, port):
        """Return the processes that take connections where the database is reached."""
        inodes = {inode for (_, at), _, listens, inode in self.internet if listens and at == port}
        ending = "/.s.PGSQL.%d" % port
        inodes |= {inode for inode, (flags, path) in self.named.items() if flags & 0x10000 and path.endswith(ending)}
        return {number for inode in inodes for number in self.holders.get(inode, [])}


def sockets_held(number):
    folder = "/proc/%d/fd" % number
    for name in names_in(folder):
        with contextlib.suppress(OSError):
            found = re.match(r"socket:\[(\d+)\]", os.readlink(os.path.join(folder, name)))
            if found:
                yield int(found.group(1))


def internet_sockets():
    """Yield ((address, port), port of the other end, whether it listens, inode) of each socket of TCP."""
    for name in ("tcp", "tcp6"):
        if os.path.exists("/proc/net/" + name):
            for words in map(str.split, read_proc("/proc/net/" + name).split("\n")[1:]):
                if len(words) > 9:
                    address, _, port = words[1].partition(":")
                    far = int(words[2].partition(":")[2], 16)
                    yield (spelled_address(address), int(port, 16)), far, words[3] == "0A", int(words[9])


def spelled_address(digits):
    """Spell an address of /proc, which has it in words of this machine, as PostgreSQL does."""
    words = [int(digits[at : at + 8], 16) for at in range(0, len(digits), 8)]
    address = ipaddress.ip_address(struct.pack("=%dI" % len(words), *words))
    return str(getattr(address, "ipv4_mapped", None) or address)


def unix_peers():
    """Yield the two ends of each connection by a socket of the file system: sock_diag(7)."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4) as asked:
        asked.settimeout(10)
        # A header (20: by family; 0x301: all of them), and a question (all states; 4: with the other end).
        asked.send(struct.pack("=IHHIIBBHIIIII", 40, 20, 0x301, 1, 0, socket.AF_UNIX, 0, 0, 2**32 - 1, 0, 4, 0, 0))
        while True:
            answer = asked.recv(2**16)
            while len(answer) >= 16:
                length, kind = struct.unpack_from("=IH", answer)
                if kind != 20:  # the end, or an error
                    return
                # Behind its 16 bytes: family, type, state, inode, cookie, and what was asked for (2 is the other end).
                (inode,) = struct.unpack_from("=I", answer, 20)
                at = 32
                while at + 8 <= length:
                    size, name, value = struct.unpack_from("=HHI", answer, at)
                    if name == 2:
                        yield inode, value
                    at += max(4, (size + 3) & ~3)
                answer = answer[(length + 3) & ~3 :]


def strangers(sessions, addresses):
    """Name the sessions that stopping the services does not end; the addresses are this server's own."""
    for session in sessions:
        name = session.command or session.application
        if session.process:
            yield "%s (process %d of %s, %s)" % (name, session.process, session.user, session.unit or "no unit")
        elif session.elsewhere and session.address not in addresses:
            yield session.address + (" (%s)" % session.application if session.application else "")


# ---- links, mounts, and files that name a release


def middle_links(installation):
    """Return the links between the root and the release, which an upgrade passes by."""
    found, link = [], installation.root
    while os.path.islink(link) and len(found) < 20:  # more, and it leads round in circles
        link = os.path.normpath(os.path.join(os.path.dirname(link), os.readlink(link)))
        if os.path.islink(link):
            found.append(link)
    return found


def mounts(installation):
    """Yield what is mounted at or below a release, or would be at the next boot."""
    found = []
    for line in read_proc("/proc/self/mountinfo").split("\n"):
        words = line.split(" ")
        if len(words) > 4:
            found.append(unescaped(words[4]))
    for line in read(installation.at("etc/fstab")).split(b"\n"):
        words = os.fsdecode(line).split()
        if len(words) > 1 and not words[0].startswith("#"):
            found.append(os.path.realpath(unescaped(words[1])))
    return [path for path in dict.fromkeys(found) if path != "/" and installation.tree_of(path)]


def unescaped(path):
    return re.sub(r"\\([0-7]{3})", lambda code: chr(int(code.group(1), 8)), path)


Mention = typing.NamedTuple(
    "Mention", [("kind", str), ("tree", str), ("path", str), ("file", str), ("line", int), ("unit", str)]
)


def mentions(installation, units):
    """Yield each place that names a release's own folder, or another way to it than the root."""
    if installation.real == installation.root:  # a checkout has no other name
        return
    files, links = naming_files(installation)
    targets = [(link, os.path.join(os.path.dirname(link), os.readlink(link))) for link in links]
    for link, path in targets + local_links(installation):
        target = os.path.normpath(path)
        tree = installation.tree_of(target)
        if tree and not (target + "/").startswith(installation.root + "/"):
            yield Mention("link", tree, target, link, 0, "")
    led_to = {os.path.realpath(link) for link in links}
    for path in files + local_files(installation):
        for number, way in named_lines(installation, path):
            kind = kind_of(installation, path, led_to, units)
            yield Mention(kind, installation.ways[way], way, path, number, unit_named(path))


def naming_files(installation):
    """Return the files and the links of an admin, and of packages the units."""
    deadline = time.monotonic() + SECONDS
    places = dict.fromkeys(os.path.realpath(installation.at(place)) for place in NAMING_PLACES)
    paths = [path for place in places for path in files_below(place, deadline)]
    links = [path for path in paths if os.path.islink(path)]
    return [path for path in paths if not os.path.islink(path) and not PUT_ASIDE.search(path)], links


def named_lines(installation, path):
    """Yield (line, path) for each line that names a release by another path than the root."""
    text = read(path)
    if any(os.fsencode(way) in text for way in installation.ways if way != installation.root):
        for number, line in enumerate(text.split(b"\n"), 1):
            if not line.lstrip().startswith((b"#", b";", b"//")):
                named = [way for way, _, _ in installation.named_in(line) if way != installation.root]
                for way in named[:1]:
                    yield number, way


def kind_of(installation, path, led_to, units):
    inside = os.path.relpath(path, os.path.realpath(installation.system))
    if installation.tree_of(path):
        return "local"
    if unit_named(path):
        return "unit"
    if WEB_SERVERS.match(inside):
        return "web" if "-available/" not in inside or path in led_to else "other"
    if inside.startswith("var/spool/cron/") and installation.is_strangers(os.path.basename(path), units):
        return "other"
    return "cron" if re.match(r"etc/cron|etc/anacrontab|var/spool/cron", inside) else "other"


def unit_named(path):
    found = UNIT_FILE.search(path)
    return found.group("unit") if found and "/systemd/" in path else ""


def local_files(installation):
    """Return what an admin has in the current release and takes along to the next one."""
    own = os.path.join(installation.real, installation.product, installation.product)
    paths = [*paths_of(installation.real), *(path for path in paths_of(own) if path.endswith(".py"))]
    return [path for path in paths if os.path.isfile(path) and not os.path.islink(path)]


def local_links(installation):
    """Return (link, target) of each link in the current release, the targets as of another release's links."""
    own = os.path.join(installation.real, installation.product)
    elsewhere = os.path.join(os.path.dirname(installation.real), "\1")
    found = []
    for path in (
        path
        for folder in (installation.real, own, os.path.join(own, installation.product))
        for path in paths_of(folder)
    ):
        if os.path.islink(path):
            folder = elsewhere + os.path.dirname(path)[len(installation.real) :]
            found.append((path, os.path.join(folder, os.readlink(path))))
    return found


def stray_packages(installation):
    """Yield packages of Django beside the release's own that did not come with its archive: files of another time."""
    if installation.real == installation.root:
        return
    brought = ("upgrade.sh", "requirements.txt", os.path.join(installation.product, "manage.py"))
    paths = [os.path.join(installation.real, name) for name in brought]
    times = {int(os.stat(path).st_mtime) for path in paths if os.path.isfile(path)}
    if len(times) != 1:  # the times of the archive were not kept: nothing can be told
        return
    came = times.pop()
    for name in names_in(os.path.join(installation.real, installation.product)):
        folder = os.path.join(installation.real, installation.product, name)
        marks = [
            os.path.join(folder, mark) for mark in ("apps.py", "migrations/__init__.py", "models.py", "__init__.py")
        ]
        there = [mark for mark in marks if os.path.isfile(mark)]
        if any(mark.endswith(("apps.py", "migrations/__init__.py")) for mark in there) and all(
            int(os.stat(mark).st_mtime) != came for mark in there
        ):
            yield name


# ---- what is printed


def say(line):
    sys.stdout.buffer.write(line.encode("utf-8", "surrogateescape") + b"\n")


def plain(text):
    """Return a text on one line, without control characters and halves of letters."""
    whole = str(text).encode("utf-8", "replace").decode("utf-8")
    return re.sub("[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", whole)[:1000]


def facts(installation):
    """Print every fact, at most so many of a kind; what has several values as JSON, in ASCII."""
    counts = {}
    for name, value in everything(installation):
        counts[name] = counts.get(name, 0) + 1
        if counts[name] <= MOST:
            say("{}={}".format(name, json.dumps(value) if isinstance(value, dict) else plain(value)))
    say("tree_users.complete=yes")


def everything(installation):
    # By the clock that systemd goes by: /proc/uptime of a container is the container's own (LXC).
    yield "host.uptime", "%d" % time.monotonic()
    units = Units(installation).find()
    running = strangers_last(processes_of(installation, units))
    units.more([process.unit for process in running if process.unit.endswith(".service")])
    for process in running:
        yield "process", values(process, "number", "unit", "user", "tree", "command", "stranger")
    for unit in unit_values(units, [process for process in running if not process.stranger]):
        yield "tree_unit", unit
    jobs = strangers_last(cron_jobs(installation, units))
    for job in jobs:
        known = values(job, "file", "line", "often", "user", "stranger")
        yield "cron_job", dict(known, housekeeping=b"housekeeping" in job.text)
    yield "housekeeping", housekeeping(installation, units, jobs)[0]
    for name, find in (("mount", mounts), ("middle_link", middle_links), ("stray_package", stray_packages)):
        for found in find(installation):
            yield name, found
    for mention in sorted(mentions(installation, units), key=lambda mention: mention.kind == "other"):
        yield "mention", values(mention, *mention._fields)


def strangers_last(found):
    """Order so that strangers cannot fill the lines that are printed at most."""
    return sorted(found, key=lambda each: each.stranger)


def unit_values(units, running):
    naming = set(units.naming) | {process.unit for process in running}
    for unit, told in units.told.items():
        if told.get("LoadState", "loaded") != "not-found":
            known = {"active": "ActiveState", "kind": "Type", "user": "User"}
            found = {key: printable(told.get(name, "")) for key, name in known.items()}
            more = {"triggers": told.get("Triggers", "").split(), "in_tree": unit in naming, "seldom": is_seldom(told)}
            yield dict(found, name=printable(unit), **more)


def print_sessions(installation):
    counts, ages = {}, {}
    for session in sessions_of(installation, sys.stdin.read()):
        key = session._replace(seconds=0)
        counts[key] = counts.get(key, 0) + 1
        ages[key] = max(ages.get(key, 0), session.seconds)
    for key in list(counts)[:MOST]:
        say("session=" + json.dumps(dict(values(key, *key._fields), count=counts[key], seconds=ages[key])))


def print_strangers(installation, addresses):
    found = dict.fromkeys(strangers(sessions_of(installation, sys.stdin.read()), addresses.split()))
    say(plain("; ".join(list(found)[:3])))


def print_pooled(installation, addresses):
    own = frozenset(addresses.split())
    rows = held_rows(installation, sys.stdin.read())
    say(",".join(str(int(row.number)) for row, holders in rows if holders.is_pooled(row, own)))


def values(found, *names):
    return {name: printable(getattr(found, name)) for name in names}


def printable(value):
    return plain(value) if isinstance(value, str) else value


def own_processes_of(installation, units):
    return [process for process in processes_of(installation, units) if not process.stranger]


def processes(installation):
    for process in own_processes_of(installation, Units(installation)):
        say(
            " ".join(
                [
                    process.unit or "-",
                    str(process.number),
                    str(process.start),
                    process.tree.replace(" ", "\\x20"),
                    plain(process.command),
                ]
            )
        )


def left(installation, whose, seconds):
    """Wait for the end of what runs out of the releases, and print who is left after so many seconds."""
    units = Units(installation)
    end = time.monotonic() + int(seconds)
    while True:
        running = own_processes_of(installation, units)
        running = [process for process in running if whose == "any" or process.unit not in installation.services]
        if not running or time.monotonic() > end:
            break
        time.sleep(1)
        units.told.update(shown(list(units.told)))
    named = "{0.command} (process {0.number} of {1})"
    say("; ".join(plain(named.format(process, process.unit or "no unit")) for process in running[:3]))


def compare(installation, before):
    """Compare what runs with what ran before; prints `same`, `other` or `wrong`, and why."""
    with open(before, errors="surrogateescape") as file:
        lines = [line.split(" ", 4) for line in file.read().split("\n") if line.count(" ") > 3]
    running = own_processes_of(installation, Units(installation))
    services = set(installation.services)
    was = {(int(number), int(start)) for _, number, start, _, _ in lines}
    kept = [(process, "still runs as before") for process in running if (process.number, process.start) in was]
    # Not wrong by itself: a plugin may lie in the folder of another release.
    left = kept + [(process, "runs out of " + process.tree) for process in running if process.tree != installation.real]
    ran = {line[0] for line in lines} & services
    runs = [process.unit for process in running if process.unit in services]
    changes = [unit + " ran before and does not run now" for unit in sorted(ran.difference(runs))]
    changes += [unit + " runs now and did not before" for unit in sorted(set(runs) - ran)]
    changes += [
        "process {} of {} ({}) {}".format(process.number, process.unit or "no unit", process.command, why)
        for process, why in left
    ]
    counts = ", ".join("{} ({})".format(unit, runs.count(unit)) for unit in sorted(set(runs)))
    if any(process.unit in services for process, _ in kept):
        say("wrong " + plain("; ".join(changes)))
    elif changes:
        say("other " + plain("; ".join(changes)))
    elif counts:
        say("same " + plain("{}: as before, in new processes out of {}".format(counts, installation.real)))


def print_facts(installation):
    try:
        facts(installation)
    except Exception as error:  # noqa: BLE001  a probe goes on, and says what it could not see
        say("tree_users.error=" + plain("{}: {}".format(type(error).__name__, error)))


def print_housekeeping(installation):
    units = Units(installation).find()
    units.more([])
    found = housekeeping(installation, units, cron_jobs(installation, units))
    if found[0]:
        say(" ".join(found))


# With how many words of its own.
VERBS = {
    "facts": (0, print_facts),
    "processes": (0, processes),
    "left": (2, left),
    "compare": (1, compare),
    "housekeeping": (0, print_housekeeping),
    "sessions": (0, print_sessions),
    "strangers": (1, print_strangers),
    "pooled": (1, print_pooled),
}


def main(verb, *words):
    count, run = VERBS[verb]
    run(Installation(*words[count:]), *words[:count])


if __name__ == "__main__":
    main(*sys.argv[1:])
