# SPDX-License-Identifier: LGPL-2.1-or-later
"""Acceptors of NTLM with one interface: gss-ntlmssp's, and one of MS-NLMP on impacket's cryptography, which shares no code
with what the driver uses."""
import hashlib
import hmac
import os
import struct

OID = "1.3.6.1.4.1.311.2.2.10"


class Refused(Exception):
    pass


def acceptor(oid, binding):
    """binding: of the server's certificate, as a host that is strict about it wants it; None: it does not."""
    import gssapi
    mech = gssapi.OID.from_int_seq(oid)
    bound = {"channel_bindings": gssapi.raw.ChannelBindings(application_data=binding)} if binding else {}
    return gssapi.SecurityContext(creds=gssapi.Credentials(usage="accept", mechs=[mech]), usage="accept", **bound)


class ByGssapi:
    def __init__(self, binding=None):
        self.context = acceptor(OID, binding)

    @property
    def complete(self):
        return self.context.complete

    def step(self, token):
        return self.context.step(token)

    def unseal(self, header, text):
        if len(header) != 16:
            raise ValueError("the signature of NTLM has 16 bytes")
        plain = self.context.unwrap(header + text)
        if not plain.encrypted:
            raise ValueError("not encrypted")
        return plain.message

    def seal(self, text):
        sealed = self.context.wrap(text, True).message
        return sealed[:16], sealed[16:]


class ByImpacket:
    """NTLMv2 with extended session security and key exchange, as Windows negotiates it."""

    def __init__(self, user, password, binding=None):
        self.user, self.password, self.binding = user, password, binding
        self.challenge = os.urandom(8)
        self.complete = False
        self.messages = []

    def step(self, token):
        from impacket import ntlm
        self.messages.append(token)
        if token[8:12] == b"\1\0\0\0":
            return self.negotiate(ntlm, token)
        self.authenticate(ntlm, token)
        return None

    def negotiate(self, ntlm, token):
        wanted = (ntlm.NTLMSSP_NEGOTIATE_SIGN | ntlm.NTLMSSP_NEGOTIATE_SEAL | ntlm.NTLMSSP_NEGOTIATE_KEY_EXCH
                  | ntlm.NTLMSSP_NEGOTIATE_EXTENDED_SESSIONSECURITY | ntlm.NTLMSSP_NEGOTIATE_128)
        flags = struct.unpack_from("<I", token, 12)[0]
        if flags & wanted != wanted:
            raise Refused(f"flags {flags:#x}")
        flags &= (wanted | ntlm.NTLMSSP_NEGOTIATE_UNICODE | ntlm.NTLMSSP_NEGOTIATE_NTLM | ntlm.NTLMSSP_NEGOTIATE_ALWAYS_SIGN
                  | ntlm.NTLMSSP_REQUEST_TARGET | ntlm.NTLMSSP_NEGOTIATE_VERSION)
        flags |= ntlm.NTLMSSP_NEGOTIATE_TARGET_INFO | ntlm.NTLMSSP_TARGET_TYPE_SERVER
        name = "HV1".encode("utf-16le")
        info = b"".join(struct.pack("<HH", kind, len(name)) + name for kind in (2, 1, 4, 3)) + b"\0\0\0\0"
        head = b"NTLMSSP\0" + struct.pack("<IHHII", 2, len(name), len(name), 56, flags) + self.challenge + b"\0" * 8
        head += struct.pack("<HHI", len(info), len(info), 56 + len(name)) + b"\x0a\0\x63\x4f\0\0\0\x0f"
        self.messages.append(head + name + info)
        return self.messages[-1]

    def authenticate(self, ntlm, token):
        def field(at):
            length, _, offset = struct.unpack_from("<HHI", token, at)
            return token[offset:offset + length]
        answer, domain, user = field(20), field(28).decode("utf-16le"), field(36).decode("utf-16le")
        if user != self.user:
            raise Refused("user")
        key = ntlm.NTOWFv2(user, self.password, domain)
        proof = hmac.new(key, self.challenge + answer[16:], "md5").digest()
        if proof != answer[:16]:
            raise Refused("password")
        if self.binding and self.bound(answer) != hashlib.md5(
                struct.pack("<IIIII", 0, 0, 0, 0, len(self.binding)) + self.binding).digest():
            raise Refused("channel binding")
        flags = struct.unpack_from("<I", token, 60)[0]
        session = ntlm.ARC4.new(hmac.new(key, proof, "md5").digest()).decrypt(field(52))
        self.flags = flags
        self.keys = {side: ntlm.SIGNKEY(flags, session, side) for side in ("Client", "Server")}
        self.streams = {side: ntlm.ARC4.new(ntlm.SEALKEY(flags, session, side)).encrypt for side in ("Client", "Server")}
        self.numbers = {"Client": 0, "Server": 0}
        self.complete = True

    @staticmethod
    def bound(answer):
        """MsvAvChannelBindings of the pairs that the client gives back; None: none."""
        at = 44
        while at < len(answer):
            kind, length = struct.unpack_from("<HH", answer, at)
            if kind in (0, 10):
                return answer[at + 4:at + 4 + length] if kind else None
            at += 4 + length
        return None

    def signature(self, side, plain):
        from impacket import ntlm
        made = ntlm.MAC(self.flags, self.streams[side], self.keys[side], self.numbers[side], plain).getData()
        self.numbers[side] += 1
        return made

    def unseal(self, header, text):
        plain = self.streams["Client"](text)
        if self.signature("Client", plain) != header:
            raise Refused("signature")
        return plain

    def seal(self, plain):
        sealed = self.streams["Server"](plain)
        return self.signature("Server", plain), sealed
