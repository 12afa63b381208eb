"""Repack a wheel: without some of its files, and with the bytecode that pip compiles at each installation.

It runs under the servers' own Python: the wheel on standard input, the new one on standard output.
"""

import base64
import csv
import hashlib
import importlib.util
import io
import marshal
import re
import sys
import zipfile

CHECKED_HASH = (0b11).to_bytes(4, "little")
"""PEP 552: the bytecode is good as long as it was made from this source, whatever times files have."""


def main() -> None:
    without, bytecode = sys.argv[1:]
    wheel = zipfile.ZipFile(io.BytesIO(sys.stdin.buffer.read()))
    kept = [info for info in wheel.infolist() if not info.is_dir() and not re.search(without, info.filename)]
    record = next(info for info in kept if info.filename.endswith(".dist-info/RECORD"))
    files = {info.filename: wheel.read(info) for info in kept if info is not record}
    modes = {info.filename: info.external_attr for info in kept}
    for name in [name for name in files if name.endswith(".py")]:
        compiled = b"" if bytecode == "none" else _bytecode(name, files[name])
        if compiled:
            files[importlib.util.cache_from_source(name)] = compiled
        if compiled and bytecode == "zipped":  # in a zip archive it lies next to the source (PEP 273)
            files[name + "c"] = compiled
    files[record.filename] = _record(record.filename, files)
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as new:
        for name, content in files.items():
            about = zipfile.ZipInfo(name)
            about.external_attr = modes.get(name, 0o100644 << 16)
            new.writestr(about, content)
    sys.stdout.buffer.write(written.getvalue())


def _bytecode(name: str, source: bytes) -> bytes:
    try:
        code = compile(source, name, "exec", dont_inherit=True)
    except SyntaxError:  # of another Python
        return b""
    return importlib.util.MAGIC_NUMBER + CHECKED_HASH + importlib.util.source_hash(source) + marshal.dumps(code)


def _record(name: str, files: "dict[str, bytes]") -> bytes:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    for path, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        rows.writerow([path, f"sha256={digest}", len(content)])
    rows.writerow([name, "", ""])
    return text.getvalue().encode()


main()
