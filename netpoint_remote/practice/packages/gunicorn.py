"""A stand-in for gunicorn: its options, its words, and one threaded server of the standard library."""

import argparse
import importlib
import os
import signal
import socket
import socketserver
import sys
import threading
import time
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

__version__ = "20.1.0"


class Server(socketserver.ThreadingMixIn, WSGIServer):
    """Serve an address: (host, port), or the path of a socket."""

    daemon_threads = True

    def __init__(self, address: Any) -> None:  # noqa: ANN401  as the base class says
        self.address_family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        super().__init__(address, Handler)

    def server_bind(self) -> None:
        """Bind without asking any resolver for our own name."""
        address: Any = self.server_address
        if isinstance(address, str) and os.path.exists(address):
            os.unlink(address)
        socketserver.TCPServer.server_bind(self)
        address = self.server_address
        self.server_name, self.server_port = "localhost", 0 if isinstance(address, str) else address[1]
        self.setup_environ()

    def get_request(self) -> Any:  # noqa: ANN401  as the base class has it
        connection, address = self.socket.accept()
        return connection, address or ("127.0.0.1", 0)


class Handler(WSGIRequestHandler):
    """Answer without a word about it."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  as the base class names it
        """Say nothing: requests are nobody's business here."""

    def address_string(self) -> str:
        return str(self.client_address[0])


def main() -> int:
    options = parse()
    log("INFO", f"Starting gunicorn {__version__}")
    if options.chdir:
        os.chdir(options.chdir)
    for path in reversed((options.pythonpath or "").split(",")):
        sys.path.insert(0, path or os.getcwd())
    server = bind(options.bind)
    log("INFO", f"Listening at: {spell(server.server_address)} ({os.getpid()})")
    log("INFO", "Using worker: threads")
    log("INFO", f"Booting worker with pid: {os.getpid()}")
    server.set_app(load(options.application))
    if options.pid:
        with open(options.pid, "w") as file:
            file.write(f"{os.getpid()}\n")
    serve(server)
    if options.pid and os.path.exists(options.pid):
        os.unlink(options.pid)
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="gunicorn")
    parser.add_argument("-v", "--version", action="version", version=f"gunicorn (version {__version__})")
    parser.add_argument("-c", "--config")
    parser.add_argument("-b", "--bind", action="append")
    parser.add_argument("-p", "--pid", "--pidfile", dest="pid")
    parser.add_argument("--pythonpath")
    parser.add_argument("--chdir")
    parser.add_argument("-w", "--workers")
    parser.add_argument("-t", "--timeout")
    parser.add_argument("--threads")
    parser.add_argument("application", nargs="?", default="netpoint.wsgi")
    options, _ = parser.parse_known_args()
    settings = read_config(options.config)
    configured = settings.get("bind") or "127.0.0.1:8000"
    options.bind = (options.bind or ([configured] if isinstance(configured, str) else list(configured)))[0]
    options.pid = options.pid or settings.get("pidfile")
    return options


def read_config(path: "str | None") -> "dict[str, Any]":
    names: dict[str, Any] = {"__file__": path}
    if path:
        if not os.path.exists(path):
            sys.exit(f"Error: '{path}' doesn't exist")
        with open(path) as text:
            exec(compile(text.read(), path, "exec"), names)  # noqa: S102  gunicorn's configuration is Python
    return names


def bind(text: str) -> Server:
    address: Any = text[len("unix:") :]
    if not text.startswith("unix:"):
        host, _, port = text.rpartition(":")
        address = (host.strip("[]") or "127.0.0.1", int(port))
    try:
        return Server(address)
    except OSError as error:
        log("ERROR", f"Connection in use: {text} ({error.strerror})")
        log("ERROR", f"Can't connect to {text}")
        sys.exit(1)


def load(name: str) -> Any:  # noqa: ANN401  whatever the module calls its application
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute or "application")
    except Exception as error:  # noqa: BLE001  whatever an operator's configuration raises
        log("ERROR", f"Exception in worker process: {type(error).__name__}: {error}")
        log("INFO", "Shutting down: Master")
        log("INFO", "Reason: Worker failed to boot.")
        sys.exit(3)


def serve(server: Server) -> None:
    def stop(*_: object) -> None:
        threading.Thread(target=server.shutdown, daemon=True).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    server.serve_forever(poll_interval=0.1)
    server.server_close()
    log("INFO", "Shutting down: Master")


def spell(address: Any) -> str:  # noqa: ANN401  a pair, or the path of a socket
    return f"unix:{address}" if isinstance(address, str) else f"http://{address[0]}:{address[1]}"


def log(level: str, text: str) -> None:
    now = time.strftime("%Y-%m-%d %H:%M:%S +0000", time.gmtime())
    print(f"[{now}] [{os.getpid()}] [{level}] {text}", file=sys.stderr, flush=True)
