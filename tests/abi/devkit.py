# SPDX-License-Identifier: LGPL-2.1-or-later
"""The development files of a build, installed below a folder: all that somebody outside the tree has."""
import os
import re
import subprocess
import sys


def run(*command, **rest):
    done = subprocess.run([*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **rest)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}: exit status {done.returncode}\n{done.stdout}")
    return done.stdout


def installed(build, folder):
    """An environment in which only the development files of this build are known."""
    env = dict(os.environ, DESTDIR=str(folder), PKG_CONFIG_ALLOW_SYSTEM_CFLAGS="1")
    run("meson", "install", "-C", build, "--no-rebuild", "--tags", "devel", env=env)
    env.pop("DESTDIR")
    if os.access("/usr/bin/rustc", os.X_OK):  # the distribution's, whatever else is there
        (folder / "bin").mkdir()
        (folder / "bin" / "rustc").symlink_to("/usr/bin/rustc")
        env["PATH"] = f"{folder / 'bin'}:{env['PATH']}"
    env["PATH"] = f"{next(folder.rglob('bin/vireo-driver-check')).parent}:{env['PATH']}"
    found = sorted(folder.rglob("*.pc"))
    assert [path.name for path in found] == ["vireo-client.pc", "vireo-driver.pc", "vireo-kit-soap.pc",
                                            "vireo-kit-wsman.pc", "vireo-kit.pc"], found
    catalogues = [path for path in folder.rglob("catalogue.h") if "vireo/client" not in str(path)]
    assert not catalogues, "internal headers are installed"
    # A prefix below the folder is for our own files; the other libraries are the system's.
    for path in found:
        path.write_text(path.read_text().replace("prefix=/", f"prefix={folder}/", 1))
    env["PKG_CONFIG_PATH"] = str(found[0].parent)
    for path in found:
        ours = [flag for flag in run("pkg-config", "--cflags", "--libs", path.stem, env=env).split()
                if flag.startswith("-I") and "vireo" in flag or flag.startswith("-L")]
        assert all(flag[2:].startswith(str(folder)) or flag.endswith("/mit-krb5") for flag in ours), ours
    for variable, wanted in ("abi_major", "1"), ("driverdir", f"{folder}/"):
        value = run("pkg-config", f"--variable={variable}", "vireo-driver", env=env)
        assert value.startswith(wanted), (variable, value)
    return env


def abi_minor(source):
    text = (source / "core/abi/vireo/driver.h").read_text()
    return re.search(r"^#define VIREO_ABI_MINOR (\d+)", text, re.M)[1]


DOMAIN = "<domain type='test'><name>vm</name><memory>2048</memory></domain>"


def live(virsh, folder):
    """The life of a domain with the template driver. virsh(*words) runs it on the driver's URI."""
    def good(*words):
        done = virsh(*words)
        assert done.returncode == 0, (words, done.stderr)
        return done.stdout

    def bad(text, *words):
        done = virsh(*words)
        assert done.returncode != 0 and text in done.stderr, (words, done.stdout, done.stderr)

    (folder / "vm.xml").write_text(DOMAIN)
    (folder / "no.xml").write_text("<domain")
    assert good("list", "--all", "--name").strip() == ""
    good("define", folder / "vm.xml")
    assert good("list", "--all", "--name").strip() == "vm"
    assert good("domstate", "vm").strip() == "shut off"
    good("start", "vm")
    bad("already", "start", "vm")
    assert good("list", "--name", "--state-running").strip() == "vm"
    assert "Max memory:     2048 KiB" in good("dominfo", "vm")
    assert "<name>vm</name>" in good("dumpxml", "vm")
    good("destroy", "vm")
    good("undefine", "vm", "--nvram")
    assert good("list", "--all", "--name").strip() == ""
    bad("well-formed", "define", folder / "no.xml")
