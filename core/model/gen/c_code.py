# SPDX-License-Identifier: LGPL-2.1-or-later
"""Writes the structs, the wrappers and the descriptors."""

from tables import SIZES, STRINGS

NOTICE = "/* SPDX-License-Identifier: LGPL-2.1-or-later */\n/* Generated from the tables. */\n"
FLAGS = ("live", "secret", "always")


def c_item_type(item):
    """The C type of one value, ending so that a name can follow."""
    kind = item.kind
    if kind == "struct":
        return item.ref.c_type + " *"
    if kind == "enum":
        return item.ref.c_type + " "
    if kind in STRINGS or kind == "raw":
        return "char *"
    if kind in ("yesno", "onoff"):
        return "VireoTristate "
    return {
        "flag": "gboolean ", "uint": "guint32 ", "int": "gint32 ", "int64": "gint64 ",
        "uuid": "guint8 ",
    }.get(kind, "guint64 ")


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def comment(item):
    parts = [f"@{item.name}" if item.place == "attribute" else
             f"<{item.name}>" if item.name else "text"]
    if item.attr:
        parts[0] = f"<{item.name} {item.attr}=>"
    if item.kind in SIZES:
        parts.append("in " + item.kind)
    if item.option("doc"):
        parts.append(item.option("doc"))
    return "; ".join(parts)


# In C++ a member of such a name has an underscore behind it.
CXX_KEYWORDS = {
    "and", "bool", "catch", "class", "concept", "delete", "explicit", "export", "false", "friend", "mutable",
    "namespace", "new", "not", "operator", "or", "private", "protected", "public", "requires", "template", "this",
    "throw", "true", "try", "typeid", "typename", "using", "virtual", "xor",
}


def struct_code(kind):
    lines = [f"struct {kind.c_type} {{", "    guint line;"]
    for item in kind.items:
        base, name = c_item_type(item), item.c_name
        if item.is_list:
            text = f"struct {{ guint n; {base}*items; }} {name};"
        else:
            text = f"{base}{name}{'[16]' if item.kind == 'uuid' else ''};"
        line = f"    {text} /* {comment(item)} */"
        if name in CXX_KEYWORDS:
            other = line.replace(f"{name};", f"{name}_;", 1)
            line = f"#ifdef __cplusplus\n{other}\n#else\n{line}\n#endif"
        lines.append(line)
        if item.has_presence:
            lines.append(f"    gboolean has_{name};")
    if count := sum(item.has_line for item in kind.items):
        lines.append(f"    guint scalar_lines_[{count}]; /* for messages */")
    return "\n".join(lines + ["};", ""])


def enum_code(enum):
    lines = ["typedef enum {", f"    {enum.constant('')} = 0,"]
    lines += [f"    {enum.constant(v)} = {i}," for i, v in enumerate(enum.values, 1)]
    lines += [
        f"}} {enum.c_type};",
        f"extern const VireoModelEnum {enum.c_prefix}_names;",
        f"static inline const char *{enum.c_prefix}_to_string({enum.c_type} value)",
        f"{{ return vireo_model_enum_to_string(&{enum.c_prefix}_names, (int)value); }}",
        f"static inline {enum.c_type} {enum.c_prefix}_from_string(const char *text)",
        "{",
        f"    return ({enum.c_type})vireo_model_enum_from_string(&{enum.c_prefix}_names, text);",
        "}",
        "",
    ]
    if enum.is_open:
        lines[-1:] = [
            f"static inline {enum.c_type} {enum.c_prefix}_add(const char *text)",
            f"{{ return ({enum.c_type})vireo_model_enum_add(&{enum.c_prefix}_names, text); }}",
            "",
        ]
    return "\n".join(lines)


def wrapper_code(kind):
    """What every type gets; parse and format take its usual element."""
    t, p = kind.c_type, kind.c_prefix
    return f"""extern const VireoModelType {p}_type;
static inline {t} *{p}_parse(const char *xml, guint flags, GError **error)
{{ return ({t} *)vireo_model_parse(&{p}_type, NULL, xml, -1, flags, error); }}
static inline {t} *{p}_parse_member(const char *xml, guint flags, GError **error)
{{ return ({t} *)vireo_model_parse_member(&{p}_type, xml, -1, flags, error); }}
static inline char *{p}_format(const {t} *doc, guint flags)
{{ return vireo_model_format(&{p}_type, NULL, doc, flags); }}
static inline void {p}_free({t} *doc)
{{ vireo_model_free(&{p}_type, doc); }}
static inline {t} *{p}_copy(const {t} *doc)
{{ return ({t} *)vireo_model_copy(&{p}_type, doc); }}
G_DEFINE_AUTOPTR_CLEANUP_FUNC({t}, {p}_free)
"""


