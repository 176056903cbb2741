"""Compares an edge with nginx, nginx's proxy_cache, Varnish, h2o, Caddy and static-web-server over plain HTTP: CPU time for each request, on
one core, and memory.

    edge.py [--rounds N] [--seconds N] [--servers LIST] [--workloads LIST] [--binaries DIR] [--keep]

All servers have the same files and run on core 0; clients, the origin and the backend of the caches run on core 1. In each round, each
workload is given to one server after another. Printed are medians of the rounds, and the lowest and the highest. The workloads: see
bench/README.md. A wrong answer ends the program with exit code 1.
"""

import argparse
import os
import random
import resource
import shutil
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

BENCH = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(BENCH), str(BENCH / "rollout")]

from client import Connection  # noqa: E402
from fleet import ROOT  # noqa: E402
from peers import BASELINES, CACHES, HEADER_TIMEOUT_S, REDIRECTING, STATIC, Verge, backend, baseline, is_installed  # noqa: E402
from server import CLIENT_CORE, report, require  # noqa: E402
from site_files import Site  # noqa: E402
from workloads import WrongAnswer, check, run, workloads  # noqa: E402

SERVERS = "verge nginx proxy_cache varnish h2o caddy static-web-server floor bare"
COLD, IDLE = "cold", "idle"
COLD_READS = 1_000
IDLE_CONNECTIONS = 10_000


class World:
    """The site, the origin, the backend of the caches, and the servers. Close it."""

    def __init__(self, folder, site, binaries, names):
        self.folder, self.site, self.binaries, self.count, self.processes = folder, site, binaries, 0, []
        self.verge = self.backend = None
        try:
            if "verge" in names:
                self.verge = self.started(Verge(self.new_folder(), self.site, binaries))
            if set(names) & set(CACHES):
                self.backend = self.started(backend(self.new_folder(), self.site))
                wait_for(self.backend)
            self.servers = [self.start(name) for name in names]
        except BaseException:
            self.close()
            raise

    def start(self, name, is_cold=False):
        """A server with nothing in its caches. If it is cold, an edge fetches nothing before it is asked for."""
        folder = self.new_folder()
        if name == "verge":
            # A byte per second.
            server = self.verge.edge(folder, "prefetch_bandwidth = 1" if is_cold else "")
        elif name in BASELINES:
            server = baseline(name, folder, self.site, self.binaries)
        else:
            server = CACHES[name](folder, self.backend) if name in CACHES else STATIC[name](folder, self.site)
        self.started(server)
        wait_for(server)
        return server

    def started(self, process):
        self.processes.append(process)
        return process

    def stop(self, server):
        server.close()
        self.processes.remove(server)

    def new_folder(self):
        self.count += 1
        folder = self.folder / str(self.count)
        folder.mkdir()
        return folder

    def close(self):
        for process in reversed(self.processes):
            process.close()


def wait_for(server):
    deadline = time.monotonic() + 60
    while True:
        try:
            connection = Connection(server.port)
            status = connection.get("/small.bin").status
            connection.close()
            if status == 200:
                return
            problem = f"status {status}"
        except OSError as error:
            problem = error
        if time.monotonic() > deadline or server.process.poll() is not None:
            raise WrongAnswer(f"{server.name} does not serve the site: {problem}")
        time.sleep(0.1)


