import type {FileConfig} from './schema.js'

/**
 * Keys that are read and checked, so that one file serves every version, and that change nothing in this one. A key
 * leaves the list with the change that gives it its effect.
 */
const inertKeys: readonly string[] = [
  'connection_limits.max_users',
  'auth_service.keep_alive_count_max',
  'auth_service.session_control_timeout',
]

/** The keys of a file that will do nothing: whoever wrote them has to be told. */
export function inertKeysIn(file: FileConfig): string[] {
  const {teleport, sallyport, ...sections} = file
  const tree: Record<string, unknown> = {...teleport, ...sallyport, ...sections}
  return inertKeys.filter(key => {
    let value: unknown = tree
    for (const part of key.split('.'))
      value = typeof value === 'object' && value !== null ? Reflect.get(value, part) : undefined
    return value !== undefined
  })
}
