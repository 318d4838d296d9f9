// Posting to an address of the configuration: TLS verified, in bounded time, and to nobody else.
// It is in no folder: the audit event stream and the webhook share it, and neither knows the other.

import { request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";

export interface Post {
  /** https, or http on this machine. */
  url: string;
  /** PEM of the CA, where it is none of the system's. */
  caPem: string | undefined;
  method: "POST" | "HEAD";
  headers: Readonly<Record<string, string>>;
  body: string;
  timeoutMs: number;
}

/** The answer's status; what it says is nothing to us. A redirect is not followed: it would send the body to somebody else. */
export function postTo({ url, caPem, method, headers, body, timeoutMs }: Post): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const target = new URL(url);
  const send = target.protocol === "https:" ? requestHttps : requestHttp;
  const request = send(target, {
    method,
    headers: { ...headers, "user-agent": "dirmfa", "content-length": String(Buffer.byteLength(body)) },
    agent: false,
    signal: AbortSignal.timeout(timeoutMs),
    minVersion: "TLSv1.2",
    ...(caPem === undefined ? {} : { ca: caPem }),
  });
  request.on("error", reject);
  request.on("response", (response) => {
    response.on("error", reject);
    response.resume();
    resolve(response.statusCode ?? 0);
    request.destroy();
  });
  request.end(body);
  return promise;
}
