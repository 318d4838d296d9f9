// The answers of the privacyIDEA protocol: one envelope for everything, as its clients read it. Pure; every answer names all
// keys, since several clients read a key without asking whether it is there.

/** What a client may do next. */
export type Authentication = "ACCEPT" | "REJECT" | "CHALLENGE";

export interface Challenge {
  transactionId: string;
  serial: string;
  message: string;
  /** Of an enrollment: a QR code as a data URL, and the URI that it holds. Both hold the secret. */
  enrollment?: { image: string; link: string; mayDefer: boolean };
}

/** Error numbers of the protocol that clients know. */
export const errorCodes = {
  userUnknown: 904,
  parameterMissing: 905,
  wrongCredentials: 4031,
  credentialsMissing: 4033,
  notOffered: 303,
  tooMany: 429,
  unavailable: 503,
  internal: -500,
} as const;

export interface Envelope {
  id: number;
  jsonrpc: "2.0";
  result: Record<string, unknown>;
  detail: Record<string, unknown> | null;
  time: number;
  version: string;
  versionnumber: string;
  signature: string;
}

// Clients show or log the version, and none compares it. No signature: none of them checks it, and TLS has done it.
const program = { version: "dirmfa", versionnumber: "1", signature: "" } as const;

function envelope(now: Date, result: Envelope["result"], detail: Envelope["detail"]): Envelope {
  return {
    id: 1,
    jsonrpc: "2.0",
    result: { status: true, ...result },
    detail,
    time: secondsOf(now),
    ...program,
  };
}

/** Seconds with decimals, as the protocol's own server gives them. */
function secondsOf(now: Date): number {
  return now.getTime() / 1000;
}

export function accepted(now: Date, message: string, serial?: string): Envelope {
  return envelope(now, { value: true, authentication: "ACCEPT" }, detailOf(message, serial));
}

export function rejected(now: Date, message: string): Envelope {
  return envelope(now, { value: false, authentication: "REJECT" }, detailOf(message));
}

function detailOf(message: string, serial?: string) {
  return {
    message,
    messages: [message],
    ...(serial === undefined ? {} : { serial, type: "totp" }),
    attributes: null,
    threadid: 0,
  };
}

/** More is asked: a code, or the first code of an enrollment. */
export function challenged(now: Date, challenge: Challenge): Envelope {
  const { transactionId, serial, message, enrollment } = challenge;
  const shown = enrollment === undefined ? {} : { image: enrollment.image, link: enrollment.link };
  const one = {
    transaction_id: transactionId,
    client_mode: "interactive",
    serial,
    type: "totp",
    message,
    attributes: null,
    ...shown,
  };
  return envelope(
    now,
    { value: false, authentication: "CHALLENGE" },
    {
      message,
      messages: [message],
      transaction_id: transactionId,
      transaction_ids: [transactionId],
      multi_challenge: [one],
      serial,
      type: "totp",
      client_mode: "interactive",
      preferred_client_mode: "interactive",
      attributes: null,
      threadid: 0,
      ...shown,
      ...(enrollment === undefined
        ? {}
        : {
            enroll_via_multichallenge: true,
            enroll_via_multichallenge_optional: enrollment.mayDefer,
          }),
    },
  );
}

/** No push is ever under way, so nothing is ever answered by one. */
export function pollPending(now: Date): Envelope {
  return envelope(now, { value: false }, { challenge_status: "pending", threadid: 0 });
}

/** For a service account: `token` has the shape of a JWT, whose role some clients read. */
export function tokenGiven(now: Date, token: string, name: string): Envelope {
  const value = { token, role: "admin", username: name, realm: "", rights: [], log_level: 0 };
  return envelope(now, { value }, null);
}

export function failed(now: Date, code: number, message: string): Envelope {
  const result = { status: false, error: { code, message } };
  return { id: 1, jsonrpc: "2.0", result, detail: null, time: secondsOf(now), ...program };
}
