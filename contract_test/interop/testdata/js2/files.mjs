import { equal, text, throws } from "../case.mjs";
import { boxed, client, sdk } from "./kit.mjs";

await boxed("files", "write and read text and bytes", async (box) => {
  const bytes = new Uint8Array(256).map((_, i) => i);
  await box.write("/tmp/deep/er/bytes", bytes);
  equal(Array.from(await box.read("/tmp/deep/er/bytes")), Array.from(bytes));
  await box.write("/tmp/text", "naïve\n");
  equal(text(await box.read("/tmp/text")), "naïve\n");
});
await boxed("files", "ranges: start and end, tail, condition, unchanged", async (box) => {
  await box.write("/tmp/f/a.txt", "0123456789");
  const stat = await box.stat("/tmp/f/a.txt");
  equal([stat.size_bytes, Boolean(stat.etag), Boolean(stat.last_modified)], [10, true, true]);
  const part = await box.readRange("/tmp/f/a.txt", { start: 2, end: 4 });
  equal([text(part.content), part.start, part.partial, part.total_bytes], ["234", 2, true, 10]);
  equal(text((await box.readRange("/tmp/f/a.txt", { suffixBytes: 3 })).content), "789");
  equal((await box.readRange("/tmp/f/a.txt", { start: 0, ifNoneMatch: part.etag })).unchanged, true);
  equal((await box.readRange("/tmp/f/a.txt", { start: 4, ifRange: '"other"' })).partial, false);
  await throws(sdk.LangSmithSandboxOperationError, () => box.readRange("/tmp/f/a.txt", { start: 100 }));
});
await boxed("files", "glob and ls", async (box) => {
  await box.write("/tmp/f/a.txt", "x");
  await box.write("/tmp/f/d/b.txt", "x");
  const found = await box.glob("**/*.txt", "/tmp/f");
  equal(found.matches.map((m) => m.path).sort(), ["/tmp/f/a.txt", "/tmp/f/d/b.txt"]);
  equal((await box.ls("/tmp/f")).matches.length, 2);
  equal((await box.glob("**/*.txt", "/tmp/f", { limit: 1 })).truncated, true);
});
await boxed("files", "grep", async (box) => {
  await box.write("/tmp/f/d/b.txt", "first\nneedle here\n");
  await box.write("/tmp/f/d/b.md", "needle there\n");
  const found = await box.grep("needle", "/tmp/f", { glob: "**/*.txt" });
  equal(found.matches, [{ path: "/tmp/f/d/b.txt", line: 2, text: "needle here" }]);
});
await boxed("files", "download link", async (box) => {
  await box.write("/tmp/f/a.txt", "0123456789");
  const link = await box.generateDownloadURL("/tmp/f/a.txt", { contentDisposition: "attachment" });
  const answer = await fetch(link.download_url);
  equal([answer.status, await answer.text()], [200, "0123456789"]);
  const typed = await client.generateDownloadURL(box.name, "/tmp/f/a.txt", { expiresInSeconds: 60, contentType: "text/x-a" });
  equal((await fetch(typed.download_url)).headers.get("Content-Type").split(";")[0], "text/x-a");
});
