import type {PacketFields} from './packets.js'
import type {FileAttributes} from './types.js'

/** Flags of attributes, draft-ietf-secsh-filexfer-02 §5. */
const has = {size: 1, owner: 2, permissions: 4, times: 8} as const

/** Reads attributes. Extended ones, which come last, are left. @throws protocol_error */
export function readAttributes(fields: PacketFields): FileAttributes {
  const flags = fields.u32()
  const attributes: FileAttributes = {}
  if (flags & has.size) attributes.size = fields.u64()
  if (flags & has.owner) {
    attributes.uid = fields.u32()
    attributes.gid = fields.u32()
  }
  if (flags & has.permissions) {
    attributes.permissions = (fields.u32() & 0o7777).toString(8).padStart(4, '0')
  }
  if (flags & has.times) {
    fields.u32()
    attributes.modified = fields.u32()
  }
  return attributes
}

/** The size alone, where the attributes have it; they may be cut off behind it. */
export function readSize(fields: PacketFields): number | undefined {
  return fields.u32() & has.size ? fields.u64() : undefined
}
