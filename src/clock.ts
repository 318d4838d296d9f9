// The one place where flows get the time. Pure files take `now`; security decisions use the database clock.

export interface Clock {
  now(): Date;
}

export const systemClock: Clock = { now: () => new Date() };
