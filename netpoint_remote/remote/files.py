"""Do what root must do in folders of others, by descriptors: through no link that somebody else may have made.

Runs on the server, under its own Python (3.6 or newer), isolated, as `files.py VERB ...`:

    bring OLD NEW             let a folder have all that another has; it stays shut until all is there
    copy OLD NEW              the same, with owner and mode of the old one at the end
    carry OLD NEW             the same for what may also be a file or a link, under one name
    mirror OLD NEW            and nothing else, but what standard input names (each ended by a NUL)
    is_mirrored OLD NEW       tell by the status, 0 or 3, whether that is so already
    put_back TAR SAVED ABSENT put the members of an archive at their places; what is there is saved
    take_back SAVED ABSENT    undo that
    give_back ROOT            give files owner and mode: OWNER:GROUP, MODE, NAME on standard input, each ended by a NUL
    remove ROOT               remove files, and folders that are empty then: names, each ended by a NUL
    move OLD NEW              rename
    discard PATH              remove with all that is in it, on its own file system
    make PATH                 have a folder
    read PATH                 print a plain file
    write PATH                write standard input to a file of ours

A name is looked up once, and what was opened is used from then on. New files are made under a name that is not there
yet, get owner, mode and access lists by their descriptor, and take their place by rename; links, which have none, are
made in a folder of root's. Nobody but root gets into a folder while it is copied. A folder that is there already, where
others may have put it, gets no rights but those that its owner could give.
"""

import contextlib
import errno
import os
import stat
import sys

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
LINK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
PARTIAL = ".netpoint-remote.%d.partial" % os.getpid()
ACCESS_LISTS = ("system.posix_acl_access", "system.posix_acl_default")
LEFT_OUT = "__pycache__"
IN_ARCHIVE = "SCHILY.xattr."  # what GNU tar calls them
MOST_LINKS = 40  # on one way, as the kernel has it


class StrangersLinkError(Exception):
    """A link on the way that somebody else may have made."""


