from case import AWAY, ENDPOINT, entered, equal, name, throws, v


def cases(kit):
    case, boxed, sdk = kit.case, kit.boxed, kit.sdk
    first = kit.generation == 1

    @boxed("sandboxes", "get, list, status, rename, idle time")
    async def _(client, box):
        equal((await v(client.get_sandbox(box.name))).id, box.id)
        equal((await v(client.get_sandbox_status(box.name))).status, "ready")
        equal(box.name in [other.name for other in await v(client.list_sandboxes())], True)
        renamed, old = name("renamed"), box.name
        equal((await v(client.update_sandbox(old, new_name=renamed, idle_ttl_seconds=600))).idle_ttl_seconds, 600)
        await throws(sdk.ResourceNotFoundError, lambda: client.get_sandbox(old))
        equal((await v(client.update_sandbox(renamed, new_name=old))).name, old)

    @case("sandboxes", "create without waiting, wait, delete")
    async def _(client):
        source, template = {}, name("template")
        if first:
            await v(client.create_template(template, "host"))
            source = {"template_name": template}
        made = await v(client.create_sandbox(**source, name=name("later"), wait_for_ready=False))
        ready = await v(client.wait_for_sandbox(made.name))
        equal((ready.name, ready.status), (made.name, "ready"))
        await v(client.delete_sandbox(made.name))
        await throws(sdk.ResourceNotFoundError, lambda: client.get_sandbox(made.name))
        made = await v(client.create_sandbox(**source))
        await v(made.delete())
        await throws(sdk.ResourceNotFoundError, lambda: client.get_sandbox_status(made.name))
        if first:
            await v(client.delete_template(template))

    @boxed("sandboxes", "stop and start")
    async def _(client, box):
        await v(client.stop_sandbox(box.name))
        equal((await v(client.get_sandbox_status(box.name))).status, "stopped")
        equal((await v(client.start_sandbox(box.name))).status, "ready")
        equal((await v((await v(client.get_sandbox(box.name))).run("echo up"))).stdout, "up\n")
        await v(box.stop())
        equal((await v(client.get_sandbox_status(box.name))).status, "stopped")
        await v(box.start())
        equal((await v(box.run("echo up"))).stdout, "up\n")

    @case("sandboxes", "close a client")
    async def _(_):
        other = kit.client()
        await v(other.list_sandboxes())
        await v(other.aclose() if kit.asynchronous else other.close())

    @boxed("errors", "timeout: waiting for a stopped sandbox")
    async def _(client, box):
        await v(client.stop_sandbox(box.name))
        error = await throws(sdk.ResourceTimeoutError,
                             lambda: client.wait_for_sandbox(box.name, timeout=1, poll_interval=0.2))
        equal((error.resource_type, error.last_status), ("sandbox", "stopped"))

    @boxed("errors", "not found: sandbox, file")
    async def _(client, box):
        await throws(sdk.ResourceNotFoundError, lambda: client.get_sandbox("none"))
        await throws(sdk.ResourceNotFoundError, lambda: client.delete_sandbox("none"))
        await throws(sdk.ResourceNotFoundError, lambda: box.read("/tmp/none"))

    @boxed("errors", "name conflict")
    async def _(client, box):
        async with kit.box(client) as other:
            await throws(sdk.ResourceNameConflictError, lambda: client.update_sandbox(other.name, new_name=box.name))

    @case("errors", "authentication", api_key="wrong")
    async def _(client):
        await throws(sdk.SandboxAuthenticationError, client.list_sandboxes)

    @case("errors", "a server that cannot be reached", api_endpoint=AWAY)
    async def _(client):
        await throws(sdk.SandboxConnectionError, lambda: client.get_sandbox("none"))

    @case("errors", "an endpoint that is none", api_endpoint=ENDPOINT + "/none")
    async def _(client):
        await throws(sdk.SandboxAPIError, client.list_sandboxes)

    @case("errors", "no data plane")
    async def _(client):
        kind = sdk.AsyncSandbox if kit.asynchronous else sdk.Sandbox
        bare = kind(name="x", _client=client)
        await throws(sdk.DataplaneNotConfiguredError, lambda: bare.run("true"))

    @case("errors", "any: the class that all errors are of")
    async def _(client):
        await throws(sdk.SandboxClientError, lambda: client.get_sandbox("none"))

    if first:
        return

    @boxed("sandboxes", "of one kind of client to the other")
    async def _(client, box):
        if kit.asynchronous:
            with client.to_sync() as other, other.get_sandbox(box.name).to_async().to_sync() as same:
                equal(same.run("echo out").stdout, "out\n")
        else:
            async with client.to_async() as other:
                same = await other.get_sandbox(box.name)
                equal((await box.to_async().run("echo out")).stdout, "out\n")
                equal((await same.run("echo out")).stdout, "out\n")

    @case("sandboxes", "labels, resources and a run configuration, for sandbox and command")
    async def _(client):
        config = sdk.RunConfig(work_dir="/tmp", env_vars={"A": "sandbox", "B": "sandbox"})
        made = await v(client.create_sandbox(labels={"team": "a"}, vcpus=1, mem_bytes=2 << 30, run_config=config))
        async with entered(made) as box:
            got = await v(client.get_sandbox(box.name))
            equal((got.labels, got.run_config), ({"team": "a"}, config))
            command = "echo $A $B ${PWD##*/}"
            equal((await v(box.run(command))).stdout, "sandbox sandbox tmp\n")
            await v(box.write("/tmp/own/file", ""))
            own = sdk.RunConfig(work_dir="/tmp/own", env_vars={"A": "command"})
            equal((await v(box.run(command, run_config=own))).stdout, "command sandbox own\n")
