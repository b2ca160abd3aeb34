# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: soap-server.py http | https CERT KEY | proxy | again PORT

A server that misbehaves as it is told, for tests/unit/kit/test-soap.c. Prints its port; ends when its standard input does.
How to answer is the <filter> of <List>; what happened so far is in the answer's <total> and <tag>s."""
import gzip
import re
import socket
import ssl
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HEAD = ('<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><s:Body>')
TAIL = "</s:Body></s:Envelope>"
PASSWORD = "open sesame"
lock = threading.Lock()
state = {"logins": 0, "tries": 0, "session": None, "seen": {}, "files": {}}


def fault(kind, text="no"):
    return 500, (f"{HEAD}<s:Fault><faultcode>ServerFaultCode</faultcode><faultstring>{text}</faultstring>"
                 f'<detail><{kind}Fault xsi:type="{kind}"/></detail></s:Fault>{TAIL}')


def animals(names, total=0):
    items = "".join(f"<returnval><name>{name}</name></returnval>" for name in names)
    return 200, f"{HEAD}<ListResponse>{items}<total>{total}</total></ListResponse>{TAIL}"


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        pass


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def send(self, status, text, headers=(), lie=0):
        body = text if isinstance(text, bytes) else text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/xml; charset=utf-8")
        self.send_header("Content-Length", str(len(body) + lie))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def hang_up(self):
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    # ---- SOAP

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        operation = re.search(r"<e:Body><(\w+)", body)[1]
        if self.path.startswith("/missing"):
            self.send(404, "")
        elif self.path.startswith("/basic") and self.headers["Authorization"] != "Basic bWU6b3BlbiBzZXNhbWU=":
            self.send(401, "")
        elif operation == "Login":
            self.login(body)
        elif operation == "Feed":
            with lock:
                state["seen"]["feed"] = state["seen"].get("feed", 0) + 1
            self.hang_up()
        elif operation == "List":
            word, _, rest = (re.search(r"<filter>(.*?)</filter>", body) or [0, "names"])[1].partition(":")
            getattr(self, "list_" + word)(rest)

    def login(self, body):
        with lock:
            state["tries"] += 1
            time.sleep(0.2)
            fine = f"<password>{PASSWORD}</password>" in body
            if fine:
                state["logins"] += 1
                state["session"] = f"session-{state['logins']}"
        if fine:
            self.send(200, f"{HEAD}<LoginResponse><ticket>secret-ticket</ticket></LoginResponse>{TAIL}",
                      [("Set-Cookie", f"sid={state['session']}; Path=/; HttpOnly")])
        else:
            self.send(*fault("BadLogin", "wrong password"))

    def list_names(self, _):
        via = self.headers["Via"] or "direct"
        self.send(*animals([str(self.client_address[1]), self.headers["SOAPAction"], via]))

    def list_slow(self, rest):
        time.sleep(int(rest) / 1000)
        self.send(*animals(["slow"]))

    def list_session(self, _):
        with lock:
            known = state["session"] and f"sid={state['session']}" in (self.headers["Cookie"] or "")
        self.send(*(animals(["in"], state["logins"]) if known else fault("NotAuthenticated", "log in first")))

    def list_expire(self, _):
        state["session"] = None
        self.send(*animals([], state["logins"]))

    def list_count(self, rest):
        self.send(*animals([], state["tries"] if rest == "tries" else state["seen"].get(rest, 0)))

    def list_close(self, _):
        self.send(*animals(["bye"]))
        self.hang_up()          # without having said so

    def list_drop(self, rest):
        """Hangs up without an answer, the first time."""
        with lock:
            first = rest not in state["seen"]
            state["seen"][rest] = state["seen"].get(rest, 0) + 1
        if first:
            self.hang_up()
        else:
            self.send(*animals(["again"]))

    def list_truncated(self, _):
        self.send(*animals(["cut"]), lie=100)
        self.hang_up()

    def list_cut(self, _):
        status, text = animals(["cut"])
        self.send(status, text[:-30])

    def list_garbage(self, _):
        self.send(200, b"\xff\xfe\0 not XML \x80")

    def list_html(self, _):
        self.send(500, "<html><body>proxy error</body></html>")

    def list_big(self, rest):
        self.send(*animals(["x" * 1000] * int(rest)))

    def list_zip(self, rest):
        body = gzip.compress(animals(["x" * 1000] * int(rest))[1].encode())
        self.send(200, body, [("Content-Encoding", "gzip")])

    def list_loris(self, _):
        self.send_response(200)
        self.send_header("Content-Length", "100000")
        self.end_headers()
        for _ in range(200):
            self.wfile.write(b" ")
            self.wfile.flush()
            time.sleep(0.05)

    # ---- files

    def do_PUT(self):
        left, data = int(self.headers["Content-Length"]), bytearray()
        while left:
            part = self.rfile.read(min(left, 65536))
            data += part
            left -= len(part)
        state["files"][self.path] = bytes(data)
        self.send(201, "")

    def do_HEAD(self):
        if self.path not in state["files"]:
            return self.send_error(404)
        self.send_response(200)
        self.send_header("Content-Length", str(len(state["files"][self.path])))
        self.end_headers()

    def do_GET(self):
        data, status = state["files"].get(self.path), 200
        if self.path == "/stall":
            self.send(200, b"begin", lie=10)
            time.sleep(30)
        if data is None:
            return self.send_error(404)
        part = re.match(r"bytes=(\d+)-(\d*)", self.headers["Range"] or "")
        if part and not self.path.startswith("/whole"):
            status, data = 206, data[int(part[1]):int(part[2]) + 1 if part[2] else None]
        self.send(status, data)

    def do_DELETE(self):
        self.send(200 if state["files"].pop(self.path, None) is not None else 404, "")


class Proxy(BaseHTTPRequestHandler):
    """Plain requests are sent on, marked; CONNECT is a tunnel. Each is told on standard output."""
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_CONNECT(self):
        print("CONNECT", flush=True)
        host, port = self.path.rsplit(":", 1)
        far = socket.create_connection((host, int(port)))
        self.send_response(200)
        self.end_headers()
        thread = threading.Thread(target=self.pump, args=(far, self.connection), daemon=True)
        thread.start()
        self.pump(self.connection, far)
        self.close_connection = True

    def pump(self, source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def do_POST(self):
        print("POST", flush=True)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server, path = re.match(r"http://([^/]+)(/.*)", self.path).groups()
        host, port = server.rsplit(":", 1)
        with socket.create_connection((host, int(port))) as far:
            lines = [f"{name}: {value}" for name, value in self.headers.items() if name.lower() != "proxy-connection"]
            far.sendall("\r\n".join([f"POST {path} HTTP/1.1", "Via: the-proxy", "Connection: close", *lines, "", ""])
                        .encode() + body)
            while data := far.recv(65536):
                self.wfile.write(data)
        self.close_connection = True


def main(kind, *files):
    server = Server(("127.0.0.1", int(files[0]) if kind == "again" else 0), Proxy if kind == "proxy" else Handler)
    if kind == "https":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*files)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
