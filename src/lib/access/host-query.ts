import {problem, type SallyportError} from '../errors/index.js'
import type {HostRecord} from './hosts.js'

/** Far beyond what a person types. */
const maxQueryLength = 1024
const maxDepth = 64

type Value = string | boolean
type Evaluate = (host: HostRecord) => Value

/** A part of a query, with its place for what is said about it. */
interface Token {
  kind: 'string' | 'name' | 'sign' | 'end'
  text: string
  at: number
}

interface Part {
  type: 'text' | 'truth'
  at: number
  of: Evaluate
  /** The name of the label, where it is one. */
  label?: string
}

/** Whether the words, apart by spaces or commas, are all in the name, the address, the UUID or a label. Pure. */
export function hostHasWords(host: HostRecord, search: string): boolean {
  const words = search
    .toLowerCase()
    .split(/[\s,]+/)
    .filter(word => word !== '')
  const labels = Object.entries(host.labels).map(([name, value]) => `${name}=${value}`.toLowerCase())
  const texts = [host.id, host.hostname, host.address ?? '', ...labels]
  return words.every(word => texts.some(text => text.includes(word)))
}

const labelOf = ({labels}: HostRecord, name: string): string =>
  (Object.hasOwn(labels, name) ? labels[name] : undefined) ?? ''

/**
 * What tsh takes for `ls --query`: `labels["env"] == "prod" && !hasPrefix(name, "web-")`. A host has `name`, `uuid`,
 * `address` and `labels`; a label that it has not is empty. There are `==`, `!=`, `&&`, `||`, `!`, parentheses,
 * `equals(a, b)`, `exists(labels.env)`, `hasPrefix(text, start)`, `contains(text, part)` and `search(word, …)`. Pure.
 * @throws usage, with the place of the mistake
 */
export function parseHostQuery(text: string): (host: HostRecord) => boolean {
  if (text.length > maxQueryLength) throw problem('usage', `a query has ${maxQueryLength} characters at most`)
  const tokens = tokensOf(text)
  let index = 0
  let depth = 0
  const peek = (): Token => tokens[index] ?? {kind: 'end', text: '', at: text.length}
  const next = (): Token => {
    const token = peek()
    index++
    return token
  }
  const take = (sign: string): boolean => {
    if (peek().kind !== 'sign' || peek().text !== sign) return false
    index++
    return true
  }
  const expect = (sign: string): void => {
    if (!take(sign)) throw wrong(peek(), `expected ${sign}`)
  }

  const either = (): Part => {
    if (++depth > maxDepth) throw wrong(peek(), 'too deep')
    let left = both()
    while (take('||')) left = joined(left, both(), (a, b) => a || b)
    depth--
    return left
  }
  const both = (): Part => {
    let left = single()
    while (take('&&')) left = joined(left, single(), (a, b) => a && b)
    return left
  }
  const single = (): Part => {
    const {at} = peek()
    if (take('!')) {
      if (++depth > maxDepth) throw wrong(peek(), 'too deep')
      const part = truth(single())
      depth--
      return {type: 'truth', at, of: host => !part.of(host)}
    }
    return comparison()
  }
  const comparison = (): Part => {
    const left = operand()
    const same = take('==')
    if (!same && !take('!=')) return left
    const [a, b] = [textual(left), textual(operand())]
    return {type: 'truth', at: left.at, of: host => (a.of(host) === b.of(host)) === same}
  }
  const operand = (): Part => {
    const token = next()
    if (token.kind === 'string') return {type: 'text', at: token.at, of: () => token.text}
    if (token.kind === 'sign' && token.text === '(') {
      const part = either()
      expect(')')
      return part
    }
    if (token.kind !== 'name') throw wrong(token, 'expected a value')
    if (token.text === 'labels') return label(token)
    const field = Object.hasOwn(fields, token.text) ? fields[token.text] : undefined
    return field ? {type: 'text', at: token.at, of: field} : call(token)
  }
  const label = ({at}: Token): Part => {
    const bracket = take('[')
    if (!bracket) expect('.')
    const token = next()
    if (token.kind !== (bracket ? 'string' : 'name'))
      throw wrong(token, 'expected the name of a label, as in labels["env"]')
    if (bracket) expect(']')
    return {type: 'text', at, label: token.text, of: host => labelOf(host, token.text)}
  }
  const call = (name: Token): Part => {
    const made = Object.hasOwn(functions, name.text) ? functions[name.text] : undefined
    if (!made) throw wrong(name, 'expected name, uuid, address, labels or a function')
    expect('(')
    const given: Part[] = []
    while (!take(')')) {
      if (given.length > 0) expect(',')
      given.push(textual(either()))
    }
    return {type: 'truth', at: name.at, of: made(given, name)}
  }

  const whole = truth(either())
  if (peek().kind !== 'end') throw wrong(peek(), 'expected && or ||')
  return host => whole.of(host) === true
}

const fields: Readonly<Record<string, Evaluate>> = {
  name: ({hostname}) => hostname,
  uuid: ({id}) => id,
  address: ({address}) => address ?? '',
}

const pair =
  (decide: (a: string, b: string) => boolean) =>
  ([first, second, ...more]: Part[], name: Token): Evaluate => {
    if (!first || !second || more.length > 0) throw wrong(name, 'takes two values')
    return host => decide(String(first.of(host)), String(second.of(host)))
  }

const functions: Readonly<Record<string, (given: Part[], name: Token) => Evaluate>> = {
  equals: pair((a, b) => a === b),
  hasPrefix: pair((a, b) => a.startsWith(b)),
  contains: pair((a, b) => a.includes(b)),
  search: given => host => given.every(part => hostHasWords(host, String(part.of(host)))),
  exists([only, ...more], name) {
    const label = only?.label
    if (label === undefined || more.length > 0) throw wrong(name, 'takes one label, as in exists(labels.env)')
    return ({labels}) => Object.hasOwn(labels, label)
  },
}

const joined = (left: Part, right: Part, decide: (a: boolean, b: boolean) => boolean): Part => {
  const [a, b] = [truth(left), truth(right)]
  return {type: 'truth', at: left.at, of: host => decide(a.of(host) === true, b.of(host) === true)}
}

const truth = (part: Part): Part => {
  if (part.type === 'truth') return part
  throw wrong(part, 'expected a condition, as in name == "web-1"')
}

const textual = (part: Part): Part => {
  if (part.type === 'text') return part
  throw wrong(part, 'expected a value, not a condition')
}

const pattern = /\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|([A-Za-z_][\w-]*)|(==|!=|&&|\|\||[!()[\].,]))/y

function tokensOf(text: string): Token[] {
  const tokens: Token[] = []
  const end = text.trimEnd().length
  pattern.lastIndex = 0
  while (pattern.lastIndex < end) {
    const from = pattern.lastIndex
    const match = pattern.exec(text)
    const at = from + (/^\s*/.exec(text.slice(from))?.[0].length ?? 0)
    if (!match) throw wrong({at}, 'this is no part of a query')
    const quoted = match[1] ?? match[2]
    if (quoted !== undefined) tokens.push({kind: 'string', text: quoted.replace(/\\(.)/gs, '$1'), at})
    else if (match[3] !== undefined) tokens.push({kind: 'name', text: match[3], at})
    else tokens.push({kind: 'sign', text: match[4] ?? '', at})
  }
  return tokens
}

const wrong = ({at}: {at: number}, what: string): SallyportError =>
  problem('usage', `the query is wrong at character ${at + 1}: ${what}`, {
    hint: 'as in --query \'labels["env"] == "prod" && name != "web-1"\'',
  })
