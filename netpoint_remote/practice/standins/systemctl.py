"""Hand the arguments of systemctl or systemd-run to the process that serves us, and print its answer.

Started so often that the modules `json` and `socket` would be most of what it does.
"""

import _socket
import os
import sys


def main() -> int:
    root, program, *arguments = sys.argv[1:]
    we_are_root = "root" if os.environ.get("PRACTICE_USER") == "root" else ""
    try:
        answer = ask(os.path.join(root, "run", "systemd"), [program, we_are_root, *arguments])
        head, _, said = answer.partition(b"\n")
        status, length = map(int, head.split())
    except (OSError, ValueError) as error:
        print(f"Failed to connect to bus: {error}", file=sys.stderr)
        return 1
    sys.stdout.buffer.write(said[:length])
    sys.stderr.buffer.write(said[length:])
    return status


def ask(folder: str, words: "list[str]") -> bytes:
    """Send words and read to the end, through the folder's descriptor: the path itself may be too long for a socket."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    bus = _socket.socket(_socket.AF_UNIX)
    bus.connect(f"/proc/self/fd/{descriptor}/private")
    bus.sendall("\0".join(words).encode("utf-8", "surrogateescape"))
    bus.shutdown(_socket.SHUT_WR)
    answer = b""
    while piece := bus.recv(65536):
        answer += piece
    return answer


if __name__ == "__main__":
    sys.exit(main())
