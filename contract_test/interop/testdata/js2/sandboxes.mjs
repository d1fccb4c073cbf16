import { inspect } from "node:util";
import { endpoint, equal, test, throws, unique } from "../case.mjs";
import { boxed, client, sdk } from "./kit.mjs";

await boxed("sandboxes", "get, list, status, wait, rename, labels", async (box) => {
  const renamed = unique("renamed");
  equal((await client.getSandbox(box.name)).labels, { a: "b" });
  equal((await client.getSandboxStatus(box.name)).status, "ready");
  equal((await client.waitForSandbox(box.name)).id, box.id);
  equal((await client.updateSandbox(box.name, renamed)).name, renamed);
  equal((await client.updateSandbox(renamed, { newName: box.name, idleTtlSeconds: 600 })).idle_ttl_seconds, 600);
  equal((await client.listSandboxes()).map((b) => b.name).includes(box.name), true);
}, { options: { labels: { a: "b" } } });
await test("sandboxes", "create without waiting, wait, delete", async () => {
  const later = await client.createSandbox({ name: unique("later"), waitForReady: false });
  equal((await client.waitForSandbox(later.name)).status, "ready");
  await client.deleteSandbox(later.name);
  await throws(sdk.LangSmithResourceNotFoundError, () => client.getSandbox(later.name));
});
await boxed("sandboxes", "stop and start", async (box) => {
  await box.stop();
  equal((await client.getSandboxStatus(box.name)).status, "stopped");
  await box.start();
  equal((await box.run("echo up")).stdout, "up\n");
  await client.stopSandbox(box.name);
  equal((await client.getSandboxStatus(box.name)).status, "stopped");
  equal((await client.startSandbox(box.name)).status, "ready");
});
await boxed("sandboxes", "labels, resources and a run configuration, for sandbox and command", async (box) => {
  const command = "echo $A $B ${PWD##*/}";
  equal((await box.run(command)).stdout, "sandbox sandbox tmp\n");
  await box.write("/tmp/own/file", "");
  const runConfig = { work_dir: "/tmp/own", env_vars: { A: "command" } };
  equal((await box.run(command, { runConfig })).stdout, "command sandbox own\n");
}, { options: { vCpus: 1, memBytes: 2 << 30 >>> 0, runConfig: { work_dir: "/tmp", env_vars: { A: "sandbox", B: "sandbox" } } } });
await test("sandboxes", "a client prints without its key", () => {
  equal([client.toString(), inspect(client)], Array(2).fill(`[LangSmithSandboxClient apiEndpoint=${JSON.stringify(endpoint)}]`));
});
