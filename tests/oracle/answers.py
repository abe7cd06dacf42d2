#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Holds what the guest `answers` said on Kxen against what it said on Xen.

usage: answers.py XEN DIFFERENCES KXEN

Each is lines `name: answer`. DIFFERENCES has the answers that Kxen is known to
give otherwise, each group under a comment that says why; `-` stands for none,
and `? ` before the name for one that some machines give and others not. One
that is not listed is wrong, and so is one that is listed for nothing.
"""

import collections
import sys


def read(path):
    answers = collections.defaultdict(list)
    with open(path, encoding="utf-8", errors="replace") as f:
        for line in f:
            line = line.strip().removeprefix("? ")
            name, colon, answer = line.partition(": ")
            if colon and "/" in name and not line.startswith("#"):
                answers[name].append(answer)
    return answers


def read_optional(path):
    with open(path, encoding="utf-8") as f:
        return {line[2:].partition(": ")[0] for line in f if line[:2] == "? "}


def main():
    optional = read_optional(sys.argv[2])
    xen, known, kxen = (read(path) for path in sys.argv[1:4])
    wrong = 0
    for name in list(xen) + [name for name in kxen if name not in xen]:
        says = xen.get(name, ["-"])
        want = known.pop(name, says)
        have = kxen.get(name, ["-"])
        if have == says and name in optional:
            pass
        elif have == says and want != says:
            wrong += 1
            print(f"{name}: {', '.join(have)}, as Xen: strike it off the list")
        elif want != have:
            wrong += 1
            print(f"{name}: {', '.join(have)}; Xen: {', '.join(says)}" +
                  (f"; listed: {', '.join(want)}" if want != says else ""))
    for name, answers in known.items():
        wrong += 1
        print(f"{name}: {', '.join(answers)}: listed, but nobody says it")
    same = sum(xen[name] == kxen.get(name) for name in xen)
    print(f"{same} of {len(xen)} answers are Xen's")
    return wrong != 0


if __name__ == "__main__":
    sys.exit(main())
