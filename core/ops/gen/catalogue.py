# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reads core/ops/*.toml into objects, and refuses a catalogue that contradicts itself."""
import re
import tomllib
from pathlib import Path

# name -> (wire protocol number, version, first operation id)
PROGRAMS = {
    "remote": (0x20008086, 1, 0),
    "qemu": (0x20008087, 1, 0x1000),
    "lxc": (0x00068000, 1, 0x2000),
    "admin": (0x06900690, 1, 0x3000),
    "keepalive": (0x6B656570, 1, 0x3F00),
    "vireo": (0x56495245, 1, 0x4000),
    "driver": (0, 0, 0x8000),
}
PRIMITIVES = {
    "int": "int32_t",
    "uint": "uint32_t",
    "hyper": "int64_t",
    "uhyper": "uint64_t",
    "double": "double",
    "char": "int8_t",
    "uchar": "uint8_t",
    "short": "int16_t",
    "ushort": "uint16_t",
    "string": "char *",
    "uuid": "uint8_t",
    "opaque": "uint8_t",
    "handle": "void *",
}
LANES = ("query", "modify", "control")
SHARED = ("types", "limits", "enums", "params")
PARAM_TYPES = ("int", "uint", "llong", "ullong", "double", "boolean", "string")


class CatalogueError(Exception):
    pass


class Field:
    """One member of a wire struct: `name: type`, with type one of T, T?, T<LIMIT>, T[LIMIT]."""

    def __init__(self, text, limits):
        declaration, _, flags = text.partition(" = ")
        self.name, _, spec = declaration.partition(": ")
        match = re.fullmatch(r"(\w+)(\?|<\w+>|\[\w+\])?", spec)
        if not match:
            raise CatalogueError(f"cannot read the field '{text}'")
        self.type, suffix = match.group(1), match.group(2) or ""
        self.form = {"": "one", "?": "optional", "<": "array", "[": "fixed"}[suffix[:1]]
        bound = suffix.strip("<>[]?")
        self.limit_name = bound if bound and not bound.isdigit() else ""
        self.limit = (int(bound) if bound.isdigit() else limits[bound]) if bound else 0
        if self.type == "string" and self.form in ("one", "optional"):
            self.limit = limits["STRING_MAX"]
        if self.type == "uuid":
            self.limit = 16
        self.flags = [] if flags in ("", "none") else flags.split("|")
        self.has_flags = bool(flags)


class Type:
    def __init__(self, name, fields, union=(), reference=False):
        self.name, self.fields, self.union, self.reference = name, fields, union, reference

    @property
    def c_name(self):
        return f"vireo_{self.name}_ref" if self.reference else f"vireo_{self.name}"


class Op:
    def __init__(self, name, stanza, program, group):
        self.name, self.group, self.program = name, group, program
        self.proc = stanza["id"]
        self.id = PROGRAMS[program][2] + self.proc
        for key in ("api", "since", "doc", "stream", "sparse", "fds", "event", "serve", "acl_filter", "params", "plans"):
            setattr(self, key, stanza.get(key, ""))
        self.kind = stanza.get("kind", "call")
        self.lane = stanza.get("lane", "query")
        self.high_priority = stanza.get("priority") == "high"
        self.readonly_refused = stanza.get("readonly") == "refused"
        self.readonly_flags = stanza.get("readonly_refuses", [])
        self.readonly_arg = stanza.get("readonly_refuses_arg", {})
        self.acl = stanza.get("acl", [])
        self.exclusive = stanza.get("exclusive", [])
        self.requires = stanza.get("requires", [])
        self.trivial_completes = stanza.get("trivial_completes", [])
        self.derive = stanza.get("derive", {})
        self.args = self.ret = self.msg = None

    def flags_field(self):
        if not self.args:
            return None
        return next((f for f in self.args.fields if f.name == "flags" and f.has_flags), None)


