import {problem} from '../errors/index.js'
import type {Write} from './types.js'

const maxKeyLength = 512
const maxValueBytes = 1024 * 1024
export const maxRange = 1000
/** More would hold every other caller up. */
const maxWrites = 128

const keyPattern = /^[A-Za-z0-9][A-Za-z0-9._@+:=/-]*$/

/**
 * Keys are plain ASCII so that their order is the same in every database, and none can end early at a NUL.
 * @throws invalid_input
 */
export function checkKey(key: string): void {
  if (key.length > maxKeyLength || !keyPattern.test(key))
    throw problem('invalid_input', `${JSON.stringify(key.slice(0, 64))} cannot be a key of the state`)
}

/** An empty prefix is every key. */
export function checkPrefix(prefix: string): void {
  if (prefix !== '') checkKey(prefix)
}

export function checkWrites(writes: readonly Write[]): void {
  if (writes.length === 0 || writes.length > maxWrites)
    throw problem('invalid_input', `a transaction has 1 to ${maxWrites} writes, not ${writes.length}`)
  for (const write of writes) {
    checkKey(write.key)
    if (write.type !== 'delete' && write.value.length > maxValueBytes)
      throw problem('invalid_input', `the value of ${write.key} is over ${maxValueBytes} bytes`)
  }
  if (new Set(writes.map(({key}) => key)).size !== writes.length)
    throw problem('invalid_input', 'a transaction may write an item only once')
}
