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
        # (key, epoch confirmed before, release number, tag or None, time), in order for each key: (reader, edge, site) or (edge, site)
        self.shown = []
        self.floor = Counter()  # key to the epoch of the last move that was shown
        self.canaries = {}  # (site, release number) to the edges that may serve it before the channel moves
        self.tried = {}  # key to the number of the canary release that was shown last, if no other was shown since
        self.taken_back = Counter()  # key to that of the last one after which another release was shown

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

    def begin_canary(self, site, number, edges):
        with self.lock:
            self.canaries[site, number] = set(edges)

    def show(self, era, key, confirmed, number, tag, at=None):
        """`at` is the time, by the clock of which the origin has those of moves."""
        with self.lock:
            if self.is_valid(era):
                self.shown.append((key, confirmed, number, tag, at or time.time()))

    def check(self, read_rows):
        """Compares with the origin's moves, site to [(epoch, release number, time)], and tags, (site, release number) to tag."""
        with self.lock:
            acknowledged, denied, shown, self.shown = list(self.acknowledged), list(self.denied), self.shown, []
        # Read after what they are compared with.
        moves, tags = read_rows()
        made = {(site, epoch): number for site, of_site in moves.items() for epoch, number, _ in of_site}
        for site, epoch, number, tag in acknowledged:
            at_origin = made.get((site, epoch)), tags.get((site, number))
            if at_origin[0] != number or tag not in (None, at_origin[1]):
                self.fail("lost", site=site, epoch=epoch, release=number, tag=tag, at_origin=at_origin)
        released = {(site, tag) for (site, _), tag in tags.items()}
        for site, tag in denied:
            if (site, tag) in released:
                self.fail("denied", site=site, tag=tag)
        for key, confirmed, number, tag, at in shown:
            *_, edge, site = key
            if tag not in (None, tags.get((site, number))):
                self.fail("mixed", edge=edge, site=site, release=number, shown=tag, at_origin=tags.get((site, number)))
            # A rollback makes a release appear a second time: the first move that is not before the last one seen is assumed.
            floor = max(self.floor[key], confirmed)
            to_it = [(epoch, moved) for epoch, moved_to, moved in moves.get(site, []) if moved_to == number]
            epochs = [epoch for epoch, moved in to_it if moved <= at]
            seen = next((epoch for epoch in epochs if epoch >= floor), None)
            if not epochs and edge in self.canaries.get((site, number), ()) and number > self.taken_back[key]:
                # If the channel moves to it, the edge goes on serving it.
                self.tried[key], self.floor[key] = number, next((epoch for epoch, _ in to_it), self.floor[key])
                continue
            if seen is None:
                rule = "older" if epochs else "early"
                self.fail(rule, edge=edge, site=site, release=number, at=at, moves=to_it[-3:], seen=self.floor[key], confirmed=confirmed)
            else:
                self.floor[key] = seen
            if (tried := self.tried.pop(key, number)) != number:
                self.taken_back[key] = tried


def self_test():
    """Shows that each planted fault is found, and none where there is none."""

    def broken(shown=(), acknowledged=(), denied=(), confirmed=0, at=9):
        ledger, key = Ledger(), ("edge-1", "alpha")
        moves = {"alpha": [(1, 1, 1), (2, 2, 2), (5, 1, 5), (7, 3, 7)]}
        tags = {("alpha", 1): "a", ("alpha", 2): "b", ("alpha", 3): "c", ("alpha", 5): "e"}
        ledger.begin_canary("alpha", 3, ["edge-1"])
        ledger.begin_canary("alpha", 5, ["edge-1"])
        for number, tag, *edge in shown:
            ledger.show(0, (*edge, *key[len(edge) :]), confirmed, number, tag, at)
        for move in acknowledged:
            ledger.acknowledge(0, "alpha", *move, [])
        for tag in denied:
            ledger.deny(0, "alpha", tag)
        ledger.check(lambda: (moves, tags))
        return list(ledger.broken)

    assert broken([(1, "a"), (2, "b"), (1, "a"), (3, "c")], [(1, 1, "a"), (5, 1, None)], ["d"]) == []
    assert broken([(1, "a"), (2, "b"), (1, "a"), (2, "b")]) == ["older"], "v2 after the rollback to v1"
    assert broken([(2, "b")], confirmed=5) == ["older"], "the edge had confirmed a later move"
    assert broken([(2, "b"), (1, "a")], at=4) == ["older"], "v1 before the rollback to it"
    assert broken([(1, "b")]) == ["mixed"], "the body of v2 as v1"
    assert broken([(4, "d")]) == ["mixed", "early"], "a release that the origin does not have"
    assert broken([(2, "b")], at=1.5) == ["early"], "before the channel had moved to it"
    assert broken([(1, "a"), (3, "c"), (3, "c")], at=6) == [], "of the canary edge, before the channel moved"
    assert broken([(1, "a"), (3, "c"), (1, "a")], at=6) == ["older"], "the canary edge went back, although the channel moved"
    assert broken([(3, "c", "edge-2")], at=6) == ["early"], "of an edge that is no canary edge"
    assert broken([(3, "c"), (5, "e"), (5, "e"), (3, "c")]) == [], "the canary release was taken back"
    assert broken([(3, "c"), (5, "e"), (3, "c"), (5, "e")]) == ["early"], "again after it was taken back"
    assert broken([(3, "c"), (5, "e"), (2, "b")]) == ["older"], "a release from before the one that was live before the canary"
    for move in [(8, 4, "d"), (2, 3, "c"), (2, 2, "x")]:
        assert broken(acknowledged=[move]) == ["lost"], move
    assert broken(denied=["b"]) == ["denied"]
    ledger = Ledger()
    ledger.next_era()
    assert not ledger.acknowledge(0, "alpha", 1, 1, "a", []) and not ledger.acknowledge(1, "alpha", 1, 1, "a", []), "during a cut"
    print("planted faults are found")


if __name__ == "__main__":
    self_test()
