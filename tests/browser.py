"""A real browser, for tests that open pages."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
# Whatever the page asks for from outside would fail here.
FLAGS += ["--disable-component-update", "--disable-sync", "--disable-quic", "--host-resolver-rules=MAP * ~NOTFOUND"]
SCREENSHOTS = "SAT_SCREENSHOTS"
"""Environment variable with a folder, to which screenshots are written."""


def chromium() -> str:
    """The browser's path. Without one, the test is skipped, or fails where one has to be."""
    if not CHROMIUM:
        if os.environ.get("SAT_REQUIRE_BROWSER"):
            pytest.fail("no Chromium, and SAT_REQUIRE_BROWSER is set")
        pytest.skip("no Chromium on this machine")
    return CHROMIUM


def dump(page: Path, profile: Path) -> str:
    """Open a page without a network, and return its elements after its scripts have run."""
    flags = [*FLAGS, f"--user-data-dir={profile}", "--virtual-time-budget=10000", "--dump-dom"]
    return subprocess.run([chromium(), *flags, page.as_uri()], capture_output=True, text=True, timeout=120).stdout


class Tab:
    """A page in Chromium, driven by the DevTools protocol over two pipes."""

    def __init__(self, send: Callable[[bytes], object], receive: Callable[[], bytes]) -> None:
        self._send, self._receive = send, receive
        self._number = 0
        self._session = ""
        self.complaints: list[str] = []
        """Errors and warnings of the console, exceptions, and violations of the page's own policy."""
        self.requests: list[str] = []
        """All addresses that were asked for, without data in the address itself."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method, and keep account of what happens until it answers."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._send(json.dumps(message).encode() + b"\0")
        while True:
            got = json.loads(self._receive())
            if got.get("id") == self._number:
                assert "error" not in got, got
                return got["result"]
            self._note(got.get("method"), got.get("params", {}))

    def _note(self, event: str | None, found: dict[str, Any]) -> None:
        if event == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(found["exceptionDetails"].get("exception", found["exceptionDetails"])))
        elif event == "Runtime.consoleAPICalled" and found["type"] in ("error", "warning", "assert"):
            self.complaints.append(json.dumps(found["args"]))
        elif event == "Log.entryAdded" and found["entry"]["level"] in ("error", "warning"):
            self.complaints.append(found["entry"]["text"])
        elif event == "Network.requestWillBeSent" and not found["request"]["url"].startswith(("data:", "blob:")):
            self.requests.append(found["request"]["url"])

    def run(self, script: str) -> Any:
        """Evaluate JavaScript, wait for it if it is a promise, and return its value."""
        found = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def open(self, page: Path, ready: str, width: int = 1280, height: int = 900, seconds: float = 30) -> None:
        """Open a page in a window of a size, and wait until a condition holds."""
        self.resize(width, height)
        self.call("Page.navigate", url=page.as_uri())
        self.wait(ready, seconds)

    def resize(self, width: int, height: int) -> None:
        """Give the window a size; below 500 px it is a phone."""
        phone = width < 500
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)

    def wait(self, condition: str, seconds: float = 10) -> None:
        """Wait until a condition in JavaScript holds."""
        end = time.monotonic() + seconds
        while not self.run(f"(() => {{ try {{ return Boolean({condition}); }} catch {{ return false; }} }})()"):
            assert time.monotonic() < end, f"{condition}: not within {seconds} s; {self.complaints}"
            time.sleep(0.02)

    def click(self, x: float, y: float) -> None:
        """Move the mouse to a place in the window, and click."""
        self.move(x, y)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def move(self, x: float, y: float) -> None:
        """Move the mouse."""
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Press at a place, move in steps, and let go at another."""
        self.move(*start)
        for step in range(12):
            x, y = (one + (other - one) * min(step / 10, 1) for one, other in zip(start, end, strict=True))
            kind = "mousePressed" if step == 0 else "mouseReleased" if step == 11 else "mouseMoved"
            self.call(
                "Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=int(step < 11), clickCount=1
            )

    def type(self, text: str) -> None:
        """Type into the element that has the focus."""
        self.call("Input.insertText", text=text)

    def press(self, key: str, code: int) -> None:
        """Press a key."""
        for kind in ("rawKeyDown", "char", "keyUp"):
            extra = {"text": "\r"} if key == "Enter" and kind == "char" else {}
            if kind != "char" or extra:
                self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **extra)

    def choose(self, selector: str, value: str) -> None:
        """Choose a value of a select element."""
        self.run(
            f"(() => {{ const found = document.querySelector({json.dumps(selector)}); found.value = "
            f"{json.dumps(value)}; found.dispatchEvent(new Event('change', {{bubbles: true}})); }})()"
        )

    def text(self, selector: str) -> str:
        """Text of an element."""
        return self.run(f"document.querySelector({json.dumps(selector)}).innerText")

    def screenshot(self, name: str, whole: bool = True) -> None:
        """Write a screenshot to the folder that the environment names; without one, nothing."""
        if not (folder := os.environ.get(SCREENSHOTS)):
            return
        Path(folder).mkdir(parents=True, exist_ok=True)
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        (Path(folder) / f"{name}.png").write_bytes(base64.b64decode(shot["data"]))


@contextmanager
def browsing(profile: Path) -> Iterator[Tab]:
    """Start Chromium without a network, with one tab."""
    ours, theirs = os.pipe(), os.pipe()
    flags = [*FLAGS, f"--user-data-dir={profile}", "--remote-debugging-pipe", "about:blank"]
    # Chromium reads its orders from descriptor 3, and answers on 4.
    shell = f'exec "$0" "$@" 3<&{ours[0]} 4>&{theirs[1]}'
    browser = subprocess.Popen(
        ["bash", "-c", shell, chromium(), *flags], pass_fds=(ours[0], theirs[1]), stderr=subprocess.DEVNULL
    )
    os.close(ours[0])
    os.close(theirs[1])
    waiting = bytearray()

    def receive() -> bytes:
        while b"\0" not in waiting:
            part = os.read(theirs[0], 1 << 20)
            assert part, "Chromium has ended"
            waiting.extend(part)
        message, _, rest = bytes(waiting).partition(b"\0")
        waiting[:] = rest
        return message

    def send(message: bytes) -> None:
        while message:
            message = message[os.write(ours[1], message) :]

    try:
        yield Tab(send, receive)
    finally:
        browser.kill()
        browser.wait()
        os.close(ours[1])
        os.close(theirs[0])
