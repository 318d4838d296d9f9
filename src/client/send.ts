// How the client's calls travel: by fetch, or by node's own client over a Unix socket. Knows no call and judges no answer.

export interface Answer {
  status: number;
  requestId: string | undefined;
  retryAfter: string | undefined;
  text: string;
}

export interface Sent {
  headers: Record<string, string>;
  body: string;
  signal: AbortSignal;
}

export type Send = (url: string, sent: Sent) => Promise<Answer>;

export function sendByFetch(fetchIt: typeof fetch): Send {
  return async (url, sent) => {
    // A redirect would carry token and code to wherever it points.
    const response = await fetchIt(url, { method: "POST", redirect: "error", ...sent });
    return {
      status: response.status,
      requestId: response.headers.get("x-request-id") ?? undefined,
      retryAfter: response.headers.get("retry-after") ?? undefined,
      text: await response.text(),
    };
  };
}

/** fetch knows no Unix sockets; node's own client does. */
export function sendBySocket(socketPath: string): Send {
  return async (url, { headers, body, signal }) => {
    const { request } = await import("node:http");
    return new Promise((resolve, reject) => {
      const sent = request(url, { socketPath, method: "POST", headers, signal }, (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () =>
          resolve({
            status: response.statusCode ?? 0,
            requestId: textOf(response.headers["x-request-id"]),
            retryAfter: response.headers["retry-after"],
            text: Buffer.concat(chunks).toString(),
          }),
        );
      });
      sent.on("error", reject);
      sent.end(body);
    });
  };
}

function textOf(header: string | string[] | undefined): string | undefined {
  return typeof header === "string" ? header : undefined;
}