class Folder:
    """An open folder."""

    def __init__(self, number):
        self.number = number

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.number)

    def names(self):
        return [name for name in os.listdir(self.number) if name != LEFT_OUT]

    def look(self, name):
        """Return what an entry is, or nothing where it is not there."""
        try:
            return os.stat(name, dir_fd=self.number, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def inner(self, name, *, make=False):
        """Open a folder in it, which no link may stand for."""
        if make and self.look(name) is None:
            os.mkdir(name, 0o755, dir_fd=self.number)
        return Folder(os.open(name, FOLDER, dir_fd=self.number))

    def read(self, name):
        """Open a plain file in it."""
        file = os.fdopen(os.open(name, FILE, dir_fd=self.number), "rb")
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            file.close()
            raise OSError(errno.EINVAL, "it is no plain file any more", name)
        return file

    def link(self, name):
        """Return where a link in it leads, and what it is."""
        number = os.open(name, LINK, dir_fd=self.number)
        try:
            return os.readlink("", dir_fd=number), os.fstat(number)
        finally:
            os.close(number)

    def is_open_to_others(self):
        """Say whether somebody else may put another thing under a name in it."""
        known, ours = os.fstat(self.number), (0, os.geteuid())
        foreign_group = known.st_gid not in (0, os.getegid()) or access_lists(self.number)
        by_group = known.st_mode & stat.S_IWGRP and foreign_group
        return known.st_uid not in ours or bool(by_group or known.st_mode & stat.S_IWOTH)

    def shut(self):
        """Let nobody else in."""
        os.fchown(self.number, os.geteuid(), os.getegid())
        os.fchmod(self.number, 0o700)

    def become_as(self, other):
        """Take over owner, rights and time of an open folder."""
        give(self.number, os.fstat(other.number), access_lists(other.number))

    def put_file(self, name, content, like, lists):
        """Write a file in place of what is there."""
        self.remove(PARTIAL)
        with os.fdopen(os.open(PARTIAL, NEW_FILE, 0o600, dir_fd=self.number), "wb") as file:
            pour(content, file)
            file.flush()
            give(file.fileno(), like, lists)
        self.rename(name)

    def put_link(self, name, target, like):
        """Make a link in place of what is there. It is named again to get its owner: in a folder of ours."""
        with self.private() as folder:
            os.symlink(target, PARTIAL, dir_fd=folder.number)
            os.chown(PARTIAL, like.st_uid, like.st_gid, dir_fd=folder.number, follow_symlinks=False)
            os.utime(PARTIAL, ns=(like.st_mtime_ns,) * 2, dir_fd=folder.number, follow_symlinks=False)
            os.rename(PARTIAL, name, src_dir_fd=folder.number, dst_dir_fd=self.number)
        os.rmdir(PARTIAL, dir_fd=self.number)

    def put_folder(self, name, like, lists):
        """Make a folder, which gets its name when it has its owner and rights."""
        with self.private() as folder:
            give(folder.number, like, lists)
        self.rename(name)

    def private(self):
        """Make an empty folder that nobody else can enter."""
        self.remove(PARTIAL)
        os.mkdir(PARTIAL, 0o700, dir_fd=self.number)
        folder = self.inner(PARTIAL)
        if os.listdir(folder.number) or folder.is_open_to_others():
            folder.__exit__()
            raise OSError(errno.EAGAIN, "another user has put a folder there", PARTIAL)
        return folder

    def rename(self, name):
        os.rename(PARTIAL, name, src_dir_fd=self.number, dst_dir_fd=self.number)

    def make_folder(self, name, like):
        """Have an empty folder of that name, or the one that is there."""
        if self.is_open_to_others():
            self.remove_planted(name, like)
        there = self.look(name)
        if there is not None and not stat.S_ISDIR(there.st_mode):
            self.remove(name)
            there = None
        if there is None:
            os.mkdir(name, 0o700, dir_fd=self.number)
        return self.inner(name)

    def remove_planted(self, name, like):
        """Remove a folder that another owner would get, where others may have put it under this name."""
        there = self.look(name)
        if there is not None and stat.S_ISDIR(there.st_mode) and there.st_uid != like.st_uid:
            self.remove(name)

    def remove(self, name):
        """Remove an entry with all that is in it; what is mounted there is not left."""
        there = self.look(name)
        if there is None:
            return
        if not stat.S_ISDIR(there.st_mode):
            os.unlink(name, dir_fd=self.number)
            return
        with self.inner(name) as inner:
            if os.fstat(inner.number).st_dev != os.fstat(self.number).st_dev:
                raise OSError(errno.EBUSY, "something is mounted there", name)
            for inside in os.listdir(inner.number):
                inner.remove(inside)
        os.rmdir(name, dir_fd=self.number)


def pour(source, target):
    for piece in iter(lambda: source.read(1 << 20), b""):
        target.write(piece)


def give(number, like, lists):
    """Give what is open rights, owner and time; an owner that is set takes the bits of others' rights away."""
    for name in ACCESS_LISTS:
        if name in lists:
            set_access_list(number, name, lists[name])
        elif access_list(number, name) is not None:
            os.removexattr(number, name)
    os.fchown(number, like.st_uid, like.st_gid)
    os.fchmod(number, stat.S_IMODE(like.st_mode))
    os.utime(number, ns=(like.st_mtime_ns,) * 2)


def set_access_list(number, name, value):
    try:
        os.setxattr(number, name, value)
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
        place = os.readlink("/proc/self/fd/%d" % number)
        raise OSError(errno.ENOTSUP, "its file system supports no access lists", os.path.dirname(place)) from error


def access_lists(number):
    """Return the access lists of what is open."""
    found = {name: access_list(number, name) for name in ACCESS_LISTS}
    return {name: value for name, value in found.items() if value is not None}


def access_list(number, name):
    try:
        return os.getxattr(number, name)
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.ENOTSUP):  # it has none, or its file system knows none
            return None
        raise


