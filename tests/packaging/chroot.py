# SPDX-License-Identifier: LGPL-2.1-or-later
"""Debian systems to install packages in.

A system is a stack of directories below BUILD/packaging/layers: `base` is Debian's minimal system, the others
are what more packages add to it. They are made once, with the mirror that this machine's apt uses, and kept. A test
gets a system with a layer of its own on top (overlayfs), in name spaces of its own for mounts, processes and the
network: nothing it does is seen outside, and everything is gone with it. There is no network in it. What apt needs
beyond the layers, it finds in a folder of .debs."""
import atexit
import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from contextlib import contextmanager

HERE = os.path.dirname(os.path.realpath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
BUILD = os.environ.get("VIREO_BUILD", os.path.join(TOP, "build"))
PLACE = os.path.join(BUILD, "packaging")
SUITE = "bookworm"
EXIT_SKIP = 77
os.umask(0o022)    # a system's files are for all its users

# Layer: what lies below it, packages to install, packages only to download.
LAYERS = {
    "base": (None, [], ["libglib2.0-0", "libjson-glib-1.0-0", "libltdl7", "libtirpc3", "libxml2"]),
    "run": ("base", ["adduser", "libvirt-clients", "qemu-system-x86", "qemu-utils", "libglib2.0-0",
                     "libjson-glib-1.0-0", "libltdl7", "libtirpc3", "libxml2", "rpm"], []),
    "develop": ("base", ["build-essential", "debhelper", "libglib2.0-dev", "libjson-glib-dev", "libltdl7", "libtirpc3",
                         "libvirt-clients", "libxml2-dev", "meson", "pkg-config", "python3-docutils"], []),
}


def skip(reason):
    raise unittest.SkipTest(reason)


def main():
    """Runs a file's tests; skipped as a whole when none of them could run."""
    result = unittest.main(verbosity=2, exit=False).result
    if result.skipped and not result.failures + result.errors and len(result.skipped) >= result.testsRun:
        print(f"SKIP: {result.skipped[0][1]}")
        sys.exit(EXIT_SKIP)
    sys.exit(not result.wasSuccessful())


def run(*command, **rest):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True,
                          check=False, **rest)
    if done.returncode:
        raise AssertionError(f"{' '.join(command)}: exit status {done.returncode}\n{done.stdout[-1500:]}")
    return done.stdout


def need_root():
    if os.geteuid() != 0:
        skip("chroots need root")


def need(*programs):
    missing = [name for name in programs if not shutil.which(name)]
    if missing:
        skip(f"not installed: {' '.join(missing)}")


def mirrors():
    """(URI, suite) of Debian in this machine's sources of apt: the release itself, then its updates."""
    found = []
    for folder, _, names in os.walk("/etc/apt"):
        for name in sorted(names):
            with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as stream:
                text = stream.read()
            if name.endswith(".list"):
                found += re.findall(r"^deb (?:\[[^]]*\] )?(\S+) (\S+) .*\bmain\b", text, re.M)
            elif name.endswith(".sources"):
                for stanza in re.split(r"\n\s*\n", text):
                    fields = dict(re.findall(r"^([\w-]+):[ \t]*(.*)$", stanza, re.M))
                    if "main" in fields.get("Components", "").split():
                        found += [(uri, suite) for uri in fields.get("URIs", "").split()
                                  for suite in fields.get("Suites", "").split()]
    found = [(uri, suite) for uri, suite in found if re.fullmatch(rf"{SUITE}(-updates|-security)?", suite)]
    if SUITE not in [suite for _, suite in found]:
        skip(f"this machine's sources of apt do not have Debian's {SUITE}")
    return sorted(found, key=lambda entry: entry[1])


