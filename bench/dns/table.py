"""Prints the medians of all servers as tables.

    table.py RESULTS MEMORY

Columns of RESULTS: workload, server, queries answered, seconds, and the CPU seconds of the server, of the client and of other
processes on the two cores. Columns of MEMORY: server, KiB before the measurement, KiB after it.
"""

import sys
from statistics import median

# A run is quiet if other processes used less than this share of a core.
QUIET = 0.2


def main():
    runs = {}
    for workload, server, *numbers in rows(sys.argv[1]):
        answered, seconds, cpu, client, others = map(float, numbers)
        run = {
            "rate": answered / seconds,
            "cost": cpu / answered * 1e6,
            "server": cpu / seconds,
            "client": client / seconds,
            "others": max(0, others / seconds),
        }
        runs.setdefault(workload, {}).setdefault(server, []).append(run)
    servers = list(next(iter(runs.values())))
    base = "verge" if "verge" in servers else servers[0]
    head = ["queries/s", f"to {base}", "CPU µs/query", f"to {base}", "±", "server", "client", "others", "quiet"]
    lines = [["workload", "server", *head]]
    for workload, by_server in runs.items():
        medians = {server: Medians(measured) for server, measured in by_server.items()}
        for server, values in medians.items():
            lines.append([
                workload,
                server,
                f"{values['rate']:,.0f}",
                f"{values['rate'] / medians[base]['rate']:.2f}",
                f"{values['cost']:.2f}",
                f"{values['cost'] / medians[base]['cost']:.2f}",
                f"{values.spread('cost'):.0%}",
                *(f"{values[key]:.0%}" for key in ("server", "client", "others")),
                f"{values.quiet_count} of {len(by_server[server])}",
            ])
    print_table(lines, left=2)
    print()
    memory = [[server, mebibytes(before), mebibytes(after)] for server, before, after in rows(sys.argv[2])]
    print_table([["server", "MiB before", "MiB after"], *memory], left=1)


class Medians:
    """Medians of the quiet runs; of all runs if none was quiet."""

    def __init__(self, runs):
        quiet = [run for run in runs if run["others"] < QUIET]
        self.quiet_count, self.runs = len(quiet), quiet or runs

    def __getitem__(self, key):
        return median(run[key] for run in self.runs)

    def spread(self, key):
        values = [run[key] for run in self.runs]
        return (max(values) - min(values)) / 2 / self[key]


def rows(path):
    with open(path, encoding="utf-8") as file:
        return [line.rstrip("\n").split("\t") for line in file]


def mebibytes(kibibytes):
    return f"{int(kibibytes) / 1024:.1f}"


def print_table(lines, left):
    widths = [max(map(len, column)) for column in zip(*lines)]
    rule = ["-" * width for width in widths]
    for line in [lines[0], rule, *lines[1:]]:
        cells = [cell.ljust(width) if number < left else cell.rjust(width) for number, (cell, width) in enumerate(zip(line, widths))]
        print("| " + " | ".join(cells) + " |")


main()
