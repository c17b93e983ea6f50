#!/usr/bin/env python3
"""docs/counters.md is written from the tables in include/ds/counters.h.

usage: check_counters.py [ROOT] [--write]

Without --write it says whether the page is up to date (exit status 1: it is not).
"""
import os
import re
import sys

HEAD = """# Counters

Written by `tools/check_counters.py --write` from `include/ds/counters.h`; do not edit.

`ds_engine_get_counters` copies all of them. Each has a single writer and is read with relaxed
loads: reading takes no lock and disturbs no stage. A snapshot is exact for each counter but not
across counters; at rest it is exact altogether.

## Of each stage (`counters.stages[DS_STAGE_...]`)

| name | unit | meaning |
|---|---|---|
"""

ENGINE_HEAD = """
## Of the engine

| name | meaning |
|---|---|
"""

READING = """
## Reading them

`busy_ns`, `idle_ns`, `wait_credit_ns` and `wait_device_ns` split the time of a stage's thread. In
SHARED topology the stages take turns on one thread, and each is charged for its own turns.

- The **disk** is the limit when read has the largest `wait_device_ns` and its
  `device_high_water` stands at `io_depth_max`.
- The **GPU copy** is the limit when copy or complete waits for its device while read is idle.
- The **arena** is too small when submit's `wait_credit_ns` grows while read is idle part of the
  time: raise `arena_bytes` (or `chunks_max`, when the chunk table is what is used up).
- A **stage's own code** is the limit when its `busy_ns` is close to the time that has passed.
- Nothing is the limit, and the program does not ask for enough, when every stage is mostly idle.
- `parks` close to `batches` means that the thread sleeps between batches: raise `spin_ns` where a
  core is to spare, or enqueue more before each submit.

`items` of a request that is split count its chunks. `stage_latency_ns` runs from the moment when a
chunk enters a stage to the moment when it leaves; `latency_ns` from enqueue to completion.
`ds_histogram_quantile` answers with at most 3 % error.
"""


def stage_rows(header):
    table = re.search(r"#define DS_COUNTER_TABLE\(X\)(.*?)\n\n", header, re.S).group(1)
    rows = re.findall(r'X\((\w+), "([^"]*)", "([^"]*)"\)', table)
    if len(rows) < 5 or len(rows) != table.count("X("):
        sys.exit("check_counters: cannot read DS_COUNTER_TABLE")
    return "".join(f"| `{name}` | {unit} | {text} |\n" for name, unit, text in rows)


def engine_rows(header):
    struct = re.search(r"struct ds_counters \{(.*?)\};", header, re.S).group(1)
    rows = []
    for line in struct.splitlines():
        match = re.match(r"\s*uint64_t (\w+);\s*(?:/\* (.*) \*/)?", line)
        if match:
            name, text = match.groups()
            rows.append(f"| `{name}` | {text or name.replace('_', ' ')} |\n")
    return "".join(rows)


def main():
    arguments = [a for a in sys.argv[1:] if a != "--write"]
    root = arguments[0] if arguments else "."
    path = os.path.join(root, "docs", "counters.md")
    with open(os.path.join(root, "include", "ds", "counters.h"), encoding="utf-8") as file:
        header = file.read()
    page = HEAD + stage_rows(header) + ENGINE_HEAD + engine_rows(header) + READING
    if "--write" in sys.argv:
        with open(path, "w", encoding="utf-8") as file:
            file.write(page)
        return 0
    try:
        with open(path, encoding="utf-8") as file:
            current = file.read()
    except FileNotFoundError:
        current = ""
    if current != page:
        print("docs/counters.md does not match include/ds/counters.h: "
              "run tools/check_counters.py --write")
        return 1
    print("docs/counters.md matches include/ds/counters.h")
    return 0


if __name__ == "__main__":
    sys.exit(main())
