import json, os, tempfile, urllib.request

from case import equal, IMAGES, KEY, name, REGISTRY, throws, v

IMAGE = {"needs": "INTEROP_IMAGES_ENDPOINT", "api_endpoint": IMAGES}


def post(url, body):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"X-Api-Key": KEY, "Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def cases(kit):
    case, boxed, sdk = kit.case, kit.boxed, kit.sdk
    first = kit.generation == 1

    @boxed("snapshots", "capture, get, list, boot, delete")
    async def _(client, box):
        await v(box.write("/home/kept", "kept"))
        wanted = name("shot")
        shot = await v(client.capture_snapshot(box.name, wanted))
        equal((await v(client.wait_for_snapshot(shot.id))).status, "ready")
        equal((await v(client.get_snapshot(shot.id))).name, wanted)
        equal([s.id for s in await v(client.list_snapshots()) if s.name == wanted], [shot.id])
        async with kit.box(client, snapshot_id=shot.id) as other:
            equal(await v(other.read("/home/kept")), b"kept")
        await v(client.delete_snapshot(shot.id))
        await throws(sdk.ResourceNotFoundError, lambda: client.get_snapshot(shot.id))
        again = await v(box.capture_snapshot(name("shot")))
        equal(again.status, "ready")
        await v(client.delete_snapshot(again.id))

    @case("snapshots", "of an image that the server is told to keep the name of")
    async def _(client):
        shot = await v(client.create_snapshot(name("image"), "python:3.12", 1 << 30))
        equal((shot.status, shot.docker_image), ("ready", "python:3.12"))
        await v(client.delete_snapshot(shot.id))

    @case("snapshots", "build: an image of a private registry, and boot", **IMAGE)
    async def _(client):
        login = {"name": name("registry"), "url": REGISTRY, "username": "robot", "password": "pass-word"}
        if first:  # this client has no registries
            registry = post(IMAGES + "/registries", login)["id"]
        else:
            registry = (await v(client.registries.create(**login))).id
        shot = await v(client.create_snapshot(name("private"), REGISTRY + "/app:latest", 1 << 30, registry_id=registry))
        async with kit.box(client, snapshot_id=shot.id) as box:
            equal((await v(box.run("echo $FROM; cat /etc/made-of", shell="/bin/sh"))).stdout, "image\nlayers")
        await v(client.delete_snapshot(shot.id))
        if not first:
            await v(client.registries.delete(login["name"]))

    @case("errors", "creation: an image that cannot be had", **IMAGE)
    async def _(client):
        error = await throws(sdk.ResourceCreationError,
                             lambda: client.create_snapshot(name("bad"), REGISTRY + "/none:latest", 1 << 30))
        equal(error.resource_type, "snapshot")

    if first:
        @case("errors", "creation: credentials of a registry in the request, which the API has no more", **IMAGE)
        async def _(client):
            await throws(sdk.ResourceCreationError, lambda: client.create_snapshot(
                name("private"), REGISTRY + "/app:latest", 1 << 30,
                registry_url=REGISTRY, registry_username="robot", registry_password="pass-word"))
        return

    @boxed("snapshots", "tags")
    async def _(client, box):
        await v(box.write("/home/kept", "1"))
        wanted = name("tagged")
        one = await v(client.capture_snapshot(box.name, wanted, tag="one"))
        two = await v(client.capture_snapshot(box.name, wanted, tag="two"))
        tags = {tag.tag: tag.snapshot_id for tag in await v(client.list_snapshot_tags(wanted))}
        equal(tags, {"one": one.id, "two": two.id})
        async with kit.box(client, snapshot_name=wanted + ":two") as other:
            equal(other.snapshot_id, two.id)
        await throws(sdk.ResourceNotFoundError, lambda: client.list_snapshot_tags(name("none")))
        for shot in (one, two):
            await v(client.delete_snapshot(shot.id))

    @case("snapshots", "build: a Dockerfile, whose context arrives, where there is no BuildKit", needs="INTEROP_IMAGES_ENDPOINT")
    async def _(client):
        with tempfile.TemporaryDirectory() as context:
            with open(os.path.join(context, "Dockerfile"), "w") as file:
                file.write("FROM scratch\n")
            log = []
            error = await throws(sdk.ResourceCreationError, lambda: client.create_snapshot_from_dockerfile(
                name("built"), "Dockerfile", context=context, on_build_log=log.append, timeout=40))
        equal((error.resource_type, "buildkitd" in "".join(log)), ("snapshot", True))