# Runs in the new name spaces: $1 where to mount, $2 directories below, $3 the upper one, $4 work, then binds.
STAGE = r"""
set -e
mount --make-rprivate /
root=$1 lower=$2 upper=$3 work=$4
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$upper,workdir=$work" "$root"
shift 4
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=755 run "$root/run"
mkdir -p "$root/dev/pts" "$root/dev/shm"
mount -t tmpfs shm "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -sf pts/ptmx "$root/dev/ptmx"
for bind; do mkdir -p "$root/${bind#*:}"; mount --bind "${bind%%:*}" "$root/${bind#*:}"; done
if [ -n "$NETWORK" ]; then cp /etc/resolv.conf "$root/etc/resolv.conf"; else ip link set lo up; fi
exec chroot "$root" /bin/sh -c 'touch /run/$INSIDE; while :; do sleep 1000 & wait $!; done'
"""


class System:
    """A Debian that runs; its processes end with it."""

    def __init__(self, layers, upper=None, binds=(), network=False):
        self.folder = tempfile.mkdtemp(prefix="system.", dir=PLACE)
        root, work = (os.path.join(self.folder, name) for name in ("root", "work"))
        self.upper = upper or os.path.join(self.folder, "upper")
        for path in root, work, self.upper:
            os.makedirs(path, exist_ok=True)
        atexit.register(self.close)
        self.process = subprocess.Popen(
            ["unshare", "-m", "-p", "-f", "--kill-child", *([] if network else ["-n"]),
             "sh", "-c", STAGE, "stage", root, ":".join(layers), self.upper, work, *binds],
            stdin=subprocess.DEVNULL, env=dict(os.environ, NETWORK="1" if network else "", INSIDE=os.path.basename(self.folder)))
        end = time.monotonic() + 20
        while not self.inside():
            if self.process.poll() is not None or time.monotonic() > end:
                self.close()
                skip("no name spaces or no overlayfs here")
            time.sleep(0.02)

    def inside(self):
        """Whether its first process has gone into it: until then that one's root is this machine's own."""
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children", encoding="ascii") as stream:
            children = stream.read().split()
        self.pid = int(children[0]) if children else 0
        return children and os.path.exists(self.path("/run/" + os.path.basename(self.folder)))

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process = None
        for _ in range(50):    # until the last process has let go of the mounts
            shutil.rmtree(self.folder, ignore_errors=True)
            if not os.path.exists(self.folder):
                return
            time.sleep(0.1)

    def try_sh(self, script, timeout=300):
        """(exit status, output) of a shell script inside."""
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8", "TERM": "dumb",
               "DEBIAN_FRONTEND": "noninteractive"}
        done = subprocess.run(
            ["nsenter", "-t", str(self.pid), "-m", "-p", "-n", f"--root=/proc/{self.pid}/root",
             f"--wd=/proc/{self.pid}/root/root", "/bin/sh", "-c", script],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env, timeout=timeout,
            check=False)
        return done.returncode, done.stdout.decode(errors="replace")

    def sh(self, script, timeout=300):
        status, output = self.try_sh(script, timeout)
        if status:
            raise AssertionError(f"exit status {status} of:\n{script}\nwhich said:\n{output[-6000:]}")
        return output

    def wait_for(self, script, seconds=20):
        end = time.monotonic() + seconds
        while True:
            status, output = self.try_sh(script)
            if status == 0:
                return output
            if time.monotonic() > end:
                raise AssertionError(f"after {seconds} s still fails:\n{script}\nwhich said:\n{output[-3000:]}")
            time.sleep(0.2)

    def install(self, packages):
        """What apt says; without a network it can only have what is in the layers and in the folder of .debs."""
        uris = re.findall(r"^'https?://\S+/(\S+?)_\S+'", self.sh(f"apt-get install --print-uris {packages}"), re.M)
        if uris:
            raise AssertionError(f"{packages}: apt would install {' '.join(uris)} too, which is not there. If these are"
                                 f" needed, LAYERS in {os.path.basename(__file__)} must have them.")
        return self.sh(f"apt-get install {packages}")

    def path(self, path):
        """Of a file inside, as seen from outside."""
        return f"/proc/{self.pid}/root{path}"


def layer_path(name):
    """Where a layer is, or will be; its name tells what went into it."""
    names = [name]
    while LAYERS[names[-1]][0]:
        names.append(LAYERS[names[-1]][0])
    key = hashlib.sha256(repr([SUITE, [LAYERS[one] for one in names]]).encode()).hexdigest()[:12]
    return os.path.join(PLACE, "layers", f"{name}-{key}")


