# SPDX-License-Identifier: LGPL-2.1-or-later
"""The cells of docs/snapshots-matrix.md: what leads there, and the call. What comes of it is measured.

A row's steps are those of matrixbench: names begin with what is taken (i inside the images, with memory while the guest
is on; e overlays; m overlays and memory in a file; o memory only; h first disk by hand; d first disk only). The last
column is what was measured on libvirt 11.3.0 at another time, cell by cell; "-" where nothing was.
"""
from collections import namedtuple

Row = namedtuple("Row", "words steps call later kinds pointless only")
Section = namedtuple("Section", "title about columns rows")

STATES = "running", "paused", "off", "transient"
ON = "running", "paused", "transient"
FLAGS = "", "RUNNING", "PAUSED", "FORCE", "RESET_NVRAM", "RUNNING PAUSED"


def row(words, steps, call, later="-", kinds="qcow2+qcow2", pointless=(), only=None):
    return Row(words, steps, call, later, kinds, pointless, only)


def one(words, steps, call, later="-", **more):
    """A row about a domain with a single disk."""
    return row(words, steps, call, later, kinds="qcow2", **more)


CREATE = (
    row("nothing said", "", "create s1", "✔"),
    row("internal, `memory=no`", "", "create s1 internal memory=no", "✘ 84,✘ 84,✔,✘ 84"),
    row("internal, one disk `no`", "", "create s1 vda=internal vdb=no", "✘ 67"),
    row("internal on raw", "", "create s1 internal", "✘ 67", kinds="raw+raw"),
    row("one disk internal, one raw with an overlay", "", "create s1 vda=internal vdb=external", kinds="qcow2+raw"),
    row("external, `DISK_ONLY`", "", "create s1 external DISK_ONLY", "✔"),
    row("external on raw, `DISK_ONLY`", "", "create s1 external DISK_ONLY", "✔", kinds="raw+raw"),
    row("external on a raw disk that is shared, `DISK_ONLY`", "", "create s1 external DISK_ONLY", "✘ 67", kinds="shared+raw"),
    row("external, no `DISK_ONLY`", "", "create s1 external", "✘ 67,✘ 67,✔,✘ 67"),
    row("external, `memory=no`", "", "create s1 external memory=no"),
    row("external disks and memory", "", "create s1 external memory=external", "✔,✔,✘ 27,✔"),
    row("memory only", "", "create s1 no memory=external", "✔,✔,✘ 27,✔"),
    row("internal and external disks", "", "create s1 vda=internal vdb=external", "✘ 67"),
    row("internal and external disks, `DISK_ONLY`", "", "create s1 vda=internal vdb=external DISK_ONLY", "✘ 67"),
    row("internal disks, external memory", "", "create s1 internal memory=external", "✘ 67,✘ 67,✘ 27,✘ 67"),
    row("external disks, internal memory", "", "create s1 external memory=internal", "✘ 67,✘ 67,✘ 27,✘ 67"),
    row("manual and external, `DISK_ONLY`", "", "create s1 vda=manual vdb=external DISK_ONLY", "✔"),
    row("manual, external and external memory", "", "create s1 vda=manual vdb=external memory=external",
        "✔,✔,✘ 27,✔"),
    row("manual and internal", "", "create s1 vda=manual vdb=internal", "✘ 67"),
    row("all disks manual", "", "create s1 manual", "✘ 67"),
    row("all disks manual, `DISK_ONLY`", "", "create s1 manual DISK_ONLY", "✘ 67"),
    row("all disks `no`", "", "create s1 no", "✘ 67"),
    row("memory `manual`", "", "create s1 memory=manual", "✘ 27"),
    row("internal, the last one's memory in a file", "make m1", "create s1 internal", only=ON),
    row("external, the last one's memory in a file", "make m1", "create s1 external DISK_ONLY", only=ON),
    row("external memory, the last one's in a file", "make m1", "create s1 external memory=external", only=ON),
    row("memory with `DISK_ONLY`", "", "create s1 external memory=external DISK_ONLY", "✘ 27"),
)

