/**
 * Whether a host's labels satisfy a role's: every label of the role must have one of its accepted values. A role
 * without labels matches nothing; `'*': '*'` matches every host, labelled or not.
 */
export function labelsMatch(
  wanted: Readonly<Record<string, readonly string[]>>,
  labels: Readonly<Record<string, string>>,
): boolean {
  const conditions = Object.entries(wanted)
  if (conditions.length === 0) return false
  return conditions.every(([name, accepted]) => {
    // A wildcard key would otherwise grant by any label of that value; only the whole pair means "all hosts".
    if (name === '*') return accepted.includes('*')
    const value = Object.hasOwn(labels, name) ? labels[name] : undefined
    return value !== undefined && accepted.some(pattern => matchesPattern(pattern, value))
  })
}

/** Literal, `*` glob, or `^regular expression$`. An expression that does not compile matches nothing. */
export function matchesPattern(pattern: string, value: string): boolean {
  if (pattern.startsWith('^') && pattern.endsWith('$')) return compile(pattern)?.test(value) ?? false
  return matchesGlob(pattern.split('*'), value)
}

/** As an expression, many wildcards would take time exponential in the length of a label that a host chooses. */
function matchesGlob(parts: readonly string[], value: string): boolean {
  const [head = '', ...rest] = parts
  const tail = rest.pop()
  if (tail === undefined) return head === value
  const end = value.length - tail.length
  if (!value.startsWith(head) || !value.endsWith(tail)) return false
  let at = head.length
  for (const part of rest) {
    const found = value.indexOf(part, at)
    if (found === -1) return false
    at = found + part.length
  }
  return at <= end
}

function compile(source: string): RegExp | undefined {
  try {
    return new RegExp(source, 'u')
  } catch {
    // Administrators' expressions are checked when the role is made; here there is nobody to tell.
    return undefined
  }
}

/** Longer ones are no condition that a person can check. */
const maxPatternLength = 256

/** Why a value of a label will not do, or undefined: what `matchesPattern` would take for something else or nothing. */
export function patternProblem(pattern: string): string | undefined {
  if (pattern.length > maxPatternLength) return `is over ${maxPatternLength} characters`
  if (pattern.includes('{{')) return 'templates are for logins'
  if (pattern.startsWith('^') !== pattern.endsWith('$'))
    return 'a regular expression begins with ^ and ends with $'
  if (!pattern.startsWith('^')) return undefined
  return compile(pattern) ? undefined : 'is not a regular expression'
}
