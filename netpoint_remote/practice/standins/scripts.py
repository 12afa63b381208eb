"""Write the commands of a virtual environment; a copy lies beside the pip of every such environment."""

import os

LONGEST = 127  # the kernel reads no more of a first line


def write_script(environment: str, name: str, module: str, function: str) -> None:
    """Write a command into an environment, as pip does: bound to this place by its first line."""
    python = os.path.join(environment, "bin", "python3")
    first = f"#!{python}\n"
    if len(first) > LONGEST or " " in python:
        first = f"#!/bin/sh\n'''exec' \"{python}\" \"$0\" \"$@\"\n' '''\n"
    body = f"import sys\nfrom {module} import {function}\nif __name__ == '__main__':\n    sys.exit({function}())\n"
    path = os.path.join(environment, "bin", name)
    write(path, first + body)
    os.chmod(path, 0o755)  # noqa: S103  a program


def write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
