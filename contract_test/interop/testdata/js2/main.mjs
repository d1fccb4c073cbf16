import * as official from "langsmith/sandbox";
import { apiKey, done, drop, endpoint, equal, test, text, throws } from "../case.mjs";
import { record } from "../record.mjs";

const sdk = record(official);

const client = new sdk.SandboxClient({ apiEndpoint: endpoint, apiKey, maxRetries: 0 });
const box = await client.createSandbox({ name: "j2-box", labels: { a: "b" } });

async function collect(handle) {
  let out = "";
  for await (const chunk of handle) out += chunk.data;
  return out;
}

await test("sandboxes", "get, list, status, wait, rename, labels", async () => {
  equal((await client.getSandbox("j2-box")).labels, { a: "b" });
  equal((await client.getSandboxStatus("j2-box")).status, "ready");
  equal((await client.waitForSandbox("j2-box")).id, box.id);
  equal((await client.updateSandbox("j2-box", "j2-other")).name, "j2-other");
  equal((await client.updateSandbox("j2-other", { newName: "j2-box", idleTtlSeconds: 600 })).idle_ttl_seconds, 600);
  equal((await client.listSandboxes()).map((b) => b.name).includes("j2-box"), true);
});
await test("commands", "run with environment and directory", async () => {
  const r = await box.run("echo $A; pwd; echo oops >&2; exit 3", { env: { A: "é" }, cwd: "/tmp" });
  equal([r.stdout, r.stderr, r.exit_code], ["é\n/tmp\n", "oops\n", 3]);
});
await test("commands", "stream by callbacks", async () => {
  let [out, err] = ["", ""];
  const r = await box.run("echo a; echo b >&2; echo c", { onStdout: (s) => (out += s), onStderr: (s) => (err += s) });
  equal([out, err, r.exit_code], ["a\nc\n", "b\n", 0]);
});
await test("commands", "stream by iteration", async () => {
  const handle = await box.run("for i in 1 2 3; do echo $i; done", { wait: false });
  equal([await collect(handle), (await handle.result).exit_code], ["1\n2\n3\n", 0]);
});
await test("commands", "input, and its end", async () => {
  const handle = await box.run("read a; echo got $a; cat", { wait: false, closeInput: false });
  handle.sendInput("one\n");
  handle.sendInput("two\n");
  handle.closeInput();
  equal(await collect(handle), "got one\ntwo\n");
});
await test("commands", "kill", async () => {
  const handle = await box.run("sleep 1000", { wait: false });
  handle.kill();
  equal((await handle.result).exit_code !== 0, true);
});
await test("commands", "timeout", () =>
  throws(sdk.LangSmithCommandTimeoutError, async () => {
    const handle = await box.run("sleep 1000", { wait: false, timeout: 1 });
    await handle.result;
  }));
