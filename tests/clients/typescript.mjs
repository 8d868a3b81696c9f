// The MCP TypeScript SDK as an agent: `node typescript.mjs SDK URL [TOKEN]` lists the tools and runs `6*7`.
// Without a token it signs in as a desktop agent does, and keeps the login in its home. SDK is the package's index.mjs.

import { randomUUID } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { homedir } from "node:os";
import { join } from "node:path";

const [sdk, url, token] = process.argv.slice(2);
const { Client, StreamableHTTPClientTransport, UnauthorizedError } = await import(sdk);

const file = join(homedir(), "typescript-login.json");
const kept = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : {};
const keep = (name, value) => {
  kept[name] = value;
  writeFileSync(file, JSON.stringify(kept), { mode: 0o600 });
};

const listener = createServer();
await new Promise((ready) => listener.listen(0, "127.0.0.1", ready));
const redirectUrl = `http://127.0.0.1:${listener.address().port}/callback`;
const answered = new Promise((resolve) => {
  listener.on("request", (request, response) => {
    response.end("ok");
    resolve(new URL(request.url, redirectUrl).searchParams);
  });
});

const state = randomUUID();
let verifier;
const login = {
  redirectUrl,
  clientMetadata: {
    client_name: "MCP TypeScript SDK",
    redirect_uris: [redirectUrl],
    grant_types: ["authorization_code", "refresh_token"],
    response_types: ["code"],
    token_endpoint_auth_method: "none",
  },
  state: () => state,
  clientInformation: () => kept.client,
  saveClientInformation: (client) => keep("client", client),
  tokens: () => kept.tokens,
  saveTokens: (tokens) => keep("tokens", tokens),
  redirectToAuthorization: (link) => console.log(`Open ${link}\n`),
  saveCodeVerifier: (made) => (verifier = made),
  codeVerifier: () => verifier,
  invalidateCredentials: (scope) => {
    if (scope === "all" || scope === "tokens") keep("tokens", undefined);
    if (scope === "all" || scope === "client") keep("client", undefined);
  },
};

function transport() {
  const options = token ? { requestInit: { headers: { Authorization: `Bearer ${token}` } } } : { authProvider: login };
  return new StreamableHTTPClientTransport(new URL(url), options);
}

const client = () => new Client({ name: "matrix", version: "1" }, { versionNegotiation: { mode: "auto" } });

async function connected() {
  const first = transport();
  const found = client();
  try {
    await found.connect(first);
    return found;
  } catch (error) {
    if (token || !(error instanceof UnauthorizedError)) throw error;
  }
  const callback = await answered;
  if (callback.get("state") !== state) throw new Error("the answer is to another question");
  await first.finishAuth(callback);
  const again = client();
  await again.connect(transport());
  return again;
}

const agent = await connected();
const { tools } = await agent.listTools();
console.log(tools.map((tool) => tool.name).join(" "));
const result = await agent.callTool({ name: "execute", arguments: { code: "6*7" } });
for (const block of result.content) console.log(block.text);
await agent.close();
listener.close();
process.exit(0);
