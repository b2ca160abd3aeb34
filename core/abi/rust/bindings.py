# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: bindings.py DRIVER.H OPS.H PRELUDE.RS OUTPUT.RS

Writes the crate vireo: the constants, structs and function types of the two headers, then PRELUDE.RS. The
headers are ours and regular; what is not understood is an error, never left out."""
import re
import sys
from pathlib import Path

PLAIN = {"void": "c_void", "char": "c_char", "int": "c_int", "double": "f64", "size_t": "usize", "uid_t": "u32",
         "gid_t": "u32", "pid_t": "i32", "int8_t": "i8", "int16_t": "i16", "int32_t": "i32", "int64_t": "i64",
         "uint8_t": "u8", "uint16_t": "u16", "uint32_t": "u32", "uint64_t": "u64"}
KEYWORDS = {"as", "box", "break", "const", "else", "enum", "extern", "fn", "for", "if", "impl", "in", "let", "loop",
            "match", "mod", "move", "pub", "ref", "return", "static", "struct", "trait", "type", "use", "where", "while",
            "yield"}
OPAQUE = ["vireo_call", "vireo_core", "vireo_space"]


def strip(text):
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    return re.sub(r"VIREO_PRINTF\([^)]*\)(?=;)", "", text)


def rust_name(name):
    return f"r#{name}" if name in KEYWORDS else name


def rust_type(text):
    """Of a C type without a name: "const char *const *", "vireo_call *"."""
    words = re.findall(r"\w+|\*", text)
    const, base, stars = False, None, []
    for word in words:
        if word == "*":
            stars.append("*const" if const else "*mut")
            const = False
        elif word == "const":
            const = True
        elif word not in ("struct", "enum"):
            base = word
    known = PLAIN.get(base) or (base if base and base.startswith("vireo_") else None)
    if not known:
        sys.exit(f"bindings.py: what is '{text}'?")
    if base.endswith("_fn") and stars:  # a pointer to a function type is the function pointer
        known, stars = f"Option<{base}>", stars[1:]
    for star in stars:
        known = f"{star} {known}"
    return known


def parameter(text):
    """The type of one parameter; an array is a pointer."""
    text = text.strip()
    if text == "...":
        return text
    array = re.fullmatch(r"(.*\W)\w+\[\d+\]", text)
    if array:
        return rust_type(array[1] + "*")
    words = re.findall(r"\w+", text.split("*")[-1])
    named = words and text.split("*")[-1].strip() == words[-1] and "*" in text or len(
        [word for word in re.findall(r"\w+", text) if word not in ("const", "struct", "enum")]) > 1
    return rust_type(re.sub(r"\w+$", "", text) if named else text)


def function(result, parameters):
    listed = [] if parameters.strip() == "void" else [parameter(part) for part in parameters.split(",")]
    back = "" if result.strip() == "void" else f" -> {rust_type(result)}"
    return f"unsafe extern \"C\" fn({', '.join(listed)}){back}"


def declarations(body):
    """The declarations of a struct's body; those of inner structs and unions stay whole."""
    depth, start = 0, 0
    for at, sign in enumerate(body):
        depth += (sign == "{") - (sign == "}")
        if sign == ";" and depth == 0:
            yield " ".join(body[start:at].split())
            start = at + 1


def members(struct, body):
    """(C name or None, Rust name, Rust type) of each; a union of its own comes out first, as a string."""
    for text in declarations(body):
        pointer = re.fullmatch(r"(.*?)\(\*(\w+)\)\((.*)\)", text)
        listed = re.fullmatch(r"struct \{ uint32_t len; (.*?)\*val; \} (\w+)", text)
        union = re.fullmatch(r"union \{(.*)\}", text)
        if listed:
            yield listed[2], rust_name(listed[2]), f"vireo_list<{rust_type(listed[1])}>"
        elif union:
            parts = list(members(struct, union[1]))
            yield aggregate("union", f"{struct}_arm", parts)
            yield parts[0][0], "arm", f"{struct}_arm"
        elif pointer:
            yield pointer[2], rust_name(pointer[2]), f"Option<{function(pointer[1], pointer[3])}>"
        else:
            base, listed = re.fullmatch(r"(.*?\w(?: \*const)?) (\**\w+(?:\[\d+\])?(?:, .*)?)", text).groups()
            for declared in listed.split(", "):
                stars, name, size = re.fullmatch(r"(\**)(\w+)(?:\[(\d+)\])?", declared).groups()
                kind = rust_type(base + stars)
                yield name, rust_name(name), f"[{kind}; {size}]" if size else kind


