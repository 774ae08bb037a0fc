#!/usr/bin/env bash
# Prints a Python that Kizu supports: $PYTHON, else the first that works. Tried by running it,
# because version managers leave commands that exist and do nothing.
set -euo pipefail

supported='import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))'

for candidate in ${PYTHON:-python3.11 python3.12 python3.13 python3.14 python3 python}; do
    if "$candidate" -c "$supported" >/dev/null 2>&1; then
        command -v "$candidate"
        exit 0
    fi
done

echo "Kizu needs Python 3.11 to 3.14 and found none${PYTHON:+ under PYTHON=$PYTHON}." \
    "Install one (Debian: apt install python3 python3-venv), or name it: make PYTHON=/path/to/python3" >&2
exit 2
