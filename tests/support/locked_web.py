"""A web server that serves a folder, its git repositories too, to whoever has the password; it remembers who had it."""

import base64
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class _Handler(SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, LockedWeb)
        if self.headers.get("Authorization") == self.server.password_header:
            self.server.let_in.append(self.path)
            if "/info/refs?service=" in self.path or self.path.endswith("/git-upload-pack"):
                self._answer_git()
            else:
                super().do_GET()
            return
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="locked"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self) -> None:
        self.do_GET()

    def do_HEAD(self) -> None:
        self.do_GET()

    def _answer_git(self) -> None:
        path, _, query = self.path.partition("?")
        asked = {
            "GIT_PROJECT_ROOT": self.directory,
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
            "PATH": os.environ["PATH"],
        }
        told = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        said = subprocess.run(["git", "http-backend"], env=asked, input=told, capture_output=True, check=True).stdout
        head, _, text = said.partition(b"\r\n\r\n")
        self.wfile.write(b"HTTP/1.0 200 OK\r\n" + head + b"\r\n\r\n" + text)

    def log_message(self, *_: object) -> None:
        pass


class LockedWeb(ThreadingHTTPServer):
    """Serves `folder`; `let_in` are the paths that were asked for with user and password."""

    daemon_threads = True

    def __init__(self, folder: Path, *, user: str, password: str, address: str = "127.0.0.1") -> None:
        super().__init__((address, 0), partial(_Handler, directory=str(folder)))
        self.password_header = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        self.let_in: list[str] = []

    @property
    def place(self) -> str:
        """The address without a scheme: host and port."""
        host, port = self.server_address[:2]
        return f"{host!s}:{port}"

    @contextmanager
    def running(self) -> Iterator["LockedWeb"]:
        thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield self
        finally:
            self.shutdown()
            self.server_close()
            thread.join()
