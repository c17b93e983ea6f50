#!/usr/bin/env python3
"""Checks the sources against the house rules that a machine can check.

usage: check_style.py [ROOT]      prints one line a finding; exit status 1 when there is any

  lines        at most 100 columns, no tab (but in makefiles), no space at the end
  functions    at most 70 lines
  files        at most 500 lines of C
  includes     include <- engine <- stages; bench and tools see ds/ only; ck_ring.h has one user,
               Vulkan headers have few
  calls        banned ones: they wait by time, overflow, or go round the host's allocator
  text         machine paths
  root         nothing but the agreed entries
"""
import os
import re
import subprocess
import sys

COLUMNS_MAX = 100
FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 500

CODE = ("include", "engine", "stages", "bench", "tools", "tests")
ROOT_ENTRIES = {"CMakeLists.txt", "engine", "stages", "include", "bench", "tests", "tools", "docs",
                "README.md", "LICENSE", "CHANGELOG.md"}

# part -> prefixes of quoted or angled project headers that it may include
ALLOWED_INCLUDES = {
    "include": ("ds/",),
    "engine": ("ds/", "engine/"),
    "stages": ("ds/", "engine/", "stages/"),
    "bench": ("ds/", "bench/"),
    "tools": ("ds/", "tools/"),
}
PROJECT_PREFIXES = ("ds/", "engine/", "stages/", "bench/", "tools/", "tests/", "support/")
# Who sees more than one stage.
COMPOSERS = ("stages/pipeline", "stages/runtime", "stages/files", "stages/images",
             "stages/memories", "stages/control")
# (stage, the other one that it may see): why
NEIGHBOURS = {
    ("complete", "copy"): "it waits for the tickets that copy hands out",
    ("submit", "split"): "a part of submit",
    ("submit", "schedule"): "a part of submit",
    ("split", "submit"): "a part of submit",
    ("submit", "blocked"): "a part of submit",
    ("submit", "join"): "a part of submit",
    ("submit", "window"): "a part of submit",
    ("blocked", "copy"): "it asks the GPU about semaphores",
}
VULKAN_USERS = ("include/ds/vulkan.h", "engine/vulkan/", "stages/copy_vulkan", "stages/runtime",
                "bench/", "tests/", "tools/")
# Micro benches may look inside.
INTERNAL_USERS = ("bench/micro",)

BANNED_EVERYWHERE = {
    "usleep": "waits by time", "sleep": "waits by time",
    "system": "runs a shell", "popen": "runs a shell",
    "sprintf": "has no bound", "vsprintf": "has no bound", "strcpy": "has no bound",
    "strcat": "has no bound", "gets": "has no bound", "alloca": "has no bound",
}
BANNED_IN_LIBRARY = {name: "goes round engine/host.h" for name in
                     ("malloc", "calloc", "realloc", "free", "strdup", "aligned_alloc",
                      "posix_memalign")}
BANNED_IN_LIBRARY.update({name: "a library does not end or print for its host" for name in
                          ("exit", "printf", "puts", "perror")})
ALLOCATORS = ("engine/host.c",)
# A program that runs other programs or waits for the world outside may say so here, with a reason.
EXCEPTIONS = {
}

CALL = re.compile(r"(?<![\w.>])(\w+)\s*\(")
INCLUDE = re.compile(r'^\s*#\s*include(?:_next)?\s*[<"]([^>"]+)[>"]')


def tracked_files(root):
    listing = subprocess.run(["git", "-C", root, "ls-files", "-co", "--exclude-standard"],
                             capture_output=True, text=True, check=False)
    if listing.returncode == 0:
        return sorted(name for name in set(listing.stdout.splitlines())
                      if os.path.isfile(os.path.join(root, name)))
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = [f for f in folders if not f.startswith((".", "build"))]
        found += [os.path.relpath(os.path.join(folder, name), root) for name in names]
    return sorted(found)


def blank(match):
    return re.sub(r"[^\n]", " ", match.group(0))


def without_comments(text):
    """The code alone, strings emptied, line numbers kept."""
    pattern = r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''
    return re.sub(pattern, blank, text, flags=re.S)


