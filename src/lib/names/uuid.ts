/** The text of an expression for a UUID in the one spelling that is taken here: small letters (RFC 9562 §4). */
export const uuidSource = '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}'

const uuid = new RegExp(`^${uuidSource}$`)

/** Whether this is a UUID in small letters and nothing else: fit to be a part of a path. */
export const isUuid = (text: string): boolean => uuid.test(text)
