import {z} from 'zod'
import {labelNameProblem, labelValueProblem} from '../names/index.js'
import {algorithmKeys} from './algorithms.js'
import {caPins, proxyServers, serverAddress, staticToken} from './joining.js'
import {
  choice,
  dnsName,
  duration,
  ipAddress,
  listenAddress,
  publicAddresses,
  size,
  text,
  textWithout,
  yesNo,
} from './values.js'

export const ports = {web: 3080, proxy: 3023, tunnel: 3024, auth: 3025, node: 3022} as const

const list = z.array(text)
const count = z.number().int('expected a whole number').min(0, 'must not be negative')

const severities = {
  debug: 'debug',
  info: 'info',
  warn: 'warn',
  warning: 'warn',
  error: 'error',
} as const

const severity = z
  .string()
  .transform(word => word.toLowerCase())
  .pipe(z.enum(Object.keys(severities) as (keyof typeof severities)[], 'expected debug, info, warn or error'))
  .transform(word => severities[word])

const common = z.strictObject({
  nodename: dnsName.optional(),
  data_dir: text.optional(),
  auth_token: text.optional(),
  ca_pin: caPins.optional(),
  auth_servers: z.array(serverAddress(ports.auth)).optional(),
  proxy_server: proxyServers(ports.tunnel).optional(),
  advertise_ip: ipAddress.optional(),
  log: z
    .strictObject({
      severity: severity.optional(),
      output: choice(['stderr'], {
        stdout: 'logs go to stderr: stdout belongs to the lines with the addresses',
      }).optional(),
    })
    .optional(),
  ...algorithmKeys,
  spool_limit: size.optional(),
  connection_limits: z
    .strictObject({max_connections: count.optional(), max_users: count.optional()})
    .optional(),
})

const later = (word: string): string => `${word} is not available yet; use off or otp`

const authentication = z.strictObject({
  type: choice(['local'], {
    github: 'single sign-on is not available; use local',
    saml: 'single sign-on is not available; use local',
    oidc: 'single sign-on is not available; use local',
  }).optional(),
  second_factor: choice(['off', 'otp'], {
    webauthn: later('webauthn'),
    u2f: later('u2f'),
    on: later('on'),
    optional: later('optional'),
  }).optional(),
  require_session_mfa: yesNo.optional(),
})

const auth = z.strictObject({
  enabled: yesNo.optional(),
  cluster_name: dnsName.optional(),
  listen_addr: listenAddress(ports.auth).optional(),
  tokens: z.array(staticToken).optional(),
  session_recording: choice(['node', 'proxy', 'off', 'node-sync', 'proxy-sync']).optional(),
  proxy_checks_host_keys: yesNo.optional(),
  authentication: authentication.optional(),
  keep_alive_interval: duration.optional(),
  keep_alive_count_max: count.min(1, 'must be at least 1').optional(),
  client_idle_timeout: duration.optional(),
  disconnect_expired_cert: yesNo.optional(),
  session_control_timeout: duration.optional(),
  recording_retention: duration.optional(),
  audit_retention: duration.optional(),
  routing_strategy: choice(['unambiguous_match', 'most_recent']).optional(),
})

const proxy = z.strictObject({
  enabled: yesNo.optional(),
  listen_addr: listenAddress(ports.proxy).optional(),
  web_listen_addr: listenAddress(ports.web).optional(),
  tunnel_listen_addr: listenAddress(ports.tunnel).optional(),
  public_addr: publicAddresses.optional(),
  ssh_public_addr: publicAddresses.optional(),
  https_key_file: text.optional(),
  https_cert_file: text.optional(),
  dial: z.strictObject({allow: list.optional(), deny: list.optional()}).optional(),
})

const labelName = textWithout(labelNameProblem)

const node = z.strictObject({
  enabled: yesNo.optional(),
  listen_addr: listenAddress(ports.node).optional(),
  labels: z.record(labelName, textWithout(labelValueProblem)).optional(),
  commands: z
    .array(z.strictObject({name: labelName, command: list.min(1, 'must name a program'), period: duration}))
    .optional(),
  permit_user_env: yesNo.optional(),
})

/**
 * The configuration file. `sallyport:` is another name for the `teleport:` section. A section without a value (all its
 * lines commented out) is an empty one.
 */
export const fileSchema = z.strictObject({
  version: choice(['v1', 'v2', 'v3']).optional(),
  teleport: common.nullish(),
  sallyport: common.nullish(),
  auth_service: auth.nullish(),
  proxy_service: proxy.nullish(),
  ssh_service: node.nullish(),
})

export type FileConfig = z.output<typeof fileSchema>
