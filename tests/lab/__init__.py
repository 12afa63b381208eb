"""Real Debian servers on this machine, with a small NetPoint of our own, for the stories no double can tell.

    rootfs.py      one cached root filesystem for all servers
    servers.py     one server: boot, run, power cut, close
    hosts_file.py  the inventory of some servers, as the product reads it
    wheels.py      the local package index of the servers
    netpoint/      releases of a small NetPoint and their first installation
"""
