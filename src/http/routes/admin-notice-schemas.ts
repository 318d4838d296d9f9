// Requests and answers of the admin scope about notices.

import { Type } from "typebox";
import { noticeChannels, noticeKinds, noticeStates } from "../../notices/notice.ts";
import { Closed, Facts, Instant, Named, Nullable, pageQuery, Words } from "../schemas.ts";

export const ListNoticesQuery = Closed({
  state: Type.Optional(Words(noticeStates)),
  limit: pageQuery.limit,
});
export const RetriedNotices = Named("RetriedNotices", { retried: Type.Integer() });
export const NoticePage = Named("NoticePage", {
  notices: Type.Array(
    Named("Notice", {
      id: Type.String(),
      kind: Words(noticeKinds),
      channel: Words(noticeChannels),
      user: Nullable(Type.String({ description: "The username; null for what admins are told" })),
      directory: Nullable(Type.String()),
      facts: Facts,
      createdAt: Instant,
      state: Words(noticeStates),
      attempts: Type.Integer(),
      nextAttemptAt: Nullable(Instant),
      lastError: Nullable(Type.String()),
    }),
  ),
});
