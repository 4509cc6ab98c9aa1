// An oidc-provider with one client, on a free port of this machine. Prints its address when it listens.
import { createServer } from "node:http";
import { exportJWK, generateKeyPair } from "jose";
import { Provider, errors } from "oidc-provider";

// The servers that its tokens are for, each with the scopes that a client may ask for.
const servers = {
  "https://dormouse.example.org": "stock:write orders:read",
  "https://another.example.org": "stock:write orders:read",
};

const { privateKey } = await generateKeyPair("RS256", { extractable: true });
const key = { ...(await exportJWK(privateKey)), alg: "RS256", use: "sig" };
const server = createServer().listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: "warehouse",
        client_secret: "known-to-the-test",
        grant_types: ["client_credentials"],
        redirect_uris: [],
        response_types: [],
      },
    ],
    jwks: { keys: [key] },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_context, resource) => {
          if (!(resource in servers)) throw new errors.InvalidTarget();
          return { scope: servers[resource], audience: resource, accessTokenFormat: "jwt" };
        },
      },
    },
  });
  server.on("request", provider.callback());
  console.log(`listening on ${issuer}`);
});
