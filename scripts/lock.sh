#!/bin/sh
# Writes the newest versions that pyproject.toml allows into scripts/constraints.txt: resolved in an empty environment
# that is thrown away, with the Python of .venv or else python3.
set -eu
cd "$(dirname "$0")/.."

python=python3
[ -x .venv/bin/python ] && python=.venv/bin/python
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

"$python" -m venv "$scratch/venv"
"$scratch/venv/bin/python" -m pip install -qq --disable-pip-version-check --no-input '.[dev]'
{
    echo "# The versions that development and CI run with; written by 'make lock'. Users of the wheel are bound only by"
    echo "# the ranges of pyproject.toml."
    "$scratch/venv/bin/python" -m pip freeze --disable-pip-version-check --exclude actp-escrow
} > "$scratch/constraints.txt"
mv "$scratch/constraints.txt" scripts/constraints.txt