CREATE_FLAGS = (
    row("`HALT`", "", "create s1 external DISK_ONLY HALT", "✔,✔,✔,✘ 55"),
    row("`LIVE`, external memory", "", "create s1 external memory=external LIVE", "✔,⚠ ✔ no effect,✘ 27,✔",
        pointless=("paused",)),
    row("`LIVE`, disks only", "", "create s1 external DISK_ONLY LIVE", "✘ 84", pointless=("paused", "off")),
    row("`QUIESCE` without `DISK_ONLY`, no agent", "", "create s1 QUIESCE", "✘ 8", pointless=STATES),
    row("`QUIESCE`, no agent", "", "create s1 external DISK_ONLY QUIESCE", "✘ 74,✘ 55,⚠ ✔ no effect,✘ 74",
        pointless=STATES),
    row("`ATOMIC`", "", "create s1 external DISK_ONLY ATOMIC", "✔"),
    row("`NO_METADATA`", "", "create s1 external DISK_ONLY NO_METADATA", "✔"),
    row("`REUSE_EXT`, file missing", "", "create s1 vda=named vdb=no DISK_ONLY REUSE_EXT", "✘"),
    row("`REUSE_EXT`, file there", "image reused -b", "create s1 vda=named vdb=no DISK_ONLY REUSE_EXT"),
    row("`REUSE_EXT`, file is raw", "image reused.raw", "create s1 vda=named-raw vdb=no DISK_ONLY REUSE_EXT", "✘ 67"),
    row("overlay exists, no `REUSE_EXT`", "image reused", "create s1 vda=named vdb=no DISK_ONLY", "✘"),
    row("a block job runs", "job", "create s1 external DISK_ONLY", only=ON),
    row("`VALIDATE`", "", "create s1 external DISK_ONLY VALIDATE"),
    row("`CURRENT` without `REDEFINE`", "", "create s1 external DISK_ONLY CURRENT", "✘ 8"),
    row("name in use", "take i1", "create i1 internal", "✘ 9"),
)

NAMES = (
    row("name with a slash", "", "create a/b internal", "✘ 35"),
    row("name `..`", "", "create .. internal", "✘ 35"),
    row("name that begins with a dot", "", "create .a internal", "✘ 35"),
    row("no name", "", "create - internal", "✔"),
    row("empty name", "", "create ~empty internal"),
    row("name of 300 letters", "", "create ~long internal"),
    row("control character in the name", "", "create ~control internal"),
    row("line break in the name", "", "create ~newline internal"),
    row("disk that the domain has not", "", "create s1 vdz=internal"),
    row("the same disk twice", "", "create s1 vda=internal vda+=internal"),
    row("no XML", "", "send <domainsnapshot><name>s1</name>"),
    row("nothing", "", "send ~empty"),
    row("another document", "", "send <domaincheckpoint><name>s1</name></domaincheckpoint>"),
    row("unknown element", "", "send <domainsnapshot><name>s1</name><garbage/></domainsnapshot>"),
    row("unknown element, `VALIDATE`", "", "send <domainsnapshot><name>s1</name><garbage/></domainsnapshot> VALIDATE",
        "✘ 92"),
    row("unknown kind of disk snapshot", "", "create s1 vda=elsewhere"),
    row("description of 3 MB", "", "create s1 internal pad=3000000"),
)

