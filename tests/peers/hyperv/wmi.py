# SPDX-License-Identifier: LGPL-2.1-or-later
"""How WinRM writes instances of WMI classes, and the part of WQL that is asked. What a comment marks [REC] was seen in
traffic of a real host, [DOC] is documented by Microsoft, [3P] is what others say, [LV] what libvirt's driver does."""
import re
from xml.sax.saxutils import escape

XSI = "http://www.w3.org/2001/XMLSchema-instance"
CIM = "http://schemas.dmtf.org/wbem/wscim/1/common"
WMI = "http://schemas.microsoft.com/wbem/wsman/1/wmi/"
V2 = "root/virtualization/v2"
ADDRESSING = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
WSMAN = "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"
ANONYMOUS = ADDRESSING + "/role/anonymous"


class Datetime(str):
    """A date as it is written."""


class Interval(str):
    """The same for a length of time."""


class Ref:
    """Where an instance is."""

    def __init__(self, klass, space=V2, **keys):
        self.klass, self.space, self.keys = klass, space, keys

    @property
    def uri(self):
        return f"{WMI}{self.space}/{self.klass}"

    def render(self):
        selectors = "".join(f'<w:Selector Name="{name}">{escape(str(value))}</w:Selector>'
                            for name, value in self.keys.items())
        return (f"<a:Address>{ANONYMOUS}</a:Address><a:ReferenceParameters><w:ResourceURI>{self.uri}</w:ResourceURI>"
                f"<w:SelectorSet>{selectors}</w:SelectorSet></a:ReferenceParameters>")


class Instance:
    """Of a class; properties are alphabetical, and those without a value are there, too. [REC]"""

    def __init__(self, klass, keys, space=V2, parents=(), **values):
        self.klass, self.space, self.keys, self.parents, self.values = klass, space, keys, parents, values

    def __getitem__(self, name):
        return self.values.get(name)

    def __setitem__(self, name, value):
        self.values[name] = value

    def ref(self):
        return Ref(self.klass, self.space, **{key: self.values[key] for key in self.keys})

    def is_a(self, klass):
        return klass.lower() in (self.klass.lower(), *(parent.lower() for parent in self.parents))

    def render(self):
        uri = f"{WMI}{self.space}/{self.klass}"
        inside = "".join(render_property("p:", name, self.values[name]) for name in sorted(self.values))
        return (f'<p:{self.klass} xmlns:xsi="{XSI}" xmlns:p="{uri}" xmlns:cim="{CIM}" '
                f'xsi:type="p:{self.klass}_Type">{inside}</p:{self.klass}>')

    def render_fragment(self, names):
        """Of named columns: without namespaces. [REC]"""
        there = {name.lower(): name for name in self.values}
        inside = "".join(render_property("", there[name.lower()], self.values[there[name.lower()]])
                         for name in names if name.lower() in there)
        return f'<w:XmlFragment xmlns:xsi="{XSI}" xmlns:cim="{CIM}">{inside}</w:XmlFragment>'

    def render_nested(self, element, prefix):
        """As a value of another instance."""
        uri = f"{WMI}{self.space}/{self.klass}"
        inside = "".join(render_property("q:", name, self.values[name]) for name in sorted(self.values))
        return f'<{prefix}{element} xmlns:q="{uri}" xsi:type="q:{self.klass}_Type">{inside}</{prefix}{element}>'

    def embed(self):
        """CIM-XML within a text. [3P]"""
        parts = []
        for name in sorted(self.values):
            value = self.values[name]
            if value is None:
                continue
            if isinstance(value, list):
                items = "".join(f"<VALUE>{escape(plain(one))}</VALUE>" for one in value)
                parts.append(f'<PROPERTY.ARRAY NAME="{name}" TYPE="string"><VALUE.ARRAY>{items}</VALUE.ARRAY>'
                             f'</PROPERTY.ARRAY>')
            else:
                parts.append(f'<PROPERTY NAME="{name}" TYPE="string"><VALUE>{escape(plain(value))}</VALUE></PROPERTY>')
        return f'<INSTANCE CLASSNAME="{self.klass}">{"".join(parts)}</INSTANCE>'


def plain(value):
    return str(value).lower() if isinstance(value, bool) else str(value)


