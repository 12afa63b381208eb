# shellcheck shell=sh
# The unit of a run has ended. When it was killed or stopped in its window, NetPoint would stay down until the next
# contact: the unit that is there for reboots settles it.
: "${RUN:?}"
if [ -e "$RUN/window" ] && ! [ -e "$RUN/result" ]; then systemctl start --no-block netpoint-remote-recover.service; fi
