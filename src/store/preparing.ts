// Whether the hot statements of one pool are prepared (prepared.ts), and how that ends when the database does not carry it.

import type { PreparedStatements } from "../config/config.ts";
import type { Log } from "../log.ts";

/** Whether the statements of one pool are prepared; the pool carries it. */
export interface Preparing {
  isOn: boolean;
  /** Called when the database turns out not to carry prepared statements; undefined where that is to be an error. */
  turnOff: (() => void) | undefined;
}

export function preparingOf(wanted: PreparedStatements, log: Log): Preparing {
  const preparing: Preparing = { isOn: wanted !== "off", turnOff: undefined };
  if (wanted === "auto") {
    preparing.turnOff = () => {
      if (!preparing.isOn) return; // several statements at once may have found it out
      preparing.isOn = false;
      log.warn("the database carries no prepared statements; they are sent whole from now on");
    };
  }
  return preparing;
}
