# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reads the document tables into objects and checks that they make sense.

A table file holds `prefix`, `[namespaces]`, `[root]`, `[enum]` and one section per type with
`attributes`, `text` and `elements`. An item is `"TYPE"`, or a table whose `type` is that:

    TYPE[]      may be repeated
    TYPE!       must be there
    TYPE @name  an element that is nothing but this attribute
    TYPE 1..9   range of a number, or of a size in its own unit
    TYPE = x    filled in when absent

An enum whose last value is `...` is open: a driver may add values of its own at run time.

A type with text and elements holds one or the other. More keys: live, secret, always (booleans), blank (value of a folded element without its
attribute), max (bytes of a string), unit (of a size without one, such as bytes), hex_when ("ATTR=VALUE" or "ATTR":
else a hex number is written in decimal), when ("ATTR=A|B" or "../ATTR=A|B": refused elsewhere),
live_when (likewise), live_prefix ("PREFIX" or "!PREFIX" of a text), error (number of the error of a value that makes
no sense, where clients know another one than "XML error"), c (name in C), since, doc.
"""

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

ITEM = re.compile(
    r"^(?P<type>[\w.]+)(?P<list>\[\])?(?P<required>!)?"
    r"(?: @(?P<attr>[\w-]+))?(?: (?P<min>-?\d+)\.\.(?P<max>\d+))?(?: = (?P<default>.+))?$"
)
ITEM_KEYS = {
    "type", "live", "live_when", "live_prefix", "when", "secret", "always", "blank", "max",
    "unit", "hex_when", "error", "c", "since", "doc",
}
TYPE_KEYS = {"doc", "since", "attributes", "text", "elements"}
FILE_KEYS = {"prefix", "namespaces", "root", "enum"}

UNSIGNED = {"uint": 2**32 - 1, "uint64": 2**64 - 1, "kib": 2**53 - 1, "mib": 2**43 - 1, "bytes": 2**63 - 1}
SIGNED = {"int": 31, "int64": 63}
STRINGS = {
    "string": "ANY", "name": "NAME", "line": "LINE", "path": "PATH", "mac": "MAC",
    "cpuset": "CPUSET", "wwn": "WWN", "digits": "DIGITS",
}
PLAIN = {"yesno", "onoff", "flag", "uuid", "raw"}
C_WORDS = {
    "auto", "break", "case", "char", "const", "continue", "default", "do", "double", "else",
    "enum", "extern", "float", "for", "goto", "if", "inline", "int", "long", "register", "return",
    "short", "signed", "sizeof", "static", "struct", "switch", "typedef", "union", "unsigned",
    "void", "volatile", "while", "line",
}
SIZES = {"bytes": 1, "kib": 1024, "mib": 1024**2}


class TableError(Exception):
    """The table contradicts itself; the text says where."""


def snake(name):
    """The C spelling of an XML or CamelCase name."""
    name = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    return re.sub(r"\W", "_", name).lower()


def plural(name):
    if name.endswith("s"):
        return name
    if name.endswith("y"):
        return name[:-1] + "ies"
    return name + "s"


class Named:
    """Something with a name that C sees."""

    @property
    def c_type(self):
        return "Vireo" + self.name

    @property
    def c_prefix(self):
        return snake(self.c_type)


@dataclass
class Enum(Named):
    name: str
    values: list
    is_open: bool

    def constant(self, value):
        return f"{self.c_prefix}_{snake(value) if value else 'unset'}".upper()


@dataclass
class Item:
    owner: object
    name: str
    place: str
    kind: str
    is_list: bool
    required: bool
    attr: str
    low: int
    high: int
    default: str
    options: dict
    ref: object = None

    @property
    def c_name(self):
        if "c" in self.options:
            return self.options["c"]
        name = snake(self.name) if self.name else "text"
        if self.is_list:
            name = plural(name)
        return name + "_" if name in C_WORDS else name

    @property
    def where(self):
        return f"{self.owner.name}.{self.name or 'text'}"

    @property
    def is_number(self):
        return self.kind in UNSIGNED or self.kind in SIGNED or self.kind.startswith("hex")

    @property
    def has_presence(self):
        return (self.is_number or self.kind == "uuid") and not self.is_list

    @property
    def has_line(self):
        return self.place == "element" and self.kind != "struct"

    def option(self, key, otherwise=None):
        return self.options.get(key, otherwise)


@dataclass
class Type(Named):
    name: str
    doc: str
    items: list = field(default_factory=list)
    element: str = ""
    label: str = ""

    def of(self, place):
        return [item for item in self.items if item.place == place]


class Tables:
    """All types and enums of all files."""

    def __init__(self, paths):
        self.types, self.enums, self.namespaces, self.roots = {}, {}, {}, []
        files = []
        for path in paths:
            with open(path, "rb") as stream:
                files.append((Path(path).stem, tomllib.load(stream)))
        for stem, data in files:
            self._declare(stem, data)
        for stem, data in files:
            self._define(data)
        self._order_elements()
        self._check_conditions()

    @staticmethod
    def full_name(prefix, name):
        return name if name == prefix else prefix + name

    def _declare(self, stem, data):
        prefix = data.get("prefix", "")
        self.namespaces.update(data.get("namespaces", {}))
        for name, values in data.get("enum", {}).items():
            full = self.full_name(prefix, name)
            values = values.split() if isinstance(values, str) else values
            is_open = values[-1:] == ["..."]
            values = values[:-1] if is_open else values
            if full in self.enums or len(set(values)) != len(values):
                raise TableError(f"{stem}: enum {name} repeats something")
            self.enums[full] = Enum(full, values, is_open)
        for name, body in data.items():
            if name in FILE_KEYS:
                continue
            full = self.full_name(prefix, name)
            if full in self.types or full in self.enums:
                raise TableError(f"{stem}: {full} defined twice")
            if unknown := set(body) - TYPE_KEYS:
                raise TableError(f"{stem}: {name}: unknown keys {sorted(unknown)}")
            self.types[full] = Type(full, body.get("doc", ""))

    def _define(self, data):
        prefix = data.get("prefix", "")
        for name, body in data.items():
            if name in FILE_KEYS:
                continue
            owner = self.types[self.full_name(prefix, name)]
            for xml_name, spec in body.get("attributes", {}).items():
                owner.items.append(self._item(prefix, owner, xml_name, "attribute", spec))
            if "text" in body:
                owner.items.append(self._item(prefix, owner, "", "text", body["text"]))
            for xml_name, spec in body.get("elements", {}).items():
                owner.items.append(self._item(prefix, owner, xml_name, "element", spec))
            self._check_type(owner)
        for element, spec in data.get("root", {}).items():
            spec = {"type": spec} if isinstance(spec, str) else spec
            root = self._lookup(self.types, prefix, spec["type"])
            if root is None:
                raise TableError(f"root {element}: no type {spec['type']}")
            root.element, root.label = element, spec.get("label", "device_definition")
            self.roots.append(root)

    @staticmethod
    def _lookup(where, prefix, name):
        return where.get(prefix + name) or where.get(name)

    def _item(self, prefix, owner, name, place, spec):
        options = {"type": spec} if isinstance(spec, str) else dict(spec)
        where = f"{owner.name}.{name or 'text'}"
        match = ITEM.match(options["type"])
        if not match or set(options) - ITEM_KEYS:
            raise TableError(f"{where}: cannot read {spec}")
        kind, ref = match["type"], None
        if not self._is_builtin(kind):
            ref = self._lookup(self.enums, prefix, kind)
            kind = "enum" if ref else "struct"
            ref = ref or self._lookup(self.types, prefix, match["type"])
            if ref is None:
                raise TableError(f"{where}: no type {match['type']}")
        low, high = self._range(kind, match, options)
        return Item(
            owner, name, place, kind, bool(match["list"]), bool(match["required"]),
            match["attr"] or "", low, high, match["default"] or "", options, ref,
        )

    @staticmethod
    def _is_builtin(kind):
        return (
            kind in UNSIGNED or kind in SIGNED or kind in STRINGS or kind in PLAIN
            or re.fullmatch(r"hex\d+", kind) is not None
        )

    @staticmethod
    def _range(kind, match, options):
        if match["min"] is not None:
            return int(match["min"]), int(match["max"])
        if kind in UNSIGNED:
            return 0, UNSIGNED[kind]
        if kind in SIGNED:
            return -(2 ** SIGNED[kind]), 2 ** SIGNED[kind] - 1
        if kind.startswith("hex"):
            return 0, min(16 ** int(kind[3:]), 2**64) - 1
        return 0, options.get("max", 8192 if match["attr"] else 65536)

    @staticmethod
    def _check_type(owner):
        names = [item.c_name for item in owner.items]
        for item in owner.items:
            if names.count(item.c_name) > 1:
                raise TableError(f"{item.where}: two items are called {item.c_name} in C")
            if item.attr and item.kind in ("struct", "raw", "flag"):
                raise TableError(f"{item.where}: only a scalar is folded")
            if item.place != "element" and (item.is_list or item.kind in ("struct", "raw", "flag")):
                raise TableError(f"{item.where}: must be an element")
            if item.is_list and item.kind not in ("struct", "enum") and item.kind not in STRINGS:
                raise TableError(f"{item.where}: lists hold structs, strings or enums")
            if item.option("live_prefix") and (item.is_list or item.kind not in STRINGS):
                raise TableError(f"{item.where}: live_prefix is for one text")
            if item.default and item.kind in STRINGS:
                raise TableError(f"{item.where}: strings have no default")
        own = [i for i in owner.items if i.place != "element" and i.kind in SIZES]
        if len(own) > 1:
            raise TableError(f"{owner.name}: two sizes share one unit")

    def condition(self, item, key):
        """(attribute, enum, values, whether it is of the element around), or None."""
        if not item.option(key):
            return None
        name, _, values = item.option(key).rpartition("=")
        above = name.startswith("../")
        name = name.removeprefix("../")
        owners = [item.owner]
        if above:
            owners = [i.owner for t in self.types.values() for i in t.items if i.ref is item.owner]
        enums = {
            next((i.ref and i.ref.name for i in owner.of("attribute") if i.name == name), None)
            for owner in owners
        }
        enum = self.enums.get(enums.pop()) if len(enums) == 1 else None
        if enum is None or not set(values.split("|")) <= set(enum.values) or len(enum.values) > 63:
            raise TableError(f"{item.where}: cannot decide {key} = {item.option(key)}")
        if key == "live_when" and item.place == "attribute" and not above:
            raise TableError(f"{item.where}: live_when of an attribute looks at the element around")
        return name, enum, values.split("|"), above

    def _check_conditions(self):
        for kind in self.types.values():
            for item in kind.items:
                self.condition(item, "when")
                self.condition(item, "live_when")

    def _order_elements(self):
        """Types without a root name are called as their first use."""
        for owner in list(self.types.values()):
            for item in owner.of("element"):
                if item.kind == "struct" and not item.ref.element:
                    item.ref.element = item.name
        for kind in self.types.values():
            kind.label = kind.label or "device_definition"
            if not kind.element:
                raise TableError(f"{kind.name} is never used")
