// What `dirmfa check` finds out about a directory: every server on its own, then one complete listing from the first
// that answers, with what will hurt. Changes nothing, stores nothing, prints nothing.

import type { DirectoryConfig, DirectoryKind } from "../../config/config.ts";
import { detectKind } from "../kinds.ts";
import { connectSession } from "../ldap/connect-session.ts";
import type { LdapSession } from "../ldap/ldap-session.ts";
import type { ServerIdentity } from "../listing-page.ts";
import { readBaseId, readRootDse, readServerIdentity } from "../server-identity.ts";
import { type ListingProbe, probeListing } from "./probe-listing.ts";
import { failureOf, type ProbeFailure, type ProbeWarning } from "./probe-outcome.ts";

export interface ServerProbe {
  url: string;
  /** TCP, TLS and bind together, or how long it took to fail. */
  connectMs: number;
  outcome: { reached: true; server: ReachedServer } | { reached: false; failure: ProbeFailure };
}

export interface ReachedServer {
  /** As configured, else as detected. */
  kind: DirectoryKind;
  detectedKind: DirectoryKind;
  vendor: string | undefined;
  /** Undefined for plaintext. */
  tls: { protocol: string; certificateValidTo: Date } | undefined;
  /** Undefined when the server hides what it supports. */
  pages: boolean | undefined;
  identity: ServerIdentity;
  /** The id of each base entry: equal on all servers that hold the same directory. */
  baseIds: string[];
}

export interface DirectoryProbe {
  directory: string;
  servers: ServerProbe[];
  /** Undefined when no server could be reached. */
  listing: ListingProbe | undefined;
  warnings: ProbeWarning[];
}

/** Never rejects for what a directory does: failures stand in the result. Rejects with `aborted`, or what is broken. */
export async function probeDirectory(
  directory: DirectoryConfig,
  options: { signal: AbortSignal; now: Date },
): Promise<DirectoryProbe> {
  const servers: ServerProbe[] = [];
  for (const url of directory.urls) servers.push(await probeServer(directory, url, options.signal));
  const reached = servers.flatMap((probe) => (probe.outcome.reached ? [probe.outcome.server] : []));
  const first = reached[0];
  const listing =
    first === undefined ? undefined : await probeListing(directory, first.identity.url, options.signal);
  return {
    directory: directory.name,
    servers,
    listing,
    warnings: [
      ...warningsOfConfig(directory),
      ...warningsOfServers(directory, reached, options.now),
      ...(listing?.warnings ?? []),
    ],
  };
}

async function probeServer(
  directory: DirectoryConfig,
  url: string,
  signal: AbortSignal,
): Promise<ServerProbe> {
  const startedAt = performance.now();
  let connectMs: number | undefined;
  try {
    const session = await connectSession(url, directory, signal);
    connectMs = Math.round(performance.now() - startedAt);
    try {
      return { url, connectMs, outcome: { reached: true, server: await describeServer(session, directory) } };
    } finally {
      session.close();
    }
  } catch (error) {
    connectMs ??= Math.round(performance.now() - startedAt);
    return { url, connectMs, outcome: { reached: false, failure: failureOf(error) } };
  }
}

const pagedResults = "1.2.840.113556.1.4.319";

async function describeServer(session: LdapSession, directory: DirectoryConfig): Promise<ReachedServer> {
  const bindDn = directory.bind?.dn;
  const rootDse = await readRootDse(session, bindDn);
  const detectedKind = detectKind(rootDse);
  const kind = directory.kind ?? detectedKind;
  const baseIds: string[] = [];
  for (const base of directory.users.bases) baseIds.push(await readBaseId(session, base, bindDn));
  const [firstBase = ""] = directory.users.bases;
  const { supportedControls } = rootDse;
  return {
    kind,
    detectedKind,
    vendor: rootDse.vendorName,
    tls: session.protection,
    pages: supportedControls.length === 0 ? undefined : supportedControls.includes(pagedResults),
    identity: await readServerIdentity(session, kind, firstBase, bindDn),
    baseIds,
  };
}

function warningsOfConfig(directory: DirectoryConfig): ProbeWarning[] {
  if (directory.bind !== undefined) return [];
  return [
    {
      message:
        "the bind is anonymous: entries that the server hides from strangers look as if they were removed",
      remedy: "Create a reader for dirmfa and set bind.",
    },
  ];
}

// Long enough to get a new certificate through most organizations.
const certificateNoticeMs = 30 * 86_400_000;

function warningsOfServers(
  directory: DirectoryConfig,
  servers: readonly ReachedServer[],
  now: Date,
): ProbeWarning[] {
  const warnings: ProbeWarning[] = [];
  for (const server of servers) {
    const { url } = server.identity;
    if (server.tls === undefined) {
      warnings.push({
        message: `${url} is used unencrypted: whoever can read or change the traffic learns the bind password and can add and remove users`,
        remedy: "Use an ldaps:// URL or tls.startTls.",
      });
    } else if (server.tls.certificateValidTo.getTime() - now.getTime() < certificateNoticeMs) {
      const day = server.tls.certificateValidTo.toISOString().slice(0, 10);
      warnings.push({
        message: `the certificate of ${url} is valid until ${day}`,
        remedy: "Renew it; no run succeeds after that day.",
      });
    }
    if (server.pages === false) {
      warnings.push({
        message: `${url} does not offer paged results (${pagedResults})`,
        remedy: "Allow the control; every run fails without it.",
      });
    }
    if (directory.kind === undefined && directory.users.disabled === undefined && server.kind === "generic") {
      warnings.push({
        message: `${url} does not show what kind of directory it is, and nobody is taken for disabled`,
        remedy: "Set kind, or users.disabled.",
      });
    }
    if (server.detectedKind !== server.kind && server.detectedKind !== "generic") {
      warnings.push({
        message: `${url} looks like ${server.detectedKind}, and kind is ${server.kind}`,
        remedy: "Leave kind out, or check that ids and disabled users are read as they should be.",
      });
    }
  }
  const [first] = servers;
  if (servers.some((server) => server.baseIds.join(" ") !== first?.baseIds.join(" "))) {
    warnings.push({
      message: `the servers of "${directory.name}" hold different directories: their base entries have different ids`,
      remedy: "List only replicas of one directory in urls; otherwise all users are new after a failover.",
    });
  }
  return warnings;
}
