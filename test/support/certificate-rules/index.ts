// The rules of certificates, each once: what is changed, what we say to it, and what OpenSSH says.
import {authorityRules} from './authority.js'
import {kindRules, principalRules, validityRules} from './holder.js'
import {optionRules, sourceAddressRules} from './options.js'
import type {Cast, Rule} from './rule.js'
import {shapeRules, subjectRules} from './shape.js'

export {hostName, hostRules} from './host.js'
export {type Cast, castOfKeys, type Rule, type Verdict} from './rule.js'

/** Every rule for user certificates, of the checker and of the parser before it. */
export const certificateRules = (cast: Cast): Rule[] => [
  ...authorityRules(cast),
  ...kindRules(),
  ...validityRules(cast),
  ...principalRules(cast),
  ...optionRules(),
  ...sourceAddressRules(),
  ...shapeRules(cast),
  ...subjectRules(cast),
]
