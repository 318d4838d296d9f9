// The text form of a UUID, as PostgreSQL writes ids and Active Directory's objectGUID is shown. Pure.
// It is in no folder, since directory, http, console and cli check ids with it.

/** Anything else must not reach a uuid column, which would refuse it with an error. */
export const uuidPattern = /^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$/;
