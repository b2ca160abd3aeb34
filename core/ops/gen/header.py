# SPDX-License-Identifier: LGPL-2.1-or-later
"""Writes <vireo/ops.h>: the constants, structs and operation list a driver is compiled against."""
from catalogue import PRIMITIVES

NOTICE = "/* SPDX-License-Identifier: LGPL-2.1-or-later */\n/* Generated from core/ops: change the catalogue. */\n"


def member(catalogue, field):
    base = PRIMITIVES.get(field.type) or catalogue.types[field.type].c_name
    star = "" if base.endswith("*") else " "
    if field.type == "uuid":
        return f"uint8_t {field.name}[16];"
    if field.form == "array" or (field.type == "opaque" and field.form != "fixed"):
        return f"struct {{ uint32_t len; {base}{star}*val; }} {field.name};"
    if field.form == "fixed":
        return f"{base}{star}{field.name}[{field.limit}];"
    if field.form == "optional" and field.type not in ("string",):
        return f"{base}{star}*{field.name};"
    return f"{base}{star}{field.name};"


def struct(catalogue, kind):
    lines = ["typedef struct {"]
    if kind.union:
        lines.append("    int32_t type; /* which of the following: enum vireo_typed_parameter_type */")
        lines.append("    union {")
        lines += [f"        {member(catalogue, f)}" for _, f in kind.union]
        lines.append("    };")
    lines += [f"    {member(catalogue, f)}" for f in kind.fields]
    lines.append(f"}} {kind.c_name};")
    return "\n".join(lines)


def enum_name(name):
    snake = "".join("_" + c.lower() if c.isupper() and i and not name[i - 1].isupper() else c.lower()
                    for i, c in enumerate(name))
    return "vireo" + snake.removeprefix("vir_").removeprefix("vireo").join(["_", ""]).replace("__", "_")


def enums(catalogue):
    seen = set()
    for name, values in sorted(catalogue.enums.items()):
        rows = [(k, v) for k, v in values.items() if k != "prefix" and k not in seen]
        seen.update(k for k, _ in rows)
        if not rows:
            continue
        if max(v for _, v in rows) > 0x7FFFFFFF:
            yield "\n".join(f"#define VIREO_{k} UINT32_C({v:#x})" for k, v in rows)
        else:
            yield f"enum {enum_name(name)} {{\n" + "\n".join(f"    VIREO_{k} = {v}," for k, v in rows) + "\n};"


def parameters(op):
    params = ["void *conn", "vireo_call *call"]
    if op.args:
        params.append(f"const {op.args.c_name} *args")
    if op.ret:
        params.append(f"{op.ret.c_name} *ret")
    return ", ".join(params)


def describe(op):
    text = op.doc or op.api or op.name
    since = f", libvirt {op.since}" if op.since else ""
    return f"/* {op.name} ({op.id:#x}{since}, {op.lane}): {' '.join(text.split())} */"


def write_header(catalogue, out):
    calls = [op for op in catalogue.ops.values() if op.kind == "call"]
    parts = [NOTICE, "#ifndef VIREO_OPS_H\n#define VIREO_OPS_H\n#include <stdint.h>\n"]
    parts.append("typedef struct vireo_call vireo_call;\n")
    parts.append("/* Constants of the API, values as on the wire. */")
    parts += enums(catalogue)
    parts.append("\n/* The most elements, or bytes, an array, opaque or string may have. */")
    parts += [f"#define VIREO_LIMIT_{name} {value}" for name, value in sorted(catalogue.limits.items())]
    parts.append("\n/* Wire structs. Strings are UTF-8 and never NULL unless the catalogue marks them optional. */")
    parts += [struct(catalogue, kind) for kind in catalogue.ordered_types()]
    parts.append("\n/* Flags each operation knows. */")
    for op in calls:
        mask = sum(set(catalogue.flags(op).values()))
        parts.append(f"#define VIREO_FLAGS_{op.name} UINT64_C({mask:#x})")
    parts.append("\n/* One function type per operation. */")
    for op in calls:
        parts.append(f"{describe(op)}\ntypedef int vireo_{op.name}_fn({parameters(op)});")
    parts.append("\n#define VIREO_OP_LIST(X) \\")
    parts.append(" \\\n".join(f"    X({op.id}, {op.name})" for op in calls))
    parts.append("\n/* Messages a driver may raise: vireo_<name>_msg. */\nenum vireo_event_id {")
    events = [op for op in catalogue.ops.values() if op.kind == "event"]
    parts += [f"    VIREO_EVENT_{op.name} = {op.id}," for op in events]
    parts.append("    VIREO_EVENT_NONE = 0\n};\n#endif")
    out.write_text("\n".join(parts) + "\n")
