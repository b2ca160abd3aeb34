#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: soap.py TABLE.toml OUTDIR

Writes TABLE.h and TABLE.c for <kit/soap.h>: structs, descriptors, and a function for each operation.

    [service]
    prefix = "vim"                  # vim_login(), VimLoginArgs
    namespace = "urn:vim25"
    action = "urn:vim25/6.7"        # of the SOAPAction header; "" when left out
    qualified = true                # members are in the namespace as well (elementFormDefault)

    [enums]
    PowerState = ["poweredOff", "poweredOn"]

    [types]
    Reference = ["@type: string", "#value: string"]      # an attribute, and the element's text
    Spec      = ["name: string?", "size: int", "sub: Spec[]", "key: string!"]   # ? optional, [] many, ! secret
    Special   = ["< Spec", "extra: any?"]                # extends Spec

    [operations]
    Find = { args = ["_this: Reference", "name: string"], ret = ["returnval: Reference?"], safe = true }

Simple types: boolean byte short int unsignedByte unsignedShort unsignedInt long unsignedLong float double string dateTime
base64Binary any. `safe`: the operation changes nothing, so a request may be sent twice when a connection breaks."""
import re
import sys
import tomllib
from pathlib import Path

SIMPLE = {
    "boolean": ("BOOLEAN", "gboolean "), "byte": ("INT", "gint32 "), "short": ("INT", "gint32 "),
    "int": ("INT", "gint32 "), "unsignedByte": ("UINT", "guint32 "), "unsignedShort": ("UINT", "guint32 "),
    "unsignedInt": ("UINT", "guint32 "), "long": ("LONG", "gint64 "), "unsignedLong": ("ULONG", "guint64 "),
    "float": ("DOUBLE", "double "), "double": ("DOUBLE", "double "), "string": ("STRING", "const char *"),
    "dateTime": ("TIME", "gint64 "), "base64Binary": ("BYTES", "VireoSoapBytes "), "any": ("ANY", "VireoSoapValue *"),
}
NUMBERS = {"BOOLEAN", "INT", "UINT", "LONG", "ULONG", "DOUBLE", "TIME"}
RESERVED = set("""soap base auto break case char const continue default do double else enum extern float for goto if
inline int long register restrict return short signed sizeof static struct switch typedef union unsigned void volatile
while and bool catch class concept delete explicit export false friend mutable namespace new not operator or private
protected public requires template this throw true try typeid typename using virtual xor""".split())
FIELD = re.compile(r"(?P<place>[@#]?)(?P<name>[A-Za-z_][\w.-]*): *(?P<type>[A-Za-z_]\w*)"
                   r"(?P<many>\[\])?(?P<optional>\?)?(?P<secret>!)?")
NOTICE = "/* SPDX-License-Identifier: LGPL-2.1-or-later */\n/* Generated from %s. */\n"


class TableError(Exception):
    pass


def snake(name):
    # A plural: numCPUs is num_cpus.
    name = re.sub(r"(?<=[a-z0-9])([A-Z]{2,})s(?=[A-Z]|$)", lambda match: "_" + match[1].lower() + "s", name)
    name = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", re.sub(r"\W", "_", name))
    name = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name).lower()
    return name[:1] + re.sub(r"__+", "_", name[1:])


def camel(name):
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[\W_]+", name))


class Field:
    def __init__(self, where, text, table):
        match = FIELD.fullmatch(text.strip())
        if not match:
            raise TableError(f'{where}: "{text}" is no member; write "name: type", with [], ? or ! behind it')
        self.name, kind = match["name"], match["type"]
        self.many, self.optional = bool(match["many"]), bool(match["optional"])
        self.flags = [flag for flag, is_set in (
            ("OPTIONAL", self.optional), ("MANY", self.many), ("ATTRIBUTE", match["place"] == "@"),
            ("TEXT", match["place"] == "#"), ("SECRET", match["secret"])) if is_set]
        self.c_name = snake(self.name)
        if self.c_name in RESERVED:
            self.c_name += "_"
        self.ref = "NULL, NULL"
        if kind in SIMPLE:
            self.kind, self.c_type = SIMPLE[kind]
        elif kind in table.enums:
            self.kind, self.c_type = "ENUM", table.c_type(kind) + " "
            self.ref = f"NULL, &{table.symbol(kind)}_names"
        elif kind in table.types:
            self.kind, self.c_type = "STRUCT", table.c_type(kind) + " *"
            self.ref = f"&{table.symbol(kind)}_type, NULL"
        else:
            raise TableError(f'{where}.{self.name}: there is no type "{kind}"')
        if match["place"] and (self.many or self.kind in ("STRUCT", "ANY")):
            raise TableError(f"{where}.{self.name}: attributes and texts are simple")
        self.has = self.optional and not self.many and self.kind in NUMBERS

    def member(self):
        if self.many:
            return [f"    struct {{ guint n; {self.c_type}*items; }} {self.c_name};"]
        return ([f"    gboolean has_{self.c_name};"] if self.has else []) + [f"    {self.c_type}{self.c_name};"]

    def descriptor(self, struct):
        flags = " | ".join("VIREO_SOAP_" + flag for flag in self.flags) or "0"
        has = f"offsetof({struct}, has_{self.c_name})" if self.has else "VIREO_SOAP_NO_OFFSET"
        return (f'    {{ "{self.name}", VIREO_SOAP_{self.kind}, {flags}, offsetof({struct}, {self.c_name}), {has}, '
                f"{self.ref} }},")


class Struct:
    def __init__(self, name, c_type, symbol, members, table, where):
        self.name, self.c_type, self.symbol = name, c_type, symbol
        self.base = None
        if members and members[0].startswith("<"):
            self.base = members[0][1:].strip()
            if self.base not in table.types:
                raise TableError(f'{where}: extends "{self.base}", which is not there')
            members = members[1:]
        self.fields = [Field(where, text, table) for text in members]
        names = [field.c_name for field in self.fields]
        if len(set(names)) != len(names):
            raise TableError(f"{where}: two members have the same name")

    def declare(self, table):
        first = f"{table.c_type(self.base)} base" if self.base else "VireoSoapObject soap"
        lines = [f"struct {self.c_type} {{", f"    {first};"]
        for field in self.fields:
            lines += field.member()
        return lines + ["};", f"extern const VireoSoapType {self.symbol}_type;", ""]

    def define(self, table):
        lines, fields = [], "NULL"
        if self.fields:
            fields = f"{self.symbol}_fields"
            lines += [f"static const VireoSoapField {fields}[] = {{"]
            lines += [field.descriptor(self.c_type) for field in self.fields] + ["};"]
        base = f"&{table.symbol(self.base)}_type" if self.base else "NULL"
        return lines + [
            f"const VireoSoapType {self.symbol}_type = {{",
            f'    "{self.name}", {base}, sizeof({self.c_type}), {fields}, {len(self.fields)},',
            "};", "",
        ]


class Table:
    def __init__(self, path):
        with open(path, "rb") as stream:
            data = tomllib.load(stream)
        unknown = set(data) - {"service", "enums", "types", "operations"}
        if unknown:
            raise TableError(f"there is no section [{sorted(unknown)[0]}]")
        self.service = data.get("service", {})
        for key in "prefix", "namespace":
            if not isinstance(self.service.get(key), str):
                raise TableError(f'[service] lacks {key} = "..."')
        self.prefix = self.service["prefix"]
        if not re.fullmatch(r"[a-z][a-z0-9]*", self.prefix):
            raise TableError(f'"{self.prefix}" is no prefix: lower case letters and digits')
        self.enums, self.types = data.get("enums", {}), data.get("types", {})
        both = set(self.enums) & set(self.types)
        if both:
            raise TableError(f"{sorted(both)[0]} is a type and an enum")
        made = {name: Struct(name, self.c_type(name), self.symbol(name), members, self, name)
                for name, members in self.types.items()}
        self.structs = self.in_order(made)
        self.operations = {}
        for name, what in data.get("operations", {}).items():
            extra = set(what) - {"args", "ret", "safe"}
            if extra:
                raise TableError(f"{name}: there is no key {sorted(extra)[0]}")
            self.operations[name] = [
                Struct(name, self.c_type(name) + side.capitalize(), f"{self.symbol(name)}_{side}", what.get(side, []),
                       self, f"{name}.{side}") for side in ("args", "ret")] + [what.get("safe", False)]

    def in_order(self, structs):
        """Bases first: they are the first member of what extends them."""
        done = {}

        def visit(name, above=()):
            if name in above:
                raise TableError(f"{name} extends itself")
            if name not in done:
                if structs[name].base:
                    visit(structs[name].base, above + (name,))
                done[name] = structs[name]

        for name in structs:
            visit(name)
        return done

    def c_type(self, name):
        return self.prefix.capitalize() + camel(name)

    def symbol(self, name):
        return f"{self.prefix}_{snake(name)}"

    def constant(self, enum, value):
        return f"{self.symbol(enum)}_{snake(value).strip('_')}".upper()

    def all_structs(self):
        return [*self.structs.values(), *(struct for row in self.operations.values() for struct in row[:2])]


def header(table, source):
    lines = [NOTICE % source + "#pragma once", "", '#include "kit/soap.h"', "", "G_BEGIN_DECLS", ""]
    for name, values in table.enums.items():
        lines += ["typedef enum {", f"    {table.constant(name, 'other')}_ = -1, /* not in the table */",
                  f"    {table.constant(name, 'unset')}_ = 0,"]
        lines += [f"    {table.constant(name, value)} = {number}," for number, value in enumerate(values, 1)]
        lines += [f"}} {table.c_type(name)};", f"extern const VireoSoapEnum {table.symbol(name)}_names;", ""]
    lines += [f"typedef struct {struct.c_type} {struct.c_type};" for struct in table.all_structs()] + [""]
    for struct in table.all_structs():
        lines += struct.declare(table)
    for name, (args, ret, _) in table.operations.items():
        symbol = table.symbol(name)
        lines += [
            f"typedef {args.c_type} {symbol}_args;", f"typedef {ret.c_type} {symbol}_ret;",
            f"extern const VireoSoapOperation {symbol}_operation;",
            f"static inline {ret.c_type} *{symbol}(VireoSoap *soap, const {args.c_type} *args, const VireoHttpWait *wait,",
            "    VireoArena *arena, GError **error)",
            f"{{ return ({ret.c_type} *)vireo_soap_call(soap, &{symbol}_operation, args, wait, arena, error); }}", "",
        ]
    return "\n".join(lines + [f"extern const VireoSoapService {table.prefix}_service;", "", "G_END_DECLS", ""])


def c_list(kind, name, members):
    if not members:
        return [], "NULL"
    return [f"static const {kind} *const {name}[] = {{", *(f"    &{member}," for member in members), "};", ""], name


def source_code(table, source, own_header):
    lines = [NOTICE % source + f'#include "{own_header}"', "", "#include <stddef.h>", ""]
    for name, values in table.enums.items():
        spelled = ", ".join(f'"{value}"' for value in values)
        lines += [f"static const char *const {table.symbol(name)}_values[] = {{ NULL, {spelled} }};",
                  f"const VireoSoapEnum {table.symbol(name)}_names = {{ \"{name}\", {table.symbol(name)}_values, "
                  f"{len(values)} }};", ""]
    for struct in table.all_structs():
        lines += struct.define(table)
    for name, (args, ret, safe) in table.operations.items():
        lines += [f"const VireoSoapOperation {table.symbol(name)}_operation = {{",
                  f'    "{name}", {"TRUE" if safe else "FALSE"}, &{args.symbol}_type, &{ret.symbol}_type,', "};", ""]
    types, types_name = c_list("VireoSoapType", "service_types",
                               [table.symbol(name) + "_type" for name in sorted(table.structs)])
    enums, enums_name = c_list("VireoSoapEnum", "service_enums",
                               [table.symbol(name) + "_names" for name in table.enums])
    calls, calls_name = c_list("VireoSoapOperation", "service_operations",
                               [table.symbol(name) + "_operation" for name in table.operations])
    return "\n".join(lines + types + enums + calls + [
        f"const VireoSoapService {table.prefix}_service = {{",
        f'    "{table.service["namespace"]}", "{table.service.get("action", "")}",',
        f'    {"TRUE" if table.service.get("qualified") else "FALSE"}, {types_name}, {len(table.structs)}, '
        f"{enums_name}, {len(table.enums)}, {calls_name}, {len(table.operations)},", "};", "",
    ])


def main():
    if len(sys.argv) != 3 or sys.argv[1] in ("-h", "--help"):
        sys.exit(__doc__)
    path, out = Path(sys.argv[1]), Path(sys.argv[2])
    try:
        table = Table(path)
    except (TableError, tomllib.TOMLDecodeError) as problem:
        sys.exit(f"{path}: {problem}")
    (out / f"{path.stem}.h").write_text(header(table, path.name), encoding="utf-8")
    (out / f"{path.stem}.c").write_text(source_code(table, path.name, f"{path.stem}.h"), encoding="utf-8")


if __name__ == "__main__":
    main()
