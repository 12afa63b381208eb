"""Serve the pages of a tree on a socket of ours, as its service would and with the rest of its settings.

Runs as the service runs (as_unit.sh), under the tree's own Python, as

    beside.py TREE PRODUCT SOCKET PLACE=TREE ... -- COMMAND WORD ...

What the words of the service's command, the environment and the configuration file say to gunicorn holds, but for what
would get into the way of the gunicorn that serves users: where it listens, its files, its user. A server that is no
gunicorn is not known; then Python itself serves the application.
"""

import importlib
import os
import socket
import sys
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

# What is ours, and what belongs to the one that serves users; names that a gunicorn does not know are passed over.
NEUTRAL = {
    "pidfile": None, "daemon": False, "reload": False, "workers": 1, "umask": 0o177, "initgroups": False,
    "certfile": None, "keyfile": None, "ca_certs": None, "proxy_protocol": False,
    "accesslog": None, "errorlog": "-", "logconfig": None, "logconfig_dict": {}, "logconfig_json": None,
    "logger_class": "gunicorn.glogging.Logger", "capture_output": False, "syslog": False, "statsd_host": None,
    "check_config": False, "print_config": False, "spew": False, "control_socket_disable": True,
}  # fmt: skip
# What a configuration file does for the whole installation when its server begins and ends, such as emptying a folder.
HOOKS = ("on_starting", "when_ready", "on_reload", "on_exit", "pre_exec")


def mapped(path, places):
    """Return a path of the tree that serves users as one of the tree that is proved."""
    for place, tree in places:
        if path == place or path.startswith(place + "/"):
            return tree + path[len(place) :]
    return path


def words_for_gunicorn(words, places):
    """Return the words behind `gunicorn` but for where it listens, in the tree to prove; None for another server."""
    at = next((at for at, word in enumerate(words) if os.path.basename(word) == "gunicorn"), None)
    if at is None:
        return None
    kept, skip = [], False
    for word in words[at + 1 :]:
        name, equals, value = word.partition("=")
        if skip:
            skip = False
        elif name == "-b" or (len(name) > 4 and "--bind".startswith(name)):
            skip = not equals
        elif not (word.startswith("-b") and not word.startswith("--")):
            kept.append(name + equals + mapped(value, places) if equals else mapped(word, places))
    return kept


def serve_with_gunicorn(words, place, places):
    try:
        from gunicorn.app.wsgiapp import WSGIApplication  # noqa: PLC0415  not every environment has it
    except ImportError:
        return False

    class Beside(WSGIApplication):
        def chdir(self):
            self.cfg.set("chdir", mapped(os.path.abspath(self.cfg.chdir), places))
            super().chdir()

        def load_config(self):
            super().load_config()
            ours = dict(NEUTRAL, bind=["unix:" + place], user=os.geteuid(), group=os.getegid())
            if self.cfg.pythonpath:
                ours["pythonpath"] = ",".join(mapped(each, places) for each in self.cfg.pythonpath.split(","))
            for name, value in ours.items():
                if name in self.cfg.settings:
                    self.cfg.set(name, value)
            for name in HOOKS:
                self.cfg.set(name, self.cfg.settings[name].default)

    sys.argv = ["gunicorn", *words]
    Beside("%(prog)s [OPTIONS] [APP_MODULE]").run()
    return True


def serve_alone(product, place):
    class Handler(WSGIRequestHandler):
        def log_message(self, *_):
            pass

    class Server(WSGIServer):
        address_family = socket.AF_UNIX

        def server_bind(self):
            # Its whole path may be longer than the address of a socket.
            folder = os.open(os.path.dirname(place), os.O_RDONLY | os.O_DIRECTORY)
            os.umask(0o177)
            self.socket.bind("/proc/self/fd/{}/{}".format(folder, os.path.basename(place)))
            os.close(folder)
            self.server_name, self.server_port = "localhost", 80
            self.setup_environ()

        def get_request(self):
            return self.socket.accept()[0], ("127.0.0.1", 0)

    with Server(place, Handler) as server:
        server.set_app(importlib.import_module(product + ".wsgi").application)
        server.serve_forever()


def main(tree, product, place, *rest):
    split = rest.index("--")
    places = [tuple(each.split("=", 1)) for each in rest[:split]]
    folder = os.path.dirname(place)
    # For us and root alone: who has an account in NetPoint could write to it here. By its RuntimeDirectoryMode systemd
    # would close the service's own folders as well.
    os.chmod(folder, 0o700)
    # Ours is one more among those of the service, which may take it for one path.
    folders = [each for each in os.environ.pop("RUNTIME_DIRECTORY", "").split(":") if each and each != folder]
    if folders:
        os.environ["RUNTIME_DIRECTORY"] = ":".join(folders)
    sys.path[:1] = [os.path.join(tree, product)]
    words = words_for_gunicorn(rest[split + 1 :], places)
    if words is None or not serve_with_gunicorn(words, place, places):
        serve_alone(product, place)


if __name__ == "__main__":
    main(*sys.argv[1:])