TREE = "take e1 e2 e3"
DELETE_EXTERNAL = (
    one("leaf, current", TREE, "delete e3", "✔"),
    one("middle", TREE, "delete e2", "✔"),
    one("root", TREE, "delete e1", "✔"),
    one("root whose base another image needs", TREE + "; neighbour e1", "delete e1", "⚠ ✔ neighbour changed"),
    one("leaf, not in the guest's chain", TREE + "; branch e1", "delete e3", "✔"),
    one("current, not a leaf", TREE + "; branch e1", "delete e1", "✘ 67"),
    one("middle, not in the guest's chain", TREE + "; branch e1", "delete e2", "✘ 67"),
    one("several children", "take e1 e2; branch e1; take e3", "delete e1", "✘ 67"),
    one("`CHILDREN`", TREE, "delete e1 CHILDREN", "✘ 67"),
    one("`CHILDREN_ONLY`", TREE, "delete e1 CHILDREN_ONLY", "✘ 67"),
    one("`CHILDREN`, the guest elsewhere", TREE + "; branch e1", "delete e2 CHILDREN", "✘ 67"),
    one("`CHILDREN` of a leaf", TREE, "delete e3 CHILDREN", "✘ 67"),
    one("`CHILDREN_ONLY` of a leaf", TREE, "delete e3 CHILDREN_ONLY", "✔"),
    one("`METADATA_ONLY`", TREE, "delete e2 METADATA_ONLY", "✔"),
    one("`METADATA_ONLY`, `CHILDREN`", TREE, "delete e1 METADATA_ONLY CHILDREN", "✔"),
    one("`METADATA_ONLY`, `CHILDREN_ONLY`", TREE, "delete e1 METADATA_ONLY CHILDREN_ONLY", "✔"),
    one("`CHILDREN` and `CHILDREN_ONLY`", TREE, "delete e1 CHILDREN CHILDREN_ONLY", "✘ 8"),
    one("with memory, leaf", "running; take m1 m2", "delete m2", "✔"),
    one("with memory, middle", "running; take m1 m2", "delete m1", "✔"),
    one("memory only", "running; take o1", "delete o1", "✔"),
    one("a block job runs", "take e1 e2; job", "delete e1", "✘ 84", only=ON),
    row("one disk manual", "take h1", "delete h1", "✔"),
    row("one disk not in it", "take d1 d2", "delete d1"),
    row("of another name", TREE, "delete e9", "✘ 72"),
)

INSIDE = "take i1 i2 i3"
DELETE_INTERNAL = (
    row("leaf", INSIDE, "delete i3", "✔"),
    row("middle", INSIDE, "delete i2", "✔"),
    row("root", INSIDE, "delete i1", "✔"),
    row("root with two children", "take i1 i2; branch i1; take i3", "delete i1", "✔"),
    row("`CHILDREN`", INSIDE, "delete i1 CHILDREN", "✔"),
    row("`CHILDREN_ONLY`", INSIDE, "delete i1 CHILDREN_ONLY", "✔"),
    row("`METADATA_ONLY`", INSIDE, "delete i2 METADATA_ONLY", "✔"),
    row("`METADATA_ONLY`, `CHILDREN`", INSIDE, "delete i1 METADATA_ONLY CHILDREN", "✔"),
    row("missing on one disk", INSIDE + "; lose i2 vdb", "delete i2", "✔"),
    row("missing on all disks", INSIDE + "; lose i2 vda; lose i2 vdb", "delete i2", "✔"),
)

MIXED = (
    one("`i1→e2`, delete e2", "take i1 e2", "delete e2", "✘ 84"),
    one("`i1→e2`, delete i1", "take i1 e2", "delete i1", "✘ 84,✘ 84,✔,✘ 84"),
    one("`i1→e2`, delete i1 `CHILDREN`", "take i1 e2", "delete i1 CHILDREN", "✘ 84"),
    one("`i1→e2→i3`, delete i1 `CHILDREN`", "take i1 e2 i3", "delete i1 CHILDREN", "✘ 84"),
    one("`e1→i2`, delete i2", "take e1 i2", "delete i2", "✔"),
    one("`e1→i2`, delete e1", "take e1 i2", "delete e1", "⚠ ✔ i2 lost"),
    one("`e1→i2`, delete e1 `CHILDREN`", "take e1 i2", "delete e1 CHILDREN"),
    one("`i1→e2`, revert to i1", "take i1 e2", "revert i1", "⚠ ✔ e2 lost"),
    one("`i1→e2`, i1 again, delete e2", "take i1 e2; branch i1", "delete e2", "⚠ ✔ leak"),
    one("`i1→e2`, i1 again, delete i1", "take i1 e2; branch i1", "delete i1"),
    one("`e1→i2`, revert to e1", "take e1 i2", "revert e1", "✔"),
    one("`e1→i2`, e1 again, delete i2", "take e1 i2; branch e1", "delete i2"),
    one("`e1→i2`, e1 again, delete e1", "take e1 i2; branch e1", "delete e1"),
)