def open_folder(path, *, make=False):
    """Open a folder by its path. Links on the way are followed where nobody else could have made them."""
    here, parts, links = Folder(os.open("/", FOLDER)), path.split("/"), 0
    while parts:
        part = parts.pop(0)
        if part in ("", "."):
            continue
        with here:
            there = here.look(part)
            if there is not None and stat.S_ISLNK(there.st_mode):
                links += 1
                if links > MOST_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
                target, link = here.link(part)
                if not is_ours_to_follow(here, link):
                    raise StrangersLinkError("%s: %s is a link that another user may have made" % (path, part))
                parts = target.split("/") + parts
                here = Folder(os.open("/" if target.startswith("/") else ".", FOLDER, dir_fd=here.number))
            else:
                here = here.inner(part, make=make)
    return here


def is_ours_to_follow(folder, link):
    """Say whether a link in an open folder is ours and nobody else can put another one in its place."""
    known, ours = os.fstat(folder.number), (0, os.geteuid())
    is_sticky = known.st_uid in ours and known.st_mode & stat.S_ISVTX
    return link.st_uid in ours and bool(is_sticky or not folder.is_open_to_others())


def open_place(path, *, make=False):
    """Open the folder that a path lies in, and return it with the name in it."""
    parent, name = os.path.split(path.rstrip("/"))
    if name in ("", ".", ".."):
        raise OSError(errno.EINVAL, "no name of its own", path)
    return open_folder(parent, make=make), name


def open_parent(folder, name):
    """Open the folder that a name in another one leads to, through no link at all."""
    here = Folder(os.dup(folder.number))
    for part in name.split("/")[:-1]:
        if part == "..":
            raise OSError(errno.EINVAL, "it leads out of its folder", name)
        if part not in ("", "."):
            with here:
                here = here.inner(part)
    return here


# ---- folders of uploaded files


def shut(old, new):
    """Let nobody else into a folder that is to be filled, and keep no folder that others may have put there."""
    was_open = new.is_open_to_others()
    new.shut()
    for name in old.names() if was_open else ():
        wanted = old.look(name)
        if wanted is not None:
            new.remove_planted(name, wanted)


def fill(old, new):
    """Let a folder have all that another one has, which its users may go on changing."""
    shut(old, new)
    for name in old.names():
        fill_entry(old, new, name)


def fill_entry(old, new, name):
    try:
        bring_entry(old, new, name)
    except FileNotFoundError:  # uploads are compared afterwards
        if old.look(name) is not None:
            raise


def bring_entry(old, new, name):
    wanted, there = old.look(name), new.look(name)
    if wanted is None:
        return
    if there is not None and stat.S_ISDIR(there.st_mode) and not stat.S_ISDIR(wanted.st_mode):
        new.remove(name)
        there = None
    if stat.S_ISDIR(wanted.st_mode):
        with old.inner(name) as old_inner, new.make_folder(name, wanted) as new_inner:
            fill(old_inner, new_inner)
            new_inner.become_as(old_inner)
    elif stat.S_ISREG(wanted.st_mode):
        if not is_alike(wanted, there):
            with old.read(name) as file:
                new.put_file(name, file, os.fstat(file.fileno()), access_lists(file.fileno()))
    elif stat.S_ISLNK(wanted.st_mode):
        target, wanted = old.link(name)
        if not is_alike(wanted, there) or target != new.link(name)[0]:
            new.put_link(name, target, wanted)
    else:
        print("left behind, for it is neither file nor folder nor link: %s" % ascii(name))


def is_alike(one, other):
    return other is not None and features(one) == features(other)


def features(entry):
    if stat.S_ISDIR(entry.st_mode):
        return entry.st_mode, entry.st_uid, entry.st_gid
    return entry.st_mode, entry.st_uid, entry.st_gid, entry.st_size, int(entry.st_mtime)


