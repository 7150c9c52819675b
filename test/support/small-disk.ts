import {execFileSync} from 'node:child_process'
import {closeSync, cpSync, mkdirSync, openSync, rmSync, writeSync} from 'node:fs'
import {join} from 'node:path'
import {atEnd} from './cleanup.js'

/** A real filesystem that can be filled up. */
export interface SmallDisk {
  /** Takes all the room that is left. */
  fill(): void
  /** Gives it back. */
  free(): void
}

/** Why there can be no small filesystem here; undefined where there can. */
export function noSmallDisk(): string | undefined {
  if (process.getuid?.() !== 0) return 'only root can mount a small filesystem'
  try {
    execFileSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'], {stdio: 'ignore'})
    return undefined
  } catch {
    return 'this system does not let root mount a small filesystem'
  }
}

/** Mounts a tmpfs of a megabyte on a directory, with what is in it, until the test file ends. */
export function mountSmallDisk(directory: string): SmallDisk {
  mkdirSync(directory, {recursive: true, mode: 0o700})
  const before = `${directory}.before`
  cpSync(directory, before, {recursive: true, preserveTimestamps: true})
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m,mode=700', 'tmpfs', directory])
  cpSync(before, directory, {recursive: true, preserveTimestamps: true})
  rmSync(before, {recursive: true})
  atEnd(() => void execFileSync('umount', ['-l', directory]))
  const filler = join(directory, 'filler')
  return {
    fill() {
      const file = openSync(filler, 'a')
      try {
        for (const block = Buffer.alloc(4096, 'x'); ; ) writeSync(file, block)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
      } finally {
        closeSync(file)
      }
    },
    free: () => rmSync(filler),
  }
}