def header(tables):
    parts = [NOTICE, "#pragma once\n", '#include "model/model.h"\n', "G_BEGIN_DECLS\n"]
    parts += [enum_code(enum) for enum in tables.enums.values()]
    parts += [f"typedef struct {k.c_type} {k.c_type};" for k in tables.types.values()]
    parts.append("")
    for kind in tables.types.values():
        parts.append(f"/* {kind.doc or '<' + kind.element + '>'} */")
        parts.append(struct_code(kind))
    parts += [wrapper_code(kind) for kind in tables.types.values()]
    for root in main_roots(tables):
        parts.append(f"/* Every path the table knows below <{root.element}>, sorted; NULL ends it. */")
        parts.append(f"extern const char *const {root.c_prefix}_feature_paths[];\n")
    parts.append("G_END_DECLS\n")
    return "\n".join(parts)


def main_roots(tables):
    return [root for root in tables.roots if root.label != "device_definition"]


def default_value(item, text):
    if item.kind == "enum":
        return item.ref.constant(text)
    if item.kind in ("yesno", "onoff"):
        return "VIREO_TRISTATE_YES" if text in ("yes", "on") else "VIREO_TRISTATE_NO"
    return f"(guint64){int(text)}"


def kind_constant(item):
    if item.kind in STRINGS:
        return "STRING"
    if item.kind in SIZES:
        return "MEMORY"
    return "HEX" if item.kind.startswith("hex") else item.kind.upper()


def item_size(item):
    if item.kind == "uuid":
        return "16"
    return f"sizeof({c_item_type(item).strip()})"


def field_flags(item):
    flags = [name.upper() for name in FLAGS if item.option(name)]
    flags += ["LIST"] * item.is_list + ["REQUIRED"] * item.required
    flags += ["DEFAULT"] * bool(item.default) + ["BLANK"] * bool(item.option("blank"))
    return " | ".join("VIREO_MODEL_" + name for name in flags) or "0"


def minimum(item):
    return "G_MININT64" if item.low == -(2**63) else f"G_GINT64_CONSTANT({item.low})"


def hex_condition(kind, item):
    name, _, value = item.option("hex_when").partition("=")
    other = next(i for i in kind.of("attribute") if i.name == name)
    member = other.c_name if value else f"has_{other.c_name}"
    return [
        f".hex_offset = offsetof({kind.c_type}, {member})",
        f".hex_value = {other.ref.constant(value) if value else 'TRUE'}",
    ]


def field_code(tables, kind, item, line_index):
    t = kind.c_type
    parts = []
    if item.name:
        parts.append(f".name = {quoted(item.name)}")
    if item.attr:
        parts.append(f".attr = {quoted(item.attr)}")
    parts += [
        f".kind = VIREO_MODEL_{kind_constant(item)}",
        f".place = VIREO_MODEL_{item.place.upper()}",
        f".flags = {field_flags(item)}",
        f".size = {item_size(item)}",
        f".offset = offsetof({t}, {item.c_name})",
        ".has_offset = " + (f"offsetof({t}, has_{item.c_name})" if item.has_presence
                            else "VIREO_MODEL_NO_OFFSET"),
        ".line_offset = " + (f"offsetof({t}, scalar_lines_[{line_index}])" if item.has_line
                             else "VIREO_MODEL_NO_OFFSET"),
    ]
    if item.kind in STRINGS:
        parts.append(f".syntax = VIREO_MODEL_SYNTAX_{STRINGS[item.kind]}")
    if item.kind.startswith("hex"):
        parts.append(f".width = {item.kind[3:]}")
    if item.option("hex_when"):
        parts += hex_condition(kind, item)
    if item.kind == "struct":
        parts.append(f".type = &{item.ref.c_prefix}_type")
    elif item.kind == "enum":
        parts.append(f".names = &{item.ref.c_prefix}_names")
    if item.is_number or item.kind in STRINGS:
        parts.append(f".min = {minimum(item)}")
        parts.append(f".max = G_GUINT64_CONSTANT({item.high})")
    if item.default:
        parts.append(f".fallback = {default_value(item, item.default)}")
    if item.option("blank"):
        parts.append(f".blank = {default_value(item, item.option('blank'))}")
    if item.kind in SIZES:
        parts.append(f".unit_bytes = {SIZES[item.kind]}")
        parts.append(f".default_unit = {SIZES[item.option('unit', item.kind)]}")
    if item.option("error"):
        parts.append(f".error = {item.option('error')}")
    if item.option("live_prefix"):
        parts.append(f".live_prefix = {quoted(item.option('live_prefix'))}")
    for key in ("when", "live_when"):
        if condition := tables.condition(item, key):
            name, enum, values, above = condition
            bits = sum(1 << enum.values.index(value) + 1 for value in values)
            parts.append(f".{key} = {{ {quoted(name)}, G_GUINT64_CONSTANT({bits:#x}), {int(above)} }}")
    if ":" in item.name:
        parts.append(f".prefix = {list(tables.namespaces).index(item.name.split(':')[0]) + 1}")
    return "    { " + ",\n      ".join(parts) + " },"


