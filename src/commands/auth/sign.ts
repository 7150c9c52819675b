import {Flags} from '@oclif/core'
import {adminFlags, BaseCommand, safe} from '../../lib/cli/index.js'
import {problem} from '../../lib/errors/index.js'

export default class AuthSign extends BaseCommand {
  static override summary = 'Make a key with a certificate, for a host or for automation'
  static override description =
    `The key pair is made here, and only its public half is sent. --host makes a host key and certificate, for exactly the
names and addresses given, as sshd's HostKey and HostCertificate take them. --user makes an identity for programs.`
  static override examples = [
    '<%= config.bin %> auth sign --host=api.example.com,ssh.example.com,64.225.88.175 --format=openssh --out=api.example.com',
    '<%= config.bin %> auth sign --user=joe --out=identity --ttl=1h',
  ]
  static override flags = {
    host: Flags.string({
      description: 'names and addresses of the host, separated by commas',
      helpValue: 'A,B',
    }),
    user: Flags.string({description: 'name of the user', helpValue: 'NAME'}),
    out: Flags.string({
      char: 'o',
      description: 'name of the file or files (default: the first host, or the user)',
      helpValue: 'FILE',
    }),
    format: Flags.option({
      options: ['file', 'openssh'] as const,
      description: 'one file, or a key and FILE-cert.pub (always so for hosts)',
    })(),
    ttl: Flags.string({
      description: 'how long the certificate is good for, a number alone in minutes',
      helpValue: 'DURATION',
    }),
    overwrite: Flags.boolean({description: 'replace files that exist'}),
    ...adminFlags,
  }

  async run(): Promise<void> {
    const {flags} = await this.parse(AuthSign)
    const {host, user, overwrite} = flags
    if ((host === undefined) === (user === undefined))
      throw problem('usage', 'exactly one of --host and --user is expected', {
        hint: 'see sallyport auth sign --help',
      })
    if (host !== undefined && flags.format === 'file')
      throw problem('usage', 'a host certificate is written as two files', {hint: 'use --format=openssh'})
    const {list, minutesOrDuration, signHost, signUser, withAdminApi} = await import(
      '../../lib/client/index.js'
    )
    const common = {
      ...{overwrite, now: Date.now},
      ...(flags.ttl === undefined ? {} : {ttlSeconds: minutesOrDuration(flags.ttl, '--ttl')}),
    }
    const principals = list(host)
    const files = await withAdminApi(flags, api =>
      user === undefined
        ? signHost(api, principals, {...common, out: flags.out ?? principals[0] ?? ''})
        : signUser(api, user, {...common, out: flags.out ?? user, format: flags.format ?? 'file'}),
    )
    this.log(safe(`The credentials have been written to ${files.join(', ')}`))
  }
}
