"""Hand the arguments of systemctl or systemd-run to the process that serves us, and print its answer."""

import json
import os
import socket
import sys


def main() -> int:
    root, program, *arguments = sys.argv[1:]
    request = {
        "program": program,
        "arguments": arguments,
        "root": os.environ.get("PRACTICE_USER") == "root",
        "folder": os.getcwd(),
    }
    try:
        answer = ask(os.path.join(root, "run", "systemd"), request)
    except (OSError, ValueError) as error:
        print(f"Failed to connect to bus: {error}", file=sys.stderr)
        return 1
    sys.stdout.write(answer["output"])
    sys.stderr.write(answer["error"])
    return int(answer["status"])


def ask(folder: str, request: "dict[str, object]") -> "dict[str, str]":
    """Send one line and read one, through the folder's descriptor: the path itself may be too long for a socket."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    with socket.socket(socket.AF_UNIX) as bus:
        bus.connect(f"/proc/self/fd/{descriptor}/private")
        bus.sendall(json.dumps(request).encode() + b"\n")
        with bus.makefile("rb") as lines:
            answer: dict[str, str] = json.loads(lines.readline())
            return answer


if __name__ == "__main__":
    sys.exit(main())
