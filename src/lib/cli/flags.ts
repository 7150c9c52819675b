import {Args, Flags} from '@oclif/core'
import {type Format, formats} from './output.js'

/** `--format text|json|yaml`, or the formats named. */
export const formatFlag = Flags.option({
  options: formats,
  default: 'text' as Format,
  description: 'how the answer is written',
})

/** Where administration finds the running service: the same two flags as `start`. */
export const adminFlags = {
  config: Flags.string({char: 'c', description: 'configuration file of the service', helpValue: 'FILE'}),
  'data-dir': Flags.string({description: 'data directory of the service', helpValue: 'DIR'}),
}

/** Narrows what happened to a time: ISO 8601, UTC where it names no zone. */
const timeFlags = {
  from: Flags.string({
    description: 'from this time on: 2025-11-21, or 2025-11-21T14:30; UTC unless it ends with a zone, +01:00',
    helpValue: 'TIME',
  }),
  to: Flags.string({description: 'before this time', helpValue: 'TIME'}),
  last: Flags.string({description: 'of the last hours or days', helpValue: 'DURATION', exclusive: ['from']}),
}

/** Narrows recorded sessions. */
export const sessionFlags = {
  user: Flags.string({description: 'only sessions of this user', helpValue: 'NAME'}),
  host: Flags.string({description: 'only sessions on this host', helpValue: 'NAME'}),
  login: Flags.string({description: 'only sessions as this account of the host', helpValue: 'NAME'}),
  ...timeFlags,
}

/** Narrows the audit log. */
export const eventFlags = {
  event: Flags.string({description: 'only this event; may be repeated', multiple: true, helpValue: 'NAME'}),
  user: Flags.string({description: 'only events of this user', helpValue: 'NAME'}),
  host: Flags.string({description: 'only events on this host', helpValue: 'NAME'}),
  login: Flags.string({description: 'only events as this account of the host', helpValue: 'NAME'}),
  sid: Flags.string({description: 'only events of this session', helpValue: 'ID'}),
  failed: Flags.boolean({description: 'only what failed or was refused'}),
  ...timeFlags,
}

/** Narrows the hosts of the inventory. */
export const hostFlags = {
  search: Flags.string({
    description: 'words that are all in the name, address, UUID or a label',
    helpValue: 'WORDS',
  }),
  query: Flags.string({
    description: 'a condition on name, uuid, address and labels',
    helpValue: 'CONDITION',
  }),
}

/** `env=prod,team=db`, or a word. */
export const hostFilterArg = Args.string({
  description: 'labels, as in env=prod,team=db (* is any value), or a word to look for',
})

/** What commands of a user share. Environment: `SALLYPORT_…`, or its `TELEPORT_…` spelling. */
export const clientFlags = {
  proxy: Flags.string({
    description: 'proxy address, as host[:web[,ssh]]',
    env: 'SALLYPORT_PROXY',
    helpGroup: 'CONNECTION',
    helpValue: 'HOST',
  }),
  user: Flags.string({
    description: 'user of the cluster',
    env: 'SALLYPORT_USER',
    helpGroup: 'CONNECTION',
    helpValue: 'NAME',
  }),
  identity: Flags.string({
    char: 'i',
    description: 'identity file to use instead of a login',
    env: 'SALLYPORT_IDENTITY_FILE',
    helpGroup: 'CONNECTION',
    helpValue: 'FILE',
  }),
  insecure: Flags.boolean({
    description: "accept a web certificate that nobody vouches for (the proxy's own)",
    helpGroup: 'CONNECTION',
  }),
}

/** For commands that administrators give on the auth host, and users whose roles permit it anywhere. */
export const accessFlags = {
  proxy: clientFlags.proxy,
  identity: clientFlags.identity,
  insecure: clientFlags.insecure,
  ...adminFlags,
}

/** Where commands write that save something for others. */
export const outFlags = {
  out: Flags.string({
    char: 'o',
    description: 'file to write; standard output without it',
    helpValue: 'FILE',
  }),
  overwrite: Flags.boolean({description: 'replace an existing file'}),
}

/** How long a link to sign up with is good for. */
export const inviteTtlFlag = Flags.string({
  description: 'how long the link is good for (default 1h, at most 48h)',
  helpValue: 'DURATION',
})

/** Which keys go into the running ssh-agent. */
export const agentFlags = {
  'add-keys-to-agent': Flags.option({
    options: ['auto', 'no', 'yes', 'only'] as const,
    char: 'k',
    default: 'auto' as const,
    description: 'put the key and its certificate into the running ssh-agent',
    env: 'SALLYPORT_ADD_KEYS_TO_AGENT',
    helpGroup: 'CONNECTION',
  }),
  'use-local-ssh-agent': Flags.boolean({
    allowNo: true,
    default: true,
    description: 'use the running ssh-agent',
    env: 'SALLYPORT_USE_LOCAL_SSH_AGENT',
    helpGroup: 'CONNECTION',
  }),
}
