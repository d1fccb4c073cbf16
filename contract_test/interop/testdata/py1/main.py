import sys
sys.path.insert(0, "..")
from case import CONFIG, SMALL, equal, test, throws
from common import asynchronous, both
import langsmith.sandbox as sdk

client = sdk.SandboxClient(**CONFIG)


@test("example", "async: a template, a sandbox deleted by itself, python --version")
async def _():
    client = sdk.AsyncSandboxClient(**CONFIG)
    await client.create_template("p1-example", "python:3.12-slim")
    async with await client.sandbox("p1-example") as box:
        name = box.name
        result = await box.run("python3 --version")
        equal((result.success, result.stdout.startswith("Python 3")), (True, True))
    try:
        await client.get_sandbox(name)
        raise AssertionError("the sandbox is still there")
    except sdk.ResourceNotFoundError:
        pass
    await client.delete_template("p1-example")
    await client.aclose()


@test("templates", "create, get, list, rename")
def _():
    client.create_template("p1-a", "python:3.12")
    equal(client.update_template("p1-a", new_name="p1").name, "p1")
    equal(client.get_template("p1").image, "python:3.12")
    equal("p1" in [t.name for t in client.list_templates()], True)


@test("volumes", "create, get, resize, rename, list, delete")
def _():
    client.create_volume("p1-vol", "1Gi")
    equal(client.update_volume("p1-vol", new_name="p1-vol2", size="2Gi").size, "2Gi")
    equal(client.get_volume("p1-vol2").size, "2Gi")
    equal("p1-vol2" in [v.name for v in client.list_volumes()], True)
    client.delete_volume("p1-vol2")


@test("pools", "create, get, scale, list, delete")
def _():
    equal(client.create_pool("p1-pool", "p1", 1).replicas, 1)
    equal(client.update_pool("p1-pool", replicas=0).replicas, 0)
    equal(client.get_pool("p1-pool").template_name, "p1")
    equal("p1-pool" in [p.name for p in client.list_pools()], True)
    client.delete_pool("p1-pool")


asynchronous(sdk, lambda c: c.sandbox("p1"))

with client.sandbox("p1", name="p1-box") as box:
    both(sdk, client, box)

    @test("errors", "quota")
    def _():
        tight = sdk.SandboxClient(**{**CONFIG, "api_endpoint": SMALL})
        tight.create_template("p1-q", "x")
        throws(sdk.QuotaExceededError, lambda: (tight.create_sandbox("p1-q"), tight.create_sandbox("p1-q")))

client.delete_template("p1")
