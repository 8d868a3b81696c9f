// A company's provider: any user name signs in with any password. Says its port on standard output once it listens.
import { createServer } from "node:http";

import { Provider } from "oidc-provider";

const [portal, secret] = process.argv.slice(2);
const server = createServer();
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: "portal",
        client_secret: secret,
        redirect_uris: [`${portal}/sign-in/callback`],
        post_logout_redirect_uris: [`${portal}/`],
        application_type: "native",
      },
    ],
    claims: { profile: ["name"], email: ["email", "email_verified"], openid: ["sub", "groups"] },
    conformIdTokenClaims: false,
    pkce: { required: () => true },
    findAccount: (_context, id) => ({
      accountId: id,
      claims: () => ({
        sub: id,
        name: `Name of ${id}`,
        email: `${id}@company.example`,
        email_verified: true,
        groups: id === "grace" ? ["staff", "portal-writers"] : ["staff"],
      }),
    }),
  });
  server.on("request", provider.callback());
  console.log(`listening ${server.address().port}`);
});
