"""An edge is cut off while files are purged or erased. They are of a site that no reader reads."""

import json
import os
import time

from clients import digest, files
from daemons import request, until
from publisher import Command

SITE = "epsilon"


def chunk(tag, name):
    return next(path for path in files(tag) if f"/{name}-" in path)


def expect_status(cluster, edge, path, *expected, manifest=None):
    """Checks how an edge answers at the site's host, or at that of the release with this manifest: with one of these statuses."""
    host = f"{manifest[:16]}--{SITE}.localhost" if manifest else f"{SITE}.localhost"
    status = request(edge.listen, f"/{path}", host)[0]
    if status not in expected:
        rule = "failed" if 200 in expected else "removed"
        cluster.ledger.fail(rule, edge=edge.name, phase=cluster.phase, host=host, path=path, status=status, expected=expected)


def has_reported(cluster, name, seq):
    """Whether an edge has reported that it has applied the write `seq` and done the purges up to it."""
    edge = next(edge for edge in cluster.api("GET", "/v1/edges") if edge["name"] == name)
    is_pending = any(lag["site"] == SITE and lag["seq"] <= seq for lag in edge["purging"])
    return int(edge["applied"].split("-")[1]) >= seq and not is_pending


def cut_before_a_purge(cluster):
    """An edge is cut off when paths are purged, and is not back when the command ends: it is named, and does the purge when it is back."""
    cluster.unread_publisher.release()
    (first, _), (second, _) = two_releases(cluster)
    inherited, vendor = chunk(first, "app"), digest(files(second)[chunk(second, "vendor")])
    cut = cluster.edge("edge-1")
    for edge in cluster.edges:
        expect_status(cluster, edge, inherited, 200)
    cluster.cut(cut.name)
    blob = cut.data / "blobs" / vendor[:2] / vendor
    os.truncate(blob, 10)
    purge = Command(cluster, "purge", "assets/*", "--site", SITE)
    seq = purge.wait_for("purging")["seq"]
    purge.expect(7, [cut.name])
    for edge in cluster.edges:
        expect_status(cluster, edge, inherited, 200 if edge is cut else 404)
    begin = time.monotonic()
    cluster.reconnect(cut.name)
    until(f"{cut.name} reports that it has done the purge", lambda: has_reported(cluster, cut.name, seq))
    took = time.monotonic() - begin
    expect_status(cluster, cut, inherited, 404)
    if digest(blob.read_bytes()) != vendor:
        purge.fail("removed", edge=cut.name, blob=vendor, error="a bad blob at a path that was purged")
    cluster.heal()
    for edge in cluster.edges:
        if not has_reported(cluster, edge.name, seq):
            purge.fail("removed", edge=edge.name, error="the purge is not done")
    return f"done by {cut.name} {took:.1f} s after the cut"


def cut_before_an_erasure(cluster):
    """An edge is cut off when a release is erased, and is back before the command ends: when it confirms, its disk has none of the bytes."""
    first, number = two_releases(cluster)[0]
    manifest, erased = blobs_of(cluster, number)
    cut = cluster.edge("edge-4")
    for edge in cluster.edges:
        expect_status(cluster, edge, "media.bin", 200, manifest=manifest)
    if missing := erased - held(cut.data, erased):
        cluster.ledger.fail("failed", edge=cut.name, phase=cluster.phase, error="not all is on its disk", missing=sorted(missing))
    cluster.cut(cut.name)
    cluster.erased.add(first)
    erasure = Command(cluster, "erase", "--release", f"v{number}", "--yes", "--site", SITE)
    for edge in cluster.edges:
        if edge is not cut:
            erasure.wait_for("confirmed", edge.name)
            check_erased(cluster, edge, first, manifest, erased)
    if erasure.has_told("confirmed", cut.name):
        erasure.fail("failed", error="confirmed over a link that was cut")
    begin = time.monotonic()
    cluster.reconnect(cut.name)
    erasure.wait_for("confirmed", cut.name)
    took = time.monotonic() - begin
    check_erased(cluster, cut, first, manifest, erased)
    cluster.heal()
    erasure.expect(0, [])
    if remaining := held(cluster.origin.data, erased):
        erasure.fail("removed", edge="origin", blobs=sorted(remaining))
    return f"{len(erased)} blobs; done by {cut.name} {took:.1f} s after the cut"


def two_releases(cluster):
    """The tag and the number of each of the last two releases."""
    publisher = cluster.unread_publisher
    while len(publisher.released) < 2:
        publisher.release()
    return publisher.released[-2:]


def blobs_of(cluster, number):
    """The manifest of a release, and the blobs that it has, and no other release of the site."""
    query = "select number, manifest, content from release join manifest on manifest.id = manifest where site = ?"
    with cluster.database() as database:
        rows = {row: (manifest, json.loads(content)) for row, manifest, content in database.execute(query, [SITE])}
    blobs = {row: set(blobs_in(cluster.manifest_files(*manifest))) for row, manifest in rows.items()}
    others = set().union(*(of_it for row, of_it in blobs.items() if row != number))
    return rows[number][0], blobs[number] - others


def blobs_in(listed):
    for file in listed.values():
        for content in [file["identity"], *file.get("encodings", {}).values()]:
            yield from content.get("blobs") or [content["digest"]]


def held(data, blobs):
    """Those blobs of which a data directory has a file, in quarantine too."""
    return {file.name.removeprefix("blob-") for file in data.rglob("*")} & blobs


def check_erased(cluster, edge, tag, manifest, erased):
    """Checks that an edge serves no file of the release, and holds none of the blobs."""
    if remaining := held(edge.data, erased):
        cluster.ledger.fail("removed", edge=edge.name, phase=cluster.phase, blobs=sorted(remaining))
    for path in files(tag):
        # Other releases have the vendor chunk too.
        if "/vendor-" not in path:
            expect_status(cluster, edge, path, 410, manifest=manifest)
            if path.startswith("assets/"):
                expect_status(cluster, edge, path, 404, 410)