def aggregate(kind, name, parts):
    lines = "".join(f"    pub {rust}: {type_},\n" for _, rust, type_ in parts)
    return (f"#[repr(C)]\n#[derive(Clone, Copy)]\npub {kind} {name} {{\n{lines}}}\n"
            f"unsafe impl Plain for {name} {{}}\n")


def structs(text):
    """(C spelling, name, members) of each struct of a header, in its order."""
    found = re.finditer(r"^typedef struct \{(.*?)^\} (vireo_\w+);|^struct (vireo_\w+) \{(.*?)\};$", text, re.M | re.S)
    for match in found:
        name = match[2] or match[3]
        yield name if match[2] else f"struct {name}", name, list(members(name, match[1] or match[4]))


def constants(text):
    """(name, value, type): those of enums are int, as in C, where they fit."""
    for body in re.findall(r"^enum vireo_\w+ \{(.*?)\};", text, re.M | re.S):
        last = -1
        for item in filter(None, (part.strip() for part in body.split(","))):
            name, _, value = (part.strip() for part in item.partition("="))
            if "VIREO__" in name:
                continue
            if value and not re.fullmatch(r"[-0-9a-fxA-F <]+", value):
                sys.exit(f"bindings.py: what is '{item}'?")
            last = eval(value) if value else last + 1  # digits and shifts alone
            yield name, last, "i32" if -2**31 <= last < 2**31 else "u32"
    for name, size, value in re.findall(r"^#define (VIREO_\w+) UINT(32|64)_C\((\w+)\)", text, re.M):
        if not name.startswith("VIREO_FLAGS_"):
            yield name, int(value, 0), f"u{size}"
    for name, value in re.findall(r"^#define (VIREO_ABI_M\w+|VIREO_NOTE_DRIVER) (\w+)", text, re.M):
        yield name, int(value.rstrip("u"), 0), "u32" if "NOTE" in name else "u16"


def write(driver, ops):
    for name in OPAQUE:
        yield f"#[repr(C)]\npub struct {name} {{\n    _opaque: [u8; 0],\n}}\n"
    for text in ops, driver:
        for name, value, kind in constants(text):
            yield f"pub const {name}: {kind} = {value};\n"
        for name, _, parameters in re.findall(r"^typedef void (vireo_\w+_fn)(\()(.*)\);", text, re.M):
            yield f"pub type {name} = {function('void', parameters)};\n"
        for result, name, parameters in re.findall(r"^typedef (int) (vireo_\w+_fn)\((.*)\);", text, re.M):
            yield f"pub type {name} = {function(result, parameters)};\n"
        for _, name, parts in structs(text):
            yield from (part for part in parts if isinstance(part, str))
            yield aggregate("struct", name, [part for part in parts if not isinstance(part, str)])
    rows = re.findall(r"^    X\((\w+), (\w+)\)", ops, re.M)
    flags = dict(re.findall(r"^#define VIREO_FLAGS_(\w+) UINT64_C\((\w+)\)", ops, re.M))
    yield aggregate("union", "vireo_fn", [(None, "any", 'Option<unsafe extern "C" fn()>')] + [
        (None, rust_name(name), f"Option<vireo_{name}_fn>") for _, name in rows])
    yield "/// The number and the flags of each operation.\npub mod op {\n"
    for number, name in rows:
        yield (f"    pub mod {name} {{\n        pub const ID: u32 = {number};\n"
               f"        pub const FLAGS: u64 = {flags[name]};\n    }}\n")
    yield "}\n"


def main(driver, ops, prelude, output):
    head, tail = Path(prelude).read_text().split("// @BINDINGS@\n")
    body = "".join(write(strip(Path(driver).read_text()), strip(Path(ops).read_text())))
    Path(output).write_text(head + body + tail)


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    main(*sys.argv[1:])
