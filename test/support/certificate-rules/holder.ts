import type {Cast, Rule} from './rule.js'

const exactNames = 'we let no certificate pass that our authority would not issue'

export const kindRules = (): Rule[] => [
  {
    name: 'it is a host certificate',
    ...{change: {kind: 2}, code: 'certificate_rejected', sshd: 'unasked: the stock client does not offer it'},
  },
  {
    name: 'it is a user certificate where a host is asked',
    ...{change: {}, policy: {kind: 'host'}, code: 'certificate_rejected'},
    sshd: 'unasked: host certificates have rules of their own below',
  },
  {name: 'its kind is 0', change: {kind: 0}, code: 'certificate_rejected', sshd: 'unreadable'},
  {name: 'its kind is 3', change: {kind: 3}, code: 'certificate_rejected', sshd: 'unreadable'},
]

export function validityRules({now}: Cast): Rule[] {
  const [forever, day] = [2n ** 64n - 1n, 24n * 3600n]
  const expired = {code: 'certificate_expired', sshd: /Certificate invalid: expired/} as const
  const skewed = 'clocks behind the authority’s by up to a minute are common, and sshd has no tolerance'
  return [
    {name: 'it expired an hour ago', change: {validAfter: 0n, validBefore: now - 3600n}, ...expired},
    {name: 'it expired a second ago', change: {validBefore: now - 1n}, ...expired},
    {name: 'it expires in this second', change: {validBefore: now}, ...expired},
    {
      name: 'it expires in the next second',
      ...{change: {validBefore: now + 1n}, code: 'accepted', sshd: 'unasked: over before sshd looks'},
    },
    {name: 'it expired in 1970', change: {validAfter: 0n, validBefore: 1n}, ...expired},
    {
      name: 'it ends before it begins',
      change: {validAfter: now, validBefore: now - 1n},
      ...{code: 'certificate_rejected', sshd: /Certificate invalid: expired/},
    },
    {
      name: 'it ends as it begins',
      change: {validAfter: 0n, validBefore: 0n},
      ...{code: 'certificate_rejected', sshd: /Certificate invalid: expired/},
    },
    {
      name: 'it is valid for ever',
      ...{change: {validAfter: 0n, validBefore: forever}, code: 'accepted', sshd: 'accepts'},
    },
    {
      name: 'it begins in this second',
      ...{change: {validAfter: now}, code: 'accepted', sshd: 'accepts'},
    },
    {
      name: 'it begins in 60 seconds',
      change: {validAfter: now + 60n},
      ...{code: 'accepted', sshd: /not yet valid/, differs: skewed},
    },
    {
      name: 'it begins in 61 seconds',
      ...{change: {validAfter: now + 61n}, code: 'clock_skew', sshd: /not yet valid/},
    },
    {
      name: 'it begins tomorrow',
      change: {validAfter: now + day, validBefore: now + 2n * day},
      ...{code: 'clock_skew', sshd: /not yet valid/},
    },
    {
      name: 'it begins later than tomorrow',
      change: {validAfter: now + day + 1n, validBefore: now + 2n * day},
      ...{code: 'certificate_rejected', sshd: /not yet valid/},
    },
    {
      name: 'it never begins',
      change: {validAfter: forever - 1n, validBefore: forever},
      ...{code: 'certificate_rejected', sshd: /not yet valid/},
    },
  ]
}

export function principalRules({login}: Cast): Rule[] {
  const refused = {code: 'certificate_rejected', sshd: /name is not a listed principal/} as const
  const others = (count: number): string[] => Array.from({length: count}, (_, index) => `user-${index}`)
  const odd = (name: string, ...principals: (string | Buffer)[]): Rule[] => [
    {name: `its only principal ${name}`, change: {principals}, ...refused},
    {
      name: `one principal of several ${name}`,
      change: {principals: [login, ...principals]},
      ...{code: 'certificate_rejected', sshd: 'accepts', differs: exactNames},
    },
  ]
  return [
    {
      name: 'it has no principals',
      ...{change: {principals: []}, code: 'certificate_rejected', sshd: /lacks principal list/},
    },
    {
      name: 'it has no principals and any would do',
      ...{change: {principals: []}, policy: {principal: undefined}, code: 'certificate_rejected'},
      ...{sshd: /lacks principal list/},
    },
    {name: 'its principals are others', change: {principals: ['somebody', 'else']}, ...refused},
    {
      name: 'the login is the last of its principals',
      change: {principals: [...others(20), login]},
      code: 'accepted',
      sshd: 'accepts',
    },
    {
      name: 'it has 256 principals',
      change: {principals: [...others(255), login]},
      code: 'accepted',
      sshd: 'accepts',
    },
    {
      name: 'it has 257 principals',
      ...{change: {principals: [...others(256), login]}, code: 'certificate_rejected', sshd: 'unreadable'},
    },
    {name: 'its principal differs in case', change: {principals: [login.toUpperCase()]}, ...refused},
    {
      name: 'its principal is a beginning of the login',
      change: {principals: [login.slice(0, -1)]},
      ...refused,
    },
    {name: 'its principal goes on after the login', change: {principals: [`${login}x`]}, ...refused},
    ...odd('is *', '*'),
    ...odd('is a pattern', `${login.slice(0, -1)}?`),
    ...odd('is a list', `${login},alice`),
    ...odd('is empty', ''),
    ...odd('ends in a blank', `${login} `),
    ...odd('begins with a blank', ` ${login}`),
    ...odd('ends in a line feed', `${login}\n`),
    ...odd('looks like the login', lookalike(login)),
    ...odd('is very long', 'x'.repeat(256)),
    {
      name: 'its principal has NUL in it',
      change: {principals: [`${login}\0x`]},
      ...{code: 'certificate_rejected', sshd: 'unreadable'},
    },
    {
      name: 'its principal ends in NUL',
      change: {principals: [`${login}\0`]},
      ...{code: 'certificate_rejected', sshd: 'accepts', differs: 'to OpenSSH a final NUL ends the string'},
    },
    {
      name: 'its principal is not UTF-8',
      ...{change: {principals: [Buffer.of(0xff)]}, code: 'protocol_error', sshd: /not a listed principal/},
    },
    {
      name: 'its list of principals is cut short',
      change: {principals: Buffer.of(0, 0, 0, 9, 65)},
      ...{code: 'protocol_error', sshd: 'unreadable'},
    },
  ]
}

/** The same word to the eye: a Cyrillic or full-width first letter. */
const lookalike = (login: string): string =>
  String.fromCodePoint((login.codePointAt(0) ?? 0) - 0x21 + 0xff01) + login.slice(1)
