#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: hypervd.py FOLDER [--http] [--ntlm|--ntlm=impacket|--kerberos] [--strict|--strict=other] [--japanese] [--events]
       [--batch=N] [--polls=N] [--machines=N]

A WS-Management service like WinRM with Hyper-V behind it, on a free port of 127.0.0.1; writes both ports into
FOLDER/ports: the service's, and one where a test says what shall happen and asks what has (see Control). It is as strict
about requests as real ones are, or more."""
import base64
import gzip
import hashlib
import http.server
import json
import os
import re
import ssl
import struct
import subprocess
import sys
import threading
import time
import uuid
import xml.etree.ElementTree as ElementTree
from xml.sax.saxutils import escape

import ntlm
import tickets
from host import Fault, Host
from wmi import V2, WMI, Instance, Query, Ref, WqlError, render_property

S = "http://www.w3.org/2003/05/soap-envelope"
A = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
N = "http://schemas.xmlsoap.org/ws/2004/09/enumeration"
X = "http://schemas.xmlsoap.org/ws/2004/09/transfer"
E = "http://schemas.xmlsoap.org/ws/2004/08/eventing"
W = "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"
P = "http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd"
F = "http://schemas.microsoft.com/wbem/wsman/1/wsmanfault"
I = "http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd"
WQL = "http://schemas.microsoft.com/wbem/wsman/1/WQL"
KNOWN = {f"{{{A}}}{name}" for name in ("To", "ReplyTo", "Action", "MessageID")} | {
    f"{{{W}}}{name}" for name in ("ResourceURI", "MaxEnvelopeSize", "OperationTimeout", "Locale", "SelectorSet")} | {
        f"{{{P}}}DataLocale", f"{{{E}}}Identifier"}
USER, PASSWORD = "admin", "Secret,1"


def envelope(action, relates_to, body, message_id=None, language="en-US"):
    """[REC]"""
    return (f'<s:Envelope xml:lang="{language}" xmlns:s="{S}" xmlns:a="{A}" xmlns:n="{N}" xmlns:w="{W}"><s:Header>'
            f'<a:Action>{action}</a:Action><a:MessageID>{message_id or "uuid:" + str(uuid.uuid4()).upper()}</a:MessageID>'
            f'<a:To>{A}/role/anonymous</a:To><a:RelatesTo>{relates_to}</a:RelatesTo></s:Header>'
            f'<s:Body>{body}</s:Body></s:Envelope>')


def enumerate_response(context):
    return f"<n:EnumerateResponse><n:EnumerationContext>{context}</n:EnumerationContext></n:EnumerateResponse>"


def pull_response(items, context):
    """[REC]"""
    if context:
        return (f"<n:PullResponse><n:EnumerationContext>{context}</n:EnumerationContext><n:Items>{''.join(items)}</n:Items>"
                f"</n:PullResponse>")
    return f"<n:PullResponse><n:Items>{''.join(items)}</n:Items><n:EndOfSequence/></n:PullResponse>"


class Idle(Exception):
    """No answer yet: look again. take is given the time that has passed, and says what to answer, or None."""

    def __init__(self, take):
        super().__init__()
        self.take = take


class Service:
    def __init__(self, host, batch, language, events=False):
        self.host, self.batch, self.language, self.events = host, batch, language, events
        self.lock = threading.Lock()
        self.contexts, self.seen = {}, set()
        self.trouble, self.requests, self.strict = [], [], []
        self.subscriptions = {}  # identifier -> [context, query, what was there]
        self.idle = 0

    # ---- what a request must be ----

    def answer(self, text, base):
        root = ElementTree.fromstring(text)
        header, body = root.find(f"{{{S}}}Header"), root.find(f"{{{S}}}Body")
        if root.tag != f"{{{S}}}Envelope" or body is None or len(body) > 1:
            raise ValueError("no envelope with one thing in its body")
        if len(body) and body[0].tag == f"{{{I}}}Identify":
            self.requests.append("Identify")
            return self.identify()
        for one in header:
            if one.tag not in KNOWN:
                raise ValueError(f"header {one.tag}")
        text_of = {one.tag.split("}")[1]: (one.text or "") for one in header}
        if text_of["To"] != base + "/wsman":
            raise ValueError(f"To {text_of['To']}")
        if header.find(f"{{{A}}}ReplyTo/{{{A}}}Address").text != A + "/role/anonymous":
            raise ValueError("ReplyTo")
        for name in ("ResourceURI", "Action", "MaxEnvelopeSize"):
            must = [one for one in header if one.tag.endswith("}" + name)]
            if len(must) != 1 or must[0].get(f"{{{S}}}mustUnderstand") != "true":
                raise ValueError(f"{name} without mustUnderstand")
        message = text_of["MessageID"]
        if not re.fullmatch("uuid:[0-9a-fA-F-]{36}", message) or message in self.seen:
            raise ValueError(f"MessageID {message}")
        self.seen.add(message)
        if not 8192 <= int(text_of["MaxEnvelopeSize"]) <= 512000:
            raise ValueError("MaxEnvelopeSize")
        action, uri = text_of["Action"], text_of["ResourceURI"]
        if (len(body) == 0) != (action == X + "/Get"):
            raise ValueError(f"the body of {action}")
        self.requests.append(action.rsplit("/", 1)[1])
        try:
            if action.startswith(E):
                return self.eventing(action, uri, header, body[0], message)
            if action == N + "/Pull" and (mine := self.subscription(body[0].find(f"{{{N}}}EnumerationContext").text)):
                patience = float(re.fullmatch(r"PT(\d+\.\d{3})S", text_of["OperationTimeout"]).group(1))
                raise Idle(lambda passed: self.events_of(mine, message, passed >= patience))
            return self.act(action, uri, header, body[0] if len(body) else None, message, int(text_of["MaxEnvelopeSize"]))
        except Fault as fault:
            return 500, self.fault(fault, message)
        except WqlError as wrong:
            return 500, self.fault(Fault("w:CannotProcessFilter", f"The filter is not valid: {wrong}", 2150858757), message)

    def fault(self, fault, message):
        prefix, name = fault.subcode.split(":")
        detail = f'<f:Message>{escape(fault.text)}\n</f:Message>'
        if fault.provider:
            detail = (f'<f:Message><f:ProviderFault provider="{fault.provider}" path="%systemroot%"><f:WSManFault xmlns:f="{F}" '
                      f'Code="{fault.code}" Machine="hv1"><f:Message>{escape(fault.text)} \n</f:Message></f:WSManFault>'
                      f'</f:ProviderFault></f:Message>')
        body = (f'<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>{prefix}:{name}</s:Value></s:Subcode></s:Code>'
                f'<s:Reason><s:Text xml:lang="">{escape(fault.text)} </s:Text></s:Reason><s:Detail>'
                f'<f:WSManFault xmlns:f="{F}" Code="{fault.code}" Machine="hv1">{detail}</f:WSManFault></s:Detail></s:Fault>')
        return envelope("http://schemas.dmtf.org/wbem/wsman/1/wsman/fault", message, body, language=self.language)

    def identify(self):
        return 200, (f'<s:Envelope xml:lang="en-US" xmlns:s="{S}"><s:Header/><s:Body><wsmid:IdentifyResponse xmlns:wsmid="{I}">'
                     '<wsmid:ProtocolVersion>http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd</wsmid:ProtocolVersion>'
                     '<wsmid:ProductVendor>Microsoft Corporation</wsmid:ProductVendor>'
                     '<wsmid:ProductVersion>OS: 10.0.20348 SP: 0.0 Stack: 3.0</wsmid:ProductVersion>'
                     '</wsmid:IdentifyResponse></s:Body></s:Envelope>')

    def act(self, action, uri, header, body, message, limit):
        if not uri.startswith(WMI):
            raise Fault("a:DestinationUnreachable", "no such resource URI", 2150858752)
        space, klass = uri[len(WMI):].rsplit("/", 1)
        reply = lambda name, text: (200, envelope(name, message, text, language=self.language))  # noqa: E731
        if action == X + "/Get":
            one = self.host.get(self.selectors(header, klass, space))
            if one.klass.endswith("Job"):
                self.host.look_at(one)
            return reply(X + "/GetResponse", one.render())
        if action == N + "/Enumerate":
            return reply(action + "Response", self.enumerate(uri, space, klass, body, limit))
        if action == N + "/Pull":
            context = body.find(f"{{{N}}}EnumerationContext").text
            wanted = body.find(f"{{{N}}}MaxElements")
            items = self.contexts.pop(context, None)
            if items is None:
                raise Fault("n:InvalidEnumerationContext", "The context is not valid.", 2150858774)
            now, rest = self.cut(items, int(wanted.text) if wanted is not None else 1, limit)
            return reply(action + "Response", pull_response(now, self.keep(rest)))
        if action == N + "/Release":
            if self.contexts.pop(body.find(f"{{{N}}}EnumerationContext").text, None) is None:
                raise Fault("n:InvalidEnumerationContext", "The context is not valid.", 2150858774)
            return reply(action + "Response", "")
        if not action.startswith(uri + "/"):
            raise Fault("a:ActionNotSupported", "The action is not supported.", 2150858776)
        method = action[len(uri) + 1:]
        if body.tag != f"{{{uri}}}{method}_INPUT":
            raise Fault("w:SchemaValidationError", "the body is not the method's input", 2150858817)
        result = self.host.invoke(self.selectors(header, klass, space), method, self.arguments(uri, body))
        # The namespaces of what is in it are declared at the top, as nothing else says what xsi: is.
        text = "".join(render_property("p:", name, value) for name, value in sorted(result.items()))
        return reply(action + "Response", f'<p:{method}_OUTPUT xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
                     f'xmlns:p="{uri}" xmlns:cim="http://schemas.dmtf.org/wbem/wscim/1/common">{text}</p:{method}_OUTPUT>')

    def subscription(self, context):
        return next((one for one in self.subscriptions.values() if one[0] == context), None)

    def eventing(self, action, uri, header, body, message):
        """[REC] for event logs; that there is one for WMI is [DOC]."""
        if not self.events:
            raise Fault("a:ActionNotSupported", "The action is not supported by the service.", 2150858776)
        if action == E + "/Unsubscribe":
            if not self.subscriptions.pop(header.find(f"{{{E}}}Identifier").text, None):
                raise Fault("e:InvalidMessage", "There is no such subscription.", 2150858774)
            return 200, envelope(action + "Response", message, "", language=self.language)
        mode = body.find(f"{{{E}}}Delivery").get("Mode")
        query = body.find(f"{{{W}}}Filter")
        if mode != "http://schemas.dmtf.org/wbem/wsman/1/wsman/Pull" or query.get("Dialect") != WQL or uri != WMI + V2 + "/*":
            raise Fault("e:DeliveryModeRequestedUnavailable", "only Pull, only WQL", 2150858757)
        parsed = Query(query.text)
        if not parsed.within:
            raise Fault("w:CannotProcessFilter", "WITHIN is missing", 2150858757)
        identifier, context = ("uuid:" + str(uuid.uuid4()).upper() for _ in range(2))
        self.subscriptions[identifier] = [context, parsed, self.host.photograph()]
        return 200, envelope(action + "Response", message, (
            f'<e:SubscribeResponse xmlns:e="{E}"><e:SubscriptionManager><a:Address>{A}/role/anonymous</a:Address>'
            f'<a:ReferenceProperties><e:Identifier>{identifier}</e:Identifier></a:ReferenceProperties></e:SubscriptionManager>'
            f'<e:Expires>PT0.000S</e:Expires><n:EnumerationContext>{context}</n:EnumerationContext></e:SubscribeResponse>'),
            language=self.language)

    def events_of(self, mine, message, over):
        """Nothing for so long is told in two ways, in turn. [REC]"""
        mine[2], found = self.host.happened(mine[1], mine[2])
        if not found and not over:
            return None
        self.idle += not found
        if not found and self.idle % 2:
            return 500, self.fault(Fault("w:TimedOut", "The operation has timed out.", 2150858793), message)
        mine[0] = "uuid:" + str(uuid.uuid4()).upper()
        return 200, envelope(N + "/PullResponse", message, pull_response(found, mine[0]), language=self.language)

    def selectors(self, header, klass, space):
        found = header.find(f"{{{W}}}SelectorSet")
        keys = {one.get("Name"): one.text or "" for one in found} if found is not None else {}
        if any('"' in value for value in keys.values()):
            raise Fault("w:InvalidSelectors", "quotes in a selector", 2150858843)
        there = self.host.all(klass, space)
        if not there:
            raise Fault("a:DestinationUnreachable", f"no class {klass}", 2150858752)
        needed = set(there[0].keys)
        service = klass.endswith("Service")  # of a singleton its class is enough [LV, 3P]
        if not keys:
            raise Fault("w:InternalError", "the service needs selectors", 2150859010)
        if set(keys) != needed and not (service and set(keys) == {"CreationClassName"}):
            raise Fault("w:InvalidSelectors", f"selectors {sorted(keys)} instead of {sorted(needed)}", 2150858843)
        return Ref(klass, space, **keys)

    def arguments(self, uri, body):
        args = {}
        for one in body:
            if not one.tag.startswith(f"{{{uri}}}"):
                raise Fault("w:SchemaValidationError", f"{one.tag} of another namespace", 2150858817)
            value = one.text or ""
            if len(one):
                if [part.tag for part in one] != [f"{{{A}}}Address", f"{{{A}}}ReferenceParameters"]:
                    raise Fault("w:SchemaValidationError", "neither a value nor a reference", 2150858817)  # [3P]
                inside = one.find(f"{{{A}}}ReferenceParameters")
                space, klass = inside.find(f"{{{W}}}ResourceURI").text[len(WMI):].rsplit("/", 1)
                value = Ref(klass, space, **{key.get("Name"): key.text for key in inside.find(f"{{{W}}}SelectorSet")})
            args.setdefault(one.tag.split("}")[1], []).append(value)
        return args

    def enumerate(self, uri, space, klass, body, limit):
        query = body.find(f"{{{W}}}Filter")
        if query is None or query.get("Dialect") != WQL:
            raise Fault("w:CannotProcessFilter", "only WQL", 2150858757)
        if klass != "*":
            raise Fault("w:CannotProcessFilter", "WQL is for all classes", 2150858757)  # [3P]
        items = self.host.select(space, query.text)
        if body.find(f"{{{W}}}OptimizeEnumeration") is None:
            return enumerate_response(self.keep(items))
        now, rest = self.cut(items, int(body.find(f"{{{W}}}MaxElements").text), limit)
        if rest:
            return (f"<n:EnumerateResponse><n:EnumerationContext>{self.keep(rest)}</n:EnumerationContext><w:Items>{''.join(now)}"
                    f"</w:Items></n:EnumerateResponse>")
        # An empty context, and an end of another namespace than Pull's. [REC]
        return (f"<n:EnumerateResponse><n:EnumerationContext></n:EnumerationContext><w:Items>{''.join(now)}</w:Items>"
                f"<w:EndOfSequence/></n:EnumerateResponse>")

    def cut(self, items, wanted, limit):
        count, size = 0, 2000
        while count < min(len(items), wanted, self.batch) and (not count or size + len(items[count].encode()) < limit):
            size += len(items[count].encode())
            count += 1
        return items[:count], items[count:]

    def keep(self, items):
        """Another one for each pull. [REC]"""
        if not items:
            return ""
        context = "uuid:" + str(uuid.uuid4()).upper()
        self.contexts[context] = items
        return context


def unseal(context, protocol, data):
    """By its length: what is encrypted may look like anything. [DOC]"""
    length = int(re.search(rb"Length=(\d+)", data).group(1))
    at = data.index(b"application/octet-stream\r\n") + len(b"application/octet-stream\r\n")
    (header,) = struct.unpack_from("<I", data, at)
    if not data.startswith(b"--Encrypted Boundary\r\n\tContent-Type: application/HTTP-%s-session-encrypted\r\n" % protocol):
        raise ValueError("no message as WinRM encrypts it")
    if data[at + 4 + header + length:] != b"--Encrypted Boundary--\r\n":
        raise ValueError("the end of the encrypted message")
    plain = context.unseal(data[at + 4:at + 4 + header], data[at + 4 + header:at + 4 + header + length])
    if len(plain) != length:
        raise ValueError("the length of the message")
    return plain


def seal(context, protocol, text):
    header, sealed = context.seal(text)
    return (b"--Encrypted Boundary\r\n\tContent-Type: application/HTTP-%s-session-encrypted\r\n"
            b"\tOriginalContent: type=application/soap+xml;charset=UTF-8;Length=%d\r\n--Encrypted Boundary\r\n"
            b"\tContent-Type: application/octet-stream\r\n" % (protocol, len(text))) + \
        struct.pack("<I", len(header)) + header + sealed + b"--Encrypted Boundary--\r\n"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server_version, sys_version = "Microsoft-HTTPAPI/2.0", ""
    service = options = None
    context = None
    granted = {}  # headers of the answer

    def log_message(self, *args):
        pass

    def reply(self, status, body=b"", kind="application/soap+xml;charset=UTF-8", **headers):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        data = self.rfile.read(int(self.headers["Content-Length"]))
        trouble = None
        with self.service.lock:
            if self.path != "/wsman":
                return self.reply(404)
            first = (self.service.trouble or [""])[0]
            if first == "leg":  # between two tokens
                if not data and self.context is not None and not self.context.complete:
                    self.service.trouble.pop(0)
                    self.close_connection = True
                    return self.connection.close()
            elif first and first.split(":")[0] not in ("relates", "truncate", "die", "drip") and (data or not self.options.scheme):
                trouble = self.service.trouble.pop(0)
        if trouble == "401":
            self.context = None
            return self.reply(401, WWW_Authenticate=self.options.scheme or 'Basic realm="WSMAN"')
        if trouble == "close":
            self.close_connection = True
            return self.connection.close()
        if not (self.negotiate(data) if self.options.scheme else self.basic()):
            return None
        if trouble and self.make(trouble):
            return None
        return self.serve(data)

    def make(self, trouble):
        """TRUE: that was the answer."""
        what, _, value = trouble.partition(":")
        if what == "sleep":
            threading.Event().wait(float(value))
            return False
        body = {"garbage": b"<s:Envelope <<<", "empty": b"", "html": b"<html>no</html>"}.get(what)
        if what == "huge":
            body = b"<s:Envelope>" + b"x" * int(value)
        if what == "deep":
            body = b"<a>" * int(value)
        if what == "bomb":  # small until it is unpacked
            self.reply(200, gzip.compress(b"<s:Envelope>" + b"x" * int(value), 1), Content_Encoding="gzip")
            return True
        if what == "fault":
            body = self.service.fault(Fault("w:InternalError", f"told to: {value}", int(value)), "uuid:x").encode()
        self.reply(500 if what in ("empty", "fault") else 200, body)
        return True

    def in_pieces(self, status, body, announced, seconds):
        """Over that time; fewer bytes than announced when the connection ends early."""
        self.send_response(status)
        self.send_header("Content-Type", "application/soap+xml;charset=UTF-8")
        self.send_header("Content-Length", str(announced))
        self.end_headers()
        step = len(body) // 20 + 1
        for at in range(0, len(body), step):
            self.wfile.write(body[at:at + step])
            time.sleep(seconds / 20)
        self.close_connection = len(body) < announced

    def basic(self):
        given = self.headers.get("Authorization", "")
        if given == "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode():
            return True
        self.reply(401, WWW_Authenticate='Basic realm="WSMAN"')
        return False

    def negotiate(self, data):
        """TRUE: the message is for the service. Over https each message brings its ticket."""
        scheme, given = self.options.scheme, self.headers.get("Authorization", "")
        alone = self.options.kerberos and not self.options.http
        self.granted = {}
        if not given or alone:
            if self.context is not None and self.context.complete and not alone:
                return True
            if not given:
                self.reply(401, WWW_Authenticate=scheme)
                return False
        if bool(data) != alone:
            raise ValueError("a token with a body, or a ticket without one")
        try:
            if given.split(" ", 1)[0] != scheme:
                raise ValueError("another scheme")
            token = base64.b64decode(given.split(" ", 1)[1])
            if self.options.kerberos:
                self.context = tickets.Acceptor(self.options.binding)
            elif token.startswith(b"NTLMSSP\0\1"):
                self.context = (ntlm.ByImpacket(USER, PASSWORD, self.options.binding) if self.options.impacket
                                else ntlm.ByGssapi(self.options.binding))
            out = self.context.step(token)
            complete = self.context.complete
        except Exception:  # pylint: disable=broad-except  # GSSError has no name before its module is loaded
            self.context = None
            self.reply(401, WWW_Authenticate=scheme)
            return False
        more = {"WWW_Authenticate": f"{scheme} {base64.b64encode(out).decode()}"} if out else {}
        if complete and alone:
            self.granted = more
            return True
        self.reply(200 if complete else 401, **more)
        return False

    def patiently(self, data, base):
        begin = time.monotonic()
        try:
            with self.service.lock:
                return self.service.answer(data, base)
        except Idle as idle:
            while True:
                with self.service.lock:
                    if answer := idle.take(time.monotonic() - begin):
                        return answer
                time.sleep(0.05)

    def serve(self, data):
        sealed = self.options.scheme and self.options.http
        protocol = b"Kerberos" if self.options.kerberos else b"SPNEGO"
        try:
            if sealed:
                data = unseal(self.context, protocol, data)
            elif self.headers["Content-Type"] != "application/soap+xml;charset=UTF-8":
                raise ValueError(f"Content-Type {self.headers['Content-Type']}")
            scheme = "http" if self.options.http else "https"
            status, text = self.patiently(data, f"{scheme}://127.0.0.1:{self.server.server_address[1]}")
        except (ValueError, KeyError, AttributeError, ntlm.Refused, ElementTree.ParseError) as wrong:
            self.service.strict.append(f"{type(wrong).__name__}: {wrong}")
            return self.reply(400, str(wrong).encode())
        body = text.encode()
        if self.service.trouble and self.service.trouble[0] == "relates":
            self.service.trouble.pop(0)
            body = re.sub(rb"<a:RelatesTo>[^<]*", b"<a:RelatesTo>uuid:0", body)
        if self.service.trouble and self.service.trouble[0] == "truncate":
            self.service.trouble.pop(0)
            body = body[:len(body) // 2]
        if self.service.trouble and self.service.trouble[0].split(":")[0] in ("die", "drip"):
            what, _, value = self.service.trouble.pop(0).partition(":")
            return self.in_pieces(status, body[:len(body) // 2] if what == "die" else body, len(body), float(value or 0))
        if sealed:
            return self.reply(status, seal(self.context, protocol, body), 'multipart/encrypted;protocol="application/'
                              f'HTTP-{protocol.decode()}-session-encrypted";boundary="Encrypted Boundary"')
        return self.reply(status, body, **self.granted)


class Control(http.server.BaseHTTPRequestHandler):
    """POST of an expression in Python, in which `service` and `host` are known; the answer is its value as JSON."""
    service = None

    def log_message(self, *args):
        pass

    def do_POST(self):
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        with self.service.lock:
            try:
                value = eval(text, {"service": self.service, "host": self.service.host})  # pylint: disable=eval-used
            except Exception as wrong:  # pylint: disable=broad-except
                value = {"error": repr(wrong)}
        body = json.dumps(value, default=lambda one: one.values if isinstance(one, Instance) else str(one)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Options:
    def __init__(self, args):
        self.http, self.japanese = "--http" in args, "--japanese" in args
        self.impacket = "--ntlm=impacket" in args
        self.ntlm, self.kerberos = self.impacket or "--ntlm" in args, "--kerberos" in args
        self.scheme = "Kerberos" if self.kerberos else "Negotiate" if self.ntlm else None
        number = lambda name, value: next((int(a.split("=")[1]) for a in args if a.startswith(name)), value)  # noqa: E731
        self.batch, self.polls = number("--batch=", 32000), number("--polls=", 2)
        self.machines = number("--machines=", 0)
        self.strict, self.binding = next((a for a in args if a.startswith("--strict")), None), None


def binding_of(pem):
    """RFC 5929, tls-server-end-point. CbtHardeningLevel=Strict of WinRM wants it. [DOC]"""
    text = subprocess.run(["openssl", "x509", "-in", pem, "-noout", "-text"], check=True, capture_output=True, text=True).stdout
    name = re.search(r"Signature Algorithm: .*?(sha\d+)", text).group(1)
    with open(pem, encoding="ascii") as stream:
        der = ssl.PEM_cert_to_DER_cert(re.search("-----BEGIN CERT.*", stream.read(), re.DOTALL).group(0))
    return b"tls-server-end-point:" + hashlib.new("sha256" if name == "sha1" else name, der).digest()


def main():
    folder, options = sys.argv[1], Options(sys.argv[2:])
    if options.ntlm:
        os.environ["NTLM_USER_FILE"] = os.path.join(folder, "ntlm-users")
        with open(os.environ["NTLM_USER_FILE"], "w", encoding="ascii") as users:
            users.write(f"DOMAIN:{USER}:{PASSWORD}\n")
    if options.strict:  # the other one is as if somebody stood between it and the client
        options.binding = binding_of(os.path.join(folder, "server.pem")) + b"x" * options.strict.endswith("other")
    host = Host(japanese=options.japanese, job_polls=options.polls)
    for number in range(options.machines):
        host.make(f"vm{number:03}")
    service = Service(host, options.batch, "ja-JP" if options.japanese else "en-US", "--events" in sys.argv)
    Handler.service = Control.service = service
    Handler.options = options
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if not options.http:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(os.path.join(folder, "server.pem"))
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    control = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Control)
    with open(os.path.join(folder, "ports.new"), "w", encoding="ascii") as ports:
        ports.write(f"{server.server_address[1]} {control.server_address[1]}")
    os.rename(os.path.join(folder, "ports.new"), os.path.join(folder, "ports"))
    threading.Thread(target=control.serve_forever, daemon=True).start()
    server.serve_forever()


if __name__ == "__main__":
    main()
