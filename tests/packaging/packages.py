# SPDX-License-Identifier: LGPL-2.1-or-later
"""The Debian and RPM packages of this tree: built when it has changed, and kept below BUILD/packaging."""
import glob
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import chroot

DEBS = os.path.join(chroot.PLACE, "debs")
NEWER = os.path.join(chroot.PLACE, "debs-newer")
RPMS = os.path.join(chroot.PLACE, "rpms")
# With the same flags, RPM packages need nothing compiled that Debian's had compiled already.
ONE_CACHE = {"CCACHE_NOHASHDIR": "1", "CCACHE_SLOPPINESS": "locale"}
BUILD_DEBS = os.path.join(chroot.TOP, "packaging", "build-debs")
BUILD_RPMS = os.path.join(chroot.TOP, "packaging", "build-rpms")


def locked():
    os.makedirs(chroot.PLACE, exist_ok=True)
    return chroot.only_one(os.path.join(chroot.PLACE, "packages"))


def fingerprint():
    """Of everything that the packages are made from."""
    digest = hashlib.sha256()
    for room in "core", "plugins", "docs", "packaging", "meson.build", "meson_options.txt", "LICENSE":
        path = os.path.join(chroot.TOP, room)
        files = [path] if os.path.isfile(path) else sorted(
            os.path.join(folder, name) for folder, _, names in os.walk(path) if "__pycache__" not in folder
            for name in names)
        for name in files:
            with open(name, "rb") as stream:
                digest.update(f"{name}\0{os.stat(name).st_mode}\0".encode() + hashlib.sha256(stream.read()).digest())
    return digest.hexdigest()


def build(folder, *command, finish=None, **rest):
    """Runs a packager's COMMAND, which fills FOLDER, when the tree has changed since."""
    with locked():
        mark, now = os.path.join(folder, "made-from"), fingerprint()
        if os.path.exists(mark) and Path(mark).read_text(encoding="ascii") == now:
            return
        shutil.rmtree(folder, ignore_errors=True)
        chroot.run(*command, timeout=2000, **rest)  # as a machine that is busy with everything else takes
        if finish:
            finish(folder)
        Path(mark).write_text(now, encoding="ascii")


def debs():
    """A folder with the packages, and an index for apt."""
    chroot.need("dpkg-buildpackage", "dh", "dpkg-scanpackages")
    options = f"nocheck noautodbgsym parallel={os.cpu_count()}"
    build(DEBS, BUILD_DEBS, DEBS, finish=index, env=dict(os.environ, DEB_BUILD_OPTIONS=options, **ONE_CACHE))
    return DEBS


def rpms():
    """A folder with the RPM packages."""
    chroot.need("rpmbuild", "rpm", "dpkg-buildflags")
    env = dict(os.environ, DEB_BUILD_MAINT_OPTIONS="hardening=+all", **ONE_CACHE)
    flags = " ".join(chroot.run("dpkg-buildflags", "--get", name, env=env).strip() for name in ("CFLAGS", "CPPFLAGS"))
    # What they build-depend on is here as Debian's.
    build(RPMS, BUILD_RPMS, RPMS, "--nodeps", "--define", f"optflags {flags}", env=env)
    return RPMS


def index(folder):
    with open(os.path.join(folder, "Packages"), "w", encoding="utf-8") as stream:
        subprocess.run(["dpkg-scanpackages", "-m", "."], cwd=folder, stdout=stream, stderr=subprocess.DEVNULL,
                       check=True)


def field(deb, name):
    return chroot.run("dpkg-deb", "-f", deb, name).strip()


def deb_of(package, folder=DEBS):
    found = glob.glob(os.path.join(folder, package + "_*.deb"))
    assert len(found) == 1, (package, found)
    return found[0]


def newer():
    """The same packages as the next revision of the distribution."""
    version = field(deb_of("vireo-daemon", debs()), "Version")
    following = version + "+next"
    with locked():
        shutil.rmtree(NEWER, ignore_errors=True)
        os.makedirs(NEWER)
        for deb in glob.glob(os.path.join(DEBS, "*.deb")):
            with tempfile.TemporaryDirectory(dir=NEWER) as work:
                tree = os.path.join(work, "tree")
                chroot.run("dpkg-deb", "-R", deb, tree)
                control = os.path.join(tree, "DEBIAN", "control")
                with open(control, encoding="utf-8") as stream:
                    text = stream.read()
                text = re.sub(rf"^Version: .*|\(= {re.escape(version)}\)",
                              lambda found: found.group().replace(version, following), text, flags=re.M)
                with open(control, "w", encoding="utf-8") as stream:
                    stream.write(text)
                chroot.run("dpkg-deb", "--root-owner-group", "-Znone", "-b", tree, NEWER)
        index(NEWER)
    return NEWER
