"""Servers as processes on one core, their CPU time and memory, and clients on the other one."""

import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

SERVER_CORE, CLIENT_CORE = 0, 1


class Server:
    """A process and its children. Close it."""

    def __init__(self, name, port, process):
        self.name, self.port, self.process = name, port, process

    def pids(self):
        children = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True).stdout.split()
        return [self.process.pid, *map(int, children)]

    def cpu_seconds(self):
        """User and system time, as the kernel accounts it: in nanoseconds, not in clock ticks."""
        # The clock that clock_getcpuclockid(3) names.
        return sum(time.clock_gettime((~pid << 3) | 2) for pid in self.pids())

    def memory(self):
        """In bytes, without what processes share."""
        of = lambda pid: int(re.search(r"^Pss: +(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)[1])
        return 1024 * sum(map(of, self.pids()))

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def spawn(command, log, environment=(), core=SERVER_CORE):
    with open(log, "wb") as output:
        return subprocess.Popen(["taskset", "-c", str(core), *map(str, command)], stdout=output, stderr=output, env={**os.environ, **dict(environment)})


def require(programs, packages):
    """Ends the program if any of the others is missing."""
    missing = [name for name in programs if not shutil.which(name)]
    if missing:
        print(f"missing: {' '.join(missing)} (Debian packages {packages})", file=sys.stderr)
        sys.exit(3)


def report(title, results, workloads, servers):
    """Prints medians, the lowest and the highest, and multiples of the median of the first server. A server may have no result of a
    workload."""
    print(f"| {title} | {' | '.join(server.name for server in servers)} |")
    print(f"| --- |{' ---: |' * len(servers)}")
    for workload in workloads:
        own = results.get((workload, servers[0].name))

        def cell(server):
            values = results.get((workload, server.name))
            if not values:
                return "–"
            median = statistics.median(values)
            ratio = f", {median / statistics.median(own):.2f}" if own else ""
            return f"{median:.1f} ({min(values):.1f}–{max(values):.1f}){ratio}"

        print(f"| {workload} | {' | '.join(map(cell, servers))} |", flush=True)
