"""Real Debian servers on this machine, with a small NetPoint of our own, for the stories no double can tell.

What is where:

    slots.py       what the lab puts on this machine, so that it can be taken away without knowing what it is
    private.py     folders that only root can read
    cache.py       what is built once and kept
    accounting.py  the kernel's process accounting, turned on for a while
    signals.py     signals that end a run
    rootfs.py      one cached root filesystem for all servers
    servers.py     one server: boot, run, power cut, close
    network.py     the address and the cable of each
    lab.py         servers that come and go together, and their hosts file
    asking.py      what tests ask a server: rows, files, pages
    wheels.py      the local package index of the servers
    netpoint/      releases of a small NetPoint and their first installation
"""