class Catalogue:
    def __init__(self, folder):
        folder = Path(folder)
        load = lambda name: tomllib.loads((folder / f"{name}.toml").read_text())
        self.limits = load("limits")
        self.enums = load("enums")
        self.params = load("params")
        self.types, self.ops = {}, {}
        for name, body in load("types").items():
            self._add_type(name, body.get("fields", []), body.get("union", ()), body.get("reference", False))
        for path in sorted(folder.glob("*.toml")):
            if path.stem not in SHARED:
                self._add_file(path)
        self.ops = dict(sorted(self.ops.items(), key=lambda item: item[1].id))
        for op in self.ops.values():
            if op.plans:
                self._copy_planned(op)
        self._check()

    def _copy_planned(self, op):
        """A plan is asked for with the arguments, flags and rules of the call that it is of."""
        planned = self.ops.get(op.plans)
        if not planned or op.args or op.ret:
            raise CatalogueError(f"{op.name}: 'plans' names an operation and stands for args and ret")
        op.args, op.ret = planned.args, self.types["plan"]
        for key in ("exclusive", "requires", "trivial_completes", "params"):
            setattr(op, key, getattr(planned, key))

    def _add_type(self, name, fields, union=(), reference=False):
        if name in self.types:
            raise CatalogueError(f"type {name} is described twice")
        arms = []
        for arm in union:
            constant, _, declaration = arm.partition(" = ")
            arms.append((self._constant(constant), Field(declaration, self.limits)))
        parsed = [Field(text, self.limits) for text in fields]
        self.types[name] = Type(name, parsed, arms, reference)
        return self.types[name]

    def _constant(self, name):
        for values in self.enums.values():
            if name in values:
                return values[name]
        raise CatalogueError(f"no enum has the constant {name}")

    def _add_file(self, path):
        stanzas = tomllib.loads(path.read_text())
        program = stanzas.pop("@file")["program"]
        for name, stanza in stanzas.items():
            if name in self.ops:
                raise CatalogueError(f"{path.name}: operation {name} is described twice")
            op = self.ops[name] = Op(name, stanza, program, path.stem)
            for part in ("args", "ret", "msg"):
                if part in stanza:
                    setattr(op, part, self._add_type(f"{name}_{part}", stanza[part]))

    def _check(self):
        seen = {}
        for op in self.ops.values():
            if op.id in seen:
                raise CatalogueError(f"{op.name} and {seen[op.id].name} have the same id {op.id}")
            seen[op.id] = op
            if op.lane not in LANES:
                raise CatalogueError(f"{op.name}: no lane '{op.lane}'")
            known = self.flags(op)
            for name in sum(op.exclusive + op.requires, []) + op.readonly_flags + op.trivial_completes:
                if name not in known:
                    raise CatalogueError(f"{op.name}: '{name}' is none of its flags")
            if op.derive:
                self._check_derived(op)
            self._check_params(op)
        for kind in self.types.values():
            for field in kind.fields + [f for _, f in kind.union]:
                if field.type not in PRIMITIVES and field.type not in self.types:
                    raise CatalogueError(f"{kind.name}.{field.name}: no type '{field.type}'")

    def _check_params(self, op):
        if not op.params:
            return
        if op.params not in self.params:
            raise CatalogueError(f"{op.name}: params.toml has no set '{op.params}'")
        if not any(f.name == "params" and f.type == "typed_param" and f.form == "array" for f in op.args.fields):
            raise CatalogueError(f"{op.name}: it has no parameters")
        for key, types in self.params[op.params].items():
            if not set(types.rstrip("*").split("|")) <= set(PARAM_TYPES):
                raise CatalogueError(f"params.toml: {op.params}.{key}: no type '{types}'")

    def _check_derived(self, op):
        source = self.ops.get(op.derive["from"])
        if not source:
            raise CatalogueError(f"{op.name} derives from {op.derive['from']}, which does not exist")
        taken = {f.name for f in op.args.fields} | set(op.derive.get("set", {}))
        for field in source.args.fields:
            if field.name not in taken and field.form != "optional":
                raise CatalogueError(f"{op.name}: nothing sets {source.name}.{field.name}")

    def flags(self, op):
        """Flag name -> bit, for one operation, without the enum's prefix."""
        field = op.flags_field()
        result = {}
        for enum in field.flags if field else []:
            values = dict(self.enums[enum])
            prefix = values.pop("prefix")
            for name, value in values.items():
                short = name[len(prefix):] if name.startswith(prefix) else name
                if value > 0 and value & (value - 1) == 0:
                    result.setdefault(short, value)
        return result

    def derived_set(self, op):
        """Field name -> number that a derived operation sets in its source's arguments."""
        source_flags = self.flags(self.ops[op.derive["from"]])
        result = {}
        for name, value in op.derive.get("set", {}).items():
            if isinstance(value, str):
                value = sum(source_flags[part] for part in value.split("|"))
            result[name] = value
        return result

    def ordered_types(self):
        """Types such that each comes after the ones it holds."""
        done, order = set(), []

        def visit(kind):
            if kind.name in done:
                return
            done.add(kind.name)
            for field in kind.fields + [f for _, f in kind.union]:
                if field.type in self.types:
                    visit(self.types[field.type])
            order.append(kind)

        for kind in self.types.values():
            visit(kind)
        return order
