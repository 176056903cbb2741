"""Clients that read a page over HTTPS from one edge: curl and Chromium."""

import os
import re
import subprocess

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
OPTIONS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
    "--disable-dev-shm-usage",
    "--timeout=20000",
]


def curl(host, address, root, port=443, path="/"):
    """Returns what was agreed on, such as "200 over HTTP/2, TLSv1.3", and the body; or the error, and None."""
    resolve = ["--noproxy", "*", "--resolve", f"{host}:{port}:{address}"]
    form = "\n%{http_code} over HTTP/%{http_version}"
    command = ["curl", "--verbose", "--silent", "--max-time", "20", "--http2", "--cacert", root, *resolve, "--write-out", form, f"https://{host}:{port}{path}"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        # The reason of OpenSSL has colons before it.
        reason = re.search(r"error:[^:\n]*:[^:\n]*:[^:\n]*:(.*)", done.stderr)
        return f"error {done.returncode}: {reason[1] if reason else done.stderr[-300:]}", None
    body, _, answer = done.stdout.rpartition("\n")
    version = re.search(r"SSL connection using (\S+)", done.stderr)[1]
    return f"{answer}, {version}", body


class Chromium:
    """A browser with a home directory of its own, whose certificate store has `root`, or no certificate at all."""

    def __init__(self, home, root=None):
        self.home = home
        store = home / ".pki/nssdb"
        store.mkdir(parents=True)
        certutil = lambda *arguments: subprocess.run(["certutil", "-d", f"sql:{store}", *arguments], check=True)
        certutil("-N", "--empty-password")
        if root:
            certutil("-A", "-n", "authority", "-t", "C,,", "-i", root)

    def read(self, host, address):
        """Returns title and text of the page, after its scripts."""
        target = [f"--host-resolver-rules=MAP * {address}", f"--user-data-dir={self.home}/profile", "--dump-dom", f"https://{host}/"]
        environment = {**os.environ, "HOME": str(self.home)}
        done = subprocess.run([CHROMIUM, *OPTIONS, *target], capture_output=True, text=True, env=environment, timeout=60)
        title, text = (re.search(f"<{tag}>(.*?)</{tag}>", done.stdout, re.DOTALL) for tag in ["title", "p"])
        return (title and title[1]), (text and text[1])
