import {z} from 'zod'
import {supportedCiphers, supportedKex, supportedMacs} from '../ssh/algorithms.js'

const supported = {ciphers: supportedCiphers, kex_algos: supportedKex, mac_algos: supportedMacs} as const
type Setting = keyof typeof supported
const settings = Object.keys(supported) as Setting[]

/** What the section `teleport` says of algorithms. */
export type AlgorithmSettings = {[setting in Setting]?: string[] | undefined}

/** A list of names, of which we have one at least: a service with nothing to offer would turn everybody away. */
const names = (setting: Setting) =>
  z
    .array(z.string())
    .refine(list => list.some(name => supported[setting].includes(name)), {
      message: `names nothing that there is; choose from ${supported[setting].join(', ')}`,
    })
    .optional()

export const algorithmKeys = {
  ciphers: names('ciphers'),
  kex_algos: names('kex_algos'),
  mac_algos: names('mac_algos'),
}

/** The chosen ones that we have, in the order of the file; what it does not name stays as it is built in. */
export function chosenAlgorithms(file: AlgorithmSettings): {
  ciphers?: string[]
  kex?: string[]
  macs?: string[]
} {
  const of = (setting: Setting): string[] | undefined =>
    file[setting]?.filter(name => supported[setting].includes(name))
  const [ciphers, kex, macs] = settings.map(of)
  return {...(ciphers && {ciphers}), ...(kex && {kex}), ...(macs && {macs})}
}

/** Those of a configuration that there are none of, or none any more, as `ciphers: aes128-cbc`. */
export const unknownAlgorithms = (file: AlgorithmSettings): string[] =>
  settings.flatMap(setting =>
    (file[setting] ?? [])
      .filter(name => !supported[setting].includes(name))
      .map(name => `${setting}: ${name}`),
  )
