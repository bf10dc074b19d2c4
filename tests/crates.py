"""The validator of RO-Crates, without a network."""

from __future__ import annotations

from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests_cache import CachedSession
from urllib3 import HTTPResponse

CONTEXT = "https://w3id.org/ro/crate/1.1/context"
TERMS = {
    "https://bioschemas.org/terms/input": "https://bioschemas.org/ComputationalWorkflow#input",
    "https://bioschemas.org/terms/output": "https://bioschemas.org/ComputationalWorkflow#output",
    "https://bioschemas.org/terms/": "https://bioschemas.org/",
}
"""Terms that version 1.3 of the context, which rocrate ships, maps otherwise than version 1.1, for which the profile's
checks are written (its prefixes.ttl)."""


class _Shipped(HTTPAdapter):
    """Answers with the context that rocrate ships."""

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        assert request.url == CONTEXT, f"the crate needs {request.url}"
        text = (files("rocrate") / "data/ro-crate.jsonld").read_text()
        for new, old in TERMS.items():
            text = text.replace(new, old)
        headers = {"Content-Type": "application/ld+json"}
        raw = HTTPResponse(BytesIO(text.encode()), headers, 200, preload_content=False, request_url=CONTEXT)
        return self.build_response(request, raw)


def fill_cache(path: Path) -> Path:
    """Fill a cache of the validator with the context, so that it asks the network for nothing."""
    with CachedSession(cache_name=str(path), backend="sqlite", expire_after=-1) as session:
        session.mount("https://", _Shipped())
        session.get(CONTEXT)
    return path


def issues(crate: Path, cache: Path, changed: dict[str, Any] | None = None) -> tuple[list[str], list[str]]:
    """Validate a crate, or changed metadata of it, as a Provenance Run Crate.

    Returns
    -------
    tuple of two lists of str
        Identifiers of the required checks that were made, and what the validator found.
    """
    from rocrate_validator.services import validate, validate_metadata_as_dict

    settings = {
        "rocrate_uri": str(crate),
        "profile_identifier": "provenance-run-crate-0.5",
        "requirement_severity": "REQUIRED",
        "cache_path": cache,
        "offline": True,
    }
    result = validate_metadata_as_dict(changed, {**settings, "metadata_only": True}) if changed else validate(settings)
    checks = [check.identifier for check in result.executed_checks]
    return checks, [f"{issue.check.identifier}: {issue.message}" for issue in result.get_issues()]
