"""Commands whose progress is followed while they run."""

import json
import subprocess
import threading

from clients import COMMAND_TIMEOUT, Writer, release_number
from daemons import until


class Publisher(Writer):
    """Pushes a site when it is told to, and follows the rollouts."""

    def __init__(self, cluster, site, chance):
        super().__init__(cluster, site, chance)
        self.released = []  # the tag and the number of each release that `release` has made

    def run(self):
        """Does nothing by itself."""
        self.is_paused = True

    def begin_push(self, *options):
        """Begins a push, and returns it."""
        until("no other push is running", lambda: not self.process or self.process.poll() is not None)
        return Push(self, self.prepare_push(), options)

    def release(self):
        """Pushes, and waits until all edges serve it."""
        push = self.begin_push()
        push.expect(0, [])
        self.released.append((push.tag, push.number))


class Command:
    """A command that runs, and the events that it prints."""

    def __init__(self, cluster, *words):
        self.cluster, self.words, self.events, self.changed = cluster, [str(word) for word in words], [], threading.Condition()
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        command = [cluster.binaries / "verge", *self.words, "--json=stream", *cluster.options]
        self.process = subprocess.Popen(command, env=cluster.environment, cwd=cluster.folder, start_new_session=True, **pipes)
        self.thread = threading.Thread(target=self.read)
        self.thread.start()

    def read(self):
        for line in self.process.stdout:
            event = json.loads(line)
            self.take(event)
            with self.changed:
                self.events.append(event)
                self.changed.notify_all()

    def take(self, event):
        """Records what an event says."""

    def wait_for(self, event, edge=None, **fields):
        """Waits for an event of this name, of an edge, whose fields pass these tests. Returns it."""
        def matches(one):
            return one.get("event") == event and one.get("edge") == edge and all(test(one[key]) for key, test in fields.items())

        with self.changed:
            if not self.changed.wait_for(lambda: any(map(matches, self.events)) or not self.thread.is_alive(), COMMAND_TIMEOUT):
                raise TimeoutError(f"expected {event} of {edge}: {self.events[-3:]}")
            if not any(map(matches, self.events)):
                raise SystemExit(f"`verge {self.words[0]}` ended without {event} of {edge}: {self.events[-3:]}")
            return next(filter(matches, self.events))

    def has_told(self, event, edge=None):
        with self.changed:
            return any((one.get("event"), one.get("edge")) == (event, edge) for one in self.events)

    def expect(self, code, lagging, error=""):
        """Waits for its end, and checks the exit code, which edges it says are lagging, and that its messages have this text. Returns
        the result, which is empty if it failed."""
        errors = self.process.stderr.read()
        actual = self.process.wait(COMMAND_TIMEOUT)
        self.thread.join()
        result = next((one for one in self.events if "event" not in one), {})
        edges = result.get("edges", result).get("lagging", [])
        if (actual, [edge["edge"] for edge in edges]) != (code, lagging) or error not in errors:
            found = {"exit_code": actual, "lagging": edges, "stderr": errors[-300:]}
            self.fail("failed", expected=[code, lagging, error], **found)
        return result

    def fail(self, rule, **details):
        self.cluster.ledger.fail(rule, command=self.words, phase=self.cluster.phase, **details)


class Push(Command):
    """A push that runs."""

    def __init__(self, publisher, tag, options=()):
        self.publisher, self.tag, self.era, self.number = publisher, tag, publisher.ledger.era, None
        super().__init__(publisher.cluster, "push", publisher.build, "--message", tag, "--site", publisher.site, *options)
        publisher.process = self.process

    def take(self, event):
        if event.get("event") == "preparing":
            self.number = release_number(event["release"])
        elif event.get("event") == "canary":
            self.cluster.ledger.begin_canary(self.publisher.site, self.number, event["edges"])

    def expect(self, code, lagging, error=""):
        result = super().expect(code, lagging, error)
        if "release" in result:
            number, edges = release_number(result["release"]), result["edges"]["confirmed"]
            self.cluster.ledger.acknowledge(self.era, self.publisher.site, result["epoch"], number, self.tag, edges)
        return result
