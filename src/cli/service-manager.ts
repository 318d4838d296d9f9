// Tells the service manager (systemd) when the daemon is ready, what it is doing and why it did not start: sd_notify(3).
// Its socket is of a kind that Node.js cannot open, so systemd's own program sends the message.

import { spawn } from "node:child_process";

export interface ServiceManager {
  /** Sends assignments such as `READY=1`, and resolves when they were taken. Without a service manager it does nothing. */
  tell(...assignments: string[]): Promise<void>;
}

// A status is one line in `systemctl status`; more than a few sentences are not read there.
const longestAssignment = 500;

/** The service manager that started this process, if there is one. What it does not take is not an error of the daemon. */
export function serviceManagerOf(env: NodeJS.ProcessEnv): ServiceManager {
  if (!env.NOTIFY_SOCKET) return { tell: async () => {} };
  return { tell: (...assignments) => send(env, assignments.map(asOneLine)) };
}

function send(env: NodeJS.ProcessEnv, assignments: string[]): Promise<void> {
  return new Promise((resolve) => {
    const program = spawn("systemd-notify", assignments, { env, stdio: "ignore" });
    // Not there, or refused: systemd then ends the start by its own time-out and says so.
    program.once("error", () => resolve());
    program.once("exit", () => resolve());
  });
}

/** A line break would begin another assignment. */
function asOneLine(assignment: string): string {
  return assignment.replaceAll(/\s*[\r\n]+\s*/g, " ").slice(0, longestAssignment);
}
