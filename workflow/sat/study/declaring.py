"""Import units of a study's own, and write their declarations: python -m sat.study.declaring FILE KIND/NAME=DIGEST ...

This runs code that came with a study. Only `sat.study.own_units` starts it, with the user's consent.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from sat.errors import SatError
from sat.study.copies import import_copy
from sat.units import SINGULAR
from sat.units.declared import WRITTEN, describe


def main(answer: Path, words: list[str]) -> None:
    """Write the declarations by digest, or what is wrong with one as `fault`.

    Parameters
    ----------
    answer : Path
        File that is written.
    words : list of str
        Such as `attacks/mine=6f2a...`.
    """
    found: dict[str, Any] = {}
    for word in words:
        entry, _, digest = word.partition("=")
        kind, _, name = entry.partition("/")
        what = f"{SINGULAR[kind]} {name!r}"
        try:
            module = import_copy(name, digest, what)
            if type(unit := module.UNIT) not in WRITTEN or not callable(getattr(module, "run", None)):
                raise SatError(
                    f"{what}: UNIT is a {type(unit).__name__}, or 'run' is not a function, once it is imported."
                )
            found[digest] = describe(unit)
        except (SatError, ValueError) as error:
            found = {"fault": str(error) if isinstance(error, SatError) else f"{what}: {error}."}
            break
    answer.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
