#!/bin/sh
# Make the virtual environment named by the first argument, or say what is missing and how to get it.
# Debian splits venv's ensurepip into python3-venv: as root that is installed here.
set -eu

venv=$1
python=${PYTHON:-python3}

fail() {
    echo "setup: $1" >&2
    exit 1
}

command -v "$python" >/dev/null || fail "$python not found: apt-get install python3 (3.11 or newer)"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "$python is older than 3.11; set PYTHON=..."
command -v git >/dev/null || fail "git not found: apt-get install git (2.39 or newer)"

if [ -x "$venv/bin/python" ] && "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    exit 0
fi
if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
    else
        fail "this Python cannot make virtual environments: sudo apt-get install python3-venv, then repeat"
    fi
fi
"$python" -m venv "$venv"
