"""How NetPoint was installed: "use the same method as you used originally" (the upgrade document, step 3)."""

from netpoint_remote.planning.facts import Facts
from netpoint_remote.planning.word import Word


class Method(Word):
    """The two documented ways, and everything else."""

    ARCHIVE = "archive"
    GIT = "git"
    FOREIGN = "foreign"


def method_of(facts: Facts) -> Method:
    """Judge as the document does: a symlink without .git is a release, a folder with .git is a checkout.

    Anything else is foreign: containers, a package, a plain folder, a link to a checkout
    (netbox-community/netbox#9743).
    """
    if facts.docker or "Docker" in facts.disk_version or not facts.tree or not facts.upgrade_script:
        return Method.FOREIGN
    if facts.link is not None:
        return Method.FOREIGN if facts.git else Method.ARCHIVE
    return Method.GIT if facts.folder and facts.git else Method.FOREIGN