def settle(server, seconds=120):
    """Waits until the server uses no CPU time: an edge has then fetched the site."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        before = server.cpu_seconds()
        time.sleep(1)
        if server.cpu_seconds() - before < 0.01:
            return


def cold_reads(world, name, seed):
    """First reads of files at random, one after another, through a server that has just started. Returns µs of CPU for each, and the times
    in ms."""
    server = world.start(name, is_cold=True)
    settle(server, 10)
    order = random.Random(seed).sample(world.site.many, COLD_READS + 20)
    connection, times, used = Connection(server.port), [], 0.0
    for number, path in enumerate(order):
        # The first ones open connections.
        if number == 20:
            used = server.cpu_seconds()
        start = time.perf_counter()
        answer = connection.get(path)
        times.append((time.perf_counter() - start) * 1e3)
        if answer.status != 200 or answer.body != world.site.files[path]:
            raise WrongAnswer(f"{name}, {COLD}, {path}: status {answer.status}, {len(answer.body)} bytes")
    used = server.cpu_seconds() - used
    connection.close()
    world.stop(server)
    return used / COLD_READS * 1e6, sorted(times[20:])


def idle(world, name, worked):
    """Starts a server, opens connections to it, makes a request on each, and closes them. Prints a row: MiB of memory. `worked` is that of
    the server that has been measured, in bytes."""
    server = world.start(name)
    settle(server)
    at_rest = server.memory()
    connections = [Connection(server.port) for _ in range(IDLE_CONNECTIONS)]
    for connection in connections:
        if connection.get("/small.bin").status != 200:
            raise WrongAnswer(f"{name}, {IDLE}")
    # An edge puts idle connections aside after some seconds; memory is given back later still.
    time.sleep(HEADER_TIMEOUT_S / 2 + 2)
    opened = server.memory()
    for connection in connections:
        connection.close()
    time.sleep(15)
    closed = server.memory()
    world.stop(server)
    mib = " | ".join(f"{size / 2**20:.1f}" for size in (at_rest, opened, closed, worked))
    print(f"| {name} | {mib} | {(opened - at_rest) / IDLE_CONNECTIONS / 1024:.1f} |", flush=True)


def measure(world, chosen, arguments):
    servers = world.servers
    for server in servers:
        settle(server)
    plan = {}
    for workload in chosen:
        for server in servers:
            if server.name in BASELINES and workload.key not in BASELINES[server.name][1]:
                continue
            if workload.targets and server.name not in REDIRECTING:
                continue
            checked = check(server, workload)
            if checked:
                plan[workload.name, server.name] = checked
            else:
                print(f"{server.name} is left out of {workload.name}: it sends no {'ETag' if workload.has_etag else '`connection: close`'}", file=sys.stderr)
    results = {}
    for number in range(arguments.rounds):
        for workload in chosen:
            for server in servers:
                if (workload.name, server.name) in plan:
                    measured = run(server, plan[workload.name, server.name], arguments.seconds, world.folder)
                    results.setdefault((workload.name, server.name), []).append(measured)
        print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
    names = [workload.name for workload in chosen]
    of = lambda field: {key: [getattr(measured, field) for measured in values] for key, values in results.items()}
    if names:
        report("µs of CPU for each request", of("cpu_micros"), names, servers)
        print()
        load(of, names, servers)
    worked = {server.name: server.memory() for server in servers}
    if COLD in arguments.workloads:
        cold(world, arguments.rounds)
    if IDLE in arguments.workloads:
        print(f"\n| MiB | at rest | {IDLE_CONNECTIONS:,} idle connections | after they are closed | after the workloads | KiB for each connection |")
        print("| --- | ---: | ---: | ---: | ---: | ---: |")
        for server in servers:
            idle(world, server.name, worked[server.name])


def load(of, names, servers):
    """Prints requests per second, p99, and how busy both cores were."""
    per_second, p99, server_share, client_share = map(of, ("per_second", "p99_ms", "server_share", "client_share"))
    print(f"| requests/s, p99 in ms, server, client | {' | '.join(server.name for server in servers)} |")
    print(f"| --- |{' ---: |' * len(servers)}")
    for name in names:
        cells = []
        for server in servers:
            key = name, server.name
            median = lambda values: statistics.median(values[key])
            cells.append(
                f"{median(per_second):,.0f}, {median(p99):.2f}, {median(server_share):.0%}, {median(client_share):.0%}" if key in per_second else "–"
            )
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def cold(world, rounds):
    caching = [server for server in world.servers if server.name == "verge" or server.name in CACHES]
    if not caching:
        return
    results, row, slow = {}, "a first read", "a first read, p99"
    for number in range(rounds):
        for server in caching:
            cpu, times = cold_reads(world, server.name, number)
            results.setdefault(("µs of CPU", server.name), []).append(cpu)
            results.setdefault((f"{row}, µs", server.name), []).append(1e3 * statistics.median(times))
            results.setdefault((f"{slow}, µs", server.name), []).append(1e3 * times[len(times) * 99 // 100])
    print()
    report(f"cold: {COLD_READS:,} files", results, ["µs of CPU", f"{row}, µs", f"{slow}, µs"], caching)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2, help="duration of a measurement (2)")
    parser.add_argument("--servers", default=SERVERS, help="separated by spaces; those that are not installed are left out")
    parser.add_argument("--workloads", help="separated by spaces, of: small large br 304 404 redirect some many close cold idle (all)")
    parser.add_argument("--binaries", type=Path, default=ROOT / "target/release")
    parser.add_argument("--keep", action="store_true", help="keep the configurations and logs")
    arguments = parser.parse_args()
    names = arguments.servers.split()
    if unknown := set(names) - set(SERVERS.split()):
        parser.error(f"unknown servers: {' '.join(unknown)}")
    require(["wrk", "brotli", "taskset", "pgrep"], "wrk, brotli, procps")
    for name in [name for name in names if not is_installed(name)]:
        print(f"{name} is left out: it is not installed", file=sys.stderr)
        names.remove(name)
    resource.setrlimit(resource.RLIMIT_NOFILE, [resource.getrlimit(resource.RLIMIT_NOFILE)[1]] * 2)
    os.sched_setaffinity(0, {CLIENT_CORE})
    # So that the servers end with this program.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder, world = Path(tempfile.mkdtemp(prefix="verge-edge-")), None
    folder.chmod(0o755)
    try:
        (folder / "site").mkdir()
        site = Site(folder / "site")
        available = {workload.key: workload for workload in workloads(site)}
        keys = [*available, COLD, IDLE]
        arguments.workloads = arguments.workloads.split() if arguments.workloads else keys
        if unknown := set(arguments.workloads) - set(keys):
            parser.error(f"unknown workloads: {' '.join(sorted(unknown))} (of: {' '.join(keys)})")
        world = World(folder, site, arguments.binaries.resolve(), names)
        measure(world, [available[key] for key in keys if key in arguments.workloads and key in available], arguments)
    except WrongAnswer as error:
        sys.exit(f"error: {error}")
    finally:
        if world:
            world.close()
        if arguments.keep:
            print(f"kept {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
