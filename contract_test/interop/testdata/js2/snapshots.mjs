import fs from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { equal, images, native, registry, test, text, throws, unique } from "../case.mjs";
import { boxed, client, config, sdk } from "./kit.mjs";

const puller = new sdk.SandboxClient({ ...config, apiEndpoint: images });

// A registry that the server of images knows how to log in to.
async function login(undo) {
  const made = await puller.registries.create({ name: unique("registry"), url: registry, username: "robot", password: "pass-word" });
  undo(() => puller.registries.delete(made.name));
  return { registryId: made.id };
}

await boxed("snapshots", "capture, get, list, boot, delete", async (box) => {
  await box.write("/home/kept", "kept");
  const name = unique("shot");
  const shot = await box.captureSnapshot(name);
  equal((await client.waitForSnapshot(shot.id)).status, "ready");
  equal((await client.getSnapshot(shot.id)).name, name);
  equal((await client.listSnapshots({ nameContains: name })).map((s) => s.id), [shot.id]);
  const next = await client.createSandbox(shot.id);
  equal(text(await next.read("/home/kept")), "kept");
  await next.delete();
  await client.deleteSnapshot(shot.id);
  await throws(sdk.LangSmithResourceNotFoundError, () => client.getSnapshot(shot.id));
  const again = await client.captureSnapshot(box.name, unique("shot"));
  equal(again.status, "ready");
  await client.deleteSnapshot(again.id);
});
await test("snapshots", "of an image that the server is told to keep the name of", async () => {
  const shot = await client.createSnapshot(unique("image"), "python:3.12", 1 << 30);
  equal([shot.status, shot.docker_image], ["ready", "python:3.12"]);
  await client.deleteSnapshot(shot.id);
});
await test("registries", "create, get, list, update, delete", async () => {
  const [name, renamed] = [unique("registry"), unique("registry")];
  const made = await client.registries.create({ name, url: "127.0.0.1:9", username: "robot", password: "pass-word" });
  equal((await client.registries.retrieve(name)).id, made.id);
  equal(JSON.stringify(await client.registries.retrieve(name)).includes("pass-word"), false);
  await client.registries.update(name, { name: renamed });
  equal((await client.registries.list()).registries.map((r) => r.name).includes(renamed), true);
  await client.registries.delete(renamed);
  equal((await client.registries.list()).registries.map((r) => r.name).includes(renamed), false);
});
await test("snapshots", "build: an image of a private registry, and boot", async (undo) => {
  const shot = await puller.createSnapshot(unique("private"), `${registry}/app:latest`, 1 << 30, await login(undo));
  undo(() => puller.deleteSnapshot(shot.id));
  const box = await puller.createSandbox(shot.id);
  undo(() => box.delete());
  equal((await box.run("echo $FROM; cat /etc/made-of", { shell: "/bin/sh" })).stdout, "image\nlayers");
}, native);
await test("snapshots", "build: a Dockerfile, whose context arrives, where there is no BuildKit", async (undo) => {
  const context = await fs.mkdtemp(path.join(os.tmpdir(), "context-"));
  undo(() => fs.rm(context, { recursive: true }));
  await fs.writeFile(path.join(context, "Dockerfile"), "FROM scratch\n");
  let log = "";
  const error = await throws(sdk.LangSmithResourceCreationError, () =>
    client.createSnapshotFromDockerfile(unique("built"), "Dockerfile", { context, onBuildLog: (s) => (log += s), timeout: 40 }));
  equal([error.resourceType, log.includes("buildkitd")], ["snapshot", true]);
}, native);
await test("errors", "creation: an image that cannot be had", async () => {
  const error = await throws(sdk.LangSmithResourceCreationError, () =>
    puller.createSnapshot(unique("bad"), `${registry}/none:latest`, 1 << 30));
  equal(error.resourceType, "snapshot");
}, native);
await test("errors", "creation, and not ready: an image that does not boot", async (undo) => {
  const shot = await puller.createSnapshot(unique("broken"), `${registry}/broken:latest`, 1 << 30, await login(undo));
  undo(() => puller.deleteSnapshot(shot.id));
  const error = await throws(sdk.LangSmithSandboxCreationError, () => puller.createSandbox(shot.id));
  equal(error.errorType, "CrashLoop");
  const failed = await puller.createSandbox(shot.id, { waitForReady: false });
  undo(() => failed.delete());
  await throws(sdk.LangSmithResourceCreationError, () => puller.waitForSandbox(failed.name, { pollInterval: 0.1 }));
  await throws(sdk.LangSmithSandboxNotReadyError, async () => (await puller.getSandbox(failed.name)).read("/file"));
}, native);