def check_lines(name, lines, report):
    for number, line in enumerate(lines, 1):
        if len(line) > COLUMNS_MAX and "://" not in line:
            report(name, number, f"{len(line)} columns, at most {COLUMNS_MAX}")
        if "\t" in line:
            report(name, number, "a tab")
        if line != line.rstrip():
            report(name, number, "space at the end of the line")
        if re.search(r"(?<![\w$}])/(home|root|work)/\w", line):
            report(name, number, "a path of somebody's machine")


def functions(lines):
    """(name, first line, number of lines) of each function; house braces: { and } in column 0."""
    start = None
    for i, line in enumerate(lines):
        if line == "{":
            start = i
            while start > 0 and lines[start - 1] and not re.match(r"[}#/ ]?$|^[}#]|.*\*/$",
                                                                  lines[start - 1]):
                start -= 1
        elif line.startswith("}") and start is not None:
            head = " ".join(lines[start:start + 3])
            match = re.search(r"(\w+)\s*\(", head)
            yield (match.group(1) if match else "?"), start + 1, i - start + 1
            start = None


def check_functions(name, lines, report):
    for function, first, count in functions(lines):
        if count > FUNCTION_LINES_MAX:
            report(name, first, f"{function} has {count} lines, at most {FUNCTION_LINES_MAX}")


def check_includes(name, text, report):
    part = name.split("/")[0]
    stage = re.match(r"stages/([a-z]+)", name)
    for number, line in enumerate(text.splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        header = match.group(1)
        if header.startswith("ck_") and name != "engine/ring.h" and not name.startswith("tests/"):
            report(name, number, f"{header}: only engine/ring.h includes Concurrency Kit")
        if header.startswith("vulkan/") and not name.startswith(VULKAN_USERS):
            report(name, number, f"{header}: Vulkan is for {', '.join(VULKAN_USERS[:4])}")
        allowed = ALLOWED_INCLUDES.get(part)
        if allowed and header.startswith(PROJECT_PREFIXES) and not header.startswith(allowed) \
                and not name.startswith(INTERNAL_USERS):
            report(name, number, f"{header}: {part}/ may include {' '.join(allowed)} only")
        other = re.match(r"stages/([a-z]+)", header)
        if stage and other and not name.startswith(COMPOSERS) and \
                other.group(1) != stage.group(1) and \
                (stage.group(1), other.group(1)) not in NEIGHBOURS:
            report(name, number, f"{header}: a stage does not see another stage")


def check_calls(name, text, report):
    in_library = name.startswith(("engine/", "stages/")) and name not in ALLOCATORS
    for number, line in enumerate(without_comments(text).splitlines(), 1):
        for call in CALL.findall(line):
            reason = BANNED_EVERYWHERE.get(call)
            if reason is None and in_library:
                reason = BANNED_IN_LIBRARY.get(call)
            if reason and (name, call) not in EXCEPTIONS:
                report(name, number, f"{call}: {reason}")


def check_root(files, report):
    for entry in sorted({name.split("/")[0] for name in files}):
        if entry not in ROOT_ENTRIES and not entry.startswith("."):
            report(entry, 1, "not an agreed entry of the root folder")


def main():
    root = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else ".")
    findings = []

    def report(name, line, message):
        findings.append(f"{name}:{line}: {message}")

    files = tracked_files(root)
    check_root(files, report)
    checked = 0
    for name in files:
        is_c = name.endswith((".c", ".h", ".cpp", ".comp"))
        is_text = name.endswith((".py", ".sh", ".cmake", ".txt", ".in")) or "." not in name
        if not (is_c or is_text) or "/corpus/" in name or \
                name.split("/")[0] not in CODE or \
                name.endswith(".spv.h"):
            continue
        with open(os.path.join(root, name), encoding="utf-8") as file:
            text = file.read()
        lines = text.splitlines()
        checked += 1
        check_lines(name, lines, report)
        if is_c:
            if len(lines) > FILE_LINES_MAX:
                report(name, 1, f"{len(lines)} lines, at most {FILE_LINES_MAX}")
            check_functions(name, lines, report)
            check_includes(name, text, report)
            check_calls(name, text, report)
    print("\n".join(findings + [f"{checked} files, {len(findings)} findings"]))
    return 1 if findings or checked < 20 else 0


if __name__ == "__main__":
    sys.exit(main())
