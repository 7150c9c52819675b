/** What templates in roles are filled with. */
export interface Traits {
  internal: {logins: readonly string[]}
  external: Readonly<Record<string, readonly string[]>>
}

/**
 * The values a role's entry stands for: itself, or what `{{internal.logins}}` or `{{external.name}}` holds. An unknown
 * trait stands for nothing; text around a template is not supported, so it cannot be escaped from.
 */
export function expand(entry: string, traits: Traits): readonly string[] {
  const match = /^\{\{\s*(internal|external)\.([A-Za-z0-9_-]+)\s*\}\}$/.exec(entry)
  if (!match) return entry.includes('{{') ? [] : [entry]
  const [, scope, name = ''] = match
  if (scope === 'internal') return name === 'logins' ? traits.internal.logins : []
  return Object.hasOwn(traits.external, name) ? (traits.external[name] ?? []) : []
}

/** Why a login is no template that stands for something, or undefined; also for one that is no template. */
export function templateProblem(entry: string): string | undefined {
  if (!entry.includes('{{') && !entry.includes('}}')) return undefined
  if (/^\{\{\s*internal\.logins\s*\}\}$/.test(entry)) return undefined
  if (/^\{\{\s*external\./.test(entry)) return 'external traits are not available yet'
  return 'the only template is {{internal.logins}}, without text around it'
}
