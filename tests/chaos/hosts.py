"""Hosts in network namespaces of their own, around a router: the namespace of this process.

The namespaces have no names, and belong to processes of which none outlives this one (see `isolate`): nothing remains after a run.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

# The address of the router on each link.
GATEWAY = "169.254.0.1"
ISOLATED = "VERGE_CHAOS_ISOLATED"


def isolate():
    """Starts this program again in namespaces of its own: for networks, mounts and processes. Needs root."""
    if ISOLATED not in os.environ:
        os.environ[ISOLATED] = "yes"
        options = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        os.execvp("unshare", ["unshare", *options, sys.executable, *sys.argv])


class Host:
    """A host. `enter` starts the command line of a process that runs on it."""

    def __init__(self, name, address):
        self.name, self.address = name, address
        self.holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        self.namespace = f"/proc/{self.holder.pid}/ns/net"
        self.enter = ["nsenter", f"--net={self.namespace}"]
        while os.readlink(self.namespace) == os.readlink("/proc/self/ns/net"):
            time.sleep(0.001)


class Router:
    """Forwards the packets between hosts, unless it is told to drop them."""

    def __init__(self):
        self.hosts, self.rules = {}, set()
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        ip("link set lo up")

    def add_host(self, name):
        number = len(self.hosts) + 1
        host = self.hosts[name] = Host(name, f"10.77.0.{number}")
        link = f"veth{number}"
        ip(
            f"link add {link} type veth peer name eth0 netns {host.holder.pid}",
            f"addr add {GATEWAY}/32 dev {link}",
            f"link set {link} up",
        )
        ip(
            "link set lo up",
            f"addr add {host.address}/32 dev eth0",
            "link set eth0 up",
            f"route add {GATEWAY} dev eth0 src {host.address}",
            f"route add default via {GATEWAY} src {host.address}",
            enter=host.enter,
        )
        ip(f"route add {host.address} dev {link}")
        return host

    def disconnect(self, one, other):
        """Drops all packets between two hosts silently."""
        for rule in ((one, other), (other, one)):
            self.rules.add(rule)
            self.change("add", *rule)

    def connect(self, one, other):
        """Undoes what `disconnect` did."""
        for rule in {(one, other), (other, one)} & self.rules:
            self.rules.remove(rule)
            self.change("del", *rule)

    def change(self, change, source, target):
        ip(f"rule {change} from {self.hosts[source].address} to {self.hosts[target].address} blackhole")


def ip(*commands, enter=()):
    subprocess.run([*enter, "ip", "-batch", "-"], input="\n".join(commands), text=True, check=True, stdout=subprocess.DEVNULL)