def remove_surplus(old, new, brought, at=""):
    """Remove what only the new folder has, and the release has not brought."""
    had = set(old.names()) if old else set()
    for name in new.names():
        path, is_folder = at + name, stat.S_ISDIR(new.look(name).st_mode)
        if name in had:
            if is_folder and stat.S_ISDIR(old.look(name).st_mode):
                with old.inner(name) as old_inner, new.inner(name) as new_inner:
                    remove_surplus(old_inner, new_inner, brought, path + "/")
        elif path not in brought:
            new.remove(name)
        elif is_folder:
            with new.inner(name) as new_inner:
                remove_surplus(None, new_inner, brought, path + "/")


def differs(old, new, brought, at=""):
    """Say what differs first between two folders, or nothing."""
    had, has = set(old.names()) if old else set(), set(new.names())
    for name in sorted(had | has):
        path = at + name
        one, other = old.look(name) if old else None, new.look(name)
        if one is None:
            if path not in brought:
                return path
        elif not (stat.S_ISDIR(one.st_mode) or stat.S_ISREG(one.st_mode) or stat.S_ISLNK(one.st_mode)):
            continue
        elif not is_alike(one, other) or (stat.S_ISLNK(one.st_mode) and old.link(name)[0] != new.link(name)[0]):
            return path
        if other is not None and stat.S_ISDIR(other.st_mode):
            with new.inner(name) as new_inner:
                if one is None:
                    found = differs(None, new_inner, brought, path + "/")
                else:
                    with old.inner(name) as old_inner:
                        found = differs(old_inner, new_inner, brought, path + "/")
            if found:
                return found
    return None


def copy(old_path, new_path, *, opened=True, brought=None):
    parent, name = os.path.split(new_path)
    with contextlib.ExitStack() as opened_folders:
        old = opened_folders.enter_context(open_folder(old_path))
        place = opened_folders.enter_context(open_folder(parent, make=True))
        new = opened_folders.enter_context(place.make_folder(name, os.fstat(old.number)))
        shut(old, new)
        if brought is not None:
            remove_surplus(old, new, brought)
        fill(old, new)
        if opened:
            new.become_as(old)


def carry(old_path, new_path):
    (old, name), (new, new_name) = open_place(old_path), open_place(new_path)
    with old, new:
        if name != new_name:
            raise OSError(errno.EINVAL, "another name", new_path)
        fill_entry(old, new, name)


def is_mirrored(old_path, new_path, brought):
    try:
        with open_folder(old_path) as old, open_folder(new_path) as new:
            return is_alike(os.fstat(old.number), os.fstat(new.number)) and differs(old, new, brought) is None
    except FileNotFoundError:
        return False


# ---- the files of a backup


class Like:
    """What an archive says of a member, as the system says it of a file."""

    def __init__(self, member):
        self.st_uid, self.st_gid, self.st_mode = member.uid, member.gid, member.mode
        self.st_mtime_ns = int(member.mtime * 10**9)


def lists_of(member):
    """Return the access lists that an archive has of a member."""
    found = {name: member.pax_headers.get(IN_ARCHIVE + name) for name in ACCESS_LISTS}
    return {name: value.encode("utf-8", "surrogateescape") for name, value in found.items() if value}


def members_of(archive):
    """Yield the members of an open archive, with names as the system has them: Python 3.6 may know ASCII only."""
    for member in archive:
        member.name, member.linkname = (
            os.fsdecode(name.encode("utf-8", "surrogateescape")) for name in (member.name, member.linkname)
        )
        yield member


def place_of(member):
    """Return the folder and the name in it of a member."""
    parts = [part for part in member.name.split("/") if part not in ("", ".")]
    if not parts or ".." in parts:
        raise OSError(errno.EINVAL, "no place for it", member.name)
    return "/" + "/".join(parts[:-1]), parts[-1]


