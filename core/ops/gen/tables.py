# SPDX-License-Identifier: LGPL-2.1-or-later
"""Writes the descriptors of types and operations, the true-typed dispatch, and the golden listing."""
from catalogue import PROGRAMS
from header import NOTICE

FORMS = {"one": "VIREO_WIRE_ONE", "optional": "VIREO_WIRE_OPTIONAL", "array": "VIREO_WIRE_ARRAY", "fixed": "VIREO_WIRE_FIXED"}


def quote(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") + '"' if text else "NULL"


def field_row(catalogue, kind, field):
    is_struct = field.type in catalogue.types
    wire = "STRUCT" if is_struct else field.type.upper()
    form = FORMS[field.form]
    if field.type == "opaque" and field.form != "fixed":
        form = "VIREO_WIRE_ONE"
    target = f"&vireo_type_{field.type}" if is_struct else "NULL"
    size = f"sizeof({catalogue.types[field.type].c_name})" if is_struct else "0"
    return (f"    {{ {quote(field.name)}, VIREO_WIRE_{wire}, {form}, offsetof({kind.c_name}, {field.name}), "
            f"{field.limit}, {size}, {target} }},")


def type_tables(catalogue):
    for kind in catalogue.ordered_types():
        yield f"const VireoWireType vireo_type_{kind.name};"
    for kind in catalogue.ordered_types():
        arms = kind.union
        rows = [field_row(catalogue, kind, f) for f in kind.fields + [f for _, f in arms]]
        table = "NULL"
        if rows:
            table = f"fields_{kind.name}"
            yield f"static const VireoWireField {table}[] = {{\n" + "\n".join(rows) + "\n};"
        tags = "NULL"
        if arms:
            tags = f"tags_{kind.name}"
            yield f"static const int32_t {tags}[] = {{ {', '.join(str(v) for v, _ in arms)} }};"
        yield (f"const VireoWireType vireo_type_{kind.name} = {{ {quote(kind.name)}, sizeof({kind.c_name}), "
               f"{len(rows)}, {table}, {tags} }};")


def object_class(op, catalogue):
    """The object an operation works on: the first argument when that is a reference."""
    if not op.args or not op.args.fields:
        return None
    first = op.args.fields[0]
    kind = catalogue.types.get(first.type)
    if kind and kind.reference and first.form == "one":
        return kind, first
    return None


def acl_rows(op, catalogue):
    flags = catalogue.flags(op)
    for rule in op.acl:
        parts = rule.split(":", 2)
        condition, mask, arg = "VIREO_ACL_ALWAYS", 0, "NULL"
        if len(parts) == 3 and parts[2].startswith("@"):
            arg, _, value = parts[2][1:].partition("=")
            condition, mask, arg = "VIREO_ACL_ARG", int(value), quote(arg)
        elif len(parts) == 3:
            condition = "VIREO_ACL_UNLESS" if parts[2].startswith("!") else "VIREO_ACL_IF"
            mask = sum(flags.get(n, 0) for n in parts[2].lstrip("!").split("|"))
        yield f"    {{ {quote(parts[0])}, {quote(parts[1])}, {condition}, {mask:#x}, {arg} }},"


def param_tables(catalogue):
    for name, keys in catalogue.params.items():
        rows = []
        for key, types in keys.items():
            mask = " | ".join(f"1u << VIREO_TYPED_PARAM_{kind.upper()}" for kind in types.rstrip("*").split("|"))
            rows.append(f"    {{ {quote(key)}, {mask}, {int(types.endswith('*'))} }},")
        yield f"static const VireoParamKey params_{name}[] = {{\n" + "\n".join(rows) + "\n    { NULL, 0, 0 }\n};"


def op_tables(catalogue):
    index = {name: i for i, name in enumerate(catalogue.ops)}
    rows = []
    for op in catalogue.ops.values():
        flags = catalogue.flags(op)
        names = {"flags": "NULL", "pairs": "NULL", "acl": "NULL", "sets": "NULL"}
        if flags:
            names["flags"] = f"flags_{op.name}"
            yield (f"static const VireoFlag flags_{op.name}[] = {{ "
                   + ", ".join(f"{{ {quote(n)}, {v:#x} }}" for n, v in flags.items()) + ", { NULL, 0 } };")
        pairs = [("VIREO_FLAGS_EXCLUSIVE", a, b) for a, b in op.exclusive]
        pairs += [("VIREO_FLAGS_REQUIRES", a, b) for a, b in op.requires]
        if pairs:
            names["pairs"] = f"pairs_{op.name}"
            yield (f"static const VireoFlagRule pairs_{op.name}[] = {{ "
                   + ", ".join(f"{{ {k}, {flags[a]:#x}, {flags[b]:#x} }}" for k, a, b in pairs) + ", { 0, 0, 0 } };")
        rules = list(acl_rows(op, catalogue))
        if rules:
            names["acl"] = f"acl_{op.name}"
            yield f"static const VireoAclRule acl_{op.name}[] = {{\n" + "\n".join(rules) + "\n    { NULL, NULL, 0, 0, NULL }\n};"
        if op.derive:
            names["sets"] = f"sets_{op.name}"
            values = catalogue.derived_set(op)
            yield (f"static const VireoDeriveSet sets_{op.name}[] = {{ "
                   + "".join(f"{{ {quote(n)}, {v} }}, " for n, v in values.items()) + "{ NULL, 0 } };")
        rows.append(op_row(op, catalogue, flags, names, index))
    yield "const VireoOp vireo_ops[] = {\n" + "\n".join(rows) + "\n};"
    yield "const unsigned vireo_n_ops = G_N_ELEMENTS(vireo_ops);"


def op_row(op, catalogue, flags, names, index):
    ref = lambda kind: f"&vireo_type_{kind.name}" if kind else "NULL"
    flags_field = op.flags_field()
    target = object_class(op, catalogue)
    readonly_mask = sum(flags[n] for n in op.readonly_flags)
    readonly_arg = next(iter(op.readonly_arg.items()), ("", 0))
    values = {
        "id": f"{op.id:#x}",
        "proc": op.proc,
        "program": f"VIREO_PROGRAM_{op.program.upper()}",
        "kind": f"VIREO_OP_{op.kind.upper()}",
        "lane": f"VIREO_LANE_{op.lane.upper()}",
        "stream": {"": "VIREO_STREAM_NONE", "send": "VIREO_STREAM_SEND", "receive": "VIREO_STREAM_RECEIVE"}[op.stream],
        "sparse_flag": f"{flags.get(op.sparse, 0):#x}",
        "fds": {"": "VIREO_FDS_NONE", "in": "VIREO_FDS_IN", "out": "VIREO_FDS_OUT"}[op.fds],
        "high_priority": int(op.high_priority),
        "readonly_refused": int(op.readonly_refused),
        "readonly_flags": f"{readonly_mask:#x}",
        "readonly_arg": quote(readonly_arg[0]),
        "readonly_value": readonly_arg[1],
        "name": quote(op.name),
        "api": quote(op.api),
        "group": quote(op.group),
        "args": ref(op.args),
        "ret": ref(op.ret or op.msg),
        "flags_offset": f"offsetof({op.args.c_name}, flags)" if flags_field else "-1",
        "flags_size": (8 if flags_field.type == "uhyper" else 4) if flags_field else 0,
        "known_flags": f"{sum(set(flags.values())):#x}",
        "trivial_completes": f"{sum(flags[n] for n in op.trivial_completes):#x}",
        "flags": names["flags"],
        "flag_rules": names["pairs"],
        "acl": names["acl"],
        "acl_filter": quote(op.acl_filter),
        "object": f"VIREO_CLASS_{target[0].name.upper()}" if target else "VIREO_CLASS_NONE",
        "object_offset": f"offsetof({op.args.c_name}, {target[1].name})" if target else "0",
        "derive_from": f"&vireo_ops[{index[op.derive['from']]}]" if op.derive else "NULL",
        "derive_set": names["sets"],
        "plans": f"&vireo_ops[{index[op.plans]}]" if op.plans else "NULL",
        "param_keys": f"params_{op.params}" if op.params else "NULL",
        "params_offset": f"offsetof({op.args.c_name}, params)" if op.params else "0",
        "serve": quote(op.serve),
        "event_id": event_number(op, catalogue),
    }
    body = ", ".join(f".{k} = {v}" for k, v in values.items() if v not in ("NULL", 0, "0x0"))
    return f"    {{ {body} }},"


def event_number(op, catalogue):
    if not op.event:
        return -1
    return next(v[op.event] for v in catalogue.enums.values() if op.event in v)


def dispatch(catalogue):
    yield "int vireo_dispatch(uint32_t id, union vireo_fn fn, void *conn, vireo_call *call, const void *args, void *ret)\n{"
    yield "    switch (id) {"
    for op in catalogue.ops.values():
        if op.kind == "call":
            rest = (", args" if op.args else "") + (", ret" if op.ret else "")
            yield f"    case VIREO_OP_{op.name}:\n        return fn.{op.name}(conn, call{rest});"
    yield "    default:\n        return VIREO_FAIL;\n    }\n}"


def write_tables(catalogue, out):
    parts = [NOTICE, '#include "ops/catalogue.h"\n#include <vireo/driver.h>\n']
    parts += type_tables(catalogue)
    parts.append("#if UINT64_MAX\nextern const VireoOp vireo_ops[];\n#endif")
    parts += param_tables(catalogue)
    parts += op_tables(catalogue)
    parts += dispatch(catalogue)
    out.write_text("\n".join(parts) + "\n")


def golden_lines(catalogue):
    """One line per fact that must never change; the committed listing only grows."""
    for name, (number, version, base) in sorted(PROGRAMS.items()):
        yield f"program {name} {number:#x} {version} base {base:#x}"
    for op in catalogue.ops.values():
        yield f"op {op.id:#x} {op.program} {op.proc} {op.name} {op.kind}"
        for name, value in catalogue.flags(op).items():
            yield f"flag {op.name} {name} {value:#x}"
    for kind in catalogue.types.values():
        for i, field in enumerate(kind.fields):
            yield f"field {kind.name} {i} {field.name} {field.type} {field.form} {field.limit}"
        for tag, field in kind.union:
            yield f"arm {kind.name} {tag} {field.name} {field.type}"
    for name, values in sorted(catalogue.enums.items()):
        yield from (f"const {name} {k} {v}" for k, v in values.items() if k != "prefix")


def write_golden(catalogue, out):
    out.write_text("\n".join(sorted(golden_lines(catalogue))) + "\n")
