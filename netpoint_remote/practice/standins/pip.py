"""A pip of a few commands: pure wheels from a folder (PIP_FIND_LINKS or --find-links), no network, no solver."""

# ruff: noqa: ARG001
# Every command takes the same two arguments, whether it needs them or not.

import os
import re
import shlex
import shutil
import sys
import zipfile

from pip.scripts import write_script  # a copy of ours, beside this file in the environment

VALUED = {"-r", "-c", "-f", "-w", "-d", "-i", "--requirement", "--constraint", "--find-links", "--wheel-dir", "--dest",
          "--index-url", "--extra-index-url", "--cache-dir", "--timeout", "--retries", "--log", "--proxy"}  # fmt: skip
SHORT = {"-r": "--requirement", "-c": "--constraint", "-f": "--find-links", "-w": "--wheel-dir", "-d": "--dest"}


def main() -> int:
    words = sys.argv[1:]
    if {"-V", "--version"} & set(words):
        print(f"pip {version()} from {here()}/pip (python {sys.version_info.major}.{sys.version_info.minor})")
        return 0
    options, rest = parse(words)
    command, *names = rest or ["help"]
    try:
        return COMMANDS[command](names, options)
    except KeyError:
        print(f'ERROR: unknown command "{command}"', file=sys.stderr)
    except LookupError as error:
        print(f"ERROR: {error}", file=sys.stderr)
    return 1


def parse(words: "list[str]") -> "tuple[dict[str, list[str]], list[str]]":
    options: dict[str, list[str]] = {}
    rest = []
    pending = iter(words)
    for word in pending:
        name, equals, value = word.partition("=")
        if not word.startswith("-"):
            rest.append(word)
        elif name in VALUED:
            options.setdefault(SHORT.get(name, name), []).append(value if equals else next(pending, ""))
        else:
            options.setdefault(word, [])
    return options, rest


def install(names: "list[str]", options: "dict[str, list[str]]") -> int:
    for name, wanted in requirements(names, options):
        there = installed().get(name)
        if there and fits(there, wanted):
            print(f"Requirement already satisfied: {name} in {here()} ({there})")
            continue
        wheel = find(name, wanted, options)
        print(f"Processing {wheel}")
        unpack(wheel)
        print(f"Successfully installed {name}-{wheel_version(wheel)}", flush=True)
    return 0


def collect(names: "list[str]", options: "dict[str, list[str]]") -> int:
    """Gather the wheels in a folder (`pip wheel`, `pip download`)."""
    folder = (options.get("--wheel-dir") or options.get("--dest") or ["."])[0]
    os.makedirs(folder, exist_ok=True)
    for name, wanted in requirements(names, options):
        wheel = find(name, wanted, options)
        target = os.path.join(folder, os.path.basename(wheel))
        if os.path.abspath(wheel) != os.path.abspath(target):
            shutil.copy(wheel, target)
        print(f"Saved {target}", flush=True)
    return 0


def check(names: "list[str]", options: "dict[str, list[str]]") -> int:
    print("No broken requirements found.")
    return 0


def freeze(names: "list[str]", options: "dict[str, list[str]]") -> int:
    for name, number in sorted(installed().items()):
        if name != "pip":
            print(f"{name}=={number}")
    return 0


def requirements(names: "list[str]", options: "dict[str, list[str]]") -> "list[tuple[str, str]]":
    """Return (name, specifier) of all that is asked for, each constraint added to what it is about."""
    asked = [split(name) for name in names]
    for path in options.get("--requirement", []):
        asked += [split(line) for line in read(path)]
    files = options.get("--constraint", []) + shlex.split(os.environ.get("PIP_CONSTRAINT", ""))
    bounds = dict(split(line) for path in files for line in read(path))
    return [(name, ",".join(filter(None, (wanted, bounds.get(name, ""))))) for name, wanted in asked]


def read(path: str) -> "list[str]":
    try:
        with open(path.replace("file://", "", 1), encoding="utf-8") as file:
            lines = [line.split("#", 1)[0].strip() for line in file]
    except OSError as error:
        raise LookupError(f"Could not open requirements file: {error}") from None
    return [line for line in lines if line]


def split(text: str) -> "tuple[str, str]":
    plain = text.split(";", 1)[0].strip()
    found = re.match(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?\s*(.*)$", plain)
    if not found:
        raise LookupError(f"Invalid requirement: {text!r}")
    return re.sub(r"[-_.]+", "-", found.group(1)).lower(), found.group(2).replace(" ", "")


def find(name: str, wanted: str, options: "dict[str, list[str]]") -> str:
    folders = options.get("--find-links", []) + shlex.split(os.environ.get("PIP_FIND_LINKS", ""))
    fitting = [
        os.path.join(folder, file)
        for folder in (folder.replace("file://", "", 1) for folder in folders)
        if os.path.isdir(folder)
        for file in os.listdir(folder)
        if file.endswith(".whl") and split(file.split("-")[0])[0] == name and fits(wheel_version(file), wanted)
    ]
    if not fitting:
        print(f"ERROR: Could not find a version that satisfies the requirement {name}{wanted}", file=sys.stderr)
        raise LookupError(f"No matching distribution found for {name}{wanted}")
    return max(fitting, key=lambda path: numbers(wheel_version(path)))


def wheel_version(path: str) -> str:
    return os.path.basename(path).split("-")[1]


def fits(number: str, wanted: str) -> bool:
    tests = {
        "==": lambda a, b: a == b, "!=": lambda a, b: a != b, ">=": lambda a, b: a >= b,
        "<=": lambda a, b: a <= b, "<": lambda a, b: a < b, ">": lambda a, b: a > b, "~=": lambda a, b: a >= b,
    }  # fmt: skip
    clauses = re.findall(r"(==|!=|>=|<=|~=|<|>)([^,]+)", wanted)
    return all(tests[sign](numbers(number), numbers(bound)) for sign, bound in clauses)


def numbers(text: str) -> "tuple[int, ...]":
    found = [int(part) for part in re.findall(r"\d+", text)]
    while found and found[-1] == 0:
        found.pop()
    return tuple(found)


def unpack(wheel: str) -> None:
    with zipfile.ZipFile(wheel) as content:
        content.extractall(here())
        points = [name for name in content.namelist() if name.endswith(".dist-info/entry_points.txt")]
        text = content.read(points[0]).decode() if points else ""
    for command, module, function in re.findall(r"^(\S+) = ([\w.]+):(\w+)$", text, re.MULTILINE):
        write_script(sys.prefix, command, module, function)


def installed() -> "dict[str, str]":
    records = [name[: -len(".dist-info")] for name in os.listdir(here()) if name.endswith(".dist-info")]
    return {split(record.rsplit("-", 1)[0])[0]: record.rsplit("-", 1)[1] for record in records}


def here() -> str:
    lib = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return os.path.join(sys.prefix, "lib", lib, "site-packages")


def version() -> str:
    return installed().get("pip", "?")


COMMANDS = {"install": install, "wheel": collect, "download": collect, "check": check, "freeze": freeze, "list": freeze}

if __name__ == "__main__":
    sys.exit(main())
