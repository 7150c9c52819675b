const maxPrincipalBytes = 255

/**
 * Whether `name` may stand in a certificate as a principal: an exact login or host name. Refused is whatever somebody
 * down the line could take for another name or for several: `*` and `?` (patterns to OpenSSH's clients), commas
 * (lists), blanks and control characters, letters outside ASCII (lookalikes), the empty name.
 */
export const isPrincipal = (name: string): boolean =>
  name.length <= maxPrincipalBytes && /^[\x21-\x7e]+$/.test(name) && !/[,*?]/.test(name)
