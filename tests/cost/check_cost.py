#!/usr/bin/env python3
"""Instructions for each request that the pipeline itself takes, stage by stage, counted by
callgrind and compared with the recorded ones: a number that other programs on the machine do not
change.

  check_cost.py PROGRAM RECORD COMPILER [--record]

RECORD names the compiler that it was recorded with; with another one the check is skipped (exit
status 77), and so it is without valgrind. A function fails when it takes TOLERANCE more than
recorded. --record writes the file anew.
"""
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

REQUESTS = 20480
TOLERANCE = 1.03
# Inclusive cost: all that is called from here.
FUNCTIONS = ("ds_queue_enqueue_batch", "submit_work", "read_work", "copy_work", "complete_work",
             "ds_queue_poll")


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)


def measure(program):
    """{function: instructions a request}"""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "callgrind.out"
        run = subprocess.run(
            ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", program,
             str(REQUESTS)], capture_output=True, text=True, check=False)
        if run.returncode != 0 or not out.exists():
            sys.exit(f"valgrind ended with {run.returncode}:\n{run.stderr[-2000:]}")
        table = subprocess.run(["callgrind_annotate", "--inclusive=yes", "--threshold=100",
                                str(out)], capture_output=True, text=True, check=True).stdout
    costs = {}
    for line in table.splitlines():
        found = re.match(r"\s*([\d,]+)\s*(?:\([^)]*\))?\s+\S+:(\w+)(?:\s|$)", line)
        if found and found[2] in FUNCTIONS:
            cost = int(found[1].replace(",", "")) / REQUESTS
            costs[found[2]] = max(cost, costs.get(found[2], 0))
    for name in FUNCTIONS:
        if name not in costs:
            sys.exit(f"{name} is not among the functions that callgrind saw")
    return costs


def record_read(path):
    lines = [line for line in path.read_text().splitlines() if line and line[0] != "#"]
    compiler = lines[0].removeprefix("compiler ")
    return compiler, {name: float(cost) for name, cost in (line.split() for line in lines[1:])}


def record_write(path, compiler, costs):
    body = "".join(f"{name} {costs[name]:.1f}\n" for name in FUNCTIONS)
    path.write_text("# Instructions a request, by check_cost.py --record (RelWithDebInfo).\n"
                    f"compiler {compiler}\n{body}")


def main():
    arguments = [a for a in sys.argv[1:] if a != "--record"]
    program, path, compiler = arguments[0], Path(arguments[1]), arguments[2]
    if not shutil.which("valgrind") or not shutil.which("callgrind_annotate"):
        skip("no valgrind")
    recorded = None
    if "--record" not in sys.argv:
        recorded_with, recorded = record_read(path)
        if recorded_with != compiler:
            skip(f"recorded with {recorded_with}, this is {compiler}")
    costs = measure(program)
    if recorded is None:
        record_write(path, compiler, costs)
    failed = False
    for name in FUNCTIONS:
        before = recorded[name] if recorded else costs[name]
        worse = costs[name] > before * TOLERANCE
        failed = failed or worse
        print(f"{name:24} {costs[name]:7.1f} instructions a request, recorded {before:7.1f}"
              f"{'  WORSE' if worse else ''}")
    print(f"{'all':24} {sum(costs.values()):7.1f}")
    if failed:
        print("the pipeline has become more expensive; if that is worth it, record it anew: "
              "see the head of check_cost.py")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
