# SPDX-License-Identifier: LGPL-2.1-or-later
"""Writes the reference page."""

from c_code import main_roots


def type_text(item):
    if item.kind == "struct":
        text = f"[{item.ref.name}](#{item.ref.name.lower()})"
    elif item.kind == "enum":
        text = ", ".join(f"`{value}`" for value in item.ref.values)
        text += ", or what a driver adds" if item.ref.is_open else ""
    else:
        text = item.kind
        if item.is_number and item.options["type"].find("..") > 0:
            text += f" {item.low} to {item.high}"
    return text + (", repeated" if item.is_list else "")


def note(item):
    words = ["required"] if item.required else []
    if item.default:
        words.append(f"default `{item.default}`")
    words += [w for w in ("live", "secret") if item.option(w)]
    if item.option("since"):
        words.append("since " + item.option("since"))
    if item.option("doc"):
        words.append(item.option("doc"))
    return "; ".join(words)


def name(item):
    if item.place == "attribute":
        return f"`{item.name}=`"
    if item.place == "text":
        return "text"
    return f"`<{item.name} {item.attr}=>`" if item.attr else f"`<{item.name}>`"


def page(tables):
    roots = ", ".join(f"[<{r.element}>](#{r.name.lower()})" for r in main_roots(tables))
    lines = ["# XML documents", "", f"Generated from the tables. Documents: {roots}.", ""]
    for kind in sorted(tables.types.values(), key=lambda k: k.name):
        lines += [f"## {kind.name}", "", kind.doc or f"Contents of `<{kind.element}>`.", ""]
        lines += ["| item | type | notes |", "|---|---|---|"]
        lines += [f"| {name(i)} | {type_text(i)} | {note(i)} |" for i in kind.items]
        lines.append("")
    return "\n".join(lines)
