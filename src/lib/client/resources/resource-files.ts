import {createReadStream} from 'node:fs'
import {parseResources} from '../../auth/resources/resource.js'
import type {NodeResource, Resource, RoleResource} from '../../auth/resources/types.js'
import {errnoOf} from '../../durable/index.js'
import {problem} from '../../errors/index.js'

const maxBytes = 1024 * 1024

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist',
  EACCES: 'may not be read by this user',
  EISDIR: 'is a directory',
}

/** The resources in a YAML file, or on standard input for `-`. @throws usage, invalid_input with `file:line:col` */
export async function readResourceFile(
  path: string,
  stdin: AsyncIterable<Buffer | string> = process.stdin,
): Promise<Resource[]> {
  const name = path === '-' ? 'standard input' : path
  const parts: Buffer[] = []
  let size = 0
  try {
    for await (const part of path === '-' ? stdin : createReadStream(path, {end: maxBytes})) {
      parts.push(Buffer.from(part))
      size += part.length
      if (size > maxBytes) throw problem('usage', `${name} is over 1 MiB`, {hint: 'split it into several'})
    }
  } catch (error) {
    const code = errnoOf(error) ?? ''
    if (!Object.hasOwn(reasons, code)) throw error
    throw problem('usage', `${name} ${reasons[code]}`, {
      hint: 'name a readable file, or - for standard input',
    })
  }
  return parseResources(Buffer.concat(parts).toString('utf8'), name)
}

/** One role of this name from YAML. @throws invalid_input */
export function parseRoleText(text: string, file: string, name: string): RoleResource {
  const [resource, second] = parseResources(text, file)
  if (resource?.kind === 'role' && resource.metadata.name === name && !second) return resource
  throw problem('invalid_input', `${file}:1:1: this has to be the role ${name}, and nothing else`)
}

/** One registered host of this UUID from YAML. @throws invalid_input */
export function parseNodeText(text: string, file: string, name: string): NodeResource {
  const [resource, second] = parseResources(text, file)
  if (resource?.kind === 'node' && resource.metadata.name === name && !second) return resource
  throw problem('invalid_input', `${file}:1:1: this has to be the node ${name}, and nothing else`)
}
