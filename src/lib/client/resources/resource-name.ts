import {problem} from '../../errors/index.js'

export interface ResourceName<Kind extends string> {
  kind: Kind
  /** Absent: all of them. */
  name?: string
}

/** `role/dev`, `role`, `roles` → kind and name, for the kinds given in the singular. @throws usage */
export function parseResourceName<const Kind extends string>(
  text: string,
  kinds: readonly Kind[],
): ResourceName<Kind> {
  const [word = '', ...rest] = text.split('/')
  const kind = kinds.find(one => word === one || word === `${one}s`)
  const name = rest.join('/')
  if (kind === undefined || (rest.length > 0 && name === ''))
    throw problem('usage', `${JSON.stringify(text)} is not a resource`, {
      hint: `as in ${kinds.map(one => `${one}/NAME`).join(' or ')}`,
    })
  return rest.length > 0 ? {kind, name} : {kind}
}
