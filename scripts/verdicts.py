"""How benches and soaks end: a table of figures, what is wrong, and one line of JSON for programs."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

__all__ = ["conclude", "kept_folder"]

_MOST = 50


def conclude(figures: Mapping[str, float], failures: Sequence[str]) -> int:
    """Prints figures and failures, and as the last line the figures as one JSON object, with how many things are wrong.
    Returns the exit code: 1 if anything is.
    """
    print()
    for name, figure in figures.items():
        print(f"{name:<36}{figure:>14,}")
    for one in failures[:_MOST]:
        print(f"FAILED: {one}", file=sys.stderr)
    if len(failures) > _MOST:
        print(f"FAILED: {len(failures) - _MOST} more", file=sys.stderr)
    print(json.dumps({**figures, "wrong": len(failures)}), flush=True)
    return 1 if failures else 0


@contextmanager
def kept_folder(prefix: str, keep: bool) -> Iterator[Path]:
    """A temporary folder, which stays if it is to be kept."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    try:
        yield folder
    finally:
        if keep:
            print(f"Databases and logs are in {folder}.", file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)
