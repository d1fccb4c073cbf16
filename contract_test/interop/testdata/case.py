"""What the Python programs share: cases, each with a client and a sandbox of its
own, that say one line of JSON, and no way off this machine.

A case is written once, and run with the synchronous and the asynchronous client:
v awaits what has to be awaited, entered enters what can be, each iterates."""
import asyncio, contextlib, inspect, itertools, json, os, signal, sys, time, traceback, urllib.request

import record

LIMIT = 60  # seconds


def _stay(event, args):
    if event == "socket.connect" and isinstance(args[1], tuple):
        host = args[1][0]
        if not (host == "localhost" or host == "::1" or host.startswith("127.") or host.endswith(".localhost")):
            raise RuntimeError(f"a case reached for {host}, which is not this machine")


sys.addaudithook(_stay)

ENDPOINT = os.environ["INTEROP_ENDPOINT"]
SMALL = os.environ["INTEROP_SMALL_ENDPOINT"]
IMAGES = os.environ["INTEROP_IMAGES_ENDPOINT"]
REGISTRY = os.environ["INTEROP_REGISTRY"]
FULL, FULL_IMAGE = os.environ["INTEROP_FULL_ENDPOINT"], os.environ["INTEROP_FULL_IMAGE"]
SITE, SECURE = os.environ["INTEROP_SITE"], os.environ["INTEROP_SECURE_SITE"]
KEY = os.environ["INTEROP_API_KEY"]
CONFIG = {"api_endpoint": ENDPOINT, "api_key": KEY, "max_retries": 0}
AWAY = "http://127.0.0.1:9"  # where nothing listens

_numbers = itertools.count(1)


def name(what):
    """A name that nothing else has."""
    return f"py-{what}-{os.getpid()}-{next(_numbers)}"


def drop():
    """Reset every WebSocket between this program and the server."""
    urllib.request.urlopen(urllib.request.Request(os.environ["INTEROP_DROP"], method="POST")).read()


async def v(value):
    return await value if inspect.isawaitable(value) else value


@contextlib.asynccontextmanager
async def entered(value):
    if hasattr(value, "__aenter__"):
        async with value as inner:
            yield inner
    else:
        with value as inner:
            yield inner


async def each(values):
    if hasattr(values, "__aiter__"):
        async for value in values:
            yield value
    else:
        for value in values:
            yield value


async def collect(handle):
    return "".join([chunk.data async for chunk in each(handle)])


def equal(got, want):
    if got != want:
        raise AssertionError(f"got {got!r}, want {want!r}")


async def throws(kind, body):
    try:
        got = await v(body())
    except kind as error:
        record.caught(error, kind)
        return error
    except Exception as error:
        raise AssertionError(f"got {type(error).__name__}: {error}, want {kind.__name__}") from error
    raise AssertionError(f"no error, want {kind.__name__}; got {got!r}")


def _late(*_):
    raise TimeoutError(f"not done after {LIMIT} s")


signal.signal(signal.SIGALRM, _late)


class Kit:
    """The cases of one client, synchronous or not."""

    def __init__(self, sdk, generation, asynchronous):
        self.sdk, self.generation, self.asynchronous = sdk, generation, asynchronous
        self.kind = sdk.AsyncSandboxClient if asynchronous else sdk.SandboxClient

    def client(self, **config):
        return self.kind(**{**CONFIG, **config})

    def case(self, feature, case, needs="", **config):
        """Run a function of a client as a case, at once."""
        def run(body):
            kind = "async" if self.asynchronous else "sync"
            self._run({"feature": feature, "case": case, "kind": kind}, needs, body, config)
        return run

    def boxed(self, feature, case, needs="", config=None, **options):
        """The same for a function of a client and a sandbox."""
        def run(body):
            async def with_box(client):
                async with self.box(client, **options) as box:
                    await body(client, box)
            self.case(feature, case, needs, **(config or {}))(with_box)
        return run

    @contextlib.asynccontextmanager
    async def box(self, client, **options):
        """A sandbox that is deleted by itself."""
        if self.generation > 1 or "snapshot_id" in options or "template_name" in options:
            async with entered(await v(client.sandbox(**options))) as box:
                yield box
            return
        template = name("template")
        await v(client.create_template(template, "host"))
        try:
            async with entered(await v(client.sandbox(template, **options))) as box:
                yield box
        finally:
            await v(client.delete_template(template))

    def _run(self, line, needs, body, config):
        record.taken()
        if needs and not os.environ[needs]:
            print(json.dumps({**line, "absent": True}), flush=True)
            return

        async def run():
            async with entered(self.client(**config)) as client:
                await body(client)

        error, began = None, time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, LIMIT)
        try:
            asyncio.run(run())
        except Exception as raised:
            error = raised
            traceback.print_exception(error)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        text = "" if error is None else f"{type(error).__name__}: {error}"
        print(json.dumps({**line, "ok": error is None, "error": text, "seconds": round(time.monotonic() - began, 1),
                          "calls": record.taken()}), flush=True)


def done():
    """Say what the client offers."""
    print(json.dumps({"members": sorted(record.known)}), flush=True)
