// Signs tokens with jose, by a key of each kind. Prints the public keys and the tokens.
import { exportJWK, generateKeyPair, SignJWT } from "jose";

const issuer = "https://login.example.org";
const keys = [];
const tokens = {};
for (const algorithm of ["RS256", "ES256", "EdDSA"]) {
  const { publicKey, privateKey } = await generateKeyPair(algorithm);
  const kid = `a key for ${algorithm}`;
  keys.push({ ...(await exportJWK(publicKey)), kid, alg: algorithm, use: "sig" });
  const sign = (audience) =>
    new SignJWT({ roles: ["stock"] })
      .setProtectedHeader({ alg: algorithm, typ: "JWT", kid })
      .setIssuer(issuer)
      .setSubject("ada")
      .setAudience(audience)
      .setIssuedAt()
      .setExpirationTime("1h")
      .sign(privateKey);
  tokens[algorithm] = { ours: await sign("dormouse"), foreign: await sign("another-server") };
}
console.log(JSON.stringify({ issuer, jwks: { keys }, tokens }));
