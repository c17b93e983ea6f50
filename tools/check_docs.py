#!/usr/bin/env python3
"""Checks that the documents speak of what there is.

usage: check_docs.py [ROOT]       prints one line a finding; exit status 1 when there is any

  code      each ```c block compiles without a warning: as it is when it has a main, else as the
            body of a function behind tests/api/docs_prelude.h, which declares what fragments take
            for granted. Without a compiler ($CC, cc) or Vulkan's headers this part is skipped.
  names     each ds_*, DS_* and libds_* that is named exists in the sources or the build
  links     each relative link and each heading that it names exists
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

# Patterns and file names rather than names
NOT_NAMES = {"ds_", "DS_", "ds_runtime", "libds_runtime"}
SOURCES = ("include", "engine", "stages", "bench", "tests", "tools")
WARNINGS = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-Wno-unused-variable",
            "-Wno-unused-but-set-variable", "-Wno-unused-parameter", "-fsyntax-only"]


def documents(root):
    paths = [os.path.join(root, "README.md"), os.path.join(root, "CHANGELOG.md")]
    docs = os.path.join(root, "docs")
    return paths + sorted(os.path.join(docs, f) for f in os.listdir(docs) if f.endswith(".md"))


def blocks(text):
    """(line, language, code) of each fenced block."""
    for match in re.finditer(r"^```(\w*)\n(.*?)^```", text, re.M | re.S):
        yield text.count("\n", 0, match.start()) + 2, match[1], match[2]


def compiler_for(root):
    cc = os.environ.get("CC", "cc").split()
    if not shutil.which(cc[0]):
        return None, "no C compiler"
    probe = subprocess.run(cc + ["-E", "-x", "c", "-"], input="#include <vulkan/vulkan_core.h>\n",
                           text=True, capture_output=True)
    if probe.returncode != 0:
        return None, "no Vulkan headers"
    return cc + WARNINGS + ["-I" + os.path.join(root, "include"),
                            "-I" + os.path.join(root, "tests")], ""


def compile_block(command, name, line, code):
    """What the compiler says, or ''."""
    if re.search(r"\bint main\(", code):
        text = f'#line {line} "{name}"\n{code}'
    else:
        text = ('#include "api/docs_prelude.h"\nvoid fragment(void);\nvoid fragment(void)\n{\n'
                f'#line {line} "{name}"\n{code}}}\n')
    with tempfile.NamedTemporaryFile("w", suffix=".c") as source:
        source.write(text)
        source.flush()
        run = subprocess.run(command + [source.name], capture_output=True, text=True)
    return run.stderr.strip() if run.returncode != 0 else ""


def check_code(root, path, text, command):
    name = os.path.relpath(path, root)
    for line, language, code in blocks(text):
        said = compile_block(command, name, line, code) if language == "c" else ""
        if said:
            yield f"{name}:{line}: does not compile:\n{said}"


def known_names(root):
    names = set()
    paths = [os.path.join(root, "CMakeLists.txt")]
    for part in SOURCES:
        for folder, _, files in os.walk(os.path.join(root, part)):
            paths += [os.path.join(folder, f) for f in files]
    for path in paths:
        with open(path, encoding="utf-8", errors="replace") as file:
            names.update(re.findall(r"\b(?:lib)?(?:ds|DS)_\w+", file.read()))
    return names


def check_names(root, path, text, names):
    name = os.path.relpath(path, root)
    for number, line in enumerate(text.split("\n"), 1):
        for word in re.findall(r"\b(?:lib)?(?:ds|DS)_\w*", line):
            is_pattern = any(known.startswith(word) for known in names) and \
                re.search(re.escape(word) + r"[*{/]", line)
            if word not in names and word not in NOT_NAMES and not is_pattern:
                yield f"{name}:{number}: there is no {word}"


def anchors(path):
    with open(path, encoding="utf-8") as file:
        heads = re.findall(r"^#+ (.*)$", file.read(), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


def check_links(root, path, text):
    name = os.path.relpath(path, root)
    for match in re.finditer(r"\]\(([^)\s]+)\)", text):
        target, _, anchor = match[1].partition("#")
        line = text.count("\n", 0, match.start()) + 1
        full = os.path.normpath(os.path.join(os.path.dirname(path), target)) if target else path
        if re.match(r"\w+:", match[1]):
            continue
        if not os.path.exists(full):
            yield f"{name}:{line}: there is no {match[1]}"
        elif anchor and anchor not in anchors(full):
            yield f"{name}:{line}: {target or name} has no heading #{anchor}"


def main():
    root = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else
                           os.path.join(os.path.dirname(__file__), ".."))
    command, why = compiler_for(root)
    names = known_names(root)
    findings, compiled = [], 0

    if command is None:
        print(f"skipped: code in documents: {why}")
    for path in documents(root):
        with open(path, encoding="utf-8") as file:
            text = file.read()
        if command is not None:
            findings += check_code(root, path, text, command)
            compiled += sum(language == "c" for _, language, _ in blocks(text))
        findings += check_names(root, path, text, names)
        findings += check_links(root, path, text)
    print("\n".join(findings + [f"{compiled} blocks of code, {len(findings)} findings"]))
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
