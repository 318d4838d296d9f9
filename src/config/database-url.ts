// What a PostgreSQL URL means for who can read what crosses the network, as the driver (pg) reads it. Pure.

import { parsePostgresUrl } from "../postgres-url.ts";
import { isLoopback } from "./formats.ts";

/** What will hurt with this URL, or undefined. Shows nothing of the URL. */
export function databaseUrlWarning(text: string): string | undefined {
  const remote = parsePostgresUrl(text)?.filter((server) => !isOnThisMachine(server)) ?? [];
  const [url] = remote; // all have the same settings
  if (url === undefined) return undefined;
  const way = "sslmode=verify-full ends that";
  if (!isEncrypted(url)) return `another machine without TLS: secrets cross the network unencrypted; ${way}`;
  if (!isServerChecked(url))
    return `TLS without a look at the server's certificate: whoever is in between reads along; ${way}`;
  return undefined;
}

/** `?host=` comes before the URL's own host; a path is a socket of this machine. */
function isOnThisMachine(url: URL): boolean {
  const host = url.searchParams.get("host") ?? decodeURIComponent(url.hostname);
  return host === "" || host.startsWith("/") || isLoopback(host.replace(/^\[|\]$/g, ""));
}

function isEncrypted({ searchParams }: URL): boolean {
  const mode = searchParams.get("sslmode");
  if (mode !== null) return mode !== "disable";
  return ["true", "1"].includes(searchParams.get("ssl") ?? "");
}

/** pg checks in every mode but these; with `uselibpqcompat` the weaker modes mean what they mean to libpq. */
function isServerChecked({ searchParams }: URL): boolean {
  const mode = searchParams.get("sslmode") ?? "";
  if (mode === "no-verify") return false;
  const isLikeLibpq = searchParams.get("uselibpqcompat") === "true";
  return !(isLikeLibpq && ["allow", "prefer", "require"].includes(mode));
}
