// The part for sandboxes of the client that is generated from LangSmith's API.
import { NotFoundError, APIError } from "langsmith";
import { equal, test, throws, unique } from "../case.mjs";
import { api, client } from "./kit.mjs";

async function all(items, of = (item) => item) {
  const list = [];
  for await (const item of items) list.push(of(item));
  return list;
}

async function made(undo) {
  const box = await api.boxes.create({ name: unique("box"), wait_for_ready: true });
  undo(() => api.boxes.delete(box.name));
  return box.name;
}

await test("generated client", "sandboxes: create, get, update, list, status, stop, start, delete", async () => {
  const [name, renamed] = [unique("box"), unique("box")];
  await api.boxes.create({ name, wait_for_ready: true });
  equal((await api.boxes.retrieve(name)).status, "ready");
  equal((await api.boxes.update(name, { name: renamed })).name, renamed);
  equal((await all(api.boxes.list(), (b) => b.name)).includes(renamed), true);
  await api.boxes.stop(renamed);
  equal((await api.boxes.getStatus(renamed)).status, "stopped");
  await api.boxes.start(renamed);
  await api.boxes.delete(renamed);
  await throws(NotFoundError, () => api.boxes.retrieve(renamed));
});
await test("generated client", "services: share, list, take back; a link to a file", async (undo) => {
  const name = await made(undo);
  const url = await api.boxes.generateServiceURL(name, { port: 8000 });
  equal([Boolean(url.token), Boolean(url.service_url)], [true, true]);
  equal(await all(api.boxes.listServiceURLs(name), (s) => [s.port, s.access]), [[8000, "token"]]);
  await api.boxes.deleteServiceURL(name, { port: 8000 });
  equal(await all(api.boxes.listServiceURLs(name)), []);
  await (await client.getSandbox(name)).write("/tmp/file", "x");
  const link = await api.boxes.generateDownloadURL(name, { path: "/tmp/file" });
  equal((await fetch(link.download_url)).status, 200);
});
await test("generated client", "snapshots: create, capture, get, list, tags, delete", async (undo) => {
  const name = unique("shot");
  const one = await api.snapshots.create({ name, docker_image: "x", fs_capacity_bytes: 1 << 30, tag: "one" });
  const two = await api.boxes.createSnapshot(await made(undo), { name, tag: "two" });
  equal((await api.snapshots.retrieve(one.id)).name, name);
  equal((await all(api.snapshots.list({ name_contains: name }), (s) => s.id)).sort(), [one.id, two.id].sort());
  equal((await api.snapshots.retrieveByName(name)).tags.map((t) => t.tag).sort(), ["one", "two"]);
  let status;
  do ({ status } = await api.snapshots.retrieve(two.id)); while (status === "building");
  for (const { id } of [one, two]) await api.snapshots.delete(id);
});
await test("generated client", "costs of usage, which nothing here has", async () => {
  const error = await throws(APIError, async () =>
    await api.listUsageCosts({ start_time: "2026-01-01T00:00:00Z", end_time: "2026-01-02T00:00:00Z" }));
  equal(error.status, 501);
});
