// The configuration as it is in force, for admins and auditors to look at. The file stays the only place to change it. Shows
// what is named here and nothing else: no secret, no path of a key, no hash of a token.

import type { Config, Limit } from "../config/config.ts";
import { type Html, html } from "../pages/html.ts";
import type { ConsoleDeps } from "./deps.ts";
import { facts, lengthOf, page } from "./layout.ts";
import type { Site } from "./site.ts";
import type { Visit } from "./visit.ts";

export function addConfigurationRoutes(site: Site, { config }: ConsoleDeps): void {
  site.get("/configuration", ["admin", "auditor"], async ({ visit }) => configurationPage(visit, config));
}

function configurationPage(visit: Visit, config: ConsoleDeps["config"]): Html {
  return page(
    visit,
    "Configuration",
    html`<p class="faint">As it is in force. To change it, change the file and let dirmfa read it again.</p>
${
  config.warnings.length > 0
    ? html`<div class="answer bad"><p><strong>What works, but will hurt</strong></p><ul>${config.warnings.map((warning) => html`<li>${warning}</li>`)}</ul></div>`
    : undefined
}
<div class="columns"><div>${mfaPart(config.mfa)}${consolePart(config)}</div><div>${config.directories.map(directoryPart)}${restPart(config)}</div></div>`,
    { wide: true },
  );
}

const span = (ms: number) => (ms === 0 ? "none" : lengthOf(ms / 1000));
const names = (list: readonly string[]) => (list.length === 0 ? "none" : list.join(", "));

function mfaPart(mfa: Config["mfa"]): Html {
  return html`<h2>MFA</h2>${facts([
    ["Mode", mfa.mode],
    ["Required for directories", names(mfa.requireForDirectories)],
    ["Required for groups", names(mfa.requireForGroups)],
    ["Required for new users", mfa.requireForNewUsers ? `yes; the first import: ${mfa.initialImport}` : "no"],
    ["Grace to enroll", span(mfa.enrollmentGraceMs)],
    ["Enrollment pass", `${mfa.enrollmentPass}, good for ${span(mfa.enrollmentPassExpiresMs)}`],
    ["Replace with a backup code", mfa.replaceWithBackupCode ? "yes" : "no"],
    ["Name in the app", mfa.issuer],
    ["Time steps either side", mfa.totp.windowSteps],
    ["Backup codes", mfa.backupCodes.count],
    [
      "Lockout",
      `after ${mfa.lockout.failures} wrong codes, ${span(mfa.lockout.firstMs)} to ${span(mfa.lockout.maximumMs)}`,
    ],
  ])}`;
}

function consolePart({ console, http }: ConsoleDeps["config"]): Html {
  const { roles, session } = console;
  return html`<h2>Console</h2>${facts([
    ["Admins", names(roles.admin)],
    ["Help desk", names(roles.helpDesk)],
    ["Auditors", names(roles.auditor)],
    ["Session", `${span(session.idleMs)} without a page, ${span(session.absoluteMs)} at most`],
    ["TLS", console.tls ? "yes" : "no"],
  ])}<h2>Callers of the API</h2>${facts(
    http.callers.map(
      ({ name, scopes, protocol }) =>
        [name, `${scopes.join(", ")}${protocol === "api" ? "" : `; ${protocol}`}`] as const,
    ),
  )}`;
}

function directoryPart(directory: Config["directories"][number]): Html {
  const { limits } = directory;
  const limit = ({ count, percent }: Limit) => `${count} and ${percent} %`;
  return html`<h2>Directory ${directory.name}</h2>${facts([
    ["Servers", directory.urls.join(", ")],
    ["Kind", directory.kind ?? "found out"],
    ["Bound as", directory.bind?.dn ?? "anonymous"],
    ["Users", directory.users.bases.join("; ")],
    ["Groups", directory.groups?.bases.join("; ") ?? "none"],
    ["Schedule", directory.schedule ? `${directory.schedule} (${directory.timeZone})` : "on demand"],
    [
      "Held beyond",
      `removals ${limit(limits.removals)}; disables ${limit(limits.disables)}; renames ${limit(limits.renames)}; requirements ${limit(limits.requirements)}`,
    ],
  ])}`;
}

function restPart({ database, retention, log }: ConsoleDeps["config"]): Html {
  const { removedUsersMs, syncRunsMs, auditEventsMs } = retention;
  return html`<h2>Kept</h2>${facts([
    ["Database", database.kind],
    ["Removed users", span(removedUsersMs)],
    ["Sync runs", span(syncRunsMs)],
    ["Audit events", auditEventsMs === undefined ? "forever" : span(auditEventsMs)],
    ["Log", log.level],
  ])}`;
}
