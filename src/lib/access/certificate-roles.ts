/**
 * The roles that a user certificate names, in the extension that Teleport uses, so its certificates read the same:
 * `teleport-roles` = `{"version":"v1","roles":[…]}`. Pure.
 */
export function rolesOfExtension(extension: string | undefined): string[] {
  if (extension === undefined) return []
  try {
    const {roles} = JSON.parse(extension) as {roles?: unknown}
    return Array.isArray(roles) ? roles.filter(role => typeof role === 'string') : []
  } catch {
    // An authority of ours never writes anything else; without roles nothing is allowed.
    return []
  }
}
