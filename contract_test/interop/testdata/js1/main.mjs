import * as official from "langsmith/experimental/sandbox";
import { apiKey, away, done, endpoint, equal, full, images, native, small, test, text, throws, unique } from "../case.mjs";
import { record } from "../record.mjs";

const sdk = record(official);
const config = { apiEndpoint: endpoint, apiKey, maxRetries: 0 };
const client = new sdk.SandboxClient(config);

async function template(undo, options = { image: "host" }, of = client) {
  const name = unique("template");
  await of.createTemplate(name, options);
  undo(() => of.deleteTemplate(name));
  return name;
}

async function volume(undo) {
  const name = unique("volume");
  await client.createVolume(name, { size: "1Gi" });
  undo(() => client.deleteVolume(name));
  return name;
}

// A case with a sandbox of its own.
const boxed = (feature, name, body) =>
  test(feature, name, async (undo) => {
    const of = await template(undo);
    const box = await client.createSandbox(of);
    undo(() => box.delete());
    await body(box, of, undo);
  });

await test("templates", "create, get, list, rename, delete", async () => {
  const [name, renamed] = [unique("template"), unique("template")];
  const made = await client.createTemplate(name, { image: "python:3.12", cpu: "500m", memory: "512Mi" });
  equal([made.name, made.image], [name, "python:3.12"]);
  equal((await client.getTemplate(name)).id, made.id);
  equal((await client.updateTemplate(name, { newName: renamed })).name, renamed);
  equal((await client.listTemplates()).map((t) => t.name).includes(renamed), true);
  await client.deleteTemplate(renamed);
  await throws(sdk.LangSmithResourceNotFoundError, () => client.getTemplate(renamed));
});
await test("volumes", "create, get, resize, rename, list, delete", async () => {
  const [name, renamed] = [unique("volume"), unique("volume")];
  equal((await client.createVolume(name, { size: "1Gi" })).name, name);
  equal((await client.updateVolume(name, { newName: renamed, size: "2Gi" })).size, "2Gi");
  equal((await client.getVolume(renamed)).size, "2Gi");
  equal((await client.listVolumes()).map((v) => v.name).includes(renamed), true);
  await client.deleteVolume(renamed);
  await throws(sdk.LangSmithResourceNotFoundError, () => client.getVolume(renamed));
});
await test("volumes", "mounted: what one sandbox writes, the next one reads", async (undo) => {
  const name = await volume(undo);
  const mounted = await template(undo, { image: "host", volumeMounts: [{ volume_name: name, mount_path: "/data" }] });
  const one = await client.createSandbox(mounted);
  await one.write("/data/kept", "kept");
  await one.delete();
  const two = await client.createSandbox(mounted);
  undo(() => two.delete());
  equal((await two.run("cat kept", { cwd: "/data" })).stdout, "kept");
});
await test("pools", "create, get, scale, list, use, delete", async (undo) => {
  const [name, of] = [unique("pool"), await template(undo)];
  equal((await client.createPool(name, { templateName: of, replicas: 1 })).replicas, 1);
  const box = await client.createSandbox(of);
  undo(() => box.delete());
  equal((await box.run("echo out")).stdout, "out\n");
  equal((await client.updatePool(name, { replicas: 0 })).replicas, 0);
  equal((await client.getPool(name)).template_name, of);
  equal((await client.listPools()).map((p) => p.name).includes(name), true);
  await client.deletePool(name);
  await throws(sdk.LangSmithResourceNotFoundError, () => client.getPool(name));
});

