from case import equal, name, throws

# The path of a directory in which python is the machine's python3, if it has
# none by that name.
PYTHON = 'mkdir -p "$HOME/bin" && { command -v python || ln -sf "$(command -v python3)" "$HOME/bin/python"; } >/dev/null && echo "$HOME/bin"'


async def version(sdk, client, box):
    """python --version in a sandbox, which is gone afterwards."""
    async with box:
        extra = (await box.run(PYTHON)).stdout.strip()
        result = await box.run("python --version", env={"PATH": "/usr/local/bin:/usr/bin:/bin:" + extra})
        equal((result.success, result.stdout.startswith("Python 3")), (True, True))
    await throws(sdk.ResourceNotFoundError, lambda: client.get_sandbox(box.name))


def cases(kit):
    if kit.generation == 1:
        @kit.case("example", "a template, a sandbox deleted by itself, python --version")
        async def _(client):
            template = name("example")
            await client.create_template(template, "python:3.12-slim")
            await version(kit.sdk, client, await client.sandbox(template))
            await client.delete_template(template)
    else:
        @kit.case("example", "a sandbox deleted by itself, python --version")
        async def _(client):
            await version(kit.sdk, client, await client.sandbox())
