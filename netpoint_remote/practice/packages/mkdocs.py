"""A stand-in for mkdocs: `mkdocs build` puts the pages where mkdocs.yml says."""

import shutil
import sys
from pathlib import Path


def main() -> int:
    if sys.argv[1:2] != ["build"]:
        print("Usage: mkdocs build", file=sys.stderr)
        return 2
    settings = dict(line.split(": ", 1) for line in Path("mkdocs.yml").read_text("utf-8").splitlines() if ": " in line)
    site = Path(settings["site_dir"])
    print("INFO     -  Cleaning site directory")
    shutil.rmtree(site, ignore_errors=True)
    print(f"INFO     -  Building documentation to directory: {site.resolve()}")
    shutil.copytree("docs", site)
    print("INFO     -  Documentation built in 0.01 seconds")
    return 0
