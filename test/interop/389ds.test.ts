// The conformance suite on 389-ds, and what is 389-ds's own.

import { describe } from "vitest";
import { conformance } from "./conformance.ts";
import { startThreeEightNine } from "./directory-under-test.ts";

describe("389-ds", () => conformance(startThreeEightNine));