KINDS = (("internal, taken running", "running; take i1", "i1", "✔,✔,✔,✔"),
         ("internal, taken off", "off; take i1", "i1", "✔,✔,✔,✔"),
         ("external disks, taken running", "running; take e1", "e1", "✔,✔,✔,✔"),
         ("external disks, taken off", "off; take e1", "e1", "✔,✔,✔,✔"),
         ("external disks and memory", "running; take m1", "m1", "✔,✔,✔,✔"),
         ("mixed disks, internal memory", "running; take x1", "x1", "-,-,-,-"),
         ("memory only", "running; take o1", "o1", "-,-,-,-"))

REVERT = tuple(
    row(f"{words}; now {now}", f"{steps}; {now}", "revert " + name,
        later + (",⚠ ✔ no effect,✘ 8" if later[0] == "✔" else ",-,-"), pointless=("RESET_NVRAM",))
    for words, steps, name, later in KINDS for now in ("running", "paused", "off"))

REVERT_ODD = (
    row("a managed save image is there", "off; take i1; running; save", "revert i1", "-,-,✘,-", only=("off",)),
    row("a managed save image is there, `FORCE`", "off; take i1; running; save", "revert i1 FORCE", "-,-,✔,-", only=("off",)),
    row("taken off, no flag", "off; take i1; running", "revert i1", "✔,✔,✔,✘ 55"),
    row("taken off, `RUNNING`", "off; take i1; running", "revert i1 RUNNING"),
    row("metadata without `<domain>`", "take i1; forget i1 without=domain", "revert i1", "✘"),
    row("metadata without `<domain>`, `FORCE`", "take i1; forget i1 without=domain", "revert i1 FORCE", "✘"),
    row("missing on one disk", "take i1; lose i1 vdb", "revert i1", "⚠ ✘ 9 guest off,⚠ ✘ 9 guest off,⚠ ✘ 1 present changed,-"),
    row("missing on the disk with the memory", "take i1; lose i1 vda", "revert i1", "✘ 9,✘ 9,-,-"),
    row("a block job runs", "take e1; job", "revert e1", "✘ 55", only=ON),
    row("external, twice at once", "take e1; back e1", "revert e1", "✘,✘,✘,-"),
    row("external, no current snapshot", "take e1; forget e1", "revert e1"),
    row("first disk only", "take d1", "revert d1", "⚠ ✔ present changed,⚠ ✔ present changed,⚠ ✔ present changed,-"),
    row("another branch", "take e1 e2; branch e1; take e3", "revert e2"),
    row("ghost: it is in no image", "take i1; redefine i1 name=ghost", "revert ghost", "⚠ ✘ 9 guest off,⚠ ✘ 9 guest off,✘ 1,-"),
    row("ghost, deleted", "take i1; redefine i1 name=ghost", "delete ghost", "✔"),
    row("of another name", "take i1", "revert i9", "✘ 72"),
)