def put_back(archive, saved, absent):
    """Save what lies where an archive has something, once, and put that in its place."""
    if not os.path.exists(absent):
        save(archive, saved, absent)
    extract(archive)


def save(archive, saved, absent):
    import tarfile

    lacking = []
    with tarfile.open(archive) as source, tarfile.open(saved, "w", format=tarfile.PAX_FORMAT) as target:
        for member in members_of(source):
            parent, name = place_of(member)
            try:
                with open_folder(parent) as folder:
                    there = folder.look(name)
                    if there is not None:
                        save_entry(target, folder, name, there, member.name)
                        continue
            except FileNotFoundError:
                pass
            lacking.append(member.name)
    for file in (saved, absent + ".partial"):
        with open(file, "ab") as written:
            if file != saved:
                written.truncate(0)
                written.write(b"".join(os.fsencode(name) + b"\0" for name in lacking))
            written.flush()
            os.fsync(written.fileno())
    os.rename(absent + ".partial", absent)


def save_entry(target, folder, name, there, path):
    import tarfile

    entry = tarfile.TarInfo(path)

    def save_opened(number, file=None):
        for kind, value in access_lists(number).items():
            entry.pax_headers[IN_ARCHIVE + kind] = value.decode("utf-8", "surrogateescape")
        describe(entry, os.fstat(number))
        target.addfile(entry, file)

    if stat.S_ISDIR(there.st_mode):
        entry.type = tarfile.DIRTYPE
        with folder.inner(name) as inner:
            save_opened(inner.number)
    elif stat.S_ISLNK(there.st_mode):
        entry.type = tarfile.SYMTYPE
        entry.linkname, link = folder.link(name)
        describe(entry, link)
        target.addfile(entry)
    elif stat.S_ISREG(there.st_mode):
        with folder.read(name) as file:
            entry.size = os.fstat(file.fileno()).st_size
            save_opened(file.fileno(), file)


def describe(entry, known):
    entry.uid, entry.gid, entry.mode = known.st_uid, known.st_gid, stat.S_IMODE(known.st_mode)
    entry.mtime = int(known.st_mtime)


def extract(archive):
    import tarfile

    folders = []
    with tarfile.open(archive) as source:
        for member in members_of(source):
            parent, name = place_of(member)
            with open_folder(parent, make=True) as folder:
                if member.isdir():
                    put_back_folder(folder, name, member)
                    folders.append(member)
                elif member.issym():
                    folder.put_link(name, member.linkname, Like(member))
                elif member.isfile() or member.islnk():
                    folder.put_file(name, source.extractfile(member), Like(member), lists_of(member))
    for member in reversed(folders):
        parent, name = place_of(member)
        with open_folder(parent) as place, place.inner(name) as folder:
            os.utime(folder.number, ns=(Like(member).st_mtime_ns,) * 2)


def put_back_folder(place, name, member):
    """Have a folder as it was saved; where others may have put another one under its name, that stays as it is."""
    like, there = Like(member), place.look(name)
    if there is not None and not stat.S_ISDIR(there.st_mode):
        place.remove(name)
        there = None
    if there is None:
        place.put_folder(name, like, lists_of(member))
        return
    with place.inner(name) as folder:
        owners = {os.fstat(folder.number).st_uid, os.fstat(place.number).st_uid, like.st_uid}
        if len(owners) == 1 or not place.is_open_to_others():
            give(folder.number, like, lists_of(member))
        else:
            print("left with the owner and the rights that it has: %s" % ascii(member.name))


def take_back(saved, absent):
    with open(absent, "rb") as file:
        names = [os.fsdecode(name) for name in file.read().split(b"\0") if name]
    for name in sorted(names, reverse=True):
        parent, _, last = ("/" + name.rstrip("/")).rpartition("/")
        try:
            with open_folder(parent) as folder:
                there = folder.look(last)
                if there is not None and stat.S_ISDIR(there.st_mode):
                    os.rmdir(last, dir_fd=folder.number)
                elif there is not None:
                    os.unlink(last, dir_fd=folder.number)
        except (OSError, StrangersLinkError) as error:  # users' files in a new folder; or the way to it is another one
            print("left: %s: %s" % (ascii(name), error))
    extract(saved)


