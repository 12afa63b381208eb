#!/bin/bash
# Brings an unpacked release into service: environment, packages, database, files.
# Restart the NetPoint services when it is done.

cd "$(dirname "$0")"

#@ from 3.6.8
NETPOINT_VERSION="$(grep "^VERSION" netpoint/netpoint/settings.py | cut -d"'" -f2)"
echo "You are installing (or upgrading to) NetPoint version ${NETPOINT_VERSION}"

#@ end
VIRTUALENV="$(pwd -P)/venv"
#@ to 2.11.99
PYTHON="/usr/bin/python3"
#@ end
#@ from 3.0
PYTHON="${PYTHON:-python3}"
#@ end

#@ from 3.2
PYTHON_VERSION=$(eval "${PYTHON} -V")
eval "${PYTHON} -c 'import sys; exit(1 if sys.version_info < (3, 8) else 0)'" || {
  echo "--------------------------------------------------------------------"
  echo "ERROR: Unsupported Python version: ${PYTHON_VERSION}."
  echo "This release runs on Python 3.8 and later. Name another one with the"
  echo "PYTHON environment variable:"
  echo ""
  echo "  sudo PYTHON=/usr/bin/python3.8 ./upgrade.sh"
  echo "--------------------------------------------------------------------"
  exit 1
}
echo "Using ${PYTHON_VERSION}"

#@ end
if [ -d "$VIRTUALENV" ]; then
  echo "Removing old virtual environment..."
  eval "rm -rf ${VIRTUALENV}"
else
  WARN_MISSING_VENV=1
fi

echo "Creating a new virtual environment at ${VIRTUALENV}..."
eval "${PYTHON} -m venv ${VIRTUALENV}" || {
  echo "--------------------------------------------------------------------"
  echo "ERROR: Failed to create the virtual environment. Python's venv module"
  echo "may be missing; on Debian it comes with: apt install python3-venv"
  echo "--------------------------------------------------------------------"
  exit 1
}

source "${VIRTUALENV}/bin/activate"

COMMAND="pip install --upgrade pip"
echo "Updating pip ($COMMAND)..."
eval $COMMAND || exit 1
pip -V

COMMAND="pip install wheel"
echo "Installing Python system packages ($COMMAND)..."
eval $COMMAND || exit 1

COMMAND="pip install -r requirements.txt"
echo "Installing core dependencies ($COMMAND)..."
eval $COMMAND || exit 1

if [ -s "local_requirements.txt" ]; then
  COMMAND="pip install -r local_requirements.txt"
  echo "Installing local dependencies ($COMMAND)..."
  eval $COMMAND || exit 1
elif [ -f "local_requirements.txt" ]; then
  echo "Skipping local dependencies (local_requirements.txt is empty)"
else
  echo "Skipping local dependencies (local_requirements.txt not found)"
fi

COMMAND="python3 netpoint/manage.py migrate"
echo "Applying database migrations ($COMMAND)..."
eval $COMMAND || exit 1

COMMAND="python3 netpoint/manage.py trace_paths --no-input"
echo "Checking for missing cable paths ($COMMAND)..."
eval $COMMAND || exit 1

#@ from 3.0
COMMAND="mkdocs build"
echo "Building documentation ($COMMAND)..."
eval $COMMAND || exit 1

#@ end
COMMAND="python3 netpoint/manage.py collectstatic --no-input"
echo "Collecting static files ($COMMAND)..."
eval $COMMAND || exit 1

COMMAND="python3 netpoint/manage.py remove_stale_contenttypes --no-input"
echo "Removing stale content types ($COMMAND)..."
eval $COMMAND || exit 1

#@ from 3.4.5
COMMAND="python3 netpoint/manage.py reindex --lazy"
echo "Rebuilding search cache (lazily) ($COMMAND)..."
eval $COMMAND || exit 1

#@ end
COMMAND="python3 netpoint/manage.py clearsessions"
echo "Removing expired user sessions ($COMMAND)..."
eval $COMMAND || exit 1

#@ to 2.11.99
COMMAND="python3 netpoint/manage.py invalidate all"
echo "Clearing cache data ($COMMAND)..."
eval $COMMAND || exit 1

#@ end
#@ from 3.2.3 to 3.6.9
COMMAND="python3 netpoint/manage.py clearcache"
echo "Clearing the cache ($COMMAND)..."
eval $COMMAND || exit 1

#@ end
if [ -v WARN_MISSING_VENV ]; then
  echo "--------------------------------------------------------------------"
  echo "WARNING: No existing virtual environment was detected. A new one has"
  echo "been created. Check that the systemd units name the Python and the"
  echo "gunicorn of this environment:"
  echo ""
  echo "  ${VIRTUALENV}/bin/gunicorn"
  echo "  ${VIRTUALENV}/bin/python"
  echo ""
  echo "then reload them:"
  echo ""
  echo "  sudo systemctl daemon-reload"
  echo "--------------------------------------------------------------------"
fi

echo "Upgrade complete! Don't forget to restart the NetPoint services:"
echo "  > sudo systemctl restart netpoint netpoint-rq"
