import sys
sys.path.insert(0, "..")
from case import CONFIG, done, equal, test
from common import asynchronous, both, python_version
from record import record
import langsmith.sandbox

sdk = record(langsmith.sandbox)

client = sdk.SandboxClient(**CONFIG)


@test("example", "async: a sandbox deleted by itself, python --version")
async def _():
    client = sdk.AsyncSandboxClient(**CONFIG)
    async with await client.sandbox() as box:
        name = box.name
        success, version = await python_version(box)
        equal((success, version.startswith("Python 3")), (True, True))
    try:
        await client.get_sandbox(name)
        raise AssertionError("the sandbox is still there")
    except sdk.ResourceNotFoundError:
        pass
    await client.aclose()


asynchronous(sdk, lambda c: c.sandbox())


with client.sandbox(name="p2-box") as box:
    both(sdk, client, box, close_input=False)

    @test("files", "ranges: start and end, tail, condition, unchanged")
    def _():
        box.write("/tmp/f/a.txt", "0123456789")
        equal(box.stat("/tmp/f/a.txt").size_bytes, 10)
        part = box.read_range("/tmp/f/a.txt", start=2, end=4)
        equal((part.content, part.start, part.partial, part.total_bytes), (b"234", 2, True, 10))
        equal(box.read_range("/tmp/f/a.txt", suffix_bytes=3).content, b"789")
        equal(box.read_range("/tmp/f/a.txt", start=0, if_none_match=part.etag).unchanged, True)
        equal(box.read_range("/tmp/f/a.txt", start=4, if_range='"other"').partial, False)

    @test("files", "glob and ls")
    def _():
        box.write("/tmp/f/d/b.txt", "needle here\n")
        equal(sorted(m.path for m in box.glob("**/*.txt", "/tmp/f").matches), ["/tmp/f/a.txt", "/tmp/f/d/b.txt"])
        equal(len(box.ls("/tmp/f").matches), 2)
        equal(box.glob("**/*.txt", "/tmp/f", limit=1).truncated, True)

    @test("files", "grep")
    def _():
        found = box.grep("needle", "/tmp/f", glob="**/*.txt").matches
        equal([(m.path, m.line, m.text) for m in found], [("/tmp/f/d/b.txt", 1, "needle here")])

done()
