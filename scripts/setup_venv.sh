#!/bin/sh
# Makes .venv with everything that the Makefile's targets need. Does nothing, and needs no network, as long as
# pyproject.toml and scripts/constraints.txt are what they were at the last successful run in this directory.
set -eu
cd "$(dirname "$0")/.."

venv=.venv
stamp=$venv/.installed-from
wanted="$(cat pyproject.toml scripts/constraints.txt | cksum) $PWD"

usable() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        echo "$PYTHON"
        return
    fi
    for candidate in python3.13 python3.12 python3.11 python3 python; do
        if usable "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    echo "No Python 3.11, 3.12 or 3.13 found. Install one, or name it: make PYTHON=/path/to/python3.12 ..." >&2
    return 1
}

# A wrong name is said even if it would not be used, because there is an environment already.
if [ -n "${PYTHON:-}" ] && ! usable "$PYTHON"; then
    what="$("$PYTHON" -c 'import sys; print("is Python %d.%d" % sys.version_info[:2])' 2>/dev/null)" ||
        what="is no Python that can be run"
    echo "PYTHON=$PYTHON $what. Python 3.11, 3.12 or 3.13 is needed: name one, or leave PYTHON out." >&2
    exit 1
fi

if [ -f $stamp ] && [ "$(cat $stamp)" = "$wanted" ] && usable $venv/bin/python; then
    exit 0
fi

if [ -d $venv ] && ! usable $venv/bin/python; then
    echo "$venv holds no Python, a broken one, or none of 3.11 to 3.13. Run 'make clean' first." >&2
    exit 1
fi
if ! [ -d $venv ]; then
    python=$(find_python)
    echo "Making $venv with $("$python" --version) ..."
    if ! "$python" -m venv $venv; then
        rm -rf $venv
        echo "$python cannot make a virtual environment. On Debian and Ubuntu: apt install python3-venv" >&2
        exit 1
    fi
fi

echo "Installing into $venv (once; takes a minute or two) ..."
# The constraints also bind the packages that pip builds with.
PIP_CONSTRAINT=scripts/constraints.txt $venv/bin/python -m pip install \
    -qq --disable-pip-version-check --no-input --editable '.[dev]'
echo "$wanted" > $stamp
