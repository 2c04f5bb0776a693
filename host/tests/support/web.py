"""A web server of one file."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server:
    """Serves one file; ``requests`` are the ranges asked for."""

    def __init__(self, path):
        outer = self
        self.requests = []
        #: Ends a connection after so many bytes, once.
        self.break_after = None
        self.ranges = True

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                data = path.read_bytes()
                asked = self.headers.get("Range")
                outer.requests.append(asked)
                start = 0
                if asked and outer.ranges:
                    start = int(asked[len("bytes=") : -1])
                    if start >= len(data):
                        self.send_error(416)
                        return
                    self.send_response(206)
                else:
                    self.send_response(200)
                self.send_header("Content-Length", str(len(data) - start))
                self.end_headers()
                if outer.break_after is not None:
                    data, outer.break_after = data[: start + outer.break_after], None
                self.wfile.write(data[start:])

            def log_message(self, *_arguments):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/image"

    def stop(self):
        self._server.shutdown()
        self._server.server_close()
