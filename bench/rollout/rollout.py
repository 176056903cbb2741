#!/usr/bin/env python3
"""Measures rollouts and purges: the time from the switch at the origin, or from the purge, until the last edge has confirmed, with edges as
processes and with light edges, on loopback.

    rollout.py [--edges N…] [--light N…] [--rounds N] [--binaries DIR]

A round moves the live channel of a site to the other one of two releases, which all edges hold, and purges the path of its page: what is
measured is the control plane.
Times are as the client sees them, which waits for the rollout. The columns: see bench/README.md.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from fleet import ROOT, Fleet

# Seconds without rollouts in which the CPU time of reports and heartbeats is measured.
IDLE = 10
COLUMNS = ["edges", "kind", "switch → last confirm, ms: median", "p90", "p99", "whole rollout, ms: median", "purge → last confirm, ms: median", "p99", "CPU of the origin per rollout, ms", "idle CPU", "KiB per edge"]


def measure(count, kind, rounds, binaries):
    folder = Path(tempfile.mkdtemp(prefix="verge-rollout-"))
    fleet = Fleet(folder, binaries)
    try:
        before = fleet.origin.memory_bytes()
        if kind == "light":
            fleet.add_light_edges(count)
        else:
            for number in range(count):
                fleet.add_edge(number)
        fleet.wait_until_live(count)
        time.sleep(1)
        memory = (fleet.origin.memory_bytes() - before) / count / 1024
        for number in (1, 2):
            (folder / "build").mkdir(exist_ok=True)
            (folder / "build/index.html").write_text(f"<!doctype html>release {number}")
            epoch = fleet.push(folder / "build")["epoch"]
        cpu = fleet.origin.cpu_seconds()
        time.sleep(IDLE)
        idle = (fleet.origin.cpu_seconds() - cpu) / IDLE
        waits, wholes, purges, costs = [], [], [], []
        for number in range(rounds):
            time.sleep(0.1)
            cpu = fleet.origin.cpu_seconds()
            epoch, times = fleet.move(f"v{number % 2 + 1}", epoch)
            costs.append(fleet.origin.cpu_seconds() - cpu)
            waits.append(times["finished"] - times["released"])
            wholes.append(times["finished"])
            time.sleep(0.1)
            times = fleet.purge("index.html")
            purges.append(times["finished"] - times["purging"])
    finally:
        fleet.close()
        shutil.rmtree(folder)
    share = lambda times, percent: sorted(times)[min(len(times) - 1, len(times) * percent // 100)]
    median = statistics.median
    milliseconds = [median(waits), share(waits, 90), share(waits, 99), median(wholes), median(purges), share(purges, 99), median(costs)]
    return [str(count), kind, *(f"{seconds * 1000:.1f}" for seconds in milliseconds), f"{idle:.1%}", f"{memory:.0f}"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edges", type=int, nargs="*", default=[3, 10, 50], help="numbers of edge processes")
    parser.add_argument("--light", type=int, nargs="*", default=[10, 100, 300, 1000], help="numbers of light edges")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--binaries", type=Path, default=ROOT / "target/release")
    arguments = parser.parse_args()
    print(f"| {' | '.join(COLUMNS)} |\n|{' ---: |' * len(COLUMNS)}", flush=True)
    for kind, counts in (("process", arguments.edges), ("light", arguments.light)):
        for count in counts:
            print(f"| {' | '.join(measure(count, kind, arguments.rounds, arguments.binaries.resolve()))} |", flush=True)


if __name__ == "__main__":
    main()
