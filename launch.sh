#!/bin/sh
# Sets up LocalRLM (the first time) and starts it.   ./launch.sh [arguments for app.py]
# ./launch.sh test [arguments for pytest]   ./launch.sh check   ./launch.sh setup   ./launch.sh doctor
# Everything with a decision in it is in launcher/.
set -u
cd "$(dirname "$0")" || exit 1

# The first Python that is new enough; else any Python 3 that can say what is missing.
found=""
for candidate in ${PYTHON:-} python3.12 python3.13 python3.11 python3.14 python3 python; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
        found=$candidate
        break
    fi
    if [ -z "$found" ] && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 8))' >/dev/null 2>&1; then
        found=$candidate
    fi
done
if [ -z "$found" ]; then
    echo "LocalRLM needs Python 3.11 or newer, and no Python was found. Install it, for example with" >&2
    echo "\`sudo apt install python3.12 python3.12-venv\` or \`brew install python@3.12\`, then start $0 again." >&2
    exit 1
fi
exec "$found" -m launcher "$@"
