import {mkdtempSync, realpathSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {atEnd} from './cleanup.js'

/**
 * A new empty directory, readable by its owner alone, removed when the test file ends. The path is short and
 * canonical: a Unix socket in it stays under the 104 bytes that systems allow, and symlink checks pass.
 */
export function temporaryDirectory(): string {
  const path = mkdtempSync(join(realpathSync(tmpdir()), 'sp-'))
  atEnd(() => rmSync(path, {recursive: true, force: true, maxRetries: 3}))
  return path
}
