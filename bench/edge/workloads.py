"""What clients ask of each server, and the right answers."""

import json
import resource
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from client import Connection
from server import CLIENT_CORE
from site_files import HOST

CONNECTIONS = 20


class WrongAnswer(Exception):
    """A server did not answer as the files say."""


@dataclass
class Workload:
    """Requests for paths at random. `bodies` has the right content of each path, unless they are redirects to `targets`. Options name it
    by its key, the table by its name."""

    key: str
    name: str
    bodies: dict
    status: int = 200
    headers: dict = field(default_factory=dict)
    # Header fields that a response must have: text that the value contains.
    expected: dict = field(default_factory=dict)
    has_etag: bool = False
    targets: dict = field(default_factory=dict)


@dataclass
class Checked:
    """A workload whose every path a server has answered rightly: the header fields of requests, and the mean size of a response."""

    workload: Workload
    headers: dict
    size: float


@dataclass
class Measured:
    """One run of a workload."""

    cpu_micros: float
    per_second: float
    p99_ms: float
    server_share: float
    client_share: float


def workloads(site):
    small, large = {"/small.bin": site.files["/small.bin"]}, {"/large.js": site.files["/large.js"]}
    many = {path: site.files[path] for path in site.many}
    some = dict(list(many.items())[:2000])
    brotli = {"content-encoding": "br", "vary": "accept-encoding"}
    return [
        Workload("small", "0.45 KB", small),
        Workload("large", "222 KB", large),
        Workload("br", "222 KB, br", {"/large.js": site.large_br}, headers={"Accept-Encoding": "br"}, expected=brotli),
        Workload("304", "304", small, 304, has_etag=True),
        Workload("404", "404", {"/missing": site.files["/404.html"]}, 404),
        Workload("redirect", "a redirect of 10,000", {}, 301, targets=site.redirects),
        Workload("some", "2,000 files", some),
        Workload("many", "20,000 files", many),
        Workload("close", "a connection for each", small, headers={"Connection": "close"}),
    ]


def check(server, workload):
    """Requests each path once. Returns `None` if the server lacks what the workload needs."""
    headers, total = dict(workload.headers), 0
    paths = [*workload.bodies, *workload.targets]
    is_closing = "Connection" in headers
    connection = Connection(server.port)
    if workload.has_etag:
        etag = connection.get(paths[0]).headers.get("etag")
        if not etag:
            return None
        headers["If-None-Match"] = etag
    # An answer that a cache in front has just fetched may differ in its header fields from the next.
    for path in [*paths, *paths[-1:]]:
        try:
            answer = connection.get(path, headers)
        except OSError as error:
            raise WrongAnswer(f"{server.name}, {workload.name}, {path}: {error}") from error
        if is_closing:
            # wrk takes the end of a connection that was not announced for an error.
            if "close" not in answer.headers.get("connection", ""):
                return None
            connection.close()
            connection = Connection(server.port)
        wrong = [f"status {answer.status}"] if answer.status != workload.status else []
        wrong += [f"{name}: {answer.headers.get(name)}" for name, text in workload.expected.items() if text not in answer.headers.get(name, "").lower()]
        if workload.targets and not answer.headers.get("location", "").removeprefix(f"http://{HOST}").endswith(workload.targets[path]):
            wrong.append(f"location {answer.headers.get('location')}")
        if workload.bodies and answer.body != (b"" if workload.status == 304 else workload.bodies[path]):
            wrong.append(f"{len(answer.body)} bytes, not those of the file")
        if wrong:
            raise WrongAnswer(f"{server.name}, {workload.name}, {path}: {', '.join(wrong)}")
        total += answer.size
    connection.close()
    return Checked(workload, headers, total / (len(paths) + 1))


def run(server, checked, seconds, folder):
    """Gives a workload to a server for so long."""
    workload, paths = checked.workload, [*checked.workload.bodies, *checked.workload.targets]
    headers = [option for name, value in {"Host": HOST, **checked.headers}.items() for option in ("-H", f"{name}: {value}")]
    command = ["taskset", "-c", str(CLIENT_CORE), "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", Path(__file__).with_name("measure.lua"), *headers]
    command.append(f"http://127.0.0.1:{server.port}{paths[0]}")
    if len(paths) > 1:
        (folder / "paths").write_text("".join(f"{path}\n" for path in paths))
        command += ["--", folder / "paths"]
    client, before = client_seconds(), server.cpu_seconds()
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60)
    used, client = server.cpu_seconds() - before, client_seconds() - client
    if done.returncode:
        raise WrongAnswer(f"{server.name}, {workload.name}: wrk ended with {done.returncode}: {done.stderr[-300:]}")
    counts = json.loads(done.stdout.strip().rpartition("\n")[2])
    requests = counts["requests"]
    expected_errors = requests if workload.status >= 400 else 0
    size = counts["bytes"] / requests if requests else 0
    # wrk counts the bytes of responses that the end of the run cuts off.
    if not requests or counts["errors"] or abs(counts["status_errors"] - expected_errors) > CONNECTIONS or not 0.9 < size / checked.size < 1.1:
        raise WrongAnswer(f"{server.name}, {workload.name}: {counts}, expected {checked.size:.0f} bytes for each request")
    duration = counts["seconds"]
    return Measured(used / requests * 1e6, requests / duration, counts["p99_ms"], used / duration, client / duration)


def client_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
