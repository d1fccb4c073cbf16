import http from "node:http";
import { apiKey, endpoint, equal, throws } from "../case.mjs";
import { boxed, client, sdk } from "./kit.mjs";

// Answers every method with what it was asked.
const echo = `
import http.server
class Echo(http.server.BaseHTTPRequestHandler):
    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        user = self.headers.get("X-Langsmith-User-Token") or ""
        data = f"{self.command} {self.path} {body.decode()} {user}".strip().encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
    do_GET = do_POST = answer
    def log_message(self, *args): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Echo)
print("serving", server.server_port, flush=True)
server.serve_forever()
`;

// The port of a server in a sandbox, until the sandbox is deleted. It is any, as
// sandboxes without a network of their own share the machine's.
async function serve(box) {
  await box.write("/tmp/echo.py", echo);
  const handle = await box.run("exec python3 echo.py 2>&1", { wait: false, cwd: "/tmp" });
  let out = "";
  for await (const chunk of handle) {
    out += chunk.data;
    const said = /serving (\d+)\n/.exec(out);
    if (said) return Number(said[1]);
  }
  throw new Error("the server in the sandbox ended");
}

// Reaches a service's own host, which resolves on this machine or not.
function open(url, path, headers) {
  const { host, port } = new URL(url);
  return new Promise((resolve, reject) => {
    http.get({ host: "127.0.0.1", port, path, headers: { ...headers, Host: host } }, async (answer) => {
      let body = "";
      for await (const piece of answer) body += piece;
      resolve(body);
    }).on("error", reject);
  });
}

await boxed("services", "a port by its URL and token, with every method", async (box) => {
  const port = await serve(box);
  const service = await client.serviceUrl(box.name, { port });
  const answer = await service.fetch("/page");
  equal([answer.status, await answer.text()], [200, "GET /page"]);
  equal(await (await service.fetch("/a", { method: "POST", body: "b" })).text(), "POST /a b");
  const direct = await fetch(await service.serviceUrl(), { headers: { [sdk.SERVICE_TOKEN_HEADER]: await service.token() } });
  equal(await direct.text(), "GET /");
  equal([Boolean(await service.browserUrl()), Date.parse(await service.expiresAt()) > Date.now()], [true, true]);
});
await boxed("services", "embed: who may show a service in a frame", async (box) => {
  const port = await serve(box);
  const service = await client.serviceUrl(box.name, { port, embedOrigins: ["https://app.example.com"] });
  equal(service.embedOrigins, ["https://app.example.com"]);
  const embed = new URL(await service.embedUrl());
  equal(embed.hash.endsWith(await service.token()), true);
  equal((await open(embed.href, embed.pathname, {})).includes("<script>"), true);
});
await boxed("services", "login: the key opens it, and its user's token verifies", async (box) => {
  const port = await serve(box);
  const login = await client.serviceUrl(box.name, { port, access: "restricted" });
  equal([login instanceof sdk.ServiceLoginUrl, login.access], [true, "restricted"]);
  const [method, path, token] = (await open(login.url, "/page", { "X-Api-Key": apiKey })).split(/\s+/);
  equal([method, path], ["GET", "/page"]);
  const verifier = new sdk.SandboxTokenVerifier({ apiUrl: endpoint });
  equal(Boolean((await verifier.verifyUserToken(token, { audience: login.url })).subject), true);
  await throws(sdk.LangSmithSandboxTokenVerificationError, () => verifier.verifyUserToken(token, { audience: "other.example.com" }));
  await throws(sdk.LangSmithSandboxTokenVerificationError, () =>
    verifier.verifyCallback({ body: "{}", signature: token, aud: "https://example.com" }));
});
