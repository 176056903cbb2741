"""Publishers and readers of the sites, and the files of each release."""

import base64
import functools
import gzip
import hashlib
import http.client
import json
import random
import re
import shutil
import subprocess
import threading
import time

SITES = ["alpha", "beta", "gamma"]
BLOB_MAX = 256 << 10
ABSENT_FILE = "/absent"
# The time for a command or a request, in seconds.
COMMAND_TIMEOUT = 90
REQUEST_TIMEOUT = 20
# How long requests may still fail after their edge has started again, in seconds.
GRACE = 5


def digest(data):
    return hashlib.sha256(data).hexdigest()


def fingerprint(data):
    """The hash in the name of a file, as Vite makes it."""
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest())[:8].decode()


def release_number(text):
    return int(text.removeprefix("v"))


@functools.lru_cache(maxsize=64)
def files(tag):
    """The files of the release `tag`, path to bytes. All bytes depend on the tag, except those of the vendor chunk. The page does not name
    the lazy chunk: an open tab fetches it later."""
    site, mark = tag.rpartition("-")[0], f"release {tag} "
    app = f"/* {mark}*/\n" + "\n".join(f"var v{n} = '{digest(f'{tag} {n}'.encode())}';" for n in range(60))
    vendor = "\n".join(f"var {site}{n} = {n};" for n in range(400))
    lazy = f"/* {mark}*/\n" + "\n".join(f"var w{n} = '{digest(f'{tag} lazy {n}'.encode())}';" for n in range(30))
    texts = {"app": app, "vendor": vendor, "lazy": lazy}
    chunks = {f"assets/{name}-{fingerprint(text.encode())}.js": text.encode() for name, text in texts.items()}
    scripts = "".join(f'<script src="/{path}"></script>' for path in chunks if "/lazy-" not in path)
    return {
        "index.html": f"<!doctype html><title>{mark}</title>{scripts}\n".encode(),
        "data.json": json.dumps({"text": mark, "filler": "x" * 2000}).encode(),
        # More than one blob, and no fingerprint.
        "media.bin": mark.encode() + random.Random(tag).randbytes(BLOB_MAX + 9000),
        **chunks,
    }


