"""Plays a scenario, or a worker's death, shows it, and says with the exit code whether it adds up."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TextIO

from actp.errors import ActpError
from coordinator.crew.loading import BUNDLED_SCENARIO, ScenarioError, load_scenario

__all__ = ["run_crash_demo", "run_demo"]

_OK, _FAILED, _USAGE = 0, 1, 2


def run_demo(
    path: Path | None = None,
    *,
    plain: bool = False,
    as_json: bool = False,
    store: Path | None = None,
    out: TextIO,
    err: TextIO,
) -> int:
    """Plays the scenario in `path`, the research crew if there is none, on a chain in this process.

    The story goes to `out` while it happens, or one JSON document at its end. `store` is a new file for the treasury's
    ledger, which is in memory without one. Returns 0 if every balance is what the scenario says and every purchase is
    proved, 1 if one is not or a step was refused, 2 if the scenario cannot be run; errors go to `err`.
    """
    if store is not None and store.exists():
        print(f"{store} is there already, and every run is a chain of its own: name a new file.", file=err)
        return _USAGE
    try:
        scenario = load_scenario(path or BUNDLED_SCENARIO)
        progress = err if as_json else out
        print("Starting a chain in this process and deploying the contracts ...", file=progress, flush=True)

        # From here on web3 and a virtual machine are loaded, which takes a moment; the line above does not wait.
        from coordinator.crew.as_json import report_as_json
        from coordinator.crew.narration import Narrator, wants_plain
        from coordinator.crew.play import play
        from coordinator.crew.records import Report
        from coordinator.crew.stage import set_stage

        narrator = None if as_json else Narrator(out, plain=plain or wants_plain(out))
        adds_up = False
        stage = set_stage(scenario, store)
        with closing(stage.store), closing(play(scenario, stage)) as events:
            for event in events:
                if narrator is not None:
                    narrator.show(event)
                if isinstance(event, Report):
                    adds_up = event.ok
                    if as_json:
                        print(report_as_json(event), file=out, flush=True)
    except ScenarioError as error:
        print(error, file=err)
        return _USAGE
    except ActpError as error:
        print(f"The scenario stopped: {error}", file=err)
        return _FAILED
    return _OK if adds_up else _FAILED


def run_crash_demo(*, out: TextIO, err: TextIO) -> int:
    """Kills a worker right after the node has taken its payment, and shows what the next one makes of it, on a chain
    that is a process of its own and over a ledger in a file. Returns 0 if it was paid once and the books are right.
    """
    from coordinator.crew.crash import run_crash

    try:
        return _OK if run_crash(out) else _FAILED
    except ActpError as error:
        print(f"The demo stopped: {error}", file=err)
        return _FAILED
