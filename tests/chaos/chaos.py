#!/usr/bin/env python3
"""Kills the daemons of a cluster, cuts their power or their links, while sites are pushed, rolled back and read, and checks every answer.

    chaos.py kills --rounds 500     each round kills (SIGKILL) the origin, an edge or all of them at a random moment of a write
    chaos.py power --rounds 60      each round copies the file systems of all daemons at such a moment and continues from the copies
    chaos.py network                cuts links in each phase of rollouts, purges and erasures, loses disks, restarts: see network.py
    chaos.py soak --minutes 60      pushes every few seconds, and shows that memory and disks do not grow
    chaos.py self-test              shows that planted faults are found

Without --rounds there are three, which take some seconds. 500 kills take about ten minutes, 60 cuts six. The cluster is an origin and two
edges: release builds in target/release (--binaries DIR for others). Three writers push and roll back a site each; six readers read a site
from an edge each. The same seed makes the same choices, but not the same timing.

`power` needs root and mkfs.xfs (package xfsprogs). Each data directory is an ext4 file system in an image; the images are files on XFS,
which copies a file atomically. A copy has what was written to the disk by then, but not what is still in memory; it does not show what a
disk would lose that reorders writes. Edges are copied before the origin, so that none has what the origin lacks. In half of the rounds ext4
does not flush renamed files by itself; in every fourth the disk of one daemon is full.

`network` and `soak` need root: an origin and four edges are on hosts of their own, in network namespaces, and six readers take pages from
one edge, and chunks and those of open tabs from others, as long as a name server would send readers there. A round of `network`, the
default, is each scenario once, in about three minutes.

The rules, each with the name under which it is reported as broken:

    lost      every move that a client was told of is in the origin, and every release there is complete, blob by blob
    denied    a push that failed, and did not say that its outcome is unknown, made no release
    older     no reader sees a state from before a move that its edge has shown to a reader or confirmed; no edge forgets a site
    early     no reader sees a release before its channel has moved to it, but from its canary edges, unless it was taken back from them
    mixed     every body is, byte for byte, that of a file of the release that is named in `Verge-Release`
    missing   no file of the release whose page a reader has just read is answered with 404
    failed    no request fails while its edge is up, whatever happens to the origin; in the end every edge serves the last move of each
              site, and all its files
    removed   nothing that was purged or erased is served by an edge that has confirmed it, and no erased byte is on its disk

Requests that get no answer, 502 or 503 until a few seconds after the last start of their edge are counted, but break no rule.

The last line is a summary in JSON. If a rule is broken, the run ends, the exit code is 1, and the folder with configurations, logs and
data directories (with `power`: their images) is kept.
"""

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

import hosts
import ledger
import network
import planted_faults
import soak
from cluster import Cluster
from disks import Disks

ROOT = Path(__file__).resolve().parents[2]
NAMES = ["edge-1", "edge-2", "origin"]
NETWORK_MODES = ["network", "soak"]


def kill(cluster, chance):
    """Kills one daemon or all, and starts them again in any order, at once or after a while."""
    victims = chance.choice([*([daemon] for daemon in cluster.daemons), cluster.daemons[:]])
    cluster.wait_for_write()
    time.sleep(chance.uniform(0, 0.4))
    cluster.ledger.count("commands running at a kill", cluster.writing())
    for daemon in chance.sample(victims, len(victims)):
        daemon.kill()
        cluster.ledger.count(f"kills of {daemon.name}")
    restart(cluster, victims, chance)


def cut(cluster, disks, chance, number):
    """Cuts the power of all daemons."""
    full = chance.choice(NAMES) if number % 4 == 3 else None
    if full:
        disks.fill(full)
        cluster.ledger.count(f"full disks of {full}")
    for _ in range(6 if full else chance.choice([1, 1, 3, 9])):
        cluster.wait_for_write()
    time.sleep(chance.uniform(0, 0.4))
    cluster.ledger.next_era()
    cluster.ledger.count("commands running at a cut", cluster.writing())
    for name in NAMES:
        disks.copy(name)
    for daemon in cluster.daemons:
        daemon.kill()
    before = cluster.rows()[0]
    disks.replace_by_copies(disks.OPTIONS[number % 2])
    # The disks have lost files that were there before.
    cluster.audited.clear()
    if full:
        disks.make_room(full)
    cluster.ledger.next_era()
    restart(cluster, cluster.daemons, chance)
    after = cluster.rows()[0]
    cluster.ledger.count("cuts")
    cluster.ledger.count("moves undone by a cut", sum(len(set(before[site]) - set(after[site])) for site in before))


