"""A long run with a push every few seconds, in which no process may grow."""

import json
import os
import statistics
import sys
import time

from network import NetworkCluster

# Seconds between samples.
INTERVAL = 10
# Small caches, so that edges have long filled them when the second third of a run begins.
CACHES = {"memory_cache": "8MiB", "disk_cache": "16MiB"}
# How much more the last third of a run may use than the second one. The origin keeps every release on its disk.
MEMORY_GROWTH_MAX = 8 << 20
EDGE_DISK_GROWTH_MAX = 4 << 20
OPEN_FILES_GROWTH_MAX = 20
# The pushes: each site is pushed or rolled back once in so many seconds.
PUSH_INTERVAL = 10


def create_cluster(folder, binaries, seed):
    # What the daemons hold is to be seen, not what the C library's allocator keeps for each of its arenas.
    os.environ.setdefault("MALLOC_ARENA_MAX", "1")
    return NetworkCluster(folder, binaries, seed, **CACHES)


def run(cluster, minutes):
    """Runs for so long. Returns the sizes of each process in each third of the time."""
    for writer in cluster.writers:
        writer.interval = PUSH_INTERVAL
    end, samples = time.monotonic() + minutes * 60, []
    while time.monotonic() < end and not cluster.ledger.broken:
        time.sleep(INTERVAL)
        samples.append({daemon.name: (daemon.memory_bytes(), daemon.disk_bytes(), daemon.open_files()) for daemon in cluster.daemons})
        cluster.check()
        if len(samples) % 6 == 0:
            print(json.dumps({"seconds": round(len(samples) * INTERVAL), **samples[-1]}), file=sys.stderr)
    cluster.wait_for_move()
    cluster.converge()
    thirds = [samples[len(samples) * third // 3 : len(samples) * (third + 1) // 3] for third in range(3)]
    names = [daemon.name for daemon in cluster.daemons]
    sizes = {name: [[round(statistics.median(kind)) for kind in zip(*(sample[name] for sample in third))] for third in thirds] for name in names}
    for name, (_, second, last) in sizes.items():
        limits = [MEMORY_GROWTH_MAX, float("inf") if name == "origin" else EDGE_DISK_GROWTH_MAX, OPEN_FILES_GROWTH_MAX]
        for what, before, after, limit in zip(["memory", "disk", "open files"], second, last, limits):
            if after - before > limit:
                cluster.ledger.fail("failed", error=f"{name}: more and more {what}", sizes=sizes[name])
    return {"minutes": minutes, "memory, disk and open files in each third": sizes}
