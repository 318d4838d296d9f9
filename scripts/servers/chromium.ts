// A private Chromium: an empty profile, and no traffic but what its user causes.

import { type Browser, chromium } from "playwright-core";
import { ensureServers } from "./install-servers.ts";

/** Ends with close(). Each newContext() is like a separate browser, with no cookies. `hosts` are names that lead to this machine. */
export async function startBrowser({ hosts = "" } = {}): Promise<Browser> {
  const programs = await ensureServers(["chromium"]);
  return chromium.launch({
    ...(programs.chromium === undefined ? {} : { executablePath: programs.chromium }),
    args: [
      "--headless",
      "--no-sandbox", // root has none, and the pages are ours
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      ...(hosts === "" ? [] : [`--host-resolver-rules=MAP ${hosts} 127.0.0.1`]),
    ],
  });
}
