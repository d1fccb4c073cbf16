import { away, endpoint, equal, small, test, throws } from "../case.mjs";
import { boxed, client, config, sdk } from "./kit.mjs";

const other = (options) => new sdk.SandboxClient({ ...config, ...options });

await test("errors", "authentication", () =>
  throws(sdk.LangSmithSandboxAuthenticationError, () => other({ apiKey: "wrong" }).listSandboxes()));
await test("errors", "a server that cannot be reached is fetch's own error", () =>
  throws(TypeError, () => other({ apiEndpoint: away }).listSandboxes()));
await test("errors", "an endpoint that is none", () =>
  throws(sdk.LangSmithSandboxAPIError, () => other({ apiEndpoint: endpoint + "/none" }).listSandboxes()));
await test("errors", "any: the class that all errors are of", () =>
  throws(sdk.LangSmithSandboxError, () => client.getSandbox("none")));
await boxed("errors", "not found: sandbox, file, snapshot", async (box) => {
  await throws(sdk.LangSmithResourceNotFoundError, () => client.getSandbox("none"));
  await throws(sdk.LangSmithResourceNotFoundError, () => box.read("/tmp/none"));
  await throws(sdk.LangSmithResourceNotFoundError, () => client.getSnapshot("none"));
});
await boxed("errors", "name conflict", async (box, undo) => {
  const second = await client.createSandbox();
  undo(() => second.delete());
  await throws(sdk.LangSmithResourceNameConflictError, () => client.updateSandbox(second.name, box.name));
});
await boxed("errors", "timeout: waiting for a stopped sandbox", async (box) => {
  await box.stop();
  const error = await throws(sdk.LangSmithResourceTimeoutError, () =>
    client.waitForSandbox(box.name, { timeout: 1, pollInterval: 0.2 }));
  equal([error.resourceType, error.lastStatus], ["sandbox", "stopped"]);
});
await test("errors", "validation", async () => {
  const error = await throws(sdk.LangSmithValidationError, () => client.createSandbox({ vCpus: 1, memBytes: 1 }));
  equal(error.field, "mem_bytes");
});
await boxed("errors", "quota", async () => {
  const error = await throws(sdk.LangSmithQuotaExceededError, () => other({ apiEndpoint: small }).createSandbox());
  equal(error.quotaType, "sandbox_count");
}, { of: other({ apiEndpoint: small }) });
await test("errors", "no data plane", () =>
  throws(sdk.LangSmithDataplaneNotConfiguredError, () => new sdk.Sandbox({ name: "x" }, client).run("true")));
await boxed("errors", "operation: read of a directory, write below a file", async (box) => {
  await box.write("/tmp/plain", "x");
  await throws(sdk.LangSmithSandboxOperationError, () => box.read("/tmp"));
  await throws(sdk.LangSmithSandboxOperationError, () => box.write("/tmp/plain/below", "x"));
});
await test("errors", "connection: a command in a sandbox that is deleted", async () => {
  const gone = await client.createSandbox();
  await gone.delete();
  await throws(sdk.LangSmithSandboxConnectionError, () => gone.run("true", { wait: false }));
});
await test("errors", "connecting: a data plane that is away", async () => {
  const box = new sdk.Sandbox({ name: "x", dataplane_url: away, status: "ready" }, client);
  const error = await throws(sdk.LangSmithSandboxConnectTimeoutError, () => box.run("true", { wait: false, timeout: 1 }));
  equal(error instanceof sdk.LangSmithSandboxRetryableConnectionError, true);
});
