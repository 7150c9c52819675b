import {Flags} from '@oclif/core'
import {adminFlags, BaseCommand} from '../../lib/cli/index.js'

export default class AuthExport extends BaseCommand {
  static override summary = 'Print the public keys of an authority'
  static override description =
    `user: for sshd's TrustedUserCAKeys. host: for known_hosts. openssh: for sshd in agentless mode. recording: to
verify recordings elsewhere. Without the first
word, \`cert-authority\`, a line is a plain public key. During a rotation old and new keys are both printed.`
  static override examples = [
    "<%= config.bin %> auth export --type=user | sed 's/cert-authority //' > /etc/ssh/user_ca.pub",
    '<%= config.bin %> auth export --type=host >> ~/.ssh/known_hosts',
    '<%= config.bin %> auth export --type=recording > recording-keys.pub',
  ]
  static override flags = {
    type: Flags.option({
      options: ['user', 'host', 'openssh', 'tls-host', 'tls-user', 'recording'] as const,
      required: true,
      description: 'which authority',
    })(),
    fingerprint: Flags.string({description: 'only the key with this fingerprint', helpValue: 'SHA256:…'}),
    ...adminFlags,
  }

  async run(): Promise<void> {
    const {flags} = await this.parse(AuthExport)
    const {withAdminApi} = await import('../../lib/client/index.js')
    const {type, fingerprint} = flags
    const text = await withAdminApi(flags, api =>
      api.exportAuthorities({type, ...(fingerprint === undefined ? {} : {fingerprint})}),
    )
    process.stdout.write(text.endsWith('\n') ? text : `${text}\n`)
  }
}
