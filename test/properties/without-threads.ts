// For thousands of runs: the same listing of the same server without a separate thread. To start one takes ten times as long as
// all the rest of a run of a small directory, and nothing of it is stored. The tests of test/sync list in threads.

import { vi } from "vitest";

vi.mock("../../src/directory/list-directory.ts", async () => {
  const { listOnce } = await import("../../src/directory/list-session.ts");
  const { listChangesOnce } = await import("../../src/directory/list-changes.ts");
  type Directory = Parameters<typeof import("../../src/directory/list-directory.ts").listInThread>[0];
  type Options = Parameters<typeof import("../../src/directory/list-directory.ts").listInThread>[1];
  const list = (
    directory: Directory,
    { onPage, onNote = () => undefined, rememberedKind, since, signal }: Options,
    onlyIds?: string[],
  ) => {
    const order = { directory, rememberedKind, since, onlyIds };
    const once = since === undefined ? listOnce : listChangesOnce;
    return once(order, { onPage, onNote }, signal);
  };
  return { listDirectory: list, listInThread: list };
});
