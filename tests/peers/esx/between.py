# SPDX-License-Identifier: LGPL-2.1-or-later
"""Stands between the driver and the simulator: sees what is asked, and can harm what is answered."""
import contextlib
import http.client
import http.server
import re
import ssl
import threading
import time


class Between(http.server.ThreadingHTTPServer):
    """Hands requests over plain HTTP to the simulator; `harm` does something to the answers of the methods in `to`."""
    daemon_threads = True

    def __init__(self, server):
        super().__init__(("127.0.0.1", 0), Handler)
        self.target, self.harm, self.to, self.seen, self.harmed = server, None, "", [], 0
        self.answered = {}  # when the last answer of each method was sent
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        pass  # the client went away


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *unused):  # pylint: disable=arguments-differ
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        method = re.search(rb"<(?:\w+:)?Body>\s*<(?:\w+:)?(\w+)", body)[1].decode()
        self.server.seen.append(method)
        kept = {key: self.headers[key] for key in ("Content-Type", "SOAPAction", "Cookie") if self.headers[key]}
        with contextlib.closing(http.client.HTTPSConnection(
                self.server.target, context=ssl._create_unverified_context(), timeout=90)) as target:
            target.request("POST", self.path, body, kept)
            answer = target.getresponse()
            data, cookie = answer.read(), answer.getheader("Set-Cookie")
        self.connection.settimeout(60)
        harm = self.server.harm if re.fullmatch(self.server.to, method) else None
        if harm:
            self.server.harmed += 1
        if harm == "cut":
            self.send(answer.status, data[:len(data) // 2], cookie, len(data))
            self.close_connection = True
        elif harm == "drip":
            self.send(answer.status, b"", cookie, len(data))
            for i in range(min(len(data), 100)):
                self.wfile.write(data[i:i + 1])
                time.sleep(1)
            self.close_connection = True
        elif harm in ("huge", "endless"):
            end = data.index(b"</" + method.encode() + b"Response>")
            more = b"<more>" + b"x" * 1011 + b"</more>"  # 1 KiB
            self.send(answer.status, data[:end] + more * ((50 if harm == "huge" else 100) << 10) + data[end:], cookie)
        elif harm == "garbage":
            self.send(200, bytes(range(256)) * 16, None)
        elif harm == "page":
            self.send(502, b"<html>Bad gateway</html>", None)
        else:
            self.server.answered[method] = time.monotonic()
            self.send(answer.status, data, cookie)

    def do_GET(self):
        with contextlib.closing(http.client.HTTPSConnection(
                self.server.target, context=ssl._create_unverified_context(), timeout=90)) as target:
            target.request(self.command, self.path, headers={"Cookie": self.headers.get("Cookie", "")})
            answer = target.getresponse()
            data, length = answer.read(), int(answer.headers["Content-Length"])
        cut = self.server.harm == "cut" and re.fullmatch(self.server.to, self.command)
        self.server.harmed += bool(cut)
        self.send(answer.status, data[:len(data) // 2] if cut else data, None, length)
        self.close_connection = True

    do_HEAD = do_GET

    def send(self, status, data, cookie, length=None):
        self.send_response(status)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(data) if length is None else length))
        if cookie:
            self.send_header("Set-Cookie", re.sub(";? ?Secure", "", cookie))
        self.end_headers()
        self.wfile.write(data)
