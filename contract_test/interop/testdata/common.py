"""Cases that both generations of the Python client have."""
import asyncio, socket
from case import CONFIG, drop, equal, test, throws


def free_port():
    """A tunnel listens on the port's own number by default, which others may have."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def fetch(port):
    with socket.create_connection(("127.0.0.1", port), 30) as s:
        s.sendall(b"GET /index.html HTTP/1.0\r\n\r\n")
        data = b""
        while piece := s.recv(65536):
            data += piece
    return data.rpartition(b"\r\n\r\n")[2]


def serve(box):
    box.write("/tmp/web/index.html", "hello")
    handle = box.run("cd /tmp/web && exec python3 -u -m http.server 8000 2>&1", wait=False)
    for chunk in handle:
        if "Serving" in chunk.data:
            return handle
    raise AssertionError("the server in the sandbox ended")


def both(sdk, client, box, template=False, **stdin):
    @test("commands", "run with environment and directory")
    def _():
        r = box.run("echo $A; pwd; echo oops >&2; exit 3", env={"A": "é"}, cwd="/tmp")
        equal((r.stdout, r.stderr, r.exit_code), ("é\n/tmp\n", "oops\n", 3))

    @test("commands", "stream by callbacks")
    def _():
        out, err = [], []
        r = box.run("echo a; echo b >&2; echo c", on_stdout=out.append, on_stderr=err.append)
        equal(("".join(out), "".join(err), r.exit_code), ("a\nc\n", "b\n", 0))

    @test("commands", "stream by iteration")
    def _():
        handle = box.run("for i in 1 2 3; do echo $i; done", wait=False)
        equal("".join(c.data for c in handle), "1\n2\n3\n")
        equal(handle.result.exit_code, 0)

    @test("commands", "input")
    def _():
        handle = box.run("read a; echo got $a", wait=False, **stdin)
        handle.send_input("one\n")
        equal("".join(c.data for c in handle), "got one\n")

    @test("commands", "kill")
    def _():
        handle = box.run("sleep 1000", wait=False)
        handle.command_id
        handle.kill()  # the client ends its connection with it
        throws(sdk.SandboxConnectionError, lambda: handle.result)
        equal(box.reconnect(handle.command_id).result.exit_code, 137)

    @test("commands", "timeout")
    def _():
        throws(sdk.CommandTimeoutError, lambda: box.run("sleep 1000", timeout=1, wait=False).result)

    @test("commands", "reconnect by itself while it iterates")
    def _():
        handle = box.run("echo first; while [ ! -e /tmp/go ]; do sleep 0.05; done; echo last", wait=False)
        out = ""
        for chunk in handle:
            out += chunk.data
            if out == "first\n":
                drop()
                box.write("/tmp/go", "x")
        equal((out, handle.result.exit_code), ("first\nlast\n", 0))

    @test("commands", "reconnect from offsets")
    def _():
        handle = box.run("printf 0123456789", wait=False)
        equal(handle.result.stdout, "0123456789")
        equal("".join(c.data for c in box.reconnect(handle.command_id, stdout_offset=4)), "456789")

    @test("commands", "PTY")
    def _():
        equal(box.run("test -t 0 && test -t 1 && echo yes", pty=True).stdout, "yes\r\n")

    @test("files", "write and read text and bytes")
    def _():
        box.write("/tmp/deep/er/bytes", bytes(range(256)))
        equal(box.read("/tmp/deep/er/bytes"), bytes(range(256)))
        box.write("/tmp/text", "naïve\n")
        equal(box.read("/tmp/text").decode(), "naïve\n")

    @test("services", "a port by its URL and token")
    def _():
        handle = serve(box)
        answer = box.service(8000).get("/index.html")
        equal((answer.status_code, answer.text), (200, "hello"))
        handle.kill()

    @test("tunnels", "a port, with two connections")
    def _():
        handle = serve(box)
        with box.tunnel(8000, local_port=free_port()) as tunnel:
            equal(fetch(tunnel.local_port), b"hello")
            equal(fetch(tunnel.local_port), b"hello")
        handle.kill()

    @test("sandboxes", "stop and start")
    def _():
        client.stop_sandbox(box.name)
        equal(client.get_sandbox_status(box.name).status, "stopped")
        client.start_sandbox(box.name)
        equal(client.get_sandbox(box.name).run("echo up").stdout, "up\n")

    @test("errors", "authentication, not found")
    def _():
        wrong = sdk.SandboxClient(**{**CONFIG, "api_key": "wrong"})
        throws(sdk.SandboxAuthenticationError, wrong.list_sandboxes)
        throws(sdk.ResourceNotFoundError, lambda: client.get_sandbox("none"))
        throws(sdk.ResourceNotFoundError, lambda: box.read("/tmp/none"))

    @test("errors", "a server that cannot be reached")
    def _():
        away = sdk.SandboxClient(**{**CONFIG, "api_endpoint": "http://127.0.0.1:9"})
        throws(sdk.SandboxConnectionError, lambda: away.get_sandbox("none"))

    @test("errors", "operation: read of a directory, write below a file")
    def _():
        box.write("/tmp/plain", "x")
        throws(sdk.SandboxOperationError, lambda: box.read("/tmp"))
        throws(sdk.SandboxOperationError, lambda: box.write("/tmp/plain/below", "x"))

    @test("errors", "name conflict")
    def _():
        other = client.create_sandbox("p1") if template else client.create_sandbox()
        throws(sdk.ResourceNameConflictError, lambda: client.update_sandbox(other.name, new_name=box.name))
        client.delete_sandbox(other.name)

    @test("snapshots", "capture, get, list, boot, delete")
    def _():
        box.write("/home/kept", "kept")
        shot = client.capture_snapshot(box.name, "py-shot")
        equal(client.get_snapshot(shot.id).status, "ready")
        equal([s.id for s in client.list_snapshots() if s.name == "py-shot"], [shot.id])
        with client.sandbox(snapshot_id=shot.id) as other:
            equal(other.read("/home/kept"), b"kept")
        client.delete_snapshot(shot.id)


def asynchronous(sdk, create):
    """Cases of the asynchronous client; create is given one, and makes a sandbox."""
    @test("commands", "async: run, stream, reconnect by itself")
    async def _():
        client = sdk.AsyncSandboxClient(**CONFIG)
        async with await create(client) as box:
            r = await box.run("echo out; echo err >&2; exit 3")
            equal((r.stdout, r.stderr, r.exit_code), ("out\n", "err\n", 3))
            handle = await box.run(
                "echo first; while [ ! -e /tmp/go ]; do sleep 0.05; done; echo last", wait=False)
            out = ""
            async for chunk in handle:
                out += chunk.data
                if out == "first\n":
                    await asyncio.to_thread(drop)
                    await box.write("/tmp/go", "x")
            equal((out, (await handle.result).exit_code), ("first\nlast\n", 0))
        await client.aclose()

    @test("files", "async: write and read")
    async def _():
        client = sdk.AsyncSandboxClient(**CONFIG)
        async with await create(client) as box:
            await box.write("/tmp/bytes", bytes(range(256)))
            equal(await box.read("/tmp/bytes"), bytes(range(256)))
        await client.aclose()

    @test("services", "async: a port by its URL and token")
    async def _():
        client = sdk.AsyncSandboxClient(**CONFIG)
        async with await create(client) as box:
            handle = await aserve(box)
            answer = await (await box.service(8000)).get("/index.html")
            equal((answer.status_code, answer.text), (200, "hello"))
            await handle.kill()
        await client.aclose()

    @test("tunnels", "async: a port")
    async def _():
        client = sdk.AsyncSandboxClient(**CONFIG)
        async with await create(client) as box:
            handle = await aserve(box)
            async with await box.tunnel(8000, local_port=free_port()) as tunnel:
                equal(await asyncio.to_thread(fetch, tunnel.local_port), b"hello")
            await handle.kill()
        await client.aclose()


async def aserve(box):
    await box.write("/tmp/web/index.html", "hello")
    handle = await box.run("cd /tmp/web && exec python3 -u -m http.server 8000 2>&1", wait=False)
    async for chunk in handle:
        if "Serving" in chunk.data:
            return handle
    raise AssertionError("the server in the sandbox ended")


# The path of a directory in which python is the machine's python3, if it has
# none by that name.
PYTHON = 'mkdir -p "$HOME/bin" && { command -v python || ln -sf "$(command -v python3)" "$HOME/bin/python"; } >/dev/null && echo "$HOME/bin"'


async def python_version(box):
    """What python --version prints in a sandbox."""
    extra = (await box.run(PYTHON)).stdout.strip()
    result = await box.run("python --version", env={"PATH": "/usr/local/bin:/usr/bin:/bin:" + extra})
    return result.success, result.stdout
