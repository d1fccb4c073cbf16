"""What only the first generation has."""
from case import entered, equal, FULL, FULL_IMAGE, IMAGES, name, SMALL, throws, v


def cases(kit):
    case, boxed, sdk = kit.case, kit.boxed, kit.sdk

    @case("templates", "create, get, list, rename, delete")
    async def _(client):
        made, renamed = name("template"), name("template")
        await v(client.create_template(made, "python:3.12"))
        equal((await v(client.update_template(made, new_name=renamed))).name, renamed)
        equal((await v(client.get_template(renamed))).image, "python:3.12")
        equal(renamed in [t.name for t in await v(client.list_templates())], True)
        await v(client.delete_template(renamed))
        await throws(sdk.ResourceNotFoundError, lambda: client.get_template(renamed))

    @case("volumes", "create, get, resize, rename, list, delete")
    async def _(client):
        made, renamed = name("volume"), name("volume")
        await v(client.create_volume(made, "1Gi"))
        equal((await v(client.update_volume(made, new_name=renamed, size="2Gi"))).size, "2Gi")
        equal((await v(client.get_volume(renamed))).size, "2Gi")
        equal(renamed in [x.name for x in await v(client.list_volumes())], True)
        await v(client.delete_volume(renamed))
        await throws(sdk.ResourceNotFoundError, lambda: client.get_volume(renamed))

    @case("volumes", "mounted: what one sandbox writes, the next one reads")
    async def _(client):
        volume, template = name("volume"), name("template")
        await v(client.create_volume(volume, "1Gi"))
        mount = sdk.VolumeMountSpec(volume_name=volume, mount_path="/data")
        made = await v(client.create_template(template, "host", volume_mounts=[mount]))
        equal((made.volume_mounts, made.resources.cpu), ([mount], "500m"))
        try:
            async with entered(await v(client.sandbox(template))) as box:
                await v(box.write("/data/kept", "kept"))
            async with entered(await v(client.sandbox(template))) as box:
                equal((await v(box.run("cat kept", cwd="/data"))).stdout, "kept")
        finally:
            await v(client.delete_template(template))
            await v(client.delete_volume(volume))

    @case("pools", "create, get, scale, rename, list, use, delete")
    async def _(client):
        template, pool, renamed = name("template"), name("pool"), name("pool")
        await v(client.create_template(template, "host"))
        equal((await v(client.create_pool(pool, template, 1))).replicas, 1)
        async with entered(await v(client.sandbox(template))) as box:
            equal((await v(box.run("echo out"))).stdout, "out\n")
        equal((await v(client.update_pool(pool, new_name=renamed, replicas=0))).replicas, 0)
        equal((await v(client.get_pool(renamed))).template_name, template)
        equal(renamed in [p.name for p in await v(client.list_pools())], True)
        await v(client.delete_pool(renamed))
        await throws(sdk.ResourceNotFoundError, lambda: client.get_pool(renamed))
        await v(client.delete_template(template))

    @boxed("errors", "not ready: a stopped sandbox")
    async def _(client, box):
        await v(client.stop_sandbox(box.name))
        stopped = await v(client.get_sandbox(box.name))
        await throws(sdk.SandboxNotReadyError, lambda: stopped.run("true"))

    @case("errors", "in use")
    async def _(client):
        volume, template = name("volume"), name("template")
        await v(client.create_volume(volume, "1Gi"))
        mount = sdk.VolumeMountSpec(volume_name=volume, mount_path="/data")
        await v(client.create_template(template, "x", volume_mounts=[mount]))
        await throws(sdk.ResourceInUseError, lambda: client.delete_volume(volume))
        await throws(sdk.ValidationError, lambda: client.create_pool(name("pool"), template, 1))
        await v(client.delete_template(template))
        await v(client.delete_volume(volume))

    @case("errors", "already exists")
    async def _(client):
        template, pool = name("template"), name("pool")
        await v(client.create_template(template, "host"))
        await v(client.create_pool(pool, template, 1))
        await throws(sdk.ResourceAlreadyExistsError, lambda: client.create_pool(pool, template, 1))
        await v(client.delete_pool(pool))
        await v(client.delete_template(template))

    @case("errors", "validation")
    async def _(client):
        await throws(sdk.ValidationError, lambda: client.create_volume(name("bad"), "much"))

    @case("errors", "quota", api_endpoint=SMALL)
    async def _(client):
        template = name("template")
        await v(client.create_template(template, "x"))
        async with entered(await v(client.sandbox(template))):
            error = await throws(sdk.QuotaExceededError, lambda: client.create_sandbox(template))
            equal(error.quota_type, "sandbox_count")
        await v(client.delete_template(template))

    @case("errors", "creation: a template of an image that cannot be had", needs="INTEROP_IMAGES_ENDPOINT", api_endpoint=IMAGES)
    async def _(client):
        template = name("template")
        await v(client.create_template(template, "127.0.0.1:9/none:latest"))
        error = await throws(sdk.ResourceCreationError, lambda: client.create_sandbox(template))
        equal(error.error_type, "ImagePull")
        later = await v(client.create_sandbox(template, wait_for_ready=False))
        await throws(sdk.ResourceCreationError, lambda: client.wait_for_sandbox(later.name, poll_interval=0.1))
        await v(client.delete_sandbox(later.name))
        await v(client.delete_template(template))

    @case("errors", "creation: an image that the machine has no room for", needs="INTEROP_FULL_ENDPOINT", api_endpoint=FULL)
    async def _(client):
        template = name("template")
        await v(client.create_template(template, FULL_IMAGE))
        error = await throws(sdk.ResourceCreationError, lambda: client.create_sandbox(template))
        equal(error.error_type, "Unschedulable")
        await v(client.delete_template(template))
