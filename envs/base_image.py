"""Write the digest of the container's base image to envs/sat.def. `make base-image` gives it the image's manifest.

The digest of an image is the SHA-256 of its manifest as the registry sends it. No registry was within reach of this
project's tests, which therefore prove only what is done with an answer.
"""

import json
import re
import sys
from hashlib import sha256
from pathlib import Path


def pinned(definition: str, manifest: bytes) -> str:
    """Return a definition whose line `From:` names its image by digest, and keeps the tag in a comment above it.

    Parameters
    ----------
    definition
        Text of an Apptainer definition.
    manifest
        Manifest of the image, or index of its manifests for several architectures, byte for byte.

    Raises
    ------
    ValueError
        If the answer is no manifest, or the definition has no image with a tag.
    """
    try:
        content = json.loads(manifest)
    except ValueError:
        content = None
    if not isinstance(content, dict) or content.get("schemaVersion") != 2 or not {"manifests", "config"} & set(content):
        raise ValueError("Standard input holds no image manifest (did skopeo fail?), so nothing was changed.")
    tag = re.search(r"^# Tag: ([\w./-]+):[\w.-]+$", definition, re.MULTILINE)
    line = re.search(r"^From: \S+$", definition, re.MULTILINE)
    if not tag or not line:
        raise ValueError("A line '# Tag: IMAGE:TAG' and a line 'From: IMAGE' are needed; nothing was changed.")
    # Apptainer takes a tag or a digest, and refuses both together.
    return definition.replace(line[0], f"From: {tag[1]}@sha256:{sha256(manifest).hexdigest()}")


if __name__ == "__main__":
    path = Path(sys.argv[1])
    try:
        path.write_text(pinned(path.read_text(), sys.stdin.buffer.read()))
    except ValueError as error:
        sys.exit(f"{path}: {error}")
