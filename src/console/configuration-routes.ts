// The configuration as it is in force, for admins and auditors to look at. The file stays the only place to change it. Shows
// what config-in-force.ts names, and so no secret.

import { type ConfigurationInForce, configurationInForce } from "../config/config-in-force.ts";
import { type Html, html } from "../pages/html.ts";
import type { ConsoleDeps } from "./deps.ts";
import { facts, lengthOf, page } from "./layout.ts";
import type { Site } from "./site.ts";
import type { Visit } from "./visit.ts";

export function addConfigurationRoutes(site: Site, { config }: ConsoleDeps): void {
  const inForce = configurationInForce(config);
  site.get("/configuration", ["admin", "auditor"], async ({ visit }) => configurationPage(visit, inForce));
}

function configurationPage(visit: Visit, config: ConfigurationInForce): Html {
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

const span = (seconds: number) => (seconds === 0 ? "none" : lengthOf(seconds));
const names = (list: readonly string[]) => (list.length === 0 ? "none" : list.join(", "));

function mfaPart(mfa: ConfigurationInForce["mfa"]): Html {
  return html`<h2>MFA</h2>${facts([
    ["Mode", mfa.mode],
    ["Required for directories", names(mfa.requireForDirectories)],
    ["Required for groups", names(mfa.requireForGroups)],
    ["Required for new users", mfa.requireForNewUsers ? `yes; the first import: ${mfa.initialImport}` : "no"],
    ["Grace to enroll", span(mfa.enrollmentGrace)],
    ["Enrollment pass", `${mfa.enrollmentPass}, good for ${span(mfa.enrollmentPassExpires)}`],
    ["Replace with a backup code", mfa.replaceWithBackupCode ? "yes" : "no"],
    ["Name in the app", mfa.issuer],
    ["Time steps either side", mfa.totpWindowSteps],
    ["Backup codes", mfa.backupCodes],
    [
      "Lockout",
      `after ${mfa.lockoutFailures} wrong codes, ${span(mfa.lockoutFirst)} to ${span(mfa.lockoutMaximum)}`,
    ],
  ])}`;
}

function consolePart({ console, callers }: ConfigurationInForce): Html {
  const shown =
    console &&
    html`<h2>Console</h2>${facts([
      ["Admins", names(console.admin)],
      ["Help desk", names(console.helpDesk)],
      ["Auditors", names(console.auditor)],
      ["Session", `${span(console.idle)} without a page, ${span(console.absolute)} at most`],
      ["TLS", console.tls ? "yes" : "no"],
    ])}`;
  return html`${shown ?? undefined}<h2>Callers of the API</h2>${facts(
    callers.map(
      ({ name, scopes, protocol }) =>
        [name, `${scopes.join(", ")}${protocol === "api" ? "" : `; ${protocol}`}`] as const,
    ),
  )}`;
}

function directoryPart(directory: ConfigurationInForce["directories"][number]): Html {
  return html`<h2>Directory ${directory.name}</h2>${facts([
    ["Servers", directory.urls.join(", ")],
    ["Kind", directory.kind ?? "found out"],
    ["Bound as", directory.bindDn ?? "anonymous"],
    ["Users", directory.userBases.join("; ")],
    ["Groups", directory.groupBases.length === 0 ? "none" : directory.groupBases.join("; ")],
    ["Schedule", directory.schedule ? `${directory.schedule} (${directory.timeZone})` : "on demand"],
    ["Schedule of incremental runs", directory.incrementalSchedule ?? "none"],
    [
      "Held beyond",
      directory.limits
        .map(({ name, count, percent }) => `${limitNames[name]} ${count} and ${percent} %`)
        .join("; "),
    ],
  ])}`;
}

const limitNames: Readonly<
  Record<ConfigurationInForce["directories"][number]["limits"][number]["name"], string>
> = {
  removals: "removals",
  disables: "disables",
  enables: "enables",
  renames: "renames",
  requirements: "requirements",
  newIds: "new ids",
};

function restPart({ database, retention, logLevel }: ConfigurationInForce): Html {
  const { removedUsers, syncRuns, auditEvents } = retention;
  return html`<h2>Kept</h2>${facts([
    ["Database", database],
    ["Removed users", span(removedUsers)],
    ["Sync runs", span(syncRuns)],
    ["Audit events", auditEvents === null ? "forever" : span(auditEvents)],
    ["Log", logLevel],
  ])}`;
}
