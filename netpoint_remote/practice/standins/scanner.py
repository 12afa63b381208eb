"""Split what psql reads into statements and backslash commands, line by line, as it comes."""

import re

SIGNS = re.compile(r"--|/\*|'|\"|\$\w*\$|;|\\")
COMMENT = "*/"
ENDING = ("g", "gset", "gexec", "gx")  # the backslash commands that send what was typed before them


class Scanner:
    """Remembers what was begun on the lines before: a statement, and a quote or comment in it."""

    def __init__(self) -> None:
        self.line = 0
        self.begun = ""
        self.inside = ""  # what would end the quote or comment

    def feed(self, line: str) -> "list[tuple[int, str, str]]":
        """Return (line, statement, command) for each that ends on this line; one of the two may be empty."""
        self.line += 1
        found = []
        while line:
            if self.inside:
                line = self.leave(line)
                continue
            sign = SIGNS.search(line)
            if sign is None:
                self.begun += line
                break
            self.begun += line[: sign.start()]
            rest, line = line, line[sign.end() :]
            if sign.group() == ";":
                found.append((self.line, self.take(), ""))
            elif sign.group() == "--":
                self.begun += "\n"
                break
            elif sign.group() == "\\":
                command = rest[sign.end() :].strip()
                found.append((self.line, self.take() if command.split(" ")[0] in ENDING else "", command))
                break
            else:
                self.enter(sign.group())
        return [(number, statement, command) for number, statement, command in found if statement or command]

    def enter(self, sign: str) -> None:
        self.inside = COMMENT if sign == "/*" else sign
        if self.inside != COMMENT:
            self.begun += sign

    def leave(self, line: str) -> str:
        """Go on to the end of the quote or comment, if it is on this line; returns what follows."""
        place = line.find(self.inside)
        length = len(line) if place < 0 else place + len(self.inside)
        if self.inside != COMMENT:
            self.begun += line[:length]
        if place >= 0:
            self.inside = ""
        return line[length:]

    def take(self) -> str:
        """Return what was begun, and forget it."""
        statement, self.begun = self.begun.strip(), ""
        return statement
