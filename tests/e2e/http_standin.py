# SPDX-License-Identifier: MIT
"""An HTTP server in whose place a test answers. Apart from harness.py, as most tests need none and its imports take longer than
all others."""

import http.server
import ssl
import threading


class HttpStandin(http.server.ThreadingHTTPServer):
    """An HTTP server. `answer(request, body)` gets the handler, which has path and headers, and returns (status, headers,
    bytes), or None to close the connection, maybe after it wrote by itself. `over` is set when the test ends."""
    daemon_threads = True

    def __init__(self, answer, tls=None):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                answered = answer(self, self.rfile.read(int(self.headers.get("Content-Length", 0))))
                self.close_connection |= answered is None
                if answered:
                    status, headers, text = answered
                    self.send_response(status)
                    for name, value in {"Content-Length": len(text), **headers}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(text)

            do_POST = do_GET

            def log_message(self, *arguments):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.over = threading.Event()
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, *arguments):
        pass  # a connection that was cut

    def __exit__(self, *arguments):
        self.over.set()
        self.shutdown()
        self.server_close()
