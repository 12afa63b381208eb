# shellcheck shell=sh
# The unit of a run has ended. When somebody stopped it in its window, as one stops any service, systemd calls that no
# failure, and NetPoint would stay down until the next contact: the unit that is there for reboots settles it.
: "${RUN:?}"
if [ -e "$RUN/window" ] && ! [ -e "$RUN/result" ]; then systemctl start --no-block netpoint-remote-recover.service; fi
