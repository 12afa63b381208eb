"""A stand-in for gunicorn: its options, its words, and one threaded server of the standard library."""

import argparse
import datetime
import importlib
import os
import signal
import socket
import socketserver
import sys
import threading
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

__version__ = "20.1.0"

KNOWN = ("bind", "workers", "threads", "timeout", "max_requests", "max_requests_jitter", "pidfile", "chdir")


class Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def __init__(self, address, handler):
        self.address_family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        super().__init__(address, handler)

    def server_bind(self):
        """Bind without asking any resolver for our own name."""
        if isinstance(self.server_address, str) and os.path.exists(self.server_address):
            os.unlink(self.server_address)
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "localhost", 0
        if not isinstance(self.server_address, str):
            self.server_port = self.server_address[1]
        self.setup_environ()

    def get_request(self):
        connection, address = self.socket.accept()
        return connection, address or ("127.0.0.1", 0)


class Handler(WSGIRequestHandler):
    def log_message(self, format, *args):
        """Requests are nobody's business here."""

    def address_string(self):
        return self.client_address[0]


def main():
    options = parse()
    log("INFO", "Starting gunicorn {}".format(__version__))
    if options.chdir:
        os.chdir(options.chdir)
    for path in reversed((options.pythonpath or "").split(",")):
        sys.path.insert(0, path or os.getcwd())
    server = bind(options.bind)
    log("INFO", "Listening at: {} ({})".format(spell(server.server_address), os.getpid()))
    log("INFO", "Using worker: threads")
    log("INFO", "Booting worker with pid: {}".format(os.getpid()))
    server.set_app(load(options.application))
    if options.pid:
        with open(options.pid, "w") as file:
            file.write("{}\n".format(os.getpid()))
    serve(server)
    if options.pid and os.path.exists(options.pid):
        os.unlink(options.pid)
    return 0


def parse():
    parser = argparse.ArgumentParser(prog="gunicorn")
    parser.add_argument("-v", "--version", action="version", version="gunicorn (version {})".format(__version__))
    parser.add_argument("-c", "--config")
    parser.add_argument("-b", "--bind", action="append")
    parser.add_argument("-p", "--pid", "--pidfile", dest="pid")
    parser.add_argument("--pythonpath")
    parser.add_argument("--chdir")
    parser.add_argument("application", nargs="?", default="netpoint.wsgi")
    options, _ = parser.parse_known_args()
    settings = read_config(options.config)
    configured = settings.get("bind") or "127.0.0.1:8000"
    options.bind = (options.bind or ([configured] if isinstance(configured, str) else list(configured)))[0]
    options.pid = options.pid or settings.get("pidfile")
    return options


def read_config(path):
    names = {"__file__": path}
    if path:
        if not os.path.exists(path):
            sys.exit("Error: '{}' doesn't exist".format(path))
        with open(path) as text:
            exec(compile(text.read(), path, "exec"), names)
    return {name: names[name] for name in KNOWN if name in names}


def bind(text):
    if text.startswith("unix:"):
        address = text[len("unix:"):]
    else:
        host, _, port = text.rpartition(":")
        address = (host.strip("[]") or "127.0.0.1", int(port))
    try:
        return Server(address, Handler)
    except OSError as error:
        log("ERROR", "Connection in use: {} ({})".format(text, error.strerror))
        log("ERROR", "Can't connect to {}".format(text))
        sys.exit(1)


def load(name):
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute or "application")
    except Exception as error:
        log("ERROR", "Exception in worker process: {}: {}".format(type(error).__name__, error))
        log("INFO", "Shutting down: Master")
        log("INFO", "Reason: Worker failed to boot.")
        sys.exit(3)


def serve(server):
    def stop(*_):
        threading.Thread(target=server.shutdown, daemon=True).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    server.serve_forever(poll_interval=0.1)
    server.server_close()
    log("INFO", "Shutting down: Master")


def spell(address):
    return "unix:" + address if isinstance(address, str) else "http://{}:{}".format(*address[:2])


def log(level, text):
    now = datetime.datetime.now().strftime("%Y-%m-%d %H:%M:%S +0000")
    print("[{}] [{}] [{}] {}".format(now, os.getpid(), level, text), file=sys.stderr, flush=True)
