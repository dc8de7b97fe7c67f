#!/usr/bin/env python3
"""The table of docs/simplifier.md says what `xslim --list-passes` does. Usage: passes_doc_test.py XSLIM SOURCE_DIR"""
import os
import re
import subprocess
import sys


def main():
    listed = subprocess.run([sys.argv[1], "--list-passes"], capture_output=True, text=True, check=True).stdout
    wanted = [re.split(r"\s{2,}", line.strip(), maxsplit=2) for line in listed.splitlines()]
    with open(os.path.join(sys.argv[2], "docs", "simplifier.md")) as file:
        rows = [line.strip().strip("|").split("|") for line in file if line.startswith("| `")]
    found = [[cell.strip().strip("`") for cell in row] for row in rows]
    if len(wanted) < 10 or wanted != found:
        for row in wanted:
            if row not in found:
                print("not in docs/simplifier.md:", " | ".join(row))
        for row in found:
            if row not in wanted:
                print("not in --list-passes:", " | ".join(row))
        print("the tables differ")
        return 1
    print(f"{len(found)} passes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
