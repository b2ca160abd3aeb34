# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reads qcow2 images and the snapshots in them, without a process each: tests look at hundreds after each step.
Facts: docs/interop/qcow2.txt of QEMU. Plain images only: no compression, encryption, external data, subclusters."""
import os
import struct

OFFSET = 0x00FFFFFFFFFFFE00
COPIED, ZERO = 1 << 63, 1
MAGIC = b"QFI\xfb"
HEADER = ">IQIIQIIQQIIQ"
BACKING_FORMAT = 0xE2792ACA
BITMAPS = 0x23852875
FAR = "nbd+unix:///x?socket="    # servers of ours have their socket beside the file, see nettest.Server


def served(socket):
    """The file whose bytes a server has."""
    return socket.removesuffix(".sock")


class Image:
    """What one file says."""

    def __init__(self, path):
        self.path, self.snapshots, self.backing, self.backing_kind = path, {}, None, None
        self.maps = {}
        if path.endswith(".sock"):
            raise ValueError(f"{path} is a socket")
        self.fd = os.open(path, os.O_RDONLY)
        self.top = self.bytes(0, 65536)
        if self.top[:4] != MAGIC:
            raise ValueError(f"{path} is no qcow2 image")
        (self.version, backing_at, backing_len, self.bits, self.size, _, self.entries, self.l1_at, self.table_at,
         self.table_len, count, self.snapshots_at) = struct.unpack_from(HEADER, self.top, 4)
        if self.version != 3:
            raise ValueError(f"{path} has version {self.version}")
        if backing_at:
            self.backing_name = self.top[backing_at:backing_at + backing_len].decode()
            self.backing = os.path.join(os.path.dirname(path), self.backing_name)
            if self.backing_name.startswith(FAR):
                self.backing = served(self.backing_name.removeprefix(FAR))
            kind = self.extension(BACKING_FORMAT)
            self.backing_kind = kind and kind.decode()
        self.snapshots_end = self.snapshots_at
        for _ in range(count):
            self.snapshots_end = self.read_snapshot(self.snapshots_end)

    def __del__(self):
        if hasattr(self, "fd"):
            os.close(self.fd)

    def bytes(self, at, length):
        return os.pread(self.fd, length, at).ljust(length, b"\0")

    def words(self, at, count):
        return struct.unpack(f">{count}Q", self.bytes(at, count * 8))

    def extension(self, wanted):
        at = struct.unpack_from(">I", self.top, 100)[0]
        while True:
            kind, length = struct.unpack_from(">II", self.top, at)
            if kind == 0:
                return None
            if kind == wanted:
                return self.top[at + 8:at + 8 + length]
            at += 8 + (length + 7) // 8 * 8

    def read_snapshot(self, at):
        fixed = self.bytes(at, 48)
        l1_at, entries, id_len, name_len = struct.unpack_from(">QIHH", fixed)
        extra = struct.unpack_from(">I", fixed, 36)[0]
        name_at = at + 40 + extra + id_len
        self.snapshots[self.bytes(name_at, name_len).decode()] = (l1_at, entries)
        return (name_at + name_len + 7) // 8 * 8

    def places(self, tag=None):
        """For each cluster of the present, or of an internal snapshot: its place in the file, 0 (zeroes), or None
        (below)."""
        if tag in self.maps:
            return self.maps[tag]
        l1_at, entries = self.snapshots[tag] if tag else (self.l1_at, self.entries)
        size = 1 << self.bits
        left, found = -(-self.size // size), []
        for l2_at in self.words(l1_at, entries):
            count = min(left - len(found), size // 8)
            for entry in self.words(l2_at & OFFSET, count) if l2_at & OFFSET else [0] * count:
                if entry >> 62 & 1:
                    raise ValueError(f"{self.path} has compressed clusters")
                found.append(0 if entry & ZERO else entry & OFFSET or None)
        self.maps[tag] = found
        return found

    # what is in use

    def count_table(self, uses, l1_at, entries):
        size = 1 << self.bits
        self.use(uses, l1_at, entries * 8)
        for l2 in self.words(l1_at, entries):
            if not l2 & OFFSET:
                continue
            self.use(uses, l2 & OFFSET, size)
            for entry in self.words(l2 & OFFSET, size // 8):
                if entry & OFFSET:
                    self.use(uses, entry & OFFSET, size)

    def marks(self):
        """Cluster and whether the present is said to be the only one that uses it."""
        for l2 in self.words(self.l1_at, self.entries):
            if not l2 & OFFSET:
                continue
            yield (l2 & OFFSET) >> self.bits, bool(l2 & COPIED)
            for entry in self.words(l2 & OFFSET, (1 << self.bits) // 8):
                if entry & OFFSET:
                    yield (entry & OFFSET) >> self.bits, bool(entry & COPIED)

    def count_bitmaps(self, uses):
        known = self.extension(BITMAPS)
        count, _, size, at = struct.unpack(">IIQQ", known) if known else (0, 0, 0, 0)
        if not count:
            return
        self.use(uses, at, size)
        directory, at = self.bytes(at, size), 0
        for _ in range(count):
            table_at, entries, _, _, _, name_len, extra = struct.unpack_from(">QIIBBHI", directory, at)
            at += (24 + extra + name_len + 7) // 8 * 8
            if table_at:
                self.use(uses, table_at, entries * 8)
            for entry in self.words(table_at, entries) if table_at else ():
                if entry & OFFSET:
                    self.use(uses, entry & OFFSET, 1 << self.bits)

    def use(self, uses, at, length):
        for cluster in range(at >> self.bits, (at + length - 1 >> self.bits) + 1):
            uses[cluster] = uses.get(cluster, 0) + 1

    def problems(self):
        """(clusters that count as free, as less used than they are, or as the present's alone when they are not, or the
        other way round; clusters that leaked)."""
        size, uses = 1 << self.bits, {0: 1}
        self.use(uses, self.table_at, self.table_len * size)
        if self.snapshots:
            self.use(uses, self.snapshots_at, self.snapshots_end - self.snapshots_at)
        self.count_table(uses, self.l1_at, self.entries)
        for l1_at, entries in self.snapshots.values():
            self.count_table(uses, l1_at, entries)
        self.count_bitmaps(uses)
        blocks = self.words(self.table_at, self.table_len * size // 8)
        for block in blocks:
            if block & OFFSET:
                self.use(uses, block & OFFSET, size)
        counts, per_block = {}, size // 2    # 16 bits each
        last = (os.fstat(self.fd).st_size + size - 1) // size
        for number, block in enumerate(blocks[:last // per_block + 1]):
            here = min(per_block, last - number * per_block)
            if block & OFFSET and here > 0:
                found = struct.unpack(f">{here}H", self.bytes(block & OFFSET, here * 2))
                counts.update((number * per_block + index, count) for index, count in enumerate(found) if count)
        bad = sum(counts.get(cluster, 0) < used for cluster, used in uses.items())
        bad += sum(alone != (counts.get(cluster, 0) == 1) for cluster, alone in self.marks())
        return bad, sum(count > uses.get(cluster, 0) for cluster, count in counts.items())


class Reader:
    """Images as they are now; keeps what it has read, so throw it away after each look."""

    def __init__(self):
        self.images, self.real = {}, {}

    def path(self, path):
        if path not in self.real:
            self.real[path] = os.path.realpath(path)
        return self.real[path]

    def image(self, path):
        path = self.path(path)
        if path not in self.images:
            self.images[path] = Image(path)
        return self.images[path]

    def read(self, path, offsets, length, tag=None, raw=False):
        """Bytes at each of the offsets, in the present or an internal snapshot; each lies in one cluster."""
        if raw:
            with open(path, "rb", buffering=0) as stream:
                return [os.pread(stream.fileno(), length, offset).ljust(length, b"\0") for offset in offsets]
        image = self.image(path)
        places, found, below = image.places(tag), {}, []
        for offset in offsets:
            cluster, inside = divmod(offset, 1 << image.bits)
            place = places[cluster] if cluster < len(places) else 0
            if place:
                found[offset] = image.bytes(place + inside, length)
            elif place is None and image.backing:
                below.append(offset)
        if below:
            found.update(zip(below, self.read(image.backing, below, length, raw=image.backing_kind == "raw")))
        return [found.get(offset, bytes(length)) for offset in offsets]

    def chain(self, path, raw=False):
        """The paths an image consists of."""
        paths = []
        while path:
            path = self.path(path)
            if path in paths:
                raise ValueError(f"{path} is based on itself")
            paths.append(path)
            if raw:
                os.stat(path)
                break
            image = self.image(path)
            raw, path = image.backing_kind == "raw", image.backing
        return paths
