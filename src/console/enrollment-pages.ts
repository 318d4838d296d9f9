// How far enrollment has come, and who is missing.

import { type Html, html } from "../pages/html.ts";
import type { Coverage, EnrolledByDay } from "../users/coverage-table.ts";
import type { ListedUser } from "../users/users-table.ts";
import { lineChart } from "./charts.ts";
import { page, table, timeOf } from "./layout.ts";
import type { Visit } from "./visit.ts";

export function enrollmentPage(
  visit: Visit,
  state: {
    coverage: Coverage;
    days: readonly EnrolledByDay[];
    missing: readonly ListedUser[];
    next: string | null;
  },
): Html {
  const { coverage, days, missing, next } = state;
  const share = coverage.active === 0 ? 0 : Math.floor((100 * coverage.enrolled) / coverage.active);
  const figure = (value: string | number, what: string) => html`<li><strong>${value}</strong> ${what}</li>`;
  const first = days[0];
  const last = days.at(-1);
  const chart = lineChart(
    `Enrolled users by day: ${first?.enrolled} on ${first?.day}, ${last?.enrolled} on ${last?.day}`,
    days.map(({ day, enrolled }) => ({ name: day, value: enrolled })),
    Math.max(coverage.active, 1),
  );
  return page(
    visit,
    "Enrollment",
    html`<ul class="figures">
${figure(`${share} %`, "of active users are enrolled")}${figure(coverage.enrolled, "enrolled")}${figure(coverage.active, "active")}
${figure(coverage.missing, "required, and not enrolled")}${figure(coverage.overdue, "of them must at the next sign-in")}
</ul>
<h2>Over time</h2>${chart}
<p class="faint">Who is enrolled now, by the day of it; the top line is everybody who is active.</p>
<h2>Not enrolled yet</h2>
<p><a class="button" href="/enrollment/missing.csv">Download as CSV</a></p>
${table(
  "Active users of whom MFA is required",
  ["User name", "Name", "E-mail", "Directory", "Must enroll by"],
  missing.map((user) => [
    html`<a href="/users/${user.id}">${user.username}</a>`,
    user.displayName ?? undefined,
    user.email ?? undefined,
    user.directory,
    timeOf(user.enrollmentDeadline) ?? "next sign-in",
  ]),
  "Everybody who must is enrolled.",
)}
${next && html`<p><a class="button" href="${next}">Next page</a></p>`}`,
    { wide: true },
  );
}
