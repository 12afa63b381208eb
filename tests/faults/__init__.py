"""The fault matrix: whatever breaks, wherever it breaks, NetPoint serves and nothing is lost (docs/reliability.md).

    python -m tests.faults                       # all of it, in a table
    python -m tests.faults --list                # what there is
    python -m tests.faults --journey git --fault power --step run_upgrade

What is where:

    journeys.py    what a server goes through: the columns
    ground.py      a lab server that faults can be put into, and the state it was in before
    orders.py      faults ordered from the server's own timeout(1), which starts every step
    clock.py       the server's clock
    mirror.py      a mirror that damages archives on their way
    disks.py       small disks that can be filled in a moment
    states.py      all that must be as it was, and how two servers differ
    faults.py      the faults that strike at one step: most rows
    walks.py       the faults that strike at every step of one single run
    singles.py     the faults of one step or one kind only
    matrix.py      all of it
    judging.py     what became of a server, and whether that is right
    lanes.py       servers side by side, until nothing is left to do
    table.py       the table
"""