class Writer(threading.Thread):
    """Pushes a site and rolls it back, one command after another."""

    def __init__(self, cluster, site, chance):
        super().__init__()
        self.cluster, self.ledger, self.site, self.chance = cluster, cluster.ledger, site, chance
        self.build = cluster.folder / "builds" / site
        self.pushes, self.releases, self.process, self.is_paused = 0, [], None, False
        self.interval = 0.05  # the mean pause between two writes, in seconds
        self.begun, self.begun_at = 0, {}  # writes, and the number of the last one for each tag or release number

    def run(self):
        while not self.cluster.stopped.is_set():
            self.is_paused = self.cluster.paused.is_set()
            if self.is_paused:
                time.sleep(0.01)
                continue
            if len(self.releases) > 2 and self.chance.random() < 0.35:
                self.roll_back()
            else:
                self.push()
            self.cluster.stopped.wait(self.chance.uniform(0, 2 * self.interval))

    def push(self):
        tag = self.prepare_push()
        self.write(tag, "push", self.build, "--message", tag)

    def prepare_push(self):
        """Writes the files of the next release. Returns its tag."""
        self.pushes += 1
        tag = f"{self.site}-{self.pushes}"
        self.begin(tag)
        shutil.rmtree(self.build, ignore_errors=True)
        for path, data in files(tag).items():
            (self.build / path).parent.mkdir(parents=True, exist_ok=True)
            (self.build / path).write_bytes(data)
        with self.ledger.lock:
            self.ledger.issued.add(tag)
        self.ledger.count("pushes")
        return tag

    def roll_back(self):
        self.ledger.count("rollbacks")
        number = self.chance.choice(self.releases[-6:-1])
        self.begin(number)
        self.write(None, "rollback", "--to", f"v{number}")

    def begin(self, target):
        self.begun += 1
        self.begun_at[target] = self.begun

    def moves_since(self, tag, number):
        """How many moves have begun since the last one to the release with this tag and number, or since an earlier one."""
        return self.begun - max(self.begun_at.get(tag, 0), self.begun_at.get(number, 0))

    def write(self, tag, *command):
        """Runs a command that moves the channel, and records what it reports."""
        wait = [] if self.chance.random() < 0.6 else ["--no-wait"]
        command = [self.cluster.binaries / "verge", *command, "--site", self.site, "--json", *wait, *self.cluster.options]
        era = self.ledger.era
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(command, env=self.cluster.environment, cwd=self.cluster.folder, start_new_session=True, **pipes)
        self.cluster.write_began.set()
        try:
            output, errors = self.process.communicate(timeout=COMMAND_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            self.ledger.fail("failed", command=[str(word) for word in command[1:]], error=f"not done after {COMMAND_TIMEOUT} s")
            return
        if self.process.returncode in (0, 7):
            result = json.loads(output)
            number = release_number(result["release"])
            is_recorded = self.ledger.acknowledge(era, self.site, result["epoch"], number, tag, result["edges"]["confirmed"])
            if tag and is_recorded:
                self.releases.append(number)
        elif self.process.returncode < 0 or "cannot tell whether" in errors:
            self.ledger.count("writes with an unknown outcome")
        elif "lost the connection" in errors:
            self.ledger.fail("failed", command=[str(word) for word in command[1:]], error=errors[-300:])
        else:
            self.ledger.count("writes that failed, the origin being away" if "cannot reach the origin" in errors else "writes that failed")
            if tag:
                self.ledger.deny(era, self.site, tag)

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()


class Reader(threading.Thread):
    """Reads one site from one edge as a browser does: a page, a chunk that it names, a file without a fingerprint."""

    def __init__(self, cluster, edge, site, chance):
        super().__init__()
        self.cluster, self.ledger, self.edge, self.site, self.chance = cluster, cluster.ledger, edge, site, chance
        self.key, self.connection, self.connected_to = (edge.name, site), None, None
        self.pages = 0  # responses to requests for a page

    def run(self):
        while not self.cluster.stopped.is_set():
            page = self.read("/")
            if page:
                self.read(self.chance.choice(re.findall(rb'src="(/[^"]+)"', page)).decode(), named_by=page)
                self.read(self.chance.choice(["/data.json", "/media.bin"]))
            else:
                # The response names the release, even if no file of it is on disk.
                self.read(ABSENT_FILE)
            time.sleep(0.03 if page else 0.1)

    def read(self, path, named_by=None):
        """Returns the body, if it is that of a release. `named_by` is the page that names the chunk at `path`."""
        era, confirmed, before = self.ledger.era, self.ledger.confirmed[self.key], (self.edge.starts, self.edge.is_up)
        try:
            status, headers, body = self.get(path, self.edge.starts)
        except (OSError, http.client.HTTPException) as error:
            self.connection = None
            was_killed = before != (self.edge.starts, True)
            return self.unavailable(path, repr(error), "its edge was killed" if was_killed or not self.edge.is_up else None)
        self.pages += path == "/"
        # One of them is in every response for a site that the edge serves.
        if not headers["Verge-Release"] and not headers["Cache-Status"]:
            self.ledger.fail("older", edge=self.edge.name, site=self.site, path=path, status=status, start=repr(body[:60]))
            return None
        if status in (502, 503):
            return self.unavailable(path, status, None)
        if path == ABSENT_FILE:
            return self.ledger.show(era, self.key, confirmed, release_number(headers["Verge-Release"]), None)
        if status != 200:
            self.ledger.fail("missing" if status == 404 else "failed", edge=self.edge.name, site=self.site, path=path, status=status)
            return None
        mark = re.search(rb"release (([a-z]+)-\d+) ", (named_by or body)[:200])
        tag = mark and mark[1].decode()
        is_release = tag in self.ledger.issued and mark[2].decode() == self.site
        if not is_release or body != files(tag).get("index.html" if path == "/" else path[1:]):
            self.ledger.fail("mixed", edge=self.edge.name, site=self.site, path=path, tag=tag, bytes=len(body), start=repr(body[:60]))
            return None
        self.ledger.count("reads verified")
        # An inherited chunk comes with the number of the release that inherits it.
        if not named_by:
            self.ledger.show(era, self.key, confirmed, release_number(headers["Verge-Release"]), tag)
        return body

    def get(self, path, starts):
        if self.connection is None or self.connected_to != starts:
            self.connection = http.client.HTTPConnection(*self.edge.listen, timeout=REQUEST_TIMEOUT)
            self.connected_to = starts
        headers = {"Host": f"{self.site}.localhost", "Accept-Encoding": self.chance.choice(["gzip", "identity"])}
        self.connection.request("GET", path, headers=headers)
        response = self.connection.getresponse()
        body = response.read()
        return response.status, response.headers, gzip.decompress(body) if response.headers["Content-Encoding"] == "gzip" else body

    def unavailable(self, path, error, reason):
        if not reason and not self.edge.is_up_for(GRACE):
            reason = "its edge was down"
        if reason:
            self.ledger.count(f"reads without an answer: {reason}")
        else:
            self.ledger.fail("failed", edge=self.edge.name, site=self.site, path=path, error=error)
