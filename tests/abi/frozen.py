# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: frozen.py FOLDER DRIVER.H OPS.H CC [ARGUMENT...]

FOLDER holds frozen-MAJOR.MINOR.txt, for each minor what it added to the layout of everything that crosses the
driver ABI, on machines with 64-bit pointers:

    size STRUCT BYTES             exactly so many
    least STRUCT BYTES            at least; the struct tells its size or its stride and may grow
    member STRUCT NAME OFFSET TYPE
    value CONSTANT NUMBER

One assertion is compiled for each line, and one for each struct that may grow: it has no padding, since a member
that is later put there would be taken for given by modules that know nothing of it."""
import re
import subprocess
import sys
import tempfile
from pathlib import Path

# Structs that say their size, or whose stride is told beside them.
GROWS = {"vireo_host", "vireo_op", "vireo_driver", "vireo_object", "vireo_tree_node", "vireo_spawn",
         "vireo_note_op", "vireo_note_head"}


def strip(text):
    return re.sub(r"/\*.*?\*/", "", text, flags=re.S)


def members(body):
    """(name, type) of each member of a struct's body."""
    for declaration in filter(None, (" ".join(d.split()) for d in body.split(";"))):
        declaration = re.sub(r"VIREO_PRINTF\([^)]*\)", "", declaration).strip()
        function = re.fullmatch(r"(.*?)\(\*(\w+)\)(\(.*\))", declaration)
        if function:
            yield function[2], f"{function[1].strip()} (*){function[3]}"
            continue
        first, *rest = declaration.split(", ")
        base, stars, name, array = re.fullmatch(r"(.*?)\s*(\**)(\w+)((?:\[\w+\])*)", first).groups()
        yield name, f"{base} {stars}{array}".replace(" [", "[").strip()
        for other in rest:
            stars, name, array = re.fullmatch(r"(\**)(\w+)((?:\[\w+\])*)", other).groups()
            yield name, f"{base} {stars}{array}".replace(" [", "[").strip()


def structs(header):
    text = strip(header.read_text())
    for name, body in re.findall(r"^struct (vireo_\w+) \{(.*?)\};", text, re.M | re.S):
        yield name, list(members(body))


def constants(header):
    text = strip(header.read_text())
    for body in re.findall(r"^enum vireo_\w+ \{(.*?)\};", text, re.M | re.S):
        yield from re.findall(r"\b(VIREO_\w+)\b(?=\s*(?:=|,|$))", body, re.M)
    yield from ("VIREO_ABI_MAJOR", "VIREO_NOTE_DRIVER")


def wire_structs(ops):
    """The structs of operations; references and other parts are within them."""
    text = strip(ops.read_text())
    return sorted(set(re.findall(r"^\} (vireo_\w+);", text, re.M)))


def questions(driver, ops):
    """C expressions whose values are to be frozen, as (line without its number, expression, type)."""
    for name, fields in structs(driver):
        rule = "least" if name in GROWS else "size"
        yield f"{rule} struct:{name}", f"sizeof(struct {name})", ""
        for field, kind in fields:
            yield f"member struct:{name} {field}", f"offsetof(struct {name}, {field})", kind
    for name in wire_structs(ops):
        yield f"size {name}", f"sizeof({name})", ""
    for name in constants(driver):
        if not name.startswith("VIREO__") and name != "VIREO_OP_END":
            yield f"value {name}", name, ""


def build(cc, source, run):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frozen.c"
        path.write_text("#include <stdio.h>\n#include <vireo/driver.h>\n" + source)
        out = ["-o", str(path.with_suffix(""))] if run else ["-fsyntax-only"]
        done = subprocess.run([*cc, "-std=c11", str(path), *out], capture_output=True, text=True)
        if done.returncode:
            messages = re.findall(r'static assertion failed:? "?(.*?)"?$', done.stderr, re.M)
            messages = messages or re.findall(r"static assertion failed.*", done.stderr) or [done.stderr]
            sys.exit("\n".join(messages))
        return subprocess.run([path.with_suffix("")], check=True, capture_output=True, text=True).stdout if run else ""


def current_lines(driver, ops, cc):
    asked = list(questions(driver, ops))
    body = "".join(f'    printf("%lld\\n", (long long)({expression}));\n' for _, expression, _ in asked)
    numbers = build(cc, f"int main(void)\n{{\n{body}    return 0;\n}}\n", True).split()
    for (line, _, kind), number in zip(asked, numbers, strict=True):
        yield f"{line} {number} {kind}".strip()


def assertion(line):
    rule, name, *rest = line.split(" ", 4) if line.startswith("member") else line.split(" ")
    c_name = name.replace("struct:", "struct ")
    said = line.replace('"', "'")
    if rule == "member":
        field, offset, kind = rest
        return (f'_Static_assert(offsetof({c_name}, {field}) == {offset}, "{said}");\n'
                f"_Static_assert(__builtin_types_compatible_p(__typeof__((({c_name} *)0)->{field}), {kind}), "
                f'"{said}");\n')
    expression = c_name if rule == "value" else f"sizeof({c_name})"
    return f'_Static_assert({expression} {">=" if rule == "least" else "=="} {rest[0]}, "{said}");\n'


def holes(driver):
    for name, fields in structs(driver):
        if name in GROWS or name == "vireo_child":
            parts = " + ".join(f"sizeof(((struct {name} *)0)->{field})" for field, _ in fields)
            yield f'_Static_assert(sizeof(struct {name}) == {parts}, "struct {name} has padding: name it reserved");\n'


def key(line):
    """What a line is about, without its numbers."""
    words = line.split(" ")
    return tuple(words[:3] if words[0] == "member" else words[:2])


def read(*paths):
    return [line for path in paths for line in path.read_text().splitlines() if line and not line.startswith("#")]


def main(folder, driver, ops, cc):
    lines = read(*folder.glob("frozen-*.txt"))
    if len(lines) < 500 or len({key(line) for line in lines}) != len(lines):
        sys.exit(f"{folder}/frozen-*.txt are not whole")
    build(cc, "".join(['_Static_assert(sizeof(void *) == 8, "64-bit pointers");\n', *map(assertion, lines),
                       *holes(driver)]), False)
    print(f"{len(lines)} lines hold")


if __name__ == "__main__":
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    main(*map(Path, sys.argv[1:4]), sys.argv[4:])
