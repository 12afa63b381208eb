"""Serve practice servers without the command line: `python -m netpoint_remote.practice --dir DIR --servers ...`."""

import argparse
import sys
from pathlib import Path

from netpoint_remote.errors import UsageError
from netpoint_remote.practice import parse_servers, serve


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m netpoint_remote.practice", description=__doc__)
    parser.add_argument("--dir", type=Path, required=True, help="a new folder for all that the servers have")
    parser.add_argument("--servers", required=True, help="such as np1=3.4.9,np2=3.4.9:git,np3=2.10.10")
    options = parser.parse_args()
    try:
        serve(options.dir, parse_servers(options.servers), ready=lambda line: print(line, flush=True))
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
