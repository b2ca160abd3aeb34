# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: kit.py BUILD PROJECT MODULE-CHECK INSPECT

Drivers with the static kit in them, built from what is installed, never from this tree. They still export one symbol
and take nothing of ours at run time. The one that makes SOAP calls makes one; the other has no use for libcurl."""
import http.server
import shutil
import sys
import tempfile
import threading
from pathlib import Path

from devkit import installed, run


ANSWER = b"""<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body><PlantResponse xmlns="urn:park">
<returnval><name>oak &amp; elm</name></returnval><returnval><name/><metres>4</metres></returnval>
</PlantResponse></e:Body></e:Envelope>"""


class Park(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        known = b'<Plant xmlns="urn:park"><tree><name>oak &amp; elm</name><metres>3</metres></tree></Plant>' in body
        self.send_response(200 if known else 400)
        self.end_headers()
        self.wfile.write(ANSWER)


def main(build, project, check, inspect):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        env = installed(build, folder / "root")
        shutil.copytree(project, folder / "source")
        made = folder / "build"
        server = http.server.HTTPServer(("127.0.0.1", 0), Park)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        run("meson", "setup", f"-Dserver={url}", made, folder / "source", env=env)
        run("meson", "compile", "-C", made, "-j", "2", env=env)
        run("meson", "test", "-C", made, "--print-errorlogs", env=env)
        for name, curl in ("kituser", False), ("soapuser", True):
            print(run(sys.executable, "-B", check, made / f"{name}.so"))
            assert f"name:       {name}\n" in run(inspect, made / f"{name}.so")
            needed = run("readelf", "-d", made / f"{name}.so")
            assert ("libcurl.so" in needed) == curl, needed


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    main(*sys.argv[1:])
