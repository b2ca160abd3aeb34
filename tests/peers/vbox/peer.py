#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: peer.py BUILD-DIR PROGRAM [ARGUMENT...]

Runs PROGRAM beside a VirtualBox and its web service, which listens on port 18083 of 127.0.0.1 and takes any password.
All is in namespaces of its own, the network too, and ends with PROGRAM. VIREO_VBOX_ROOT is what VirtualBox has as its
file system: it is made in BUILD-DIR when it is not there, and each run has a fresh copy. Exit status 77: VirtualBox
cannot be had here."""
import fcntl
import http.client
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
PORT = 18083
ENVIRONMENT = {"HOME": "/root", "USER": "root", "LOGNAME": "root", "LC_ALL": "C.UTF-8",
               "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
WEB_SERVICE = "/usr/lib/virtualbox/vboxwebsrv"


def make_root(folder):
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run([HERE / "make-root", folder / "root"], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        print(f"SKIP: {done.stdout.strip()}" if done.returncode == 77 else done.stdout)
        sys.exit(done.returncode)
    return folder / "root"


def enter(base, work, *command):
    """In new namespaces, with a copy of the file system that keeps what is written in memory."""
    mine = [sys.executable, "-B", __file__, "--inside", base, work, *command]
    unshare = ["unshare", "--mount", "--pid", "--net", "--ipc", "--fork", "--kill-child", "--mount-proc"]
    return subprocess.run([*unshare, *mine], check=False).returncode


def run(*command):
    subprocess.run(command, check=True)


def answers(port=PORT):
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/")
        connection.getresponse().read()
        return True
    except OSError:
        return False


def serve(root, port=PORT, *options):
    """Starts a web service."""
    with open(root / "root" / f"web-{port}.out", "ab") as output:
        return subprocess.Popen(["chroot", root, WEB_SERVICE, "-H", "127.0.0.1", "-p", str(port), *options],
                                env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=output, stderr=output)


def inside(base, work, *command):
    root = Path(work) / "root"
    run("mount", "-t", "tmpfs", "tmpfs", work)
    for folder in "root", "upper", "work":
        (Path(work) / folder).mkdir()
    run("mount", "-t", "overlay", "overlay", "-o", f"lowerdir={base},upperdir={work}/upper,workdir={work}/work", root)
    run("mount", "-t", "proc", "proc", root / "proc")
    for folder in "sys", "dev":
        run("mount", "--rbind", f"/{folder}", root / folder)
    run("mount", "-t", "sysfs", "sysfs", "/sys")
    run("ip", "link", "set", "lo", "up")
    web = serve(root)
    end = time.monotonic() + 20
    while not answers():
        if web.poll() is not None or time.monotonic() > end:
            said = (root / "root" / f"web-{PORT}.out").read_text()
            sys.exit(f"the web service of VirtualBox does not answer:\n{said}")
        time.sleep(0.05)
    return subprocess.run(command, env=dict(os.environ, VIREO_VBOX_ROOT=str(root)), check=False).returncode


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    if sys.argv[1] == "--inside":
        return inside(*sys.argv[2:])
    base = make_root(Path(sys.argv[1]).resolve())
    with tempfile.TemporaryDirectory(prefix="vbox.") as work:
        return enter(base, work, *sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
