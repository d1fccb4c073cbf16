import contextlib

from case import collect, drop, each, equal, throws, v


def cases(kit):
    boxed, sdk = kit.boxed, kit.sdk
    stdin = {} if kit.generation == 1 else {"close_input": False}

    @boxed("commands", "run with environment and directory")
    async def _(client, box):
        r = await v(box.run("echo $A ${PWD##*/}; echo oops >&2; exit 3", env={"A": "é"}, cwd="/tmp"))
        equal((r.stdout, r.stderr, r.exit_code, r.success), ("é tmp\n", "oops\n", 3, False))

    @boxed("commands", "stream by callbacks")
    async def _(client, box):
        out, err = [], []
        r = await v(box.run("echo a; echo b >&2; echo c", on_stdout=out.append, on_stderr=err.append))
        equal(("".join(out), "".join(err), r.exit_code), ("a\nc\n", "b\n", 0))

    @boxed("commands", "stream by iteration")
    async def _(client, box):
        handle = await v(box.run("for i in 1 2 3; do echo $i; echo x >&2; done", wait=False))
        out = {"stdout": "", "stderr": ""}
        async for chunk in each(handle):
            out[chunk.stream] += chunk.data
        equal(out, {"stdout": "1\n2\n3\n", "stderr": "x\nx\nx\n"})
        equal((handle.last_stdout_offset, handle.last_stderr_offset), (6, 6))
        equal((await v(handle.result)).exit_code, 0)
        equal((handle.pid > 0, bool(handle.command_id)), (True, True))

    @boxed("commands", "input")
    async def _(client, box):
        handle = await v(box.run("read a; echo got $a", wait=False, **stdin))
        await v(handle.send_input("one\n"))
        equal(await collect(handle), "got one\n")

    if stdin:
        @boxed("commands", "input, and its end")
        async def _(client, box):
            handle = await v(box.run("cat", wait=False, **stdin))
            await v(handle.send_input("one\n"))
            await v(handle.send_input("two\n"))
            await v(handle.close_input())
            equal(await collect(handle), "one\ntwo\n")
            handle = await v(box.run("cat", wait=False))  # closed from the start
            await throws(sdk.SandboxOperationError, lambda: handle.send_input("late"))
            equal(await collect(handle), "")

    @boxed("commands", "kill")
    async def _(client, box):
        handle = await v(box.run("sleep 1000", wait=False))
        handle.command_id
        await v(handle.kill())
        # The client ends its connection with it: the exit comes in time, or does not.
        with contextlib.suppress(sdk.SandboxClientError):
            equal((await v(handle.result)).exit_code, 137)
        again = await v(box.reconnect(handle.command_id))
        equal((await v(again.result)).exit_code, 137)

    @boxed("commands", "timeout")
    async def _(client, box):
        async def run():
            return await v((await v(box.run("sleep 1000", timeout=1, wait=False))).result)
        await throws(sdk.CommandTimeoutError, run)

    @boxed("commands", "reconnect by itself while it iterates")
    async def _(client, box):
        handle = await v(box.run("echo first; while [ ! -e go ]; do sleep 0.05; done; echo last", cwd="/tmp", wait=False))
        out = ""
        async for chunk in each(handle):
            out += chunk.data
            if out == "first\n":
                drop()
                await v(box.write("/tmp/go", "x"))
        equal((out, (await v(handle.result)).exit_code), ("first\nlast\n", 0))

    @boxed("commands", "reconnect from offsets, and where it was")
    async def _(client, box):
        handle = await v(box.run("printf 0123456789", wait=False))
        equal((await v(handle.result)).stdout, "0123456789")
        equal(await collect(await v(box.reconnect(handle.command_id, stdout_offset=4))), "456789")
        equal(await collect(await v(handle.reconnect())), "")

    @boxed("commands", "PTY")
    async def _(client, box):
        equal((await v(box.run("test -t 0 && test -t 1 && echo yes", pty=True))).stdout, "yes\r\n")

    @boxed("commands", "reattach to a command there is none of")
    async def _(client, box):
        async def run():
            return await v((await v(box.reconnect("none"))).result)
        await throws(sdk.SandboxOperationError, run)