await boxed("sandboxes", "get, list, status, wait, rename", async (box) => {
  const renamed = unique("renamed");
  equal((await client.getSandbox(box.name)).id, box.id);
  equal((await client.getSandboxStatus(box.name)).status, "ready");
  equal((await client.waitForSandbox(box.name)).name, box.name);
  equal((await client.updateSandbox(box.name, renamed)).name, renamed);
  equal((await client.updateSandbox(renamed, box.name)).name, box.name);
  equal((await client.listSandboxes()).map((b) => b.name).includes(box.name), true);
});
await test("sandboxes", "create without waiting, wait, delete", async (undo) => {
  const later = await client.createSandbox(await template(undo), { name: unique("later"), waitForReady: false });
  equal((await client.waitForSandbox(later.name)).status, "ready");
  await client.deleteSandbox(later.name);
  await throws(sdk.LangSmithResourceNotFoundError, () => client.getSandbox(later.name));
});
await boxed("commands", "run with environment and directory", async (box) => {
  const r = await box.run("echo $A ${PWD##*/}; echo oops >&2; exit 3", { env: { A: "é" }, cwd: "/tmp" });
  equal([r.stdout, r.stderr, r.exit_code], ["é tmp\n", "oops\n", 3]);
});
await boxed("files", "write and read text and bytes", async (box) => {
  const bytes = new Uint8Array(256).map((_, i) => i);
  await box.write("/tmp/deep/er/bytes", bytes);
  equal(Array.from(await box.read("/tmp/deep/er/bytes")), Array.from(bytes));
  await box.write("/tmp/text", "naïve\n");
  equal(text(await box.read("/tmp/text")), "naïve\n");
});

await test("errors", "authentication", () =>
  throws(sdk.LangSmithSandboxAuthenticationError, () =>
    new sdk.SandboxClient({ ...config, apiKey: "wrong" }).listTemplates()));
// This client has an error for it, but only for answers of a server.
await test("errors", "a server that cannot be reached is fetch's own error", () =>
  throws(TypeError, () => new sdk.SandboxClient({ ...config, apiEndpoint: away }).createSandbox("x")));
await test("errors", "an endpoint that is none", () =>
  throws(sdk.LangSmithSandboxAPIError, () =>
    new sdk.SandboxClient({ ...config, apiEndpoint: endpoint + "/none" }).listSandboxes()));
await test("errors", "any: the class that all errors are of", () =>
  throws(sdk.LangSmithSandboxError, () => client.getSandbox("none")));
