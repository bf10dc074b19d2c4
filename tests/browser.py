"""A real browser, for tests that open pages."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def dump(page: Path, profile: Path) -> str:
    """Open a page without a network, and return its elements after its scripts have run."""
    if not CHROMIUM:
        if os.environ.get("SAT_REQUIRE_BROWSER"):
            pytest.fail("no Chromium, and SAT_REQUIRE_BROWSER is set")
        pytest.skip("no Chromium on this machine")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    flags += ["--disable-component-update", "--disable-sync", "--disable-quic", f"--user-data-dir={profile}"]
    # Whatever the page asks for from outside would fail here.
    flags += ["--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=10000", "--dump-dom"]
    return subprocess.run([CHROMIUM, *flags, page.as_uri()], capture_output=True, text=True, timeout=120).stdout
