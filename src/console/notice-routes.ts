// Notices: look (admin, auditor), and try again what was given up (admin alone), by the function that API and command line use.

import { type NoticeState, noticeStates } from "../notices/notice.ts";
import { countNotices, listNotices } from "../notices/notices-table.ts";
import { retryNotices } from "../notices/retry-notices.ts";
import type { ConsoleDeps } from "./deps.ts";
import { noticesPage } from "./notice-pages.ts";
import { notDone } from "./refusal-pages.ts";
import type { Answer, SessionAsked, Site } from "./site.ts";

const who = ["admin", "auditor"] as const;
const adminAlone = ["admin"] as const;
const noticesShown = 100;

export function addNoticeRoutes(site: Site, { verification: { db } }: ConsoleDeps): void {
  site.get("/notices", who, async ({ visit, query }) => {
    const shown = noticeStates.find((state): state is NoticeState => state === query.get("state")) ?? "dead";
    const [counts, notices] = await Promise.all([
      countNotices(db),
      listNotices(db, { state: shown, limit: noticesShown + 1 }),
    ]);
    return noticesPage(visit, {
      notices: notices.slice(0, noticesShown),
      shown,
      counts,
      isCut: notices.length > noticesShown,
      told: query.get("done") === "retried" ? "They wait for delivery again." : undefined,
    });
  });

  site.post("/notices/retry", adminAlone, (asked) => retry(asked, undefined));
  site.post("/notices/:id/retry", adminAlone, (asked) => retry(asked, asked.id));

  async function retry({ visit, actor }: SessionAsked, id: string | undefined): Promise<Answer> {
    const retried = await retryNotices({ db }, { id, actor });
    if (retried === 0) return notDone(visit, 409, "It was not given up, or waits again already.", "/notices");
    return { goTo: "/notices?state=waiting&done=retried" };
  }
}
