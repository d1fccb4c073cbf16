"""What only the second generation has."""
import json, os, urllib.request

from case import AWAY, entered, equal, IMAGES, name, REGISTRY, SECURE, SITE, SMALL, throws, v

NATIVE = {"needs": "INTEROP_IMAGES_ENDPOINT", "api_endpoint": IMAGES}


def get(url):
    """A command that reaches this machine by the proxy, which sandboxes do not need for their own."""
    program = f"import urllib.request as u; print(u.urlopen({url!r}, timeout=20).read().decode(), end='')"
    return f'no_proxy= NO_PROXY= python3 -c "{program}" 2>&1 | tail -n 1'


def cases(kit):
    case, boxed, sdk = kit.case, kit.boxed, kit.sdk
    site = SITE.removeprefix("http://")

    @case("registries", "create, get, list, update, delete")
    async def _(client):
        made, renamed = name("registry"), name("registry")
        registries = client.registries
        registry = await v(registries.create(name=made, url=REGISTRY or "127.0.0.1:9", username="robot", password="pass-word"))
        equal((await v(registries.retrieve(made))).id, registry.id)
        equal("pass-word" in str(await v(registries.retrieve(made))), False)
        await v(registries.update(made, body_name=renamed))
        equal(renamed in [r.name for r in (await v(registries.list())).registries], True)
        await v(registries.delete(renamed))
        equal(renamed in [r.name for r in (await v(registries.list())).registries], False)

    @case("proxy", "rules: a header is added on the way, for the hosts of the rule", **NATIVE)
    async def _(client):
        rule = {"name": "team", "match_hosts": ["127.0.0.1"],
                "headers": [{"name": "X-Team", "type": "plaintext", "value": "a team"}]}
        config = sdk.proxy_config(rules=[rule], access_control={"allow_list": [site]})
        async with kit.box(client, proxy_config=config) as box:
            equal((await v(box.run(get(SITE)))).stdout, "team=a team secret=False")
            await v(client.update_sandbox(box.name, proxy_config=sdk.proxy_config(access_control={"allow_list": [site]})))
            equal((await v(box.run(get(SITE)))).stdout, "team= secret=False")

    @case("proxy", "rules: a secret is sent by TLS, and is not in the sandbox", **NATIVE)
    async def _(client):
        rule = {"name": "key", "match_hosts": ["127.0.0.1"],
                "headers": [{"name": "Authorization", **sdk.opaque_secret("Bearer hunter2-hunter2")}]}
        access = {"allow_list": [SECURE.removeprefix("https://")]}
        async with kit.box(client, proxy_config=sdk.proxy_config(rules=[rule], access_control=access)) as box:
            equal((await v(box.run(get(SECURE)))).stdout, "team= secret=True")
            equal((await v(box.run("env; cat /proc/*/environ 2>&1"))).stdout.count("hunter2"), 0)

    @case("proxy", "callbacks: an endpoint says which headers to add, and can tell who asks", **NATIVE)
    async def _(client):
        url, secure = SITE + "/callback/" + name("asked"), SECURE.removeprefix("https://")
        config = {"rules": [], "callbacks": [{"match_hosts": ["127.0.0.1"], "url": url, "ttl_seconds": 60}],
                  "access_control": {"allow_list": [secure]}}
        async with kit.box(client, proxy_config=config) as box:
            equal((await v(box.run(get(SECURE)))).stdout, "team= secret=True")
        with urllib.request.urlopen(url) as answer:
            asked = json.load(answer)
        verifier = sdk.SandboxTokenVerifier(api_url=IMAGES)
        verify = verifier.averify_callback if kit.asynchronous else verifier.verify_callback
        callback = await v(verify(**asked, aud=url))
        equal((f"{callback.host}:{callback.port}", callback.identity.sandbox_id), (secure, box.id))
        await throws(sdk.SandboxTokenVerificationError, lambda: verify(
            body=asked["body"] + " ", signature=asked["signature"], aud=url))

    @case("proxy", "access control: what is not allowed is refused", **NATIVE)
    async def _(client):
        async with kit.box(client, proxy_config=sdk.proxy_config(access_control={"deny_list": ["127.0.0.1"]})) as box:
            equal("403" in (await v(box.run(get(SITE)))).stdout, True)

    @case("proxy", "rules with workspace secrets that the server has not")
    async def _(client):
        rule = {"name": "key", "match_hosts": ["example.com"],
                "headers": [{"name": "Authorization", **sdk.workspace_secret("NO_SUCH_SECRET")}]}
        await throws(sdk.SandboxClientError, lambda: client.create_sandbox(proxy_config=sdk.proxy_config(rules=[rule])))

    @case("proxy", "rules with credentials of providers, refused")
    async def _(client):
        secret = sdk.opaque_secret("hunter2")
        for rule in (
            sdk.aws_auth(access_key_id=secret, secret_access_key=secret),
            sdk.aws_auth(role_arn="arn:aws:iam::123456789012:role/a", session_tags={"team": "a"}),
            sdk.gcp_auth(service_account_json=secret, scopes=["https://www.googleapis.com/auth/cloud-platform"]),
            sdk.attribution(headers={"X-Team": "a"}),
        ):
            error = await throws(sdk.SandboxClientError,
                                 lambda: client.create_sandbox(proxy_config=sdk.proxy_config(rules=[rule])))
            equal("does not have" in str(error), True)

    @case("mounts", "buckets and repositories, refused")
    async def _(client):
        for mount, auth in (
            (sdk.s3_mount(id="a", mount_path="/a", bucket="b"), sdk.aws_auth(role_arn="arn:aws:iam::123456789012:role/a")),
            (sdk.gcs_mount(id="a", mount_path="/a", bucket="b"), sdk.gcp_auth(service_account_json=sdk.opaque_secret("{}"))),
            (sdk.git_mount(id="a", mount_path="/a", remote_url="https://example.com/a.git"), None),
            (sdk.context_hub_mount(id="a", mount_path="/a", repo="a/b"), None),
        ):
            config = sdk.mount_config(mounts=[mount], auth=[auth] if auth else [])
            error = await throws(sdk.SandboxClientError, lambda: client.create_sandbox(mount_config=config))
            equal("does not have mounts" in str(error), True)

    @case("errors", "delegated access, which one machine has not")
    async def _(client):
        delegation = {"mode": "EXPLICIT", "permissions": ["runs:read"]}
        await throws(sdk.SandboxClientError, lambda: client.create_sandbox(access_delegation=delegation))

    @case("errors", "creation, and not ready: an image that does not boot", **NATIVE)
    async def _(client):
        made = name("registry")
        registry = await v(client.registries.create(name=made, url=REGISTRY, username="robot", password="pass-word"))
        shot = await v(client.create_snapshot(name("broken"), REGISTRY + "/broken:latest", 1 << 30, registry_id=registry.id))
        error = await throws(sdk.ResourceCreationError, lambda: client.create_sandbox(snapshot_id=shot.id))
        equal(error.error_type, "CrashLoop")
        failed = await v(client.create_sandbox(snapshot_id=shot.id, wait_for_ready=False))
        await throws(sdk.ResourceCreationError, lambda: client.wait_for_sandbox(failed.name, poll_interval=0.1))
        failed = await v(client.get_sandbox(failed.name))
        await throws(sdk.SandboxNotReadyError, lambda: failed.read("/file"))
        await v(failed.delete())
        await v(client.delete_snapshot(shot.id))
        await v(client.registries.delete(made))

    @boxed("commands", "by Server-Sent Events, an experiment of the client that the server has not")
    async def _(client, box):
        os.environ["LANGSMITH_EXPERIMENTAL_FEATURES"] = "sandbox_sse_exec"
        try:
            error = await throws(sdk.ResourceNotFoundError, lambda: box.run("true"))
        finally:
            del os.environ["LANGSMITH_EXPERIMENTAL_FEATURES"]
        equal("/execute/stream/start" in str(error), True)

    @case("errors", "validation")
    async def _(client):
        error = await throws(sdk.ValidationError, lambda: client.create_sandbox(vcpus=1, mem_bytes=1))
        equal(error.field, "mem_bytes")

    @case("errors", "quota", api_endpoint=SMALL)
    async def _(client):
        async with entered(await v(client.sandbox())):
            error = await throws(sdk.QuotaExceededError, lambda: client.create_sandbox())
            equal(error.quota_type, "sandbox_count")

    if kit.asynchronous:
        return  # the next one waits for long

    @case("errors", "connecting: a data plane that is away")
    async def _(client):
        away = sdk.Sandbox(name="x", dataplane_url=AWAY, status="ready", _client=client)

        async def run():
            return await v(away.run("true", wait=False, timeout=1))
        error = await throws(sdk.SandboxRetryableConnectionError, run)
        equal(type(error), sdk.SandboxConnectTimeoutError)
