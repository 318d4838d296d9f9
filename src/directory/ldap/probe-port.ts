// What a port speaks, asked on a new connection when a session could not be opened: a wrong port looks like a lost
// connection or a server that does not answer. Sends no name and no password, and trusts nothing that it hears.

import { connect as connectTcp } from "node:net";
import { connect as connectTls } from "node:tls";

// SearchRequest (RFC 4511, 4.5.1) for the root DSE: base scope, objectClass present, and no attribute ("1.1").
const rootDseSearch = Buffer.from(
  "302a02010163250400" +
    "0a0100" +
    "0a0100" +
    "020100" +
    "020100" +
    "010100" +
    "870b6f626a656374436c617373" +
    "30050403312e31",
  "hex",
);
const sequenceTag = 0x30;

/** False when it does not answer so within `timeoutMs`. Never rejects. */
export function portSpeaks(
  protocol: "LDAP" | "TLS",
  { host, port }: { host: string; port: number },
  timeoutMs: number,
): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connectTcp({ host, port });
    const end = (answer: boolean) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(answer);
    };
    const timer = setTimeout(() => end(false), timeoutMs);
    socket.once("error", () => end(false));
    socket.once("close", () => end(false));
    if (protocol === "LDAP") {
      socket.once("connect", () => socket.write(rootDseSearch));
      socket.once("data", (answer) => end(answer[0] === sequenceTag));
      return;
    }
    // Only whether there is TLS at all; nothing is sent through it.
    const secured = connectTls({ socket, rejectUnauthorized: false });
    secured.once("secureConnect", () => end(true));
    secured.once("error", (error) => end("code" in error && /ALERT/.test(String(error.code))));
  });
}
