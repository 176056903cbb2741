"""An edge is cut off while a release is tried on one edge, the canary edge."""

import time

from clients import files
from daemons import request, until

# How long the release is tried in a canary that is good, and in one that an edge's silence ends first, in seconds.
SHORT, LONG = 3, 60


def begin(cluster, seconds):
    """Begins a push, and waits until the canary edge serves the release. Returns the push, the edge, and the tag that others serve."""
    moves, tags = cluster.rows()
    before = tags["delta", moves["delta"][-1][1]]
    push = cluster.publisher.begin_push("--canary=1", f"--canary-seconds={seconds}")
    [canary] = push.wait_for("canary")["edges"]
    cluster.ledger.count(f"canaries on {canary}")
    return push, canary, before


def serves(cluster, name, tag):
    return request(cluster.edge(name).listen, "/", "delta.localhost")[2] == files(tag)["index.html"]


def check_pages(cluster, canary, push, before):
    """Checks that the canary edge alone serves the release."""
    for name in cluster.names:
        if not serves(cluster, name, push.tag if name == canary else before):
            push.fail("mixed" if name == canary else "early", edge=name, canary=canary)


def cut_during_a_canary(cluster):
    """The canary edge is cut off, and is back in time. So is another one, which misses the switch, and is back after it."""
    push, canary, before = begin(cluster, SHORT)
    other = cluster.publisher.chance.choice([name for name in cluster.names if name != canary])
    cluster.cut(canary, other)
    time.sleep(SHORT / 3)
    check_pages(cluster, canary, push, before)
    if push.has_told("released"):
        push.fail("failed", error=f"not tried for {SHORT} s")
    cluster.reconnect(canary)
    push.wait_for("confirmed", canary)
    if not serves(cluster, other, before):
        push.fail("early", edge=other, error="a switch over a link that was cut")
    healed = cluster.heal()
    push.expect(0, [])
    return f"{canary} tried it without {other}, which caught up {healed:.1f} s after the cut"


def cut_of_the_canary_edge_until_the_push_ends(cluster):
    """The canary edge is cut off, and is silent for so long that the release is taken back. The edge serves it until it is back."""
    push, canary, before = begin(cluster, LONG)
    cluster.cut(canary)
    begun = time.monotonic()
    push.expect(1, [], "no canary edge reports any more")
    ended = time.monotonic() - begun
    check_pages(cluster, canary, push, before)
    healed = cluster.heal()
    until(f"{canary} serves the release before", lambda: serves(cluster, canary, before), 1)
    # For the tabs that were opened meanwhile.
    for name in cluster.names:
        for path, data in files(push.tag).items():
            if path.startswith("assets/") and request(cluster.edge(name).listen, f"/{path}", "delta.localhost")[2] != data:
                push.fail("missing", edge=name, path=path)
    if push.number in [number for _, number, _ in cluster.rows()[0]["delta"]]:
        push.fail("denied", release=push.number)
    return f"taken back from {canary} {ended:.1f} s after the cut; it caught up {healed:.1f} s after the end of that"
