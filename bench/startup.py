"""How long an operator waits for `fab --list`: `python -m bench.startup`.

Beside it, in turns: a bare Python, and `fab --list` of a fabfile that has nothing, which is Fabric's own share.
"""

import argparse
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

PROJECT = Path(__file__).parent.parent
WANTED = 0.5  # seconds
FABFILE = "from fabric import task\n\n\n@task\ndef nothing(c):\n    pass\n"


def main() -> int:
    """Measure and print; 1 where a command fails."""
    parser = argparse.ArgumentParser(prog="python -m bench.startup", description="How long `fab --list` takes.")
    parser.add_argument("--rounds", type=int, default=10, help="how often each is started (default: %(default)s)")
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        (Path(folder) / "fabfile.py").write_text(FABFILE)
        fab, own = (str(Path(sys.executable).parent / name) for name in ("fab", "netpoint-remote"))
        commands = {
            "python -c pass": ([sys.executable, "-c", "pass"], Path(folder)),
            "fab --list, empty fabfile": ([fab, "--list"], Path(folder)),
            "fab --list": ([fab, "--list"], PROJECT),
            "netpoint-remote --list": ([own, "--list"], Path(folder)),
        }
        try:
            taken = _measure(commands, rounds)
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"nothing measured: {error}", file=sys.stderr)
            return 1
    print(f"{rounds} rounds, Python {platform.python_version()}; seconds: median (least-most)")
    for name, seconds in taken.items():
        print(f"{name:<26} {median(seconds):.3f} ({min(seconds):.3f}-{max(seconds):.3f})")
    share = median(taken["fab --list"]) / median(taken["fab --list, empty fabfile"])
    print(f"fab --list: {share:.2f} times that of an empty fabfile")
    verdict = "met" if median(taken["fab --list"]) < WANTED else "MISSED"
    print(f"fab --list: wanted under {WANTED} s: {verdict}")
    return 0


def _measure(commands: dict[str, tuple[list[str], Path]], rounds: int) -> dict[str, list[float]]:
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, (command, folder) in commands.items():
            begun = time.perf_counter()
            subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, check=True)
            if number:  # the first one reads the files into memory and writes the .pyc
                taken[name].append(time.perf_counter() - begun)
    return taken


if __name__ == "__main__":
    sys.exit(main())