def sorted_indices(kind, place):
    chosen = [(item.name, i) for i, item in enumerate(kind.items) if item.place == place]
    return [index for _, index in sorted(chosen, key=lambda pair: pair[0].encode())]


def type_code(tables, kind):
    p = kind.c_prefix
    lines, scalar = [], 0
    if kind.items:
        lines.append(f"static const VireoModelField {p}_fields[] = {{")
        for item in kind.items:
            lines.append(field_code(tables, kind, item, scalar))
            scalar += item.has_line
        lines.append("};")
    for place in ("attribute", "element"):
        if indices := sorted_indices(kind, place):
            numbers = ", ".join(map(str, indices))
            lines.append(f"static const guint16 {p}_{place}s[] = {{ {numbers} }};")
    text = next((i for i, item in enumerate(kind.items) if item.place == "text"), -1)
    memory = next((i for i, item in enumerate(kind.items)
                   if item.place != "element" and item.kind in SIZES), -1)
    n_attributes, n_elements = len(kind.of("attribute")), len(kind.of("element"))
    lines += [
        f"const VireoModelType {p}_type = {{",
        f"    .name = {quoted(kind.c_type)}, .element = {quoted(kind.element)},",
        f"    .label = {quoted(kind.label)}, .size = sizeof({kind.c_type}),",
        f"    .fields = {p + '_fields' if kind.items else 'NULL'}, .n_fields = {len(kind.items)},",
        f"    .n_attributes = {n_attributes}, .n_elements = {n_elements},",
        f"    .text = {text}, .memory = {memory},",
    ]
    if n_attributes:
        lines.append(f"    .attributes = {p}_attributes,")
    if n_elements:
        lines.append(f"    .elements = {p}_elements,")
    return "\n".join(lines + ["};", ""])


def enum_table(enum):
    p = enum.c_prefix
    values = ", ".join(["NULL"] + [quoted(value) for value in enum.values])
    order = sorted(range(1, len(enum.values) + 1), key=lambda i: enum.values[i - 1].encode())
    own = f"static VireoModelOwnValues {p}_own;\n" if enum.is_open else ""
    own_at = f"&{p}_own" if enum.is_open else "NULL"
    return f"""static const char *const {p}_texts[] = {{ {values} }};
static const guint16 {p}_sorted[] = {{ {', '.join(map(str, order))} }};
{own}const VireoModelEnum {p}_names = {{ "{enum.c_type}", {p}_texts, {p}_sorted, {len(order)}, {own_at} }};
"""


def feature_paths(root):
    """Paths of everything below @root; a type inside itself is cut short with a star."""
    found = set()

    def walk(kind, path, above):
        for item in kind.items:
            here = f"{path}.{item.name}" if item.name else path
            if item.attr:
                here += "." + item.attr
            found.add(here)
            if item.kind != "struct":
                continue
            if item.ref in above:
                found.add(here + ".*")
            else:
                walk(item.ref, here, above + [item.ref])

    walk(root, root.element, [root])
    return sorted(found, key=str.encode)


def source(tables):
    parts = [NOTICE, '#include "model/table.h"', '#include "documents.h"\n', "#include <stddef.h>\n"]
    parts.append("const VireoModelNamespace vireo_model_namespaces[] = {")
    parts += [f"    {{ {quoted(k)}, {quoted(v)} }}," for k, v in tables.namespaces.items()]
    parts.append("    { NULL, NULL },\n};\n")
    parts += [enum_table(enum) for enum in tables.enums.values()]
    parts.append("const VireoModelEnum *const vireo_model_open_enums[] = {")
    parts += [f"    &{enum.c_prefix}_names," for enum in tables.enums.values() if enum.is_open]
    parts.append("    NULL,\n};\n")
    parts += [type_code(tables, kind) for kind in tables.types.values()]
    for root in main_roots(tables):
        parts.append(f"const char *const {root.c_prefix}_feature_paths[] = {{")
        parts += [f"    {quoted(path)}," for path in feature_paths(root)]
        parts.append("    NULL,\n};\n")
    return "\n".join(parts)
