"""A stand-in for mkdocs: `mkdocs build` puts the pages where mkdocs.yml says."""

import os
import re
import shutil
import sys


def main():
    if sys.argv[1:2] != ["build"]:
        print("Usage: mkdocs build", file=sys.stderr)
        return 2
    with open("mkdocs.yml") as file:
        site = re.search(r"^site_dir: (.+)$", file.read(), re.MULTILINE).group(1)
    print("INFO     -  Cleaning site directory")
    shutil.rmtree(site, ignore_errors=True)
    print("INFO     -  Building documentation to directory: {}".format(os.path.abspath(site)))
    shutil.copytree("docs", site)
    print("INFO     -  Documentation built in 0.01 seconds")
    return 0