def restart(cluster, daemons, chance):
    """Starts daemons in any order, at once or after a while. If it is all, in half of the cases the edges start first, and the origin
    when readers have seen what the edges serve without it."""
    if len(daemons) > 1 and chance.random() < 0.5:
        for edge in cluster.edges:
            edge.start()
        for edge in cluster.edges:
            edge.wait_until_up()
        cluster.wait_for_readers()
        cluster.origin.start()
    else:
        for daemon in chance.sample(daemons, len(daemons)):
            time.sleep(chance.choice([0, 0, chance.uniform(0, 1)]))
            daemon.start()
    for daemon in daemons:
        daemon.wait_until_up()


def run(arguments, folder, summary):
    """Runs all rounds, or those until a rule is broken. Returns the ledger."""
    chance, start = random.Random(arguments.seed), time.monotonic()
    disks = Disks(folder) if arguments.mode == "power" else None
    create = {"network": network.NetworkCluster, "soak": soak.create_cluster}.get(arguments.mode, Cluster)
    cluster = create(folder, arguments.binaries.resolve(), arguments.seed)
    threading.excepthook = lambda arguments: cluster.ledger.fail("failed", error=repr(arguments.exc_value))
    try:
        if disks:
            disks.create(NAMES)
        cluster.start()
        while summary["rounds"] < arguments.rounds and not cluster.ledger.broken:
            if arguments.mode == "soak":
                summary.update(soak.run(cluster, arguments.minutes))
                break
            if arguments.mode == "network":
                for scenario in network.SCENARIOS:
                    network.play(cluster, scenario)
            elif disks:
                cut(cluster, disks, chance, summary["rounds"])
            else:
                kill(cluster, chance)
            cluster.check()
            cluster.wait_for_move()
            summary["rounds"] += 1
            if disks or summary["rounds"] % 20 == 0 or summary["rounds"] == arguments.rounds:
                cluster.converge()
                seconds = round(time.monotonic() - start)
                print(f"{seconds} s: {summary['rounds']} rounds, {dict(cluster.ledger.counts)}", file=sys.stderr)
        cluster.audited.clear()
        cluster.check()
    except (TimeoutError, SystemExit) as error:
        cluster.ledger.fail("failed", error=str(error))
    finally:
        cluster.close()
        if disks:
            disks.close()
    summary["seconds"] = round(time.monotonic() - start)
    return cluster.ledger


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mode", choices=["kills", "power", *NETWORK_MODES, "self-test"])
    parser.add_argument("--rounds", type=int, help="three, but for `network`")
    parser.add_argument("--minutes", type=float, default=60, help="of `soak`")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--binaries", type=Path, default=ROOT / "target/release", help="the folder of the executables")
    parser.add_argument("--folder", type=Path, help="where to create the folder of this run, instead of the one for temporary files")
    arguments = parser.parse_args()
    if arguments.mode == "self-test":
        ledger.self_test()
        return planted_faults.self_test()
    if arguments.mode == "power" and not (os.geteuid() == 0 and shutil.which("mkfs.xfs")):
        parser.error("`power` needs root and mkfs.xfs (package xfsprogs)")
    if arguments.mode in NETWORK_MODES:
        if os.geteuid() != 0:
            parser.error(f"`{arguments.mode}` needs root, for network namespaces")
        hosts.isolate()
    if arguments.rounds is None:
        arguments.rounds = 1 if arguments.mode == "network" else 3
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="verge-chaos-", dir=arguments.folder))
    summary, is_broken = {"mode": arguments.mode, "seed": arguments.seed, "rounds": 0}, False
    try:
        result = run(arguments, folder, summary)
        is_broken = bool(result.broken)
        print(json.dumps({**summary, **dict(sorted(result.counts.items())), "broken": result.broken, "details": result.details}))
    except KeyboardInterrupt:
        return 130
    finally:
        if is_broken:
            print(f"kept {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder)
    return int(is_broken)


if __name__ == "__main__":
    sys.exit(main())
