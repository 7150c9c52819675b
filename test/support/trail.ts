import {existsSync, readdirSync, readFileSync} from 'node:fs'
import {join} from 'node:path'
import type {Event} from './field.js'

/** What is in the audit log of this directory so far, oldest first; the service may be writing it, or be killed. */
export function trail(directory: string): Event[] {
  if (!existsSync(directory)) return []
  return readdirSync(directory)
    .filter(name => name.endsWith('.jsonl'))
    .sort()
    .flatMap(name => readFileSync(join(directory, name), 'utf8').split('\n'))
    .flatMap(line => {
      try {
        return [JSON.parse(line) as Event]
      } catch {
        // A line that is being written.
        return []
      }
    })
}

/** The events of a session of one command that is recorded as a whole. */
export const wholeTrail = ['session.start', 'session.upload', 'exec', 'session.data', 'session.end']
