import contextlib, json, logging, queue, re, socket, urllib.request
from urllib.parse import urlsplit, urlunsplit

import record
from case import drop, each, ENDPOINT, entered, equal, KEY, throws, v

# Answers every method with what it was asked.
ECHO = """
import http.server
class Echo(http.server.BaseHTTPRequestHandler):
    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        user = self.headers.get("X-Langsmith-User-Token") or ""
        data = f"{self.command} {self.path} {body.decode()} {user}".strip().encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer
    def log_message(self, *args): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Echo)
print("serving", server.server_port, flush=True)
server.serve_forever()
"""


async def serve(box):
    """The port of a server in a sandbox, until the sandbox is deleted. It is any, as
    sandboxes without a network of their own share the machine's."""
    await v(box.write("/tmp/echo.py", ECHO))
    handle = await v(box.run("exec python3 echo.py 2>&1", cwd="/tmp", wait=False))
    out = ""
    async for chunk in each(handle):
        out += chunk.data
        if said := re.search(r"serving (\d+)\n", out):
            return int(said[1])
    raise AssertionError("the server in the sandbox ended")


def free_port():
    """A tunnel listens on the port's own number by default, which others may have."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def fetch(port):
    with socket.create_connection(("127.0.0.1", port), 30) as s:
        data = b""
        with contextlib.suppress(ConnectionResetError):
            s.sendall(b"GET /page HTTP/1.0\r\n\r\n")
            while piece := s.recv(65536):
                data += piece
    return data.rpartition(b"\r\n\r\n")[2]


@contextlib.contextmanager
def logged():
    """What the tunnels of the client say, who tell nobody else."""
    entries, handler = queue.Queue(), logging.Handler()
    handler.emit = entries.put
    logger = logging.getLogger("langsmith.sandbox._tunnel")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield entries
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)


async def methods(service):
    answer = await v(service.get("/page"))
    equal((answer.status_code, answer.text), (200, "GET /page"))
    equal((await v(service.post("/a", content="b"))).text, "POST /a b")
    equal((await v(service.put("/a", content="b"))).text, "PUT /a b")
    equal((await v(service.patch("/a", content="b"))).text, "PATCH /a b")
    equal((await v(service.delete("/a"))).text, "DELETE /a")
    equal((await v(service.request("GET", "a?b=c"))).text, "GET /a?b=c")


async def addresses(kit, service):
    """What the getters say; both of them, where the client has two."""
    got = (service.token, service.service_url, service.browser_url, service.expires_at)
    equal(all(got), True)
    if kit.asynchronous:
        equal(got, (await service.get_token(), await service.get_service_url(),
                    await service.get_browser_url(), await service.get_expires_at()))


def open_as_local(url, path, headers):
    """Reach a service's own host, which resolves on this machine or not."""
    parts = urlsplit(url)
    local = urlunsplit(("http", f"127.0.0.1:{parts.port}", path, "", ""))
    request = urllib.request.Request(local, headers={"Host": parts.netloc, **headers})
    with urllib.request.urlopen(request) as answer:
        return answer.read().decode()


def cases(kit):
    boxed, sdk = kit.boxed, kit.sdk

    @boxed("services", "a port by its URL and token, with every method")
    async def _(client, box):
        port = await serve(box)
        service = await v(box.service(port))
        await methods(service)
        await addresses(kit, service)
        equal((await v((await v(client.service(box.name, port))).get("/x"))).text, "GET /x")

    @boxed("tunnels", "a port, with two connections")
    async def _(client, box):
        port = await serve(box)
        local = free_port()
        async with entered(await v(box.tunnel(port, local_port=local))) as tunnel:
            equal((tunnel.remote_port, tunnel.local_port), (port, local))
            equal(fetch(local), b"GET /page")
            equal(fetch(local), b"GET /page")
            tunnel.close()

    @boxed("tunnels", "a port on which nothing listens: the connection ends, and the client's log says why")
    async def _(client, box):
        with logged() as entries:
            async with entered(await v(box.tunnel(8001, local_port=free_port()))) as tunnel:
                equal(fetch(tunnel.local_port), b"")
                equal(entries.get(timeout=30).getMessage(), "tunnel: nothing listening on port 8001 inside sandbox")

    @boxed("tunnels", "connections after the line is dropped")
    async def _(client, box):
        port = await serve(box)
        async with entered(await v(box.tunnel(port, local_port=free_port()))) as tunnel:
            equal(fetch(tunnel.local_port), b"GET /page")
            drop()
            got = b""
            while not got:  # those that come before the client has seen it end
                got = fetch(tunnel.local_port)
            equal(got, b"GET /page")

    @boxed("tunnels", "of a sandbox that is gone: the connection ends, and the client's log says why")
    async def _(client, box):
        with logged() as entries:
            async with entered(await v(box.tunnel(8001, local_port=free_port(), max_reconnects=1))) as tunnel:
                await v(box.delete())
                error = None
                while not isinstance(error, sdk.TunnelError):  # others come before it has seen the end
                    equal(fetch(tunnel.local_port), b"")
                    error = (*entries.get(timeout=30).args, None)[0]
                record.caught(error, sdk.TunnelError)

    if kit.generation == 1:
        return

    @boxed("services", "embed: who may show a service in a frame")
    async def _(client, box):
        port = await serve(box)
        service = await v(client.service(box.name, port, expires_in_seconds=60, embed_origins=["https://app.example.com"]))
        equal(service.embed_origins, ["https://app.example.com"])
        equal(service.embed_url.partition("#")[2].endswith(service.token), True)
        if kit.asynchronous:
            equal(await service.get_embed_url(), service.embed_url)
        equal((await v(service.get("/page"))).text, "GET /page")
        parts = urlsplit(service.embed_url)
        equal("<script>" in open_as_local(service.embed_url, parts.path, {}), True)

    @boxed("services", "login: the key opens it, and its user's token verifies")
    async def _(client, box):
        port = await serve(box)
        login = await v(client.service(box.name, port, access="restricted"))
        equal((login.access, bool(login.url)), ("restricted", True))
        answer = open_as_local(login.url, "/page", {"X-Api-Key": KEY})
        method, path, token = answer.split()
        equal((method, path), ("GET", "/page"))
        root = ENDPOINT.partition("/v2/")[0]
        verifier = sdk.SandboxTokenVerifier(jwks_url=root + "/.well-known/jwks.json")
        verify = verifier.averify_user_token if kit.asynchronous else verifier.verify_user_token
        user = await v(verify(token, audience=urlsplit(login.url).netloc))
        equal(bool(user.subject), True)
        await throws(sdk.SandboxTokenVerificationError, lambda: verify(token, audience="other.example.com"))
        callback = verifier.averify_callback if kit.asynchronous else verifier.verify_callback
        await throws(sdk.SandboxTokenVerificationError, lambda: callback(
            body=json.dumps({}), signature=token, aud="https://example.com"))
