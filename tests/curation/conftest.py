"""A web server on loopback, images, and a small embedder."""

import io
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image
from sklearn.base import BaseEstimator, TransformerMixin

from ltlearn.images import read_image


class Server:
    """HTTP server whose answers are functions by path; it records what was asked.

    ``routes[path]`` takes the request handler and answers; ``hits`` lists the paths and
    ``bodies`` the contents of the requests, in order.
    """

    def __init__(self, address):
        self.routes = {}
        self.hits = []
        self.bodies = []
        self.stopping = threading.Event()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                owner.hits.append(self.path)
                length = int(self.headers.get("Content-Length", 0))
                owner.bodies.append(self.rfile.read(length))
                self.close_connection = True
                route = owner.routes.get(self.path.partition("?")[0])
                try:
                    if route is None:
                        owner.answer(self, 404, b"")
                    else:
                        route(self)
                except OSError:
                    pass  # the client hung up

            do_POST = do_GET

            def log_message(self, *args):
                pass

        self._server = ThreadingHTTPServer((address, 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://{address}:{self.port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}
        )
        self._thread.start()

    @staticmethod
    def answer(handler, status, body, headers=()):
        headers = {"Content-Length": str(len(body)), **dict(headers)}
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    def fixed(self, body, content_type="image/png", status=200, headers=()):
        """Route with always the same answer."""
        headers = {"Content-Type": content_type, **dict(headers)}
        return lambda handler: self.answer(handler, status, body, headers)

    def redirect(self, location, status=302):
        return lambda handler: self.answer(handler, status, b"", {"Location": location})

    def close(self):
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def serve():
    """Starts servers: ``serve()`` on 127.0.0.1, ``serve("127.0.0.2")`` elsewhere on loopback."""
    servers = []

    def start(address="127.0.0.1"):
        servers.append(Server(address))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


class Pictures:
    @staticmethod
    def make(color, seed=0, size=(24, 24), spread=40):
        """Noisy image (H, W, 3), uint8, around an RGB color."""
        noise = np.random.default_rng(seed).normal(0, spread, (*size, 3))
        return np.clip(np.asarray(color) + noise, 0, 255).astype(np.uint8)

    @staticmethod
    def encode(image, image_format="PNG", **options):
        data = io.BytesIO()
        Image.fromarray(image).save(data, image_format, **options)
        return data.getvalue()


class MeanColor(TransformerMixin, BaseEstimator):
    """Embeds arrays (n, H, W, 3) or paths: mean color, centered at grey, and a constant."""

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        images = [read_image(x) if isinstance(x, str) else x for x in X]
        means = np.array([np.asarray(image).mean(axis=(0, 1)) for image in images])
        return np.column_stack([means / 128 - 1, np.full(len(means), 0.05)])


@pytest.fixture(scope="session")
def pictures():
    return Pictures


@pytest.fixture(scope="session")
def mean_color():
    return MeanColor()