await test("commands", "reconnect after the line is dropped", async () => {
  const handle = await box.run("echo ready; read a; for i in 1 2 3; do echo $a $i; done", { wait: false, closeInput: false });
  await drop();
  await box.write("/tmp/j2-dropped", "x");
  const again = await box.reconnect(handle.commandId);
  let out = "";
  for await (const chunk of again) {
    out += chunk.data;
    if (out === "ready\n") again.sendInput("line\n"); // lost before the first chunk, by this client
  }
  equal(out, "ready\nline 1\nline 2\nline 3\n");
});
await test("commands", "reconnect by itself while it iterates", async () => {
  const handle = await box.run("echo first; while [ ! -e /tmp/j2-go ]; do sleep 0.05; done; echo last", { wait: false });
  let out = "";
  for await (const chunk of handle) {
    out += chunk.data;
    if (out === "first\n") {
      await drop();
      await box.write("/tmp/j2-go", "x");
    }
  }
  equal([out, (await handle.result).exit_code], ["first\nlast\n", 0]);
});
await test("commands", "reconnect from offsets", async () => {
  const handle = await box.run("printf 0123456789", { wait: false });
  await handle.result;
  equal(await collect(await box.reconnect(handle.commandId, { stdoutOffset: 4 })), "456789");
});
await test("commands", "PTY", async () => {
  const r = await box.run("test -t 0 && test -t 1 && echo yes", { pty: true });
  equal(r.stdout, "yes\r\n");
});
await test("files", "write, read, stat", async () => {
  await box.write("/tmp/f/a.txt", "0123456789");
  equal(text(await box.read("/tmp/f/a.txt")), "0123456789");
  const stat = await box.stat("/tmp/f/a.txt");
  equal([stat.size_bytes, Boolean(stat.etag), Boolean(stat.last_modified)], [10, true, true]);
});
await test("files", "ranges: start and end, tail, condition, unchanged", async () => {
  const part = await box.readRange("/tmp/f/a.txt", { start: 2, end: 4 });
  equal([text(part.content), part.start, part.partial, part.total_bytes], ["234", 2, true, 10]);
  equal(text((await box.readRange("/tmp/f/a.txt", { suffixBytes: 3 })).content), "789");
  equal((await box.readRange("/tmp/f/a.txt", { start: 0, ifNoneMatch: part.etag })).unchanged, true);
  equal((await box.readRange("/tmp/f/a.txt", { start: 4, ifRange: '"other"' })).partial, false);
});
await test("files", "glob and ls", async () => {
  await box.write("/tmp/f/d/b.txt", "needle here\n");
  const found = await box.glob("**/*.txt", "/tmp/f");
  equal(found.matches.map((m) => m.path).sort(), ["/tmp/f/a.txt", "/tmp/f/d/b.txt"]);
  equal((await box.ls("/tmp/f")).matches.length, 2);
  equal((await box.glob("**/*.txt", "/tmp/f", { limit: 1 })).truncated, true);
});
await test("files", "grep", async () => {
  const found = await box.grep("needle", "/tmp/f", { glob: "**/*.txt" });
  equal(found.matches, [{ path: "/tmp/f/d/b.txt", line: 1, text: "needle here" }]);
});
await test("files", "download link", async () => {
  const link = await box.generateDownloadURL("/tmp/f/a.txt", { contentDisposition: "attachment" });
  const answer = await fetch(link.download_url);
  equal([answer.status, await answer.text()], [200, "0123456789"]);
});
await test("services", "a port by its URL and token", async () => {
  await box.write("/tmp/web/index.html", "hello");
  const handle = await box.run("cd /tmp/web && exec python3 -u -m http.server 8000 2>&1", { wait: false });
  for await (const chunk of handle) if (chunk.data.includes("Serving")) break;
  const service = await client.serviceUrl("j2-box", { port: 8000 });
  const answer = await service.fetch("/index.html");
  equal([answer.status, await answer.text()], [200, "hello"]);
  handle.kill();
});
await test("snapshots", "capture, get, list, wait, boot, delete", async () => {
  await box.write("/home/j2-kept", "kept");
  const shot = await box.captureSnapshot("j2-shot");
  equal((await client.waitForSnapshot(shot.id)).status, "ready");
  equal((await client.getSnapshot(shot.id)).name, "j2-shot");
  equal((await client.listSnapshots({ nameContains: "j2-" })).length, 1);
  const next = await client.createSandbox(shot.id, { name: "j2-next" });
  equal(text(await next.read("/home/j2-kept")), "kept");
  await next.delete();
  await client.deleteSnapshot(shot.id);
});
await test("snapshots", "create from an image", async () => {
  const shot = await client.createSnapshot("j2-image", "python:3.12", 1 << 30);
  equal(shot.status, "ready");
  await client.deleteSnapshot(shot.id);
});
await test("sandboxes", "stop and start", async () => {
  await box.stop();
  equal((await client.getSandboxStatus("j2-box")).status, "stopped");
  await box.start();
  equal((await box.run("echo up")).stdout, "up\n");
});
await test("errors", "authentication, not found", async () => {
  const wrong = new sdk.SandboxClient({ apiEndpoint: endpoint, apiKey: "wrong", maxRetries: 0 });
  await throws(sdk.LangSmithSandboxAuthenticationError, () => wrong.listSandboxes());
  await throws(sdk.LangSmithResourceNotFoundError, () => client.getSandbox("none"));
  await throws(sdk.LangSmithResourceNotFoundError, () => box.read("/tmp/none"));
  await throws(sdk.LangSmithResourceNotFoundError, () => client.getSnapshot("none"));
});
await test("errors", "name conflict", () =>
  throws(sdk.LangSmithResourceNameConflictError, async () => {
    await client.createSandbox({ name: "j2-second" });
    await client.updateSandbox("j2-second", "j2-box");
  }));
await test("sandboxes", "delete", async () => {
  await client.deleteSandbox("j2-second");
  await box.delete();
  await throws(sdk.LangSmithResourceNotFoundError, () => client.getSandbox("j2-box"));
});
done();