def render_property(prefix, name, value):
    """Null is nil, an empty array is not there, dates and references have elements of their own. [REC]"""
    tag = prefix + name
    if value is None:
        return f'<{tag} xsi:nil="true"/>'
    if isinstance(value, list):
        return "".join(render_property(prefix, name, one) for one in value)
    if isinstance(value, Instance):
        return value.render_nested(name, prefix)
    if isinstance(value, Ref):
        return f'<{tag} xmlns:a="{ADDRESSING}" xmlns:w="{WSMAN}">{value.render()}</{tag}>'
    if isinstance(value, Datetime):
        return f"<{tag}><cim:Datetime>{value}</cim:Datetime></{tag}>"
    if isinstance(value, Interval):
        return f"<{tag}><cim:Interval>{value}</cim:Interval></{tag}>"
    return f"<{tag}>{escape(plain(value))}</{tag}>"


# ---- WQL ------------------------------------------------------------------------------------------------------

class WqlError(Exception):
    pass


TOKEN = re.compile(r"""\s*(?:(?P<text>'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")|(?P<op><=|>=|<>|!=|=|<|>|\(|\)|,|\*)|(?P<word>[\w.]+))""")


def tokens_of(text):
    at, found = 0, []
    text = text.rstrip()
    while at < len(text):
        match = TOKEN.match(text, at)
        if not match:
            raise WqlError(f"cannot read: {text[at:]}")
        at = match.end()
        found.append((match.lastgroup, match.group(match.lastgroup)))
    return found


class Query:
    def __init__(self, text):
        self.tokens = tokens_of(text)
        self.expect("select")
        self.names = []
        while True:
            self.names.append(self.take()[1])
            if not self.there(","):
                break
            self.take()
        if self.names == ["*"]:
            self.names = None
        self.expect("from")
        self.klass = self.take()[1]
        self.within = None
        if self.there("within"):  # of events [DOC]
            self.take()
            self.within = float(self.take()[1])
        self.test = lambda instance: True
        if self.tokens:
            self.expect("where")
            self.test = self.either()
        if self.tokens:
            raise WqlError(f"more than expected: {self.tokens}")

    def take(self):
        if not self.tokens:
            raise WqlError("ends too early")
        return self.tokens.pop(0)

    def there(self, word):
        return bool(self.tokens) and self.tokens[0][1].lower() == word

    def expect(self, word):
        if not self.there(word):
            raise WqlError(f"'{word}' is missing")
        self.take()

    def either(self):
        tests = [self.both()]
        while self.there("or"):
            self.take()
            tests.append(self.both())
        return lambda instance: any(test(instance) for test in tests)

    def both(self):
        tests = [self.one()]
        while self.there("and"):
            self.take()
            tests.append(self.one())
        return lambda instance: all(test(instance) for test in tests)

    def one(self):
        if self.there("("):
            self.take()
            test = self.either()
            self.expect(")")
            return test
        name, op = self.take()[1], self.take()[1].lower()
        kind, text = self.take()
        if op == "is":
            return lambda instance: get(instance, name) is None
        value = re.sub(r"\\(.)", r"\1", text[1:-1]) if kind == "text" else text
        if op == "isa":
            return lambda instance: get(instance, name).is_a(value)
        if kind == "word" and "." in value and not value[0].isdigit():
            return lambda instance: compare(get(instance, name), op, get(instance, value))
        if op == "like":
            pattern = "".join({"%": ".*", "_": "."}.get(c, re.escape(c)) for c in value)
            return lambda instance: re.fullmatch(pattern, plain(get(instance, name)), re.I | re.S) is not None
        return lambda instance: compare(get(instance, name), op, value)


def get(instance, name):
    if "." in name:  # of an instance within it
        outer, name = name.split(".", 1)
        instance = get(instance, outer)
    for mine, value in instance.values.items():
        if mine.lower() == name.lower():
            return value
    raise WqlError(f"{instance.klass} has no property {name}")


def compare(mine, op, value):
    if mine is None:
        return False
    if isinstance(mine, bool):
        mine = plain(mine)
    if isinstance(mine, int):
        value = int(value or 0)
    else:
        mine, value = str(mine).lower(), value.lower()
    return {"=": mine == value, "<>": mine != value, "!=": mine != value, "<": mine < value, ">": mine > value,
            "<=": mine <= value, ">=": mine >= value}[op]


# ---- what clients write -----------------------------------------------------------------------------------------

def path_class(path):
    """Of \\\\HOST\\root\\virtualization\\v2:Class.Key="A\\\\B" """
    return path.split(":", 1)[1].split(".", 1)[0]


def path_key(path):
    match = re.search(r'\.\w+="((?:\\.|[^"\\])*)"$', path)
    if not match:
        raise ValueError(f"no object path: {path}")
    return re.sub(r"\\(.)", r"\1", match.group(1))


def make_path(klass, value):
    return f'\\\\HOST\\root\\virtualization\\v2:{klass}.InstanceID="{value}"'.replace(
        value, value.replace("\\", "\\\\"))
