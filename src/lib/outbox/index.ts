// What a role on a machine of its own has to tell the auth service: on disk first, delivered once, in order, when auth is
// there. The format on disk: docs/storage.md.
export {createOutbox, type Outbox, type OutboxOptions} from './outbox.js'
export type {OutboxAuth} from './tell.js'
export type {OutboxStatus} from './types.js'
