"""A small server that answers as the Hugging Face hub does."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import io
import json
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from forks import forget

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(http.server.BaseHTTPRequestHandler):
    """Files of repositories, as huggingface.co answers for them."""

    protocol_version = "HTTP/1.1"
    files: dict[str, bytes]
    failures: list[str]
    seen: list[str]

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, body):
        match = re.fullmatch(r"/(.+)/resolve/(\w+)/(.+)", self.path)
        content = self.files.get(f"{match[1]}/{match[3]}") if match else b""
        if match:
            self.seen.append(f"{self.command} {match[2]} {match[3]}")
        if body and self.failures:
            failure = self.failures.pop(0)
            if failure == "503":
                self.send_response(503)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            # The length is announced, half of it is sent, and the line goes dead.
            self.headers_for(content)
            self.wfile.write(content[: len(content) // 2])
            self.wfile.flush()
            self.close_connection = True
            # Closing alone would wait for the files of the socket, and the client for ten seconds.
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        if content is None:
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")[0])
        self.headers_for(content, start)
        if body:
            self.wfile.write(content[start:])

    def headers_for(self, content, start=0):
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()

    def log_message(self, *_):
        pass


@contextmanager
def serve() -> Iterator[tuple[type[Hub], str]]:
    """Serve `files` (by repository and name); `failures` are used up one a download, `seen` lists the requests.

    Yields
    ------
    type
        Its class attributes are the server's state.
    str
        What HF_ENDPOINT has to be.
    """
    handler = type("Handler", (Hub,), {"files": {}, "failures": [], "seen": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield handler, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def fetch_apart(arguments: Sequence[object], environment: Mapping[str, str]) -> tuple[int, str, str]:
    """In a new process, fetch weights; return an exit status, what was found, and what was said.

    Neither we nor the hub's client, which tries a dead line again for minutes,
    wait between two attempts, but the time counts as if they did.
    """
    for name in ("HF_HUB_OFFLINE", "HF_HUB_CACHE", "HF_ENDPOINT"):
        os.environ.pop(name, None)
    os.environ.update(environment)
    # It was imported before, with other settings, along with timm.
    forget("huggingface_hub")
    from sat.errors import SatError
    from sat.models.pretrained import fetch

    waited: list[float] = []
    time.sleep = waited.append
    status, found, begun = 0, "", time.monotonic()
    with contextlib.redirect_stderr(io.StringIO()) as said:
        try:
            download = fetch(*arguments)
            found = json.dumps([str(download.path), download.repository, download.revision, download.file])
        except SatError as error:
            status = 1
            print(f"SatError: {error}", file=sys.stderr)
        print(f"took {time.monotonic() - begun + sum(waited)} s", file=sys.stderr)
    return status, found, said.getvalue()
