#!/usr/bin/python3
# SPDX-License-Identifier: MIT OR GPL-2.0
#
# The Python client and its example against a guest that runs, in the box: what they are told is what it does.
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
sys.path.insert(0, "python")
sys.dont_write_bytecode = True
import fermata  # noqa: E402

count = 0
top = tempfile.mkdtemp()
os.environ["XDG_RUNTIME_DIR"] = top


def ok(good, name, about=""):
    global count
    count += 1
    print(f"{'ok' if good else 'not ok'} {count} - {name}", flush=True)
    if not good:
        print("# " + str(about).replace("\n", "\n# "))


def until(what, seconds):
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def shown():
    with open(top + "/console", errors="replace") as console:
        return console.read()


with open(top + "/settings", "w") as settings:
    settings.write("# What the command is told.\n--kernel build/box/vmlinuz --initrd build/guest/initrd.cpio.gz\n")
    settings.write("--append 'console=ttyS0 quiet' --memory 128M --name web\n")
with open(top + "/console", "wb") as console:
    command = subprocess.Popen(
        ["build/fermata", "run", "--box", "amd", "--settings", top + "/settings"],
        stdin=subprocess.PIPE,
        stdout=console,
        stderr=subprocess.STDOUT,
    )
try:
    ok(until(lambda: os.path.exists(top + "/fermata/web"), 30), "a guest with options out of a file has its socket")
    with fermata.Guest("web", timeout=100) as guest:
        ok(guest.pid == command.pid, "its process")
        said = guest.query()
        ok((said["where"], said["vendor"], said["memory"]) == ("box amd", "amd", 128 << 20), "what it is", said)
        ok(until(lambda: "This is a guest" in shown(), 100), "it comes up", shown())
        rule = guest.on("syscall nr=63 do log")  # uname
        command.stdin.write(b"uname -r; echo $((6 * 7)) done\n")
        command.stdin.flush()
        records = []

        def logged():
            records.extend(guest.log())
            return records

        ok(until(logged, 30), "a rule logs")
        first = records[0]
        ok(
            (first.event, first.number_name, first.number, first.rule, first.cpl) == ("syscall", "nr", 63, rule, 3),
            "the system call of a program in the guest",
            first,
        )
        ok(guest.rules()[0].hits >= 1, "and is counted", guest.rules())
        guest.off(rule)
        ok(until(lambda: "42 done" in shown(), 30), "which goes on", shown())
        guest.pause()
        before = guest.stats()["entries"]
        time.sleep(0.3)
        ok(guest.stats()["entries"] == before and guest.state == "paused", "held, it enters the guest no more")
        guest.resume()
        ok(until(lambda: guest.stats()["entries"] > before, 30), "and then again")
        guest.clock_do("freeze")
        frozen = guest.clock()
        time.sleep(0.1)
        ok(frozen["state"] == "frozen" and guest.clock()["ns"] == frozen["ns"], "its clock stands", frozen)
        guest.clock_do("thaw")
        guest.log_dirty()
        command.stdin.write(b"head -c 4194304 /dev/zero >/four; echo $((6 * 8)) done\n")
        command.stdin.flush()
        ok(until(lambda: "48 done" in shown(), 60), "it writes 4 MiB")
        ok(guest.dirty().pages >= 1024, "and they are in the log of written pages")
        guest.log_dirty(False)

        command.stdin.write(b"n=0; while [ $n -lt 300 ]; do n=$((n + 1)); cat /proc/uptime >/dev/null; done\n")
        command.stdin.flush()
        example = subprocess.run(
            [sys.executable, "python/examples/syscalls.py", "web", "3"],
            env={**os.environ, "PYTHONPATH": "python", "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        ok(
            example.returncode == 0 and re.fullmatch(r"( *\d+ +\d+\n)+", example.stdout),
            "the example counts system calls",
            example,
        )
        ok(guest.rules() == [], "and takes its rule away")
        last = guest.quit()
        ok(last is not None and (last.name, last.data) == ("ended", {"how": "quit"}), "its end", last)
    ok(command.wait(30) == 0, "and the command's")
    ok(list(fermata.guests()) == [], "then there is none")
finally:
    if command.poll() is None:
        command.kill()
        command.wait()
shutil.rmtree(top)
print(f"1..{count}")
