// Requests that node's parser refuses or that never end: they never reach fastify, and are answered on the bare socket.

import { STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import { type ProblemCode, problemBody, problemKinds } from "./problems.ts";
import { requestIdOf } from "./request-id.ts";

const codes: Readonly<Record<string, ProblemCode>> = {
  HPE_HEADER_OVERFLOW: "headers-too-large",
  ERR_HTTP_REQUEST_TIMEOUT: "request-timeout",
};

/** Answers, where anybody still listens, and ends the connection. */
export function answerBrokenRequest(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === "ECONNRESET" || !socket.writable) {
    socket.destroy();
    return;
  }
  const code = codes[error.code ?? ""] ?? "invalid-request";
  const { status } = problemKinds[code];
  const requestId = requestIdOf(undefined);
  const body = problemBody({ code }, requestId);
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    "content-type: application/problem+json",
    `content-length: ${Buffer.byteLength(body)}`,
    `x-request-id: ${requestId}`,
    "connection: close",
  ];
  socket.end(`${head.join("\r\n")}\r\n\r\n${body}`);
}
