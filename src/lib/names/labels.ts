import {problem, type SallyportError} from '../errors/index.js'

/** What a role may tell hosts apart by, and a person can read, is far less. */
export const maxLabels = 64
/** Characters. */
export const maxLabelName = 128
/** Characters. */
export const maxLabelValue = 512

/** Why this cannot be the name of a host's label, or undefined. `*` is one of roles alone. */
export const labelNameProblem = (name: string): string | undefined =>
  name.length <= maxLabelName && /^[A-Za-z_][A-Za-z0-9_./:-]*$/.test(name) && name !== '__proto__'
    ? undefined
    : `the name of a label has letters, digits and . _ / : -, begins with a letter or _, and is at most ${maxLabelName} long`

/** Why a label cannot have this value, or undefined. */
export const labelValueProblem = (value: string): string | undefined =>
  value.length <= maxLabelValue ? undefined : `the value of a label has at most ${maxLabelValue} characters`

/**
 * `env=prod,team=db` → labels; blanks around names and values do not count.
 * @throws usage for anything else, and for a name that comes twice
 */
export function parseLabels(text: string): Record<string, string> {
  const labels = new Map<string, string>()
  for (const pair of text.split(',')) {
    const at = pair.indexOf('=')
    if (at === -1) throw notALabel(pair, 'a label is name=value')
    const [name, value] = [pair.slice(0, at).trim(), pair.slice(at + 1).trim()]
    const wrong = labelNameProblem(name) ?? labelValueProblem(value)
    if (wrong !== undefined) throw notALabel(pair, wrong)
    if (labels.has(name)) throw notALabel(pair, 'there is one of this name already')
    labels.set(name, value)
  }
  return Object.fromEntries(labels)
}

const notALabel = (pair: string, why: string): SallyportError =>
  problem('usage', `${JSON.stringify(pair.trim().slice(0, 80))} will not do: ${why}`, {
    hint: 'as in env=prod,team=db',
  })