await boxed("errors", "not ready: a stopped sandbox", async (box) => {
  await stop(box.name);
  const stopped = await client.getSandbox(box.name);
  await throws(sdk.LangSmithSandboxNotReadyError, () => stopped.run("true"));
});
await boxed("errors", "timeout: waiting for a stopped sandbox", async (box) => {
  await stop(box.name);
  const error = await throws(sdk.LangSmithResourceTimeoutError, () =>
    client.waitForSandbox(box.name, { timeout: 1, pollInterval: 0.2 }));
  equal([error.resourceType, error.lastStatus], ["sandbox", "stopped"]);
});
await boxed("errors", "not found: template, sandbox, pool, volume, file", async (box) => {
  const calls = {
    template: () => client.getTemplate("none"), sandbox: () => client.getSandbox("none"),
    pool: () => client.getPool("none"), volume: () => client.getVolume("none"),
    file: () => box.read("/tmp/none"),
  };
  for (const [kind, call] of Object.entries(calls)) {
    equal((await throws(sdk.LangSmithResourceNotFoundError, call)).resourceType, kind);
  }
});
await test("errors", "pool of no template", async () => {
  const error = await throws(sdk.LangSmithResourceNotFoundError, () =>
    client.createPool(unique("pool"), { templateName: "none", replicas: 1 }));
  equal(error.resourceType, "template");
});
// What the server answers, this client would name its own class by, and does not.
await test("errors", "in use, and refused: pool of a template with volumes", async (undo) => {
  const used = await volume(undo);
  const user = await template(undo, { image: "x", volumeMounts: [{ volume_name: used, mount_path: "/data" }] });
  await throws(sdk.LangSmithResourceInUseError, () => client.deleteVolume(used));
  await throws(sdk.LangSmithSandboxError, () => client.createPool(unique("pool"), { templateName: user, replicas: 1 }));
});
await test("errors", "already exists", async (undo) => {
  const [name, of] = [unique("pool"), await template(undo)];
  await client.createPool(name, { templateName: of, replicas: 1 });
  undo(() => client.deletePool(name));
  await throws(sdk.LangSmithResourceAlreadyExistsError, () =>
    client.createPool(name, { templateName: of, replicas: 1 }));
});
await test("errors", "name conflict", async (undo) => {
  const [one, two] = [await template(undo), await template(undo)];
  await throws(sdk.LangSmithResourceNameConflictError, () => client.updateTemplate(one, { newName: two }));
});
// This client reads the body of a 422 twice, and fails at that: its
// LangSmithValidationError is out of reach, whatever the server says.
await test("errors", "validation fails in the client, which reads the answer twice", async () => {
  const error = await throws(TypeError, () => client.createVolume(unique("bad"), { size: "much" }));
  equal(error.message, "Response.clone: Body has already been consumed.");
});
await test("errors", "quota", async (undo) => {
  const tight = new sdk.SandboxClient({ ...config, apiEndpoint: small });
  const of = await template(undo, { image: "x" }, tight);
  const box = await tight.createSandbox(of);
  undo(() => box.delete());
  const error = await throws(sdk.LangSmithQuotaExceededError, () => tight.createSandbox(of));
  equal(error.quotaType, "sandbox_count");
});
await test("errors", "creation: a template of an image that cannot be had", async (undo) => {
  const puller = new sdk.SandboxClient({ ...config, apiEndpoint: images });
  const of = await template(undo, { image: "127.0.0.1:9/none:latest" }, puller);
  const later = await puller.createSandbox(of, { waitForReady: false });
  undo(() => later.delete());
  await throws(sdk.LangSmithResourceCreationError, () => puller.waitForSandbox(later.name, { pollInterval: 0.1 }));
  // For a creation that waits, the answer is a 422: see above.
  await throws(TypeError, () => puller.createSandbox(of));
}, native);
await test("errors", "creation: an image that the machine has no room for", async (undo) => {
  const crowded = new sdk.SandboxClient({ ...config, apiEndpoint: full.endpoint });
  const of = await template(undo, { image: full.image }, crowded);
  const error = await throws(sdk.LangSmithSandboxCreationError, () => crowded.createSandbox(of));
  equal(error.errorType, "Unschedulable");
}, native);
// To this client whatever answers at its data plane is the sandbox.
await boxed("errors", "connection: a port of a sandbox on which nothing listens", async (box) => {
  const shared = await post(`${endpoint}/boxes/${box.name}/service-url`, { port: 8001, access: "restricted" });
  const there = new sdk.Sandbox({ name: box.name, dataplane_url: shared.service_url, status: "ready" }, client);
  await throws(sdk.LangSmithSandboxConnectionError, () => there.run("true"));
});
await test("errors", "no data plane", () =>
  throws(sdk.LangSmithDataplaneNotConfiguredError, () => new sdk.Sandbox({ name: "x" }, client).run("true")));
await boxed("errors", "operation: read of a directory, write below a file", async (box) => {
  await box.write("/tmp/plain", "x");
  await throws(sdk.LangSmithSandboxOperationError, () => box.read("/tmp"));
  await throws(sdk.LangSmithSandboxOperationError, () => box.write("/tmp/plain/below", "x"));
});
done();

// The API has it, this client has not.
function stop(name) {
  return post(`${endpoint}/boxes/${name}/stop`, {});
}

async function post(url, body) {
  const headers = { "X-Api-Key": apiKey, "Content-Type": "application/json" };
  const answer = await fetch(url, { method: "POST", headers, body: JSON.stringify(body) });
  equal(answer.ok, true);
  const said = await answer.text();
  return said && JSON.parse(said);
}
