#!/usr/bin/env python3
"""Counts the tests behind a ctest run: usage: count_tests.py JUNIT_FILE

A ctest entry is a program with tests of its own; where it says how many (Criterion, its stand-in,
the scripts), those count, else the program counts as one. Prints a line for each failure and each
skip with its reason, and at last "PASSED FAILED SKIPPED".
"""
import re
import sys
import xml.etree.ElementTree as ElementTree

CRITERION = re.compile(r"Tested: (\d+) \| Passing: (\d+) \| Failing: (\d+) \| Crashing: (\d+)")
CLOSING = re.compile(r"^(\d+) passed, (\d+) failed, (\d+) skipped$", re.M)
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
SKIP = re.compile(r"^\[SKIP\].*|^skipped: .*|^SKIPPED.*", re.M)


def inner_counts(output):
    """(passed, failed, skipped) as the program says, or None."""
    match = CRITERION.search(output)
    if match:
        _, passed, failing, crashing = map(int, match.groups())
        return passed, failing + crashing, len(re.findall(r"^\[SKIP\]", output, re.M))
    closing = CLOSING.findall(output)
    if closing:
        return tuple(map(int, closing[-1]))
    return None


def count(case):
    name = case.get("name")
    output = COLOUR.sub("", case.findtext("system-out") or "")
    status = case.get("status")
    passed, failed, skipped = inner_counts(output) or (0, 0, 0)
    reasons = list(dict.fromkeys(SKIP.findall(output)))
    if status == "fail":
        failed = max(failed, 1)
        print(f"  FAILED {name}")
    elif status == "run":
        if passed + failed + skipped == 0:
            passed = 1
    else:
        passed, skipped = 0, max(skipped, 1)
        reasons = reasons or [f"skipped: {status}"]
    for reason in reasons:
        print(f"  {name}: {reason}")
    return passed, failed, skipped


def main():
    cases = ElementTree.parse(sys.argv[1]).getroot().iter("testcase")
    totals = [sum(column) for column in zip((0, 0, 0), *map(count, cases))]
    print(*totals)


if __name__ == "__main__":
    main()
