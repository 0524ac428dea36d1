"""python list_mutants.py OUTPUT, run by the Python that slither is installed for, in a forge project that is built.

Writes what slither-mutate's revert and comment-out mutators would do to each contract, as a JSON list. slither-mutate
itself compiles the whole project twice for each mutant, which would take days with the compiler in WebAssembly.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from slither import Slither  # type: ignore[import-not-found]
from slither.tools.mutator.mutators.CR import CR  # type: ignore[import-not-found]
from slither.tools.mutator.mutators.RR import RR  # type: ignore[import-not-found]

LEFT_OUT = {"TestUSDC"}


def main() -> None:
    project = Slither(".", ignore_compile=True)
    mutants: dict[tuple[str, str, int, int], dict[str, object]] = {}
    for unit in project.compilation_units:
        for contract in unit.contracts:
            source = Path(contract.source_mapping.filename.absolute).relative_to(Path.cwd())
            if source.parts[0] != "contracts" or contract.is_interface or contract.name in LEFT_OUT:
                continue
            for mutator in (RR, CR):
                made = mutator(unit, 0, "", None, contract, None, False, Path("unused"), [])
                patches = made._mutate().get("patches", {})
                for patch in (patch for found in patches.values() for patch in found):
                    key = (source.as_posix(), mutator.NAME, patch["start"], patch["end"])
                    mutants[key] = {
                        "file": source.as_posix(),
                        "kind": mutator.NAME,
                        "start": patch["start"],
                        "end": patch["end"],
                        "line": patch["line_number"],
                        "new": patch["new_string"],
                    }
    Path(sys.argv[1]).write_text(json.dumps([mutants[key] for key in sorted(mutants)], indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
