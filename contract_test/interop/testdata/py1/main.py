import sys
sys.path.insert(0, "..")
from case import CONFIG, done, equal, SMALL, test, throws
from common import asynchronous, both, python_version
from record import record
import langsmith.sandbox

sdk = record(langsmith.sandbox)

client = sdk.SandboxClient(**CONFIG)


@test("example", "async: a template, a sandbox deleted by itself, python --version")
async def _():
    client = sdk.AsyncSandboxClient(**CONFIG)
    await client.create_template("p1-example", "python:3.12-slim")
    async with await client.sandbox("p1-example") as box:
        name = box.name
        success, version = await python_version(box)
        equal((success, version.startswith("Python 3")), (True, True))
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
    both(sdk, client, box, template=True)

    @test("errors", "not ready: a stopped sandbox")
    def _():
        client.stop_sandbox(box.name)
        throws(sdk.SandboxNotReadyError, lambda: client.get_sandbox(box.name).run("true"))
        client.start_sandbox(box.name)

    @test("errors", "in use")
    def _():
        client.create_volume("p1-used", "1Gi")
        mount = sdk.VolumeMountSpec(volume_name="p1-used", mount_path="/data")
        client.create_template("p1-user", "x", volume_mounts=[mount])
        throws(sdk.ResourceInUseError, lambda: client.delete_volume("p1-used"))
        client.delete_template("p1-user")
        client.delete_volume("p1-used")

    @test("errors", "already exists")
    def _():
        client.create_pool("p1-twice", "p1", 1)
        throws(sdk.ResourceAlreadyExistsError, lambda: client.create_pool("p1-twice", "p1", 1))
        client.delete_pool("p1-twice")

    @test("errors", "validation")
    def _():
        throws(sdk.ValidationError, lambda: client.create_volume("p1-bad", "much"))

    @test("errors", "no data plane")
    def _():
        bare = sdk.Sandbox(name="x", _client=client)
        throws(sdk.DataplaneNotConfiguredError, lambda: bare.run("true"))

    @test("errors", "quota")
    def _():
        tight = sdk.SandboxClient(**{**CONFIG, "api_endpoint": SMALL})
        tight.create_template("p1-q", "x")
        throws(sdk.QuotaExceededError, lambda: (tight.create_sandbox("p1-q"), tight.create_sandbox("p1-q")))

client.delete_template("p1")

done()
