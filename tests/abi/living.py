# SPDX-License-Identifier: LGPL-2.1-or-later
"""A real vireod with given drivers, and what clients see of it."""
import contextlib
import json
import subprocess
import sys
from pathlib import Path

import devkit

sys.path.insert(0, str(Path(__file__).parents[1] / "clients"))
import vireotest  # noqa: E402


@contextlib.contextmanager
def running(vireod, drivers, folder):
    """Gives the socket."""
    with open(folder / "vireod.log", "w", encoding="utf-8") as log:
        process = subprocess.Popen([vireod, "--root", folder / "root", "--driver-dir", drivers],
                                   stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    socket = str(folder / "root" / "run" / "libvirt" / "libvirt-sock")
    try:
        vireotest.wait_until(lambda: process.poll() is not None or vireotest.connects(socket), 20, "the socket is open")
        yield socket
        if process.poll() is not None:
            raise AssertionError(f"vireod has ended with {process.returncode}")
    except BaseException:
        print((folder / "vireod.log").read_text(), file=sys.stderr)
        raise
    finally:
        process.terminate()
        process.wait(20)


def virsh(socket, name, *args, path="/default"):
    return subprocess.run(["virsh", "-q", "-c", f"{name}+unix://{path}?socket={socket}", *args], timeout=60,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


def driver(vireo, socket, name):
    """What the daemon says about a driver."""
    told = json.loads(devkit.run(vireo, "-c", f"{name}+unix:///default?socket={socket}", "drivers", "--json"))
    return next(driver for driver in told if driver["name"] == name)
