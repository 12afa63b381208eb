#!/bin/sh
# Runs NetPoint's nightly housekeeping; for the daily cron tasks.
/opt/netpoint/venv/bin/python /opt/netpoint/netpoint/manage.py housekeeping