REDEFINE = (
    row("as it is", INSIDE, "redefine i2", "✔"),
    row("`CURRENT`", INSIDE, "redefine i2 CURRENT", "✔"),
    row("`VALIDATE`", INSIDE, "redefine i2 VALIDATE", "✔"),
    row("from running to paused", "running; " + INSIDE, "redefine i2 state=paused", "✔"),
    row("without its `<domain>`", INSIDE, "redefine i2 without=domain", "✔"),
    row("unknown element", INSIDE, "redefine i2 add=garbage", "✔"),
    row("unknown element, `VALIDATE`", INSIDE, "redefine i2 add=garbage VALIDATE", "✘ 92"),
    row("ghost", INSIDE, "redefine i2 name=ghost", "✔"),
    row("ghost, `VALIDATE`", INSIDE, "redefine i2 name=ghost VALIDATE"),
    row("`HALT`", INSIDE, "redefine i2 HALT", "✘ 8"),
    row("`NO_METADATA`", INSIDE, "redefine i2 NO_METADATA", "✘ 8"),
    row("`LIVE`", INSIDE, "redefine i2 LIVE", "✘ 8"),
    row("`QUIESCE`", INSIDE, "redefine i2 QUIESCE", "✘ 8"),
    row("`DISK_ONLY`, no such state", INSIDE, "redefine i2 DISK_ONLY", "✘ 8"),
    row("`REUSE_EXT`", INSIDE, "redefine i2 REUSE_EXT"),
    row("its own parent", INSIDE, "redefine i2 parent=i2", "✘ 8"),
    row("unknown parent", INSIDE, "redefine i2 parent=i9", "✘ 8"),
    row("cycle", INSIDE, "redefine i1 parent=i3", "✘ 8"),
    row("another parent", INSIDE, "redefine i3 parent=i1", "✔"),
    row("from on to off", "running; " + INSIDE, "redefine i2 state=shutoff", "✘ 8"),
    row("from off to on", "off; " + INSIDE, "redefine i2 state=running", "✘ 8"),
    row("from all to disks only", INSIDE, "redefine i2 state=disk-snapshot", "✘ 8"),
    row("no such state", INSIDE, "redefine i2 state=weird", "✘ 67"),
    row("state of a guest that crashed", INSIDE, "redefine i2 state=crashed"),
    row("without state", INSIDE, "redefine i2 without=state", "✘ 27"),
    row("without name", INSIDE, "redefine i2 without=name", "✘ 27"),
    row("without creationTime", INSIDE, "redefine i2 without=creationTime", "✘ 1"),
    row("uuid of another domain", INSIDE, "redefine i2 uuid=8dd0a9f4-2f6f-4f1b-9c2e-5b2f6a7f1c01", "✘ 8"),
    row("no uuid at all", INSIDE, "redefine i2 uuid=nonsense"),
    row("other memory size", INSIDE, "redefine i2 memory=32768", "✘ 67"),
    row("a disk it has not", INSIDE, "redefine i2 disk=vdz"),
    row("no XML", INSIDE, "redefine i2 garbage=name"),
    row("another document", INSIDE, "redefine i2 root=domainbackup"),
    row("name with a slash", INSIDE, "redefine i2 name=a/b"),
    row("name that begins with a dot", INSIDE, "redefine i2 name=.a"),
    row("name of 300 letters", INSIDE, "redefine i2 name=~long"),
    row("control character in the name", INSIDE, "redefine i2 name=~control"),
    row("empty name", INSIDE, "redefine i2 name=~empty"),
    row("description of 3 MB", INSIDE, "redefine i2 pad=3000000"),
)

SECTIONS = {
    "create": Section("Taking one", "Two disks, both qcow2 unless said otherwise; the guest is", STATES, CREATE),
    "flags": Section("Taking one with flags", "External, disks only, where nothing else is said; the guest is", STATES,
                     CREATE_FLAGS),
    "names": Section("Names and documents", "The guest is", ("running", "off"), NAMES),
    "external": Section("Deleting external snapshots", "`e1→e2→e3` where nothing else is said; the guest is", STATES,
                        DELETE_EXTERNAL),
    "internal": Section("Deleting internal snapshots", "`i1→i2→i3`, two disks; the guest is", STATES, DELETE_INTERNAL),
    "mixed": Section("Internal and external in one tree", "The guest is", STATES, MIXED),
    "revert": Section("Going back", "Snapshot and state of the guest; flags", FLAGS, REVERT),
    "odd": Section("Going back where something is odd", "The guest is", STATES, REVERT_ODD),
    "redefine": Section("Redefining", "`i1→i2→i3`; the guest is", ("running", "off"), REDEFINE),
}


def later(line, column):
    """What 11.3.0 did, or "-"."""
    values = line.later.split(",")
    return values[0] if len(values) == 1 else values[column]
