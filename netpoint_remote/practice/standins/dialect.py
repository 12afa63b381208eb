"""The words of PostgreSQL that SQLite does not know."""

import re

# what no SQLite statement can do: left out, or done by emptying the database
IGNORED = re.compile(
    r"(SET|RESET|GRANT|REVOKE|COMMENT|ANALYZE|VACUUM|LISTEN|DISCARD|CREATE SCHEMA|CREATE EXTENSION"
    r"|ALTER (TABLE|DATABASE|SCHEMA|SEQUENCE)\b.*\b(OWNER|CONNECTION LIMIT))\b"
    r"|SELECT pg_catalog\.|DO \$(limits|defaults|compare)\$",
    re.IGNORECASE | re.DOTALL,
)
EMPTIED = re.compile(r"DO \$\w*\$.*\bDROP\b|DROP SCHEMA\b.*\bCASCADE", re.IGNORECASE | re.DOTALL)
WORDS = tuple(
    (re.compile(pattern, re.IGNORECASE), replacement)
    for pattern, replacement in (
        (r'"?\b(?:public|pg_catalog)\b"?\.', ""),
        (r"::\s*[a-z_]+(?:\[\])?", ""),
        (r'\s+COLLATE "C"', ""),  # as everything is ordered here
        (r"\b(pg_control_system|pg_stat_user_tables)\(\)", r"\1"),
        (r"\b(current_user|session_user|current_catalog)\b(?!\()", r"\1()"),
        (r"\bextract\(\s*epoch\s+FROM\s+", "extract_epoch("),
        (r"\bstring_agg\(\s*DISTINCT\b", "string_agg_distinct("),
        (r"(\bstring_agg\([^()]*?)\s+ORDER BY\b", r"\1,"),
        (r"!~", " NOT REGEXP "),
        (r"(?<![!~])~(?![~*])", " REGEXP "),
        (r"^SELECT (\w+(?: OR \w+)+) FROM\b", r"SELECT CASE WHEN \1 THEN 't' ELSE 'f' END FROM"),
        (r"^SELECT ((pg_try_advisory\w+)\([^()]*\))$", r"SELECT CASE WHEN \1 THEN 't' ELSE 'f' END AS \2"),
        (r"\bDROP TABLE (IF EXISTS )?([\w.\"]+) CASCADE", r"DROP TABLE \1\2"),
        (r"\|\|\s*([\w.]+\((?:[^()]|\([^()]*\))*\)\s*[-+*/]\s*\w+)", r"|| (\1)"),  # its || binds tighter
        (r"^(?:START TRANSACTION|BEGIN)\b.*", "BEGIN"),
        (r"\bTRUNCATE (?:TABLE )?([\w.\"]+)(?: CASCADE)?", r"DELETE FROM \1"),
    )
)
LITERAL = re.compile(r"'(?:[^']|'')*'")
HIDDEN = re.compile("\x01(\\d+)\x01")
MOMENT = re.compile(r"([<>]=?\s*'\d{4}-\d\d-\d\d)T(?=\d\d:)")  # compared as text here, and written with a blank
FIELD = re.compile(r"\bto_jsonb\((\w+)\)\s*->>\s*'(\w+)'", re.IGNORECASE)


def translate(statement: str) -> str:
    """Exchange the words that SQLite does not know, but not inside of quotes."""
    literals: list[str] = []

    def hide(literal: "re.Match[str]") -> str:
        literals.append(literal.group())
        return f"\x01{len(literals) - 1}\x01"

    hidden = LITERAL.sub(hide, MOMENT.sub(r"\1 ", FIELD.sub(r"\1.\2", statement)))
    for pattern, replacement in WORDS:
        hidden = pattern.sub(replacement, hidden)
    return HIDDEN.sub(lambda place: literals[int(place[1])], hidden)


def spell(error: Exception) -> str:
    """Say an error of SQLite as PostgreSQL would, as far as somebody may look for it."""
    text = str(error)
    for pattern, replacement in (
        (r"no such table: (?:main\.)?(\w+)", r'relation "\1" does not exist'),
        (r"no such column: (?:\w+\.)?(\w+)", r'column "\1" does not exist'),
        (r"table (\w+) already exists", r'relation "\1" already exists'),
        (r"UNIQUE constraint failed: (.*)", r"duplicate key value violates unique constraint (\1)"),
    ):
        text = re.sub(pattern, replacement, text)
    return text