# ---- a checkout


def words():
    return [os.fsdecode(word) for word in sys.stdin.buffer.read().split(b"\0") if word]


def give_back(root, triples):
    """Give files that git wrote anew their owner and mode: they are ours now, and plain files of one name.

    The list was made by names that others can swap: nothing becomes root's by it, nor runs as its owner.
    """
    with open_folder(root) as top:
        for at in range(0, len(triples), 3):
            owner, mode, name = triples[at : at + 3]
            try:
                with open_parent(top, name) as folder, folder.read(name.rpartition("/")[2]) as file:
                    now = os.fstat(file.fileno())
                    if now.st_nlink == 1 and now.st_uid == os.geteuid():
                        os.fchown(file.fileno(), *map(int, owner.split(":")))
                        os.fchmod(file.fileno(), int(mode, 8) & 0o777)
            except OSError as error:
                print("left as it is: %s: %s" % (ascii(name), error))


def remove(root, names):
    with open_folder(root) as top:
        for name in names:
            try:
                with open_parent(top, name) as folder:
                    os.unlink(name.rpartition("/")[2], dir_fd=folder.number)
            except (FileNotFoundError, NotADirectoryError):
                pass
            remove_empty(top, name.rpartition("/")[0])


def remove_empty(top, path):
    """Remove a folder, and what it lies in, as long as nothing is in it."""
    try:
        while path not in ("", "."):
            path, _, name = path.rpartition("/")
            with open_parent(top, path + "/" + name) as folder:
                os.rmdir(name, dir_fd=folder.number)
    except OSError:
        pass


# ---- single entries


def move(old_path, new_path):
    (old, name), (new, new_name) = open_place(old_path), open_place(new_path)
    with old, new:
        os.rename(name, new_name, src_dir_fd=old.number, dst_dir_fd=new.number)


def discard(path):
    """Remove by rm, which below the folder that it works in follows no link, however deep."""
    import subprocess

    try:
        folder, name = open_place(path)
    except FileNotFoundError:
        return 0
    with folder:
        os.fchdir(folder.number)
        return subprocess.call(["rm", "-rf", "--one-file-system", "--", "./" + name])


def read(path):
    folder, name = open_place(path)
    with folder, folder.read(name) as file:
        pour(file, sys.stdout.buffer)


def write(path):
    folder, name = open_place(path)
    with folder:
        folder.remove(PARTIAL)
        with os.fdopen(os.open(PARTIAL, NEW_FILE, 0o644, dir_fd=folder.number), "wb") as file:
            pour(sys.stdin.buffer, file)
            file.flush()
            os.fsync(file.fileno())
        folder.rename(name)


SINGLE = {"carry": carry, "move": move, "read": read, "write": write}


def main(verb, *paths):
    if verb in ("bring", "copy"):
        copy(*paths, opened=verb == "copy")
    elif verb == "mirror":
        copy(*paths, brought=set(words()))
    elif verb == "is_mirrored":
        return 0 if is_mirrored(*paths, brought=set(words())) else 3
    elif verb in ("give_back", "remove"):
        {"give_back": give_back, "remove": remove}[verb](*paths, words())
    elif verb == "make":
        open_folder(*paths, make=True).__exit__()
    elif verb == "discard":
        return discard(*paths)
    elif verb in SINGLE:
        SINGLE[verb](*paths)
    else:
        import tarfile

        try:
            {"put_back": put_back, "take_back": take_back}[verb](*paths)
        except tarfile.TarError as error:
            raise OSError(str(error)) from error
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except (OSError, StrangersLinkError) as error:
        sys.exit("error: %s" % error)