def make_base(path):
    uri = next(uri for uri, suite in mirrors() if suite == SUITE)
    try:
        # What it mounts goes with it: when it fails it leaves that where it is.
        run("unshare", "--mount", "debootstrap", "--variant=minbase", SUITE, path, uri, timeout=600)
    except (AssertionError, subprocess.TimeoutExpired) as problem:
        shutil.rmtree(path, ignore_errors=True)
        skip(f"debootstrap found no Debian to install (no network?): {str(problem)[-300:]}")
    files = {
        "etc/apt/sources.list": "".join(f"deb {uri} {suite} main\n" for uri, suite in mirrors()),
        "etc/apt/apt.conf.d/tests": 'APT::Install-Recommends "false";\nAPT::Get::Assume-Yes "true";\n'
                                    'Dpkg::Use-Pty "false";\nquiet "1";\n'
                                    'Acquire::Check-Valid-Until "false";\nAPT::Sandbox::User "root";\n',
        "usr/sbin/policy-rc.d": "#!/bin/sh\nexit 101\n",
    }
    for name, text in files.items():
        with open(os.path.join(path, name), "w", encoding="utf-8") as stream:
            stream.write(text)
    os.chmod(os.path.join(path, "usr/sbin/policy-rc.d"), 0o755)


@contextmanager
def only_one(path):
    """Of the tests that make this at once, the first does and the others wait."""
    with open(path + ".lock", "w", encoding="ascii") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def layer(name):
    """The directories of a layer and what lies below it, the top first; made when they are not there."""
    below = LAYERS[name][0]
    lower = layer(below) if below else []
    path = layer_path(name)
    with only_one(path):
        if not os.path.isdir(path):
            make_layer(name, path, lower)
    return [path, *lower]


def make_layer(name, path, lower):
    below, install, download = LAYERS[name]
    print(f"making the layer '{name}', once", flush=True)
    half = path + ".half"
    shutil.rmtree(half, ignore_errors=True)
    os.makedirs(half)
    if not below:
        make_base(half)
    with_lower = [] if below else [half]
    # The base is amended through a layer above itself, and what that wrote is copied into it.
    extra = tempfile.mkdtemp(prefix="extra.", dir=PLACE)
    os.chmod(extra, 0o755)
    system = System(lower or with_lower, upper=half if below else extra, network=True)
    try:
        system.sh("apt-get update && apt-get dist-upgrade", 600)
        if install:
            system.sh("apt-get install " + " ".join(install), 600)
            system.sh("apt-get clean")
        if download:
            system.sh("apt-get install --download-only " + " ".join(download), 600)
    except (AssertionError, subprocess.TimeoutExpired) as problem:
        shutil.rmtree(half, ignore_errors=True)
        skip(f"packages of Debian could not be fetched: {str(problem)[-300:]}")
    finally:
        system.close()
        if not below and os.path.isdir(half):
            run("cp", "-a", extra + "/.", half)
        shutil.rmtree(extra, ignore_errors=True)
    os.rename(half, path)


def stop_at_once(*_):
    sys.exit(1)


def system(name, debs=None, binds=()):
    """A system made of this layer and what is below; DEBS, a folder, is where apt finds more packages."""
    need_root()
    need("debootstrap", "unshare", "nsenter", "ip", "dpkg-deb")
    signal.signal(signal.SIGTERM, stop_at_once)
    os.makedirs(os.path.join(PLACE, "layers"), exist_ok=True)
    made = System(layer(name), binds=[*([f"{debs}:/debs"] if debs else []), *binds])
    if debs:
        made.sh(use_debs("/debs"))
    return made


def use_debs(folder):
    """A script after which apt knows the packages in this folder, and the others as they were."""
    return f"""
echo 'deb [trusted=yes] file:{folder} ./' >/etc/apt/sources.list.d/debs.list
apt-get update -o Dir::Etc::sourcelist=sources.list.d/debs.list -o Dir::Etc::sourceparts=- -o APT::Get::List-Cleanup=0
"""
