"""The zoo: lab servers in odd but legal shapes, and what an upgrade makes of each.

A shape is one file in `shapes/`. To add one, write one:

    name: Uploads on a disk that is mounted inside the release
    seen: netbox-community/netbox#2611                where people have it
    change: |                                         what makes a plain server this one: sh, as root
      mount --bind /srv/media "$TREE/netpoint/media"
    hosts: {services: [netpoint, jobs]}               what its operator has in the hosts file, besides
    archive:                                          by method of installation, what comes out, and words in the report
      refused: [something is mounted inside the release]
    git:
      upgraded: []
    proof: |                                          what must be true of it after an upgrade: sh, as root
      mountpoint -q "$TREE/netpoint/media"
    quick: true                                       also in `make test`

`refused`: before the window, nothing was stopped. `undone`: while packages were staged, nothing was stopped.
`unreachable`: the login was refused.
`$TREE` is the release's own folder. `restart` lets the services take a change in, and waits until they serve.
"""
