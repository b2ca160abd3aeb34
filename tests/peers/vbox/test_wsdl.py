# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the vbox driver's table says about the web service is what the web service says about itself."""
import http.client
import tomllib
import unittest
import xml.etree.ElementTree as ElementTree
from pathlib import Path

XSD = "{http://www.w3.org/2001/XMLSchema}"
TABLE = Path(__file__).parents[3] / "plugins" / "vbox" / "web.toml"
FAULTS = {"RuntimeFault", "InvalidObjectFault"}


def members(sequence):
    """["name: type[]", ...] of a sequence."""
    return [f"{item.get('name')}: {item.get('type').split(':')[1]}{'[]' if item.get('maxOccurs') == 'unbounded' else ''}"
            for item in (sequence if sequence is not None else [])]


class Wsdl(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        connection = http.client.HTTPConnection("127.0.0.1", 18083, timeout=60)
        connection.request("GET", "/?wsdl")
        root = ElementTree.fromstring(connection.getresponse().read())
        cls.elements, cls.types, cls.enums = {}, {}, {}
        for schema in root.iter(XSD + "schema"):
            for item in schema:
                if item.tag == XSD + "element":
                    cls.elements[item.get("name")] = members(item.find(f"{XSD}complexType/{XSD}sequence"))
                elif item.tag == XSD + "complexType":
                    cls.types[item.get("name")] = members(item.find(XSD + "sequence"))
                elif item.tag == XSD + "simpleType":
                    cls.enums[item.get("name")] = [value.get("value") for value in item.iter(XSD + "enumeration")]
        with open(TABLE, "rb") as stream:
            cls.table = tomllib.load(stream)

    def test_operations(self):
        for name, what in self.table["operations"].items():
            with self.subTest(name):
                plain = [text.rstrip("!?") for text in what["args"]]
                self.assertEqual(plain, self.elements[name])
                self.assertEqual([text.rstrip("!?") for text in what.get("ret", [])], self.elements[name + "Response"])

    def test_types(self):
        for name, what in self.table["types"].items():
            with self.subTest(name):
                self.assertEqual(what, self.elements[name] if name in FAULTS else self.types[name])

    def test_enums(self):
        for name, values in self.table["enums"].items():
            with self.subTest(name):
                self.assertLessEqual(set(values), set(self.enums[name]))


if __name__ == "__main__":
    unittest.main()
