import {existsSync, readdirSync, readFileSync} from 'node:fs'
import {join, relative} from 'node:path'
import {fileURLToPath} from 'node:url'

export const repository = fileURLToPath(new URL('../..', import.meta.url))

export interface Page {
  /** Relative to the repository. */
  path: string
  text: string
}

/** Pages for people: those in the root, and all of docs/. */
export function pages(): Page[] {
  const names = [
    ...readdirSync(repository).filter(name => name.endsWith('.md')),
    ...readdirSync(join(repository, 'docs'), {recursive: true, encoding: 'utf8'})
      .filter(name => name.endsWith('.md'))
      .map(name => join('docs', name)),
  ]
  return names.sort().map(page)
}

export const page = (path: string): Page => ({path, text: readFileSync(join(repository, path), 'utf8')})

export interface Fence {
  language: string
  text: string
}

const fence = /^```(\w*)\n([\s\S]*?)^```$/gm

/** Fenced blocks, in order. */
export const fences = ({text}: Page): Fence[] =>
  [...text.matchAll(fence)].map(match => ({language: match[1] ?? '', text: match[2] ?? ''}))

/** Blocks of lines that are indented by four blanks, after an empty line. */
export const indentedBlocks = ({text}: Page): string[] =>
  [...text.replace(fence, '').matchAll(/\n\n((?: {4}.*\n)+)/g)].map(match =>
    (match[1] ?? '').replace(/^ {4}/gm, ''),
  )

/** The page without what is code, in blocks and in lines. */
export const prose = ({text}: Page): string => text.replace(fence, '').replace(/`[^`\n]*`/g, '')

/** The anchor that a heading gets, as GitHub makes it. */
const anchor = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .trim()
    .replace(/\s/g, '-')

export const anchors = ({text}: Page): string[] =>
  [...text.replace(fence, '').matchAll(/^#+ (.*)$/gm)].map(match => anchor(match[1] ?? ''))

/** Rows of the tables of a text, each as its cells without the blanks around them. Heads and rules are left out. */
export const rows = (text: string): string[][] =>
  text
    .split('\n')
    .filter((line, index, lines) => line.startsWith('| ') && !lines[index + 1]?.startsWith('|-'))
    .map(line =>
      line
        .slice(1, line.lastIndexOf('|'))
        .split(/(?<!\\)\|/)
        .map(cell => cell.trim()),
    )

/** The text below a heading, up to the next one of its level or above. Throws when there is no such heading. */
export function section({path, text}: Page, heading: string): string {
  const level = heading.split(' ')[0]?.length ?? 0
  const lines = text.split('\n')
  const start = lines.indexOf(heading)
  if (start < 0) throw new Error(`${path} has no heading "${heading}"`)
  const rest = lines.slice(start + 1)
  const end = rest.findIndex(line => new RegExp(`^#{1,${level}} `).test(line))
  return rest.slice(0, end < 0 ? rest.length : end).join('\n')
}

/** Where a relative link of a page leads, from the repository's root, with its anchor. */
export interface Link {
  target: string
  anchor: string | undefined
  exists: boolean
}

export function links(from: Page): Link[] {
  const found = [...prose(from).matchAll(/\]\(([^)\s]+)\)/g)].map(match => match[1] ?? '')
  return found
    .filter(address => !/^[a-z]+:/.test(address))
    .map(address => {
      const [path = '', name] = address.split('#')
      const file = path === '' ? join(repository, from.path) : join(repository, from.path, '..', path)
      return {target: relative(repository, file), anchor: name, exists: existsSync(file)}
    })
}
