// How a directory is read, as one digest: what incremental runs rest on is read anew when any of it is configured otherwise.

import type { DirectoryConfig, DirectoryKind } from "../config/config.ts";
import { groupMappingOf, userMappingOf } from "../directory/kinds.ts";
import { digestOf } from "../directory/map-entry.ts";

/** What must be as it was for a mark to hold: how the directory is read, and as whom. */
export function readingOf(directory: DirectoryConfig, kind: DirectoryKind): string {
  const { users, groups, bind } = directory;
  return digestOf([
    JSON.stringify([
      kind,
      bind?.dn ?? null,
      users.bases,
      userMappingOf(directory, kind),
      groups === undefined ? null : [groups.bases, groups.nested, groupMappingOf(directory, kind)],
    ]),
  ]);
}
