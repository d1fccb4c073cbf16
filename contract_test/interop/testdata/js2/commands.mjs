import { drop, equal, throws } from "../case.mjs";
import { boxed, collect, sdk } from "./kit.mjs";

await boxed("commands", "run with environment and directory", async (box) => {
  const r = await box.run("echo $A ${PWD##*/}; echo oops >&2; exit 3", { env: { A: "é" }, cwd: "/tmp" });
  equal([r.stdout, r.stderr, r.exit_code], ["é tmp\n", "oops\n", 3]);
});
await boxed("commands", "stream by callbacks", async (box) => {
  let [out, err] = ["", ""];
  const r = await box.run("echo a; echo b >&2; echo c", { onStdout: (s) => (out += s), onStderr: (s) => (err += s) });
  equal([out, err, r.exit_code], ["a\nc\n", "b\n", 0]);
});
await boxed("commands", "stream by iteration", async (box) => {
  const handle = await box.run("for i in 1 2 3; do echo $i; echo x >&2; done", { wait: false });
  const out = { stdout: "", stderr: "" };
  for await (const chunk of handle) out[chunk.stream] += chunk.data;
  equal(out, { stdout: "1\n2\n3\n", stderr: "x\nx\nx\n" });
  equal([handle.lastStdoutOffset, handle.lastStderrOffset], [6, 6]);
  equal([(await handle.result).exit_code, handle.pid > 0, Boolean(handle.commandId)], [0, true, true]);
});
await boxed("commands", "input, and its end", async (box) => {
  const handle = await box.run("read a; echo got $a; cat", { wait: false, closeInput: false });
  handle.sendInput("one\n");
  handle.sendInput("two\n");
  handle.closeInput();
  equal(await collect(handle), "got one\ntwo\n");
});
await boxed("commands", "kill", async (box) => {
  const handle = await box.run("sleep 1000", { wait: false });
  handle.kill();
  equal((await handle.result).exit_code !== 0, true);
});
await boxed("commands", "timeout", (box) =>
  throws(sdk.LangSmithCommandTimeoutError, async () => {
    const handle = await box.run("sleep 1000", { wait: false, timeout: 1 });
    await handle.result;
  }));
await boxed("commands", "reconnect after the line is dropped", async (box) => {
  const handle = await box.run("echo ready; read a; for i in 1 2 3; do echo $a $i; done", { wait: false, closeInput: false });
  await drop();
  const again = await box.reconnect(handle.commandId);
  let out = "";
  for await (const chunk of again) {
    out += chunk.data;
    if (out === "ready\n") again.sendInput("line\n"); // lost before the first chunk, by this client
  }
  equal(out, "ready\nline 1\nline 2\nline 3\n");
});
await boxed("commands", "reconnect by itself while it iterates", async (box) => {
  const handle = await box.run("echo first; while [ ! -e go ]; do sleep 0.05; done; echo last", { wait: false, cwd: "/tmp" });
  let out = "";
  for await (const chunk of handle) {
    out += chunk.data;
    if (out === "first\n") {
      await drop();
      await box.write("/tmp/go", "x");
    }
  }
  equal([out, (await handle.result).exit_code], ["first\nlast\n", 0]);
});
await boxed("commands", "reconnect from offsets, and where it was", async (box) => {
  const handle = await box.run("printf 0123456789", { wait: false });
  await handle.result;
  equal(await collect(await box.reconnect(handle.commandId, { stdoutOffset: 4 })), "456789");
  equal(await collect(await handle.reconnect()), "");
});
await boxed("commands", "PTY", async (box) => {
  const r = await box.run("test -t 0 && test -t 1 && echo yes", { pty: true });
  equal(r.stdout, "yes\r\n");
});
await boxed("commands", "reattach to a command there is none of", (box) =>
  throws(sdk.LangSmithSandboxOperationError, async () => (await box.reconnect("none")).result));
