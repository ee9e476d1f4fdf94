#!/usr/bin/python3
# SPDX-License-Identifier: MIT OR GPL-2.0
#
# A guest's server that lies, in a box that was taken over for instance: each verb about running guests is answered
# with what is of no kind that it expects. The verb ends with status 0 or 1, says nothing but plain text, and a
# failure is one line.
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading

os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
top = tempfile.mkdtemp()
os.environ["XDG_RUNTIME_DIR"] = top
os.mkdir(top + "/fermata", 0o700)
greeting = {"fermata": {"version": "0.1.0", "protocol": 1, "name": "web"}}
orders = "\x1b]0;title\x07\x9b1m\x7f"
anything = (None, 7, -1, 1e300, "text", orders, [], {}, [7, None, "text", [], {}], {"a": orders, "exits": [{"name": None}]}, [{}])
members = (
    "records dropped rules exits sources ranges flushes owed name state where vendor memory since pages page_size ns tsc_khz vcpus "
    "rate run_only rdtsc event flags regs id hits leaf gva host_ns"
).split()
verbs = (
    ["ps"],
    ["ps", "--json"],
    ["stat", "web", "--once"],
    ["stat", "web", "--once", "--json"],
    ["pause", "web"],
    ["resume", "web"],
    ["clock", "web"],
    ["clock", "web", "freeze"],
    ["dirty", "web"],
    ["dirty", "web", "--json"],
    ["on", "web", "cpuid"],
    ["off", "web", "1"],
    ["events", "web"],
    ["events", "web", "--json"],
    ["log", "web"],
    ["log", "web", "--format", "json"],
    ["log", "web", "--format", "chrome"],
    ["quit", "web"],
)


class Liar:
    """Greets, answers each line with the same, and ends after a few."""

    def __init__(self):
        self.answer = {}
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(top + "/fermata/web")
        self.listener.listen(8)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            connection = self.listener.accept()[0]
            connection.settimeout(0.05)  # who waits for news is not kept waiting
            try:
                connection.sendall(json.dumps(greeting).encode() + b"\n")
                heard = connection.makefile("rb")
                for _ in range(3):
                    if not heard.readline():
                        break
                    connection.sendall(json.dumps(self.answer).encode() + b"\n")
            except OSError:
                pass
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def record(value):
    return {name: value for name in members}


lies = [{"return": value} for value in anything]
lies += [{"return": record(value)} for value in anything]
lies += [{"return": record([record(value)])} for value in anything]
lies += [{"error": value} for value in anything]
lies += [{"error": {"class": value, "desc": value}} for value in anything]
lies += [{"event": value, "data": value} for value in anything]
liar = Liar()
wrong = {}
for number, lie in enumerate(lies):
    liar.answer = lie
    for verb in verbs:
        ran = subprocess.run(["build/fermata", *verb], stdin=subprocess.DEVNULL, capture_output=True, timeout=100, check=False)
        said = ran.stdout + ran.stderr
        text = said.decode(errors="replace")
        plain = all(c == "\n" or (c.isprintable() and c != "\ufffd") for c in text)
        one_line = ran.stderr == b"" or (ran.stderr.startswith(b"fermata: ") and ran.stderr.count(b"\n") == 1)
        if ran.returncode not in (0, 1) or not plain or not one_line or (ran.returncode == 1 and ran.stderr == b""):
            wrong.setdefault(" ".join(verb), []).append((lie, ran.returncode, said[:300]))
for count, verb in enumerate(verbs, 1):
    name = " ".join(verb)
    print(f"{'not ok' if name in wrong else 'ok'} {count} - {name}: {len(lies)} lies")
    for about in wrong.get(name, [])[:5]:
        print(f"# {about!r}")
shutil.rmtree(top)
print(f"1..{len(verbs)}")
sys.exit(bool(wrong))
