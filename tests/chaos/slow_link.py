#!/usr/bin/env python3
"""Forwards TCP connections as a slow link that loses packets would.

    slow_link.py LISTEN TARGET [--delay MS] [--rate BYTES] [--loss SHARE] [--cut SHARE] [--seed N]

LISTEN and TARGET are HOST:PORT. Bytes arrive after half of the round trip of `delay`, and all connections share the rate of each
direction, in bytes per second. A lost packet delays its connection by a retransmission. Of `cut` packets, each breaks its connection.
From SIGUSR1 to SIGUSR2 nothing arrives at TARGET.
"""

import argparse
import asyncio
import random
import signal

PACKET = 1400
# The time until a lost packet is sent again, in round trips; at least 200 ms, as in Linux.
RETRANSMISSION, RETRANSMISSION_MIN = 1.5, 0.2


class Link:
    def __init__(self, arguments):
        self.target = address(arguments.target)
        self.round_trip, self.rate = arguments.delay / 1000, arguments.rate
        self.loss, self.cut, self.chance = arguments.loss, arguments.cut, random.Random(arguments.seed)
        self.free_at = {"up": 0.0, "down": 0.0}  # when the packet that was sent last has left
        self.connections = set()  # tasks
        self.open = {"up": asyncio.Event(), "down": asyncio.Event()}
        for event in self.open.values():
            event.set()

    def accept(self, reader, writer):
        task = asyncio.ensure_future(self.connect(reader, writer))
        self.connections.add(task)
        task.add_done_callback(self.connections.discard)

    async def connect(self, reader, writer):
        try:
            await asyncio.sleep(self.round_trip)
            peer_reader, peer_writer = await asyncio.open_connection(*self.target, limit=PACKET * 8)
        except OSError:
            return writer.transport.abort()
        parts = []
        for direction, source, target in (("up", reader, peer_writer), ("down", peer_reader, writer)):
            # What may be on the way: the product of rate and delay, at least a few packets.
            window = asyncio.Queue(max(8, int(self.round_trip * self.rate / PACKET)))
            parts += [self.send(direction, source, window), self.deliver(direction, window, target)]
        tasks = [asyncio.ensure_future(part) for part in parts]
        try:
            await asyncio.gather(*tasks)
            writer.close()
            peer_writer.close()
        except OSError:
            for task in tasks:
                task.cancel()
            writer.transport.abort()
            peer_writer.transport.abort()

    async def send(self, direction, source, window):
        """Puts packets on the link, each with the time at which it arrives; an empty one at the end."""
        loop, held_until = asyncio.get_running_loop(), 0.0
        while True:
            data = await source.read(PACKET)
            if data and self.chance.random() < self.cut:
                raise ConnectionResetError
            left = self.free_at[direction] = max(loop.time(), self.free_at[direction]) + len(data) / self.rate
            if self.chance.random() < self.loss:
                held_until = left + max(RETRANSMISSION_MIN, self.round_trip * RETRANSMISSION)
            await window.put((max(left, held_until) + self.round_trip / 2, data))
            if not data:
                return

    async def deliver(self, direction, window, target):
        loop = asyncio.get_running_loop()
        while True:
            at, data = await window.get()
            await asyncio.sleep(max(0, at - loop.time()))
            await self.open[direction].wait()
            if not data:
                return target.write_eof()
            target.write(data)
            await target.drain()


def address(text):
    host, _, port = text.rpartition(":")
    return host, int(port)


async def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("listen")
    parser.add_argument("target")
    parser.add_argument("--delay", type=float, default=0, metavar="MS", help="the round trip time")
    parser.add_argument("--rate", type=float, default=1e9, metavar="BYTES", help="bytes per second in each direction")
    parser.add_argument("--loss", type=float, default=0, metavar="SHARE")
    parser.add_argument("--cut", type=float, default=0, metavar="SHARE")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    link = Link(arguments)
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, link.open["up"].clear)
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR2, link.open["up"].set)
    server = await asyncio.start_server(link.accept, *address(arguments.listen), limit=PACKET * 8)
    print("listening", flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
