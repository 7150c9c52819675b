import {createCipheriv, randomBytes} from 'node:crypto'
import {once} from 'node:events'
import {createWriteStream} from 'node:fs'
import {join} from 'node:path'
import {finished} from 'node:stream/promises'
import {login} from '../support/field.js'
import type {Command} from './measure.js'
import type {Way} from './ways.js'

export interface Load {
  name: string
  about: string
  /** What reaches the user's terminal, and with it the recording. */
  recorded: boolean
  /** Which way the bytes go; undefined: hardly any do. */
  bytes?: number
  command(way: Way): Command
}

/** The files that are moved: what a program prints, and what does not compress. */
export interface Material {
  text: string
  noise: string
  bytes: number
}

const where = (way: Way, option: '-p' | '-P'): string[] => [option, String(way.port), `${login}@127.0.0.1`]

const ssh =
  (command: string, input?: string) =>
  (way: Way): Command => ({
    ...{program: 'ssh', env: way.env, ...(input !== undefined && {input})},
    args: [...way.options, ...where(way, '-p'), command],
  })

const scp =
  (direction: 'up' | 'down', file: string) =>
  (way: Way): Command => {
    const [option, port, host] = where(way, '-P') as [string, string, string]
    const ends = direction === 'up' ? [file, `${host}:/dev/null`] : [`${host}:${file}`, '/dev/null']
    return {program: 'scp', env: way.env, args: [...way.options, option, port, ...ends]}
  }

export const connecting: Load = {
  ...{name: 'connect', about: 'ssh host true', recorded: true},
  command: ssh('true'),
}

export function loadsOf({text, noise, bytes}: Material): Load[] {
  return [
    {
      name: 'down, text',
      about: 'a program prints a log',
      recorded: true,
      bytes,
      command: ssh(`cat '${text}'`),
    },
    {
      ...{name: 'down, noise', about: 'a program prints random bytes', recorded: true, bytes},
      command: ssh(`cat '${noise}'`),
    },
    {
      ...{name: 'up', about: 'a program reads random bytes', recorded: false, bytes},
      command: ssh('cat > /dev/null', noise),
    },
    {
      ...{name: 'scp down', about: 'by SFTP: hashed, not recorded', recorded: false, bytes},
      command: scp('down', noise),
    },
    {
      ...{name: 'scp up', about: 'by SFTP: hashed, not recorded', recorded: false, bytes},
      command: scp('up', noise),
    },
  ]
}

/** Writes the files, `bytes` long each. */
export async function makeMaterial(directory: string, bytes: number): Promise<Material> {
  const material = {text: join(directory, 'text'), noise: join(directory, 'noise'), bytes}
  const noise = createCipheriv('aes-128-ctr', randomBytes(16), randomBytes(16))
  const zeros = Buffer.alloc(1024 * 1024)
  await fill(material.noise, bytes, () => noise.update(zeros))
  let line = 0
  await fill(material.text, bytes, () => {
    let lines = ''
    while (lines.length < 1024 * 1024) lines += logLine(line++)
    return Buffer.from(lines)
  })
  return material
}

/** Like the log of a service: the same words, other numbers. */
function logLine(n: number): string {
  const time = new Date(1_700_000_000_000 + n * 37).toISOString()
  const id = ((n * 2_654_435_761) >>> 0).toString(16).padStart(8, '0')
  const level = ['INFO', 'INFO', 'WARN', 'DEBUG'][n % 4]
  return `${time} ${level} worker-${n % 17} request ${id} GET /api/v1/items/${n % 9973} 200 ${n % 311} ms\n`
}

async function fill(path: string, bytes: number, next: () => Buffer): Promise<void> {
  const file = createWriteStream(path)
  for (let left = bytes; left > 0; ) {
    const piece = next().subarray(0, left)
    left -= piece.length
    if (!file.write(piece)) await once(file, 'drain')
  }
  file.end()
  await finished(file)
}
