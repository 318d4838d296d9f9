// The key of a webhook, in the form of Standard Webhooks: base64, with or without `whsec_` before it. Pure.

/** 24 to 64 bytes, or undefined. */
export function parseWebhookKey(text: string): Buffer | undefined {
  const base64 = text.trim().replace(/^whsec_/, "");
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) return undefined;
  const key = Buffer.from(base64, "base64");
  return key.length >= 24 && key.length <= 64 ? key : undefined;
}
