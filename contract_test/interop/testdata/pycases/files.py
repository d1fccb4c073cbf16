import urllib.request

from case import equal, throws, v


def cases(kit):
    boxed, sdk = kit.boxed, kit.sdk

    @boxed("files", "write and read text and bytes")
    async def _(client, box):
        await v(box.write("/tmp/deep/er/bytes", bytes(range(256))))
        equal(await v(box.read("/tmp/deep/er/bytes")), bytes(range(256)))
        await v(box.write("/tmp/text", "naïve\n"))
        equal((await v(box.read("/tmp/text"))).decode(), "naïve\n")

    @boxed("errors", "operation: read of a directory, write below a file")
    async def _(client, box):
        await v(box.write("/tmp/plain", "x"))
        await throws(sdk.SandboxOperationError, lambda: box.read("/tmp"))
        await throws(sdk.SandboxOperationError, lambda: box.write("/tmp/plain/below", "x"))

    if kit.generation == 1:
        return

    @boxed("files", "ranges: start and end, tail, condition, unchanged")
    async def _(client, box):
        await v(box.write("/tmp/f/a.txt", "0123456789"))
        stat = await v(box.stat("/tmp/f/a.txt"))
        equal((stat.size_bytes, bool(stat.etag), bool(stat.last_modified)), (10, True, True))
        part = await v(box.read_range("/tmp/f/a.txt", start=2, end=4))
        equal((part.content, part.start, part.end, part.partial, part.total_bytes), (b"234", 2, 5, True, 10))
        equal((await v(box.read_range("/tmp/f/a.txt", suffix_bytes=3))).content, b"789")
        equal((await v(box.read_range("/tmp/f/a.txt", start=0, if_none_match=part.etag))).unchanged, True)
        equal((await v(box.read_range("/tmp/f/a.txt", start=4, if_range='"other"'))).partial, False)
        await throws(sdk.SandboxOperationError, lambda: box.read_range("/tmp/f/a.txt", start=100))
        await throws(sdk.ResourceNotFoundError, lambda: box.stat("/tmp/f/none"))

    @boxed("files", "glob and ls")
    async def _(client, box):
        await v(box.write("/tmp/f/a.txt", "x"))
        await v(box.write("/tmp/f/d/b.txt", "x"))
        found = await v(box.glob("**/*.txt", "/tmp/f"))
        equal(sorted(file.path for file in found), ["/tmp/f/a.txt", "/tmp/f/d/b.txt"])
        equal(sorted((file.path, file.is_dir) for file in (await v(box.ls("/tmp/f"))).matches),
              [("/tmp/f/a.txt", False), ("/tmp/f/d", True)])
        equal((await v(box.glob("**/*.txt", "/tmp/f", limit=1))).truncated, True)

    @boxed("files", "grep")
    async def _(client, box):
        await v(box.write("/tmp/f/d/b.txt", "first\nneedle here\n"))
        await v(box.write("/tmp/f/d/b.md", "needle there\n"))
        found = await v(box.grep("needle", "/tmp/f", glob="**/*.txt"))
        equal([(match.path, match.line, match.text) for match in found], [("/tmp/f/d/b.txt", 2, "needle here")])

    @boxed("files", "download link")
    async def _(client, box):
        await v(box.write("/tmp/f/a.txt", "0123456789"))
        link = await v(box.generate_download_url("/tmp/f/a.txt", content_disposition="attachment"))
        with urllib.request.urlopen(link.download_url) as answer:
            equal((answer.read(), answer.headers["Content-Disposition"].split(";")[0]), (b"0123456789", "attachment"))
        link = await v(client.generate_download_url(
            box.name, "/tmp/f/a.txt", expires_in_seconds=60, content_type="text/x-a"))
        with urllib.request.urlopen(link.download_url) as answer:
            equal((answer.read(), answer.headers["Content-Type"].split(";")[0]), (b"0123456789", "text/x-a"))
        equal(bool(link.expires_at), True)
        await throws(sdk.ResourceNotFoundError, lambda: client.generate_download_url("none", "/x"))
