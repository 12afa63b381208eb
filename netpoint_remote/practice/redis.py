"""A small Redis: enough to be asked whether it is there, how old it is, and who works."""

import asyncio
import contextlib
from dataclasses import dataclass, field

VERSION = "7.0.15"


@dataclass(slots=True)
class Redis:
    """The sets of one server, and who has asked for a password to be given first."""

    password: str
    sets: dict[str, set[str]] = field(default_factory=dict)

    async def listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = Client(redis=self)
        with contextlib.suppress(OSError, ValueError, asyncio.IncompleteReadError):
            while words := await read_command(reader):
                answer = client.answer(words)
                if answer is None:
                    await reader.read(1)  # a worker waits here until it goes
                    break
                writer.write(answer)
                await writer.drain()
        client.leave()
        writer.close()


@dataclass(slots=True)
class Client:
    """One connection; the members it added to a set go with it, as the workers they stand for do."""

    redis: Redis
    known: bool = False
    added: list[tuple[str, str]] = field(default_factory=list)

    def answer(self, words: list[str]) -> bytes | None:  # noqa: PLR0911  one for each command
        name, arguments = words[0].upper(), words[1:]
        if name == "AUTH":
            return self._auth(arguments)
        if self.redis.password and not self.known:
            return b"-NOAUTH Authentication required.\r\n"
        if name in ANSWERS:
            return ANSWERS[name]
        if name == "INFO":
            return bulk(f"# Server\r\nredis_version:{VERSION}\r\nredis_mode:standalone\r\ntcp_port:0\r\n")
        if name == "PING":
            return bulk(arguments[0]) if arguments else b"+PONG\r\n"
        if name in {"SADD", "SREM", "SCARD", "SMEMBERS"} and arguments:
            return self._set(name, arguments[0], arguments[1:])
        if name in {"BLPOP", "BRPOP"}:
            return None
        return f"-ERR unknown command '{words[0]}'\r\n".encode()

    def leave(self) -> None:
        for key, member in self.added:
            self.redis.sets.get(key, set()).discard(member)

    def _auth(self, arguments: list[str]) -> bytes:
        self.known = bool(arguments) and arguments[-1] == self.redis.password
        return b"+OK\r\n" if self.known else b"-WRONGPASS invalid username-password pair or user is disabled.\r\n"

    def _set(self, name: str, key: str, members: list[str]) -> bytes:
        kept = self.redis.sets.setdefault(key, set())
        if name == "SMEMBERS":
            return f"*{len(kept)}\r\n".encode() + b"".join(bulk(member) for member in sorted(kept))
        if name == "SADD":
            self.added += [(key, member) for member in members]
            kept.update(members)
        elif name == "SREM":
            kept.difference_update(members)
        return f":{len(kept) if name == 'SCARD' else len(members)}\r\n".encode()


ANSWERS = {
    "CLIENT": b"+OK\r\n",
    "DBSIZE": b":0\r\n",
    "FLUSHDB": b"+OK\r\n",
    "SELECT": b"+OK\r\n",
}


def bulk(text: str) -> bytes:
    body = text.encode()
    return b"$%d\r\n%s\r\n" % (len(body), body)


async def read_command(reader: asyncio.StreamReader) -> list[str]:
    """Read one command in either form of the protocol; none when the client has left."""
    line = await reader.readline()
    if not line.startswith(b"*"):
        return line.decode().split() or (["PING"] if line else [])
    words = []
    for _ in range(int(line[1:])):
        size = int((await reader.readline())[1:])
        words.append((await reader.readexactly(size + 2))[:-2].decode())
    return words
