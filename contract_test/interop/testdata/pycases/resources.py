"""The part for sandboxes of the client that is generated from LangSmith's API."""
import contextlib

from case import each, ENDPOINT, entered, equal, KEY, name, throws, v
from record import record_class


def cases(kit):
    import langsmith
    kind = langsmith.AsyncLangsmith if kit.asynchronous else langsmith.Langsmith

    def connect():
        return kind(api_key=KEY, base_url=ENDPOINT.partition("/v2/")[0], max_retries=0)

    api = connect().sandboxes
    for resource in (api, api.boxes, api.snapshots, api.registries):
        record_class(type(resource))

    def case(what):
        def run(body):
            @kit.case("generated client", what)
            async def _(_):
                async with entered(connect()) as client:
                    await body(client.sandboxes)
        return run

    @contextlib.asynccontextmanager
    async def made(api):
        box = await v(api.boxes.create(name=name("box")))
        try:
            yield box.name
        finally:
            await v(api.boxes.delete(box.name))

    @case("sandboxes: create, get, update, list, status, stop, start, delete")
    async def _(api):
        first, renamed = name("box"), name("box")
        await v(api.boxes.create(name=first))
        equal((await v(api.boxes.retrieve(first))).status, "ready")
        equal((await v(api.boxes.update(first, body_name=renamed))).name, renamed)
        equal(renamed in [box.name async for box in each(api.boxes.list())], True)
        await v(api.boxes.stop(renamed))
        equal((await v(api.boxes.get_status(renamed))).status, "stopped")
        await v(api.boxes.start(renamed))
        await v(api.boxes.delete(renamed))
        await throws(langsmith.NotFoundError, lambda: api.boxes.retrieve(renamed))

    @case("services: share, list, take back; a link to a file")
    async def _(api):
        async with made(api) as box:
            url = await v(api.boxes.generate_service_url(box, port=8000))
            equal((bool(url.token), bool(url.service_url)), (True, True))
            shared = [(s.port, s.access) async for s in each(api.boxes.list_service_urls(box))]
            equal(shared, [(8000, "token")])
            await v(api.boxes.delete_service_url(box, port=8000))
            equal([s async for s in each(api.boxes.list_service_urls(box))], [])
            link = await v(api.boxes.generate_download_url(box, path="/etc/passwd"))
            equal(bool(link.download_url), True)

    @case("snapshots: create, capture, get, list, tags, delete")
    async def _(api):
        shot = name("shot")
        one = await v(api.snapshots.create(name=shot, docker_image="x", fs_capacity_bytes=1 << 30, tag="one"))
        async with made(api) as box:
            two = await v(api.boxes.create_snapshot(box, body_name=shot, tag="two"))
            while (await v(api.snapshots.retrieve(two.id))).status == "building":
                pass
        listed = [s.id async for s in each(api.snapshots.list(name_contains=shot))]
        equal(sorted(listed), sorted([one.id, two.id]))
        tags = (await v(api.snapshots.retrieve_by_name(shot))).tags
        equal(sorted(tag.tag for tag in tags), ["one", "two"])
        for made_one in (one, two):
            await v(api.snapshots.delete(made_one.id))

    @case("registries: create, get, update, list, delete")
    async def _(api):
        first, renamed = name("registry"), name("registry")
        await v(api.registries.create(name=first, url="127.0.0.1:9", username="robot", password="pass-word"))
        equal((await v(api.registries.retrieve(first))).name, first)
        await v(api.registries.update(first, body_name=renamed))
        equal(renamed in [r.name for r in (await v(api.registries.list())).registries], True)
        await v(api.registries.delete(renamed))

    @case("answers as they come, and as streams")
    async def _(api):
        window = {"start_time": "2026-01-01T00:00:00Z", "end_time": "2026-01-02T00:00:00Z"}
        async with made(api) as box:
            raw = await v(api.boxes.with_raw_response.retrieve(box))
            equal((raw.status_code, (await v(raw.parse())).name), (200, box))
            async with entered(api.boxes.with_streaming_response.retrieve(box)) as answer:
                equal((await v(answer.parse())).name, box)
        login = name("registry")
        raw = await v(api.registries.with_raw_response.create(name=login, url="127.0.0.1:9", username="robot", password="pass-word"))
        equal((await v(raw.parse())).name, login)
        async with entered(api.registries.with_streaming_response.delete(login)) as answer:
            equal(answer.status_code < 300, True)
        await throws(langsmith.NotFoundError, lambda: api.snapshots.with_raw_response.retrieve_by_name(name("none")))
        for refused in (api.snapshots.with_streaming_response.retrieve_by_name(name("none")),
                        api.with_streaming_response.list_usage_costs(**window)):
            async def opened():
                async with entered(refused):
                    pass
            await throws(langsmith.APIStatusError, opened)
        error = await throws(langsmith.APIStatusError, lambda: api.with_raw_response.list_usage_costs(**window))
        equal(error.status_code, 501)

    @case("costs of usage, which nothing here has")
    async def _(api):
        async def costs():
            costs = api.list_usage_costs(start_time="2026-01-01T00:00:00Z", end_time="2026-01-02T00:00:00Z")
            return [cost async for cost in each(costs)]
        error = await throws(langsmith.APIStatusError, costs)
        equal(error.status_code, 501)
