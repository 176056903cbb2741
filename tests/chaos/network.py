"""A cluster on hosts of its own, and what may happen to it: links that are cut in each phase of a rollout, disks that are lost, restarts.

edge-2 prepares slowly, and edge-3 has a slow link that loses packets: so each phase of a rollout lasts long enough to be hit.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import canaries
import removals
from clients import files
from cluster import Cluster
from daemons import request, until
from hosts import GATEWAY, Router
from publisher import Publisher
from visitors import HEALTH, Directory, Visitor

EDGES = 4
VISITORS = 6
# The link of edge-3: round trip in ms, bytes per second, lost packets, packets that break their connection.
SLOW_LINK = {"delay": 200, "rate": 500_000, "loss": 0.01, "cut": 0.0005}
SLOW_LINK_PORT = 7399
PREFETCH_BANDWIDTH = "512KiB"
LAME_DUCK_SECONDS = 2
# The size of the disk of edge-1, in MiB.
DISK = 96


class NetworkCluster(Cluster):
    """Four edges, and readers who change edges."""

    def __init__(self, folder, binaries, seed, **settings):
        """`settings` are those of all edges."""
        self.settings = settings
        self.router = Router()
        hosts = {name: self.router.add_host(name) for name in ["origin", *(f"edge-{number}" for number in range(1, EDGES + 1))]}
        super().__init__(folder, binaries, seed, EDGES, hosts)
        self.publisher = Publisher(self, "delta", random.Random(f"{seed} delta"))
        self.unread_publisher = Publisher(self, removals.SITE, random.Random(f"{seed} {removals.SITE}"))  # of a site that no reader reads
        self.directory, self.cut_off = Directory(self), set()  # names of edges that may lack a release because they do not reach the origin
        self.phase = "start"
        target = f"{hosts['origin'].address}:7400"
        link = [sys.executable, Path(__file__).with_name("slow_link.py"), f"{GATEWAY}:{SLOW_LINK_PORT}", target]
        self.link = subprocess.Popen([*link, *(f"--{key}={value}" for key, value in SLOW_LINK.items())], stdout=subprocess.PIPE)
        self.link.stdout.readline()
        self.disk = folder / "edge-1"
        self.disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}m", "edge-1", self.disk], check=True)

    def start(self):
        # Before the visitors start, the site must exist.
        self.writers.append(self.publisher)
        super().start()
        self.directory.start()

    def edge_settings(self, name):
        # The router is reached at an address of the link.
        origin = f"http://{GATEWAY}:{SLOW_LINK_PORT}" if name == "edge-3" else self.url
        slow = {"prefetch_bandwidth": PREFETCH_BANDWIDTH} if name == "edge-2" else {}
        return {"origins": [origin], "insecure": True, "lame_duck_seconds": LAME_DUCK_SECONDS, "drain_timeout_seconds": 5, **slow, **self.settings}

    def create_readers(self):
        return [Visitor(self, self.directory, random.Random(f"{self.seed} visitor {number}")) for number in range(VISITORS)]

    def edge(self, name):
        return next(edge for edge in self.edges if edge.name == name)

    def cut(self, *names):
        """Cuts edges off from the origin."""
        self.cut_off.update(names)
        for name in names:
            if name == "edge-3":
                self.link.send_signal(signal.SIGSTOP)
            else:
                self.router.disconnect(name, "origin")

    def reconnect(self, *names):
        """Undoes the cuts of these edges."""
        for name in names:
            if name == "edge-3":
                self.link.send_signal(signal.SIGCONT)
            else:
                self.router.connect(name, "origin")

    def heal(self):
        """Undoes all cuts, and waits until the edges know again what there is."""
        self.reconnect(*self.cut_off)
        begin = time.monotonic()
        for name in sorted(self.cut_off):
            until(f"{name} has caught up", lambda: self.has_caught_up(name))
        took = time.monotonic() - begin
        # It has the rows. Only with the manifests that they name it knows the chunks of releases it does not serve yet.
        for name in sorted(self.cut_off):
            until(f"{name} knows the live releases", lambda: self.knows_live_releases(name))
        self.cut_off.clear()
        return took

    def knows_live_releases(self, name):
        """Whether it has a file that only the live release of each site has, served or fetched."""
        moves, tags = self.rows()
        for writer in self.writers:
            tag = tags[writer.site, moves[writer.site][-1][1]]
            lazy = next(path for path in files(tag) if "/lazy-" in path)
            if request(self.edge(name).listen, f"/{lazy}", f"{writer.site}.localhost")[0] == 404:
                return False
        return True

    def has_caught_up(self, name):
        """Whether it has applied what the origin had a moment ago."""
        generation, seq = map(int, self.api("GET", "/v1/status")["position"].split("-"))
        health = json.loads(request(self.edge(name).listen, HEALTH)[2])
        return health["generation"] == generation and health["applied"] >= seq

    def wait_until_serving(self, edge):
        """Waits until readers are sent to an edge."""
        until(f"{edge.name} is in the directory", lambda: edge in self.directory.edges)

    def close(self):
        self.reconnect(*self.names)
        super().close()
        if self.directory.is_alive():
            self.directory.join()
        self.link.kill()
        self.link.wait()
        subprocess.run(["umount", "-l", self.disk], check=True)


def cut_while_preparing(cluster):
    """An edge is cut off while it prepares, and is back in time."""
    push = cluster.publisher.begin_push()
    push.wait_for("fetching", "edge-2", total=lambda total: total > 0)
    cluster.cut("edge-2")
    time.sleep(2)
    healed = cluster.heal()
    push.expect(0, [])
    return f"caught up {healed:.1f} s after the cut"


def cut_until_the_push_ends(cluster):
    """An edge is cut off while it prepares, and is not back when the push ends: it is named."""
    push, begin = cluster.publisher.begin_push(), time.monotonic()
    push.wait_for("fetching", "edge-2", total=lambda total: total > 0)
    cluster.cut("edge-2")
    push.expect(7, ["edge-2"])
    ended = time.monotonic() - begin
    return f"the push ended after {ended:.1f} s; caught up {cluster.heal():.1f} s after the cut"


def cut_before_the_switch(cluster):
    """An edge is cut off when it is prepared, before the switch, and is back after it."""
    push = cluster.publisher.begin_push()
    push.wait_for("prepared", "edge-1")
    cluster.cut("edge-1")
    push.wait_for("released")
    time.sleep(1)
    healed = cluster.heal()
    push.expect(0, [])
    return f"caught up {healed:.1f} s after the cut"


def cut_before_the_confirmation(cluster):
    """From the switch on, nothing that an edge sends arrives: it serves the release, and confirms when it can."""
    push = cluster.publisher.begin_push()
    push.wait_for("released")
    # The release is on its way to the edge, for half of a round trip.
    cluster.link.send_signal(signal.SIGUSR1)
    cluster.cut_off.add("edge-3")
    edge = cluster.edge("edge-3")
    until("edge-3 serves the release", lambda: request(edge.listen, "/", "delta.localhost")[2] == files(push.tag)["index.html"])
    time.sleep(1)
    if push.has_told("confirmed", "edge-3"):
        cluster.ledger.fail("failed", phase=cluster.phase, error="confirmed over a link that was cut")
    cluster.link.send_signal(signal.SIGUSR2)
    healed = cluster.heal()
    push.expect(0, [])
    return f"caught up {healed:.1f} s after the cut"


def cut_the_origin_off(cluster):
    """No edge reaches the origin for a while. Pushes go on."""
    cluster.cut(*cluster.names)
    time.sleep(5)
    return f"caught up {cluster.heal():.1f} s after the cut"


def kill_each(cluster):
    """Each daemon is killed and started again, at a random moment of a write."""
    for daemon in [*cluster.edges, cluster.origin]:
        cluster.wait_for_write()
        time.sleep(cluster.publisher.chance.uniform(0, 0.3))
        daemon.kill()
        daemon.start()
        daemon.wait_until_up()
    for edge in cluster.edges:
        cluster.wait_until_serving(edge)


def lose_the_disk(cluster):
    """An edge comes back with an empty disk."""
    return replace_disk(cluster, lambda data: shutil.rmtree(data))


def damage_the_disk(cluster):
    """An edge comes back with files of which half is there."""

    def halve(data):
        for file in cluster.publisher.chance.sample([file for file in data.rglob("*") if file.is_file()], 20):
            os.truncate(file, file.stat().st_size // 2)
            cluster.ledger.count("files halved")

    return replace_disk(cluster, halve)


def fill_the_disk(cluster):
    """An edge comes back with a full disk, and gets room later."""
    filler = cluster.disk / "filler"

    def fill(_):
        space = os.statvfs(cluster.disk)
        with open(filler, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, (space.f_bavail - 1) * space.f_frsize)

    took = replace_disk(cluster, fill)
    cluster.wait_for_move()
    time.sleep(3)
    filler.unlink()
    return took


def replace_disk(cluster, change):
    edge = cluster.edge("edge-1")
    edge.kill()
    change(edge.data)
    begin = time.monotonic()
    edge.start()
    edge.wait_until_up()
    cluster.wait_until_serving(edge)
    cluster.wait_for_readers()
    return f"serving after {time.monotonic() - begin:.1f} s"


def restart_all(cluster):
    """Each edge is restarted as an operator does it: it announces that it drains, and readers are sent elsewhere."""
    for edge in cluster.edges:
        code = edge.terminate()
        if code:
            cluster.ledger.fail("failed", edge=edge.name, exit_code=code)
        edge.start()
        edge.wait_until_up()
        cluster.wait_until_serving(edge)


SCENARIOS = [
    cut_while_preparing,
    cut_until_the_push_ends,
    cut_before_the_switch,
    cut_before_the_confirmation,
    canaries.cut_during_a_canary,
    canaries.cut_of_the_canary_edge_until_the_push_ends,
    removals.cut_before_a_purge,
    removals.cut_before_an_erasure,
    cut_the_origin_off,
    kill_each,
    lose_the_disk,
    damage_the_disk,
    fill_the_disk,
    restart_all,
]


def play(cluster, scenario):
    """Lets one scenario happen, waits until all edges agree, and prints what was seen of it."""
    cluster.phase, begin, reads = scenario.__name__, time.monotonic(), cluster.ledger.counts["reads verified"]
    remark = scenario(cluster)
    cluster.wait_for_move()
    cluster.converge()
    cluster.check()
    reads = cluster.ledger.counts["reads verified"] - reads
    seconds = time.monotonic() - begin
    print(f"{scenario.__name__.replace('_', ' ')}: {seconds:.1f} s, {reads} reads{f', {remark}' if remark else ''}", file=sys.stderr)
