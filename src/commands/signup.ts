import {Args, Flags} from '@oclif/core'
import {
  askNewPassword,
  askOtp,
  BaseCommand,
  clientFlags,
  formatFlag,
  readSecret,
  render,
  safe,
} from '../lib/cli/index.js'
import {problem} from '../lib/errors/index.js'

export default class Signup extends BaseCommand {
  static override summary = 'Accept an invite: set a password and a second factor'
  static override description =
    `Does in a terminal what the page behind the link does. A script first asks with --show --format json for the secret
of the one-time codes, and then signs up with --password-file and --otp.`
  static override examples = [
    '<%= config.bin %> signup https://proxy.example.com:3080/web/invite/TOKEN',
    '<%= config.bin %> signup https://127.0.0.1:3080/web/invite/TOKEN --insecure',
    '<%= config.bin %> signup $URL --show --format json',
    '<%= config.bin %> signup $URL --password-file=secret --otp=123456 --format json',
  ]
  static override args = {
    url: Args.string({description: 'the link from `users add` or `users reset`', required: true}),
  }
  static override flags = {
    'password-file': Flags.string({
      description: 'read the new password from this file, - is standard input',
      helpValue: 'FILE',
    }),
    otp: Flags.string({description: 'one-time code of the new second factor', helpValue: 'CODE'}),
    show: Flags.boolean({
      description: 'show the invite and accept nothing',
      exclusive: ['password-file', 'otp'],
    }),
    insecure: clientFlags.insecure,
    format: formatFlag(),
  }

  async run(): Promise<void> {
    const {args, flags} = await this.parse(Signup)
    const {formatProxyAddress, parseInviteUrl, webApi} = await import('../lib/client/index.js')
    const {proxy, token} = parseInviteUrl(args.url)
    const api = webApi({host: proxy.host, port: proxy.webPort, insecure: flags.insecure})
    const invite = await api.getInvite(token)
    const {user, clusterName, secondFactor, expires, otp} = invite
    const facts = {
      ...{user, cluster: clusterName, kind: invite.kind, second_factor: secondFactor},
      ...(otp ? {otp} : {}),
    }
    if (flags.show) {
      const value = {...facts, expires: new Date(expires).toISOString()}
      const text = () =>
        [
          `Invite for ${user} to ${clusterName}, until ${value.expires}`,
          otp ? `OTP secret: ${otp.secret}` : '',
        ]
          .join('\n')
          .trimEnd()
      await render(value, {format: flags.format, text})
      return
    }
    if (
      invite.secondFactor === 'otp' &&
      flags['password-file'] !== undefined &&
      flags.otp === undefined &&
      process.stdin.isTTY !== true
    )
      throw problem('otp_required', 'this cluster wants a one-time code', {
        hint: 'get its secret with --show --format json, and add --otp=CODE',
      })
    if (flags.format === 'text') this.logToStderr(safe(`Signing up ${user} at ${clusterName}`))
    const password =
      flags['password-file'] === undefined
        ? await askNewPassword({
            message: `New password of ${user}`,
            otherwise: '--password-file',
            validate: answer => answer.length >= 12 || 'at least 12 characters are expected',
          })
        : await readSecret(flags['password-file'])
    const code = otp ? (flags.otp ?? (await this.#enrol(otp))) : undefined
    await api.acceptInvite({token, password, ...(code === undefined ? {} : {otp: code})})
    const login = `sallyport login --proxy=${formatProxyAddress(proxy)} --user=${user}`
    await render({...facts, login}, {format: flags.format, text: () => `${user} can log in now: ${login}`})
  }

  /** Shows the secret as a picture and in letters, and asks for the first code made from it. */
  async #enrol({secret, uri}: {secret: string; uri: string}): Promise<string> {
    const {default: qrcode} = await import('qrcode')
    const picture = await qrcode.toString(uri, {type: 'utf8', errorCorrectionLevel: 'L'})
    this.logToStderr(
      `Scan this with an authenticator app, or type the secret into it:\n\n${picture}\nSecret: ${secret}\n`,
    )
    return askOtp({message: 'Code that the app shows', otherwise: '--otp'})
  }
}
