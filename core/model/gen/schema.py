# SPDX-License-Identifier: LGPL-2.1-or-later
"""Writes the RELAX NG schema, alone and as C strings."""

from xml.sax.saxutils import quoteattr

from c_code import NOTICE, quoted
from tables import SIGNED, SIZES, UNSIGNED

PATTERNS = {
    "mac": r"([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}",
    "cpuset": r"\^?[0-9]+(-[0-9]+)?(, *\^?[0-9]+(-[0-9]+)?)*",
    "wwn": r"[0-9a-fA-F]{16}",
    "digits": r"(0x)?[0-9a-fA-F]+",
    "uuid": r"\s*[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}\s*",
    "path": r"/[\s\S]*",
    "name": r"[^/\n]+",
    "line": r"[^\n]*",
}
ANYTHING = (
    "<define name='anything'><zeroOrMore><choice><text/><attribute><anyName/></attribute>"
    "<element><anyName/><ref name='anything'/></element></choice></zeroOrMore></define>"
)


def values(texts):
    return "<choice>" + "".join(f"<value>{t}</value>" for t in texts) + "</choice>"


def scalar(item):
    kind = item.kind
    if kind == "enum" and item.ref.is_open:
        return values(item.ref.values).replace("</choice>", f"<ref name='{item.ref.c_type}-own'/></choice>")
    if kind == "enum":
        return values(item.ref.values)
    if kind == "yesno":
        return values(("yes", "no"))
    if kind == "onoff":
        return values(("on", "off"))
    if kind in SIZES:
        return "<data type='unsignedLong'/>"
    if kind in UNSIGNED or kind in SIGNED:
        return (f"<data type='integer'><param name='minInclusive'>{item.low}</param>"
                f"<param name='maxInclusive'>{item.high}</param></data>")
    if kind.startswith("hex"):
        return "<data type='string'><param name='pattern'>(0x[0-9a-fA-F]+|[0-9]+)</param></data>"
    if kind in PATTERNS:
        return f"<data type='string'><param name='pattern'>{PATTERNS[kind]}</param></data>"
    return "<text/>"


UNIT = "<optional><attribute name='unit'/></optional>"


def content(item):
    if item.kind == "struct":
        return f"<ref name='{item.ref.c_type}'/>"
    if item.kind == "raw":
        return "<ref name='anything'/>"
    if item.kind == "flag":
        return "<empty/>"
    unit = UNIT if item.kind in SIZES else ""
    if not item.attr:
        return unit + scalar(item)
    attribute = f"<attribute name='{item.attr}'>{scalar(item)}</attribute>"
    return unit + (f"<optional>{attribute}</optional>" if item.option("blank") else attribute)


def element(tables, item):
    prefix, _, local = item.name.rpartition(":")
    space = tables.namespaces[prefix] if prefix else ""
    text = f"<element name='{local}' ns={quoteattr(space)}>{content(item)}</element>"
    if item.is_list:
        return ("<oneOrMore>" if item.required else "<zeroOrMore>") + text + (
            "</oneOrMore>" if item.required else "</zeroOrMore>")
    return text if item.required else f"<optional>{text}</optional>"


def define(tables, kind):
    parts = [f"<define name='{kind.c_type}'>"]
    for item in kind.of("attribute"):
        text = f"<attribute name='{item.name}'>{scalar(item)}</attribute>"
        parts.append(text if item.required else f"<optional>{text}</optional>")
    if any(i.place != "element" and i.kind in SIZES for i in kind.items):
        parts.append(UNIT)
    text = [scalar(item) for item in kind.of("text")]
    if kind.of("text") and not kind.of("text")[0].required:
        text.insert(0, "<empty/>")
    if elements := kind.of("element"):
        children = "".join(element(tables, i) for i in elements)
        text.append(f"<interleave>{children}</interleave>")
    parts.append(f"<choice>{''.join(text)}</choice>" if len(text) > 1 else "".join(text))
    if not kind.items:
        parts.append("<empty/>")
    return "".join(parts) + "</define>"


def definitions(tables):
    # What schema.c adds to: the values that drivers have of their own.
    own = [f"<define name='{enum.c_type}-own' combine='choice'><notAllowed/></define>"
           for enum in tables.enums.values() if enum.is_open]
    return [ANYTHING] + own + [define(tables, kind) for kind in tables.types.values()]


def c_source(tables):
    lines = [NOTICE, '#include "model/table.h"\n', "const char *const vireo_model_schema_text[] = {"]
    lines += [f"    {quoted(text)}," for text in definitions(tables)]
    return "\n".join(lines + ["    NULL,", "};", ""])
