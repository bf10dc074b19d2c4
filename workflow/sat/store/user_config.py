"""The user's own config files: one value is changed, and all else stays as the user wrote it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import yaml

from sat.errors import SatError
from sat.store.user_tables import rewrite


def set_value(files: Sequence[Path], keys: Sequence[str], value: str, check: Callable[[], object]) -> Path:
    """Change the value of a key; comments, order and layout stay.

    Parameters
    ----------
    files : sequence of Path
        Config files of a study; a later file overrides those before it.
    keys : sequence of str
        Names of the sections, and of the key in the last one.
    value : str
        New value, as YAML.
    check : callable
        Function that is called after the file is written. If it raises a SatError, the file is restored.

    Returns
    -------
    Path
        The file that was changed: the last that has the key.

    Raises
    ------
    SatError
        If no file has the key, the file cannot be written, or the study is not valid with the new value.
    """
    for file in reversed(files):
        # No line end is translated, so that positions in the text are those in the file.
        text = file.read_bytes().decode("utf-8")
        node = _find(yaml.compose(text, yaml.SafeLoader), keys)
        if node:
            changed = text[: node.start_mark.index] + value + text[node.end_mark.index :]
            rewrite({file: changed}, check)
            return file
    raise SatError(f"{files[-1]}: has no key '{'.'.join(keys)}'; write it there.")


def _find(node: yaml.Node | None, keys: Sequence[str]) -> yaml.ScalarNode | None:
    for key in keys:
        if not isinstance(node, yaml.MappingNode):
            return None
        node = next((value for name, value in node.value if name.value == key), None)
    return node if isinstance(node, yaml.ScalarNode) else None
