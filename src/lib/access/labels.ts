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
  if (!pattern.includes('*')) return pattern === value
  const parts = pattern.split('*').map(part => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`^${parts.join('.*')}$`, 's').test(value)
}

function compile(source: string): RegExp | undefined {
  try {
    return new RegExp(source, 'u')
  } catch {
    // Administrators' expressions are checked when the role is made; here there is nobody to tell.
    return undefined
  }
}
