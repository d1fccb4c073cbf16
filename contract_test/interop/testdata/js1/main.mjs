import * as official from "langsmith/experimental/sandbox";
import { apiKey, done, endpoint, equal, small, test, text, throws } from "../case.mjs";
import { record } from "../record.mjs";

const sdk = record(official);

const config = { apiEndpoint: endpoint, apiKey, maxRetries: 0 };
const client = new sdk.SandboxClient(config);

await test("templates", "create, get, list, rename", async () => {
  const made = await client.createTemplate("j1-a", { image: "python:3.12", cpu: "500m", memory: "512Mi" });
  equal([made.name, made.image], ["j1-a", "python:3.12"]);
  equal((await client.getTemplate("j1-a")).id, made.id);
  equal((await client.updateTemplate("j1-a", { newName: "j1" })).name, "j1");
  equal((await client.listTemplates()).map((t) => t.name).includes("j1"), true);
});

await test("volumes", "create, get, resize, rename, list, delete", async () => {
  equal((await client.createVolume("j1-vol", { size: "1Gi" })).name, "j1-vol");
  equal((await client.updateVolume("j1-vol", { newName: "j1-vol2", size: "2Gi" })).size, "2Gi");
  equal((await client.getVolume("j1-vol2")).size, "2Gi");
  equal((await client.listVolumes()).map((v) => v.name).includes("j1-vol2"), true);
  await client.deleteVolume("j1-vol2");
});

await test("pools", "create, get, scale, list, delete", async () => {
  equal((await client.createPool("j1-pool", { templateName: "j1", replicas: 1 })).replicas, 1);
  equal((await client.updatePool("j1-pool", { replicas: 0 })).replicas, 0);
  equal((await client.getPool("j1-pool")).template_name, "j1");
  equal((await client.listPools()).map((p) => p.name).includes("j1-pool"), true);
  await client.deletePool("j1-pool");
});

const box = await client.createSandbox("j1", { name: "j1-box" });
await test("sandboxes", "get, list, status, wait, rename", async () => {
  equal((await client.getSandbox("j1-box")).id, box.id);
  equal((await client.getSandboxStatus("j1-box")).status, "ready");
  equal((await client.waitForSandbox("j1-box")).name, "j1-box");
  equal((await client.updateSandbox("j1-box", "j1-other")).name, "j1-other");
  equal((await client.updateSandbox("j1-other", "j1-box")).name, "j1-box");
  equal((await client.listSandboxes()).map((b) => b.name).includes("j1-box"), true);
});
await test("sandboxes", "create without waiting", async () => {
  const later = await client.createSandbox("j1", { name: "j1-later", waitForReady: false });
  equal((await client.waitForSandbox(later.name)).status, "ready");
  await later.delete();
});
await test("commands", "run with environment and directory", async () => {
  const r = await box.run("echo $A; pwd; echo oops >&2; exit 3", { env: { A: "é" }, cwd: "/tmp" });
  equal([r.stdout, r.stderr, r.exit_code], ["é\n/tmp\n", "oops\n", 3]);
});
await test("files", "write and read text and bytes", async () => {
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
  throws(TypeError, () =>
    new sdk.SandboxClient({ ...config, apiEndpoint: "http://127.0.0.1:9" }).createSandbox("j1")));
await test("errors", "not ready: a stopped sandbox", async () => {
  await client.createSandbox("j1", { name: "j1-stopped" });
  const stopped = await client.getSandbox("j1-stopped");
  const answer = await fetch(`${endpoint}/boxes/j1-stopped/stop`, { method: "POST", headers: { "X-Api-Key": apiKey } });
  equal(answer.ok, true);
  await throws(sdk.LangSmithSandboxNotReadyError, () => stopped.run("true"));
  await stopped.delete();
});
await test("errors", "not found: template, sandbox, pool, volume, file", async () => {
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
    client.createPool("j1-none", { templateName: "none", replicas: 1 }));
  equal(error.resourceType, "template");
});
await test("errors", "in use", () =>
  throws(sdk.LangSmithResourceInUseError, async () => {
    await client.createVolume("j1-used", { size: "1Gi" });
    await client.createTemplate("j1-user", {
      image: "x", volumeMounts: [{ volume_name: "j1-used", mount_path: "/data" }],
    });
    await client.deleteVolume("j1-used");
  }));
await test("errors", "refused: pool of a template with volumes", () =>
  throws(sdk.LangSmithSandboxError, () =>
    client.createPool("j1-bad", { templateName: "j1-user", replicas: 1 })));
await test("errors", "already exists", () =>
  throws(sdk.LangSmithResourceAlreadyExistsError, async () => {
    await client.createPool("j1-twice", { templateName: "j1", replicas: 1 });
    await client.createPool("j1-twice", { templateName: "j1", replicas: 1 });
  }));
await test("errors", "name conflict", () =>
  throws(sdk.LangSmithResourceNameConflictError, () => client.updateTemplate("j1-user", { newName: "j1" })));
// This client reads the body of a 422 twice, and fails at that: its
// LangSmithValidationError is out of reach, whatever the server says.
await test("errors", "validation fails in the client, which reads the answer twice", async () => {
  const error = await throws(TypeError, () => client.createVolume("j1-bad", { size: "much" }));
  equal(error.message, "Response.clone: Body has already been consumed.");
});
await test("errors", "quota", async () => {
  const tight = new sdk.SandboxClient({ ...config, apiEndpoint: small });
  await tight.createTemplate("q", { image: "x" });
  await tight.createSandbox("q");
  const error = await throws(sdk.LangSmithQuotaExceededError, () => tight.createSandbox("q"));
  equal(error.quotaType, "sandbox_count");
});
await test("errors", "no data plane", () =>
  throws(sdk.LangSmithDataplaneNotConfiguredError, () =>
    new sdk.Sandbox({ name: "x" }, client).run("true")));
await test("errors", "operation: read of a directory, write below a file", async () => {
  await throws(sdk.LangSmithSandboxOperationError, () => box.read("/tmp"));
  await throws(sdk.LangSmithSandboxOperationError, () => box.write("/tmp/text/below", "x"));
});
await test("sandboxes", "delete", async () => {
  await box.delete();
  await throws(sdk.LangSmithResourceNotFoundError, () => client.getSandbox("j1-box"));
});
await test("templates", "delete", async () => {
  await client.deletePool("j1-twice");
  await client.deleteTemplate("j1-user");
  await client.deleteVolume("j1-used");
  await client.deleteTemplate("j1");
});
done();
