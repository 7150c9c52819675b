import {Flags} from '@oclif/core'
import {
  agentFlags,
  askOtp,
  askPassword,
  BaseCommand,
  clientFlags,
  readSecret,
  safe,
} from '../lib/cli/index.js'
import {problem} from '../lib/errors/index.js'

export default class Login extends BaseCommand {
  static override summary = 'Get a certificate for the day'
  static override description =
    `Makes a fresh key, and exchanges the password (and a one-time code, where the cluster wants one) for a short-lived
certificate. Key and certificate go into the running ssh-agent until they expire, for ssh, scp and everything else
that speaks to an agent. Without --proxy and --user, the last login is renewed.`
  static override examples = [
    '<%= config.bin %> login --proxy=proxy.example.com --user=joe',
    '<%= config.bin %> login --proxy=proxy.example.com:3080 --user=joe --ttl=4h --insecure',
    '<%= config.bin %> login --proxy=proxy.example.com --user=bot --password-file=- --out=identity < secret',
  ]
  static override flags = {
    proxy: clientFlags.proxy,
    user: clientFlags.user,
    insecure: clientFlags.insecure,
    'password-file': Flags.string({
      description: 'read the password from this file, - is standard input',
      helpValue: 'FILE',
    }),
    otp: Flags.string({description: 'one-time code', helpValue: 'CODE'}),
    ttl: Flags.string({
      description:
        'how long the certificate is wanted for, a number alone in minutes; the roles set the limit',
      helpValue: 'DURATION',
    }),
    'key-store': Flags.option({
      options: ['auto', 'keychain', 'file'] as const,
      default: 'auto' as const,
      description: "where the private key is kept: the system's keychain, or a 0600 file",
    })(),
    ...agentFlags,
    'add-keys-to-agent': agentFlags['add-keys-to-agent'](),
    out: Flags.string({
      char: 'o',
      description: 'write an identity for automation here, and keep nothing else',
      helpValue: 'FILE',
    }),
    format: Flags.option({
      options: ['file', 'openssh'] as const,
      default: 'file' as const,
      description: 'form of --out: one file, or a key and FILE-cert.pub',
    })(),
    overwrite: Flags.boolean({description: 'replace the files of --out'}),
  }

  async run(): Promise<void> {
    const {flags} = await this.parse(Login)
    const client = await import('../lib/client/index.js')
    const context = client.clientContext(flags['use-local-ssh-agent'])
    const notice = (line: string) => this.logToStderr(`sallyport: ${safe(line)}`)
    const ttl = flags.ttl === undefined ? {} : {ttlSeconds: client.minutesOrDuration(flags.ttl, '--ttl')}
    const {address, user} = await this.#who(flags)
    const {out, format, overwrite} = flags
    if (out !== undefined) await client.assertAbsent(client.identityFiles(out, format), overwrite)
    const at = client.formatProxyAddress(address)
    const login = await client.logIn(
      client.webApi({host: address.host, port: address.webPort, insecure: flags.insecure}),
      {
        user,
        password: () =>
          flags['password-file'] === undefined
            ? askPassword({message: `Password of ${user} at ${at}`, otherwise: '--password-file'})
            : readSecret(flags['password-file']),
        otp: async () => flags.otp ?? askOtp({otherwise: '--otp'}),
        ...ttl,
      },
      Date.now,
    )
    if (out !== undefined) {
      const files = await client.writeIdentity(out, login, {format, overwrite})
      this.logToStderr(`The credentials have been written to ${safe(files.join(', '))}`)
      return
    }
    const profile = await client.keepLogin(login, {
      ...{...context, notice, address, keyStore: flags['key-store'], agent: flags['add-keys-to-agent']},
      now: Date.now,
    })
    const status = client.loginStatus(profile, Date.now())
    this.log(safe(`Logged in to ${profile.cluster} as ${profile.user}`))
    for (const line of client.statusLines(status, Date.now())) this.log(safe(line))
  }

  /** Flags over the login to renew over the name of whoever runs this. */
  async #who(flags: {proxy?: string | undefined; user?: string | undefined}) {
    const {clientHome, findProfile, ownLogin, parseProxyAddress} = await import('../lib/client/index.js')
    const proxy = flags.proxy === undefined ? undefined : parseProxyAddress(flags.proxy)
    // A damaged profile is mended by logging in again, for which the flags must be enough.
    const known =
      proxy && flags.user !== undefined
        ? undefined
        : await findProfile(clientHome(), {proxy, user: flags.user})
    const address = proxy ?? (known && {host: known.proxy.host, webPort: known.proxy.webPort})
    if (!address)
      throw problem('usage', 'no proxy is named, and no login to renew', {hint: 'add --proxy=HOST'})
    return {address, user: flags.user ?? known?.user ?? ownLogin()}
  }
}
