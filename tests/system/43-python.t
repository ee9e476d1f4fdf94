#!/usr/bin/python3
# SPDX-License-Identifier: MIT OR GPL-2.0
#
# The Python client against a real control channel (build/unit/control_stand), and against one that lies.
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading

os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
sys.path.insert(0, "python")
sys.dont_write_bytecode = True
import fermata  # noqa: E402

count = 0
top = tempfile.mkdtemp()
folder = top + "/fermata"
os.environ["XDG_RUNTIME_DIR"] = top


def ok(good, name, about=""):
    global count
    count += 1
    print(f"{'ok' if good else 'not ok'} {count} - {name}")
    if not good:
        print(f"# {about!r}")


def same(got, wanted, name):
    ok(got == wanted, name, got)


def raises(kind, what, name):
    try:
        got = what()
    except kind as error:
        ok(True, name)
        return error
    except Exception as error:  # the wrong one
        got = error
    ok(False, name, got)
    return None


class Stand:
    """A guest that is none."""

    def __init__(self, name):
        self.process = subprocess.Popen(
            ["build/unit/control_stand", name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.heard = self.process.stdout.readline()

    def do(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline()

    def end(self):
        self.process.stdin.close()
        status = self.process.wait(30)
        self.process.stdout.close()
        return status


# ---- where it looks

for runtime, user, wanted in (
    (top, 0, folder),
    ("/run/user/0", 0, "/run/fermata"),
    ("", 0, "/run/fermata"),
    ("nowhere", 12345, "/tmp/fermata-12345"),
):
    os.environ["XDG_RUNTIME_DIR"] = runtime
    os.geteuid, real = lambda: user, os.geteuid
    same(fermata.usual_folder(), wanted, f"the folder of user {user} with '{runtime}'")
    os.geteuid = real
os.environ["XDG_RUNTIME_DIR"] = top

# ---- nobody

raises(fermata.Unreachable, lambda: fermata.Guest("web"), "no folder, no guest")
same(list(fermata.guests()), [], "and a list without any")

# ---- a guest

web = Stand("web")
other = Stand("other")
same((web.heard, other.heard), ("ready\n", "ready\n"), "two guests")
same([guest.name for guest in fermata.guests()], ["other", "web"], "are listed")
raises(fermata.Unreachable, lambda: fermata.Guest("nobody"), "a third is not there")
raises(fermata.Unreachable, lambda: fermata.Guest("../fermata/web"), "and no name leads out of the folder")

with fermata.Guest("web", timeout=30) as guest:
    same(guest.pid, web.process.pid, "whose process it is")
    said = guest.query()
    same((said["name"], said["state"], said["memory"]), ("web", "running", 1 << 20), "what it says of itself")
    known = {one["name"] for one in guest.commands()}
    ok({"query", "stats", "log"} <= known, "its commands", known)
    same(guest.stats()["entries"], 11, "its numbers")
    guest.pause("advance")
    same(guest.state, "paused", "held")
    guest.resume()
    same(guest.state, "running", "released")
    same([guest.event(30).name, guest.event(30).name], ["paused", "resumed"], "and it was told of both")
    raises(TimeoutError, lambda: guest.event(0.05), "there is no third event")
    error = raises(fermata.GuestError, lambda: guest.pause("jump"), "a wrong argument")
    same((error.kind, "freeze|advance" in str(error)), ("argument", True), "has its class and its words")
    same(guest.clock()["state"], "running", "its clock")
    guest.clock_do("rate", "2")
    raises(fermata.GuestError, lambda: guest.clock_do("rate", "fast"), "no such rate")
    raises(fermata.State, guest.dirty, "no log of written pages")
    guest.log_dirty()
    dirty = guest.dirty()
    same((dirty.pages, dirty.ranges, dirty.left_out), (3, (fermata.Range(0x5000, 3),), 2), "what was written")
    number = guest.on("syscall nr=59 do log")
    same(
        guest.rules(),
        [fermata.Rule(number, "syscall", "syscall nr=0x3b do log", 0, 0)],
        "a rule, in the words of the guest",
    )
    guest.off(number)
    same(guest.rules(), [], "and none")
    raises(fermata.GuestError, lambda: guest.on("dance"), "what is no rule")
    web.do("dropped 5")
    web.do("records 200")
    records = guest.log()
    same((len(records), guest.dropped), (90, 5), "records, and how many were lost")
    record = records[0]
    same(
        (record.event, record.number_name, record.number, record.value, record.rule, record.flags, record.regs[:3]),
        ("syscall", "nr", 59, (1 << 64) - 1, number, ("skipped", "set"), (1, 2, 3)),
        "what is in one",
    )
    same(record.gva, None, "an address that is not known")
    follow = guest.follow()
    same([next(follow).sequence for _ in range(110)], list(range(90, 200)), "the rest, in order")
    same(
        list(fermata.read_log([json.dumps(record.raw), '{"dropped":5}'])), [record], "the same from a file of JSON lines"
    )
    raises(ValueError, lambda: list(fermata.read_log(['{"sequence":1}'])), "which must be one")

with fermata.Guest("web", timeout=30) as guest:
    web.do("event")
    same(guest.event(30).name, "told", "an event")
    web.do("die")
    events = list(guest.events())
    same([(e.name, e.data) for e in events], [("ended", {"how": "died", "why": "of grief"})], "its death, the last event")
    ok(events[0].time > 1.6e9, "and when")
    raises(fermata.Unreachable, guest.query, "then nobody answers")
same(web.end(), 0, "its process has ended")
with fermata.Guest("other", timeout=30) as guest:
    same(guest.quit().data, {"how": "quit"}, "the other is ended by its client")
same(other.end(), 0, "in order")

# ---- somebody who is no guest

os.symlink("/dev/log", folder + "/link")
open(folder + "/file", "w").close()
raises(fermata.Unreachable, lambda: fermata.Guest("link"), "a link is not followed")
raises(fermata.Unreachable, lambda: fermata.Guest("file"), "a file is no socket")
os.unlink(folder + "/link")
os.unlink(folder + "/file")


def liar(text):
    """Says that to its first client, and no more."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(folder + "/liar")
    listener.listen(1)

    def lie():
        connection = listener.accept()[0]
        try:
            connection.sendall(text)
            connection.recv(1)
        except OSError:
            pass
        connection.close()

    thread = threading.Thread(target=lie)
    thread.start()

    def end():
        thread.join()
        listener.close()
        os.unlink(folder + "/liar")

    return end


lies = (
    (b"hello\n", fermata.Protocol, "no JSON"),
    (b"[7]\n", fermata.Protocol, "no object"),
    (b'{"fermata":{"protocol":2}}\n', fermata.Protocol, "another version"),
    (b'{"fermata":7}\n', fermata.Protocol, "no version"),
    (b"{" * (64 << 20), fermata.Protocol, "a line without an end"),
    (b'{"error":7}\n', fermata.GuestError, "an error without words"),
    (b'{"error":{"class":"denied","desc":"no"}}\n', fermata.Denied, "a refusal"),
)
for text, kind, name in lies:
    end = liar(text)
    raises(kind, lambda: fermata.Guest("liar", timeout=30), name)
    end()
end = liar(b"")
raises(TimeoutError, lambda: fermata.Guest("liar", timeout=0.1), "silence")
end()

os.chmod(folder, 0o777)
raises(fermata.Unreachable, lambda: fermata.Guest("web"), "a folder that others may write to")
os.rename(folder, top + "/moved")
os.symlink(top + "/moved", folder)
raises(fermata.Unreachable, lambda: fermata.Guest("web"), "a link in its place")

# ---- its types

if shutil.which("mypy"):
    checked = subprocess.run(
        ["mypy", "--strict", "--no-incremental", "--cache-dir", os.devnull, "python/fermata", "python/examples"],
        env={**os.environ, "MYPYPATH": "python"},
        capture_output=True,
        text=True,
        check=False,
    )
    same(checked.returncode, 0, "mypy finds nothing wrong")
    if checked.returncode:
        print("# " + checked.stdout.replace("\n", "\n# "))
else:
    count += 1
    print(f"ok {count} - mypy is not installed # SKIP")
shutil.rmtree(top)
print(f"1..{count}")
