"""What clients were told and readers were shown, and whether it agrees with the origin."""

import threading
import time
from collections import Counter


class Ledger:
    """The rules that chaos.py lists, and counts of everything.

    Power cuts divide time into eras. In odd ones the power is being cut: what clients are told and readers are shown then may be lost,
    and is not recorded."""

    def __init__(self):
        self.lock = threading.Lock()
        self.era = 0
        self.counts, self.broken, self.details = Counter(), Counter(), []
        self.issued = set()  # tags of releases that were pushed
        self.acknowledged = []  # (site, epoch, release number, tag; None for a rollback)
        self.denied = []  # (site, tag) of pushes that reported that nothing was changed
        self.confirmed = Counter()  # (edge, site) to the epoch that the edge has confirmed
        self.shown = []  # (key, epoch confirmed before, release number, tag or None), in order for each key: (reader, edge, site) or (edge, site)
        self.floor = Counter()  # key to the epoch of the last move that was shown

    def count(self, what, number=1):
        with self.lock:
            self.counts[what] += number

    def fail(self, rule, **details):
        with self.lock:
            self.broken[rule] += 1
            if self.broken[rule] <= 10:
                self.details.append({"rule": rule, "time": round(time.time(), 3), **details})

    def next_era(self):
        with self.lock:
            self.era += 1

    def is_valid(self, era):
        """Whether what began in `era` and has ended now is recorded."""
        return era == self.era and era % 2 == 0

    def acknowledge(self, era, site, epoch, number, tag, edges):
        """Records a move that a client was told of, and the edges that confirmed it. Returns whether it is recorded."""
        with self.lock:
            if not self.is_valid(era):
                return False
            self.counts["acknowledged moves"] += 1
            self.acknowledged.append((site, epoch, number, tag))
            for edge in edges:
                self.confirmed[edge, site] = max(self.confirmed[edge, site], epoch)
            return True

    def deny(self, era, site, tag):
        with self.lock:
            if self.is_valid(era):
                self.denied.append((site, tag))

    def show(self, era, key, confirmed, number, tag):
        with self.lock:
            if self.is_valid(era):
                self.shown.append((key, confirmed, number, tag))

    def check(self, read_rows):
        """Compares with the origin's moves, site to [(epoch, release number)], and tags, (site, release number) to tag."""
        with self.lock:
            acknowledged, denied, shown, self.shown = list(self.acknowledged), list(self.denied), self.shown, []
        # Read after what they are compared with.
        moves, tags = read_rows()
        made = {(site, epoch): number for site, of_site in moves.items() for epoch, number in of_site}
        for site, epoch, number, tag in acknowledged:
            at_origin = made.get((site, epoch)), tags.get((site, number))
            if at_origin[0] != number or tag not in (None, at_origin[1]):
                self.fail("lost", site=site, epoch=epoch, release=number, tag=tag, at_origin=at_origin)
        released = {(site, tag) for (site, _), tag in tags.items()}
        for site, tag in denied:
            if (site, tag) in released:
                self.fail("denied", site=site, tag=tag)
        for key, confirmed, number, tag in shown:
            *_, edge, site = key
            if tag not in (None, tags.get((site, number))):
                self.fail("mixed", edge=edge, site=site, release=number, shown=tag, at_origin=tags.get((site, number)))
            # A rollback makes a release appear a second time: the first move that is not before the last one seen is assumed.
            floor = max(self.floor[key], confirmed)
            epochs = [epoch for epoch, moved_to in moves.get(site, []) if moved_to == number]
            seen = next((epoch for epoch in epochs if epoch >= floor), None)
            if seen is None:
                self.fail("older", edge=edge, site=site, release=number, epochs=epochs[-3:], seen=self.floor[key], confirmed=confirmed)
            else:
                self.floor[key] = seen


def self_test():
    """Shows that each planted fault is found, and none where there is none."""

    def broken(shown=(), acknowledged=(), denied=(), confirmed=0):
        ledger, key = Ledger(), ("edge-1", "alpha")
        moves = {"alpha": [(1, 1), (2, 2), (5, 1), (7, 3)]}
        tags = {("alpha", 1): "a", ("alpha", 2): "b", ("alpha", 3): "c"}
        for number, tag in shown:
            ledger.show(0, key, confirmed, number, tag)
        for move in acknowledged:
            ledger.acknowledge(0, "alpha", *move, [])
        for tag in denied:
            ledger.deny(0, "alpha", tag)
        ledger.check(lambda: (moves, tags))
        return list(ledger.broken)

    assert broken([(1, "a"), (2, "b"), (1, "a"), (3, "c")], [(1, 1, "a"), (5, 1, None)], ["d"]) == []
    assert broken([(1, "a"), (2, "b"), (1, "a"), (2, "b")]) == ["older"], "v2 after the rollback to v1"
    assert broken([(2, "b")], confirmed=5) == ["older"], "the edge had confirmed a later move"
    assert broken([(1, "b")]) == ["mixed"], "the body of v2 as v1"
    assert broken([(4, "d")]) == ["mixed", "older"], "a release that the origin does not have"
    for move in [(8, 4, "d"), (2, 3, "c"), (2, 2, "x")]:
        assert broken(acknowledged=[move]) == ["lost"], move
    assert broken(denied=["b"]) == ["denied"]
    ledger = Ledger()
    ledger.next_era()
    assert not ledger.acknowledge(0, "alpha", 1, 1, "a", []) and not ledger.acknowledge(1, "alpha", 1, 1, "a", []), "during a cut"
    print("planted faults are found")


if __name__ == "__main__":
    self_test()
