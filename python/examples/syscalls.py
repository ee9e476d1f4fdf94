#!/usr/bin/python3
# SPDX-License-Identifier: MIT OR GPL-2.0
"""syscalls.py NAME [SECONDS]: which system calls a running guest makes most, counted for some seconds."""

import collections
import sys
import time

import fermata


def main() -> int:
    name, seconds = sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 5.0
    counts: collections.Counter[int] = collections.Counter()
    try:
        with fermata.Guest(name) as guest:
            rule = guest.on("syscall every=10 do log")
            try:
                end = time.monotonic() + seconds
                while time.monotonic() < end:
                    records = guest.log()
                    counts.update(record.number for record in records if record.number is not None)
                    if not records:
                        time.sleep(0.05)
            finally:
                guest.off(rule)
    except fermata.Error as error:
        print(f"syscalls.py: {error}", file=sys.stderr)
        return 1
    for number, count in counts.most_common(10):
        print(f"{number:6} {count * 10:8}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
